from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.gaze import (
    GAZE_BY_PITCH,
    GAZE_BY_YAW,
    Direction,
    Fixation,
    Gaze,
    GazeModel,
    directions_to_others,
)
from multitalk.engines.warp.gestures import FARTHEST_LOOK, Gestures
from multitalk.engines.warp.rig import Rig
from multitalk.engines.warp.voice_cues import VoiceCues

LEFT, RIGHT = (-0.6, 0.0), (0.5, 0.1)


def phrases(seconds: float, *, spoken: float, silent: float) -> NDArray[np.float64]:
    """Activity of somebody who speaks and pauses in turns, [T]."""
    t = np.arange(round(25 * seconds)) / 25
    return (t % (spoken + silent) < spoken).astype(float)


def attends(
    own: NDArray[np.float64], *others: NDArray[np.float64], to: tuple[Direction, ...], seed: int = 0
) -> list[Gaze]:
    attending = GazeModel(seed, 0, to)
    return [attending.step(own[i], [other[i] for other in others]) for i in range(len(own))]


def nods(gaze: list[Gaze]) -> NDArray[np.intp]:
    """The frames in which one begins; several in a row are one."""
    down = np.array([a.nod for a in gaze]) > 0
    return np.flatnonzero(down[2:] & ~down[1:-1] & ~down[:-2]) + 2


def test_who_listens_looks_at_the_speaker_and_now_and_then_at_the_viewer() -> None:
    talk = phrases(60, spoken=4, silent=0.6)
    listener = attends(0 * talk, talk, to=(LEFT,))
    held = np.array([a.held for a in listener])
    assert held[0] == 0
    assert 0.5 < np.mean(held == 1) < 0.95
    assert sum(a.shifts for a in listener) >= 8
    assert all(a.toward[0] < 0 for a in listener if a.held)
    turns = np.array([a.turn[0] for a in listener])
    assert np.radians(-11) < turns.min() < np.radians(-8)
    assert np.abs(np.diff(turns)).max() < np.radians(1.5)


def test_who_listens_nods_at_the_end_of_phrases_and_smiles_now_and_then() -> None:
    counts, after = [], []
    for seed in range(10):
        talk = phrases(60, spoken=4, silent=0.6)
        listener = attends(0 * talk, talk, to=(LEFT,), seed=seed)
        counts.append(len(nods(listener)))
        after += [begin / 25 % 4.6 for begin in nods(listener)]
        assert np.radians(2) < max(a.nod for a in listener) < np.radians(5)
        smiles = [a.smile for a in listener[25:]]
        assert 0.2 < max(smiles) < 0.6
        assert min(smiles) < 0.5 * max(smiles)  # now and then, not one smile for all the time
    assert 6 <= np.median(counts) <= 14
    assert np.mean((np.array(after) > 4.0) & (np.array(after) < 4.5)) > 0.4  # in a tenth of time


def test_brows_flash_up_beside_nods_or_in_their_place_and_only_of_who_listens() -> None:
    beside, instead = 0, 0
    for seed in range(10):
        talk = phrases(60, spoken=4, silent=0.6)
        listener = attends(0 * talk, talk, to=(LEFT,), seed=seed)
        flashes = np.array([a.flash for a in listener])
        assert flashes.max() < 0.7
        begins = np.flatnonzero((flashes[1:] > 0.1) & (flashes[:-1] <= 0.1))
        lengths = (
            np.flatnonzero((flashes[1:] <= 0.1) & (flashes[:-1] > 0.1))[: len(begins)] - begins
        )
        assert lengths.max() <= 22
        nodding = np.array([a.nod for a in listener]) > 0
        with_nods = [nodding[max(begin - 5, 0) : begin + 5].any() for begin in begins]
        beside += sum(with_nods)
        instead += len(with_nods) - sum(with_nods)
    assert 20 < beside + instead < 100
    assert beside > instead > 0
    talk = phrases(60, spoken=3, silent=1.5)
    assert all(a.flash == 0 and not a.listens for a in attends(talk, to=()))


def test_eyes_go_from_one_speaker_to_the_next() -> None:
    first = np.repeat([1.0, 0.0], 150)
    listener = attends(0 * first, first, 1 - first, to=(LEFT, RIGHT))
    assert {np.sign(a.toward[0]) for a in listener[30:150] if a.held == 1} == {-1}
    assert {np.sign(a.toward[0]) for a in listener[180:] if a.held == 1} == {1}


def test_who_speaks_looks_at_the_viewer_and_nods_no_more() -> None:
    talk = phrases(40, spoken=4, silent=4)
    speaker = attends(talk, 1 - talk, to=(RIGHT,))
    for begin in range(200, 1000, 200):
        assert all(a.held == 0 for a in speaker[begin + 10 : begin + 100])
        assert any(a.held == 1 for a in speaker[begin + 100 : begin + 200])


