import cv2
import numpy as np
from drawn_eyes import BROW, CENTRE, HALF_HEIGHT, HALF_WIDTH, SKIN, curve, drawn_eye, lashed_eye
from numpy.typing import NDArray

from multitalk.engines.warp.eyes import EYES, Eye, Eyes
from multitalk.engines.warp.rig import Rig


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
    assert column.min() < 0.7 * SKIN.mean()
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
    assert CENTRE[0] - 1.15 * HALF_WIDTH <= dark.min() < CENTRE[0] - 0.9 * HALF_WIDTH
    assert CENTRE[0] + 0.9 * HALF_WIDTH < dark.max() <= CENTRE[0] + 1.05 * HALF_WIDTH


def test_lashes_go_down_with_the_lid_and_hang_when_it_is_shut() -> None:
    def dark_rows(closed: float) -> tuple[int, int]:
        picture, eye = lashed_eye()
        eye.paint(picture, closed=closed, look=(0.0, 0.0))
        dark = np.flatnonzero(picture[80:170, CENTRE[0] - 35].mean(1) < 0.6 * SKIN.mean()) + 80
        return int(dark.min()), int(dark.max())

    (top, _), (half, _), (shut, hanging) = (dark_rows(closed) for closed in (0.0, 0.5, 1.0))
    assert top + 6 < half < shut - 6  # nothing stays where the lashes were
    edge = CENTRE[1] + 0.75 * HALF_HEIGHT
    assert edge < hanging < edge + 18


def test_a_shut_lid_softens_its_crease_but_keeps_it() -> None:
    picture, _ = drawn_eye(glasses=False)
    crease = np.round(curve(-HALF_HEIGHT - 38)).astype(np.int32)
    cv2.polylines(picture, [crease[1:-1]], False, (150, 115, 95), 3)
    eye = Eye(picture, curve(-HALF_HEIGHT), curve(HALF_HEIGHT), BROW - [0, 50])

    def darkness() -> float:
        rows = picture[52:76, 130:171].mean(2)
        return float((np.median(rows, 0) - rows.min(0)).max())

    open_eye = darkness()
    eye.paint(picture, closed=1.0, look=(0.0, 0.0))
    assert 0.2 * open_eye < darkness() < 0.55 * open_eye


def test_a_brow_close_above_an_eye_is_not_drawn_down_by_its_lid() -> None:
    picture, _ = drawn_eye(glasses=False)
    low, lids = BROW + np.array([0, 16]), (curve(-HALF_HEIGHT), curve(HALF_HEIGHT))
    cv2.line(picture, (70, 72), (230, 72), (70, 50, 40), 10)
    before = picture.astype(int)
    Eye(picture, *lids, low).paint(picture, closed=1.0, look=(0.0, 0.0))
    assert np.abs(picture - before)[:78].max() < 12
    lid = picture[100:120, 130:171].mean((0, 2))
    assert lid.min() > 0.85 * before[165:175, 130:171].mean((0, 2)).min()


def test_the_grain_of_a_shut_lid_does_not_show_the_eye_that_it_covers() -> None:
    def shut(*, light: bool) -> NDArray[np.float64]:
        picture, _ = drawn_eye(glasses=False)
        if light:
            cv2.circle(picture, (155, 112), 4, (255, 255, 255), -1)
        Eye(picture, curve(-HALF_HEIGHT), curve(HALF_HEIGHT), BROW - [0, 40]).paint(
            picture, closed=1.0, look=(0.0, 0.0)
        )
        return picture.astype(float)

    assert np.abs(shut(light=True) - shut(light=False))[:90].max() <= 2


