"""Faces are found where they are, and only there."""

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from multitalk.face import mesh
from multitalk.face.detector import (
    SURE,
    TRUSTED_BOX,
    UNDETECTED,
    UNSURE,
    VERY_SURE,
    ConsistencyLimits,
    FaceDetector,
    limits_for,
    track_faces,
)
from multitalk.face.landmarks import FaceLandmarks
from multitalk.face.networks import FaceMesh, MeshOutput
from multitalk.face.search import Detection
from multitalk.face.transforms import Square, rotate_picture, rotate_points
from patience import PATIENCE_SECONDS

NOSE_TIP = 1  # of the mesh

ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


def load_astronaut() -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(ASTRONAUT))[:, :, ::-1])


def on_canvas(picture: np.ndarray, *, height: int, width: int, top: int, left: int) -> np.ndarray:
    canvas = np.full((height, width, 3), 120, np.uint8)
    canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    with FaceDetector() as detector:
        yield detector


@pytest.fixture(scope="module")
def astronaut(detector: FaceDetector) -> FaceLandmarks:
    (face,) = detector.detect(load_astronaut())
    return face


def test_points_lie_on_the_features_that_they_name(astronaut: FaceLandmarks) -> None:
    assert astronaut.points.shape == (mesh.NUM_POINTS, 3)
    assert astronaut.points.dtype == np.float32
    # Read off the picture by eye, +-4 pixels.
    for index, expected in (
        (mesh.RIGHT_IRIS[0], (205, 103)),
        (mesh.LEFT_IRIS[0], (247, 105)),
        (NOSE_TIP, (223, 127)),
        (mesh.OUTER_UPPER_LIP, (223, 143)),
    ):
        assert np.hypot(*(astronaut.points[index, :2] - expected)) < 6, index


def test_measures_follow_from_the_points() -> None:
    points = np.zeros((mesh.NUM_POINTS, 3), np.float32)
    points[mesh.CHIN] = (0, 60, 80)  # 100 pixels in 3-D
    points[mesh.RIGHT_CHEEK], points[mesh.LEFT_CHEEK] = (-30, 0, 0), (30, 0, 0)
    points[mesh.INNER_LOWER_LIP] = (0, 3, 4)
    points[mesh.LEFT_MOUTH_CORNER] = (25, 0, 0)
    face = FaceLandmarks(points)
    assert face.height == pytest.approx(100)
    assert face.width == pytest.approx(60)
    assert face.mouth_opening == pytest.approx(0.05)
    assert face.mouth_width == pytest.approx(0.25)
    assert face.box == (-30, 0, 30, 60)


@pytest.mark.parametrize("degrees", [-30, 0, 25])
def test_angles_are_those_by_which_the_points_were_turned(
    astronaut: FaceLandmarks, degrees: float
) -> None:
    frontal = astronaut.points @ astronaut.head_axes.T
    assert FaceLandmarks(frontal).yaw_degrees == pytest.approx(0, abs=0.1)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    roll = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    yaw = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    pitch = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    assert FaceLandmarks(frontal @ roll.T).roll_degrees == pytest.approx(degrees, abs=0.1)
    assert FaceLandmarks(frontal @ yaw.T).yaw_degrees == pytest.approx(degrees, abs=0.1)
    assert FaceLandmarks(frontal @ pitch.T).pitch_degrees == pytest.approx(degrees, abs=0.1)


def test_a_tilted_head_has_the_roll_by_which_the_picture_was_turned(
    detector: FaceDetector, astronaut: FaceLandmarks
) -> None:
    turn = cv2.getRotationMatrix2D((223, 115), -20, 1.0)  # OpenCV counts counterclockwise
    (tilted,) = detector.detect(cv2.warpAffine(load_astronaut(), turn, (512, 512)))
    assert tilted.roll_degrees - astronaut.roll_degrees == pytest.approx(20, abs=3)


