"""Half-shut eyes: how they rest, and how open ones are drawn."""

import cv2
import numpy as np
from drawn_eyes import BROW, CENTRE, HALF_HEIGHT, HALF_WIDTH, SKIN, curve, drawn_eye
from numpy.typing import NDArray

from multitalk.engines.warp.drawn_eye import iris_colour
from multitalk.engines.warp.eye_rest import EYES, Rest, opening_of
from multitalk.engines.warp.eyeball import Iris
from multitalk.engines.warp.eyes import Eye, Eyes, eye_notice
from multitalk.engines.warp.lid_geometry import LidGeometry
from multitalk.engines.warp.rig import Rig
from multitalk.face import mesh
from multitalk.face.detector import detect_faces


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
    rest = Rest(curve(-17.6), curve(HALF_HEIGHT), iris)
    Eye(picture, curve(-8), curve(HALF_HEIGHT), BROW, iris, rest=rest)
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


def drawn_open(iris: tuple[int, int, int], *, grey: bool = False) -> NDArray[np.float64]:
    """An eye that is nearly shut over an iris of a colour, drawn open: float64 [h, w, 3]."""
    picture = half_shut_eye()
    cv2.circle(picture, CENTRE, 18, iris, -1)
    hidden = np.concatenate([curve(6), curve(-HALF_HEIGHT - 4)[::-1]])
    cv2.fillPoly(picture, [np.round(hidden).astype(np.int32)], (180, 144, 121))
    cv2.polylines(picture, [np.round(curve(6)).astype(np.int32)], False, (40, 30, 25), 3)
    if grey:
        picture[:] = picture.mean(2, keepdims=True).astype(np.uint8)
    lids, seen = (curve(6), curve(HALF_HEIGHT)), Iris(np.array(CENTRE, float), 18.0)
    low = np.zeros(2, int)
    place = LidGeometry.of((*lids, BROW), low, np.array(picture.shape[1::-1]))
    colour = iris_colour([(picture, place, seen)])
    rest = Rest(curve(-22), curve(HALF_HEIGHT), Iris(np.array([150.0, 119.0]), 24.0), colour)
    Eye(picture, *lids, BROW, seen, rest=rest)
    return picture.astype(float)


def test_a_nearly_shut_eye_is_drawn_open_with_white_iris_pupil_catchlight_and_lashes() -> None:
    eye = drawn_open((60, 42, 32))
    luma = eye.mean(2)
    skin = luma[165:175, 130:170].mean()
    assert luma[119:124, 146:151].mean() < 0.25 * skin  # pupil
    iris, white = luma[122:126, [136, 163]].mean(), luma[118:128, [112, 188]].mean()
    assert 1.5 * luma[119:124, 146:151].mean() < iris < 0.4 * skin
    assert 0.7 * skin < white < 1.2 * skin
    assert luma[106:120, 146:160].max() > 1.1 * skin  # catchlight
    edge = 85 + luma[85:115, CENTRE[0]].argmin()
    assert abs(edge - (CENTRE[1] - 22)) <= 3  # lashes
    assert luma[edge + 3 : edge + 6, 120].mean() < 0.75 * luma[118:124, 120].mean()  # in shade


def test_nothing_of_a_nearly_shut_eye_stays_beside_or_below_the_drawn_one() -> None:
    """Neither a dark tail of lashes at its outer corner, nor lashes that hang; a mole does."""
    picture, _ = drawn_eye(glasses=False)
    bare = picture.copy()
    light = np.linspace(1.1, 0.8, 300)[None, :, None]
    bare[:] = np.clip(SKIN * light * np.ones((240, 1, 1)), 0, 255)
    picture[:] = bare
    cv2.polylines(picture, [np.round(curve(12)).astype(np.int32)], False, (60, 35, 35), 8)
    cv2.ellipse(picture, (84, 116), (10, 5), 0, 0, 360, (70, 30, 35), -1)  # its outer corner
    for x in range(120, 181, 8):
        cv2.line(picture, (x, 130), (x, 142), (90, 65, 60), 3)
    cv2.circle(picture, (150, 168), 3, (120, 80, 65), -1)
    mole = picture[164:173, 145:156].copy()
    lids, seen = (curve(8), curve(14)), Iris(np.array(CENTRE, float), 18.0)
    rest = Rest(curve(-22), curve(14), Iris(np.array([150.0, 115.0]), 24.0), np.full(3, 0.2))
    Eye(picture, *lids, BROW, seen, rest=rest)
    off = np.abs(picture.astype(float) - bare).max(2)
    assert off[105:130, 60:78].max() < 25
    assert off[141:160, 110:190].max() < 25
    np.testing.assert_allclose(picture[164:173, 145:156], mole, atol=2)


