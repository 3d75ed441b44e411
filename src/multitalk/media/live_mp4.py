"""A live session as MP4: recorded as a file, or cut into pieces that can each be played at once.

Pictures are stored as they were encoded, their sound as AAC. A recording is written as it comes,
with the index at its end, through a file object that only writes and seeks. Pieces are a fragmented
MP4: FFmpeg writes the header; its muxer would hold samples back until it knows the next one's time,
so each `moof` of one sample and its `mdat` are written here (ISO/IEC 14496-12, 8.8). Joined, they
are a video.
"""

import io
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
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

SOUND_RATE = 48_000  # Hz
SAMPLES_PER_FRAME = SOUND_RATE // FPS
SOUND_BITS = 96_000  # a second
AAC_BLOCK = 1024  # samples
HEADER = {"movflags": "empty_moov+default_base_moof"}
PICTURE, SOUND = 1, 2  # numbers of the tracks
KEY_SAMPLE, OTHER_SAMPLE = 0x02000000, 0x01010000  # flags: depends on others or not
BASE_IS_MOOF = 0x020000  # flag of `tfhd`
# Flags of `trun`: offset of the data; each sample's duration, size, flags.
SAMPLE_FIELDS = 0x01 | 0x100 | 0x200 | 0x400
START_CODE = b"\0\0\1"


class LiveSound:
    """Sound of changing rates as AAC.

    Args:
        container: Gets a stream; the packets are the caller's to write.
        watermark: What the mark says; None: there is none.
    """

    def __init__(self, container: OutputContainer, watermark: Payload | None) -> None:
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

    def add(self, pcm: NDArray[np.int16], rate: int, *, start: int) -> list["Packet[AudioStream]"]:
        """Add a frame's sound, which begins at sample `start`; packets that are complete."""
        if rate != self._rate or self._resampler is None:
            self._end_resampler(start)
            self._resampler = AudioResampler("fltp", "mono", SOUND_RATE)
            self._rate = rate
        frame = AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = rate
        self._take(self._resampler.resample(frame))
        return self._encode(AAC_BLOCK)

    def finish(self, end: int) -> list["Packet[AudioStream]"]:
        """Encode the rest: so many samples in all."""
        self._end_resampler(end)
        if self._mark is not None:
            self._waiting = np.concatenate([self._waiting, self._mark.finish()], axis=1)
        self._waiting = self._waiting[:, : end - self._encoded]
        return [*self._encode(1), *self._stream.encode(None)]

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

    def _encode(self, least: int) -> list["Packet[AudioStream]"]:
        """Encode what waits in blocks, the last one of `least` samples at least."""
        packets: list[Packet[AudioStream]] = []
        while self._waiting.shape[1] >= least:
            block = np.ascontiguousarray(self._waiting[:, :AAC_BLOCK])
            self._waiting = self._waiting[:, AAC_BLOCK:]
            frame = AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.sample_rate = SOUND_RATE
            frame.pts, frame.time_base = self._encoded, Fraction(1, SOUND_RATE)
            self._encoded += block.shape[1]
            packets += self._stream.encode(frame)
        return packets


class LiveRecording:
    """One recording: the whole file.

    Args:
        write: Called with an offset in the file and the bytes that belong there.
        watermark: What the mark in the sound says; None: there is none. Pictures have theirs.

    Attributes:
        num_frames: That were added.
    """

    def __init__(self, write: Callable[[int, bytes], None], watermark: Payload | None) -> None:
        self.num_frames = 0
        self._container = av.open(_SeekableOutput(write), "w", format="mp4")
        self._container.metadata.update(TAGS)
        self._watermark = watermark
        self._streams: tuple[VideoStream, LiveSound] | None = None  # from the first frame on

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
        for encoded in sound.add(pcm, rate, start=self.num_frames * SAMPLES_PER_FRAME):
            self._container.mux(encoded)
        self._container.mux(packet)
        self.num_frames += 1

    def finish(self) -> None:
        """Write the rest and the index; without frames, nothing."""
        if self._streams is not None:
            for encoded in self._streams[1].finish(self.num_frames * SAMPLES_PER_FRAME):
                self._container.mux(encoded)
            self._container.close()

    def _begin(self, video: bytes) -> tuple[VideoStream, LiveSound]:
        """Add the streams, with the parameters that an access unit has."""
        picture = add_picture_stream(self._container, video)
        self._streams = picture, LiveSound(self._container, self._watermark)
        return self._streams


