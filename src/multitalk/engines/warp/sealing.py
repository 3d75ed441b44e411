"""How far a pair of fields parts the lips, and a `seal` that closes the photograph's everywhere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.field import Grid, move_points
from multitalk.engines.warp.head import HeadFrame
from multitalk.engines.warp.shapes import EXPRESSIONS
from multitalk.face import mesh

# Closed lips touch, they do not just meet: teeth and gums show a little inside the landmarks.
PRESSED, MOST_PRESSED = 0.25, 0.014  # of the photograph's gap, and at most, in face heights
RIDGE = 0.02  # of the largest effect of a move


@dataclass(frozen=True)
class Lips:
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
    def of(cls, points: NDArray[np.float64], frame: HeadFrame, grid: Grid) -> "Lips":
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
            above = move_points(above, upper.astype(np.float32), self.grid).astype(np.float64)
            below = move_points(below, lower.astype(np.float32), self.grid).astype(np.float64)
        return (below - above) @ self.down


def sealed(
    lips: Lips, upper: NDArray[np.float64], lower: NDArray[np.float64]
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
