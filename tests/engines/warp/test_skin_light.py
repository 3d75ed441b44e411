from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from posing import pose

from multitalk.engines.warp.displacement import displace_points, invert
from multitalk.engines.warp.renderer import HeadRenderer
from multitalk.engines.warp.rig import Rig
from multitalk.engines.warp.skin_light import SkinLight
from multitalk.face import mesh

GREY = 150
BELOW_LIP, CHIN, CHEEKS = 18, 175, (50, 280)
FOLDS, BESIDE_CHIN, LIPS = (206, 426), (202, 422), (0, 17)


def lit(
    picture: NDArray[np.uint8], rig: Rig, *, gap: float = 0.0, **weights: float
) -> NDArray[np.uint8]:
    """A grey frame of the picture's size, lit as the unmoved face of a pose is.

    Args:
        picture: That tells the light.
        rig: Of the head.
        gap: Between the lips, face heights wider than photographed.
        weights: Of the pose.
    """
    frame = np.full(picture.shape, GREY, np.uint8)
    still = np.zeros((*rig.upper.grid.shape, 2), np.float32)
    at_rest = float(rig.layout.rest_gap[len(rig.layout.rest_gap) // 2])
    SkinLight(picture, rig).shine(
        frame,
        pose(**weights).weights,
        gap=at_rest + gap * rig.frame.height,
        moved=still,
        inverse=invert(still, rig.upper.grid),
    )
    return frame


def at(frame: NDArray[np.uint8], rig: Rig, *landmarks: int) -> list[float]:
    """Mean level at each landmark, less the grey."""
    places = rig.points[list(landmarks), :2].round().astype(int)
    return [float(frame[y, x].mean()) - GREY for x, y in places]


def unsmiling(rig: Rig) -> Rig:
    return replace(rig, frame=replace(rig.frame, mouth_width=0.36 * rig.frame.width))


def test_a_face_that_does_not_move_is_lit_as_photographed(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    assert (lit(portrait, rig) == GREY).all()


def test_an_opened_mouth_shades_the_skin_below_the_lip_and_lights_the_chin(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    frame = lit(portrait, rig, gap=0.10)
    (below, chin), folds, lips = (
        at(frame, rig, *places) for places in ((BELOW_LIP, CHIN), FOLDS, LIPS)
    )
    assert below < -3 < 0 < chin
    assert max(folds) < -1
    assert max(map(abs, lips)) < 0.5 * abs(below)


def test_wide_lips_deepen_the_folds_and_light_the_skin_beside_the_chin(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    frame = lit(portrait, unsmiling(rig), spread=1.0)
    folds = at(frame, rig, *FOLDS)
    assert max(folds) < -4
    assert min(at(frame, rig, *BESIDE_CHIN)) > 3
    smiling = lit(portrait, rig, spread=1.0)
    assert min(at(smiling, rig, *FOLDS)) > max(folds) + 2  # its own are in the photograph


def test_a_cheek_that_turns_away_grows_darker_and_the_other_lighter(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    right, left = (at(lit(portrait, rig, yaw=way), rig, *CHEEKS) for way in (0.14, -0.14))
    assert right[0] > 1 > -0.5 > right[1]
    assert left[0] < -1 < 0.5 < left[1]


def test_a_face_in_deep_shade_changes_more_than_an_evenly_lit_one(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    aside = (np.arange(portrait.shape[1]) - rig.points[1, 0]) / (rig.frame.width / 2)
    changes = []
    for depth in (0.0, 0.7):
        shaded = GREY * (1 - depth * np.clip(aside, -1, 1)[None, :, None] ** 2)
        picture = np.broadcast_to(shaded, portrait.shape).astype(np.uint8)
        right, left = at(lit(picture, rig, yaw=0.14), rig, *CHEEKS)
        changes.append(right - left)
    assert changes[1] > 1.5 * changes[0] > 0


def test_the_light_moves_with_the_head(portrait: NDArray[np.uint8], rig: Rig) -> None:
    """The shade of wide lips is on the moved folds of a drawn head, and nothing is beside it."""
    grey = np.full_like(portrait, GREY)
    renderer = HeadRenderer(grey, unsmiling(rig))
    wide = pose(seal=1, spread=1.0, shift_x=0.2, shift_y=-0.1)
    drawn = grey.copy()
    renderer.draw(drawn, wide)
    field = renderer._layers(wide).upper
    moved = displace_points(rig.points[:, :2], field, rig.upper.grid).astype(np.float64)
    assert max(at(drawn, replace(rig, points=moved), *FOLDS)) < -4
    apart = np.abs(drawn.astype(np.int16) - GREY).max(2)
    cv2.fillPoly(apart, [moved[list(mesh.OVAL)].round().astype(np.int32)], 0)
    assert apart.max() < 3  # what filters leave of an even grey


def test_raised_brows_let_light_into_eyes_that_are_in_their_shade(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    shaded = np.full_like(portrait, GREY)
    for landmark in (222, 442):
        x, y = rig.points[landmark, :2].round().astype(int)
        reach = round(0.06 * rig.frame.height)
        shaded[y - reach : y + reach, x - reach : x + reach] = round(0.5 * GREY)
    even = np.full_like(portrait, GREY)
    deep, flat = (np.mean(at(lit(one, rig, brow=0.8), rig, 222, 442)) for one in (shaded, even))
    assert deep > 5
    assert abs(flat) < 2
    assert np.mean(at(lit(shaded, rig, brow=-0.4), rig, 222, 442)) < -3
    assert np.mean(at(lit(even, rig, brow=0.8), rig, 69, 299)) < 0
