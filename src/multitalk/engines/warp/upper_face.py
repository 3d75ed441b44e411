"""Upper face: displacements of brows, forehead and lids, in the head's own axes.

The forehead's muscle raises the brows and the skin as far as the hair; the muscle between the brows
draws their inner ends down and together; the ring muscle around each eye raises the lower lid.
"""

from collections.abc import Mapping

import numpy as np

from multitalk.array_types import DoubleArray
from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.engines.warp.smoothing import smoothstep
from multitalk.face import mesh

# Falloffs and shares of the brows' movement, fitted to films (docs/experiments.md).
BROW_LID_MARGIN, BROW_UP = 0.02, 0.12  # face heights: still skin above the lid, falloff upwards
BROW_FADES_OVER = (0.25, 1.0)  # share of the way from brow to lid
BROW_STRETCHES = 0.8  # of the skin between brow and lid: a low brow rises less
BROW_OPENS_EYE = 0.11  # share of a brow's movement by which the upper lid follows
BROW_LOWERS_LID = 0.06  # share by which the lower lid goes the other way
INNER_BROW = 0.16  # face widths from a brow's inner end: falloff of a frown
LEANS_FROM = 0.20  # face widths from the middle at which a brow moves in full as brows lean
# A squint: shares of the gap between the lids by which they meet it; half widths of the eye aside,
# and face heights below the lower lid and above the upper one, over which the skin follows.
SQUINT_LOWER, SQUINT_UPPER = 0.25, 0.22
SQUINT_SIDE, SQUINT_BELOW, SQUINT_ABOVE = 1.3, 0.09, 0.06


def upper_face_shapes(frame: HeadFrame, pixels: Mapping[str, float]) -> dict[str, DoubleArray]:
    """Displacements of `brow`, `frown`, `lean` and `squint` for weight 1, pixels [468, 3] each.

    Args:
        frame: The head's.
        pixels: Of `AMPLITUDES`.
    """
    upper = _UpperFace(frame)
    return {
        "brow": upper.brow(pixels["brow up"]),
        "frown": upper.frown(pixels["frown inner brows down"], pixels["frown inner brows in"]),
        "lean": upper.lean(pixels["lean brows"]),
        "squint": upper.squint(),
    }


