from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from posing import lip_gap

from multitalk.engines.warp.poses import INDEX, PoseAnimator, Prosody
from multitalk.engines.warp.prompt_cues import MOODS, NEUTRAL, MoodTimeline
from multitalk.engines.warp.renderer import HeadRenderer, Pose
from multitalk.engines.warp.rig import Rig
from multitalk.engines.warp.voice_cues import LOOK_AHEAD
from multitalk.face.detector import FaceDetector
from multitalk.face.landmarks import FaceLandmarks
from multitalk.speech.viseme_track import VisemeTrack


def a_vowel(**values: float) -> VisemeTrack:
    """One frame."""
    names = (field.name for field in fields(VisemeTrack))
    return VisemeTrack(*(np.full(1, values.get(name, 0.0), np.float32) for name in names))


def played(rig: Rig, track: VisemeTrack, mood: str | None = None) -> Pose:
    named = MOODS[mood] if mood else NEUTRAL
    animator = PoseAnimator(rig, seed=0, person=0, moods=MoodTimeline(named, named, named))
    return next(animator.poses(track))


Draw = Callable[[Pose], FaceLandmarks]


@pytest.fixture
def drawn(portrait: NDArray[np.uint8], renderer: HeadRenderer, detector: FaceDetector) -> Draw:
    """The landmarks of the face as it is drawn in a pose."""

    def draw(pose: Pose) -> FaceLandmarks:
        frame = portrait.copy()
        renderer.draw(frame, pose)
        return detector.detect(frame)[0]

    return draw


def test_moods_move_brows_and_corners_as_named(drawn: Draw, rig: Rig) -> None:
    faces = {mood: drawn(played(rig, a_vowel(), mood)) for mood in ("happy", "sad", None)}

    def corners_below_middle(mood: str | None) -> float:
        points = faces[mood].points[:, 1]
        return float(points[[61, 291]].mean() - points[[13, 14]].mean()) / faces[mood].height

    def inner_brows_above_outer(mood: str | None) -> float:
        points = faces[mood].points[:, 1]
        return float(points[[46, 276]].mean() - points[[55, 285]].mean()) / faces[mood].height

    assert corners_below_middle("happy") < corners_below_middle("sad") - 0.015
    assert inner_brows_above_outer("sad") > inner_brows_above_outer(None) + 0.005
    angry = drawn(played(rig, a_vowel(), "angry"))
    eyes, brows = angry.points[[133, 362], 1].mean(), angry.points[[55, 285], 1].mean()
    usual = faces[None].points[[133, 362], 1].mean() - faces[None].points[[55, 285], 1].mean()
    assert eyes - brows < 0.95 * usual


def eye_gap(face: FaceLandmarks) -> float:
    """Between the lids, face heights."""
    gaps = face.points[[145, 374], 1] - face.points[[159, 386], 1]
    return float(gaps.mean()) / face.height


def test_a_smile_narrows_the_eyes_and_a_surprise_widens_them(drawn: Draw, rig: Rig) -> None:
    happy, usual, surprised = (
        eye_gap(drawn(played(rig, a_vowel(), mood))) for mood in ("happy", None, "surprised")
    )
    assert happy < 0.95 * usual
    assert surprised > 1.05 * usual


def test_a_glad_mood_keeps_the_photographs_broad_smile(
    face: FaceLandmarks, drawn: Draw, rig: Rig
) -> None:
    happy, usual = (drawn(played(rig, a_vowel(), mood)) for mood in ("happy", None))
    width = face.mouth_width
    assert happy.mouth_width > usual.mouth_width + 0.5 * (width - usual.mouth_width)
    assert happy.mouth_opening > 0.012  # its teeth show, as in the photograph
    assert usual.mouth_opening < 0.012


def test_a_sad_mood_takes_a_smile_back_also_in_a_vowel(drawn: Draw, rig: Rig) -> None:
    def width(mood: str | None, **values: float) -> float:
        face = drawn(played(rig, a_vowel(**values), mood))
        return float(face.points[291, 0] - face.points[61, 0]) / face.height

    assert width("sad") < 0.93 * width(None)
    vowel = {"opening": 0.06, "activity": 1.0}
    assert width("sad", **vowel) < 0.95 * width(None, **vowel)
    round_one = {"rounding": 1.0, **vowel}  # has relaxed already
    assert width("sad", **round_one) == pytest.approx(width(None, **round_one), rel=0.1)


@pytest.mark.parametrize("mood", MOODS)
def test_lips_close_in_every_mood(renderer: HeadRenderer, drawn: Draw, rig: Rig, mood: str) -> None:
    pose = played(rig, a_vowel(opening=0.02, closure=1.0, activity=1.0), mood)
    assert lip_gap(renderer, pose) == 0
    assert drawn(pose).mouth_opening < 0.012


