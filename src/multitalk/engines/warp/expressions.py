"""What each expression does to each landmark: displacements in the head's own axes.

An expression is a list of landmark displacements in pixels, [468, 3], to be scaled by a weight and
added. Working in head axes gives three-quarter views for free: the sum is turned and projected
with the head. The figures are proportions of the mouth and of the face, set by eye against
photographs of speakers and checked on re-detected landmarks.
"""

import cv2
import numpy as np

from multitalk.array_types import DoubleArray
from multitalk.engines.warp.face_frame import NUM_POINTS, HeadFrame, MouthLayout
from multitalk.engines.warp.smoothing import ramp, smoothstep
from multitalk.face import mesh

EXPRESSIONS = (
    *("seal", "open", "spread", "round", "press", "tuck", "lift"),
    *("brow", "smile", "frown"),
)
BROWS = (
    *mesh.RIGHT_BROW_UPPER,
    *mesh.RIGHT_BROW_LOWER,
    *mesh.LEFT_BROW_UPPER,
    *mesh.LEFT_BROW_LOWER,
)

# A relaxed mouth is at most this wide, of the face's width: what is broader smiles. Rounded lips
# are this wide, of a relaxed mouth.
RELAXED_WIDTH = 0.37
ROUND_WIDTH = 0.70
SMILE_KEPT = 0.86  # of a smile's width: how broad it rests

JAW_DROPS = 0.74  # of `open`: of the gap between the lips
UPPER_LIP_CLOSES = 0.40  # of the way, where the jaw is not dropped
LEVELLED = 0.75  # of a smile's curve that goes when its lips close

# From this gap (of the mouth's width) on, the photograph's mouth is open; from `WIDE_OPEN` on, so
# far that the jaw must come up for it to close.
PARTED = 0.02
WIDE_OPEN = 0.17


def expression_displacements(frame: HeadFrame, layout: MouthLayout) -> dict[str, DoubleArray]:
    """Displacement of every landmark for each of `EXPRESSIONS`, pixels in head axes: [468, 3].

    `seal` closes the photograph's own gap; `open` parts the lips by `layout.max_gap` and drops
    the jaw; `spread` and `round` shape vowels; `press` seals bilabials; `tuck` brings the lower
    lip under the upper teeth (f, v); `lift` shows the upper teeth; `brow` raises the brows. `smile`
    raises the mouth's corners and the cheeks; `frown` draws the inner brows down and together.
    Below 0 they do the opposite.
    """
    share_up = UPPER_LIP_CLOSES - 0.24 * _jaw_dropped(frame, layout)
    flatness = _droop_of_corners(frame, layout, share_up)
    shapes = {
        "seal": _seal(frame, layout, flatness, share_up),
        "open": _open(layout),
        "spread": _spread(frame, layout),
        "round": _round(frame, layout, flatness),
        "press": _press(frame, layout),
        "tuck": _tuck(frame, layout),
        "lift": _lift(frame, layout),
        "brow": _brow(frame),
        "smile": _smile(frame, layout),
        "frown": _frown(frame),
    }
    # InnerLips near the face's outline (a turned head) must not drag the background along.
    inside = _distance_inside_outline(frame)
    calm = smoothstep(inside, 0.0, 0.11 * frame.width)
    damping = np.where(layout.lip, 0.35 + 0.65 * calm, calm)[:, None]
    for name in ("spread", "round", "tuck", "lift", "smile"):
        shapes[name] *= damping
    return shapes


def _blank() -> DoubleArray:
    return np.zeros((NUM_POINTS, 3))


def _open(layout: MouthLayout) -> DoubleArray:
    gap, ring = layout.max_gap, layout.ring
    d = _blank()
    d[:, 1] = (layout.jaw * JAW_DROPS + layout.cheek) * gap
    d[layout.lower, 1] = ((0.32 + 0.46 * layout.arch) * gap * (1 - 0.06 * ring))[layout.lower]
    d[layout.upper, 1] = ((0.32 - 0.54 * layout.arch) * gap * (1 - 0.15 * ring))[layout.upper]
    d[layout.corner, 1] = 0.32 * gap
    # The corners come in as the jaw drops.
    beyond = np.clip(np.abs(layout.side) - 1, 0, None)
    skin = np.exp(-(beyond**2) / 0.4) * np.exp(-((layout.below / 0.4) ** 2))
    d[:, 0] = (
        -0.15
        * gap
        * np.where(layout.lip, np.clip(layout.side, -1, 1), np.clip(layout.side, -1.2, 1.2) * skin)
    )
    return d


