import cv2
import numpy as np
from drawn_eyes import drawn_eye
from numpy.typing import NDArray

from multitalk.engines.warp.eye_rest import EYES
from multitalk.engines.warp.eyes import Eyes, eyes_are_shut
from multitalk.engines.warp.glasses import wears_glasses
from multitalk.engines.warp.rig import Rig
from multitalk.face import mesh


def test_an_eye_that_opens_again_is_as_it_was() -> None:
    picture, eye = drawn_eye(glasses=False)
    before = picture.copy()
    eye.paint(picture, closed=0.7, look=(0.05, 0.0))
    assert np.any(picture != before)
    eye.paint(picture, closed=0.0, look=(0.0, 0.0))
    np.testing.assert_array_equal(picture, before)


def test_behind_dark_glasses_and_behind_the_nose_no_lid_is_painted(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    right, left = (mesh.RIGHT_EYE_UPPER, mesh.LEFT_EYE_UPPER)

    def blink(picture: NDArray[np.uint8], points: NDArray[np.float64]) -> list[bool]:
        source = picture.copy()
        Eyes(source, points, (0, 0), 1).update(closed=1.0, look=(0.0, 0.0))
        changed = (source != picture).any(2)
        middles = [points[list(lid), :2].mean(0).astype(int) for lid in (right, left)]
        return [bool(changed[y - 5 : y + 6, x - 5 : x + 6].any()) for x, y in middles]

    assert blink(portrait, rig.points) == [True, True]
    shades = portrait.copy()
    for lid in (right, left):
        x, y = rig.points[list(lid), :2].mean(0).astype(int)
        cv2.circle(shades, (int(x), int(y)), 24, (25, 20, 20), -1)
    assert blink(shades, rig.points) == [False, False]
    turned = rig.points.copy()
    turned[list(left), 0] = turned[left[-1], 0] + (turned[list(left), 0] - turned[left[-1], 0]) / 4
    assert blink(portrait, turned) == [True, False]
    for slope, lids in ((1.6, [True, False]), (-1.6, [False, True]), (0.8, [True, True])):
        deep = rig.points.copy()  # 58 and 39 degrees
        deep[:, 2] = slope * (deep[:, 0] - deep[:, 0].mean())
        assert blink(portrait, deep) == lids


def test_eyes_of_a_few_pixels_blink_in_the_colour_of_skin(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    small = 0.2
    source = cv2.resize(portrait, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
    before = source.astype(float)
    Eyes(source, rig.points * small, (0, 0), 1).update(closed=1.0, look=(0.0, 0.0))
    changed = np.abs(source - before).max(2) > 0
    assert changed.sum() > 5
    assert 0.6 < source[changed].mean() / before[30:60, 35:55].mean() < 1.4


def with_lids(points: NDArray[np.float64], *, gap: float) -> NDArray[np.float64]:
    """Landmarks whose upper lids leave so much of the gap."""
    moved = points.copy()
    for upper, lower, _, _ in EYES:
        moved[list(upper)] = (1 - gap) * moved[list(lower)] + gap * moved[list(upper)]
    return moved


def test_shut_eyes_behind_glasses_rest_as_they_are(portrait: NDArray[np.uint8], rig: Rig) -> None:
    assert not eyes_are_shut(rig.points)
    asleep = with_lids(rig.points, gap=0.2)
    assert eyes_are_shut(asleep)
    glasses = with_glasses(portrait, rig.points, rim_above_lashes=0.6)
    source = glasses.copy()
    Eyes(source, asleep, (0, 0), 1).update(closed=1.0, look=(0.1, 0.0))
    np.testing.assert_array_equal(source, glasses)
    Eyes(source, with_lids(rig.points, gap=0.35), (0, 0), 1).update(closed=1.0, look=(0.0, 0.0))
    assert np.abs(source.astype(float) - glasses).max() > 60  # narrow ones blink
    wink = rig.points.copy()
    wink[list(EYES[0][0])] = asleep[list(EYES[0][0])]
    assert not eyes_are_shut(wink)


def with_glasses(
    picture: NDArray[np.uint8], points: NDArray[np.float64], *, rim_above_lashes: float
) -> NDArray[np.uint8]:
    """The picture with a bridge, and a rim across each eye so many eye widths above its lashes."""
    drawn = picture.copy()
    inner = points[[133, 362], :2]
    cv2.line(drawn, *(tuple(map(int, end)) for end in inner), (20, 18, 18), 5)
    for upper, _, _, _ in EYES:
        lid = points[list(upper), :2]
        along = lid[-1] - lid[0]
        height = lid[:, 1].min() - rim_above_lashes * np.linalg.norm(along)
        ends = [
            (int(lid[0, 0] - 0.2 * along[0]), int(height)),
            (int(lid[-1, 0] + 0.2 * along[0]), int(height)),
        ]
        cv2.line(drawn, *ends, (20, 18, 18), 3)
    return drawn


def test_an_eye_outside_the_picture_is_not_painted(portrait: NDArray[np.uint8], rig: Rig) -> None:
    right_corner = int(rig.points[mesh.RIGHT_EYE_INNER, 0])
    half = np.ascontiguousarray(portrait[:, : right_corner + 8])
    source = half.copy()
    Eyes(source, rig.points, (0, 0), 1).update(closed=1.0, look=(0.0, 0.0))
    changed = np.flatnonzero((source != half).any((0, 2)))
    assert changed.size
    assert changed.max() <= right_corner + 8


def test_glasses_are_known_by_their_bridge(portrait: NDArray[np.uint8], rig: Rig) -> None:
    assert not wears_glasses(portrait, rig.points)
    assert wears_glasses(with_glasses(portrait, rig.points, rim_above_lashes=0.6), rig.points)


def test_lids_pass_behind_a_rim_and_stay_open_where_it_touches_the_lashes(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    def changes(picture: NDArray[np.uint8]) -> NDArray[np.int_]:
        source = picture.copy()
        Eyes(source, rig.points, (0, 0), 1).update(closed=1.0, look=(0.0, 0.0))
        return np.abs(source.astype(int) - picture).max(2)

    for above in (0.6, 0.25):
        glasses = with_glasses(portrait, rig.points, rim_above_lashes=above)
        changed = changes(glasses)
        assert changed.max() > 60
        is_rim = (glasses != portrait).any(2) & (glasses.max(2) <= 24)
        is_rim[int(min(rig.points[list(upper), 1].min() for upper, *_ in EYES)) :] = False
        assert is_rim.sum() > 200
        assert np.mean(changed[is_rim] > 40) < 0.02
    touching = with_glasses(portrait, rig.points, rim_above_lashes=0.6)
    for upper, *_ in EYES:
        lid = rig.points[list(upper), :2]
        lid = lid - (0.18 * np.linalg.norm(lid[0] - lid[-1]) * np.array([0, 1]))
        cv2.polylines(touching, [np.round(lid).astype(np.int32)], False, (20, 18, 18), 3)
    assert changes(touching).max() == 0


def test_thick_lashes_below_a_rim_blink(portrait: NDArray[np.uint8], rig: Rig) -> None:
    picture = with_glasses(portrait, rig.points, rim_above_lashes=0.6)
    for upper, *_ in EYES:
        lid = rig.points[list(upper), :2]
        width = float(np.linalg.norm(lid[0] - lid[-1]))
        liner, rim = np.concatenate([lid, (lid - [0, 0.13 * width])[::-1]]), lid - [0, 0.3 * width]
        cv2.polylines(picture, [np.round(rim).astype(np.int32)], False, (20, 18, 18), 3)
        cv2.fillPoly(picture, [np.round(liner).astype(np.int32)], (20, 18, 18))
    source = picture.copy()
    Eyes(source, rig.points, (0, 0), 1).update(closed=1.0, look=(0.0, 0.0))
    assert np.abs(source.astype(int) - picture).max() > 60


def test_lids_have_the_colour_of_skin_in_grainy_pictures_too(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    def lids(picture: NDArray[np.uint8]) -> tuple[NDArray[np.float64], float]:
        """Mean colour of what shut lids cover, and how much it varies from pixel to pixel."""
        source = picture.copy()
        Eyes(source, rig.points, (0, 0), 1).update(closed=1.0, look=(0.0, 0.0))
        covered = np.zeros(source.shape[:2], np.uint8)
        for upper, lower, _, _ in EYES:
            outline = rig.points[[*upper, *lower[::-1]], :2].astype(np.int32)
            cv2.fillPoly(covered, [outline], 1)
        fine = source - cv2.GaussianBlur(source.astype(float), (0, 0), 1.5)
        return source[covered > 0].mean(0), float(fine[covered > 0].std())

    noise = np.random.default_rng(0).normal(0, 22, portrait.shape)
    grainy = np.clip(portrait + noise, 0, 255).astype(np.uint8)
    (usual, smooth), (found, rough) = lids(portrait), lids(grainy)
    warmth = [float(colour[0] - colour[2]) for colour in (usual, found)]
    assert abs(warmth[1] - warmth[0]) < 8
    assert rough > smooth + 3


def test_drawn_eyes_are_as_soft_as_the_picture(portrait: NDArray[np.uint8], rig: Rig) -> None:
    asleep = portrait.copy()
    Eyes(asleep, rig.points, (0, 0), 1).update(closed=1.0, look=(0.0, 0.0))
    shut = with_lids(rig.points, gap=0.3)
    steepest = []
    for blur in (0.3, 3.0):
        picture = cv2.GaussianBlur(asleep, (0, 0), blur)
        source = picture.astype(np.uint8)
        Eyes(source, shut, (0, 0), 1)
        drawn = np.abs(source.astype(int) - picture).max(2) > 8
        assert drawn.sum() > 100
        slopes = np.abs(np.diff(source.astype(int).sum(2), axis=1))
        steepest.append(np.quantile(slopes[drawn[:, 1:]], 0.95))
    assert steepest[1] < 0.7 * steepest[0]
