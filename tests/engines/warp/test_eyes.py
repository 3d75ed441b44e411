import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.eyes import EYES, Eye, Eyes, eyes_are_shut, wears_glasses
from multitalk.engines.warp.look import Iris
from multitalk.engines.warp.rig import Rig
from multitalk.face import mesh
from multitalk.face.detector import detect_faces

SKIN = np.array([200.0, 160.0, 135.0])
HALF_WIDTH, HALF_HEIGHT, CENTRE = 60, 20, (150, 120)
BROW = np.stack([np.linspace(95, 205, 5), np.full(5, 60.0)], 1)


def curve(down: float) -> NDArray[np.float64]:
    """A lid's landmarks from corner to corner, bulging down by `down`."""
    t = np.linspace(np.pi, 0, 9)
    return np.stack([CENTRE[0] + HALF_WIDTH * np.cos(t), CENTRE[1] + down * np.sin(t)], 1)


def drawn_eye(*, glasses: bool) -> tuple[NDArray[np.uint8], Eye]:
    """An eye with a dark iris in skin that is lit from the left, and at will a rim above it."""
    light = np.linspace(1.1, 0.8, 300)[None, :, None]
    picture = np.clip(SKIN * light * np.ones((240, 1, 1)), 0, 255).astype(np.uint8)
    cv2.ellipse(picture, CENTRE, (HALF_WIDTH, HALF_HEIGHT), 0, 0, 360, (235, 235, 235), -1)
    cv2.circle(picture, CENTRE, 18, (50, 30, 20), -1)
    if glasses:
        cv2.ellipse(picture, CENTRE, (85, 58), 0, 0, 360, (20, 20, 20), 6)
    return picture, Eye(picture, curve(-HALF_HEIGHT), curve(HALF_HEIGHT), BROW)


def test_a_shut_lid_has_the_colour_of_the_skin_around_with_glasses_or_without() -> None:
    for glasses in (False, True):
        picture, eye = drawn_eye(glasses=glasses)
        eye.paint(picture, closed=1.0, look=(0.0, 0.0))
        lid = picture[110:122, 115:186].astype(float)
        light = np.linspace(1.1, 0.8, 300)[115:186, None]
        assert np.abs(lid - SKIN * light).max() < 40
        assert np.abs((lid - SKIN * light).mean()) < 15


def test_the_rim_of_glasses_is_not_drawn_down_by_a_lid() -> None:
    picture, eye = drawn_eye(glasses=True)
    before = picture.copy()
    eye.paint(picture, closed=1.0, look=(0.0, 0.0))
    np.testing.assert_allclose(picture[56:68, 140:160], before[56:68, 140:160], atol=4)


def test_a_shut_lid_ends_in_a_line_of_lashes_between_the_corners_only() -> None:
    picture, eye = drawn_eye(glasses=False)
    before = picture.astype(float)
    eye.paint(picture, closed=1.0, look=(0.0, 0.0))
    column = picture[100:165, CENTRE[0]].mean(1)
    assert 132 <= 100 + column.argmin() <= 144
    assert column.min() < 0.6 * SKIN.mean()
    outside = np.abs(picture - before)[:, CENTRE[0] + HALF_WIDTH + 8 :]
    assert outside.max() < 12


def test_shut_lids_meet_in_a_line_that_is_lowest_beyond_the_middle_as_filmed_ones() -> None:
    picture, eye = drawn_eye(glasses=False)  # its outer corner is on the left
    eye.paint(picture, closed=1.0, look=(0.0, 0.0))
    light = np.linspace(1.1, 0.8, 300)[None]
    lid = picture[100:165].mean(2) / (SKIN.mean() * light)
    lowest = 100 + lid.argmin(0)
    outer, middle, inner = lowest[[CENTRE[0] - 54, CENTRE[0], CENTRE[0] + 54]]
    assert inner + 5 <= outer <= middle - 3
    assert CENTRE[1] + 0.75 * HALF_HEIGHT < middle <= CENTRE[1] + HALF_HEIGHT
    deepest = np.flatnonzero(lowest == lowest[CENTRE[0] - 50 : CENTRE[0] + 50].max()).mean()
    assert CENTRE[0] - 0.5 * HALF_WIDTH < deepest < CENTRE[0] - 5
    dark = np.flatnonzero(lid.min(0) < 0.8)
    assert CENTRE[0] - 1.1 * HALF_WIDTH <= dark.min() < CENTRE[0] - 0.8 * HALF_WIDTH
    assert CENTRE[0] + 0.8 * HALF_WIDTH < dark.max() <= CENTRE[0] + HALF_WIDTH


