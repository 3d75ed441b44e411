from functools import cache

import numpy as np

from multitalk.engines.warp.gaze import GAZE_BY_YAW, Gaze
from multitalk.engines.warp.gestures import BLINK, SLOW_BLINK, Gesture, Gestures, levelling
from multitalk.engines.warp.head_motion import MOTIONS
from multitalk.engines.warp.smoothing import LowPass, SmoothNoise
from multitalk.engines.warp.voice_cues import Cue, VoiceCues


def made(seed: int, frames: int, person: int = 0) -> list[Gesture]:
    source = Gestures(seed, person)
    return [source.step(activity=1.0, loudness=0.5) for _ in range(frames)]


@cache
def _begun(seed: int) -> tuple[Gestures, list[Gesture]]:
    return Gestures(seed, 0), []


def gestures(seed: int, frames: int) -> list[Gesture]:
    """The first gestures of a seed. Each is made once, whichever tests look at it."""
    source, track = _begun(seed)
    while len(track) < frames:
        track.append(source.step(activity=1.0, loudness=0.5))
    return track[:frames]


def as_rows(track: list[Gesture]) -> np.ndarray:
    return np.array(
        [[*g.motion[:7], g.brows.raised, g.closed, *g.look, *g.motion[7:]] for g in track]
    )


@cache
def around_an_onset(seed: int, begins: int = 25) -> list[Gesture]:
    """Silence and two seconds of a voice of which a rendered talk knows."""
    source, cues = Gestures(seed, 0), VoiceCues()
    activity = [0.0] * begins + [1.0] * 50
    return [
        source.step(activity=now, loudness=0.5 * now, cue=cues.step(activity[frame : frame + 17]))
        for frame, now in enumerate(activity)
    ]


def test_the_same_seed_gives_the_same_gestures_and_another_others() -> None:
    np.testing.assert_array_equal(as_rows(made(3, 200)), as_rows(made(3, 200)))
    assert not np.allclose(as_rows(made(3, 200)), as_rows(made(4, 200)))
    assert not np.allclose(as_rows(made(3, 200)), as_rows(made(3, 200, person=1)))


def test_the_head_starts_as_photographed_and_moves_smoothly() -> None:
    rows = as_rows(gestures(0, 500))
    np.testing.assert_array_equal(rows[0, [*range(7), *range(11, 15)]], 0)
    assert np.abs(np.diff(rows[:, :3], axis=0)).max() < 0.13  # radians a frame: 180 degrees/s
    assert np.abs(np.diff(rows[:, :3], n=2, axis=0)).max() < 0.10  # no jolt


def test_a_head_gathers_speed_over_more_than_one_frame() -> None:
    """In films the largest change of speed between frames is about half of the largest speed."""
    shares = []
    for seed in range(10):
        speeds = np.diff(as_rows(gestures(seed, 250))[:, :3], axis=0)
        jolts = np.linalg.norm(np.diff(speeds, axis=0), axis=1)
        shares.append(jolts.max() / np.linalg.norm(speeds, axis=1).max())
    assert np.median(shares) < 0.75


def test_a_turned_or_nodding_head_is_foreshortened() -> None:
    motion = np.array([gesture.motion for gesture in gestures(0, 500)])
    yaw, pitch, narrow, shorten = (
        motion[:, MOTIONS.index(name)] for name in ("yaw", "pitch", "narrow", "shorten")
    )
    assert shorten.max() > 0.005
    np.testing.assert_allclose(np.stack([narrow, shorten]), 1 - np.cos([yaw, pitch]), atol=1e-12)


def test_heads_move_as_those_of_filmed_speakers() -> None:
    """Standard deviations and speeds, degrees; the photograph shows some four fifths of a turn."""
    turns = [np.degrees(as_rows(gestures(seed, 25 * 20))[:, :3]) for seed in range(20)]
    sizes = np.median([turn.std(0) for turn in turns], axis=0)
    speeds = np.median(
        [np.sqrt(np.mean((25 * np.diff(turn, axis=0)) ** 2, 0)) for turn in turns], 0
    )
    np.testing.assert_allclose(sizes, (4.6, 4.2, 2.9), rtol=0.25)
    np.testing.assert_allclose(speeds, (20, 18, 12), rtol=0.25)