class _UpperFace:
    """Shapes of one head; amplitudes are pixels, positive down."""

    def __init__(self, frame: HeadFrame) -> None:
        self._frame = frame
        local = frame.local[: mesh.NUM_FACE_POINTS]
        self._x, self._y = local[:, 0], local[:, 1]
        self._at_brows = self._weight_at_brows()

    def brow(self, amplitude: float) -> DoubleArray:
        share = np.maximum(self._at_brows, BROW_OPENS_EYE * self._at_upper_lids())
        d = _zeros()
        d[:, 1] = self._limited(amplitude) * (share - BROW_LOWERS_LID * self._at_lower_lids())
        return d

    def frown(self, down: float, inwards: float) -> DoubleArray:
        inner_end = np.abs(self._x[list(mesh.BROWS)]).min()  # of the brows, next to the nose
        beyond = np.clip(np.abs(self._x) - inner_end, 0, None)
        inner = self._at_brows * np.exp(-((beyond / (INNER_BROW * self._frame.width)) ** 2))
        d = _zeros()
        d[:, 1] = down * inner
        d[:, 0] = inwards * inner * np.clip(self._x / inner_end, -1, 1)
        return d

    def lean(self, amplitude: float) -> DoubleArray:
        aside = np.clip(-self._x / (LEANS_FROM * self._frame.width), -1, 1)
        d = _zeros()
        d[:, 1] = self._limited(amplitude) * self._at_brows * np.sin(np.pi / 2 * aside)
        return d

    def squint(self) -> DoubleArray:
        d = _zeros()
        for upper, lower in (
            (mesh.RIGHT_EYE_UPPER, mesh.RIGHT_EYE_LOWER),
            (mesh.LEFT_EYE_UPPER, mesh.LEFT_EYE_LOWER),
        ):
            corners = self._x[[upper[0], upper[-1]]]
            half = max(abs(corners[1] - corners[0]) / 2, 1.0)
            beside = np.exp(-(((self._x - corners.mean()) / half / SQUINT_SIDE) ** 2))
            d[:, 1] += beside * self._towards_the_eye(upper, lower)
        return d

    def _towards_the_eye(self, upper: tuple[int, ...], lower: tuple[int, ...]) -> DoubleArray:
        """Pixels down by which the lids of one eye and the skin around them meet: [468]."""
        lid, floor = (float(self._y[list(edge[2:-2])].mean()) for edge in (upper, lower))
        height, gap = self._frame.height, max(floor - lid, 1.0)
        way = np.clip((floor - self._y) / gap, 0, 1)  # from the lower lid to the upper one
        below = np.clip(self._y - floor, 0, None) / (SQUINT_BELOW * height)
        above = np.clip(lid - self._y, 0, None) / (SQUINT_ABOVE * height)
        moved = SQUINT_UPPER * way - SQUINT_LOWER * (1 - way)
        return gap * moved * np.exp(-(below**2) - above**2)

    def _limited(self, amplitude: float) -> float:
        """An amplitude upwards that the skin between brows and lids allows."""
        return max(amplitude, -BROW_STRETCHES * self._brow_above_lid())

    def _weight_at_brows(self) -> DoubleArray:
        """1 along the brows, fading into the forehead and to 0 at the upper lids: [468]."""
        frame, y, level = self._frame, self._y, self._level_of_brows()
        middle_of_lid = mesh.RIGHT_EYE_UPPER[len(mesh.RIGHT_EYE_UPPER) // 2]
        lid = y[middle_of_lid] - BROW_LID_MARGIN * frame.height
        way = np.maximum(lid - level, BROW_LID_MARGIN * frame.height)
        return np.where(
            y > level,
            1 - smoothstep((y - level) / way, *BROW_FADES_OVER),
            np.exp(-(((y - level) / (BROW_UP * frame.height)) ** 2)),
        )

    def _level_of_brows(self) -> DoubleArray:
        """Where the brows are above or below each landmark, pixels down: [468].

        Along their own curve: raised from a straight line, the arch of a brow would grow.
        """
        brows = [*mesh.RIGHT_BROW_LOWER, *mesh.LEFT_BROW_LOWER]
        brows.sort(key=lambda landmark: float(self._x[landmark]))
        return np.interp(self._x, self._x[brows], self._y[brows])

    def _brow_above_lid(self) -> float:
        """Pixels from the brows down to the upper lids."""
        brows = (*mesh.RIGHT_BROW_LOWER, *mesh.LEFT_BROW_LOWER)
        lids = (*mesh.RIGHT_EYE_UPPER[3:-3], *mesh.LEFT_EYE_UPPER[3:-3])
        return max(0.0, float(self._y[list(lids)].mean() - self._y[list(brows)].mean()))

    def _at_upper_lids(self) -> DoubleArray:
        """1 from the brows to the upper lids, 0 from the lower lids on and far above: [468]."""
        lid, floor = self._lid_levels()
        eye = 1 - smoothstep((self._y - lid) / max(floor - lid, 1.0), 0, 1)
        above = np.minimum(self._y - self._y[list(mesh.BROWS)].mean(), 0)
        return eye * np.exp(-((above / (BROW_UP * self._frame.height)) ** 2))

    def _at_lower_lids(self) -> DoubleArray:
        """1 at the lower lids, fading into the cheeks, 0 from the upper lids on: [468]."""
        lid, floor = self._lid_levels()
        eye = smoothstep((self._y - lid) / max(floor - lid, 1.0), 0, 1)
        below = np.clip(self._y - floor, 0, None) / (SQUINT_BELOW * self._frame.height)
        return np.asarray(eye * np.exp(-(below**2)), np.float64)

    def _lid_levels(self) -> tuple[float, float]:
        """Mean height of the upper and of the lower lids, pixels down."""
        lids = (*mesh.RIGHT_EYE_UPPER[2:-2], *mesh.LEFT_EYE_UPPER[2:-2])
        floors = (*mesh.RIGHT_EYE_LOWER[2:-2], *mesh.LEFT_EYE_LOWER[2:-2])
        lid, floor = (float(self._y[list(edge)].mean()) for edge in (lids, floors))
        return lid, floor


def _zeros() -> DoubleArray:
    return np.zeros((mesh.NUM_FACE_POINTS, 3))
