"""The sound of any file, decoded block by block: hours of it never sit in memory.

What arrives is as good as the file allows: packets that do not decode are left out, gaps in the
time stamps become silence, samples that are not numbers become zeros. A file of which nothing
decodes is an error that says why.
"""

import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from numpy.typing import NDArray

from multitalk.errors import MediaUndecodable

SoundBlock = NDArray[np.float32]  # [C, S]; full scale is [-1, 1]

BLOCK_SECONDS = 0.5  # decoded frames are joined to about this much before they are resampled
GAP_SECONDS = 0.1  # a smaller step in the time stamps is jitter or encoder delay, not a gap
MAX_GAP_SECONDS = 60.0  # a larger step means that the time stamps restarted, not that it was quiet
MAX_SAMPLE_RATE = 768_000  # Hz
FLOAT_HEADROOM = 16.0  # +24 dB: float files may go above full scale, but not to infinity

# PyAV (18.1) finds a frame's planes by walking to a null pointer; FFmpeg has none after the eighth.
# To be removed when AudioFrame.planes counts channels.
MAX_PLANES = 7

# Only self-contained media: a playlist (hls, concat, image2) would let a file open other files.
FORMATS = (
    "aac,ac3,adts,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,gsm,loas,matroska,mov,mp3,mp4,mpeg,"
    "mpegts,ogg,rm,rso,tak,truehd,tta,voc,w64,wav,webm,wv"
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SoundFormat:
    """How a file's sound is stored: samples a second and channels."""

    sample_rate: int
    num_channels: int


_Piece = tuple[SoundFormat, str, SoundBlock]  # the middle one is FFmpeg's name of the layout


@contextmanager
def open_media(
    path: Path,
    *,
    key: str,
    field: str | None,
    options: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[InputContainer]:
    """Open a media file that refers to nothing but itself; `options` are for FFmpeg's demuxer.

    Raises:
        MediaUndecodable: Empty or of no known format; `key` names the sentence.
    """
    if path.stat().st_size == 0:
        raise MediaUndecodable(key, field=field, reason="empty file")
    try:
        container = av.open(
            f"file:{path}",
            mode="r",
            metadata_errors="ignore",
            container_options={
                "protocol_whitelist": "file",
                "format_whitelist": FORMATS,
                **options,
            },
        )
    except av.FFmpegError as error:
        raise MediaUndecodable(key, field=field, reason="damaged or unknown format") from error
    with container:
        yield container


def sound_format(path: Path, *, field: str | None = None) -> SoundFormat:
    """How the first audio stream decodes, which is not always what its header says.

    Raises:
        MediaUndecodable: As `sound_blocks`.
    """
    for frame in _frames(path, field=field):
        return SoundFormat(frame.sample_rate, frame.layout.nb_channels)
    raise MediaUndecodable("audio_undecodable", field=field, reason="nothing in it decodes")


def sound_seconds(path: Path, *, field: str | None = None) -> float | None:
    """How long a file says that its sound is, without decoding it; None where it does not say.

    Raises:
        MediaUndecodable: Damaged, of an unknown format, or without sound.
    """
    with open_media(path, key="audio_undecodable", field=field) as container:
        if not container.streams.audio:
            raise MediaUndecodable("audio_undecodable", field=field, reason="no sound in it")
        stream = container.streams.audio[0]
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        return None if container.duration is None else container.duration / av.time_base


def sound_blocks(
    path: Path, *, sample_rate: int, num_channels: int, field: str | None = None
) -> Generator[SoundBlock, None, None]:
    """Decode the first audio stream of any audio or video file.

    Args:
        path: The file.
        sample_rate: Of the blocks, in Hz.
        num_channels: Of the blocks: 1 or 2. Of stereo, mono is the average; of more channels, both
            are mixed by ITU-R BS.775; mono is heard on both sides.
        field: The request field to blame.

    Yields:
        Float32 [C, S], S > 0. Encoder delay that the file declares is removed.

    Raises:
        MediaUndecodable: No audio stream, or nothing of it decodes.
    """
    converter: _Converter | None = None
    pieces = _joined(_timeline(path, field=field))
    for kind, layout, block in map(_averaged, pieces) if num_channels == 1 else pieces:
        if converter is None or (kind, layout) != (converter.source, converter.layout):
            if converter is not None:
                yield from _heard(converter.finish())
            converter = _Converter(kind, layout, sample_rate, num_channels, field)
        yield from _heard(converter.convert(block))
    if converter is None:
        raise MediaUndecodable("audio_undecodable", field=field, reason="nothing in it decodes")
    yield from _heard(converter.finish())


def _averaged(piece: _Piece) -> _Piece:
    """Stereo as mono; other layouts as they are."""
    kind, _, block = piece
    if kind.num_channels != 2:
        return piece
    return SoundFormat(kind.sample_rate, 1), "mono", block.mean(axis=0, keepdims=True)


def _heard(block: SoundBlock) -> Iterator[SoundBlock]:
    if block.shape[1]:
        yield block


class _Converter:
    """Changes rate and channels of one run of blocks; as long after as before, to the sample."""

    _TAIL = 2048  # samples: longer than the resampler's filter, so that the last ones come out
    _LAYOUTS: ClassVar = {1: "mono", 2: "stereo"}

    def __init__(
        self,
        source: SoundFormat,
        layout: str,
        sample_rate: int,
        num_channels: int,
        field: str | None,
    ) -> None:
        self.source = source
        self.layout = layout
        self._sample_rate = sample_rate
        self._num_channels = num_channels
        self._field = field
        self._taken = 0  # samples at the source's rate
        self._given = 0  # samples at the rate asked for
        target = layout if source.num_channels <= num_channels else self._LAYOUTS[num_channels]
        self._resampler: AudioResampler | None = None
        if (source.sample_rate, layout) != (sample_rate, target):
            self._resampler = AudioResampler(format="fltp", layout=target, rate=sample_rate)

    def convert(self, block: SoundBlock) -> SoundBlock:
        self._taken += block.shape[1]
        return self._limited(self._resampled(block))

    def finish(self) -> SoundBlock:
        silence = np.zeros((self.source.num_channels, self._TAIL), np.float32)
        return self._limited(self._resampled(silence))

    def _resampled(self, block: SoundBlock) -> SoundBlock:
        if self._resampler is None:
            return block
        packed = np.ascontiguousarray(block.T).reshape(1, -1)  # see MAX_PLANES
        frame = AudioFrame.from_ndarray(packed, format="flt", layout=self.layout)
        frame.sample_rate = self.source.sample_rate
        try:
            parts = [_planar(part) for part in self._resampler.resample(frame)]
        except av.FFmpegError as error:
            raise MediaUndecodable(
                "audio_undecodable",
                field=self._field,
                reason=f"{self.source.sample_rate} Hz, {self.layout}",
            ) from error
        return np.concatenate(parts, axis=1) if parts else np.zeros((1, 0), np.float32)

    def _limited(self, block: SoundBlock) -> SoundBlock:
        end = -(-self._taken * self._sample_rate // self.source.sample_rate)
        block = block[:, : end - self._given]
        self._given += block.shape[1]
        return np.repeat(block, self._num_channels // block.shape[0], axis=0)


def _frames(path: Path, *, field: str | None) -> Iterator[AudioFrame]:
    """Whatever decodes, in order."""
    with open_media(path, key="audio_undecodable", field=field) as container:
        if not container.streams.audio:
            raise MediaUndecodable("audio_undecodable", field=field, reason="no audio stream in it")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise MediaUndecodable("audio_undecodable", field=field, reason="unknown codec")
        damaged = 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:  # what follows cannot be found in the file
                _log.info("the file ends early: %s", error.strerror)
                break
            if packet is None:
                break
            try:
                frames = stream.codec_context.decode(packet)
            except av.EOFError:
                break
            except av.FFmpegError:
                damaged += 1
                continue
            for frame in frames:
                if frame.samples and 0 < frame.sample_rate <= MAX_SAMPLE_RATE:
                    yield frame
        if damaged:
            _log.info("%d packets of the sound did not decode", damaged)


def _timeline(path: Path, *, field: str | None) -> Iterator[_Piece]:
    """Frames as float arrays, with silence where the time stamps leave a gap."""
    origin: float | None = None  # time stamp of sample 0, in seconds
    written = 0.0  # seconds
    for frame in _frames(path, field=field):
        block, layout = _with_known_layout(_planar(frame), frame.layout)
        kind = SoundFormat(frame.sample_rate, block.shape[0])
        stamp = frame.time
        if stamp is not None:
            gap = 0.0 if origin is None else stamp - (origin + written)
            if GAP_SECONDS < gap <= MAX_GAP_SECONDS:
                for silence in _silence(gap, kind):
                    yield kind, layout, silence
                    written += silence.shape[1] / kind.sample_rate
            elif origin is None or abs(gap) > GAP_SECONDS:
                origin = stamp - written
        yield kind, layout, block
        written += block.shape[1] / kind.sample_rate


def _silence(seconds: float, kind: SoundFormat) -> Iterator[SoundBlock]:
    """So much silence, in pieces of a second: a file may say that it has many channels."""
    left = round(seconds * kind.sample_rate)
    while left > 0:
        taken = min(left, kind.sample_rate)
        yield np.zeros((kind.num_channels, taken), np.float32)
        left -= taken


def _joined(pieces: Iterator[_Piece]) -> Iterator[_Piece]:
    """The same sound, all of it numbers, in fewer pieces, so that arrays are worth their while."""
    waiting: list[SoundBlock] = []
    num_waiting = 0
    kind: SoundFormat | None = None
    layout = ""
    for next_kind, next_layout, block in pieces:
        if kind is not None and (next_kind, next_layout) != (kind, layout):
            yield kind, layout, _finite(np.concatenate(waiting, axis=1))
            waiting, num_waiting = [], 0
        kind, layout = next_kind, next_layout
        waiting.append(block)
        num_waiting += block.shape[1]
        if num_waiting >= BLOCK_SECONDS * kind.sample_rate:
            yield kind, layout, _finite(np.concatenate(waiting, axis=1))
            waiting, num_waiting, kind = [], 0, None
    if kind is not None:
        yield kind, layout, _finite(np.concatenate(waiting, axis=1))


def _planar(frame: AudioFrame) -> SoundBlock:
    """A frame of any sample format as float32 [C, S]; floats may still be no numbers."""
    if frame.format.is_planar and frame.layout.nb_channels > MAX_PLANES:
        packer = AudioResampler(format=frame.format.packed, layout=frame.layout)
        (frame,) = packer.resample(frame)
    samples: NDArray[np.generic] = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128.0) / 128.0
    if np.issubdtype(samples.dtype, np.integer):
        return samples.astype(np.float32) / np.float32(2 ** (8 * samples.dtype.itemsize - 1))
    with np.errstate(over="ignore"):  # to infinity, and from there to zero
        return samples.astype(np.float32)


def _finite(block: SoundBlock) -> SoundBlock:
    """Not-a-number and infinity as zero, the rest within reason."""
    clean = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(clean, -FLOAT_HEADROOM, FLOAT_HEADROOM)


# Channels whose places a file does not declare (plain WAV), or that belong to no layout that FFmpeg
# can mix, are taken to be in the customary order.
_CUSTOMARY_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def _with_known_layout(block: SoundBlock, layout: AudioLayout) -> tuple[SoundBlock, str]:
    """The block and the name of its layout; channels that could be anywhere are averaged."""
    if " channels" not in layout.name:  # FFmpeg's "11 channels" or "2 channels (SL+SR)"
        return block, layout.name
    if layout.nb_channels in _CUSTOMARY_LAYOUTS:
        return block, _CUSTOMARY_LAYOUTS[layout.nb_channels]
    return block.mean(axis=0, keepdims=True), "mono"