def test_a_drawn_iris_has_the_hue_that_shows_of_it_and_none_in_a_grey_picture() -> None:
    def iris(colour: tuple[int, int, int], *, grey: bool = False) -> NDArray[np.float64]:
        return np.asarray(drawn_open(colour, grey=grey)[122:126, [136, 163]].mean((0, 1)))

    brown, blue = iris((60, 42, 32)), iris((95, 105, 125))
    assert brown[0] > 1.2 * brown[2]
    assert blue[2] > 1.05 * blue[0]
    assert blue.mean() > 1.3 * brown.mean()
    grey = drawn_open((60, 42, 32), grey=True)
    assert np.ptp(grey[95:150, 80:220], axis=2).max() <= 1


def test_skin_above_a_lid_that_opens_far_folds_below_the_brow() -> None:
    picture = half_shut_eye()
    cv2.line(picture, (80, 62), (220, 62), (60, 45, 35), 6)  # a brow
    before = picture.astype(float)
    rest = Rest(
        curve(-30), curve(HALF_HEIGHT), Iris(np.array(CENTRE, float), 24.0), np.full(3, 0.2)
    )
    iris, lower_brow = Iris(np.array(CENTRE, float), 18.0), BROW + np.array([0, 8])
    Eye(picture, curve(-8), curve(HALF_HEIGHT), lower_brow, iris, rest=rest)
    assert np.abs(picture - before)[:66].max() < 12
    column = picture[66:88, CENTRE[0] - 5 : CENTRE[0] + 6].mean((1, 2))
    fold = column[6:18].argmin() + 6
    assert column[fold] < 0.95 * min(column[:3].mean(), column[fold + 4])


def test_half_shut_eyes_rest_open_and_open_ones_as_photographed(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    def openings(closed: float) -> tuple[float, float, str | None]:
        """Photographed, as they rest, and what is noticed."""
        source = portrait.copy()
        Eyes(source, rig.points, (0, 0), 1).update(closed=closed, look=(0.0, 0.0))
        face = detect_faces(source)[0]
        notice = eye_notice(source, face.points, painted=True)
        Eyes(source, face.points.astype(float), (0, 0), 1).update(closed=0.0, look=(0.0, 0.0))
        rests = np.mean(detect_faces(source)[0].eye_openings)
        return float(np.mean(face.eye_openings)), float(rests), notice

    for closed in (0.75, 1.0):
        photographed, rests, notice = openings(closed)
        assert photographed < 0.24
        assert 0.26 < rests < 0.36
        assert notice == "eyes_are_drawn"
    photographed, rests, notice = openings(0.0)
    assert abs(rests - photographed) < 0.01
    assert notice is None


def test_eyes_that_squint_are_not_drawn_and_hooded_ones_open_a_little(rig: Rig) -> None:
    squint, *hooded = (rig.points.copy() for _ in range(3))
    for upper, lower, *_ in EYES:
        gap = (squint[list(lower), 1] - squint[list(upper), 1]).clip(0)
        squint[list(lower), 1] -= 0.3 * gap
        for points, share in zip(hooded, (0.25, 0.34), strict=True):
            points[list(upper), 1] += share * gap
    assert not opening_of(rig.points).rise
    assert not opening_of(squint).drawn
    for points in hooded:
        opening = opening_of(points)
        assert 0.01 < opening.rise <= 0.04
        assert not opening.drawn


def test_eyes_that_look_down_under_lowered_lids_look_up(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    def changed(points: NDArray[np.float64]) -> bool:
        picture = portrait.copy()
        Eyes(picture, points, (0, 0), 1).update(closed=0.0, look=(0.0, 0.0))
        return bool(np.abs(picture.astype(int) - portrait).max() > 30)  # more than contrast

    lowered, narrow = rig.points.copy(), rig.points.copy()
    for upper, lower, *_ in EYES:
        width = np.linalg.norm(lowered[upper[0], :2] - lowered[upper[-1], :2])
        gap = (lowered[list(lower), 1] - lowered[list(upper), 1]).clip(0)
        for points in (lowered, narrow):
            points[list(upper)[1:-1], 1] += 0.1 * gap[1:-1]
            points[list(lower)[1:-1], 1] -= 0.25 * gap[1:-1]
        for iris in (mesh.RIGHT_IRIS, mesh.LEFT_IRIS):
            lowered[list(iris), 1] += 0.05 * width
    assert not changed(rig.points)
    assert not changed(narrow)
    assert changed(lowered)