def _seal(
    frame: HeadFrame, layout: MouthLayout, flatness: DoubleArray, share_up: float
) -> DoubleArray:
    """Bring the photograph's lips together; a wide-open mouth also lets its jaw up.

    `share_up` is how much of the way the upper lip goes.
    """
    q = frame.local
    order = np.argsort(q[list(mesh.LIPS_INNER_UPPER), 0])
    inner_side = layout.side[list(mesh.LIPS_INNER_UPPER)][order]
    gaps = (q[list(mesh.LIPS_INNER_LOWER)] - q[list(mesh.LIPS_INNER_UPPER)])[order]  # [11, 3]
    side = np.clip(layout.side, -1, 1)
    gap = np.stack([np.interp(side, inner_side, gaps[:, axis]) for axis in range(3)], -1)
    wide = _jaw_dropped(frame, layout)
    ring = layout.ring[:, None]
    d = _blank()
    closing = -(1 - share_up) * gap * (1 - 0.25 * (1 - wide) * ring)
    d[layout.lower] = closing[layout.lower]
    d[layout.upper] = (share_up * gap * (1 - 0.45 * ring))[layout.upper]
    d[:, 1] -= np.where(layout.lip, 0, layout.jaw * (0.40 + 0.45 * wide) * layout.rest_gap[5])
    # A smile relaxes: corners come in and level out, and the cheeks sink.
    d[:, 0] -= (1 - _resting_width(frame)) * frame.mouth_width / 2 * _sideways(layout)
    d[:, 1] += _levelled(frame, layout, flatness) + 0.5 * _sinking_cheeks(frame, layout)
    return d


def closing_displacements(frame: HeadFrame, layout: MouthLayout) -> list[DoubleArray]:
    """Moves that bring the lips together at one place each, between the corners: [468, 3] each.

    What `seal` leaves of a gap, or closes too much, is made up for by them.
    """
    inner = np.sort(layout.side[list(mesh.LIPS_INNER_UPPER)])
    moves = []
    for place in np.eye(len(inner))[1:-1]:
        near = frame.mouth_width * np.interp(layout.side, inner, place) * (1 - 0.15 * layout.ring)
        d = _blank()
        d[layout.upper, 1] = (UPPER_LIP_CLOSES * near)[layout.upper]
        d[layout.lower, 1] = ((UPPER_LIP_CLOSES - 1) * near)[layout.lower]
        moves.append(d)
    return moves


def _jaw_dropped(frame: HeadFrame, layout: MouthLayout) -> float:
    """How far the photograph's jaw must come up for its mouth to close, 0..1."""
    wide = ramp(layout.parted, WIDE_OPEN, WIDE_OPEN + 0.2)
    return 0.5 * wide if abs(frame.yaw_degrees) > 35 else wide


def _levelled(frame: HeadFrame, layout: MouthLayout, flatness: DoubleArray) -> DoubleArray:
    """What of `flatness` lips at rest have: some of a smile's, the more of a dropped jaw's."""
    jaw = LEVELLED + (1 - LEVELLED) * _jaw_dropped(frame, layout)
    return np.where(flatness < 0, jaw, LEVELLED) * flatness


def smile_strength(frame: HeadFrame) -> float:
    """How broadly the photograph smiles: 0 not at all, 1 from cheek to cheek."""
    return ramp(frame.mouth_width / frame.width, RELAXED_WIDTH, 0.47)


def _resting_width(frame: HeadFrame) -> float:
    """Width of the closed mouth at rest, of the photograph's."""
    relaxed = RELAXED_WIDTH * frame.width / frame.mouth_width
    return float(np.clip(relaxed, SMILE_KEPT, 1))


