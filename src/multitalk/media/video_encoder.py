"""A talk into an MP4: H.264 (yuv420p, BT.709) and AAC at 25 frames a second, sound beside picture.

Picture, sound and container all last exactly T / 25 seconds. A few frames and a few seconds of
sound are in memory at once, however long the talk is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, TracebackType

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
)
from av.video.stream import VideoStream
from numpy.typing import NDArray

from multitalk.choices import Quality
from multitalk.disk import unwritable_video
from multitalk.media.corner_label import CornerLabel
from multitalk.media.fragments import Fragment, FragmentBuffer
from multitalk.media.label import TAGS, append_xmp
from multitalk.media.soundtrack import Soundtrack
from multitalk.media.yuv_frames import plane_of, yuv_frame
from multitalk.timebase import FPS
from multitalk.watermark.keys import Payload
from multitalk.watermark.picture import PictureMark
from multitalk.watermark.sound import SoundMark


@dataclass(frozen=True)
class Encoding:
    """Options of x264 for one quality: its preset, and the constant rate factor (crf)."""

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
# Frames from one key frame to the next. Each key frame encodes the still background a little
# differently, which is visible: they are rare.
KEY_FRAMES = 10 * FPS
# The same, where each begins a piece that can be watched at once. Of the first second there are two
# pieces: a viewer waits for the shorter one. With what x264 reads ahead on two cores, 15 frames,
# it is complete after 24 frames.
FRAGMENT_FRAMES, FIRST_FRAGMENT_FRAMES = FPS, 9
AUDIO_BITS_PER_SAMPLE = 4  # 64 kbit/s per channel at 16 kHz
MAX_AUDIO_BIT_RATE = 96_000  # per channel
WHOLE: Mapping[str, str] = MappingProxyType({"movflags": "faststart"})
# delay_moov and not empty_moov: the header is written with the first fragment, when the codec's
# delay is known; an empty one has no edit list and the sound would be late.
FRAGMENTED: Mapping[str, str] = MappingProxyType(
    {"movflags": "frag_keyframe+delay_moov+default_base_moof", "flush_packets": "1"}
)


def encode_talk(
    frames: Iterable[NDArray[np.uint8]],
    *,
    path: Path | None,
    on_fragment: Callable[[Fragment], None] | None,
    width: int,
    height: int,
    soundtrack: Soundtrack | None,
    threads: int,
    quality: Quality,
    label: str | None,
    watermark: Payload | None,
) -> None:
    """Encode frames as they come; the other arguments are those of `VideoWriter`.

    Args:
        frames: RGB uint8 [H, W, 3] each.
        path: Of the whole MP4, if that is wanted.
        on_fragment: Called with the first frames, then with each second of the video as soon as it
            is encoded, if that is wanted; what it raises ends the encoding.
        width: Of the frames in pixels, even.
        height: Of the frames in pixels, even.
        soundtrack: None for a silent video.
        threads: For the encoder; 0 takes what the machine has.
        quality: How close to the frames.
        label: A short text in a corner of every frame, ASCII; None: there is none.
        watermark: What the mark in picture and sound says; None: there is none.

    Raises:
        DeliveryFailed, DiskUnusable: The file could not be written.
    """
    with _Muxer(path, on_fragment) as muxer:
        picture = _FrameEncoder(muxer, width, height, threads, ENCODINGS[quality])
        picture.label = CornerLabel(label, width=width, height=height) if label else None
        picture.mark = PictureMark(watermark) if watermark else None
        sound = _SoundEncoder(muxer, soundtrack, watermark) if soundtrack else None
        for index, pixels in enumerate(frames):
            picture.encode(pixels, index)
            if sound is not None:
                sound.encode_until(index + 1)
        picture.finish()
        if sound is not None:
            sound.finish()
    if path is not None:
        with _translate_disk_errors():
            append_xmp(path)


class _Muxer:
    """Writes encoded packets to a whole MP4, as fragments, or as both.

    Attributes:
        container: Whose streams encode.
        is_fragmented: Whether fragments are wanted.
    """

    def __init__(self, path: Path | None, on_fragment: Callable[[Fragment], None] | None) -> None:
        self.is_fragmented = on_fragment is not None
        self._on_fragment = on_fragment
        self._buffer = FragmentBuffer()
        self._key_frames: list[int] = []  # each begins a fragment
        self._num_frames = 0
        self._num_fragments = 0
        self._containers: list[OutputContainer] = []
        with _translate_disk_errors():
            if on_fragment is not None:
                self._containers.append(_open(self._buffer, FRAGMENTED))
            if path is not None:
                self._containers.append(_open(f"file:{path}", WHOLE))
        self.container = self._containers[0]

    def __enter__(self) -> "_Muxer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with _translate_disk_errors():
            for container in self._containers:
                container.close()
        if error is None:
            self._hand_out()

    def encode(
        self, stream: VideoStream | AudioStream, frame: VideoFrame | AudioFrame | None
    ) -> None:
        """Encode a frame, or the rest (None), then hand out the fragments that it completed."""
        with _translate_disk_errors():
            for packet in stream.encode(frame):  # type: ignore[arg-type]
                if isinstance(stream, VideoStream):
                    if packet.is_keyframe:
                        self._key_frames.append(self._num_frames)
                    self._num_frames += 1
                for container in self._containers:
                    packet.stream = self._streams_of(container)[stream.index]
                    container.mux(packet)
        self._hand_out()

    def _streams_of(self, container: OutputContainer) -> Sequence[Stream]:
        """Streams of a container that takes the packets of another one's encoders."""
        if not container.streams:
            for stream in self.container.streams:
                container.add_stream_from_template(stream)
        return tuple(container.streams)

    def _hand_out(self) -> None:
        if self._on_fragment is None:
            return
        for content in self._buffer.take():
            first, *later = self._key_frames[self._num_fragments :]
            self._num_fragments += 1
            end = later[0] if later else self._num_frames
            self._on_fragment(Fragment(content, first, end - first))


