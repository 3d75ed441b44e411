import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from posing import pose

from multitalk.engines.warp.displacement import Grid, displace_points
from multitalk.engines.warp.expressions import EXPRESSIONS
from multitalk.engines.warp.eye_rest import EYES
from multitalk.engines.warp.eyes import points_at_rest
from multitalk.engines.warp.face_frame import HeadFrame, MouthLayout
from multitalk.engines.warp.head_motion import foreshortening
from multitalk.engines.warp.rig import InnerLips, Rig, build_rig
from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks

SIZE = (440, 440)
NOSE = (168, 2)  # landmarks of its root and of its base
SIDES_OF_THE_FACE = (234, 132, 172, 136, 454, 361, 397, 365)  # landmarks of its outline


def outside(rig: Rig, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Face heights of each lattice point outside the hull of all landmarks, and its row."""
    x, y = grid.coordinates()
    hull = cv2.convexHull(rig.points[: mesh.NUM_FACE_POINTS, :2].astype(np.float32))
    away = [
        -cv2.pointPolygonTest(hull, (float(a), float(b)), True)
        for a, b in zip(x.flat, y.flat, strict=True)
    ]
    return np.reshape(away, x.shape) / rig.frame.height, y


def turned(face: FaceLandmarks, degrees: float) -> FaceLandmarks:
    """The same head, turned about the vertical."""
    angle = np.radians(degrees)
    turn = np.array(
        [[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]]
    )
    centre = face.points.mean(0)
    return FaceLandmarks(((face.points - centre) @ turn.T + centre).astype(np.float32))


def test_expressions_leave_the_background_beside_the_jaw(rig: Rig) -> None:
    eyes, chin = rig.points[[mesh.RIGHT_EYE_OUTER, mesh.CHIN], 1]
    for basis in (rig.upper, rig.lower):
        away, row = outside(rig, basis.grid)
        beside = (away > 0.08) & (row > eyes) & (row < chin - 0.1 * rig.frame.height)
        assert beside.any()
        for name in EXPRESSIONS:
            moved = basis.displacement(pose(**{name: 1.0}).weights)
            assert np.linalg.norm(moved[beside], axis=-1).max() < 0.006 * rig.frame.height, name


def test_the_lips_of_a_turned_head_are_not_taken_for_background(face: FaceLandmarks) -> None:
    """Though they stand out over the oval of the face there."""
    for degrees in (-50, 50):
        side = build_rig(turned(face, degrees), picture_size=SIZE)
        assert abs(side.frame.yaw_degrees) > 45
        assert side.open_gap > 0.55 * side.layout.max_gap


def test_a_gaping_mouth_closes_without_hanging_corners_and_without_swallowing_its_lips(
    face: FaceLandmarks,
) -> None:
    gape = 0.12 * face.height
    points = face.points.copy()
    side = MouthLayout.of(HeadFrame.of(face)).side[list(mesh.UPPER_LIP)]
    points[list(mesh.UPPER_LIP), 1] += gape * side**2
    points[[*mesh.LOWER_LIP, *mesh.MOUTH_CORNERS, mesh.CHIN], 1] += gape
    rig = build_rig(FaceLandmarks(points), picture_size=SIZE)
    weights = pose(seal=1.0).weights
    lower, grid, height = rig.lower.displacement(weights), rig.lower.grid, rig.frame.height
    top = (grid.y - rig.upper.grid.y) // grid.step
    left = (grid.x - rig.upper.grid.x) // grid.step
    rows, columns = grid.shape
    upper = rig.upper.displacement(weights)[top : top + rows, left : left + columns]
    gaps = InnerLips.of(rig.points, rig.frame, grid).gaps(upper, lower) / height
    assert gaps[1:-1].max() < 0.003
    assert gaps.min() > -0.02
    line = displace_points(rig.points[list(mesh.LIPS_INNER_UPPER), :2], upper, grid)[:, 1]
    assert max(line[0], line[-1]) - line[5] < 0.01 * height


def drawn_up(rig: Rig, landmarks: tuple[int, ...], **weights: float) -> float:
    """Pixels by which landmarks go up in a pose, as the upper layer draws them."""
    places = rig.points[list(landmarks), :2]
    field = rig.upper.displacement(pose(**weights).weights)
    return float((places - displace_points(places, field, rig.upper.grid))[:, 1].mean())


def test_the_neck_follows_a_chin_that_rises_as_a_gaping_mouth_closes(face: FaceLandmarks) -> None:
    points = face.points.copy()
    layout = MouthLayout.of(HeadFrame.of(face))
    dropped = 0.12 * face.height
    points[: mesh.NUM_FACE_POINTS, 1] += dropped * np.maximum(layout.jaw, layout.lower)
    rig = build_rig(FaceLandmarks(points), picture_size=SIZE)
    sealed = rig.upper.displacement(pose(seal=1.0).weights)
    chin = rig.points[[mesh.CHIN], :2]
    neck = chin + np.array([0, 0.10 * rig.frame.height])
    rises = [
        float((place - displace_points(place, sealed, rig.upper.grid))[0, 1])
        for place in (chin, neck)
    ]
    assert rises[0] > 0.03 * rig.frame.height
    assert rises[1] > 0.5 * rises[0]


def test_a_narrow_mouth_that_gapes_closes_to_a_wider_one(face: FaceLandmarks) -> None:
    points = face.points.copy()
    lips = list({*mesh.UPPER_LIP, *mesh.LOWER_LIP, *mesh.MOUTH_CORNERS})
    middle = points[[mesh.INNER_UPPER_LIP, mesh.INNER_LOWER_LIP], 0].mean()
    points[lips, 0] = middle + 0.6 * (points[lips, 0] - middle)
    narrow = build_rig(FaceLandmarks(points), picture_size=SIZE)
    points[list(mesh.LOWER_LIP), 1] += 0.06 * face.height
    gaping = build_rig(FaceLandmarks(points), picture_size=SIZE)
    corners = [mesh.RIGHT_MOUTH_CORNER, mesh.LEFT_MOUTH_CORNER]
    widths = []
    for one in (narrow, gaping):
        field = one.upper.displacement(pose(seal=1.0).weights)
        sealed = displace_points(one.points[corners, :2], field, one.upper.grid)
        before = one.points[corners, :2]
        widths.append(np.ptp(sealed[:, 0]) / np.ptp(before[:, 0]))
    assert widths[1] > widths[0] + 0.02


def test_raised_brows_open_the_eyes_a_little(rig: Rig) -> None:
    brow, upper, lower = (
        drawn_up(rig, landmarks, brow=0.8)
        for landmarks in (mesh.RIGHT_BROW_LOWER, mesh.RIGHT_EYE_UPPER[3:-3], mesh.RIGHT_EYE_LOWER)
    )
    assert 0.08 * brow < upper < 0.35 * brow
    assert upper > 2 * lower


def test_raised_brows_and_squints_move_lids_as_they_rest_rather_than_as_photographed(
    portrait: NDArray[np.uint8], face: FaceLandmarks, rig: Rig
) -> None:
    shut = face.points.copy()
    for upper, lower, *_ in EYES:
        shut[list(upper)] += 0.9 * (shut[list(lower)] - shut[list(upper)])
    rested = points_at_rest(portrait, shut)
    assert 0.26 < np.mean(FaceLandmarks(rested.astype(np.float32)).eye_openings) < 0.36
    from_shut = build_rig(FaceLandmarks(shut), picture_size=SIZE, rested=rested)
    np.testing.assert_array_equal(from_shut.points, shut)

    def opens(one: Rig, **weights: float) -> float:
        """Pixels by which lids that rest move apart."""
        field = one.upper.displacement(pose(**weights).weights)
        lids = [one.rested[list(EYES[0][side])[3:-3], :2] for side in (0, 1)]
        upper, lower = (displace_points(lid, field, one.upper.grid) - lid for lid in lids)
        return float((upper - lower)[:, 1].mean())

    for weights in ({"brow": 0.8}, {"squint": 0.6}):
        open_eye, shut_eye = (opens(one, **weights) for one in (rig, from_shut))
        assert 0.6 < shut_eye / open_eye < 1.6


def test_a_low_brow_rises_less_and_an_arched_one_rises_as_a_whole(
    face: FaceLandmarks, rig: Rig
) -> None:
    brows = (*mesh.RIGHT_BROW_LOWER, *mesh.LEFT_BROW_LOWER)
    low = face.points.copy()
    low[list(mesh.BROWS), 1] += 0.035 * face.height
    lowered = build_rig(FaceLandmarks(low), picture_size=SIZE)
    assert drawn_up(lowered, brows, brow=0.8) < 0.75 * drawn_up(rig, brows, brow=0.8)
    ends, middle = (
        drawn_up(rig, landmarks, brow=0.8)
        for landmarks in (
            (mesh.RIGHT_BROW_LOWER[0], mesh.LEFT_BROW_LOWER[0]),
            (mesh.RIGHT_BROW_LOWER[2], mesh.LEFT_BROW_LOWER[2]),
        )
    )
    assert ends > 0.6 * middle


def test_the_corners_of_a_smile_come_down_as_its_jaw_drops(face: FaceLandmarks) -> None:
    smiling = build_rig(face, picture_size=SIZE)
    narrower = face.points.copy()
    middle = narrower[[mesh.INNER_UPPER_LIP, mesh.INNER_LOWER_LIP], 0].mean()
    lips = list({*mesh.UPPER_LIP, *mesh.LOWER_LIP, *mesh.MOUTH_CORNERS})
    narrower[lips, 0] = middle + 0.75 * (narrower[lips, 0] - middle)
    serious = build_rig(FaceLandmarks(narrower), picture_size=SIZE)
    corners = (mesh.RIGHT_MOUTH_CORNER, mesh.LEFT_MOUTH_CORNER)
    fall = [-drawn_up(one, corners, open=1.0) / one.layout.max_gap for one in (smiling, serious)]
    assert fall[0] > 1.3 * fall[1] > 0


@pytest.mark.parametrize(
    ("turn", "lost", "across", "ends"),
    [
        ("yaw", "narrow", 0, (mesh.RIGHT_EYE_OUTER, mesh.LEFT_EYE_OUTER)),
        ("pitch", "shorten", 1, (mesh.FOREHEAD_TOP, mesh.CHIN)),
        ("pitch", "shorten", 1, NOSE),
    ],
)
def test_turned_heads_are_foreshortened(
    rig: Rig, turn: str, lost: str, across: int, ends: tuple[int, int]
) -> None:
    """What one direction takes the other returns to first order: the mean is the cosine."""
    angle = 0.2

    def length(**weights: float) -> float:
        moved = rig.upper.displacement(pose(**weights).weights)
        first, last = displace_points(rig.points[list(ends), :2], moved, rig.upper.grid)
        return float(last[across] - first[across])

    shares = dict(zip(("narrow", "shorten"), foreshortening(angle, angle), strict=True))
    both = [length(**{turn: way, lost: shares[lost]}) for way in (angle, -angle)]
    assert np.mean(both) == pytest.approx(np.cos(angle) * length(), rel=0.004)


@pytest.mark.parametrize("ear", [mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK])
def test_ears_keep_their_width_as_the_head_turns(rig: Rig, ear: int) -> None:
    """Beyond the mesh, whose edge is as steep as a ball's, depth hardly changes."""
    middle = rig.points[list(mesh.OVAL), :2].mean(0)
    places = middle + (rig.points[ear, :2] - middle) * np.array([[1.1], [1.25]])
    across = [
        np.diff(
            displace_points(places, rig.upper.displacement(pose(yaw=yaw).weights), rig.upper.grid)[
                :, 0
            ]
        ).item()
        for yaw in (0.0, -0.15, 0.15)
    ]
    np.testing.assert_allclose(across[1:], across[0], rtol=0.12)


def stretched(rig: Rig, ways_out: tuple[float, float], yaw: float) -> NDArray[np.float64]:
    """Lengths between two places beside the outline in a turn, as shares of those at rest.

    `ways_out` are face widths from the outline, outwards.
    """
    outline = rig.points[list(SIDES_OF_THE_FACE), :2]
    out = outline - rig.points[list(mesh.OVAL), :2].mean(0)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    moved = rig.upper.displacement(pose(yaw=yaw).weights)
    inner, outer = (outline + way * rig.frame.width * out for way in ways_out)
    arrived = [displace_points(places, moved, rig.upper.grid) for places in (inner, outer)]
    return (arrived[1] - arrived[0])[:, 0] / (outer - inner)[:, 0]


@pytest.mark.parametrize("yaw", [-0.15, 0.15])
def test_a_turn_stretches_the_skin_inside_the_outline_and_not_the_outline(
    rig: Rig, yaw: float
) -> None:
    at_outline = np.abs(stretched(rig, (-0.02, 0.03), yaw) - 1)
    inside = np.abs(stretched(rig, (-0.12, -0.04), yaw) - 1)
    assert at_outline.mean() < 0.12
    assert inside.mean() > 2 * at_outline.mean()


@pytest.mark.parametrize("yaw", [-0.2, 0.2])
def test_a_turn_folds_no_skin(rig: Rig, yaw: float) -> None:
    for way in np.arange(-0.2, 0.2, 0.02):
        assert stretched(rig, (way, way + 0.02), yaw).min() > 0.1


def test_the_jaw_of_a_turning_head_moves_over_its_neck(rig: Rig) -> None:
    """On films the skin .1 face widths below the jaw's edge hardly turns."""
    jaw = rig.points[[136, 149, 176, mesh.CHIN, 400, 378, 365], :2]
    out = jaw - rig.points[list(mesh.OVAL), :2].mean(0)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    moved = rig.upper.displacement(pose(yaw=0.15).weights)
    edge, neck = (
        (displace_points(places, moved, rig.upper.grid) - places)[:, 0]
        for places in (jaw, jaw + 0.14 * rig.frame.width * out)
    )
    assert edge.min() > 0.02 * rig.frame.width
    assert np.all(np.abs(neck) < 0.45 * edge)


def test_what_is_below_a_leaning_head_does_not_swing_to_the_other_side(rig: Rig) -> None:
    field = rig.upper.displacement(pose(roll=0.1).weights)
    _, y = rig.upper.grid.coordinates()
    below = y > rig.points[mesh.CHIN, 1]
    assert below.any()
    assert field[..., 0][below].min() > -1e-3 * rig.frame.height
    assert field[..., 0].max() > 0.05 * rig.frame.height


def test_a_head_that_the_picture_cuts_off_moves_in_full_along_the_cut_and_less_across_it(
    face: FaceLandmarks,
) -> None:
    """Held in both directions, hair would stay behind the forehead."""
    points = face.points.copy()
    points[:, 1] -= points[mesh.FOREHEAD_TOP, 1] - 0.05 * face.height
    rig = build_rig(FaceLandmarks(points), picture_size=SIZE)
    top = rig.points[[mesh.FOREHEAD_TOP], :2] * (1, 0)
    aside, down = (
        (displace_points(top, rig.upper.displacement(pose(**{way: 0.05}).weights), rig.upper.grid))
        - top
        for way in ("shift_x", "shift_y")
    )
    assert aside[0, 0] > 0.97 * 0.05 * rig.frame.width
    assert 0.3 * 0.05 * rig.frame.height < down[0, 1] < 0.6 * 0.05 * rig.frame.height


def test_the_chin_turns_and_nods_with_the_skull(rig: Rig) -> None:
    """As far as its depth and that of the nose's root say, without the mesh's lean."""
    places = rig.points[[NOSE[0], mesh.CHIN]]
    moved = rig.upper.displacement(pose(yaw=0.1).weights)
    root, chin = (displace_points(places[:, :2], moved, rig.upper.grid) - places[:, :2])[:, 0]
    lean = 0.05 * (places[1, 1] - places[0, 1])
    expected = 0.1 * (places[1, 2] - places[0, 2] - lean)
    assert root - chin == pytest.approx(expected, abs=0.01 * rig.frame.width)


def test_what_comes_nearer_as_a_head_nods_looks_larger(rig: Rig) -> None:
    """The forehead of a head that looks down, the jaw of one that looks up."""
    pairs = {"brows": (54, 284), "jaw": (136, 365)}
    widths = {}
    for pitch in (-0.15, 0.15):
        moved = rig.upper.displacement(pose(pitch=pitch).weights)
        for name, ends in pairs.items():
            places = displace_points(rig.points[list(ends), :2], moved, rig.upper.grid)
            widths[name, pitch] = np.ptp(places[:, 0])
    assert widths["jaw", 0.15] > 1.01 * widths["jaw", -0.15]  # positive raises the chin
    assert widths["brows", 0.15] < 0.99 * widths["brows", -0.15]


def test_a_nose_is_shorter_under_an_open_mouth(rig: Rig) -> None:
    """Its base goes up by a small share of the gap, its root and the cheeks stay."""
    root, base, gap = (drawn_up(rig, (at,), open=1.0) for at in (*NOSE, mesh.INNER_UPPER_LIP))
    assert 0.1 * gap < base < 0.5 * gap
    assert abs(root) < 0.1 * base


def test_lips_that_close_become_fuller_and_the_chin_follows_by_a_third(face: FaceLandmarks) -> None:
    points, gape = face.points.copy(), 0.08 * face.height
    points[[*mesh.LOWER_LIP, mesh.CHIN], 1] += gape
    rig = build_rig(FaceLandmarks(points), picture_size=SIZE)
    gap = float(rig.layout.rest_gap[len(rig.layout.rest_gap) // 2])
    edges = (mesh.INNER_LOWER_LIP, mesh.OUTER_LOWER_LIP)
    field = rig.lower.displacement(pose(seal=1.0).weights)
    inner, outer = (
        float((place - displace_points(place, field, rig.lower.grid))[0, 1])
        for place in (rig.points[[edge], :2] for edge in edges)
    )
    assert inner > outer + 0.15 * gap
    assert 0.2 * gap < drawn_up(rig, (mesh.CHIN,), seal=1.0) < 0.42 * gap


@pytest.mark.parametrize("degrees", [-28, 28])
def test_what_is_close_behind_the_far_side_of_a_turned_head_moves_little(
    face: FaceLandmarks, degrees: float
) -> None:
    """A turn shifts it by less than three tenths of what it shifts the nose's root."""
    side = build_rig(turned(face, degrees), picture_size=SIZE)
    assert side.frame.yaw_degrees * degrees > 0
    far = [397, 361, 454] if degrees > 0 else [172, 132, 234]
    behind = side.points[far, :2] + (np.sign(degrees) * 0.06 * side.frame.width, 0)
    places = np.concatenate([behind, side.points[NOSE[:1], :2]])
    moved = side.upper.displacement(pose(yaw=0.1).weights)
    shifts = (displace_points(places, moved, side.upper.grid) - places)[:, 0]
    assert shifts[:-1].mean() < 0.29 * shifts[-1]


def test_cheeks_rise_with_the_corners_of_a_wide_mouth_and_sink_with_round_lips(rig: Rig) -> None:
    corners = (mesh.RIGHT_MOUTH_CORNER, mesh.LEFT_MOUTH_CORNER)
    cheeks, under_eyes = (205, 425), (230, 450)
    for name, sign in (("spread", 1), ("round", -1)):
        corner, cheek, eye = (
            sign * drawn_up(rig, landmarks, **{name: 1.0})
            for landmarks in (corners, cheeks, under_eyes)
        )
        assert corner > 0
        assert cheek > 0.2 * corner
        assert cheek > eye > 0.05 * cheek


def test_brows_lean_to_one_side_and_lids_squint_from_below(rig: Rig) -> None:
    right, left = (
        drawn_up(rig, brow[1:4], lean=1.0) for brow in (mesh.RIGHT_BROW_LOWER, mesh.LEFT_BROW_LOWER)
    )
    assert right > 0.01 * rig.frame.height
    assert left < -0.01 * rig.frame.height
    lower, upper, cheek, brow = (
        drawn_up(rig, landmarks, squint=1.0)
        for landmarks in (
            (*mesh.RIGHT_EYE_LOWER[3:-3], *mesh.LEFT_EYE_LOWER[3:-3]),
            (*mesh.RIGHT_EYE_UPPER[3:-3], *mesh.LEFT_EYE_UPPER[3:-3]),
            (205, 425),
            (*mesh.RIGHT_BROW_LOWER, *mesh.LEFT_BROW_LOWER),
        )
    )
    assert lower > 0.006 * rig.frame.height
    assert upper < 0 < cheek < 0.4 * lower
    assert abs(brow) < 0.2 * lower