def test_a_lid_comes_out_of_a_low_brow_s_shade_only_as_it_shuts() -> None:
    picture, _ = drawn_eye(glasses=False)
    low, lids = BROW + np.array([0, 16]), (curve(-HALF_HEIGHT), curve(HALF_HEIGHT))
    eye = np.round(np.concatenate([curve(-HALF_HEIGHT), [[250, 60], [50, 60]]])).astype(np.int32)
    shade = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(shade, [eye], 255)
    picture[shade > 0] = (0.45 * picture[shade > 0]).astype(np.uint8)
    cv2.line(picture, (70, 72), (230, 72), (70, 50, 40), 8)
    skin = picture[165:175, 130:171].mean()

    def lid(closed: float) -> float:
        shown = picture.copy()
        Eye(shown, *lids, low).paint(shown, closed=closed, look=(0.0, 0.0))
        return float(shown[100:110, 130:171].mean() / skin)

    assert lid(0.5) + 0.02 < lid(1.0) > 0.8


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
    assert 8 <= np.median(thickness) <= 18
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
        skin = np.median([portrait[y, x] for x, y in rig.points[list(under), :2].astype(int)], 0)
        assert np.abs(source[top:bottom, x - 5 : x + 6].mean((0, 1)) - skin).max() < 30
        left, right = sorted((int(lid[1, 0]), int(lid[-2, 0])))
        above = source[top - int(0.1 * width) : bottom - int(0.1 * width), left:right].mean(2)
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
    assert darker[CENTRE[1] - HALF_HEIGHT :].max() > 7  # over the eyeball, too


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


def test_a_lid_takes_the_colour_above_its_own_lashes(portrait: NDArray[np.uint8], rig: Rig) -> None:
    plain, made_up, other = (
        lid_brightness(darkened_above(portrait, rig.points, eyes=eyes), rig.points, 0)
        for eyes in ((), (0,), (1,))
    )
    assert made_up < 0.8 * plain  # some of it is taken for the socket's shade
    assert other == plain