def test_a_head_holds_still_between_moves() -> None:
    """Unlike a sum of sines, whose speed has a kurtosis of about 0: people's have about 2."""
    speeds = [np.diff(as_rows(gestures(seed, 25 * 20))[:, 0]) for seed in range(10)]
    kurtoses = [np.mean(speed**4) / np.mean(speed**2) ** 2 - 3 for speed in speeds]
    assert np.median(kurtoses) > 1.5


def test_a_path_does_not_repeat_within_minutes() -> None:
    turns = as_rows(gestures(5, 25 * 240))[:, :3]
    turns = (turns - turns.mean(0)) / turns.std(0)
    for lag in range(25 * 5, 25 * 120, 3):  # moves take longer than 3 frames
        alike = (turns[lag:] * turns[:-lag]).mean(0)
        assert np.abs(alike).max() < 0.35, lag / 25


def test_who_listens_moves_less_than_a_speaker_and_more_than_somebody_alone() -> None:
    def deviation(gaze: Gaze) -> tuple[float, float]:
        """Of the turns, and of the brows, medians of some seeds."""
        found = []
        for seed in range(8):
            person = Gestures(seed, 0)
            steps = [person.step(activity=0.0, loudness=0.0, gaze=gaze) for _ in range(25 * 30)]
            brows = np.array([one.brows for one in steps])
            found.append((as_rows(steps)[:, :3].std(0).mean(), brows.std(0).mean()))
        turns, brows = np.median(found, axis=0)
        return float(turns), float(brows)

    listens, alone = deviation(Gaze(listens=True)), deviation(Gaze())
    spoken = np.median([as_rows(gestures(s, 25 * 20))[:, :3].std(0).mean() for s in range(20)])
    assert alone[0] < 0.85 * listens[0] < 0.75 * spoken
    assert alone[1] < 0.85 * listens[1]


def test_half_of_the_looks_from_one_person_to_another_go_with_a_blink() -> None:
    shut = []
    for seed in range(120):
        person = Gestures(seed, 0)
        looks = [Gaze(held=1.0, shifts=frame == 8) for frame in range(14)]
        closed = [person.step(activity=0.0, loudness=0.0, gaze=look).closed for look in looks]
        shut.append(max(closed[8:]) > 0)
    assert 0.4 < np.mean(shut) < 0.65


def test_heads_move_with_the_first_words_as_far_as_those_of_films() -> None:
    """Largest turn between two moments of two seconds; films: median 13 degrees, 4.5 at least."""
    for begins in (0, 6, 50):
        turns = [
            np.degrees(as_rows(around_an_onset(seed, begins))[begins : begins + 50, :3])
            for seed in range(20)
        ]
        ways = [np.linalg.norm(turn[:, None] - turn, axis=2).max() for turn in turns]
        assert 9 < np.median(ways) < 19
        assert np.percentile(ways, 10) > 5


def test_a_head_that_settled_in_a_pause_moves_when_the_voice_begins() -> None:
    turns = np.array([as_rows(around_an_onset(seed, 50))[:, :3] for seed in range(20)])
    speeds = np.sqrt(np.mean((25 * np.degrees(np.diff(turns, axis=1))) ** 2, axis=(0, 2)))
    assert speeds[51:58].mean() > 2 * speeds[38:49].mean()


def test_before_the_voice_the_chin_rises_and_the_lips_part() -> None:
    tracks = [around_an_onset(seed) for seed in range(20)]
    parted = np.array([[gesture.parted for gesture in track] for track in tracks])
    assert np.all(parted[:, :14] == 0)
    assert np.all(parted[:, 24] > 0.9)
    chests = np.array([[gesture.motion[6] for gesture in track] for track in tracks])
    assert np.median(chests[:, 27] - chests[:, 14]) > 0.01


