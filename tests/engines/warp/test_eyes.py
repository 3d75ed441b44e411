import cv2
import numpy as np
from drawn_eyes import BROW, CENTRE, HALF_HEIGHT, HALF_WIDTH, curve, drawn_eye
from numpy.typing import NDArray

from multitalk.engines.warp.eyes import EYES, Eye, Eyes, eyes_are_shut, wears_glasses
from multitalk.engines.warp.look import Iris
from multitalk.engines.warp.rig import Rig
from multitalk.face import mesh
from multitalk.face.detector import detect_faces


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


def test_eyes_that_the_photograph_shows_shut_rest_as_they_are(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    assert not eyes_are_shut(rig.points)
    asleep = rig.points.copy()
    for upper, lower, _, _ in EYES:
        asleep[list(upper)] = 0.8 * asleep[list(lower)] + 0.2 * asleep[list(upper)]
    assert eyes_are_shut(asleep)
    source = portrait.copy()
    Eyes(source, asleep, (0, 0), 1).update(closed=1.0, look=(0.1, 0.0))
    np.testing.assert_array_equal(source, portrait)
    narrow = rig.points.copy()  # not shut: they blink
    for upper, lower, _, _ in EYES:
        narrow[list(upper)] = 0.65 * narrow[list(lower)] + 0.35 * narrow[list(upper)]
    Eyes(source, narrow, (0, 0), 1).update(closed=1.0, look=(0.0, 0.0))
    assert np.abs(source.astype(float) - portrait).max() > 60
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


def half_shut_eye() -> NDArray[np.uint8]:
    """The drawn eye under a lid that hides the upper third of its iris, with a catchlight."""
    picture, _ = drawn_eye(glasses=False)
    skin, _ = drawn_eye(glasses=False)
    cv2.ellipse(skin, CENTRE, (HALF_WIDTH + 4, HALF_HEIGHT + 4), 0, 0, 360, (180, 144, 121), -1)
    upper = np.concatenate([curve(-8), curve(-HALF_HEIGHT - 4)[::-1]])
    hidden = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(hidden, [np.round(upper).astype(np.int32)], 255)
    picture[hidden > 0] = skin[hidden > 0]
    cv2.polylines(picture, [np.round(curve(-9)).astype(np.int32)], False, (40, 30, 25), 3)
    cv2.circle(picture, (156, 118), 3, (250, 250, 250), -1)
    return picture


def test_a_half_shut_eye_opens_to_a_round_iris_and_white_with_lashes_and_catchlight() -> None:
    picture = half_shut_eye()
    before = picture.copy()
    iris = Iris(np.array(CENTRE, float), 18.0)
    Eye(picture, curve(-8), curve(HALF_HEIGHT), BROW, iris, opens=0.08)
    luma = picture.mean(2)
    iris_seen, white_seen = luma[107:111, 146:150], luma[107:111, [126, 127, 173, 174]]
    assert iris_seen.max() < 70
    assert white_seen.min() > 150
    assert before.mean(2)[111, 148] < 70  # lashes
    lashes = 90 + luma[90:118, 185].argmin()
    assert lashes + 5 < 90 + before.mean(2)[90:118, 185].argmin()
    assert picture[118, 156].min() > 200
    changes = np.abs(picture.astype(int) - before).max(2)
    assert changes[126:].max() <= 1 >= changes[:62].max()


def test_a_dull_half_shut_eye_opens_to_a_clear_one_in_its_colours() -> None:
    picture = half_shut_eye()
    dull = cv2.GaussianBlur(picture, (0, 0), 5)[:, :, :3]
    cv2.circle(dull, CENTRE, 18, (50, 70, 95), -1)  # a blue iris
    dull[80:112] = picture[80:112]
    before, picture = ((0.7 * dull).astype(np.uint8) for _ in range(2))
    iris, drawn = Iris(np.array(CENTRE, float), 18.0), Iris(np.array([150.0, 114.0]), 18.0)
    Eye(picture, curve(-8), curve(HALF_HEIGHT), BROW, iris, opens=0.12, clear=drawn)
    luma = picture.mean(2)
    colour = picture[123:126, 138:163].mean((0, 1))
    assert luma[114:118, 146:150].mean() < 0.5 * colour.mean() < 90  # pupil
    assert luma[106:114, 146:156].max() > 180  # catchlight
    assert colour[2] > 1.2 * colour[0]
    white = luma[112:122, [120, 180]].mean()
    assert white > 0.7 * before[160:170, 120:180].mean() > luma[112:122, [136, 164]].mean()
    changes = np.abs(picture.astype(int) - before).max(2)
    assert changes[155:].max() <= 1 >= changes[:60].max()


def test_half_shut_eyes_rest_more_open_and_open_or_nearly_shut_ones_as_photographed(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    def openings(*closed: float) -> tuple[float, float]:
        """Photographed, and as they rest; of the mean of two pictures between two stages."""
        pictures = []
        for one in closed:
            pictures.append(portrait.copy())
            Eyes(pictures[-1], rig.points, (0, 0), 1).update(closed=one, look=(0.0, 0.0))
        source = np.mean(pictures, axis=0).astype(np.uint8)
        face = detect_faces(source)[0]
        Eyes(source, face.points.astype(float), (0, 0), 1).update(closed=0.0, look=(0.0, 0.0))
        return float(np.mean(face.eye_openings)), float(
            np.mean(detect_faces(source)[0].eye_openings)
        )

    photographed, rests = openings(0.625, 0.75)
    assert 0.12 < photographed < 0.25
    assert photographed + 0.015 < rests < 0.3
    for closed in (0.0, 1.0):
        photographed, rests = openings(closed)
        assert rests == photographed


def test_eyes_that_look_down_under_lowered_lids_look_up(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    def changed(points: NDArray[np.float64]) -> bool:
        picture = portrait.copy()
        Eyes(picture, points, (0, 0), 1).update(closed=0.0, look=(0.0, 0.0))
        return bool((picture != portrait).any())

    lowered, narrow = rig.points.copy(), rig.points.copy()
    for upper, lower, *_ in EYES:
        width = np.linalg.norm(lowered[upper[0], :2] - lowered[upper[-1], :2])
        gap = (lowered[list(lower), 1] - lowered[list(upper), 1]).clip(0)
        for points in (lowered, narrow):
            points[list(upper)[1:-1], 1] += 0.2 * gap[1:-1]
            points[list(lower)[1:-1], 1] -= 0.2 * gap[1:-1]
        for iris in (mesh.RIGHT_IRIS, mesh.LEFT_IRIS):
            lowered[list(iris), 1] += 0.05 * width
    assert not changed(rig.points)
    assert not changed(narrow)
    assert changed(lowered)
