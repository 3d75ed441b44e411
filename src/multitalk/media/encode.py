"""A talk into an MP4: H.264 (yuv420p, BT.709) and AAC at 25 frames a second, sound beside picture.

Picture, sound and container all last exactly T / 25 seconds. A few frames and a few seconds of
sound are in memory at once, however long the talk is.
"""

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    VideoReformatter,
)
from av.video.stream import VideoStream
from numpy.typing import NDArray

from multitalk.disk import unwritten
from multitalk.media.label import TAGS, append_xmp
from multitalk.media.soundtrack import Soundtrack
from multitalk.schema import Quality
from multitalk.timebase import FPS


@dataclass(frozen=True)
class Encoding:
    """What x264 is told for one quality: its preset, and the constant quality (crf) to keep."""

    preset: str
    crf: str


ENCODINGS: Mapping[Quality, Encoding] = MappingProxyType(
    {
        "draft": Encoding("superfast", "21"),
        "standard": Encoding("superfast", "18"),
        "fine": Encoding("veryfast", "13"),
    }
)
# superfast leaves out the macroblock tree, which spends bits on what stays in view. A portrait's
# still background makes it pay: with it, the file is a quarter of the size and is encoded faster;
# as large as veryfast's in half its time, at the same PSNR. B frames are coarser than the frames
# beside them, which a face that moves shows as flicker (docs/experiments.md): there are none.
X264 = "mbtree=1:rc-lookahead=10:bframes=0"
# Frames from one key frame to the next. Each key frame draws the still background anew and a little
# differently, which is seen as a breath: they are rare.
KEY_FRAMES = 10 * FPS
FRAGMENT_FRAMES = FPS  # the same, where each begins a piece that can be watched at once
AUDIO_BITS_PER_SAMPLE = 4  # 64 kbit/s per channel at 16 kHz
MAX_AUDIO_BIT_RATE = 96_000  # per channel
LAST_BOX_BYTES = 16  # of a fragmented MP4


def encode_talk(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    *,
    width: int,
    height: int,
    soundtrack: Soundtrack | None,
    fragmented: bool,
    threads: int,
    quality: Quality,
) -> None:
    """Encode frames as they come; the arguments are those of `VideoWriter`.

    Args:
        path: Where the MP4 goes.
        frames: RGB uint8 [H, W, 3] each.
        width: Of the frames in pixels, even.
        height: Of the frames in pixels, even.
        soundtrack: What is heard, or None for a silent video.
        fragmented: Write pieces that are playable as they are made.
        threads: For the encoder; 0 takes what the machine has.
        quality: How true to the frames.

    Raises:
        DeliveryFailed, DiskUnusable: The file could not be written.
    """
    options = {"movflags": "faststart"}
    if fragmented:
        # delay_moov and not empty_moov: the header is written with the first piece, when the
        # codec's delay is known; an empty one has no edit list and the sound would be late.
        options = {"movflags": "frag_keyframe+delay_moov+default_base_moof", "flush_packets": "1"}
    try:
        with av.open(f"file:{path}", "w", format="mp4", container_options=options) as container:
            container.metadata.update(TAGS)
            picture = _add_picture(container, width, height, threads)
            _set_encoding(picture, ENCODINGS[quality], fragmented)
            sound = _Sound(container, soundtrack) if soundtrack else None
            reformatter = VideoReformatter()
            for index, pixels in enumerate(frames):
                container.mux(picture.encode(_yuv(pixels, index, reformatter)))
                if sound is not None:
                    sound.encode_until(index + 1)
            container.mux(picture.encode(None))
            if sound is not None:
                sound.finish()
        if fragmented:
            _check_end(path)
        else:
            append_xmp(path)
    except (av.FFmpegError, OSError) as error:
        raise unwritten(error.errno, error.strerror) from error


def _check_end(path: Path) -> None:
    """See that a fragmented MP4 has its last box (mfro): FFmpeg tells no error of its last write.

    Raises:
        OSError: It has not.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LAST_BOX_BYTES))
        if file.read()[4:8] != b"mfro":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _add_picture(container: OutputContainer, width: int, height: int, threads: int) -> VideoStream:
    stream = container.add_stream("libx264", rate=FPS)
    context = stream.codec_context
    context.width, context.height = width, height
    context.pix_fmt = "yuv420p"
    context.time_base = Fraction(1, FPS)
    context.colorspace = Colorspace.ITU709
    context.color_range = ColorRange.MPEG
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
    context.thread_count = threads
    context.thread_type = "FRAME"
    return stream


def _set_encoding(stream: VideoStream, encoding: Encoding, fragmented: bool) -> None:
    options = {
        "preset": encoding.preset,
        "crf": encoding.crf,
        "x264-params": X264,
        "g": str(KEY_FRAMES),
    }
    if fragmented:  # no reordering: the first frame of a piece is its first in time
        options |= {"g": str(FRAGMENT_FRAMES), "bf": "0"}
    stream.codec_context.options = options


def _yuv(pixels: NDArray[np.uint8], index: int, reformatter: VideoReformatter) -> VideoFrame:
    rgb = VideoFrame.from_numpy_buffer(np.ascontiguousarray(pixels), format="rgb24")
    frame = reformatter.reformat(
        rgb,
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
    )
    frame.pts, frame.time_base = index, Fraction(1, FPS)
    return frame


class _Sound:
    """Encodes the soundtrack in step with the picture."""

    def __init__(self, container: OutputContainer, soundtrack: Soundtrack) -> None:
        self._container = container
        self._rate = soundtrack.sample_rate
        self._layout = "mono" if soundtrack.num_channels == 1 else "stereo"
        self._blocks = soundtrack.blocks()
        self._encoded = 0  # samples
        self._stream: AudioStream = container.add_stream("aac", rate=self._rate)
        # "fast" is faster than the default and, at these bit rates, 20 dB closer to the sound.
        self._stream.codec_context.options = {"aac_coder": "fast"}
        self._stream.codec_context.layout = self._layout
        bit_rate = min(MAX_AUDIO_BIT_RATE, AUDIO_BITS_PER_SAMPLE * self._rate)
        self._stream.codec_context.bit_rate = bit_rate * soundtrack.num_channels

    def encode_until(self, num_frames: int) -> None:
        """Encode what is heard during the first `num_frames` frames, and a block more at most."""
        while self._encoded * FPS < num_frames * self._rate:
            block = next(self._blocks, None)
            if block is None:
                return
            frame = AudioFrame.from_ndarray(
                np.ascontiguousarray(block), format="fltp", layout=self._layout
            )
            frame.sample_rate = self._rate
            frame.pts, frame.time_base = self._encoded, Fraction(1, self._rate)
            self._encoded += frame.samples
            self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Encode the rest."""
        self._container.mux(self._stream.encode(None))