def test_listeners_turn_about_when_a_voice_begins_and_its_speaker_before() -> None:
    """Seconds after the voice, which begins 0.1 s after the activity."""
    own, other = phrases(60, spoken=2, silent=4), phrases(60, spoken=2, silent=4)
    other = np.roll(other, 75)
    noticed, returned = [], []
    for seed in range(10):
        attending, cues = GazeModel(seed, 0, (LEFT,)), (VoiceCues(), VoiceCues())
        held = []
        for frame in range(len(own)):
            near = slice(frame, frame + 17)
            of_own, of_other = (
                state.step(voice[near].tolist())
                for state, voice in zip(cues, (own, other), strict=True)
            )
            gaze = attending.step(own[frame], [other[frame]], cue=of_own, cues=[of_other])
            held.append(gaze.held)
        for begins in range(75, len(own) - 75, 150):
            away = np.array(held[begins - 12 : begins + 25])
            if away[0] == 0:
                noticed.append(int(np.argmax(away > 0)) / 25 - 0.48 - 0.1)
            back = np.array(held[begins + 75 - 25 : begins + 75 + 25])
            returned.append(int(np.flatnonzero(back > 0).max(initial=0)) / 25 - 1 - 0.1)
    assert -0.2 < np.median(noticed) < 0.2
    assert -0.5 < np.median(returned) < -0.2
    assert max(returned) < 0


def test_who_pauses_alone_looks_aside_for_a_moment_and_does_not_nod() -> None:
    talk = phrases(120, spoken=3, silent=1.5)
    alone = attends(talk, to=())
    aside = np.array([a.held for a in alone]) > 0
    assert not aside[:75].any()
    in_pause = [aside[begin : begin + 38].any() for begin in range(75, len(talk) - 38, 112)]
    assert 0.3 < np.mean(in_pause) < 0.9
    speaking = (np.arange(len(talk)) / 25 % 4.5 > 0.3) & (talk > 0)
    assert not aside[speaking].any()
    assert len(nods(alone)) == 0
    assert all(a.smile == 0 for a in alone)


def test_attention_is_the_seeds() -> None:
    talk = phrases(20, spoken=2, silent=1)
    assert attends(0 * talk, talk, to=(LEFT,)) == attends(0 * talk, talk, to=(LEFT,))
    assert attends(0 * talk, talk, to=(LEFT,)) != attends(0 * talk, talk, to=(LEFT,), seed=1)


def test_directions_lead_from_the_photographs_gaze_to_the_others(rig: Rig) -> None:
    own = rig.frame
    aside = replace(own, origin=own.origin + np.array([2, -1, 0]) * own.height)
    there, back = (directions_to_others([own, aside], person)[0] for person in (0, 1))
    assert 0.5 < there[0] < 0.9
    assert there[1] > 0.2  # higher up
    assert -0.9 < back[0] < -0.5
    turned = replace(own, yaw_degrees=own.yaw_degrees + 20)
    assert np.isclose(directions_to_others([turned, aside], 0)[0][0], there[0] - np.radians(20))


def test_eyes_and_head_go_where_attention_is_unless_nothing_moves() -> None:
    there = Gaze(toward=(0.5, 0.2), held=1.0, turn=(0.12, 0.03))
    for liveliness, moves in ((1.0, True), (0.0, False)):
        listens, dreams = (Gestures(2, 0, liveliness=liveliness) for _ in range(2))
        for frame in range(50):
            seen = listens.step(activity=0, loudness=0, gaze=there)
            usual = dreams.step(activity=0, loudness=0)
            assert np.all(np.abs(seen.look) <= FARTHEST_LOOK)
            if frame > 20:
                assert (seen.look[0] > usual.look[0]) == moves
                assert (seen.motion[0] > usual.motion[0] + 0.1) == moves
        assert (seen.look[0] > 0.09) == moves


def test_a_fixating_eye_makes_a_small_step_once_or_twice_a_second() -> None:
    degrees = []
    for seed in range(5):
        fixation = Fixation(seed, 0)
        path = np.array([fixation.step() for _ in range(25 * 60)]) / (GAZE_BY_YAW, GAZE_BY_PITCH)
        degrees.append(np.degrees(path))
    paths = np.array(degrees)
    np.testing.assert_array_less(np.hypot(*paths[:, 0].T), 0.05)  # starts as photographed
    steps = np.linalg.norm(np.diff(paths, axis=1), axis=2)
    assert 1.0 < np.mean(steps > 0.06) * 25 < 2.5  # a second
    assert 0.2 < np.median(steps[steps > 0.06]) < 1.0
    assert np.median(steps) < 0.03  # between steps it drifts only
    assert np.abs(paths).max() < 8
    assert np.std(paths[..., 0]) > np.std(paths[..., 1])
