"""A rig: the fields by which one head of a photograph can be moved.

Two fields are kept for each expression, one made without the lower lip's landmarks and one without
the upper lip's: the picture is sampled through each and joined along the line between the lips, so
that lips part where they were closed and an open photograph can close. Fields are thin-plate
splines through the displaced landmarks, held still on the outline's surroundings.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.displacement import DisplacementBasis, Grid, displace_points
from multitalk.engines.warp.expressions import (
    EXPRESSIONS,
    closing_displacements,
    expression_displacements,
)
from multitalk.engines.warp.face_frame import HeadFrame, MouthLayout
from multitalk.engines.warp.motion_fields import (
    FARTHEST,
    expression_falloff,
    head_falloff,
    neighbour_mask,
)
from multitalk.engines.warp.smoothing import smoothstep, thin_plate
from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks

# Head movements after the expressions: turns in radians, shifts and swell as shares of the face's
# width (shift_x), height (shift_y) and size (swell); `breathe` lifts head and chest, in heights.
MOTIONS = ("yaw", "pitch", "roll", "shift_x", "shift_y", "swell", "breathe")
WEIGHTS = EXPRESSIONS + MOTIONS

SHOULDERS_FOLLOW = 0.45  # of a shift of the head
SHOULDERS_LEAN = 0.25  # of the way that the head's centre goes sideways as it rolls about the neck
NECK = 0.62  # face heights from the head's centre down to where it turns


@dataclass(frozen=True)
class Rig:
    """Everything about one head that does not change from frame to frame.

    Attributes:
        points: Mesh landmarks in the picture, float64 [478, 3] pixels.
        frame: The head's axes and sizes.
        layout: What lies where around the mouth.
        upper: Fields for all but the lower lip and what hangs on it; order of `WEIGHTS`.
        lower: Fields for all but the upper lip.
        box: Part of the picture that ever moves: x0, y0, x1, y1 (ends excluded), pixels.
        overlap: Pixels by which `seal` presses the lips into each other at the middle.
        open_gap: Pixels by which `open` parts them there.
        round_overlap: Pixels by which `round` brings them together there.
    """

    points: NDArray[np.float64]
    frame: HeadFrame
    layout: MouthLayout
    upper: DisplacementBasis
    lower: DisplacementBasis
    box: tuple[int, int, int, int]
    overlap: float
    open_gap: float
    round_overlap: float


def build_rig(
    face: FaceLandmarks,
    *,
    picture_size: tuple[int, int],
    neighbours: tuple[NDArray[np.float64], ...] = (),
    lattice_steps: int = 40,
) -> Rig:
    """Make the rig of one head.

    Args:
        face: As detected in the picture.
        picture_size: Height and width of the picture.
        neighbours: Centres (x, y) of the other faces; nothing nearer to them than to this face
            moves.
        lattice_steps: Of the fields' lattice, for one face height.
    """
    points = face.points.astype(np.float64)
    frame = HeadFrame.of(face)
    layout = MouthLayout.of(frame)
    xy = points[: mesh.NUM_FACE_POINTS, :2]
    centre = frame.origin[:2]
    grid = _region(frame, centre, picture_size, lattice_steps)
    shapes = expression_displacements(frame, layout)
    moves = [shapes[name] for name in EXPRESSIONS] + closing_displacements(frame, layout)
    projected = np.stack([move @ frame.axes[:, :2] for move in moves])  # [E + C, N, 2]
    near_face = expression_falloff(points, frame, grid)
    anchors = _Anchors.around(points, frame, layout, grid)
    x, y = grid.coordinates()
    distinct = neighbour_mask((x, y), centre, neighbours, frame.height)
    near_face *= distinct
    lips = InnerLips.of(points, frame, grid)
    upper, lower = (
        _expression_fields(
            xy=xy,
            projected=projected,
            anchors=anchors,
            grid=grid,
            frame=frame,
            near_face=near_face,
            left_out=left_out,
        )
        for left_out in (mesh.LOWER_LIP, mesh.UPPER_LIP)
    )
    expression = close_lips(lips, upper, lower)
    reach = head_falloff(frame, grid) * distinct
    motion = _motion_fields(
        points=points, frame=frame, anchors=anchors, grid=grid, reach=reach, distinct=distinct
    )
    moving: NDArray[np.bool_] = reach > 1e-3
    for fields in (*expression, motion):
        moving = np.logical_or(moving, np.abs(fields).max((0, 3)) > 0.02)
    top, bottom = _span(moving.any(axis=1))
    left, right = _span(moving.any(axis=0))
    small = grid.crop(top, bottom, left, right)
    seal, opened, rounded = (EXPRESSIONS.index(name) for name in ("seal", "open", "round"))
    middle = len(mesh.LIPS_INNER_UPPER) // 2
    sealed_gap = lips.gaps(expression[0][seal], expression[1][seal])[middle]
    open_gap = lips.gaps(expression[0][opened], expression[1][opened])[middle]
    round_gap = lips.gaps(expression[0][rounded], expression[1][rounded])[middle]
    height, width = picture_size
    bases = [
        DisplacementBasis(
            small,
            np.concatenate([fields, motion])[:, top:bottom, left:right]
            .reshape(len(WEIGHTS), -1)
            .astype(np.float32),
        )
        for fields in expression
    ]
    return Rig(
        points=points,
        frame=frame,
        layout=layout,
        upper=bases[0],
        lower=bases[1],
        box=(
            small.x,
            small.y,
            min(width, small.x + (small.shape[1] - 1) * small.step + 1),
            min(height, small.y + (small.shape[0] - 1) * small.step + 1),
        ),
        overlap=max(0.0, -float(sealed_gap)),
        open_gap=float(open_gap - lips.gaps()[middle]),
        round_overlap=max(0.0, float(lips.gaps()[middle] - round_gap)),
    )


def _span(moving: NDArray[np.bool_] | np.bool_) -> tuple[int, int]:
    """First and one past the last lattice line that moves, with one still line around."""
    lines = np.flatnonzero(moving)
    return max(int(lines[0]) - 1, 0), min(int(lines[-1]) + 2, np.size(moving))


def _region(
    frame: HeadFrame,
    centre: NDArray[np.float64],
    picture_size: tuple[int, int],
    lattice_steps: int,
) -> Grid:
    height, width = picture_size
    far = FARTHEST * frame.height
    return Grid.over(
        max(0, int(centre[0] - far)),
        max(0, int(centre[1] - far)),
        min(width, int(centre[0] + far)),
        min(height, int(centre[1] + far)),
        step=max(3, 2 * round(frame.height / lattice_steps / 2 - 0.5) + 1),
    )


@dataclass(frozen=True)
class _Anchors:
    """Points beside the face that hold the fields still (or, below the chin, let them fade).

    Attributes:
        rings: Two enlarged outlines of the face, [2 * 36, 2].
        border: Points on the region's border, [28, 2].
        chin_pull: Displacement of `rings` under `open`, pixels [72, 2].
    """

    rings: NDArray[np.float64]
    border: NDArray[np.float64]
    chin_pull: NDArray[np.float64]

    @classmethod
    def around(
        cls, points: NDArray[np.float64], frame: HeadFrame, layout: MouthLayout, grid: Grid
    ) -> "_Anchors":
        outline = points[list(mesh.OVAL), :2]
        middle = outline.mean(0)
        rings = np.concatenate([middle + (outline - middle) * k for k in (1.25, 1.6)])
        x, y = grid.coordinates()
        columns, rows = np.linspace(x[0, 0], x[0, -1], 7), np.linspace(y[0, 0], y[-1, 0], 7)
        border = np.concatenate(
            [
                np.stack([columns, np.full(7, rows[0])], 1),
                np.stack([columns, np.full(7, rows[-1])], 1),
                np.stack([np.full(7, columns[0]), rows], 1),
                np.stack([np.full(7, columns[-1]), rows], 1),
            ]
        )
        # The skin of the neck follows a dropping jaw a little.
        deep = np.concatenate([rings, np.full((len(rings), 1), points[mesh.CHIN, 2])], 1)
        local = (deep - frame.origin) @ frame.axes.T
        under = (local[:, 1] - frame.local[mesh.CHIN, 1]) / frame.height
        follows = np.where(
            under > 0,
            (1 - smoothstep(under, 0, 0.38)) * np.exp(-((local[:, 0] / (0.33 * frame.width)) ** 2)),
            0,
        )
        pull = 0.72 * layout.max_gap * follows[:, None] * frame.axes[1, :2]
        return cls(rings, border, pull)


def _expression_fields(
    *,
    xy: NDArray[np.float64],
    projected: NDArray[np.float64],
    anchors: _Anchors,
    grid: Grid,
    frame: HeadFrame,
    near_face: NDArray[np.float64],
    left_out: tuple[int, ...],
) -> NDArray[np.float64]:
    """Dense fields of all moves from the landmarks but `left_out`: [E + C, rows, columns, 2].

    They fade with `near_face`, 0..1 [rows, columns], and are worked out only where it is not 0.
    """
    kept = np.setdiff1d(np.arange(mesh.NUM_FACE_POINTS), left_out)
    centres = np.concatenate([xy[kept], anchors.rings, anchors.border])
    held = np.zeros((len(projected), len(anchors.rings) + len(anchors.border), 2))
    held[EXPRESSIONS.index("open"), : len(anchors.rings)] = anchors.chin_pull
    values = np.concatenate([projected[:, kept], held], 1)  # [E, N, 2]
    flat = values.transpose(1, 0, 2).reshape(len(centres), -1)
    x, y = grid.coordinates()
    # Landmarks of a turned head crowd together at its far side: more smoothing, or the field folds.
    smoothing = 2e-4 if abs(frame.yaw_degrees) < 28 else 4e-3
    near = near_face > 0
    dense = np.zeros((*grid.shape, flat.shape[1]))
    dense[near] = near_face[near][:, None] * thin_plate(
        centres,
        flat,
        np.stack([x[near], y[near]], 1),
        smoothing=smoothing,
        scale=frame.height,
    )
    return dense.reshape(*grid.shape, len(projected), 2).transpose(2, 0, 1, 3)


def _motion_fields(
    *,
    points: NDArray[np.float64],
    frame: HeadFrame,
    anchors: _Anchors,
    grid: Grid,
    reach: NDArray[np.float64],
    distinct: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Dense fields of `MOTIONS` for small turns about the neck: [M, rows, columns, 2]."""
    x, y = grid.coordinates()
    ear = (points[mesh.RIGHT_CHEEK, 2] + points[mesh.LEFT_CHEEK, 2]) / 2
    outer_ring = anchors.rings[len(mesh.OVAL) :]
    depth = thin_plate(
        np.concatenate([points[: mesh.NUM_FACE_POINTS, :2], outer_ring, anchors.border]),
        np.concatenate(
            [
                points[: mesh.NUM_FACE_POINTS, 2],
                np.full(len(outer_ring), ear + 0.05 * frame.width),
                np.full(len(anchors.border), ear + 0.10 * frame.width),
            ]
        )[:, None],
        np.stack([x.ravel(), y.ravel()], 1),
        smoothing=1e-3,
        scale=frame.height,
    ).reshape(grid.shape)
    behind = depth - (ear + 0.10 * frame.height)  # negative on the face: nearer than the axis
    neck_x, neck_y = (frame.origin + frame.axes[1] * NECK * frame.height)[:2]
    fields = np.zeros((len(MOTIONS), *grid.shape, 2))
    fields[0, ..., 0] = -behind
    fields[1, ..., 1] = behind
    fields[2, ..., 0], fields[2, ..., 1] = -(y - neck_y), x - neck_x
    fields[3, ..., 0] = frame.width
    fields[4, ..., 1] = frame.height
    fields[5, ..., 0], fields[5, ..., 1] = x - neck_x, y - neck_y
    fields *= reach[None, :, :, None]
    # Breathing lifts the chest, which the head's reach hardly touches.
    down = (y - neck_y) / frame.height
    beside = np.abs(x - neck_x) / frame.width
    border = np.minimum.reduce([x - x[0, 0], x[0, -1] - x])
    chest = (
        smoothstep(down, -0.35, 0.45)
        * (1 - smoothstep(beside, 0.7, 1.5))
        * smoothstep(border, 0, 0.25 * frame.height)
        * (1 - smoothstep(down, 0.6, 1.25))
    )
    fields[6, ..., 1] = -frame.height * np.maximum(chest, 0.6 * reach) * distinct
    # Shoulders go with the head a little.
    along = np.maximum(chest * distinct - reach, 0)
    fields[2, ..., 0] += SHOULDERS_LEAN * NECK * frame.height * along
    fields[3, ..., 0] += SHOULDERS_FOLLOW * frame.width * along
    fields[4, ..., 1] += SHOULDERS_FOLLOW * frame.height * along
    return fields