def test_a_mirrored_face_has_the_same_measures(
    detector: FaceDetector, astronaut: FaceLandmarks
) -> None:
    (mirrored,) = detector.detect(np.ascontiguousarray(load_astronaut()[:, ::-1]))
    assert mirrored.height == pytest.approx(astronaut.height, rel=0.03)
    assert mirrored.mouth_opening == pytest.approx(astronaut.mouth_opening, abs=0.01)
    assert mirrored.yaw_degrees == pytest.approx(-astronaut.yaw_degrees, abs=4)


def test_a_face_of_30_pixels_in_a_large_picture_is_found_where_it_is(
    detector: FaceDetector, astronaut: FaceLandmarks
) -> None:
    scale = 30 / astronaut.height
    small = cv2.resize(load_astronaut(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture = on_canvas(small, height=600, width=900, top=300, left=500)
    (face,) = detector.detect(picture)
    expected = np.array([500, 300]) + np.array(astronaut.center) * scale
    assert np.hypot(*(face.center - expected)) < 3
    assert face.height == pytest.approx(30, rel=0.1)


def test_a_face_that_the_full_frame_misses_is_found_in_its_box(
    detector: FaceDetector, astronaut: FaceLandmarks
) -> None:
    small = cv2.resize(load_astronaut(), None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    picture = on_canvas(small, height=1800, width=2600, top=400, left=700)
    assert detector.search(picture).coarse().faces == ()
    edges = (0.3 * np.array(astronaut.box) + (700, 400, 700, 400)).tolist()
    (face,) = detector.search(picture, boxes=[tuple(edges)]).coarse().faces
    assert face.box == pytest.approx(edges, abs=4)


def test_a_face_that_is_too_blurred_to_read_is_seen_where_it_is(
    detector: FaceDetector, astronaut: FaceLandmarks
) -> None:
    blurred = np.asarray(cv2.GaussianBlur(load_astronaut(), (0, 0), 7), np.uint8)
    picture = on_canvas(blurred, height=1000, width=1400, top=400, left=700)
    found = detector.search(picture).full()
    assert found.faces == ()
    (box,) = found.unread
    x, y = np.add(astronaut.center, (700, 400))
    assert box[0] < x < box[2]
    assert box[1] < y < box[3]


def test_people_come_from_left_to_right_whatever_their_size(detector: FaceDetector) -> None:
    picture = load_astronaut()[30:250, 120:330]
    small = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    canvas = on_canvas(picture, height=300, width=700, top=40, left=440)
    canvas[150 : 150 + small.shape[0], 60 : 60 + small.shape[1]] = small
    faces = detector.detect(canvas, expected=2)
    assert [face.height < 80 for face in faces] == [True, False]


@pytest.mark.parametrize("kind", ["flat", "noise", "disc", "gradient", "tiny"])
def test_what_is_no_face_gives_an_empty_list(detector: FaceDetector, kind: str) -> None:
    picture = np.full((240, 320, 3), 128, np.uint8)
    if kind == "noise":
        picture = np.random.default_rng(0).integers(0, 256, picture.shape, np.uint8)
    elif kind == "disc":
        cv2.circle(picture, (160, 120), 70, (220, 180, 160), -1)
    elif kind == "gradient":
        picture[:] = np.linspace(0, 255, 320, dtype=np.uint8)[None, :, None]
    elif kind == "tiny":
        picture = picture[:3, :2]
    assert detector.detect(picture, expected=2) == []


def test_a_moving_face_is_followed_through_the_frames(
    detector: FaceDetector, astronaut: FaceLandmarks
) -> None:
    def frames() -> Iterator[np.ndarray]:
        yield np.zeros((512, 512, 3), np.uint8)  # fades in
        for step in range(6):
            move = np.array([[1, 0, 6.0 * step], [0, 1, 4.0 * step]])
            yield cv2.warpAffine(load_astronaut(), move, (512, 512))
        yield np.zeros((512, 512, 3), np.uint8)

    first, *seen, last = track_faces(frames(), detector=detector)
    assert first == ()
    assert last == (None,)
    for step, (face,) in enumerate(seen):
        assert face is not None
        expected = np.add(astronaut.center, (6 * step, 4 * step))
        assert np.hypot(*(face.center - expected)) < 2.5


class NeverPresent:
    """A mesh that says of every face, as of one in profile, that it is none."""

    def __init__(self) -> None:
        self._mesh = FaceMesh()
        self.reads = 0

    def read(self, pixels: np.ndarray) -> MeshOutput:
        self.reads += 1
        return self._mesh.read(pixels)._replace(presence=0.0)


@pytest.mark.parametrize("quarters", [0, 1, 2])
def test_a_face_that_the_mesh_denies_is_followed_in_one_look_by_the_detectors_word(
    astronaut: FaceLandmarks, quarters: int
) -> None:
    picture = rotate_picture(load_astronaut(), quarters)
    middle = rotate_points(np.array([astronaut.center]), quarters, (512, 512))[0]
    with FaceDetector() as detector:
        detector._mesh = mesh_of_a_profile = NeverPresent()  # type: ignore[assignment]
        (before,) = detector.detect(picture)
        looks = mesh_of_a_profile.reads
        face = detector.follow(picture, before)
        assert mesh_of_a_profile.reads == looks + 1
        assert face is not None
        assert np.hypot(*(face.center - middle)) < 4
        assert detector.follow(np.zeros_like(picture), before) is None
        far = np.roll(picture, 90, axis=1)
        assert detector.follow(far, before) is not None


class Scripted(FaceDetector):
    """A detector whose mesh reads given points, one after another; it loads no networks."""

    def __init__(self, *readings: np.ndarray, presence: float = 1.0) -> None:
        self._readings, self._presence = readings, presence
        self.reads = 0

    def _read(self, image: np.ndarray, square: Square) -> tuple[np.ndarray, float]:
        self.reads += 1
        return self._readings[self.reads - 1], self._presence


def moved(face: FaceLandmarks, sizes: float) -> np.ndarray:
    """The points of a face, moved across by as many of its sizes."""
    return (face.points + np.array([sizes * face.size, 0, 0])).astype(np.float32)


@pytest.mark.parametrize(
    ("offsets", "score", "presence", "reads"),
    [
        ((0, 0, 0, 0), 0.9, 0.0, 4),  # a face, whatever the mesh says of it
        ((0.1, 0, 0.01, 0), 0.9, 1.0, 4),
        ((0.4, 0, 0, 0), 0.9, 1.0, 2),  # the second look is elsewhere
        ((0, 0, 0.14, 0), 0.9, 1.0, 3),  # no third can be near both
        ((0, 0, 0, 0), 0.65, 0.001, 2),  # the detector is not sure, and the mesh sees nothing
        ((0, 0, 0, 0), 0.0, 0.001, 2),
        ((0, 0, 0, 0), 0.65, 0.05, 4),
        ((0, 0, 0, 0), 0.0, 0.05, 4),  # as a profile in a caller's box
        ((0, 0, 0.06, 0), 0.65, 1.0, 3),
    ],
)
def test_the_mesh_is_read_no_further_than_until_it_is_known_that_there_is_no_face(
    astronaut: FaceLandmarks,
    offsets: tuple[float, ...],
    score: float,
    presence: float,
    reads: int,
) -> None:
    place = Detection(*astronaut.center, astronaut.size, score)
    scripted = Scripted(*(moved(astronaut, by) for by in offsets), presence=presence)
    face = scripted.verify(load_astronaut(), place)
    assert scripted.reads == reads
    assert (face is not None) == (reads == 4)


@pytest.mark.parametrize("score", [0.9, 0.75, 0.65, 0.0])
def test_to_stop_early_changes_no_verdict(astronaut: FaceLandmarks, score: float) -> None:
    rng = np.random.default_rng(0)
    limits, picture, stopped, kept = limits_for(score), load_astronaut(), 0, 0
    for _ in range(100):
        steps = rng.normal(0, rng.uniform(0.5, 5) * limits.widest, 3)
        looks = [moved(astronaut, step) for step in steps]
        middle = np.median(looks, axis=0).astype(np.float32)
        size = FaceLandmarks(middle).size
        spread = max(float(np.abs(look - middle)[:, :2].mean()) for look in looks) / size
        place = Detection(*astronaut.center, astronaut.size, score)
        scripted = Scripted(looks[0], *looks)
        found = scripted.verify(picture, place) is not None
        stopped += scripted.reads < 4
        assert found == limits.accept(FaceLandmarks(middle, spread))
        kept += found
    assert stopped > 10
    assert kept > 10


def test_a_place_that_the_mesh_reads_as_a_dot_is_no_face(astronaut: FaceLandmarks) -> None:
    dot = (astronaut.points * 0.1).astype(np.float32)
    place = Detection(*astronaut.center, astronaut.size, 0.9)
    assert Scripted(dot, dot, dot, dot).verify(load_astronaut(), place) is None


def test_finding_faces_writes_nothing_to_stderr() -> None:
    code = (
        "import cv2, numpy as np\n"
        "from multitalk.face.detector import detect_faces\n"
        f"image = np.ascontiguousarray(cv2.imread({str(ASTRONAUT)!r})[:, :, ::-1])\n"
        "assert len(detect_faces(image)) == 1\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        check=False,
        timeout=PATIENCE_SECONDS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")


LIMITS = ConsistencyLimits(spread=0.02, front=0.01, side=0.03)


def turned_face(yaw: float, *, size: float = 100, spread: float) -> FaceLandmarks:
    points = np.zeros((mesh.NUM_POINTS, 3))
    points[[mesh.LEFT_CHEEK, mesh.LEFT_EYE_OUTER], 0] = 0.4
    points[[mesh.RIGHT_CHEEK, mesh.RIGHT_EYE_OUTER], 0] = -0.4
    points[mesh.FOREHEAD_TOP, 1], points[mesh.CHIN, 1] = -0.5, 0.5
    cos, sin = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    turn = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    face = FaceLandmarks((size * points @ turn.T).astype(np.float32), spread)
    assert face.yaw_degrees == pytest.approx(yaw, abs=0.1)
    return face


@pytest.mark.parametrize(
    ("score", "limits"),
    [
        (0.95, VERY_SURE),
        (0.8, VERY_SURE),
        (0.7, SURE),
        (0.69, UNSURE),
        (0.6, UNSURE),
        (0, UNDETECTED),
    ],
)
def test_a_surer_detector_lets_the_looks_be_further_apart(
    score: float, limits: ConsistencyLimits
) -> None:
    assert limits_for(score) == limits


def test_limits_never_tighten_as_the_detector_becomes_surer() -> None:
    falling = (VERY_SURE, SURE, UNSURE, UNDETECTED)
    for surer, other in pairwise(falling):
        assert surer.front >= other.front
        assert surer.spread >= other.spread
        assert surer.side >= other.side
        assert surer.presence <= other.presence
    assert TRUSTED_BOX.presence == 0


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("yaw", "size", "limit"),
    [
        (0, 100, LIMITS.front),
        (20, 100, LIMITS.front),
        (0, 60, LIMITS.spread),
        (30, 100, LIMITS.spread),
        (44, 30, LIMITS.spread),
        (50, 30, LIMITS.side),
        (70, 200, LIMITS.side),
    ],
)
def test_large_faces_from_the_front_agree_most_and_profiles_least(
    yaw: float, size: float, limit: float, sign: int
) -> None:
    assert LIMITS.accept(turned_face(sign * yaw, size=size, spread=limit))
    assert not LIMITS.accept(turned_face(sign * yaw, size=size, spread=limit + 0.001))


def test_what_is_above_the_widest_limit_is_no_face_however_it_is_turned() -> None:
    assert LIMITS.widest == LIMITS.side
    for yaw in range(-80, 81, 20):
        assert not LIMITS.accept(turned_face(yaw, size=40, spread=LIMITS.widest + 0.001))
