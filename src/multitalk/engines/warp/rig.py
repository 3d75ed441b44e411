"""Rig of one head: the displacement fields by which the photograph can be moved.

Each expression has two fields, one made without the lower lip's landmarks and one without the upper
lip's. The picture is sampled through both and joined along the line between the lips, so that
closed lips can part and open ones can close. Fields are thin-plate splines through the displaced
landmarks, held still by anchors around the face.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.displacement import DisplacementBasis, Grid, displace_points
from multitalk.engines.warp.expressions import (
    EXPRESSIONS,
    closing_displacements,
    expression_displacements,
)
from multitalk.engines.warp.face_frame import HeadFrame, MouthLayout
from multitalk.engines.warp.falloff import (
    FADE_ENDS,
    Anchors,
    Silhouette,
    expression_falloff,
    head_falloff,
    neighbour_mask,
)
from multitalk.engines.warp.head_motion import MOTIONS, motion_fields
from multitalk.engines.warp.matte import Matte
from multitalk.engines.warp.neighbours import Neighbour
from multitalk.engines.warp.smoothing import evaluate_thin_plate, fit_thin_plates_without
from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks

WEIGHTS = EXPRESSIONS + MOTIONS
INDEX = {name: place for place, name in enumerate(WEIGHTS)}

MIN_LATTICE_STEP = 3  # pixels
# Thresholds of the region that is drawn: head falloff, and displacement in pixels.
STILL_FALLOFF, STILL_PIXELS = 1e-3, 0.02
# Smoothing of the thin plate. Landmarks of a turned head crowd on its far side, where an exact
# spline would fold.
SMOOTHING, TURNED_SMOOTHING, TURNED_DEGREES = 2e-4, 4e-3, 28

MOUTH_REACH = 0.45  # face heights beside the lips: head movement, jaw and the join of the layers

# Closed lips press on each other, or teeth and gums would show inside the landmarks: share of the
# photograph's gap, and face heights at most.
PRESSED, MAX_PRESSED = 0.15, 0.008
# Regularisation of the closing moves, of the largest effect: of their size, and of their bends from
# one to the next. Where landmarks crowd on the far side of a turned mouth, moves that took turns
# would close gaps between the lattice's points and tear the lips.
RIDGE, ROUGH = 0.02, 0.15


@dataclass(frozen=True)
class Rig:
    """Everything about one head that is constant over the frames.

    Attributes:
        points: Landmarks in the picture, float64 [478, 3] pixels.
        rested: The same with the lids as they rest.
        frame: The head's axes and sizes.
        layout: The landmarks around the mouth.
        upper: Fields of all but the lower lip and what moves with it; order of `WEIGHTS`.
        lower: Fields of all but the upper lip, around the mouth only.
        box: The part of the picture that moves: x0, y0, x1, y1 (ends excluded), pixels.
        overlap: Pixels by which `seal` presses the lips into each other at the middle.
        open_gap: Pixels by which `open` parts them there.
        round_overlap: Pixels by which `round` brings them together there.
        lift_gap: Pixels by which `lift` parts them there.
        mouth_covered: Whether something is in front of the mouth, which then stays still.
    """

    points: NDArray[np.float64]
    rested: NDArray[np.float64]
    frame: HeadFrame
    layout: MouthLayout
    upper: DisplacementBasis
    lower: DisplacementBasis
    box: tuple[int, int, int, int]
    overlap: float
    open_gap: float
    round_overlap: float
    lift_gap: float
    mouth_covered: bool = False


@dataclass(frozen=True)
class InnerLips:
    """The inner lips of the photograph, to measure the lip gap that fields make.

    Attributes:
        above: Lower edge of the upper lip, pixels [11, 2].
        below: Upper edge of the lower lip, pixels [11, 2].
        down: Unit vector down the face.
        height: Face height, pixels.
        grid: The fields' lattice.
    """

    above: NDArray[np.float64]
    below: NDArray[np.float64]
    down: NDArray[np.float64]
    height: float
    grid: Grid

    @classmethod
    def of(cls, points: NDArray[np.float64], frame: HeadFrame, grid: Grid) -> "InnerLips":
        """Those of a head's landmarks."""
        above, below = (
            points[list(lip), :2] for lip in (mesh.LIPS_INNER_UPPER, mesh.LIPS_INNER_LOWER)
        )
        down = frame.axes[1, :2] / np.hypot(*frame.axes[1, :2])
        return cls(above, below, down, frame.height, grid)

    def gaps(self, upper: Array | None = None, lower: Array | None = None) -> NDArray[np.float64]:
        """Signed lip gap at the 11 points, pixels, displaced by two fields or at rest."""
        above, below = self.above, self.below
        if upper is not None and lower is not None:
            above = displace_points(above, upper, self.grid).astype(np.float64)
            below = displace_points(below, lower, self.grid).astype(np.float64)
        return (below - above) @ self.down

    def middle_gaps(
        self, expressions: tuple[Array, Array], names: Iterable[str]
    ) -> tuple[float, ...]:
        """The gap at the middle, pixels: at rest, then with each named expression at weight 1.

        Args:
            expressions: Fields of the upper and of the lower lip, as of `close_lips`.
            names: Of `EXPRESSIONS`.
        """
        middle = len(self.above) // 2
        places = [EXPRESSIONS.index(name) for name in names]
        displaced = [self.gaps(*(fields[place] for fields in expressions)) for place in places]
        return tuple(float(gaps[middle]) for gaps in (self.gaps(), *displaced))


