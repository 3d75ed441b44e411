"""What is measured without a verdict: offset, blinks, flicker. Known truth in, known figure out."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitalk.evaluation.lipsync import MAX_OFFSET_FRAMES, find_offset
from multitalk.evaluation.liveliness import blink_rate, eye_opening
from multitalk.evaluation.stability import FlickerMeter, rigid_points
from multitalk.evaluation.voices import mouth_of
from multitalk.face import mesh
from multitalk.face.detector import detect_faces
from multitalk.face.landmarks import FaceLandmarks
from multitalk.speech.synthesis import PhonemeTiming, phoneme_track
from multitalk.timebase import FPS

ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
SPEAKING = np.ones(200, bool)


def asked_for(seed: int) -> np.ndarray:
    """Opening and width [200, 2] of eight seconds of random sounds."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.06, 0.18, 120))
    sounds = rng.choice(["m", "a", "s", "i", "o", "u", "k", "f", ""], 119)
    spoken = zip(times, times[1:], sounds, strict=False)
    phonemes = tuple(PhonemeTiming(float(a), float(b), str(ipa)) for a, b, ipa in spoken)
    return mouth_of(phoneme_track(phonemes, len(SPEAKING)))


def as_seen(mouth: np.ndarray, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=mouth.shape)
    return (mouth * (0.7, 0.02) + (0.004, 0.3) + noise * 0.004).astype(np.float32)


@given(late=st.integers(-12, 12), seed=st.integers(0, 20))
def test_the_offset_is_how_late_the_lips_are(late: int, seed: int) -> None:
    target = asked_for(seed)
    found = find_offset(np.roll(as_seen(target), late, axis=0), target, SPEAKING)
    assert found is not None
    assert found.offset_frames == late
    assert found.confidence > 0.3


def test_confidence_is_lower_for_another_voice_and_nothing_for_a_frozen_mouth() -> None:
    right, wrong = [], []
    for seed in range(10):
        target = asked_for(seed)
        for mouth, found in ((target, right), (asked_for(seed + 100), wrong)):
            offset = find_offset(as_seen(mouth), target, SPEAKING)
            assert offset is not None
            found.append(offset.confidence)
    assert min(right) > 1.5 * max(wrong)
    frozen = find_offset(np.full_like(target, 0.01), target, SPEAKING)
    assert frozen is not None
    assert frozen.confidence < 0.1


def test_unseen_frames_do_not_count_and_too_little_is_no_offset() -> None:
    target = asked_for(1)
    mouth = as_seen(target)
    mouth[60:90] = np.nan
    found = find_offset(mouth, target, SPEAKING)
    assert found is not None
    assert found.offset_frames == 0
    short = FPS + MAX_OFFSET_FRAMES
    assert find_offset(mouth[:short], target[:short], SPEAKING[:short]) is None
    assert find_offset(np.full_like(mouth, np.nan), target, SPEAKING) is None
    assert find_offset(mouth, target, ~SPEAKING) is None


def eyes(*shut: tuple[int, int], seconds: float = 12.0) -> np.ndarray:
    """Openings that wander and fall in the frames [first, last) of each blink."""
    frames = np.arange(int(seconds * FPS))
    openings = 0.3 + 0.03 * np.sin(frames / 40)
    for first, last in shut:
        openings[first:last] *= 0.4
    return openings.astype(np.float32)


def test_blinks_are_counted_and_shut_eyes_are_not() -> None:
    assert blink_rate(eyes(), fps=FPS) == 0
    assert blink_rate(eyes((0, 3), (50, 54), (60, 64), (297, 300)), fps=FPS) == 20
    assert blink_rate(eyes((100, 118)), fps=FPS) == 0
    assert blink_rate(eyes((100, 110)), fps=FPS) == 5
    assert blink_rate(eyes((100, 118)), fps=2 * FPS) == 10


def test_a_rate_is_of_the_time_in_which_the_face_is_seen() -> None:
    openings = eyes((20, 24))
    openings[150:] = np.nan
    assert blink_rate(openings, fps=FPS) == 10
    assert blink_rate(openings[:124], fps=FPS) is None


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(ASTRONAUT))[20:240, 110:330, ::-1])


@pytest.fixture(scope="module")
def face(picture: np.ndarray) -> FaceLandmarks:
    return detect_faces(picture)[0]


def test_lids_that_touch_are_no_opening(face: FaceLandmarks) -> None:
    assert 0.15 < eye_opening(face) < 0.5
    points = face.points.copy()
    for upper, lower in (
        (mesh.RIGHT_EYE_UPPER, mesh.RIGHT_EYE_LOWER),
        (mesh.LEFT_EYE_UPPER, mesh.LEFT_EYE_LOWER),
    ):
        points[list(upper)] = points[list(lower)]
    assert eye_opening(FaceLandmarks(points)) == 0
    assert eye_opening(FaceLandmarks(3 * face.points)) == pytest.approx(eye_opening(face))


def flicker(picture: np.ndarray, face: FaceLandmarks, levels: list[float], speed: float) -> float:
    """Of a face that moves evenly to the right, with so much added to each frame."""
    meter = FlickerMeter(rigid_points(face))
    for index, level in enumerate(levels):
        there = np.array([[1, 0, speed * index], [0, 1, 0]], np.float32)
        size = (picture.shape[1], picture.shape[0])
        moved = cv2.warpAffine(picture, there, size, flags=cv2.INTER_CUBIC)
        frame = np.clip(np.round(moved * 0.8 + 20 + level), 0, 255).astype(np.uint8)
        meter.add(frame, FaceLandmarks(face.points + np.float32([speed * index, 0, 0])))
    value = meter.result()
    assert value is not None
    return value


def test_flicker_is_how_far_a_frame_is_from_its_neighbours(
    picture: np.ndarray, face: FaceLandmarks
) -> None:
    assert flicker(picture, face, [0, 3] * 5, 0) == pytest.approx(3, abs=0.2)
    assert flicker(picture, face, [0, 3] * 5, 0.7) == pytest.approx(3, abs=0.6)


def test_movement_and_slow_light_are_no_flicker(picture: np.ndarray, face: FaceLandmarks) -> None:
    still = [0.0] * 10
    assert flicker(picture, face, still, 0) < 0.01
    assert flicker(picture, face, still, 1.5) < 0.3
    assert flicker(picture, face, list(range(10)), 0) < 0.2


def test_frames_without_the_face_have_no_flicker(picture: np.ndarray, face: FaceLandmarks) -> None:
    meter = FlickerMeter(rigid_points(face))
    for seen in (face, None, face):
        meter.add(picture, seen)
    assert meter.result() is None
