"""An MP4 of a live session: the pictures as they were encoded, and their sound as AAC.

`LiveRecording` writes a file as it comes, with the index at its end, through a file object that
only writes and seeks; `LiveFragments` returns pieces that can be played at once. Picture and sound
last exactly as many frames as were added.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray
from typing_extensions import override

from multitalk.array_types import SoundBlock
from multitalk.media.label import TAGS
from multitalk.timebase import FPS
from multitalk.watermark.keys import Payload
from multitalk.watermark.sound import SoundMark, SoundMarkStream

SOUND_RATE = 48_000  # Hz; the rate of what comes may change
SAMPLES_PER_FRAME = SOUND_RATE // FPS
SOUND_BITS = 96_000  # a second
AAC_BLOCK = 1024  # samples
# A fragment for each packet. delay_moov: see `media.encode`.
FRAGMENTED = {"movflags": "frag_every_frame+delay_moov+default_base_moof", "flush_packets": "1"}


class LiveRecording:
    """One recording.

    Args:
        write: Called with an offset in the file and the bytes that belong there.
        watermark: What the mark in the sound says; None: there is none. Pictures have theirs.
        options: Of the container.

    Attributes:
        num_frames: That were added.
    """

    def __init__(
        self,
        write: Callable[[int, bytes], None],
        watermark: Payload | None,
        *,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.num_frames = 0
        file = _SeekableOutput(write)
        self._container = av.open(file, "w", format="mp4", container_options=dict(options))
        self._container.metadata.update(TAGS)
        self._watermark = watermark
        self._streams: tuple[VideoStream, _Sound] | None = None  # from the first frame on

    def add(self, video: bytes, pcm: NDArray[np.int16], rate: int, *, is_key: bool) -> None:
        """Add a frame.

        Args:
            video: An access unit in Annex B; the first one is a key frame with its parameter sets.
            pcm: Its sound, mono int16 [rate / 25].
            rate: Samples per second.
            is_key: Whether it can be decoded without earlier frames.
        """
        picture, sound = self._streams or self._begin(video)
        packet = Packet(video)
        packet.stream = picture
        packet.time_base = Fraction(1, FPS)
        packet.pts = packet.dts = self.num_frames
        packet.duration = 1
        packet.is_keyframe = is_key
        sound.add(pcm, rate, start=self.num_frames * SAMPLES_PER_FRAME)
        self._container.mux(packet)
        self.num_frames += 1

    def finish(self) -> None:
        """Write the rest and the index; without frames, nothing."""
        if self._streams is not None:
            self._streams[1].finish(self.num_frames * SAMPLES_PER_FRAME)
            self._container.close()

    def _begin(self, video: bytes) -> tuple[VideoStream, "_Sound"]:
        """Add the streams, with the parameters that an access unit has."""
        with av.open(io.BytesIO(video), format="h264") as parsed:
            picture = self._container.add_stream_from_template(parsed.streams.video[0])
        self._streams = picture, _Sound(self._container, self._watermark)
        return self._streams


class LiveFragments:
    """A live session as pieces of a fragmented MP4, which joined are a video.

    Args:
        watermark: As of `LiveRecording`.
    """

    def __init__(self, watermark: Payload | None) -> None:
        self._complete = bytearray()
        self._muxer = LiveRecording(self._append, watermark, options=FRAGMENTED)

    def add(self, video: bytes, pcm: NDArray[np.int16], rate: int, *, is_key: bool) -> bytes:
        """Add a frame, as in `LiveRecording`; the bytes that are complete with it, maybe none."""
        self._muxer.add(video, pcm, rate, is_key=is_key)
        complete = bytes(self._complete)
        self._complete.clear()
        return complete

    def _append(self, _: int, content: bytes) -> None:
        self._complete += content


class _Sound:
    """Sound of changing rates as AAC."""

    def __init__(self, container: OutputContainer, watermark: Payload | None) -> None:
        self._container = container
        self._stream = container.add_stream("aac", rate=SOUND_RATE)
        # "fast" is faster than the default and, at these bit rates, 20 dB closer to the sound.
        self._stream.codec_context.options = {"aac_coder": "fast"}
        self._stream.codec_context.layout = "mono"
        self._stream.codec_context.bit_rate = SOUND_BITS
        self._mark = SoundMarkStream(SoundMark(watermark, SOUND_RATE)) if watermark else None
        self._resampler: AudioResampler | None = None
        self._rate = 0
        self._received = 0  # samples after resampling
        self._encoded = 0
        self._waiting = np.zeros((1, 0), np.float32)

    def add(self, pcm: NDArray[np.int16], rate: int, *, start: int) -> None:
        """Add a frame's sound, which begins at sample `start` of the recording."""
        if rate != self._rate or self._resampler is None:
            self._end_resampler(start)
            self._resampler = AudioResampler("fltp", "mono", SOUND_RATE)
            self._rate = rate
        frame = AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = rate
        self._take(self._resampler.resample(frame))

    def finish(self, end: int) -> None:
        """Encode the rest: so many samples in all."""
        self._end_resampler(end)
        if self._mark is not None:
            self._waiting = np.concatenate([self._waiting, self._mark.finish()], axis=1)
        self._waiting = self._waiting[:, : end - self._encoded]
        while self._waiting.shape[1]:
            self._encode_block()
        for packet in self._stream.encode(None):
            self._container.mux(packet)

    def _end_resampler(self, end: int) -> None:
        """Take what the resampler holds back, and silence up to sample `end`."""
        if self._resampler is not None:
            self._take(self._resampler.resample(None))
        self._take_block(np.zeros((1, max(0, end - self._received)), np.float32))

    def _take(self, frames: Sequence[AudioFrame]) -> None:
        for frame in frames:
            self._take_block(np.asarray(frame.to_ndarray(), np.float32))

    def _take_block(self, block: SoundBlock) -> None:
        self._received += block.shape[1]
        if self._mark is not None:
            block = self._mark.add(block)
        self._waiting = np.concatenate([self._waiting, block], axis=1)
        while self._waiting.shape[1] >= AAC_BLOCK:
            self._encode_block()

    def _encode_block(self) -> None:
        block = np.ascontiguousarray(self._waiting[:, :AAC_BLOCK])
        self._waiting = self._waiting[:, AAC_BLOCK:]
        frame = AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate = SOUND_RATE
        frame.pts, frame.time_base = self._encoded, Fraction(1, SOUND_RATE)
        self._encoded += block.shape[1]
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


class _SeekableOutput(io.RawIOBase):
    """A file that writes elsewhere; the container's muxer takes it."""

    def __init__(self, write: Callable[[int, bytes], None]) -> None:
        self._write = write
        self._position = self._end = 0

    @override
    def writable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._write(self._position, bytes(data))
        self._position += len(data)
        self._end = max(self._end, self._position)
        return len(data)

    @override
    def tell(self) -> int:
        return self._position

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._end}[whence]
        self._position = base + offset
        return self._position
