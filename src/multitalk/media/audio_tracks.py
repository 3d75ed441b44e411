"""The sound tracks of a file: which one is used, and how long it is.

The default track is used if it decodes and is not silent. A length is counted by its packets, which
are decoded only where they do not say how long they are.
"""

import logging
import struct
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition

from multitalk.array_types import SoundBlock
from multitalk.errors import MediaUndecodable
from multitalk.media.audio_decoder import TimeLine, sound_frames, sound_stream
from multitalk.media.container import open_media, packets_of
from multitalk.media.decoding_errors import CheckCancelled, never_cancelled
from multitalk.media.loudness import RECORDED_PEAK

LISTENED_SECONDS = 600.0  # a track without a sound for so long counts as silent
TRACKS_TRIED = 8

# Comments, karaoke and music of a film are not its voices.
_ASIDE = (
    Disposition.comment
    | Disposition.visual_impaired
    | Disposition.descriptions
    | Disposition.clean_effects
    | Disposition.karaoke
    | Disposition.non_diegetic
    | Disposition.dependent
)
_ASIDE_TITLES = ("commentary", "description")

_log = logging.getLogger(__name__)

SCAN_SECONDS = 10.0  # an hour of sound takes about one
_SKIP = struct.Struct("<II")  # FFmpeg's side data: samples to drop at the start and at the end


@dataclass(frozen=True)
class Track:
    """One of a file's sound tracks.

    Attributes:
        index: Counted from 0 among the sound tracks.
        count: How many the file has.
    """

    index: int
    count: int


def choose_track(
    path: Path, *, field: str | None = None, check_cancelled: CheckCancelled = never_cancelled
) -> Track:
    """The sound track of a file that is used.

    Of several it is the file's default that decodes and is not silent; then any other, commentaries
    and descriptions last; if all are silent, the first that decodes. `check_cancelled` is called at
    each packet.

    Raises:
        MediaUndecodable: Damaged, of an unknown format, without sound, or none of it decodes.
    """
    with open_media(path, key="audio_undecodable", field=field) as container:
        streams = container.streams.audio
        if not streams:
            raise MediaUndecodable("audio_undecodable", field=field, reason="no audio stream in it")
        order = _order(streams)
        count = len(streams)
    if count == 1:
        return Track(0, 1)
    silent: Track | None = None
    for index in order[:TRACKS_TRIED]:
        judgement = _audibility(path, index, field=field, check_cancelled=check_cancelled)
        if judgement == "audible":
            return Track(index, count)
        if judgement == "silent" and silent is None:
            silent = Track(index, count)
    if silent is None:
        raise MediaUndecodable("audio_undecodable", field=field, reason="nothing in it decodes")
    return silent


def _order(streams: Sequence[AudioStream]) -> list[int]:
    """Those that may decode, the likeliest voice first."""
    usable = [index for index, stream in enumerate(streams) if stream.codec_context is not None]
    return sorted(
        usable,
        key=lambda index: (
            _is_aside(streams[index]),
            not streams[index].disposition & Disposition.default,
        ),
    )


def _is_aside(stream: AudioStream) -> bool:
    title = stream.metadata.get("title", "").lower()
    return bool(stream.disposition & _ASIDE) or any(word in title for word in _ASIDE_TITLES)


def _audibility(
    path: Path, index: int, *, field: str | None, check_cancelled: CheckCancelled
) -> Literal["audible", "silent", "broken"]:
    """Decode a track until something is audible in it."""
    decoded = False
    try:
        with closing(
            sound_frames(path, track=index, field=field, check_cancelled=check_cancelled)
        ) as frames:
            for seconds, block in frames:
                decoded = True
                if _peak(block) >= RECORDED_PEAK:
                    return "audible"
                if seconds > LISTENED_SECONDS:
                    break
    except MediaUndecodable as error:
        _log.info("sound track %d: %s", index, error)
        return "broken"
    return "silent" if decoded else "broken"


def _peak(block: SoundBlock) -> float:
    """The largest sample, a constant left out."""
    return float(np.abs(block - block.mean(axis=1, keepdims=True)).max())


def sound_seconds(
    path: Path, *, field: str | None = None, check_cancelled: CheckCancelled = never_cancelled
) -> float | None:
    """Seconds of the sound of a file that is used, without decoding it.

    Headers are wrong or silent about this where files were joined, cut or streamed, so the packets
    are counted. Where that takes longer than `SCAN_SECONDS`, it is what the header says, or None.
    `check_cancelled` is called at each packet.

    Raises:
        MediaUndecodable: Damaged, of an unknown format, or without sound.
    """
    track = choose_track(path, field=field, check_cancelled=check_cancelled)
    with open_media(path, key="audio_undecodable", field=field) as container:
        stream = sound_stream(container, track.index, field=field)
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all  # so that a film's pictures are not read
        seconds = _packet_seconds(container, stream, check_cancelled)
        return _header_seconds(container, stream) if seconds is None else seconds


def _packet_seconds(
    container: InputContainer, stream: AudioStream, check_cancelled: CheckCancelled
) -> float | None:
    """The sum of the packets, gaps included; None where there is no time for it."""
    line = TimeLine()
    rate = stream.codec_context.sample_rate or 1
    unit = float(stream.time_base or Fraction(1, rate))
    stamps_round = unit > 1 / rate  # such as Matroska's, which are whole milliseconds
    longest = 0.0
    to_skip = 0.0  # encoder delay may be longer than a packet
    give_up = time.monotonic() + SCAN_SECONDS
    for packet in packets_of(container, stream, check_cancelled=check_cancelled):
        if not packet.size or packet.is_discard:
            continue
        if time.monotonic() > give_up:
            return None
        start, end = _dropped_samples(packet)
        seconds = packet.duration * unit if packet.duration else _decoded_seconds(packet, stream)
        longest = max(longest, seconds)
        stamp = None if packet.pts is None else packet.pts * unit
        gap = line.step_before(stamp) if stamps_round else line.gap_before(stamp)
        line.advance(gap)
        to_skip += start / rate
        kept = min(seconds, longest - end / rate)
        dropped = min(to_skip, kept)
        to_skip -= dropped
        line.skip(dropped)
        line.advance(kept - dropped)
    return line.seconds


def _dropped_samples(packet: "Packet[AudioStream]") -> tuple[int, int]:
    """Numbers of samples left out at a packet's start and at its end."""
    if not packet.has_sidedata("skip_samples"):
        return 0, 0
    start, end = _SKIP.unpack_from(bytes(packet.get_sidedata("skip_samples")))
    return start, end


def _decoded_seconds(packet: "Packet[AudioStream]", stream: AudioStream) -> float:
    """Seconds of a packet that does not say so, such as one with the next file's header in it."""
    try:
        frames = stream.codec_context.decode(packet)
    except av.FFmpegError:
        return 0.0
    return sum(frame.samples / frame.sample_rate for frame in frames if frame.sample_rate)


def _header_seconds(container: InputContainer, stream: AudioStream) -> float | None:
    """The duration in the header."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base