def test_grain_and_light_above_an_eye_are_drawn_down_over_it() -> None:
    def shut(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        eye = Eye(picture, curve(-HALF_HEIGHT), curve(HALF_HEIGHT), BROW)
        eye.paint(picture, closed=1.0, look=(0.0, 0.0))
        return picture[:, 140:161].mean(2)

    spotted, _ = drawn_eye(glasses=False)
    cv2.circle(spotted, (150, 78), 3, (170, 134, 112), -1)
    spot = (shut(drawn_eye(glasses=False)[0]) - shut(spotted)).max(1)
    rows = np.flatnonzero(spot > 6)
    assert rows.mean() > 82  # it has gone down with the lid
    assert 7 < np.ptp(rows) < 20  # and is longer than it was


def test_the_shade_of_a_low_brow_is_not_drawn_down_over_a_shut_eye() -> None:
    picture, _ = drawn_eye(glasses=False)
    high = HALF_HEIGHT + 6  # much to cover, with little skin above
    picture[CENTRE[1] - high - 46 : CENTRE[1] + 4, 60:240] //= 2
    cv2.ellipse(picture, CENTRE, (HALF_WIDTH, high), 0, 0, 360, (235, 235, 235), -1)
    brow = np.stack([np.linspace(95, 205, 5), np.full(5, CENTRE[1] - high - 16.0)], 1)
    eye = Eye(picture, curve(-high), curve(high), brow)
    eye.paint(picture, closed=1.0, look=(0.0, 0.0))
    assert picture[112:122, 135:166].mean() > 0.7 * SKIN.mean()


def test_a_line_of_shut_lids_is_thickest_outwards_of_the_middle_and_ends_beyond_the_corner() -> (
    None
):
    picture, eye = lashed_eye()  # its outer corner is on the left
    eye.paint(picture, closed=1.0, look=(0.0, 0.0))
    light = np.linspace(1.1, 0.8, 300)[None]
    loss = 1 - picture[100:165].mean(2) / (SKIN.mean() * light)
    columns = [CENTRE[0] - round(out * HALF_WIDTH) for out in (-0.8, 0.0, 0.6, 1.0, 1.3)]
    deepest = loss[:, columns].max(0)
    thick = (loss[:, columns] > 0.5 * deepest).sum(0)
    assert thick[0] < 0.8 * thick[1] < 0.85 * thick[2]
    assert 0.5 * deepest[1] < deepest[3] < 0.9 * deepest[1]
    assert deepest[4] < 0.1


def test_a_shut_lid_of_a_blurred_eye_ends_in_a_blurred_line() -> None:
    def steepest(blur: float) -> float:
        picture, _ = lashed_eye()
        picture = cv2.GaussianBlur(picture, (0, 0), blur).astype(np.uint8)
        eye = Eye(picture, curve(-HALF_HEIGHT), curve(HALF_HEIGHT), BROW)
        eye.paint(picture, closed=1.0, look=(0.0, 0.0))
        line = picture[105:165, CENTRE[0] - 5 : CENTRE[0] + 6].mean((1, 2))
        return float(np.abs(np.diff(line)).max())

    assert steepest(5.0) < 0.7 * steepest(1.0)


def test_upright_lines_above_an_eye_are_not_drawn_out_into_streaks() -> None:
    picture, _ = drawn_eye(glasses=False)
    for x in range(120, 181, 12):
        cv2.line(picture, (x, 76), (x, 92), (160, 126, 106), 2, cv2.LINE_AA)
    eye = Eye(picture, curve(-HALF_HEIGHT), curve(HALF_HEIGHT), BROW)

    def uneven(rows: slice) -> float:
        line = picture[rows, 115:186].mean((0, 2))
        return float(np.std(line - np.convolve(np.pad(line, 8, "edge"), np.ones(17) / 17, "valid")))

    photographed = uneven(np.s_[78:90])
    eye.paint(picture, closed=1.0, look=(0.0, 0.0))
    assert uneven(np.s_[96:122]) < 0.35 * photographed


def test_skin_beside_the_outer_corner_does_not_change_as_lids_shut() -> None:
    picture, _ = drawn_eye(glasses=False)
    picture[: CENTRE[1], :] = (0.6 * picture[: CENTRE[1], :]).astype(np.uint8)  # a shade above
    cv2.ellipse(picture, CENTRE, (HALF_WIDTH, HALF_HEIGHT), 0, 0, 360, (235, 235, 235), -1)
    before = picture.astype(float)
    eye = Eye(picture, curve(-HALF_HEIGHT), curve(HALF_HEIGHT), BROW)
    eye.paint(picture, closed=1.0, look=(0.0, 0.0))
    x = CENTRE[0] - round(1.25 * HALF_WIDTH)
    beside = np.abs(picture - before)[CENTRE[1] + 4 : CENTRE[1] + 30, x - 10 : x]
    assert beside.mean() < 4


def test_tails_of_lashes_do_not_stay_beside_shut_lids() -> None:
    picture, _ = lashed_eye()
    x, y = CENTRE[0] - HALF_WIDTH, CENTRE[1]  # the outer corner
    cv2.line(picture, (x, y), (x - 26, y + 10), (60, 45, 40), 3, cv2.LINE_AA)
    before = picture.copy()
    eye = Eye(picture, curve(-HALF_HEIGHT), curve(HALF_HEIGHT), BROW)
    eye.paint(picture, closed=1.0, look=(0.0, 0.0))
    beside = np.s_[y - 10 : y + 24, x - 28 : x - 18]  # the line of shut lids ends before
    skin = np.median(before[beside].mean(2))
    assert before[beside].mean(2).min() < 0.4 * skin
    assert picture[beside].mean(2).min() > 0.75 * skin


def test_a_line_of_shut_lids_is_soft_and_as_dark_as_the_lashes_are() -> None:
    few, many = (
        picture[100:170, CENTRE[0] - 12 : CENTRE[0] + 12].mean((1, 2))
        for picture, eye in (drawn_eye(glasses=False), lashed_eye())
        if eye.paint(picture, closed=1.0, look=(0.0, 0.0)) is None
    )
    losses = [1 - line / line[-5:].mean() for line in (few, many)]
    assert 0.25 < losses[0].max() < 0.45
    photographed = 1 - np.mean([60, 45, 40]) / SKIN.mean()
    assert abs(losses[1].max() - photographed) < 0.1
    for loss in losses:
        assert np.abs(np.diff(loss)).max() < 0.35  # no edge is as sharp as a drawn line's
    widths = [(loss > loss.max() / 2).sum() / (2 * HALF_WIDTH) for loss in losses]
    assert 0.03 < widths[0] < 0.09 < widths[1] < 0.18
