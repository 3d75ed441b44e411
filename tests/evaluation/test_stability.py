"""Identity, flicker and background of a video's pictures."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multitalk.evaluation.report import MAX_SHAPE_CHANGE, MIN_LIKENESS
from multitalk.evaluation.stability import (
    BackgroundMeter,
    FlickerMeter,
    appearance_of,
    away_from,
    compare_appearances,
    likeness,
    rigid_points,
    shape_change,
)
from multitalk.face import mesh
from multitalk.face.detector import detect_faces
from multitalk.face.landmarks import FaceLandmarks

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


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(ASTRONAUT))[20:240, 110:330, ::-1])


@pytest.fixture(scope="module")
def cut_face(picture: np.ndarray) -> FaceLandmarks:
    return detect_faces(picture)[0]


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
    picture: np.ndarray, cut_face: FaceLandmarks
) -> None:
    assert flicker(picture, cut_face, [0, 3] * 5, 0) == pytest.approx(3, abs=0.2)
    assert flicker(picture, cut_face, [0, 3] * 5, 0.7) == pytest.approx(3, abs=0.6)


def test_movement_and_slow_light_are_no_flicker(
    picture: np.ndarray, cut_face: FaceLandmarks
) -> None:
    still = [0.0] * 10
    assert flicker(picture, cut_face, still, 0) < 0.01
    assert flicker(picture, cut_face, still, 1.5) < 0.25
    assert flicker(picture, cut_face, still, 8) < 0.25  # a tenth of the face's width
    assert flicker(picture, cut_face, list(range(10)), 0) < 0.2


def test_frames_without_the_face_have_no_flicker(
    picture: np.ndarray, cut_face: FaceLandmarks
) -> None:
    meter = FlickerMeter(rigid_points(cut_face))
    for seen in (cut_face, None, cut_face):
        meter.add(picture, seen)
    assert meter.result() is None