def test_a_head_in_profile_opens_its_mouth_less(rig: Rig) -> None:
    vowel = a_vowel(opening=0.08, activity=1.0)
    opened = {
        degrees: played(replace(rig, frame=replace(rig.frame, yaw_degrees=degrees)), vowel).weights[
            INDEX["open"]
        ]
        for degrees in (0.0, 40.0, -60.0)
    }
    assert opened[0.0] == opened[40.0]
    assert opened[-60.0] < 0.7 * opened[0.0]


def test_the_upper_lip_rises_in_i_and_the_lips_part_no_farther(renderer: HeadRenderer) -> None:
    rig, middles = renderer.rig, []
    for spread in (0.0, 0.4):
        weights = played(rig, a_vowel(opening=0.05, width=spread, activity=1.0), None).weights
        aperture = renderer._layers(Pose(weights)).aperture
        middle = len(aperture.gap) // 2
        middles.append((aperture.upper[middle, 1], aperture.gap[middle]))
    (relaxed, gap), (raised, same) = middles
    assert raised < relaxed - 0.003 * rig.frame.height
    assert same == pytest.approx(gap, abs=0.002 * rig.frame.height)


def test_lips_that_part_a_little_touch_farther_from_the_corners(renderer: HeadRenderer) -> None:
    shares = []
    for opening in (0.025, 0.09):
        weights = played(renderer.rig, a_vowel(opening=opening, activity=1.0)).weights
        gap = renderer._layers(Pose(weights)).aperture.gap
        shares.append(np.mean(gap > 0.25 * gap.max()))
    assert shares[0] < shares[1] - 0.08


def test_an_open_photograph_closes_firmer_on_a_bilabial_than_at_rest(rig: Rig) -> None:
    resting, pressed = (
        played(rig, a_vowel(closure=closure, activity=1.0)).weights[INDEX["seal"]]
        for closure in (0.0, 1.0)
    )
    assert pressed > 1.1 * resting


def a_talk(seconds: float) -> VisemeTrack:
    """Phrases of two seconds that grow louder, and pauses of one."""
    t = np.arange(round(25 * seconds)) / 25
    active = (t % 3 < 2).astype(np.float32)
    silent = VisemeTrack.silent(len(t))
    opening = (0.06 * active * np.abs(np.sin(12 * t))).astype(np.float32)
    loudness = (active * (0.4 + 0.5 * t / seconds)).astype(np.float32)
    return replace(silent, activity=active, opening=opening, loudness=loudness)


def test_poses_do_not_depend_on_how_the_talk_is_cut(rig: Rig) -> None:
    talk, other = a_talk(12), VisemeTrack.concatenate([a_talk(12)[50:], a_talk(2)])
    pitch = np.linspace(5, 12, len(talk)).astype(np.float32)

    def performed(chunk: int) -> NDArray[np.float64]:
        timeline = MoodTimeline(MOODS["happy"], NEUTRAL, MOODS["angry"])
        animator = PoseAnimator(
            rig, seed=1, person=0, moods=timeline, num_frames=len(talk), others=((0.5, 0.0),)
        )
        poses = []
        for first in range(0, len(talk), chunk):
            part = slice(first, first + chunk)
            known = slice(first, first + chunk + LOOK_AHEAD)
            poses += animator.poses(
                talk[known],
                num_frames=len(pitch[part]),
                pitch=pitch[part],
                others=[other[known]],
            )
        return np.array([[*pose.weights, pose.closed, *pose.look] for pose in poses])

    whole = performed(len(talk))
    for chunk in (1, 12):
        np.testing.assert_array_equal(performed(chunk), whole)
    smile, frown = whole[:, INDEX["smile"]], whole[:, INDEX["frown"]]
    assert smile[0] > 0.1 > frown[0]
    assert frown[-1] > 0.8


@pytest.mark.parametrize("closed", [False, True])
def test_lips_part_for_a_breath_before_the_voice_and_meet_for_its_first_sound(
    rig: Rig, closed: bool
) -> None:
    speaks = np.repeat([0, 1], [50, 50]).astype(np.float32)
    closure = np.zeros(100, np.float32)
    closure[50:53] = closed
    opening = 0.03 * speaks
    talk = replace(VisemeTrack.silent(100), activity=speaks, opening=opening, closure=closure)
    animator = PoseAnimator(rig, seed=1, person=0, num_frames=100)
    opened = np.array([pose.weights[INDEX["open"]] for pose in animator.poses(talk)])
    assert np.all(opened[:38] == 0)
    assert np.all(opened[45:50] > 0)
    assert np.all((opened[50:53] == 0) == closed)
    silent = PoseAnimator(rig, seed=1, person=0, num_frames=100)
    assert all(pose.weights[INDEX["open"]] == 0 for pose in silent.poses(VisemeTrack.silent(100)))