def test_eyes_are_on_the_viewer_when_the_voice_begins() -> None:
    """What is left of a look without the head's turn is a glance, or a step of a fixation."""
    sizes = np.zeros((60, 2))
    for seed in range(len(sizes)):
        track = around_an_onset(seed, 60)
        for column, frame in enumerate((50, 61)):
            gesture = track[frame]
            sizes[seed, column] = gesture.look[0] + GAZE_BY_YAW * gesture.motion[0]
    assert np.mean(np.abs(sizes[:, 0]) > 0.04) > 0.1
    assert np.mean(np.abs(sizes[:, 1]) > 0.04) < 0.05


def test_some_blink_before_the_voice_and_some_where_a_phrase_ends() -> None:
    shut = np.zeros(2)
    for seed in range(100):
        source = Gestures(seed, 0)
        for place, cue in enumerate((Cue(onset=0.4), Cue(ends=True))):
            closed = [source.step(activity=0, loudness=0, cue=cue).closed]
            closed += [source.step(activity=0, loudness=0).closed for _ in range(9)]
            shut[place] += max(closed) == 1
    assert np.all(shut > 10)
    assert np.all(shut < 70)


def test_people_blink_every_few_seconds() -> None:
    blinks = []
    for seed in range(10):
        closed = as_rows(gestures(seed, 25 * 60))[:, 8]
        assert closed.max() == 1
        assert np.median(closed) < 0.05
        blinks.append(np.sum((closed[1:] > 0.5) & (closed[:-1] <= 0.5)))
    assert 15 <= np.median(blinks) <= 30


def test_eyes_stay_on_the_viewer_while_the_head_turns() -> None:
    rows = as_rows(gestures(0, 25 * 60))
    assert np.corrcoef(rows[:, 0], rows[:, 9])[0, 1] < -0.5
    assert np.corrcoef(rows[:, 1], rows[:, 10])[0, 1] > 0.5
    assert 0.05 < np.abs(rows[:, 9]).max() <= 0.14  # `FARTHEST_LOOK`
    assert np.abs(rows[:, 10]).max() <= 0.045


def test_between_blinks_the_lids_are_as_open_as_in_the_photograph() -> None:
    for activity in (0.0, 1.0):
        source = Gestures(0, 0)
        closed = np.array(
            [source.step(activity=activity, loudness=0.5).closed for _ in range(25 * 60)]
        )
        assert np.mean(closed == 0) > 0.85
        runs = np.split(closed, np.flatnonzero(closed == 0))
        assert all(len(run) <= 2 * len(BLINK) + 2 for run in runs)


def test_blinks_shut_in_80_ms_and_open_in_120_to_360_as_filmed_ones() -> None:
    falls, lasts, rises = [], [], []
    for seed in range(4):
        rows = as_rows(gestures(seed, 25 * 60))[:, 8]
        for run in np.split(rows, np.flatnonzero(rows == 0)):
            if run.max(initial=0) == 1 and len(run) - 1 <= len(SLOW_BLINK):
                lids = run[run > 0]
                falls.append(int(lids.argmax()))
                lasts.append(int(np.sum(lids > 0.5)))
                rises.append(len(lids) - int(lids.argmax()) - 1)
    assert max(falls) <= 2
    assert 3 <= min(rises) < 4 <= np.median(rises) <= 6 < max(rises) <= 9
    assert min(lasts) == 3 < np.quantile(lasts, 0.95) <= 6


def test_the_shoulders_follow_the_head_later_and_less() -> None:
    rows = as_rows(gestures(0, 25 * 60))
    head, body = rows[:, 4], rows[:, 14]  # up and down
    assert 0.15 < body.std() / head.std() < 0.5
    lags = [np.corrcoef(head[: len(head) - lag], body[lag:])[0, 1] for lag in range(15)]
    assert 3 <= int(np.argmax(lags)) <= 10  # 120 to 400 ms
    assert max(lags) > 0.8


