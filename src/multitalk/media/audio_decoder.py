"""One sound track of any file, decoded block by block: hours of it never sit in memory.

Damaged files are decoded as far as possible: packets that do not decode are left out, gaps in the
time stamps become silence, samples that are not numbers become zeros. A file of which nothing
decodes is an error that says why.
"""

import logging
import math
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from multitalk.array_types import SoundBlock
from multitalk.errors import LimitExceeded, MediaUndecodable
from multitalk.media.audio_conversion import (
    Converter,
    MonoMix,
    Sides,
    SoundFormat,
    StereoPlacer,
    planar,
)
from multitalk.media.container import MAX_FRAME_VALUES, open_media, packets_of
from multitalk.media.decoding_errors import CheckCancelled, never_cancelled

BLOCK_SECONDS = 0.5  # decoded frames are joined to about this much before they are resampled
MAX_BLOCK_VALUES = 4_000_000  # samples of all channels; there may be hundreds of them
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1000, 768_000  # Hz
MAX_CHANNELS = 256
MAX_SILENT_PACKETS = 10_000  # in a row without a sample; of AMR's they are 200 s
MAX_PACKET_SECONDS = 1.0  # that are believed of a packet without a sample
FLOAT_HEADROOM = 16.0  # +24 dB: float files may go above full scale, but not to infinity

_log = logging.getLogger(__name__)


# The middle one is FFmpeg's name of the layout, empty where nobody knows the channels' places.
_FormattedBlock = tuple[SoundFormat, str, SoundBlock]

# Channels whose places a file does not declare (plain WAV), or that belong to no layout that FFmpeg
# can mix, are taken to be in the customary order.
_CUSTOMARY_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
GAP_SECONDS = 0.1  # a smaller step in the time stamps is jitter or encoder delay, not a gap
MAX_GAP_SECONDS = 60.0  # a larger step means that the time stamps restarted, not that it was quiet


