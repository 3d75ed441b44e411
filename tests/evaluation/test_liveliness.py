"""How people move: known movement of made landmarks in, known figures out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from multitalk.evaluation.evaluator import at_25_fps
from multitalk.evaluation.liveliness import (
    BROW,
    COLUMNS,
    GAZE,
    HEIGHT,
    MIN_FACE_PIXELS,
    PITCH,
    POINTS,
    ROLL,
    TEETH,
    TEETH_AREA,
    YAW,
    Liveliness,
    X,
    Y,
    blink_rate,
    eye_opening,
    measure_liveliness,
    movement_of,
    teeth_area,
)
from multitalk.face import mesh
from multitalk.face.detector import detect_faces
from multitalk.face.landmarks import FaceLandmarks
from multitalk.timebase import FPS

ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


SECONDS = 8


SPEAKING = np.ones(SECONDS * FPS, bool)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    cut = cv2.imread(str(ASTRONAUT))[20:240, 110:330, ::-1]
    return np.ascontiguousarray(cv2.resize(cut, (440, 440)))


@pytest.fixture(scope="module")
def face(picture: np.ndarray) -> FaceLandmarks:
    return detect_faces(picture)[0]


def wave(amplitude: float, fps: int = FPS, hertz: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hertz * (np.arange(SECONDS * fps) + 0.5) / fps)


def still(**columns: np.ndarray) -> np.ndarray:
    """The movement of a face that does not move, but for the columns given, by name."""
    movement = np.zeros((len(SPEAKING), COLUMNS), np.float32)
    movement[:, HEIGHT] = 200
    places = {"yaw": YAW, "pitch": PITCH, "roll": ROLL, "x": X, "y": Y, "brow": BROW}
    for name, curve in columns.items():
        movement[:, (places | {"gaze": GAZE, "teeth": TEETH})[name]] = curve
    return movement


def measured(movement: np.ndarray, mouth: np.ndarray | None = None) -> Liveliness:
    blank = np.zeros((len(movement), 2), np.float32)
    return measure_liveliness(movement, blank if mouth is None else mouth, SPEAKING, None)


def turned(face: FaceLandmarks, degrees: float, axis: int) -> FaceLandmarks:
    """The face looking straight ahead, then turned about one of the picture's axes."""
    ahead = (face.points - face.points.mean(0)) @ face.head_axes.T
    turn = np.zeros(3)
    turn[axis] = np.radians(degrees)
    return FaceLandmarks((ahead @ cv2.Rodrigues(turn)[0].T + (220, 220, 0)).astype(np.float32))


@pytest.mark.parametrize(("axis", "name"), [(1, "yaw"), (0, "pitch"), (2, "roll")])
@pytest.mark.parametrize("fps", [25, 30])
def test_a_head_that_swings_is_measured_in_degrees_and_degrees_a_second(
    picture: np.ndarray, face: FaceLandmarks, axis: int, name: str, fps: int
) -> None:
    faces = [turned(face, angle, axis) for angle in wave(6, fps)]
    seen = np.stack([movement_of(picture, one) for one in faces])
    found = measured(at_25_fps(seen, fps=fps, num_frames=len(SPEAKING)))
    assert getattr(found, f"{name}_deviation") == pytest.approx(6 / 2**0.5, rel=0.02)
    assert getattr(found, f"{name}_speed") == pytest.approx(6 * np.pi / 2**0.5, rel=0.03)
    for other in {"yaw", "pitch", "roll"} - {name}:
        assert getattr(found, f"{other}_speed") < 0.1


def test_place_brows_and_lips_are_in_shares_of_the_face_height() -> None:
    mouth = np.stack([0.05 + wave(0.03), 0.4 + wave(0.02)], axis=1).astype(np.float32)
    found = measured(still(x=wave(10), y=wave(4), brow=wave(0.01)), mouth)
    deviation = 0.5**0.5  # of a sine
    assert found.place_x_deviation == pytest.approx(5 * deviation, rel=1e-3)
    assert found.place_y_deviation == pytest.approx(2 * deviation, rel=1e-3)
    assert found.brow_deviation == pytest.approx(deviation, rel=1e-3)
    assert found.opening_deviation == pytest.approx(3 * deviation, rel=1e-3)
    assert found.opening_95th == pytest.approx(8, abs=0.05)
    assert found.width_deviation == pytest.approx(2 * deviation, rel=1e-3)


def test_eyes_that_stay_on_the_viewer_move_against_the_head() -> None:
    gaze = -0.004 * wave(5) + wave(0.05, hertz=2)
    assert measured(still(yaw=wave(5), gaze=gaze)).gaze_against_yaw == pytest.approx(-0.4, abs=0.02)
    assert measured(still(yaw=wave(1), gaze=gaze)).gaze_against_yaw is None


def moved(face: FaceLandmarks, points: tuple[int, ...], by: tuple[float, float]) -> FaceLandmarks:
    there = face.points.copy()
    there[list(points), :2] += np.float32(by)
    return replace(face, points=there)