def build_rig(
    face: FaceLandmarks,
    *,
    picture_size: tuple[int, int],
    neighbours: tuple[Neighbour, ...] = (),
    lattice_steps: int = 40,
    matte: Matte | None = None,
    mouth_covered: bool = False,
    rested: NDArray[np.floating] | None = None,
) -> Rig:
    """Make the rig of one head.

    Args:
        face: As detected in the picture.
        picture_size: (height, width) of the picture.
        neighbours: The other faces; nothing of their part of the picture moves.
        lattice_steps: Steps of the lattice per face height.
        matte: Of the person; None: movements fade over what is around them.
        mouth_covered: From `covered_mouth.is_covered`.
        rested: From `eyes.points_at_rest`; None: lids rest as photographed.
    """
    points = face.points.astype(np.float64)
    rested = points if rested is None else rested.astype(np.float64)
    frame = HeadFrame.of(face)
    layout = MouthLayout.of(frame)
    centre = frame.origin[:2]
    grid = _region(frame, centre, picture_size, lattice_steps)
    anchors = Anchors.around(points, frame, layout, grid)
    mask = neighbour_mask(grid.coordinates(), centre, neighbours, frame.height)
    lips = InnerLips.of(points, frame, grid)
    upper, lower = _expression_fields(rested, frame, layout, anchors=anchors, grid=grid, mask=mask)
    expressions = close_lips(lips, upper, lower)
    seen = Silhouette.of(matte, grid) if matte is not None else None
    falloff = head_falloff(frame, grid, seen) * mask[..., None]
    motion = motion_fields(
        points=points, frame=frame, anchors=anchors, grid=grid, falloff=falloff, mask=mask
    )
    upper_basis, lower_basis = _moving_part(
        (*expressions, motion.astype(np.float32)), falloff, grid
    )
    at_rest, sealed, opened, rounded, lifted = lips.middle_gaps(
        expressions, ("seal", "open", "round", "lift")
    )
    return Rig(
        points=points,
        rested=rested,
        frame=frame,
        layout=layout,
        upper=upper_basis,
        lower=_around_mouth(lower_basis, points, frame),
        box=upper_basis.grid.box(*picture_size),
        overlap=max(0.0, -sealed),
        open_gap=opened - at_rest,
        round_overlap=max(0.0, at_rest - rounded),
        lift_gap=max(0.0, lifted - at_rest),
        mouth_covered=mouth_covered,
    )


def close_lips(lips: InnerLips, upper: Array, lower: Array) -> tuple[Array, Array]:
    """The fields of all expressions, with `seal` corrected so that the lips touch everywhere.

    A smooth field cannot follow every landmark: it leaves a gap here and overlaps there. Gaps are
    linear in the fields, so the weights of the closing moves are a regression, with penalties.

    Args:
        lips: Of the photograph.
        upper: Fields of the expressions, then of the closing moves, [E + C, rows, columns, 2].
        lower: The same for the lower lip.
    """
    count, seal = len(EXPRESSIONS), EXPRESSIONS.index("seal")
    before, after = lips.gaps(), lips.gaps(upper[seal], lower[seal])
    effects = [
        lips.gaps(above, below) - before
        for above, below in zip(upper[count:], lower[count:], strict=True)
    ]
    target = -np.clip(PRESSED * before, 0, MAX_PRESSED * lips.height) - after
    system = np.stack(effects, 1)  # [11, C]
    still = np.eye(len(effects))
    penalties = np.concatenate([RIDGE * still, ROUGH * np.diff(still, n=2, axis=0)])
    shares = np.linalg.lstsq(
        np.concatenate([system, np.abs(system).max() * penalties]),
        np.r_[target, np.zeros(len(penalties))],
        rcond=None,
    )[0]
    for fields in (upper, lower):
        fields[seal] += np.tensordot(shares, fields[count:], 1)
    return upper[:count], lower[:count]


def _region(
    frame: HeadFrame,
    centre: NDArray[np.float64],
    picture_size: tuple[int, int],
    lattice_steps: int,
) -> Grid:
    """The lattice over all that can move; its step is odd."""
    height, width = picture_size
    far = FADE_ENDS * frame.height
    return Grid.over(
        max(0, int(centre[0] - far)),
        max(0, int(centre[1] - far)),
        min(width, int(centre[0] + far)),
        min(height, int(centre[1] + far)),
        step=max(MIN_LATTICE_STEP, 2 * round(frame.height / lattice_steps / 2 - 0.5) + 1),
    )


