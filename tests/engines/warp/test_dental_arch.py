import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.engines.warp.dental_arch import DRAWN_BEHIND, DentalAxes, HeadTurn
from multitalk.engines.warp.head_motion import MOTIONS
from multitalk.engines.warp.teeth import LOWER_ROW, MM, UPPER_ROW, MouthSprites, ToothRow

UNIT = 300.0  # pixels of a dental unit
SIZE, ORIGIN = (360, 220), np.array([180.0, 110.0])


def axes(**turned: float) -> DentalAxes:
    weights = np.zeros(len(MOTIONS), np.float32)
    for name, value in turned.items():
        weights[MOTIONS.index(name)] = value
    still = DentalAxes(np.array([UNIT, 0]), np.array([0, UNIT]), np.multiply(DRAWN_BEHIND, UNIT))
    return still.turned(HeadTurn.of(weights), UNIT)


def cover(row: ToothRow, drop: float = 0.0, **turned: float) -> NDArray[np.bool_]:
    sprites = MouthSprites(
        density=UNIT, blur=0.5, exposure=1.0, tint=np.ones(3, np.float32), colourfulness=1.0
    )
    seen = axes(**turned).place_row(sprites.teeth(row), UNIT, ORIGIN, SIZE, drop=drop)
    return seen[..., 3] > 200


def edge(mask: NDArray[np.bool_], u: float) -> int:
    """The row of pixels of the upper teeth's biting edge in a column."""
    column = mask[:, round(ORIGIN[0] + u * UNIT)]
    return int(np.flatnonzero(column)[-1])


def test_a_row_is_drawn_as_it_is_where_the_head_is_held_as_people_hold_it() -> None:
    mask = cover(UPPER_ROW)
    assert edge(mask, 4 * MM) == pytest.approx(ORIGIN[1] + UPPER_ROW.edge * UNIT, abs=2)
    assert edge(mask, 17 * MM) < edge(mask, 4 * MM)  # it recedes under the lip


def test_a_head_that_looks_up_shows_molars_lower_and_incisors_where_they_were() -> None:
    before, up, down = (cover(UPPER_ROW, pitch=pitch) for pitch in (0.0, 0.12, -0.12))
    incisor, premolar = 4 * MM, 18.5 * MM
    assert abs(edge(up, incisor) - edge(before, incisor)) <= 2
    assert edge(up, premolar) > edge(before, premolar) + 8 > edge(down, premolar) + 16


def test_a_head_that_turns_shows_more_of_one_side_of_the_row() -> None:
    mask = cover(UPPER_ROW, yaw=0.15)[round(ORIGIN[1] - 12 * MM * UNIT)]
    before = cover(UPPER_ROW)[round(ORIGIN[1] - 12 * MM * UNIT)]
    middle = round(ORIGIN[0])
    # Depth moves to the left: the right half is seen more from in front, its end is nearer.
    assert before[middle:].sum() - mask[middle:].sum() > 8
    assert mask[:middle].sum() >= before[:middle].sum()


def test_teeth_tilt_with_the_head() -> None:
    angle = 0.1
    mask = cover(UPPER_ROW, roll=angle)
    lower, higher = edge(mask, 15 * MM), edge(mask, -15 * MM)
    assert lower - higher == pytest.approx(2 * 15 * MM * UNIT * np.tan(angle), rel=0.25)


def test_a_jaw_that_drops_lowers_its_incisors_more_than_its_molars() -> None:
    def top(mask: NDArray[np.bool_], u: float) -> int:
        return int(np.flatnonzero(mask[:, round(ORIGIN[0] + u * UNIT)])[0])

    shut, wide = cover(LOWER_ROW), cover(LOWER_ROW, drop=0.3)
    assert abs(top(wide, 2 * MM) - top(shut, 2 * MM)) <= 2
    assert top(wide, 18 * MM) < top(shut, 18 * MM) - 8