def test_irises_to_the_right_and_brows_up_are_more(
    picture: np.ndarray, face: FaceLandmarks
) -> None:
    ahead = turned(face, 0, 0)
    before = movement_of(picture, ahead)
    eye = ahead.points[mesh.RIGHT_EYE_UPPER[-1], 0] - ahead.points[mesh.RIGHT_EYE_OUTER, 0]
    irises = (mesh.RIGHT_IRIS[0], mesh.LEFT_IRIS[0])
    aside = movement_of(picture, moved(ahead, irises, (0.1 * eye, 0)))
    assert aside[GAZE] - before[GAZE] == pytest.approx(0.1, abs=0.01)
    brows = mesh.RIGHT_BROW_LOWER + mesh.LEFT_BROW_LOWER
    raised = movement_of(picture, moved(ahead, brows, (0, -0.02 * ahead.height)))
    assert raised[BROW] - before[BROW] == pytest.approx(0.02, abs=0.004)
    nearer = movement_of(picture, FaceLandmarks(1.2 * ahead.points + np.float32((30, 20, 0))))
    np.testing.assert_allclose(nearer[POINTS:], before[POINTS:], atol=1e-4)


def test_only_frames_of_speech_that_show_the_face_count() -> None:
    yaw = wave(6)
    yaw[:25] = 40  # in silence
    movement = still(yaw=yaw)
    movement[100:110] = np.nan
    mouth = np.where(np.isnan(movement[:, :2]), np.float32(np.nan), np.float32(0.1))
    speaking = SPEAKING.copy()
    speaking[:40] = False
    found = measure_liveliness(movement, mouth, speaking, None)
    assert found.yaw_deviation == pytest.approx(6 / 2**0.5, rel=0.1)
    assert found.yaw_speed == pytest.approx(6 * np.pi / 2**0.5, rel=0.1)
    assert found.opening_95th == pytest.approx(10)
    assert found.interactivity is None
    movement[70:] = np.nan  # 1.5 s of speech are left
    assert measure_liveliness(movement, mouth, speaking, None) == Liveliness()
    assert measured(np.full_like(movement, np.nan)) == Liveliness()


def test_a_listener_is_measured_while_another_speaks() -> None:
    movement = still()
    movement[1::2, POINTS:] = 0.6 / 224  # of the box: to the right, and as far down
    speaking, others = np.zeros((2, len(SPEAKING)), bool)
    others[:100] = others[120:] = True
    speaking[130:] = True  # and from 0.4 s before it nobody listens
    mouth = np.zeros((len(SPEAKING), 2), np.float32)
    found = measure_liveliness(movement, mouth, speaking, others)
    assert found.interactivity == pytest.approx(0.6 * 2**0.5, rel=1e-3)
    movement[102:, POINTS:] = 3  # nobody speaks, or the person does
    again = measure_liveliness(movement, mouth, speaking, others)
    assert again.interactivity == found.interactivity
    movement[20:] = np.nan  # under a second is left
    assert measure_liveliness(movement, mouth, speaking, others).interactivity is None
    assert measure_liveliness(movement, mouth, ~others, ~others).interactivity is None


@pytest.fixture(scope="module")
def painted(
    picture: np.ndarray, face: FaceLandmarks
) -> Callable[[tuple[int, int, int]], tuple[np.ndarray, FaceLandmarks]]:
    """The open mouth of a face, in one colour."""
    lower = mesh.LIPS_INNER_LOWER[1:-1]
    opened = moved(face, lower, (0, 0.08 * face.height))
    outline = opened.points[list(mesh.LIPS_INNER_UPPER + lower[::-1]), :2]

    def paint(color: tuple[int, int, int]) -> tuple[np.ndarray, FaceLandmarks]:
        frame = picture.copy()
        cv2.fillPoly(frame, [np.round(outline).astype(np.int32)], color)
        return frame, opened

    return paint


def test_teeth_are_what_is_bright_and_pale_between_the_lips(
    painted: Callable[[tuple[int, int, int]], tuple[np.ndarray, FaceLandmarks]],
) -> None:
    frame, face = painted((205, 195, 180))
    between = mesh.LIPS_INNER_UPPER + mesh.LIPS_INNER_LOWER[-2:0:-1]
    area = cv2.contourArea(face.points[list(between), :2]) / face.height**2
    assert teeth_area(frame, face) == pytest.approx(area, rel=0.15)
    for dark_or_red in ((50, 50, 50), (190, 110, 110)):
        assert teeth_area(painted(dark_or_red)[0], face) < TEETH_AREA
    grey = np.repeat(frame[..., 1:2], 3, axis=2)
    assert teeth_area(grey, face) == pytest.approx(area, rel=0.15)
    small = face.scaled((MIN_FACE_PIXELS - 1) / face.height)
    assert np.isnan(teeth_area(frame, small))
    outside = replace(face, points=face.points + np.float32((900, 0, 0)))
    assert np.isnan(teeth_area(frame, outside))


def test_the_share_of_teeth_is_of_the_frames_in_which_they_could_be_seen() -> None:
    area = np.where(np.arange(len(SPEAKING)) % 4 == 0, 2 * TEETH_AREA, TEETH_AREA / 2)
    assert measured(still(teeth=area)).teeth_share == pytest.approx(25)
    area[:60] = np.nan
    assert measured(still(teeth=area)).teeth_share == pytest.approx(25)
    area[:] = np.nan
    assert measured(still(teeth=area)).teeth_share is None


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
