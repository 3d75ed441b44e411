from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from multitalk.engines.warp.voice_cues import (
    LOOK_AHEAD,
    PAUSE,
    VOICE_AFTER_ACTIVITY,
    Cue,
    VoiceCues,
    cues_of,
    with_following,
)
from multitalk.speech.viseme_track import VisemeTrack


def talk(*lengths: int) -> VisemeTrack:
    """Silence and speech in turn, of so many frames each."""
    speaks = np.repeat(np.arange(len(lengths)) % 2, lengths).astype(np.float32)
    return replace(VisemeTrack.silent(len(speaks)), activity=speaks)


def cues(track: VisemeTrack, *, ahead: int = LOOK_AHEAD) -> list[Cue]:
    """Those of a talk of which so many frames are known in advance."""
    state = VoiceCues()
    return [
        cue
        for first in range(len(track))
        for cue in cues_of(track[first : first + 1 + ahead], 1, state)
    ]


def test_a_voice_is_counted_down_to_after_each_pause_and_at_the_beginning() -> None:
    for begins, track in ((5, talk(5, 30)), (55, talk(5, 30, 20, 30)), (0, talk(0, 30))):
        onsets = [cue.onset for cue in cues(track)]
        for left in range(min(begins, LOOK_AHEAD) + 1):
            assert onsets[begins - left] == pytest.approx(left / 25 + VOICE_AFTER_ACTIVITY)
        after = np.array(onsets[begins:])
        assert np.all(np.diff(after[np.isfinite(after)]) < 0)
        assert np.isinf(after[3:]).all()


def test_a_stop_within_a_phrase_is_no_pause() -> None:
    short, long = (cues(talk(0, 30, length, 30)) for length in (PAUSE - 1, PAUSE))
    assert not any(cue.ends for cue in short)
    assert np.isinf([cue.onset for cue in short[3:]]).all()
    assert [cue.ends for cue in long].index(True) == 30
    assert np.isfinite([cue.onset for cue in long[30:40]]).all()


@pytest.mark.parametrize("ahead", [0, 3, LOOK_AHEAD])
def test_a_phrase_ends_once_and_later_where_less_is_known(ahead: int) -> None:
    ends = [cue.ends for cue in cues(talk(0, 30, 60, 30, 60), ahead=ahead)]
    late = max(PAUSE - 1 - ahead, 0)
    assert np.flatnonzero(ends).tolist() == [30 + late, 120 + late]


@pytest.mark.parametrize("ahead", [0, 3])
def test_what_a_live_talk_knows_of_a_voice_is_what_a_rendered_one_knows(ahead: int) -> None:
    track = talk(7, 30, 20, 30, 4, 20, 60, 30)
    rendered, live = ([cue.onset for cue in cues(track, ahead=far)] for far in (LOOK_AHEAD, ahead))
    known = np.isfinite(live)
    assert known.sum() == 3 * (ahead + 3)
    np.testing.assert_array_equal(np.array(live)[known], np.array(rendered)[known])


@pytest.mark.parametrize("length", [1, 6, 100])
def test_pieces_are_followed_by_what_comes_after_them(length: int) -> None:
    track = replace(VisemeTrack.silent(50), activity=np.arange(50, dtype=np.float32))
    taken: list[int] = []

    def pieces() -> Iterator[VisemeTrack]:
        for first in range(0, 50, length):
            taken.append(first)
            yield track[first : first + length]

    for number, piece in enumerate(with_following(pieces())):
        first = number * length
        expected = track.activity[first : first + length + LOOK_AHEAD]
        np.testing.assert_array_equal(piece.activity, expected)
        assert taken[-1] < first + length + LOOK_AHEAD + 1  # no more is held than is needed
