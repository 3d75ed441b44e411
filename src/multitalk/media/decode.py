"""One sound track of any file, decoded block by block: hours of it never sit in memory.

What arrives is as good as the file allows: packets that do not decode are left out, gaps in the
time stamps become silence, samples that are not numbers become zeros. A file of which nothing
decodes is an error that says why.
"""

import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.stream import AudioStream
from av.container import InputContainer

from multitalk.errors import MediaUndecodable
from multitalk.media.channels import MonoMix, Sides
from multitalk.media.resample import Converter, SoundBlock, SoundFormat, StereoPlacer, planar
from multitalk.media.timeline import TimeLine

BLOCK_SECONDS = 0.5  # decoded frames are joined to about this much before they are resampled
MAX_BLOCK_VALUES = 4_000_000  # samples of all channels; there may be hundreds of them
MAX_SAMPLE_RATE = 768_000  # Hz
FLOAT_HEADROOM = 16.0  # +24 dB: float files may go above full scale, but not to infinity

# Only self-contained media: a playlist (hls, concat, image2) would let a file open other files.
FORMATS = (
    "aac,ac3,adts,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,gsm,loas,matroska,mov,mp3,mp4,mpeg,"
    "mpegts,ogg,rm,rso,tak,truehd,tta,voc,w64,wav,webm,wv"
)

_log = logging.getLogger(__name__)


# The middle one is FFmpeg's name of the layout, empty where nobody knows the channels' places.
_Piece = tuple[SoundFormat, str, SoundBlock]


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


def sound_blocks(
    path: Path,
    *,
    sample_rate: int,
    num_channels: int,
    track: int = 0,
    sides: Sides = "both",
    mix: MonoMix | None = None,
    field: str | None = None,
) -> Generator[SoundBlock, None, None]:
    """Decode one sound track of any audio or video file.

    Args:
        path: The file.
        sample_rate: Of the blocks, in Hz.
        num_channels: Of the blocks: 1 or 2. Mono is what `MonoMix` makes of the channels, after
            ITU-R BS.775 has made two of more; stereo is these two, or mono on both sides.
        track: Which one, counted from 0 among the file's sound tracks (`tracks.choose_track`).
        sides: What stereo is made of.
        mix: Learns which sides the voice is on; None where that is known, or of no interest.
        field: The request field to blame.

    Yields:
        Float32 [C, S], S > 0. Encoder delay that the file declares is removed.

    Raises:
        MediaUndecodable: No such track, or nothing of it decodes.
    """
    converter: Converter | None = None
    pieces: Iterator[_Piece] = _joined(_timeline(path, track, field=field))
    if num_channels == 1 or sides != "both":
        pieces = _mono(pieces, mix or MonoMix(), sides, field)
    else:
        pieces = _placed(pieces)
    for kind, layout, block in pieces:
        if converter is None or (kind, layout) != (converter.source, converter.layout):
            if converter is not None:
                yield from _heard(converter.finish())
            converter = Converter(kind, layout, sample_rate, num_channels, field)
        yield from _heard(converter.convert(block))
    if converter is None:
        raise MediaUndecodable("audio_undecodable", field=field, reason="nothing in it decodes")
    yield from _heard(converter.finish())


def sound_frames(
    path: Path, *, track: int, field: str | None = None
) -> Generator[tuple[float, SoundBlock], None, None]:
    """Whatever decodes of one sound track, frame by frame, at its own rate.

    Yields:
        How many seconds were decoded before it, and a frame: float32 [C, S].

    Raises:
        MediaUndecodable: No such track.
    """
    seconds = 0.0
    with closing(_frames(path, track, field=field)) as frames:
        for frame in frames:
            yield seconds, _finite(planar(frame))
            seconds += frame.samples / frame.sample_rate


def sound_format(path: Path, *, track: int = 0, field: str | None = None) -> SoundFormat:
    """How a sound track decodes, which is not always what its header says.

    Raises:
        MediaUndecodable: As `sound_blocks`.
    """
    with closing(_frames(path, track, field=field)) as frames:
        for frame in frames:
            return SoundFormat(frame.sample_rate, frame.layout.nb_channels)
    raise MediaUndecodable("audio_undecodable", field=field, reason="nothing in it decodes")