def _sinking_cheeks(frame: HeadFrame, layout: MouthLayout) -> DoubleArray:
    """Pixels by which the raised cheeks of a smile go down when it ends: [468]."""
    beside = np.exp(-(((np.abs(layout.side) - 1.35) / 0.55) ** 2))
    above = np.exp(-(((layout.below + 0.55) / 0.40) ** 2))
    return np.where(layout.lip, 0, 0.045 * smile_strength(frame) * frame.height * beside * above)


def _droop_of_corners(frame: HeadFrame, layout: MouthLayout, share_up: float) -> DoubleArray:
    """Pixels by which each place must go down for the line between closed lips to be level: [468].

    More than 0 at the corners of a smile, less at those that a dropped jaw has drawn down.
    """
    q = frame.local
    upper, lower = list(mesh.LIPS_INNER_UPPER), list(mesh.LIPS_INNER_LOWER)
    order = np.argsort(q[upper, 0])
    seam = (q[upper, 1] + share_up * (q[lower, 1] - q[upper, 1]))[order]
    at = np.interp(np.clip(layout.side, -1.1, 1.1), layout.side[upper][order], seam)
    level = np.interp(0.0, layout.side[upper][order], seam) - at
    beyond = np.clip(np.abs(layout.side) - 0.9, 0, None)
    skin = np.exp(-((beyond / 0.5) ** 2)) * np.exp(-((layout.below / 0.4) ** 2))
    return np.where(layout.lip, level, level * skin)


def _sideways(layout: MouthLayout) -> DoubleArray:
    """Sign and size of a sideways pull at each landmark, fading beyond the corners: [468]."""
    distance = np.abs(layout.side)
    fade = np.where(distance > 1.25, np.exp(-(distance - 1.25) / 0.5), 1)
    return np.sign(layout.side) * np.minimum(distance, 1.25) * layout.around * fade


def _spread(frame: HeadFrame, layout: MouthLayout) -> DoubleArray:
    width = frame.mouth_width
    d = _blank()
    d[:, 0] = 0.13 * width / 2 * _sideways(layout)
    at_corner = np.exp(-(((np.abs(layout.side) - 1) / 0.45) ** 2)) * np.exp(
        -((layout.below / 0.3) ** 2)
    )
    d[:, 1] -= 0.05 * width / 2 * np.where(layout.corner, 1, at_corner)
    d[layout.lower, 1] -= (0.02 * width * layout.ring)[layout.lower]
    d[layout.upper, 1] += (0.012 * width * layout.ring)[layout.upper]
    return d


def _round(frame: HeadFrame, layout: MouthLayout, flatness: DoubleArray) -> DoubleArray:
    """Corners in, lips thicker and together at the sides: protrusion as a camera sees it."""
    width, ring = frame.mouth_width, layout.ring
    relaxed = min(1.0, RELAXED_WIDTH * frame.width / width)
    drawn_in = _resting_width(frame) - ROUND_WIDTH * relaxed
    d = _blank()
    d[:, 0] = -drawn_in * width / 2 * _sideways(layout)
    d[:, 1] += flatness - _levelled(frame, layout, flatness)
    d[:, 1] += 0.5 * _sinking_cheeks(frame, layout)
    # What is drawn in makes the lips thicker. At the sides they meet, so that the opening is round.
    fuller = width * layout.arch * drawn_in / (1 - ROUND_WIDTH)
    pinched = 0.14 * layout.max_gap * (1 - np.exp(-((layout.side / 0.50) ** 2))) * (1 - 0.7 * ring)
    d[layout.lower, 1] += (0.055 * ring * fuller - pinched)[layout.lower]
    d[layout.upper, 1] += ((0.030 - 0.075 * ring) * fuller + pinched)[layout.upper]
    d[:, 1] += np.where(layout.lip, 0, layout.jaw * 0.04 * width)
    # Towards the viewer: seen where the head is turned.
    d[:, 2] = -0.10 * width * layout.around * layout.arch
    return d


