"""Voice cues: when a voice is about to begin, and when a phrase has ended, frame by frame.

The frames that follow are looked at as far as they are known: `LOOK_AHEAD` of them in a rendered
talk, the look-ahead of the mouth in a live one. Nothing else differs between the two.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from multitalk.speech.viseme_track import VisemeTrack
from multitalk.timebase import FPS

LOOK_AHEAD = 16  # frames that are looked at behind the present one
SPEAKS = 0.5  # activity from which somebody counts as speaking
# Activity rises this long before the sound: it is smoothed (`viseme_track.ACTIVITY_SIGMA`). It also
# falls after it, so a pause of 0.6 s in the sound is one of `PAUSE` in the activity.
VOICE_AFTER_ACTIVITY = 0.10  # seconds
PAUSE = round(0.36 * FPS)  # frames: a shorter one is a stop within a phrase


@dataclass(frozen=True)
class Cue:
    """What is known of a voice in one frame.

    Attributes:
        onset: Seconds until the voice begins after a pause; infinite where it does not, or where it
            is not known to.
        ends: Whether a pause begins, or is known to be one, with this frame.
    """

    onset: float = float("inf")
    ends: bool = False


NO_CUE = Cue()


class VoiceCues:
    """The cues of one voice, one frame per step; before the talk there was silence."""

    def __init__(self) -> None:
        self._quiet = PAUSE  # frames since the voice was last there
        self._ended = True  # whether the end of the last phrase was reported
        self._left = 0.0  # seconds until the sound of a voice that is there

    def step(self, known: Sequence[float]) -> Cue:
        """The next frame's cue, from the activity of it and of those after it that are known."""
        begins = next((place for place, activity in enumerate(known) if activity > SPEAKS), None)
        self._left = max(self._left - 1 / FPS, 0.0)
        if begins == 0:
            if self._quiet >= PAUSE:
                self._left = VOICE_AFTER_ACTIVITY
            self._quiet, self._ended = 0, False
            return Cue(self._left or float("inf"))
        silent = len(known) if begins is None else begins
        is_pause = self._quiet + silent >= PAUSE
        ends = is_pause and not self._ended
        self._ended |= ends
        self._quiet += 1
        if begins is None or not is_pause:
            return Cue(ends=ends)
        return Cue(begins / FPS + VOICE_AFTER_ACTIVITY, ends)


def cues_of(track: VisemeTrack, num_frames: int, cues: VoiceCues) -> list[Cue]:
    """The next cues of a voice.

    Args:
        track: Of the next `num_frames` frames and of those after them that are known.
        num_frames: To step by.
        cues: Of the voice so far.
    """
    activity = track.activity.tolist()
    return [cues.step(activity[frame : frame + 1 + LOOK_AHEAD]) for frame in range(num_frames)]


def with_following(pieces: Iterable[VisemeTrack]) -> Iterator[VisemeTrack]:
    """Each piece of a track with up to `LOOK_AHEAD` frames that follow it."""
    waiting: list[VisemeTrack] = []
    num_waiting = 0
    for piece in pieces:
        waiting.append(piece)
        num_waiting += len(piece)
        while num_waiting - len(waiting[0]) >= LOOK_AHEAD:
            yield _beginning(waiting)
            num_waiting -= len(waiting.pop(0))
    while waiting:
        yield _beginning(waiting)
        waiting.pop(0)


def _beginning(pieces: Sequence[VisemeTrack]) -> VisemeTrack:
    """The first piece and the look-ahead after it."""
    return VisemeTrack.concatenate(pieces)[: len(pieces[0]) + LOOK_AHEAD]
