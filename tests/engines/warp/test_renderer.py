import numpy as np
import pytest
from numpy.typing import NDArray
from posing import lip_gap, pose

from multitalk.engines.warp.poses import open_weight
from multitalk.engines.warp.renderer import HeadRenderer
from multitalk.engines.warp.rig import Rig
from multitalk.face import mesh
from multitalk.face.detector import FaceDetector

NOSE_TIP = 1  # of the mesh


def test_a_pose_of_zeros_is_the_photograph(
    portrait: NDArray[np.uint8], renderer: HeadRenderer
) -> None:
    frame = portrait.copy()
    renderer.draw(frame, pose())
    difference = np.abs(frame.astype(int) - portrait)
    assert difference.mean() < 0.6
    x, y = renderer.rig.points[NOSE_TIP, :2].astype(int)
    assert difference[y - 20 : y + 14, x - 20 : x + 20].max() <= 4  # down to the upper lip


def test_seal_closes_an_open_mouthed_photograph(renderer: HeadRenderer) -> None:
    assert lip_gap(renderer, pose()) > 0.04
    assert lip_gap(renderer, pose(seal=1)) < 0.004


@pytest.mark.parametrize("rounded", [0.0, 0.8])
@pytest.mark.parametrize("gap", [0.02, 0.05, 0.08])
def test_the_lips_part_by_what_is_asked(renderer: HeadRenderer, gap: float, rounded: float) -> None:
    opened = open_weight(renderer.rig, gap, rounded=rounded)
    drawn = pose(seal=1, open=opened, round=rounded)
    assert lip_gap(renderer, drawn) == pytest.approx(gap, abs=0.003)


def test_the_drawn_gap_is_found_again_on_the_picture(
    portrait: NDArray[np.uint8], renderer: HeadRenderer
) -> None:
    asked, found = [], []
    with FaceDetector() as detector:
        for opened in (0.0, 0.3, 0.6, 0.9):
            frame = portrait.copy()
            drawn = pose(seal=1, open=opened)
            renderer.draw(frame, drawn)
            asked.append(lip_gap(renderer, drawn))
            found.append(detector.detect(frame)[0].mouth_opening)
    assert found[0] < 0.012
    assert np.all(np.diff(found) > 0.01)
    assert np.corrcoef(asked, found)[0, 1] > 0.97


def test_pressed_and_tucked_lips_stay_together(renderer: HeadRenderer) -> None:
    assert lip_gap(renderer, pose(seal=1, press=0.9)) == 0
    assert lip_gap(renderer, pose(seal=1, tuck=1)) < 0.02
    assert lip_gap(renderer, pose(seal=1, round=0.85)) < 0.02


def test_shut_lids_are_found_shut_and_open_again(
    portrait: NDArray[np.uint8], renderer: HeadRenderer
) -> None:
    def eye_height(frame: NDArray[np.uint8]) -> float:
        with FaceDetector() as detector:
            points = detector.detect(frame)[0].points
        return float(np.linalg.norm(points[159] - points[145]))

    shut, opened = portrait.copy(), portrait.copy()
    renderer.draw(shut, pose(closed=1))
    renderer.draw(opened, pose(closed=0))
    assert eye_height(shut) < 0.5 * eye_height(opened)
    clean = portrait.copy()
    HeadRenderer(portrait, renderer.rig).draw(clean, pose())
    np.testing.assert_array_equal(opened, clean)


def test_a_look_changes_the_eyes_and_nothing_else(
    portrait: NDArray[np.uint8], renderer: HeadRenderer
) -> None:
    ahead, aside = portrait.copy(), portrait.copy()
    renderer.draw(ahead, pose())
    renderer.draw(aside, pose(look=(0.08, 0)))
    rows, columns = np.nonzero(np.abs(ahead.astype(int) - aside).max(2))
    eyes = renderer.rig.points[list(mesh.RIGHT_EYE_UPPER + mesh.LEFT_EYE_LOWER), :2]
    assert rows.size > 50
    assert eyes[:, 0].min() - 5 < columns.min()
    assert columns.max() < eyes[:, 0].max() + 5
    assert eyes[:, 1].min() - 5 < rows.min()
    assert rows.max() < eyes[:, 1].max() + 5


def test_nothing_outside_the_box_is_touched(
    portrait: NDArray[np.uint8], rig: Rig, renderer: HeadRenderer
) -> None:
    wide = np.pad(portrait, ((0, 0), (200, 200), (0, 0)), mode="edge")
    frame = wide.copy()
    renderer.draw(frame[:, 200:-200], pose(seal=1, open=1, yaw=0.06, pitch=0.05))
    np.testing.assert_array_equal(frame[:, :200], wide[:, :200])
    np.testing.assert_array_equal(frame[:, -200:], wide[:, -200:])
    x0, y0, x1, y1 = rig.box
    assert x0 >= 0
    assert y0 >= 0
    assert x1 <= portrait.shape[1]
    assert y1 <= portrait.shape[0]
