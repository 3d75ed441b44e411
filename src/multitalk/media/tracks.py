"""Which of a file's sound tracks is used: its default, if that decodes and is not silent."""

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from av.audio.stream import AudioStream
from av.stream import Disposition

from multitalk.errors import MediaUndecodable
from multitalk.media.decode import sound_frames
from multitalk.media.opening import open_media
from multitalk.media.resample import SoundBlock
from multitalk.media.silence import RECORDED_PEAK
from multitalk.media.watch import Watch, unwatched

LISTENED_SECONDS = 600.0  # a track without a sound for so long counts as silent
TRACKS_TRIED = 8

# What is said about a film, or sung or played in it, is not its voices.
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


@dataclass(frozen=True)
class Track:
    """One of a file's sound tracks.

    Attributes:
        index: Counted from 0 among the sound tracks.
        count: How many the file has.
    """

    index: int
    count: int


def choose_track(path: Path, *, field: str | None = None, watch: Watch = unwatched) -> Track:
    """The sound track of a file that is used.

    Of several it is the file's default that decodes and is not silent; then any other, commentaries
    and descriptions last; if all are silent, the first that decodes. The watch is called at each
    packet.

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
        judgement = _audibility(path, index, field=field, watch=watch)
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
    path: Path, index: int, *, field: str | None, watch: Watch
) -> Literal["audible", "silent", "broken"]:
    """Decode a track until something is audible in it."""
    decoded = False
    try:
        with closing(sound_frames(path, track=index, field=field, watch=watch)) as frames:
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