def test_brows_sink_a_little_while_the_eyes_are_shut(rig: Rig) -> None:
    animator = PoseAnimator(rig, seed=1, person=0, num_frames=1500)
    poses = list(animator.poses(VisemeTrack.silent(1500)))
    brows = np.array([pose.weights[INDEX["brow"]] for pose in poses])
    closed = np.array([pose.closed for pose in poses])
    shut = np.flatnonzero(closed == 1)
    sinks = [brows[frame - 2] - brows[frame] for frame in shut if closed[frame - 2] == 0]
    assert len(sinks) > 3
    assert 0.03 < np.mean(sinks) < 0.15


def test_a_voice_livelier_than_usual_lifts_brows_and_corners_unless_nothing_moves(
    rig: Rig,
) -> None:
    talk = replace(a_talk(12), loudness=0.6 * a_talk(12).activity)
    level = np.zeros(len(talk), np.float32)
    rising = np.where(np.arange(len(talk)) > 200, 8 * (np.arange(len(talk)) % 10 > 5), 0)

    def late(motion: float, pitch: NDArray[np.float32]) -> dict[str, float]:
        animator = PoseAnimator(rig, seed=1, person=0, num_frames=len(talk), motion=motion)
        weights = np.mean([pose.weights for pose in animator.poses(talk, pitch=pitch)][225:], 0)
        return {name: float(weights[INDEX[name]]) for name in ("brow", "smile", "frown")}

    lively, even = (late(1.0, pitch.astype(np.float32)) for pitch in (rising, level))
    assert 0.02 < lively["brow"] - even["brow"] < 0.4
    assert 0.005 < lively["smile"] - even["smile"] < 0.16
    assert late(0.0, rising.astype(np.float32)) == {"brow": 0, "smile": 0, "frown": 0}


def test_brows_that_are_high_rise_ever_less(rig: Rig) -> None:
    """In a surprise they were at one limit for seconds, as if painted."""
    surprised = MOODS["surprised"]
    animator = PoseAnimator(
        rig, seed=1, person=0, moods=MoodTimeline(surprised, surprised, surprised), num_frames=300
    )
    brows = np.array([pose.weights[INDEX["brow"]] for pose in animator.poses(a_talk(12.0))])
    high = brows > 0.7
    assert high.sum() > 20
    assert brows.max() < 0.88
    assert len(np.unique(brows[high])) == high.sum()


def liveliness(
    loudness: NDArray[np.float64], pitch: NDArray[np.float64], activity: float = 1.0
) -> NDArray[np.float64]:
    prosody = Prosody()
    return np.array(
        [
            prosody.step(activity=activity, loudness=loud, pitch=high)
            for loud, high in zip(loudness, pitch, strict=True)
        ]
    )


def spoken(seconds: float, *, loudness: float, melody: float) -> list[NDArray[np.float64]]:
    """Loudness and pitch of syllables, [T] each."""
    t = np.arange(round(25 * seconds)) / 25
    return [
        loudness + 0.1 * np.sin(2 * np.pi * 4 * t),
        12 + melody * np.sin(2 * np.pi * 0.8 * t),
    ]


def test_an_even_voice_is_as_usual_however_loud() -> None:
    for loudness in (0.4, 0.9):
        lively = liveliness(*spoken(20, loudness=loudness, melody=2))
        assert np.abs(lively).max() < 0.35
        assert abs(lively.mean()) < 0.1


def test_louder_and_more_melodic_than_usual_is_lively_and_less_is_grave() -> None:
    usual = spoken(10, loudness=0.6, melody=2)
    for more, sign in (
        (spoken(4, loudness=0.75, melody=2), 1),
        (spoken(4, loudness=0.6, melody=5), 1),
        (spoken(4, loudness=0.45, melody=2), -1),
        (spoken(4, loudness=0.6, melody=0), -1),
    ):
        lively = liveliness(*np.concatenate([usual, more], axis=1))
        assert (sign * lively[275:]).mean() > 0.2
        assert np.abs(np.diff(lively)).max() < 0.1
        assert np.abs(lively).max() <= 1


def test_a_voice_that_pauses_or_begins_is_as_usual() -> None:
    loud, high = spoken(4, loudness=0.6, melody=2)
    assert np.all(liveliness(loud, high)[:24] == 0)
    assert np.all(liveliness(loud, high, activity=0.0) == 0)
    whispered = liveliness(loud, np.full(len(loud), np.nan))
    assert np.isfinite(whispered).all()