def _expression_fields(
    points: NDArray[np.float64],
    frame: HeadFrame,
    layout: MouthLayout,
    *,
    anchors: Anchors,
    grid: Grid,
    mask: NDArray[np.float64],
) -> tuple[Array, Array]:
    """Fields of expressions and closing moves, without the lower and without the upper lip.

    Each is [E + C, rows, columns, 2], pixels. `points`: with the lids as they rest.
    """
    frame = replace(frame, local=(points - frame.origin) @ frame.axes.T)
    shapes = expression_displacements(frame, layout)
    moves = [shapes[name] for name in EXPRESSIONS] + closing_displacements(frame, layout)
    projected = np.stack([move @ frame.axes[:, :2] for move in moves])  # [E + C, N, 2]
    held = np.zeros((len(moves), len(anchors.rings) + len(anchors.border), 2))
    held[EXPRESSIONS.index("open"), : len(anchors.rings)] = anchors.chin_pull
    # Held still under a chin that rises, the neck would keep its shade as a ring.
    rises = shapes["seal"][mesh.CHIN, 1] / shapes["open"][mesh.CHIN, 1]
    held[EXPRESSIONS.index("seal"), : len(anchors.rings)] = rises * anchors.chin_pull
    is_turned = abs(frame.yaw_degrees) >= TURNED_DEGREES
    near_face = expression_falloff(points, frame, grid) * mask
    near = near_face > 0
    x, y = grid.coordinates()
    places = np.stack([x[near], y[near]], 1)
    centres = np.concatenate([points[: mesh.NUM_FACE_POINTS, :2], anchors.rings, anchors.border])
    values = np.concatenate([projected, held], 1)  # [E + C, N, 2]
    flat = values.transpose(1, 0, 2).reshape(len(centres), -1)
    # Centres that are left out have no weight, so that both fields are evaluated at once.
    weights = fit_thin_plates_without(
        centres,
        flat,
        (mesh.LOWER_LIP, mesh.UPPER_LIP),
        smoothing=TURNED_SMOOTHING if is_turned else SMOOTHING,
        scale=frame.height,
    )
    found = evaluate_thin_plate(centres, np.concatenate(weights, 1), places, scale=frame.height)
    found *= near_face[near][:, None].astype(np.float32)
    dense = np.zeros((2, len(moves), *grid.shape, 2), np.float32)
    dense[:, :, near] = found.reshape(-1, 2, len(moves), 2).transpose(1, 2, 0, 3)
    return dense[0], dense[1]


def _moving_part(
    fields: tuple[Array, Array, Array],
    falloff: NDArray[np.float64],
    grid: Grid,
) -> list[DisplacementBasis]:
    """Both bases (upper and lower expressions, each with the motions), cropped to what moves."""
    moving: NDArray[np.bool_] = falloff.max(-1) > STILL_FALLOFF
    for one in fields:
        largest = np.maximum(one.max(0), -one.min(0)).max(-1)
        moving = np.logical_or(moving, largest > STILL_PIXELS)
    top, bottom = _span(moving.any(axis=1))
    left, right = _span(moving.any(axis=0))
    small = grid.crop(top, bottom, left, right)
    *expressions, motion = fields
    return [
        DisplacementBasis(
            small,
            np.concatenate([each[:, top:bottom, left:right] for each in (one, motion)]).reshape(
                len(WEIGHTS), -1
            ),
        )
        for one in expressions
    ]


def _around_mouth(
    basis: DisplacementBasis, points: NDArray[np.float64], frame: HeadFrame
) -> DisplacementBasis:
    """The part of a basis in which the lower lip's layer is drawn, wherever the head moves."""
    grid = basis.grid
    lips = points[[*mesh.LIPS_OUTER_UPPER, *mesh.LIPS_OUTER_LOWER], :2]
    corner, far = np.array([grid.x, grid.y]), MOUTH_REACH * frame.height
    low = np.floor((lips.min(0) - far - corner) / grid.step).astype(int)
    high = np.ceil((lips.max(0) + far - corner) / grid.step).astype(int) + 1
    left, top = np.clip(low, 0, np.array(grid.shape[::-1]) - 3).tolist()
    right, bottom = np.clip(high, 3, grid.shape[::-1]).tolist()
    fields = basis.fields.reshape(len(WEIGHTS), *grid.shape, 2)[:, top:bottom, left:right]
    return DisplacementBasis(
        grid.crop(top, bottom, left, right),
        np.ascontiguousarray(fields.reshape(len(WEIGHTS), -1)),
    )


def _span(moving: NDArray[np.bool_] | np.bool_) -> tuple[int, int]:
    """First and one past the last lattice line that moves, with one still line around."""
    lines = np.flatnonzero(moving)
    return max(int(lines[0]) - 1, 0), min(int(lines[-1]) + 2, np.size(moving))
