import numpy as np
import pytest

from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.sprite import Sprite
from multitalk.engines.warp.teeth import LOWER_ROW, MM, UPPER_ROW, MouthSprites

DENSITY = 200.0


def sprites(exposure: float = 1.0, **given: object) -> MouthSprites:
    return MouthSprites(
        density=DENSITY, blur=1.0, exposure=exposure, tint=np.ones(3, np.float32),
        colourfulness=1.0, **given,
    )  # fmt: skip


def shown(sprite: Sprite, u: float, v: float) -> np.ndarray:
    """Colour of a sprite at a place in dental units, RGB 0..255."""
    column, row = (
        round(place * DENSITY + at) for place, at in zip((u, v), sprite.origin, strict=True)
    )
    colour, cover = sprite.pixels[row, column, :3], sprite.pixels[row, column, 3]
    return colour / max(cover / 255, 1e-3)


@pytest.mark.parametrize("exposure", [0.5, 0.8, 1.05])
def test_front_teeth_are_about_as_light_as_the_skin_around_them(exposure: float) -> None:
    skin = 165 * exposure ** (1 / 0.6)  # the skin whose exposure this is
    teeth = sprites(exposure).teeth(UPPER_ROW)
    light = float(shown(teeth, 3.5 * MM, -2 * MM) @ LUMA)
    assert 0.85 * min(skin, 200) < light < 2.2 * skin
    assert light < 230


def test_teeth_grow_darker_towards_the_cheeks_and_have_faint_clefts() -> None:
    teeth = sprites().teeth(UPPER_ROW)
    centre = float(shown(teeth, 4.2 * MM, -1 * MM) @ LUMA)
    cleft = float(shown(teeth, 0.0, -1 * MM) @ LUMA)
    molar = float(shown(teeth, 30 * MM, -6 * MM) @ LUMA)
    lateral = float(shown(teeth, 11.8 * MM, -1 * MM) @ LUMA)
    assert 0.65 * centre < cleft < 0.86 * centre
    assert lateral < 0.95 * centre
    assert molar < 0.6 * centre


def test_the_four_front_teeth_end_as_teeth_do() -> None:
    teeth = sprites().teeth(UPPER_ROW)
    cover, (x, y) = teeth.pixels[..., 3] > 127, teeth.origin
    ends = [
        (len(cover) - 1 - cover[::-1, round(u * DENSITY + x)].argmax() - y) / DENSITY
        for u in (4.2 * MM, 11.5 * MM, 17.6 * MM)
    ]  # central and lateral incisor, canine
    assert ends[0] == pytest.approx(UPPER_ROW.edge, abs=0.3 * MM)
    assert 0.5 * MM < ends[0] - ends[1] < 2.2 * MM
    assert 1.5 * MM < ends[0] - ends[2] < 4.5 * MM


def test_upper_front_teeth_are_wider_than_lower_ones_and_both_rows_fill_a_smile() -> None:
    upper, lower = ([tooth.width for tooth in row.teeth] for row in (UPPER_ROW, LOWER_ROW))
    assert 1.4 < upper[0] / lower[0] < 1.8
    assert 50 * MM < 2 * sum(upper) < 70 * MM
    assert sum(lower) < sum(upper)


def test_the_photographs_own_enamel_sets_the_colour_within_limits() -> None:
    usual = shown(sprites().teeth(UPPER_ROW), 4.2 * MM, -1 * MM)
    yellowish = np.float32([225, 205, 160])
    own = shown(sprites(enamel=yellowish).teeth(UPPER_ROW), 4.2 * MM, -1 * MM)
    assert own[2] / own[0] < 0.92 * usual[2] / usual[0]
    white = shown(sprites(1.1, enamel=np.full(3, 255, np.float32)).teeth(UPPER_ROW), 4 * MM, 0)
    assert white.max() < 250  # light enough, and not without shape
    black = np.float32([30, 25, 20])
    limited = shown(sprites(enamel=black).teeth(UPPER_ROW), 4.2 * MM, -1 * MM)
    assert limited @ LUMA > 0.75 * (usual @ LUMA)


def test_the_tongue_is_flesh_and_darker_at_its_root() -> None:
    tongue = sprites().tongue()
    front, root = shown(tongue, 0.1, 0.2), shown(tongue, 0.1, 0.04)
    assert front[0] > 1.4 * front[1]
    assert root @ LUMA < 0.8 * (front @ LUMA)


def test_teeth_that_are_not_seen_are_as_white_as_the_persons_eyes() -> None:
    def front(**given: object) -> np.ndarray:
        return shown(sprites(**given).teeth(UPPER_ROW), 4.2 * MM, -1 * MM)

    usual = front()
    yellow = front(white=np.float32([150, 130, 80]))
    assert yellow @ LUMA < 0.95 * (usual @ LUMA)
    assert yellow[2] / yellow[0] < 0.88 * usual[2] / usual[0]
    dark = front(white=np.float32([20, 20, 20]))  # a misreading
    assert dark @ LUMA > 0.8 * (usual @ LUMA)
    enamel = np.float32([225, 205, 160])
    own, beside = front(enamel=enamel), front(enamel=enamel, white=np.float32([150, 130, 80]))
    np.testing.assert_array_equal(own, beside)


def test_clefts_open_towards_the_biting_edge() -> None:
    teeth = sprites().teeth(UPPER_ROW)

    def share(v: float) -> float:
        cleft, crown = (float(shown(teeth, u, v) @ LUMA) for u in (0.0, 4.2 * MM))
        return cleft / crown

    at_edge, at_contact = share(0.2 * MM), share(-4 * MM)
    assert at_edge < 0.8
    assert at_edge + 0.08 < at_contact
    assert 0.75 < at_contact < 0.92  # seen, and not as dark as at the edge


def test_upper_teeth_shade_what_is_below_them_and_lower_ones_do_not() -> None:
    for row, shaded in ((UPPER_ROW, True), (LOWER_ROW, False)):
        teeth = sprites().teeth(row)
        column = round(4.2 * MM * DENSITY + teeth.origin[0])
        line = round((row.edge + row.outwards * 1.0 * MM) * DENSITY + teeth.origin[1])
        colour, cover = teeth.pixels[line, column, :3], teeth.pixels[line, column, 3] / 255
        assert (0.1 < cover < 0.5) == shaded
        assert colour.max() < 0.25 * 255