def _open(file: str | FragmentBuffer, options: Mapping[str, str]) -> OutputContainer:
    container = av.open(file, "w", format="mp4", container_options=dict(options))
    container.metadata.update(TAGS)
    return container


@contextmanager
def _translate_disk_errors() -> Iterator[None]:
    """Turn errors of writing into the error for an unwritable video."""
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise unwritable_video(error.errno, error.strerror) from error


class _FrameEncoder:
    """Encodes the frames.

    Attributes:
        label: Drawn into each frame; None: nothing.
        mark: Added to each frame; None: nothing.
    """

    def __init__(
        self, muxer: _Muxer, width: int, height: int, threads: int, encoding: Encoding
    ) -> None:
        self.label: CornerLabel | None = None
        self.mark: PictureMark | None = None
        self._muxer = muxer
        self._stream: VideoStream = muxer.container.add_stream("libx264", rate=FPS)
        context = self._stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = Fraction(1, FPS)
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        context.thread_count, context.thread_type = threads, "FRAME"
        options = {"preset": encoding.preset, "crf": encoding.crf, "x264-params": X264}
        options["g"] = str(KEY_FRAMES)
        if muxer.is_fragmented:  # no reordering: the first frame of a piece is its first in time
            options |= {"g": str(FRAGMENT_FRAMES), "bf": "0"}
        context.options = options

    def encode(self, pixels: NDArray[np.uint8], index: int) -> None:
        """Encode the frame of an index, RGB uint8 [H, W, 3]."""
        frame = yuv_frame(pixels)
        frame.pts, frame.time_base = index, Fraction(1, FPS)
        if self._muxer.is_fragmented and begins_fragment(index):
            frame.pict_type = PictureType.I
        if self.label is not None:
            self.label.apply(frame)
        if self.mark is not None:
            self.mark.apply(plane_of(frame, 1))
        self._muxer.encode(self._stream, frame)

    def finish(self) -> None:
        """Encode the rest."""
        self._muxer.encode(self._stream, None)


def begins_fragment(index: int) -> bool:
    """Whether a fragment begins with the frame of an index: a key frame."""
    return index % FRAGMENT_FRAMES == 0 or index == FIRST_FRAGMENT_FRAMES


class _SoundEncoder:
    """Encodes the soundtrack in step with the picture."""

    def __init__(self, muxer: _Muxer, soundtrack: Soundtrack, watermark: Payload | None) -> None:
        self._muxer = muxer
        self._rate = soundtrack.sample_rate
        self._layout = "mono" if soundtrack.num_channels == 1 else "stereo"
        mark = SoundMark(watermark, self._rate).blocks if watermark else None
        self._blocks = soundtrack.blocks(mark)
        self._encoded = 0  # samples
        self._stream: AudioStream = muxer.container.add_stream("aac", rate=self._rate)
        # "fast" is faster than the default and, at these bit rates, 20 dB closer to the sound.
        self._stream.codec_context.options = {"aac_coder": "fast"}
        self._stream.codec_context.layout = self._layout
        bit_rate = min(MAX_AUDIO_BIT_RATE, AUDIO_BITS_PER_SAMPLE * self._rate)
        self._stream.codec_context.bit_rate = bit_rate * soundtrack.num_channels

    def encode_until(self, num_frames: int) -> None:
        """Encode the sound of the first `num_frames` frames, and a block more at most."""
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
            self._muxer.encode(self._stream, frame)

    def finish(self) -> None:
        """Encode the rest."""
        self._muxer.encode(self._stream, None)
