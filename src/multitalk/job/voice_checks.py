"""Checks of a talk's voices, and notices about them."""

import math
from collections.abc import Iterator, Mapping, Sequence

from multitalk.errors import InvalidRequest
from multitalk.media.audio import LOUDNESS_LUFS, Recording
from multitalk.media.loudness import ABSOLUTE_GATE_LUFS, is_silent
from multitalk.messages import Notice
from multitalk.schema.sources import voice_field

MIN_TALK_SECONDS = 0.2  # shorter than a word: a file that broke off, or the wrong one
ROUNDING_SECONDS = 1e-6  # of a sum of packets
QUIET_LUFS = -45.0  # 22 dB below speech; a room's noise is as loud


def check_talk_seconds(seconds: float, speakers: Sequence[str]) -> None:
    """Refuse a talk that is too short to be one.

    Args:
        seconds: Its length.
        speakers: The speakers of its voices.

    Raises:
        InvalidRequest: It is too short.
    """
    if seconds > MIN_TALK_SECONDS - ROUNDING_SECONDS:
        return
    raise InvalidRequest(
        "talk_too_short",
        field=voice_field(speakers[0]) if len(speakers) == 1 else "audio_paths",
        seconds=math.floor(1000 * seconds) / 1000,
        limit=MIN_TALK_SECONDS,
    )


def voice_notices(recordings: Mapping[str, Recording]) -> Iterator[Notice]:
    """Notices about recordings that may not be as the caller expects, by speaker."""
    for speaker, recording in recordings.items():
        track = recording.source.track
        if track.count > 1:
            names = {"speaker": speaker, "number": track.index + 1, "count": track.count}
            yield Notice("sound_track_chosen", names)
        if is_silent(recording.speech):
            yield Notice("voice_is_silent", {"speaker": speaker})
        elif recording.loudness < QUIET_LUFS:
            loudness = max(recording.loudness, ABSOLUTE_GATE_LUFS)
            levels = {"loudness": loudness, "usual": LOUDNESS_LUFS}
            yield Notice("voice_is_quiet", {"speaker": speaker, **levels})