def lashed_eye() -> tuple[NDArray[np.uint8], Eye]:
    """An eye with lashes: a dark band above the lid's edge, thinner towards the inner corner."""
    picture, _ = drawn_eye(glasses=False)
    lid = curve(-HALF_HEIGHT)
    lashes = np.concatenate([lid, (lid - np.linspace(12, 0, 9)[:, None] * [0, 1])[::-1]])
    cv2.fillPoly(picture, [np.round(lashes).astype(np.int32)], (60, 45, 40), cv2.LINE_AA)
    return picture, Eye(picture, lid, curve(HALF_HEIGHT), BROW)


def test_lashes_go_down_with_the_lid_and_hang_when_it_is_shut() -> None:
    def dark_rows(closed: float) -> tuple[int, int]:
        picture, eye = lashed_eye()
        eye.paint(picture, closed=closed, look=(0.0, 0.0))
        dark = np.flatnonzero(picture[80:170, CENTRE[0] - 35].mean(1) < 0.6 * SKIN.mean()) + 80
        return int(dark.min()), int(dark.max())

    (top, _), (half, _), (shut, hanging) = (dark_rows(closed) for closed in (0.0, 0.5, 1.0))
    assert top + 6 < half < shut - 6  # nothing stays where the lashes were
    edge = CENTRE[1] + 0.75 * HALF_HEIGHT
    assert edge < hanging < edge + 14


def test_a_shut_lid_unfolds_its_crease() -> None:
    picture, _ = drawn_eye(glasses=False)
    crease = np.round(curve(-HALF_HEIGHT - 38)).astype(np.int32)
    cv2.polylines(picture, [crease[1:-1]], False, (150, 115, 95), 3)
    eye = Eye(picture, curve(-HALF_HEIGHT), curve(HALF_HEIGHT), BROW - [0, 50])

    def darkness() -> float:
        rows = picture[52:76, 130:171].mean(2)
        return float((np.median(rows, 0) - rows.min(0)).max())

    open_eye = darkness()
    eye.paint(picture, closed=1.0, look=(0.0, 0.0))
    assert darkness() < 0.25 * open_eye > 7


def test_hair_that_hangs_above_an_eye_stays_in_a_blink() -> None:
    picture, _ = drawn_eye(glasses=False)
    for x in range(120, 181, 12):
        cv2.line(picture, (x, 0), (x + 6, 52), (95, 75, 65), 2, cv2.LINE_AA)
    before, lids = picture.astype(int), (curve(-HALF_HEIGHT), curve(HALF_HEIGHT))
    Eye(picture, *lids, BROW - [0, 45]).paint(picture, closed=1.0, look=(0.0, 0.0))
    assert np.abs(picture - before)[:54].max() < 12


def test_lids_without_photographed_lashes_shut_on_an_uneven_fringe() -> None:
    picture, eye = drawn_eye(glasses=False)
    eye.paint(picture, closed=1.0, look=(0.0, 0.0))
    dark = picture[125:160].mean(2) < 0.85 * SKIN.mean() * np.linspace(1.1, 0.8, 300)
    thickness = dark.sum(0)[CENTRE[0] - 45 : CENTRE[0] + 10]
    assert 6 <= np.median(thickness) <= 12
    assert thickness.max() - thickness.min() >= 2


def test_a_half_shut_lid_shades_the_eye_and_the_lower_one_is_not_transparent() -> None:
    def painted(closed: float, *, white: int) -> NDArray[np.float64]:
        picture, _ = drawn_eye(glasses=False)
        cv2.ellipse(picture, CENTRE, (HALF_WIDTH, HALF_HEIGHT), 0, 0, 360, (white,) * 3, -1)
        lids = curve(-HALF_HEIGHT), curve(HALF_HEIGHT)
        Eye(picture, *lids, BROW).paint(picture, closed=closed, look=(0.0, 0.0))
        return picture[100:145, CENTRE[0] + 22].mean(1)

    half, open_eye = (painted(closed, white=235) for closed in (0.5, 0.0))
    shaded = slice(half.argmin() + 3, half.argmin() + 7)
    assert half[shaded].mean() < 0.9 * open_eye[shaded].mean()
    shown = (painted(0.875, white=235) - painted(0.875, white=175)) / 60
    floor = int(CENTRE[1] + HALF_HEIGHT * np.sqrt(1 - (22 / HALF_WIDTH) ** 2)) - 100
    assert np.abs(shown[floor - 3 : floor]).max() < 0.3


def test_what_lashes_uncover_beyond_the_outer_corner_has_no_hard_edge() -> None:
    picture, _ = lashed_eye()
    corner, end = CENTRE[0] - HALF_WIDTH, CENTRE[0] - HALF_WIDTH - 12
    picture[80:122, :corner] = (0.7 * picture[80:122, :corner]).astype(np.uint8)  # in shade
    cv2.rectangle(picture, (end, CENTRE[1] - 16), (corner + 6, CENTRE[1]), (60, 45, 40), -1)
    lids = curve(-HALF_HEIGHT), curve(HALF_HEIGHT)
    Eye(picture, *lids, BROW).paint(picture, closed=0.375, look=(0.0, 0.0))
    row = picture[CENTRE[1] - 15 : CENTRE[1] - 11, end - 15 : corner].mean((0, 2))
    assert row[-5:].mean() > row[0] + 10
    assert np.diff(row).max() < 12