class LiveFragments:
    """One session's pieces: a fragmented MP4.

    Args:
        watermark: What the mark in the sound says; None: there is none. Pictures have theirs.
    """

    def __init__(self, watermark: Payload | None) -> None:
        self._watermark = watermark
        self._sound: LiveSound | None = None
        self._picture_rate = 0  # units a second of the picture's track
        self._num_frames = 0
        self._num_sounds = 0
        self._sequence = 0

    def add(self, video: bytes, pcm: NDArray[np.int16], rate: int, *, is_key: bool) -> bytes:
        """Add a frame, as in `LiveRecording.add`; the pieces that are complete with it."""
        header = b""
        if self._sound is None:
            header, self._sound = self._begin(video)
        unit = self._picture_rate // FPS
        sample = with_lengths(video)
        flags = KEY_SAMPLE if is_key else OTHER_SAMPLE
        pieces = [header, self._piece(PICTURE, self._num_frames * unit, unit, flags, sample)]
        start = self._num_frames * SAMPLES_PER_FRAME
        for packet in self._sound.add(pcm, rate, start=start):
            # The encoder's first packet is from before the sound; there is no list of edits.
            if self._num_sounds > 0:
                time = (self._num_sounds - 1) * AAC_BLOCK
                pieces.append(self._piece(SOUND, time, AAC_BLOCK, KEY_SAMPLE, bytes(packet)))
            self._num_sounds += 1
        self._num_frames += 1
        return b"".join(pieces)

    def _begin(self, video: bytes) -> tuple[bytes, LiveSound]:
        file = io.BytesIO()
        container = av.open(file, "w", format="mp4", container_options=HEADER)
        container.metadata.update(TAGS)
        picture = add_picture_stream(container, video)
        sound = LiveSound(container, self._watermark)
        container.start_encoding()
        self._picture_rate = int(1 / (picture.time_base or Fraction(1, SOUND_RATE)))
        return file.getvalue(), sound

    def _piece(self, track: int, time: int, duration: int, flags: int, sample: bytes) -> bytes:
        self._sequence += 1
        run = [SAMPLE_FIELDS, 1, 0, duration, len(sample), flags]
        described = [
            box(b"tfhd", struct.pack(">II", BASE_IS_MOOF, track)),
            box(b"tfdt", struct.pack(">IQ", 1 << 24, time)),
            box(b"trun", struct.pack(">6I", *run)),
        ]
        sequence = box(b"mfhd", struct.pack(">II", 0, self._sequence))
        size = len(box(b"moof", sequence + box(b"traf", b"".join(described))))
        run[2] = size + 8  # where the sample begins, after the head of `mdat`
        described[2] = box(b"trun", struct.pack(">6I", *run))
        moof = box(b"moof", sequence + box(b"traf", b"".join(described)))
        return moof + box(b"mdat", sample)


def box(kind: bytes, content: bytes) -> bytes:
    """A box of ISO/IEC 14496-12."""
    return struct.pack(">I", 8 + len(content)) + kind + content


def with_lengths(access_unit: bytes) -> bytes:
    """An access unit of H.264 with its units' lengths (ISO/IEC 14496-15) in place of start codes.

    Start codes do not occur within units (H.264, 7.4.1.1), and zeros after a unit belong to none.
    """
    units = [unit.rstrip(b"\0") for unit in access_unit.split(START_CODE)]
    return b"".join(struct.pack(">I", len(unit)) + unit for unit in units if unit)


def add_picture_stream(container: OutputContainer, video: bytes) -> VideoStream:
    """A stream with the parameters that an access unit in Annex B has."""
    with av.open(io.BytesIO(video), format="h264") as parsed:
        return container.add_stream_from_template(parsed.streams.video[0])


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
