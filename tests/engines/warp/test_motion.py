import numpy as np

from multitalk.engines.warp.motion import Follower, Gesture, Gestures, Wander


def gestures(seed: int, frames: int, person: int = 0, loudness: float = 0.5) -> list[Gesture]:
    source = Gestures(seed, person)
    return [source.step(activity=1.0, loudness=loudness) for _ in range(frames)]


def as_rows(track: list[Gesture]) -> np.ndarray:
    return np.array([[*g.motion, g.brow, g.closed, *g.look] for g in track])


def test_the_same_seed_gives_the_same_gestures_and_another_others() -> None:
    np.testing.assert_array_equal(as_rows(gestures(3, 200)), as_rows(gestures(3, 200)))
    assert not np.allclose(as_rows(gestures(3, 200)), as_rows(gestures(4, 200)))
    assert not np.allclose(as_rows(gestures(3, 200)), as_rows(gestures(3, 200, person=1)))


def test_the_head_starts_as_photographed_and_moves_smoothly() -> None:
    rows = as_rows(gestures(0, 500))
    np.testing.assert_array_equal(rows[0, :7], 0)
    assert np.abs(np.diff(rows[:, :3], axis=0)).max() < 0.02  # radians a frame
    assert 0.005 < rows[:, 0].std() < 0.06


def test_people_blink_every_few_seconds() -> None:
    closed = as_rows(gestures(0, 25 * 60))[:, 8]
    blinks = np.sum((closed[1:] == 1) & (closed[:-1] < 1))
    assert 8 <= blinks <= 30
    assert closed.max() == 1
    assert np.median(closed) == 0


def test_eyes_mostly_look_ahead() -> None:
    looks = as_rows(gestures(0, 25 * 60))[:, 9:]
    assert 0.4 < np.mean(np.all(looks == 0, axis=1)) < 0.95
    assert 0.05 < np.abs(looks).max() <= 0.09


def test_the_lids_go_down_with_the_eyes() -> None:
    rows = as_rows(gestures(0, 25 * 60))
    down = rows[:, 10] > 0.01
    assert down.any()
    assert np.all(rows[down, 8] > 0)
    assert np.all(rows[down, 8] >= 3 * rows[down, 10])


def test_a_calm_head_moves_less() -> None:
    lively, calm = Gestures(1, 0, liveliness=1.0), Gestures(1, 0, liveliness=0.5)
    for _ in range(100):
        moved, calmed = (g.step(activity=1, loudness=0.5) for g in (lively, calm))
        np.testing.assert_allclose(calmed.motion[:5], moved.motion[:5] / 2)
        assert calmed.motion[6] == moved.motion[6]  # breath is breath


def test_a_stressed_word_nods_the_head_and_lifts_the_brows() -> None:
    calm, stressed = Gestures(1, 0), Gestures(1, 0)
    for frame in range(100):
        quiet = calm.step(activity=1, loudness=0.3)
        loud = stressed.step(activity=1, loudness=0.3 if frame < 90 else 1.0)
    assert loud.motion[1] > quiet.motion[1]
    assert loud.brow > quiet.brow


def test_a_follower_arrives_without_overshoot() -> None:
    follower = Follower(0.1)
    path = [follower.step(1.0) for _ in range(100)]
    assert np.all(np.diff(path) >= 0)
    assert path[-1] > 0.999
    assert path[-1] <= 1.0


def test_wander_has_unit_size_at_any_rate() -> None:
    signal = Wander(np.random.default_rng(0), rate=0.5)
    values = [signal.at(t) for t in np.arange(0, 400, 0.04)]
    assert 0.9 < np.std(values) < 1.1