# Closed lips touch, they do not just meet: teeth and gums show a little inside the landmarks.
PRESSED, MOST_PRESSED = 0.25, 0.014  # of the photograph's gap, and at most, in face heights
RIDGE = 0.02  # of the largest effect of a move


@dataclass(frozen=True)
class InnerLips:
    """The inner lips of the photograph, for measuring what a pair of fields does to them.

    Attributes:
        above: Lower edge of the upper lip, pixels [11, 2].
        below: Upper edge of the lower lip, likewise.
        down: Unit vector down the face.
        height: Of the face, pixels.
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

    def gaps(
        self, upper: NDArray[np.floating] | None = None, lower: NDArray[np.floating] | None = None
    ) -> NDArray[np.float64]:
        """Signed pixels between the lips at the 11 points, moved by the fields or at rest."""
        above, below = self.above, self.below
        if upper is not None and lower is not None:
            above = displace_points(above, upper.astype(np.float32), self.grid).astype(np.float64)
            below = displace_points(below, lower.astype(np.float32), self.grid).astype(np.float64)
        return (below - above) @ self.down


def close_lips(
    lips: InnerLips, upper: NDArray[np.float64], lower: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The fields of all expressions, and `seal` such that the photograph's lips touch everywhere.

    A smooth field cannot follow every landmark: it leaves a gap here and crushes the lips there.
    Gaps are linear in the fields, so the right shares of the closing moves, which follow the
    expressions in `upper` and `lower`, are the least-squares solution.
    """
    count, seal = len(EXPRESSIONS), EXPRESSIONS.index("seal")
    before, after = lips.gaps(), lips.gaps(upper[seal], lower[seal])
    effects = [
        lips.gaps(above, below) - before
        for above, below in zip(upper[count:], lower[count:], strict=True)
    ]
    wanted = -np.clip(PRESSED * before, 0, MOST_PRESSED * lips.height) - after
    # A little ridge: neighbouring moves would fight for the last hundredth of a pixel.
    system = np.stack(effects, 1)  # [11, C]
    ridge = RIDGE * np.abs(system).max() * np.eye(len(effects))
    shares = np.linalg.lstsq(
        np.concatenate([system, ridge]), np.r_[wanted, np.zeros(len(effects))], rcond=None
    )[0]
    for fields in (upper, lower):
        fields[seal] += np.tensordot(shares, fields[count:], 1)
    return upper[:count], lower[:count]
