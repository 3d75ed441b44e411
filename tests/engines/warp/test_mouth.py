from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from posing import pose

from multitalk.engines.warp.aperture import Aperture
from multitalk.engines.warp.displacement import displace_points
from multitalk.engines.warp.mouth import MouthInterior, _Inside
from multitalk.engines.warp.poses import open_weight
from multitalk.engines.warp.renderer import HeadRenderer
from multitalk.engines.warp.rig import Rig
from multitalk.engines.warp.shading import LipShading
from multitalk.face import mesh
from multitalk.face.detector import FaceDetector


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
    for opening in (0.045, 0.08):
        opened = open_weight(renderer.rig, opening)
        for weights, share in (
            ({"round": 0.8, "funnel": opened}, (0.15, 0.60)),
            ({"spread": 0.6}, (0.75, 1.0)),
        ):
            gap = aperture_of(renderer, seal=1, open=opened, **weights).gap
            assert gap[len(gap) // 2] > 0.4 * opening * renderer.rig.frame.height
            assert share[0] < np.mean(gap > 0.25 * gap.max()) < share[1]


def test_lips_part_in_a_bell_and_little_towards_the_corners(renderer: HeadRenderer) -> None:
    aperture = aperture_of(renderer, seal=1, open=open_weight(renderer.rig, 0.08))
    corners = renderer.rig.points[[mesh.RIGHT_MOUTH_CORNER, mesh.LEFT_MOUTH_CORNER], 0]
    side = np.abs(aperture.seam[:, 0] - corners.mean()) / np.ptp(corners) * 2
    share = aperture.gap / aperture.gap.max()
    # Measured on films: .72 and .44 of the gap at .5 and .7 of the way to the corners.
    assert 0.55 < share[(side > 0.47) & (side < 0.53)].mean() < 0.80
    assert 0.25 < share[(side > 0.67) & (side < 0.73)].mean() < 0.55


def test_pushed_out_lips_shine_and_shade_the_chin() -> None:
    across, down = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    x = np.linspace(60, 140, 11, dtype=np.float32)
    edge = np.stack([x, np.full(11, 80, np.float32)], 1)
    aperture = Aperture.between(edge, edge + np.float32([0, 6]), down)
    region = np.full((160, 200, 4), 100, np.uint8)
    outer = (np.float32([100, 68]), np.float32([100, 100]))
    grey = np.full(3, 150, np.float32)
    LipShading(across, down, 80.0, grey, grey).push_out(region, (0, 0), aperture, outer, 1.0)
    assert region[92, 100, 0] > 110  # on the lower lip
    assert region[110, 100, 0] < 95  # under it
    assert region[83, 60, 0] < 95  # at the corner
    np.testing.assert_array_equal(region[:30], 100)


def test_a_black_and_white_photograph_stays_so(portrait: NDArray[np.uint8], rig: Rig) -> None:
    grey = np.repeat(luma(portrait).astype(np.uint8)[..., None], 3, 2)
    frame = grey.copy()
    drawn = pose(seal=1, open=open_weight(rig, 0.09), round=0.3, rounding=0.3)
    HeadRenderer(grey, rig).draw(frame, drawn)
    assert np.ptp(frame.astype(int), axis=2).max() <= 3


def test_a_wide_round_mouth_is_no_flat_hole(
    portrait: NDArray[np.uint8], renderer: HeadRenderer
) -> None:
    opened = open_weight(renderer.rig, 0.07)
    drawn = pose(rounding=0.9, seal=1, open=opened, round=0.8, funnel=opened)
    renderer.draw(portrait := portrait.copy(), drawn)
    aperture = renderer._layers(drawn).aperture
    upper, lower = (edge[len(edge) // 2] for edge in (aperture.upper, aperture.lower))
    # Of the gap; the lips' soft edges are left out.
    places = upper + (lower - upper) * np.linspace(0.2, 0.9, 15)[:, None]
    x, y = places.round().astype(int).T
    assert np.ptp(luma(portrait)[y, x]) > 40  # was 10 with neither tongue nor teeth


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


def corner_distance(renderer: HeadRenderer, **weights: float) -> float:
    seam = aperture_of(renderer, **weights).seam
    return float(np.hypot(*(seam[-1] - seam[0])))


def test_an_opening_mouth_does_not_grow_narrower(renderer: HeadRenderer) -> None:
    closed = corner_distance(renderer, seal=1)
    for opening in (0.05, 0.10, 0.15):
        opened = corner_distance(renderer, seal=1, open=open_weight(renderer.rig, opening))
        assert 0.98 * closed < opened < 1.1 * closed


def lip_points(renderer: HeadRenderer, **weights: float) -> dict[str, float]:
    """How far down the middle of each lip's edges and the chin are, face heights."""
    layers = renderer._layers(pose(**weights))
    rig = renderer.rig
    down = rig.frame.axes[1, :2] / np.hypot(*rig.frame.axes[1, :2])
    upper, lower = (layers.upper, rig.upper.grid), (layers.lower, rig.lower.grid)
    places = {
        "upper outer": (mesh.OUTER_UPPER_LIP, upper),
        "upper": (mesh.INNER_UPPER_LIP, upper),
        "lower": (mesh.INNER_LOWER_LIP, lower),
        "lower outer": (mesh.OUTER_LOWER_LIP, lower),
        "below": (18, lower),  # skin, some 0.1 mouth widths below the lower lip
        "chin": (mesh.CHIN, upper),
    }
    return {
        name: float(displace_points(rig.points[[one], :2], *field)[0] @ down / rig.frame.height)
        for name, (one, field) in places.items()
    }


def test_lips_keep_their_thickness_and_the_jaw_follows(
    renderer: HeadRenderer,
) -> None:
    closed = lip_points(renderer, seal=1)
    opened = lip_points(renderer, seal=1, open=open_weight(renderer.rig, 0.10))
    for inner, outer in (("upper", "upper outer"), ("lower", "lower outer")):
        before, after = (abs(one[outer] - one[inner]) for one in (closed, opened))
        assert 0.75 * before < after < 1.15 * before
    moved = {name: opened[name] - closed[name] for name in closed}
    assert 0.02 < moved["chin"] < 0.04  # on films by a third of the gap
    assert moved["lower outer"] > moved["below"] > 1.3 * moved["chin"]  # skin is pushed, not folded
    assert -0.04 < moved["upper"] < -0.01  # it rises by a quarter, the lower lip does the rest
    assert 0.055 < moved["lower"] < 0.085


def test_upper_teeth_stay_with_the_head_when_the_mouth_opens(renderer: HeadRenderer) -> None:
    places = [
        renderer._meeting_place(pose(seal=1, open=opened, spread=spread, lift=0.3))
        for opened, spread in ((0.0, 0.0), (0.9, 0.5))
    ]
    np.testing.assert_array_equal(*places)


def test_lower_teeth_meet_the_upper_ones_in_s_and_give_way_to_the_tongue(
    renderer: HeadRenderer,
) -> None:
    mouth = renderer._mouth
    gap = 0.4 * renderer.rig.frame.mouth_width
    vowel, s = (mouth.jaw_drop(gap, grin=bite, biting=bite, tongue=0) for bite in (0.0, 1.0))
    assert s < 0.3 * vowel
    th, n = (mouth.jaw_drop(0.2 * gap, grin=1, biting=0.3, tongue=way) for way in (1.0, 0.6))
    assert th > 1.2 * n
    assert mouth.jaw_drop(0, grin=1, biting=1, tongue=1) == 0


def test_lower_teeth_are_bared_by_a_grin_and_hidden_by_the_lower_lip_in_a_vowel(
    renderer: HeadRenderer,
) -> None:
    mouth = renderer._mouth
    for share in (0.15, 0.25, 0.35):
        gap = share * renderer.rig.frame.mouth_width
        # The lower lip makes three quarters of the gap: as much of it is below the meeting place.
        bared, hidden = (0.75 * gap - mouth.jaw_drop(gap, grin=grin, biting=0, tongue=0)
                         for grin in (1, 0))  # fmt: skip
        assert hidden < 0.15 * gap
        assert bared > 2.5 * hidden


def test_the_inside_of_a_wide_mouth_is_dark_red_and_not_black(
    portrait: NDArray[np.uint8], renderer: HeadRenderer
) -> None:
    drawn = portrait.copy()
    wide = pose(seal=1, open=open_weight(renderer.rig, 0.13))
    renderer.draw(drawn, wide)
    aperture = renderer._layers(wide).aperture
    inside = np.zeros(portrait.shape[:2], np.uint8)
    outline = np.concatenate([aperture.upper, aperture.lower[::-1]])
    cv2.fillPoly(inside, [outline.round().astype(np.int32)], 1)
    pixels = drawn[cv2.erode(inside, np.ones((3, 3), np.uint8)) > 0].astype(float)
    darkest = pixels[pixels @ (0.30, 0.59, 0.11) < 90]
    assert len(darkest) > 50
    assert np.percentile(darkest @ (0.30, 0.59, 0.11), 5) > 12
    assert np.median(darkest[:, 0] / darkest[:, 1]) > 1.3


def test_drawn_teeth_show_as_far_as_the_photographs_own(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    picture = portrait.copy()
    inner = rig.points[[*mesh.LIPS_INNER_UPPER, *mesh.LIPS_INNER_LOWER[::-1]], :2]
    cv2.fillPoly(picture, [inner.round().astype(np.int32)], (60, 25, 25))
    wide = replace(rig.layout, parted=0.3)
    hidden = MouthInterior(picture, rig.points, rig.frame, wide)._dentition.upper.edge
    usual = MouthInterior(portrait, rig.points, rig.frame, wide)._dentition.upper.edge
    assert hidden < 0 < usual


def parted_mouth(
    portrait: NDArray[np.uint8], rig: Rig, gap: float, *, jaw_drop: float | None = None
) -> NDArray[np.float64]:
    """Luma between lips that are `gap` mouth widths apart, a row for each twelfth of the gap.

    The columns are the middle third of the mouth.
    """
    mouth = MouthInterior(portrait, rig.points, rig.frame, replace(rig.layout, parted=0.0))
    width = rig.frame.mouth_width
    x = np.linspace(-width / 2, width / 2, 21)
    high = gap * width * (1 - (2 * x / width) ** 2)
    middle = mouth.meeting_place
    upper = np.stack([x + middle[0], middle[1] - 0.25 * high], 1).astype(np.float32)
    lower = np.stack([x + middle[0], middle[1] + 0.75 * high], 1).astype(np.float32)
    if jaw_drop is None:
        jaw_drop = mouth.jaw_drop(gap * width, grin=0, biting=0, tongue=0)
    region = np.full((*portrait.shape[:2], 3), 128, np.float32)
    mouth.draw(
        region, (0, 0), Aperture.between(upper, lower, np.array([0.0, 1.0])), skull=middle,
        jaw_drop=jaw_drop, rounding=0.0, tongue=0.0, spoken=1.0,
    )  # fmt: skip
    rows = middle[1] + gap * width * (np.linspace(0, 1, 13) - 0.25)
    columns = middle[0] + np.linspace(-width / 6, width / 6, 60)
    places = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    return luma(cv2.remap(region, *places, cv2.INTER_LINEAR))


def test_lips_that_part_a_little_shade_what_is_between_them(
    portrait: NDArray[np.uint8], rig: Rig
) -> None:
    breath, spoken = (parted_mouth(portrait, rig, gap) for gap in (0.04, 0.25))
    teeth = np.percentile(spoken, 90)
    assert np.median(breath[1:-1]) < 0.68 * teeth  # no strip of teeth
    assert np.percentile(breath, 10) < 0.58 * teeth
    # Teeth that are in the light stay light: a mouth that is dimmed as a whole is grey.
    assert teeth > 210
    assert teeth > 1.9 * np.percentile(spoken, 10)


def test_teeth_are_in_the_upper_lips_shadow(portrait: NDArray[np.uint8], rig: Rig) -> None:
    for gap in (0.10, 0.15):
        rows = parted_mouth(portrait, rig, gap, jaw_drop=0.0).mean(1)
        assert rows[1] < 0.87 * rows[3:-3].max()
        assert rows[1] < rows[-4]  # lower teeth above the lip's wet inner side


def test_what_is_behind_the_upper_teeth_is_lit_through_the_gap(renderer: HeadRenderer) -> None:
    mouth, width = renderer._mouth, int(renderer.rig.frame.mouth_width)
    of = _Inside(
        place=np.zeros(2, int), size=(width, width), skull=np.array([width / 2, width / 2]),
        jaw_drop=0.25 * width, rounding=0.0, tongue=0.0, spoken=1.0, lit=1.0, axes=mouth._axes,
    )  # fmt: skip
    wide, narrow = (
        mouth._draw_inside(replace(of, lit=lit))[:, width // 2 - 5 : width // 2 + 5].mean((1, 2))
        for lit in (1.0, 0.0)
    )
    share = narrow / wide
    upper, tongue, lower = (int((0.5 + v) * width) for v in (-0.05, 0.12, 0.34))
    np.testing.assert_allclose(share[upper], 1, atol=0.01)
    assert share[tongue] < 0.7
    assert share[tongue] < share[lower] < 0.95
