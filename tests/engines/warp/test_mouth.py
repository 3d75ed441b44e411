from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from posing import pose

from multitalk.engines.warp.mouth import Aperture, MouthInterior
from multitalk.engines.warp.poses import open_weight
from multitalk.engines.warp.renderer import HeadRenderer
from multitalk.engines.warp.rig import Rig
from multitalk.engines.warp.shading import LipShading
from multitalk.engines.warp.photographed_mouth import extract_mouth
from multitalk.face import mesh
from multitalk.face.detector import FaceDetector


SKIN = np.float32([200, 160, 140])


def luma(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return image.astype(float) @ (0.30, 0.59, 0.11)


def aperture_of(renderer: HeadRenderer, **weights: float) -> Aperture:
    return renderer._layers(pose(**weights)).aperture


def test_a_smiling_mouth_becomes_round(portrait: NDArray[np.uint8], renderer: HeadRenderer) -> None:
    opened = open_weight(renderer.rig, 0.045)
    narrow, wide = portrait.copy(), portrait.copy()
    renderer.draw(narrow, pose(rounding=0.9, seal=1, open=opened, round=0.8))
    renderer.draw(wide, pose(seal=1, open=opened, spread=0.6))
    with FaceDetector() as detector:
        photograph, o, i = (
            detector.detect(frame)[0].mouth_width for frame in (portrait, narrow, wide)
        )
    assert o < 0.75 * photograph
    assert o < 0.75 * i


def test_a_round_mouth_is_open_in_its_middle_only(renderer: HeadRenderer) -> None:
    opened = open_weight(renderer.rig, 0.045)
    for weights, share in (({"round": 0.8}, (0.15, 0.60)), ({"spread": 0.6}, (0.75, 1.0))):
        gap = aperture_of(renderer, seal=1, open=opened, **weights).gap
        assert gap[len(gap) // 2] > 0.02 * renderer.rig.frame.height
        assert share[0] < np.mean(gap > 0.25 * gap.max()) < share[1]


def test_pushed_out_lips_shine_and_shade_the_chin() -> None:
    across, down = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    x = np.linspace(60, 140, 11, dtype=np.float32)
    edge = np.stack([x, np.full(11, 80, np.float32)], 1)
    aperture = Aperture.between(edge, edge + np.float32([0, 6]), down)
    region = np.full((160, 200, 3), 100, np.float32)
    outer = (np.float32([100, 68]), np.float32([100, 100]))
    grey = np.full(3, 150, np.float32)
    LipShading(across, down, 80.0, grey, grey).push_out(region, (0, 0), aperture, outer, 1.0)
    assert region[92, 100, 0] > 110  # on the lower lip
    assert region[110, 100, 0] < 92  # under it
    assert region[83, 60, 0] < 92  # at the corner
    np.testing.assert_array_equal(region[:30], 100)


def test_a_black_and_white_photograph_stays_so(portrait: NDArray[np.uint8], rig: Rig) -> None:
    grey = np.repeat(luma(portrait).astype(np.uint8)[..., None], 3, 2)
    frame = grey.copy()
    drawn = pose(seal=1, open=open_weight(rig, 0.09), round=0.3, rounding=0.3)
    HeadRenderer(grey, rig).draw(frame, drawn)
    assert np.ptp(frame.astype(int), axis=2).max() <= 3


def test_in_profile_the_far_end_of_the_mouth_is_left_as_it_is(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    aperture = aperture_of(HeadRenderer(portrait, rig), seal=1, open=0.5)
    region = np.full((*portrait.shape[:2], 3), 200, np.float32)
    for degrees in (-60, 60):
        head = replace(rig.frame, yaw_degrees=degrees)
        mouth = MouthInterior(portrait, rig.points, head, rig.layout)
        painted = region.copy()
        mouth.draw(
            painted, (0, 0), aperture, skull=mouth.meeting_place, jaw_drop=20.0, rounding=0.0,
            tongue=0.0, spoken=1.0,
        )  # fmt: skip
        right, left = (aperture.seam[end].round().astype(int) for end in (8, -9))
        far, near = (left, right) if degrees > 0 else (right, left)
        assert painted[far[1], far[0]].min() > 150
        assert painted[near[1], near[0]].min() < 150


def test_a_row_that_runs_into_the_lower_teeth_is_not_taken() -> None:
    picture = photographed_teeth(specks=False)
    cv2.rectangle(picture, (108, 84), (132, 122), (215, 210, 200), -1)
    assert extract_mouth(picture, open_mouth_points(), 120.0, SKIN).teeth is None


def photographed_teeth(specks: bool) -> NDArray[np.uint8]:
    """Skin, a dark open mouth, and in it a row of teeth with, at will, specks below."""
    picture = np.full((200, 300, 3), (200, 160, 140), np.uint8)
    cv2.ellipse(picture, (150, 100), (60, 24), 0, 0, 360, (60, 20, 20), -1)
    cv2.rectangle(picture, (108, 84), (192, 96), (215, 210, 200), -1)
    if specks:
        for x in range(100, 205, 9):
            cv2.circle(picture, (x, 104 + x % 7), 1, (215, 210, 200), -1)
        picture[85:95, 140:142] = (90, 60, 60)  # a dark cleft
    return picture


def open_mouth_points() -> NDArray[np.float64]:
    points = np.zeros((478, 3))
    t = np.linspace(np.pi, 0, 11)
    points[list(mesh.LIPS_INNER_UPPER), :2] = np.stack(
        [150 + 60 * np.cos(t), 100 - 24 * np.sin(t)], 1
    )
    points[list(mesh.LIPS_INNER_LOWER), :2] = np.stack(
        [150 + 60 * np.cos(t), 100 + 24 * np.sin(t)], 1
    )
    return points


@pytest.mark.parametrize("specks", [False, True])
def test_own_teeth_are_one_row_without_specks_or_holes(specks: bool) -> None:
    own = extract_mouth(photographed_teeth(specks), open_mouth_points(), 120.0, SKIN)
    assert own.teeth is not None
    row = (own.teeth * own.cover) > 0.5
    count, _ = cv2.connectedComponents(row.astype(np.uint8))
    assert count == 2  # the row and what is around it
    edge = own.corner[1] + len(row) - 1 - row[::-1, :][:, 60:90].argmax(0)
    assert np.abs(edge - 96).max() <= 3


def test_teeth_that_are_hardly_seen_are_not_used() -> None:
    picture = photographed_teeth(specks=False)
    picture[84:97, 108:160] = (60, 20, 20)
    own = extract_mouth(picture, open_mouth_points(), 120.0, SKIN)
    assert own.teeth is None


def test_what_hangs_from_nothing_is_no_row_of_upper_teeth() -> None:
    picture = photographed_teeth(specks=False)
    inside = picture[84:97, 108:193].copy()
    picture[84:97, 108:193] = (60, 20, 20)  # a dark palate, and a bright tongue below it
    picture[101:114, 108:193] = inside
    own = extract_mouth(picture, open_mouth_points(), 120.0, SKIN)
    assert own.teeth is None


def test_the_folds_of_a_smile_fade_when_it_goes_and_come_back(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    renderer = HeadRenderer(portrait, rig)
    smiling, relaxed, again = (portrait.copy() for _ in range(3))
    renderer.draw(smiling, pose())
    renderer.draw(relaxed, pose(seal=1, round=0.8))
    renderer.draw(again, pose())
    np.testing.assert_array_equal(again, smiling)
    assert fold_depth(relaxed) < 0.6 * fold_depth(smiling)


def fold_depth(frame: NDArray[np.uint8]) -> float:
    """How much darker the darkest place across each fold is than the skin on both its sides."""
    with FaceDetector() as detector:
        face = detector.detect(frame)[0]
    smooth = cv2.GaussianBlur(luma(frame), (0, 0), 0.008 * face.width)
    depths = []
    for fold in (206, 216), (426, 436):
        for x, y in face.points[list(fold), :2]:
            reach = round(0.09 * face.width)
            across = smooth[round(y), round(x) - reach : round(x) + reach + 1]
            sides = min(across[: reach // 2].max(), across[-reach // 2 :].max())
            depths.append(sides - across[reach // 2 : -reach // 2].min())
    return float(np.mean(depths))