def _press(frame: HeadFrame, layout: MouthLayout) -> DoubleArray:
    width, ring, arch = frame.mouth_width, layout.ring, layout.arch
    d = _blank()
    d[layout.lower, 1] = (-0.050 * width * ring * arch - 0.010 * width)[layout.lower]
    d[layout.upper, 1] = (0.045 * width * ring * arch + 0.004 * width)[layout.upper]
    d[:, 1] -= np.where(layout.lip, 0, layout.jaw * 0.02 * width)
    return d


def _tuck(frame: HeadFrame, layout: MouthLayout) -> DoubleArray:
    width, ring, arch = frame.mouth_width, layout.ring, layout.arch
    d = _blank()
    d[layout.lower, 1] = (-0.035 * width * arch * (1 - 0.1 * ring))[layout.lower]
    d[layout.upper, 1] = (-0.060 * width * arch * (1 - 0.3 * ring))[layout.upper]
    under_nose = np.exp(-((layout.side / 0.8) ** 2)) * np.exp(
        -(((layout.below + 0.25) / 0.12) ** 2)
    )
    d[:, 1] -= np.where(layout.lip, 0, layout.jaw * 0.03 * width + under_nose * 0.03 * width)
    return d


def _lift(frame: HeadFrame, layout: MouthLayout) -> DoubleArray:
    d = _blank()
    raised = -0.09 * frame.mouth_width * layout.arch * (1 - 0.4 * layout.ring)
    d[layout.upper, 1] = raised[layout.upper]
    d[layout.corner, 1] = -0.01 * frame.mouth_width
    return d


def _smile(frame: HeadFrame, layout: MouthLayout) -> DoubleArray:
    width = frame.mouth_width
    d = _blank()
    d[:, 0] = 0.07 * width / 2 * _sideways(layout)
    beside = np.exp(-(((np.abs(layout.side) - 1.05) / 0.55) ** 2))
    at_corner = beside * np.exp(-((layout.below / 0.35) ** 2))
    d[:, 1] = -0.075 * width * np.where(layout.lip, np.clip(np.abs(layout.side), 0, 1) ** 2, 0)
    d[:, 1] -= 0.075 * width * np.where(layout.lip, 0, at_corner)
    cheek = np.exp(-(((layout.below + 0.55) / 0.30) ** 2)) * beside
    d[:, 1] -= np.where(layout.lip, 0, 0.012 * frame.height * cheek)
    return d


def _brow(frame: HeadFrame) -> DoubleArray:
    q = frame.local[:NUM_POINTS]
    level = q[list(BROWS), 1].mean()
    d = _blank()
    d[:, 1] = -0.05 * frame.height * _at_brows(frame, level)
    return d


def _frown(frame: HeadFrame) -> DoubleArray:
    q = frame.local[:NUM_POINTS]
    level = q[list(BROWS), 1].mean()
    brow_end = np.abs(q[list(BROWS), 0]).min()  # of the brows, the end next to the nose
    from_end = np.clip(np.abs(q[:, 0]) - brow_end, 0, None) / (0.16 * frame.width)
    inner = _at_brows(frame, level) * np.exp(-(from_end**2))
    d = _blank()
    d[:, 1] = 0.030 * frame.height * inner
    d[:, 0] = -0.018 * frame.width * inner * np.clip(q[:, 0] / brow_end, -1, 1)
    return d


def _at_brows(frame: HeadFrame, level: float) -> DoubleArray:
    """1 along the brows, fading into the forehead and to 0 at the upper lids: [468]."""
    y = frame.local[:NUM_POINTS, 1]
    lid = frame.local[mesh.RIGHT_EYE_UPPER[4], 1] - 0.02 * frame.height
    return np.where(
        y > level,
        1 - smoothstep((y - level) / (lid - level), 0.25, 1.0),
        np.exp(-(((y - level) / (0.10 * frame.height)) ** 2)),
    )


def _distance_inside_outline(frame: HeadFrame) -> DoubleArray:
    """Pixels from each landmark to the projected outline of the face, negative outside: [468]."""
    projected = (frame.local @ frame.axes)[:, :2].astype(np.float32)
    hull = cv2.convexHull(projected[list(mesh.OVAL)])
    return np.array(
        [cv2.pointPolygonTest(hull, (float(x), float(y)), True) for x, y in projected[:NUM_POINTS]]
    )