def test_lashes_of_shut_eyes_are_as_brown_as_photographed() -> None:
    picture, eye = lashed_eye()
    eye.paint(picture, closed=1.0, look=(0.0, 0.0))
    column = picture[125:160, CENTRE[0] - 30].astype(float)
    red, green, blue = column[column.sum(1).argmin()]
    assert red > 1.1 * green > 1.1 * blue


def test_a_shut_lid_has_no_outline_and_the_colour_of_the_skin_below(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    source = portrait.copy()
    Eyes(source, rig.points, (0, 0), 1).update(closed=1.0, look=(0.0, 0.0))
    for upper, lower, _, under in EYES:
        lid, floor = (rig.points[list(edge), :2] for edge in (upper, lower))
        width = float(np.linalg.norm(lid[0] - lid[-1]))
        (x, top), bottom = lid[4].astype(int), int(floor[4, 1] - 0.12 * width)
        skin = np.median([source[y, x] for x, y in rig.points[list(under), :2].astype(int)], 0)
        assert np.abs(source[top:bottom, x - 5 : x + 6].mean((0, 1)) - skin).max() < 30
        left, right = sorted((int(lid[1, 0]), int(lid[-2, 0])))
        above = source[top - int(0.1 * width) : bottom, left:right].mean(2)
        smooth = cv2.GaussianBlur(above, (0, 0), 1.0)
        assert max(np.abs(np.diff(smooth, axis=axis)).max() for axis in (0, 1)) < 16


def test_a_lid_draws_the_skin_above_the_eye_down_with_it() -> None:
    def shut(*, shadow: bool) -> NDArray[np.float64]:
        picture, _ = drawn_eye(glasses=False)
        if shadow:  # eye shadow: a band above the lashes
            picture[84:94, 110:190] -= np.uint8(25)
        eye = Eye(picture, curve(-HALF_HEIGHT), curve(HALF_HEIGHT), BROW)
        eye.paint(picture, closed=1.0, look=(0.0, 0.0))
        return picture[:, 140:160].mean((1, 2))

    darker = shut(shadow=False) - shut(shadow=True)
    assert darker[CENTRE[1] - HALF_HEIGHT :].max() > 10  # over the eyeball, too


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


def darkened_above(
    picture: NDArray[np.uint8], points: NDArray[np.float64], *, eyes: tuple[int, ...]
) -> NDArray[np.uint8]:
    """The picture with eye shadow: the skin between brow and lashes is darkened on some eyes."""
    mask = np.zeros(picture.shape[:2], np.float32)
    for index in eyes:
        upper, _, brow, _ = EYES[index]
        edge = points[list(upper), :2]
        shadow = np.concatenate([edge, (0.2 * edge.mean(0) + 0.8 * points[list(brow), :2])[::-1]])
        hull = cv2.convexHull(shadow.astype(np.int32))
        cv2.fillConvexPoly(mask, hull, 1.0)
    made_up = picture * (1 - 0.55 * cv2.GaussianBlur(mask, (0, 0), 2)[..., None])
    return made_up.astype(np.uint8)


def lid_brightness(picture: NDArray[np.uint8], points: NDArray[np.float64], eye: int) -> float:
    """Of the shut lid's middle."""
    source = picture.copy()
    Eyes(source, points, (0, 0), 1).update(closed=1.0, look=(0.0, 0.0))
    upper, lower, _, _ = EYES[eye]
    x, y = points[[upper[4], lower[4]], :2].mean(0).astype(int)
    return float(source[y - 4 : y + 1, x - 6 : x + 7].mean())


def test_a_lid_takes_the_colour_above_the_lashes_where_both_eyes_are_made_up(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    plain, both, one = (
        lid_brightness(darkened_above(portrait, rig.points, eyes=eyes), rig.points, 0)
        for eyes in ((), (0, 1), (0,))
    )
    assert both < 0.75 * plain
    assert both < 0.9 * one  # a shadow of the nose or of hair is no make-up


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
    def openings(closed: float) -> tuple[float, float]:
        """Photographed, and as they rest."""
        source = portrait.copy()
        Eyes(source, rig.points, (0, 0), 1).update(closed=closed, look=(0.0, 0.0))
        face = detect_faces(source)[0]
        Eyes(source, face.points.astype(float), (0, 0), 1).update(closed=0.0, look=(0.0, 0.0))
        return float(np.mean(face.eye_openings)), float(
            np.mean(detect_faces(source)[0].eye_openings)
        )

    photographed, rests = openings(0.75)
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