def _mono(
    pieces: Iterator[_Piece], mix: MonoMix, sides: Sides, field: str | None
) -> Iterator[_Piece]:
    """Each piece as one channel."""
    placer: StereoPlacer | None = None
    for kind, layout, block in pieces:
        if kind.num_channels == 1:
            yield kind, "mono", block
            continue
        stereo = channels = block
        if kind.num_channels > 2 and layout:
            if placer is None or (placer.source, placer.layout) != (kind, layout):
                placer = StereoPlacer(kind, layout, field)
            stereo, channels = placer.stereo(block), block[placer.voices]
        mono = mix.mixed(stereo, channels, sample_rate=kind.sample_rate, sides=sides)
        yield SoundFormat(kind.sample_rate, 1), "mono", mono


def _placed(pieces: Iterator[_Piece]) -> Iterator[_Piece]:
    """The same pieces; channels that could be anywhere are averaged."""
    for kind, layout, block in pieces:
        if layout:
            yield kind, layout, block
        else:
            average = block.mean(axis=0, keepdims=True)
            yield SoundFormat(kind.sample_rate, 1), "mono", average


def _heard(block: SoundBlock) -> Iterator[SoundBlock]:
    if block.shape[1]:
        yield block


def _frames(path: Path, track: int, *, field: str | None) -> Generator[AudioFrame, None, None]:
    """Whatever decodes, in order."""
    with open_media(path, key="audio_undecodable", field=field) as container:
        stream = sound_stream(container, track, field=field)
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


def sound_stream(container: InputContainer, track: int, *, field: str | None) -> AudioStream:
    """A sound track of an open file, counted from 0.

    Raises:
        MediaUndecodable: There is none, or none that this FFmpeg has a decoder for.
    """
    streams = container.streams.audio
    if track >= len(streams):
        raise MediaUndecodable("audio_undecodable", field=field, reason="no audio stream in it")
    if streams[track].codec_context is None:
        raise MediaUndecodable("audio_undecodable", field=field, reason="unknown codec")
    return streams[track]


def _timeline(path: Path, track: int, *, field: str | None) -> Iterator[_Piece]:
    """Frames as float arrays, with silence where the time stamps leave a gap."""
    line = TimeLine()
    for frame in _frames(path, track, field=field):
        block, layout = planar(frame), _known_layout(frame.layout)
        kind = SoundFormat(frame.sample_rate, block.shape[0])
        gap = line.gap_before(frame.time)
        if gap:
            for silence in _silence(gap, kind):
                yield kind, layout, silence
                line.advance(silence.shape[1] / kind.sample_rate)
        yield kind, layout, block
        line.advance(block.shape[1] / kind.sample_rate)


def _silence(seconds: float, kind: SoundFormat) -> Iterator[SoundBlock]:
    """So much silence, in pieces: a file may say that it has many channels."""
    left = round(seconds * kind.sample_rate)
    most = min(kind.sample_rate, MAX_BLOCK_VALUES // kind.num_channels)
    while left > 0:
        taken = min(left, most)
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
        most = min(BLOCK_SECONDS * kind.sample_rate, MAX_BLOCK_VALUES / kind.num_channels)
        if num_waiting >= most:
            yield kind, layout, _finite(np.concatenate(waiting, axis=1))
            waiting, num_waiting, kind = [], 0, None
    if kind is not None:
        yield kind, layout, _finite(np.concatenate(waiting, axis=1))


def _finite(block: SoundBlock) -> SoundBlock:
    """Not-a-number and infinity as zero, the rest within reason."""
    clean = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(clean, -FLOAT_HEADROOM, FLOAT_HEADROOM)


# Channels whose places a file does not declare (plain WAV), or that belong to no layout that FFmpeg
# can mix, are taken to be in the customary order.
_CUSTOMARY_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def _known_layout(layout: AudioLayout) -> str:
    """The name of the layout; empty where the channels could be anywhere."""
    if " channels" not in layout.name:  # FFmpeg's "11 channels" or "2 channels (SL+SR)"
        return layout.name
    return _CUSTOMARY_LAYOUTS.get(layout.nb_channels, "")