def test_a_calm_head_moves_less() -> None:
    lively, calm = Gestures(1, 0, liveliness=0.8), Gestures(1, 0, liveliness=0.4)
    for _ in range(100):
        moved, calmed = (g.step(activity=1, loudness=0.5) for g in (lively, calm))
        np.testing.assert_allclose(calmed.motion[:5], moved.motion[:5] / 2)
        assert calmed.motion[6] == moved.motion[6]  # breath is breath


def test_a_stressed_word_lifts_the_brows_and_then_lowers_the_head() -> None:
    calm, stressed = Gestures(1, 0), Gestures(1, 0)
    lower, higher = [], []
    for frame in range(115):
        quiet = calm.step(activity=1, loudness=0.3)
        loud = stressed.step(activity=1, loudness=1.0 if 90 <= frame < 96 else 0.3)
        lower.append(loud.motion[1] - quiet.motion[1])
        higher.append(loud.brows.raised - quiet.brows.raised)
    assert max(higher) > 0.2
    nod = np.argmin(lower)
    assert lower[nod] < np.radians(-1)
    assert 96 <= nod <= 102  # 240 ms after its middle
    assert np.abs(lower[:92]).max() < np.radians(0.1)


def test_brows_of_speakers_are_mostly_as_high_as_photographed() -> None:
    """Weight 1 is some 2.9 % of the face height; filmed: quartiles -0.3, 0.0 and 0.5 %."""
    heights = []
    for seed in range(8):
        rng, source = np.random.default_rng(seed), Gestures(seed, 0)
        for _ in range(100):  # syllables, one in five stressed
            loudness = 0.85 if rng.random() < 0.2 else rng.uniform(0.35, 0.6)
            for share in (0.5, 1.0, 1.0, 0.6, 0.4):
                heights.append(source.step(activity=1.0, loudness=share * loudness).brows.raised)
    low, middle, high = np.percentile(heights, (25, 50, 75))
    assert low < 0 < high < 0.35
    assert -0.1 < middle < 0.15
    assert np.max(heights) > 0.5


def test_eyes_that_look_at_the_viewer_are_never_still_for_a_second() -> None:
    source = Gestures(0, 0, liveliness=0.0)  # whose head is
    looks = np.array([source.step(activity=1.0, loudness=0.5).look for _ in range(25 * 60)])
    moved = [np.ptp(looks[first : first + 25], axis=0).max() for first in range(len(looks) - 25)]
    assert np.mean(np.array(moved) > 0.002) > 0.9
    assert min(moved) > 0


def test_a_follower_arrives_without_overshoot() -> None:
    follower = LowPass(0.1)
    path = [follower.step(1.0) for _ in range(100)]
    assert np.all(np.diff(path) >= 0)
    assert path[-1] > 0.999
    assert path[-1] <= 1.0


def test_wander_has_unit_size_at_any_rate() -> None:
    signal = SmoothNoise(np.random.default_rng(0), rate=0.5)
    values = [signal.at(t) for t in np.arange(0, 400, 0.04)]
    assert 0.9 < np.std(values) < 1.1


def test_a_head_photographed_looking_down_moves_around_a_more_level_place() -> None:
    """By half of what it is off, three degrees at most, once it has left the photograph."""
    by_degrees = [np.degrees(levelling(np.radians(pitch))) for pitch in (-20, 2, 4, 8, 30)]
    np.testing.assert_allclose(by_degrees, [-3, -1, 0, 2, 3], atol=1e-9)

    def pitches(raised: float) -> np.ndarray:
        source = Gestures(0, 0, raised=raised)
        track = [source.step(activity=1.0, loudness=0.5).motion for _ in range(500)]
        return np.array(track)[:, MOTIONS.index("pitch")]

    level, raised = pitches(0.0), pitches(levelling(0.3))
    assert raised[0] == 0
    np.testing.assert_allclose(raised[25:] - level[25:], levelling(0.3), atol=1e-9)
