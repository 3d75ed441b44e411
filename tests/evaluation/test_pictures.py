"""Identity, background, the placing of voices and faces: each measure by itself."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multitalk.evaluation.evaluator import at_25_fps, sum_above_rest
from multitalk.evaluation.observation import fitted
from multitalk.evaluation.report import MAX_SHAPE_CHANGE, MIN_LIKENESS
from multitalk.evaluation.stability import (
    BackgroundMeter,
    appearance_of,
    away_from,
    compare_appearances,
    likeness,
    rigid_points,
    shape_change,
)
from multitalk.evaluation.voices import align_by_xcorr, bilabial_moments, pad_to_timeline
from multitalk.face import mesh
from multitalk.face.detector import detect_faces
from multitalk.face.landmarks import FaceLandmarks
from multitalk.speech.synthesis import PhonemeTiming

NOSE_BRIDGE = 168  # of the mesh

ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


def load_astronaut() -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(ASTRONAUT))[:, :, ::-1])


@pytest.fixture(scope="module")
def face() -> FaceLandmarks:
    return detect_faces(load_astronaut())[0]


def drawn_face(x: float, height: float) -> FaceLandmarks:
    """A face of which only place and height matter."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.4, 0.4, (mesh.NUM_POINTS, 3)).astype(np.float32)
    points[mesh.FOREHEAD_TOP], points[mesh.CHIN] = (0, -0.5, 0), (0, 0.5, 0)
    return FaceLandmarks((points * height + (x, 100, 0)).astype(np.float32))


def test_still_points_are_above_the_mouth_and_not_on_the_lids(face: FaceLandmarks) -> None:
    still = set(rigid_points(face).tolist())
    assert 100 < len(still) < 300
    assert {NOSE_BRIDGE, mesh.RIGHT_BROW_UPPER[2]} <= still
    moving = {mesh.CHIN, mesh.INNER_UPPER_LIP, mesh.RIGHT_EYE_UPPER[4], mesh.LEFT_IRIS[0]}
    assert not still & moving


def test_light_and_compression_leave_a_person_the_same(face: FaceLandmarks) -> None:
    picture = load_astronaut()
    points = rigid_points(face)
    dark = (picture * 0.7).astype(np.uint8)
    coded = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], 1)
    looks = [appearance_of(other, detect_faces(other)[0], points) for other in (dark, coded)]
    identity = compare_appearances(appearance_of(picture, face, points), looks)
    assert identity.worst_likeness > MIN_LIKENESS + 0.1
    assert identity.shape_change < MAX_SHAPE_CHANGE / 3


def test_another_face_at_the_same_place_is_another_person(face: FaceLandmarks) -> None:
    mirrored = np.ascontiguousarray(load_astronaut()[:, ::-1])
    points = rigid_points(face)
    reference = appearance_of(load_astronaut(), face, points)
    other = appearance_of(mirrored, detect_faces(mirrored)[0], points)
    assert likeness(reference.colors, other.colors) < MIN_LIKENESS - 0.3


@given(seed=st.integers(0, 1000), angle=st.floats(-3, 3), scale=st.floats(0.5, 2))
@settings(deadline=None)
def test_turning_and_scaling_do_not_change_a_shape(seed: int, angle: float, scale: float) -> None:
    shape = np.random.default_rng(seed).normal(size=(50, 3))
    shape -= shape.mean(0)
    c, s = np.cos(angle), np.sin(angle)
    turned = shape @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) * scale
    assert shape_change(shape, turned) < 1e-9
    assert shape_change(shape, turned * (-1, 1, 1)) > 0.05  # a mirror is no turn


def test_only_what_is_far_from_the_faces_is_background() -> None:
    away = away_from([drawn_face(50, 40)], height=200, width=300)
    assert away[100, 50] == 0
    assert away[100, 50 + 55] == 0
    assert away[100, 50 + 70] == 255


def test_background_change_and_wobble_are_mean_levels() -> None:
    reference = np.full((200, 300, 3), 100, np.uint8)
    meter = BackgroundMeter(reference, [drawn_face(50, 40)])
    for level in (100, 104, 104, 108):
        frame = np.full_like(reference, level)
        frame[70:130, :95] = 255  # the face may do what it likes
        meter.add(frame)
    background = meter.result()
    assert background is not None
    assert background.change == pytest.approx(4, abs=0.01)
    assert background.wobble == pytest.approx(8 / 3, abs=0.01)


def test_a_face_that_fills_the_picture_has_no_background() -> None:
    picture = np.zeros((200, 200, 3), np.uint8)
    meter = BackgroundMeter(picture, [drawn_face(100, 180)])
    meter.add(picture)
    assert meter.result() is None


@given(start=st.integers(-3000, 9000), seed=st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_a_voice_is_found_where_it_begins(start: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    voice = rng.normal(size=8000).astype(np.float32)
    other = rng.normal(size=16000).astype(np.float32)
    found, similarity = align_by_xcorr(
        voice, pad_to_timeline(voice, start, 16000) * 0.3 + other * 0.2
    )
    assert found == start
    assert similarity > 0.5


def test_a_voice_that_is_not_there_is_not_similar() -> None:
    rng = np.random.default_rng(0)
    voice, sound = rng.normal(size=(2, 16000)).astype(np.float32)
    assert align_by_xcorr(voice, sound)[1] < 0.2
    assert align_by_xcorr(voice, np.zeros(16000, np.float32))[1] == 0


def test_other_frame_rates_are_brought_to_25() -> None:
    seconds = (np.arange(60) + 0.5) / 30
    mouth = np.stack([np.sin(seconds), np.cos(seconds)], axis=1).astype(np.float32)
    there = (np.arange(50) + 0.5) / 25
    expected = np.stack([np.sin(there), np.cos(there)], axis=1)
    np.testing.assert_allclose(at_25_fps(mouth, fps=30, num_frames=50), expected, atol=1e-3)
    np.testing.assert_array_equal(at_25_fps(mouth, fps=25, num_frames=50), mouth[:50])


def test_mouths_that_share_a_voice_add_up() -> None:
    first, second = np.zeros((2, 50, 2), np.float32)
    first[:20, 0], second[30:, 0] = 0.05, 0.03
    second += 0.01
    together = sum_above_rest([first, second])[:, 0]
    assert together[10] == pytest.approx(0.05)
    assert together[40] == pytest.approx(0.03)


def test_a_portrait_is_scaled_and_cut_to_the_video() -> None:
    portrait = np.zeros((100, 200, 3), np.uint8)
    portrait[:, 100:] = 255
    picture = fitted(portrait, height=50, width=50)
    assert picture.shape == (50, 50, 3)
    assert picture[:, :24].max() == 0
    assert picture[:, 26:].min() == 255


def test_m_b_and_p_are_bilabial_and_nothing_else() -> None:
    phones = [PhonemeTiming(i, i + 1, ipa) for i, ipa in enumerate(("m", "a", "pʰ", "b", "f", ""))]
    assert bilabial_moments(phones) == [(0, 1), (2, 3), (3, 4)]