def sound_blocks(
    path: Path,
    *,
    sample_rate: int,
    num_channels: int,
    track: int = 0,
    sides: Sides = "both",
    mix: MonoMix | None = None,
    field: str | None = None,
    max_seconds: float = math.inf,
    check_cancelled: CheckCancelled = never_cancelled,
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
        max_seconds: Most seconds of packets of which nothing decodes. Who takes the blocks counts
            those.
        check_cancelled: Called at each packet.

    Yields:
        Float32 [C, S], S > 0. Encoder delay that the file declares is removed.

    Raises:
        MediaUndecodable: No such track, nothing of it decodes, or nothing for 10,000 packets.
        LimitExceeded: More than `max_seconds` of packets of which nothing decodes.
    """
    converter: Converter | None = None
    pieces: Iterator[_FormattedBlock] = _merge_blocks(
        _timeline(
            _frames(
                path, track, field=field, max_seconds=max_seconds, check_cancelled=check_cancelled
            )
        )
    )
    if num_channels == 1 or sides != "both":
        pieces = _mono(pieces, mix or MonoMix(), sides, field)
    else:
        pieces = _with_known_channels(pieces)
    for kind, layout, block in pieces:
        if converter is None or (kind, layout) != (converter.source, converter.layout):
            if converter is not None:
                yield from _nonempty(converter.finish())
            converter = Converter(kind, layout, sample_rate, num_channels, field)
        yield from _nonempty(converter.convert(block))
    if converter is None:
        raise MediaUndecodable("audio_undecodable", field=field, reason="nothing in it decodes")
    yield from _nonempty(converter.finish())


def sound_frames(
    path: Path,
    *,
    track: int,
    field: str | None = None,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Generator[tuple[float, SoundBlock], None, None]:
    """The decodable frames of one sound track, at its own rate.

    Yields:
        How many seconds were decoded before it, and a frame: float32 [C, S].

    Raises:
        MediaUndecodable: No such track, or nothing decodes of 10,000 packets in a row.
    """
    seconds = 0.0
    with closing(_frames(path, track, field=field, check_cancelled=check_cancelled)) as frames:
        for frame in frames:
            yield seconds, _finite(planar(frame))
            seconds += frame.samples / frame.sample_rate


def sound_format(
    path: Path,
    *,
    track: int = 0,
    field: str | None = None,
    check_cancelled: CheckCancelled = never_cancelled,
) -> SoundFormat:
    """The format that a sound track decodes to, which its header does not always state.

    Raises:
        MediaUndecodable: As `sound_blocks`.
    """
    with closing(_frames(path, track, field=field, check_cancelled=check_cancelled)) as frames:
        for frame in frames:
            return SoundFormat(frame.sample_rate, frame.layout.nb_channels)
    raise MediaUndecodable("audio_undecodable", field=field, reason="nothing in it decodes")


def _mono(
    pieces: Iterator[_FormattedBlock], mix: MonoMix, sides: Sides, field: str | None
) -> Iterator[_FormattedBlock]:
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


def _with_known_channels(pieces: Iterator[_FormattedBlock]) -> Iterator[_FormattedBlock]:
    """The same pieces; channels without a known position are averaged."""
    for kind, layout, block in pieces:
        if layout:
            yield kind, layout, block
        else:
            average = block.mean(axis=0, keepdims=True)
            yield SoundFormat(kind.sample_rate, 1), "mono", average


def _nonempty(block: SoundBlock) -> Iterator[SoundBlock]:
    if block.shape[1]:
        yield block


def _frames(
    path: Path,
    track: int,
    *,
    field: str | None,
    max_seconds: float = math.inf,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Generator[AudioFrame, None, None]:
    """The decodable frames, in order."""
    with open_media(path, key="audio_undecodable", field=field) as container:
        stream = sound_stream(container, track, field=field)
        stream.codec_context.options = {"max_samples": str(MAX_FRAME_VALUES)}
        damaged = silent = 0  # packets
        lost = 0.0  # seconds
        for packet in packets_of(container, stream, check_cancelled=check_cancelled):
            silent += 1
            frames: list[AudioFrame] = []
            try:
                frames = stream.codec_context.decode(packet)
            except av.EOFError:
                break
            except av.FFmpegError:
                damaged += 1
            for frame in frames:
                if not frame.samples or frame.sample_rate <= 0:
                    continue
                _check_usual(frame.sample_rate, frame.layout.nb_channels, field)
                silent = 0
                yield frame
            if silent:
                lost += _declared_seconds(packet)
                _check_lost(silent, lost, max_seconds=max_seconds, field=field)
        if damaged:
            _log.info("%d packets of the sound did not decode", damaged)


def _check_lost(silent: int, lost: float, *, max_seconds: float, field: str | None) -> None:
    """Give up a file that goes on and on without a sample."""
    if silent > MAX_SILENT_PACKETS:
        reason = f"{MAX_SILENT_PACKETS} packets in a row without a sample"
        raise MediaUndecodable("audio_undecodable", field=field, reason=reason)
    if lost > max_seconds:
        raise LimitExceeded("speech_too_long", field=field, limit=max_seconds)


def _declared_seconds(packet: "Packet[AudioStream]") -> float:
    """The duration that a packet declares."""
    if packet.duration is None or packet.time_base is None:
        return 0.0
    return min(max(float(packet.duration * packet.time_base), 0.0), MAX_PACKET_SECONDS)


def _check_usual(sample_rate: int, num_channels: int, field: str | None) -> None:
    """Refuse what no recording has: of 1 Hz, a byte becomes 16,000 samples of speech."""
    if MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE and 0 < num_channels <= MAX_CHANNELS:
        return
    reason = f"{sample_rate} Hz, channels: {num_channels}"
    raise MediaUndecodable("audio_undecodable", field=field, reason=reason)


def sound_stream(container: InputContainer, track: int, *, field: str | None) -> AudioStream:
    """A sound track of an open file, counted from 0.

    Raises:
        MediaUndecodable: There is none, none that this FFmpeg has a decoder for, or one of a
            sample rate or a number of channels that no recording has.
    """
    streams = container.streams.audio
    if track >= len(streams):
        raise MediaUndecodable("audio_undecodable", field=field, reason="no audio stream in it")
    if streams[track].codec_context is None:
        raise MediaUndecodable("audio_undecodable", field=field, reason="unknown codec")
    context = streams[track].codec_context
    if context.sample_rate and context.channels:  # 0: not known yet
        _check_usual(context.sample_rate, context.channels, field)
    return streams[track]


def _timeline(frames: Iterator[AudioFrame]) -> Iterator[_FormattedBlock]:
    """Frames as float arrays, with silence where the time stamps leave a gap."""
    line = TimeLine()
    for frame in frames:
        block, layout = planar(frame), _known_layout(frame.layout)
        kind = SoundFormat(frame.sample_rate, block.shape[0])
        gap = line.gap_before(frame.time)
        if gap:
            for silence in _silence(gap, kind):
                yield kind, layout, silence
                line.advance(silence.shape[1] / kind.sample_rate)
        most = _most(kind)
        for start in range(0, block.shape[1], most):  # a frame may last for an hour
            yield kind, layout, block[:, start : start + most]
        line.advance(block.shape[1] / kind.sample_rate)


def _most(kind: SoundFormat) -> int:
    """Samples of each channel that are handled at once."""
    return int(min(kind.sample_rate, MAX_BLOCK_VALUES // kind.num_channels))


def _silence(seconds: float, kind: SoundFormat) -> Iterator[SoundBlock]:
    """So much silence, in pieces: a file may say that it has many channels."""
    left = round(seconds * kind.sample_rate)
    while left > 0:
        taken = min(left, _most(kind))
        yield np.zeros((kind.num_channels, taken), np.float32)
        left -= taken


def _merge_blocks(pieces: Iterator[_FormattedBlock]) -> Iterator[_FormattedBlock]:
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


def _known_layout(layout: AudioLayout) -> str:
    """The name of the layout; empty where the channels could be anywhere."""
    if " channels" not in layout.name:  # FFmpeg's "11 channels" or "2 channels (SL+SR)"
        return layout.name
    return _CUSTOMARY_LAYOUTS.get(layout.nb_channels, "")


class TimeLine:
    """The end of what was laid down so far.

    Attributes:
        seconds: How much that is, gaps included.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._origin: float | None = None  # the time stamp of second 0

    def gap_before(self, stamp: float | None) -> float:
        """Seconds of silence that belong before a piece; where its stamps restart, there are none.

        Args:
            stamp: The piece's time stamp in seconds; None where it has none.
        """
        if stamp is None:
            return 0.0
        gap = 0.0 if self._origin is None else stamp - (self._origin + self.seconds)
        if GAP_SECONDS < gap <= MAX_GAP_SECONDS:
            return gap
        if self._origin is None or abs(gap) > GAP_SECONDS:
            self._origin = stamp - self.seconds
        return 0.0

    def step_before(self, stamp: float | None) -> float:
        """As `gap_before`, and the small steps too: for stamps that are truer than durations."""
        gap = self.gap_before(stamp)
        if gap or stamp is None or self._origin is None:
            return gap
        return stamp - (self._origin + self.seconds)

    def skip(self, seconds: float) -> None:
        """Leave out so much of the stamped time, such as an encoder's delay."""
        if self._origin is not None:
            self._origin += seconds

    def advance(self, seconds: float) -> None:
        """Lay down so much."""
        self.seconds += seconds
