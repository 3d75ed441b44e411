"""Dentition: how one person's teeth differ from the mean ones, drawn from the shape of their face.

Nothing tells a closed mouth's teeth. They must not be the same ones in every face, nor change when
the same face is measured again: each difference is a smooth function of the places of eyes, nose
and forehead, which speech does not move.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from multitalk.array_types import DoubleArray
from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.engines.warp.teeth import LOWER_ROW, MM, UPPER_ROW, Tooth, ToothRow
from multitalk.face import mesh

SHAPED_BY = (
    *(mesh.RIGHT_EYE_OUTER, mesh.RIGHT_EYE_INNER, mesh.LEFT_EYE_INNER, mesh.LEFT_EYE_OUTER),
    *mesh.NOSE_BASE,
    mesh.FOREHEAD_TOP,
)
# Radians per face width: faces differ by some 0.02 at each place, measurements by 0.002.
SENSITIVITY, SEED = 18.0, 2
# Standard deviations, set by eye on photographs of teeth: size of all crowns, of a lateral incisor
# and of any other, shares; how far the row shows, its midline, the level and the tilt of a biting
# edge, dental units; light of one tooth, light and warmth of all, shares.
SIZE, LATERAL, CROWN = 0.045, 0.06, 0.03
# Both sides alike: how round the corners are, how far crowns taper towards the gum, how dark the
# clefts are, shares; how much shorter lateral incisors and how pointed canines are, dental units.
ROUNDED, TAPER, CLEFT, SHORT_LATERAL, POINTED = 0.28, 0.50, 0.18, 0.42 * MM, 0.38 * MM
SHOWS, MIDLINE, LEVEL, LOWER_LEVEL, TILT = 0.7 * MM, 0.6 * MM, 0.16 * MM, 0.26 * MM, 0.20 * MM
COOLEST = -0.012  # warmth: no enamel is bluer than the light
EDGE_LIMITS = (-1.2 * MM, 3.0 * MM)  # of a photographed row below the line of closed lips
LIGHT, LOWER_LIGHT, LIGHTNESS, WARMTH = 0.02, 0.025, 0.04, 0.035


@dataclass(frozen=True)
class Dentition:
    """One person's rows of teeth.

    Attributes:
        upper: Row.
        lower: Row.
        tint: Their colour, as a share of the usual enamel's: RGB [3].
    """

    upper: ToothRow = UPPER_ROW
    lower: ToothRow = LOWER_ROW
    tint: DoubleArray = field(default_factory=lambda: np.ones(3))

    @classmethod
    def of(cls, frame: HeadFrame, *, edge: float | None = None) -> "Dentition":
        """The teeth of a head.

        Args:
            frame: Of the head.
            edge: v of the upper teeth's biting edge, dental units; None: not known.
        """
        traits = _Traits(frame)
        size, shows = 1 + SIZE * traits.draw(), SHOWS * traits.draw()
        middle = MIDLINE * traits.draw()
        warm = max(WARMTH * traits.draw(), COOLEST)
        light = 1 + LIGHTNESS * traits.draw()
        if edge is None:
            edge = UPPER_ROW.edge + shows
        upper, lower = (
            traits.row(UPPER_ROW, size, level=LEVEL, light=LIGHT),
            traits.row(LOWER_ROW, size, level=LOWER_LEVEL, light=LOWER_LIGHT),
        )
        lateral, pointed = SHORT_LATERAL * traits.draw(), POINTED * traits.draw()
        upper = replace(
            upper,
            rounded=upper.rounded * (1 + ROUNDED * traits.draw()),
            taper=1 + TAPER * traits.draw(),
            cleft=upper.cleft * (1 + CLEFT * traits.draw()),
            teeth=_shaped(upper.teeth, lateral, pointed),
            others=_shaped(upper.others or upper.teeth, lateral, pointed),
        )
        return cls(
            upper=replace(upper, edge=float(np.clip(edge, *EDGE_LIMITS)), middle=middle),
            lower=replace(lower, middle=middle / 2),
            tint=light * np.array([1 + warm / 4, 1.0, 1 - warm]),
        )


def _shaped(teeth: tuple[Tooth, ...], shorter: float, pointed: float) -> tuple[Tooth, ...]:
    """One side of an upper row with other lateral incisors and canines."""
    central, lateral, canine, *others = teeth
    return (
        central,
        lateral._replace(shorter=lateral.shorter + shorter),
        canine._replace(pointed=canine.pointed + pointed),
        *others,
    )


class _Traits:
    """Numbers of a face with a standard deviation of 1, one after the other."""

    def __init__(self, frame: HeadFrame) -> None:
        places = frame.local[list(SHAPED_BY)]
        self._shape: DoubleArray = ((places - places.mean(0)) / frame.width).ravel()
        self._rng = np.random.default_rng(SEED)

    def draw(self) -> float:
        """The next one, sqrt(2) at most."""
        direction = self._rng.standard_normal(len(self._shape))
        return float(np.sqrt(2) * np.sin(SENSITIVITY * direction @ self._shape))

    def row(self, row: ToothRow, size: float, *, level: float, light: float) -> ToothRow:
        """A row, each of its teeth changed."""
        left, right = (
            tuple(
                tooth._replace(
                    width=tooth.width * size * (1 + (LATERAL if at == 1 else CROWN) * self.draw()),
                    shorter=tooth.shorter + level * self.draw(),
                    tilted=TILT * self.draw(),
                    light=tooth.light * (1 + light * self.draw()),
                )
                for at, tooth in enumerate(row.teeth)
            )
            for _ in range(2)
        )
        return replace(row, teeth=left, others=right)
