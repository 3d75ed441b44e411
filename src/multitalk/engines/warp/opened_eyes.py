"""Half-shut eyes of a photograph, opened to how they rest.

The upper lid goes up with its lashes, and the skin above it folds up into a crease. What it
uncovers is made up. Of lids that rise a little, what is seen goes on: the iris as a disc around its
centre, in the colours that are seen at each radius, the white beside it upwards. Else the whole eye
is drawn.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.drawn_eye import EyeColours, drawn_eye
from multitalk.engines.warp.eyeball import (
    IRIS_EDGE,
    JOIN,
    SHADED,
    Iris,
    away_from,
    radial_colours,
    white_of,
)
from multitalk.engines.warp.lid_geometry import LidGeometry
from multitalk.engines.warp.smoothing import smoothstep

# Lengths are in eye widths, and set by eye on blinks of films, unless another unit is given.
# Above the lid's edge: moved as a whole; not at all from here on, or from the brow, but not nearer.
CARRIED, ENDS, NEAREST_END = 0.05, 0.36, 0.12
CATCHLIGHT = (20.0, 50.0)  # brighter than the iris, of 255: kept
SHADE, SHADE_DEPTH = 0.28, 0.07  # by the lid on the eye: loss of light at its edge; depth
EDGE_SOFTNESS = 0.02  # of the lid's edge
# A lid that rises folds: loss of light in its crease, by rise; height above its edge; thickness.
CREASE, CREASE_BY, CREASE_AT, CREASE_WIDE = 0.24, (0.03, 0.14), 0.105, 0.020
# Lashes of a drawn eye: cover at its edge; thickness there; of the fringe above; its length, and
# where it begins, of the half width outwards; distances of tufts. Where the edge ends, of the half
# width, at the inner and the outer corner; its thickness along the eye, of that.
EDGE, EDGE_WIDE, FRINGE, FRINGE_LONG = 0.90, 0.034, 0.50, 0.088
EDGE_ENDS = (0.86, 1.04), (0.98, 1.16)
EDGE_THICKNESS = (-0.9, -0.2, 0.5, 0.95, 1.1), (0.55, 0.95, 1.25, 1.15, 0.5)
FRINGE_FROM, TUFTS = (-0.5, 0.5), (0.083, 0.057, 0.037)
LOWER_LASHES, LOWER_LONG = 0.24, 0.030


def opened(
    base: NDArray[np.uint8], place: LidGeometry, raised: LidGeometry, iris: Iris
) -> NDArray[np.uint8]:
    """An eye whose upper lid is raised a little, and what is seen of it continued.

    Args:
        base: Patch of the picture around the eye, uint8 [h, w, C].
        place: Where its pixels are.
        raised: Where they are with the lid raised.
        iris: In pixels of the patch.

    Returns:
        uint8 [h, w, C].
    """
    width = place.width
    lifted, rise = _lifted(base, place, raised)
    above, below = ((place.y - one.lid) / width for one in (raised, place))
    made_up = 1 - smoothstep(below, SHADED, SHADED + JOIN)
    eyeball = _eyeball(base, place, iris)
    colours = base[..., :3]
    brighter = (colours - eyeball) @ LUMA
    made_up *= 1 - (below > 0) * smoothstep(brighter, *CATCHLIGHT)
    eye = colours + made_up[..., None] * (eyeball - colours)
    eye *= 1 - (SHADE * made_up * (1 - smoothstep(above, 0, SHADE_DEPTH)))[..., None]
    ends = np.where(place.y < place.floor, 1.0, 0.0)
    inside = np.clip(above * width / max(1.5, EDGE_SOFTNESS * width) + 0.5, 0, 1)
    inside *= np.clip(rise, 0, 1)
    shown = lifted[..., :3] + inside[..., None] * (eye - lifted[..., :3])
    result = base.copy()
    result[..., :3] = np.clip(colours + ends[..., None] * (shown - colours), 0, 255)
    return result


def opened_and_drawn(
    base: NDArray[np.uint8],
    place: LidGeometry,
    raised: LidGeometry,
    iris: Iris,
    colours: EyeColours,
) -> NDArray[np.uint8]:
    """An eye that is drawn between its lids at rest, with lashes, under lifted skin.

    Args:
        base: Patch of the picture around the eye, the photographed eye taken out, uint8 [h, w, C].
        place: Where its pixels are.
        raised: Where they are with the lids at rest.
        iris: Where it looks, in pixels of the patch.
        colours: Of the eye.

    Returns:
        uint8 [h, w, C].
    """
    width = place.width
    lifted, rise = _lifted(base, place, raised)
    above = (raised.lid - raised.y) / width
    beside = 1 - smoothstep(np.abs(raised.x) / raised.half, 0.80, 1.05)
    deep = CREASE * smoothstep(rise / width, *CREASE_BY) * beside
    fold = np.exp(-np.square((above - CREASE_AT) / CREASE_WIDE))
    skin = lifted[..., :3] * (1 - (deep * fold)[..., None])
    soft = max(1.5, EDGE_SOFTNESS * width)
    inside = np.clip(0.5 - above * width / soft, 0, 1)
    inside *= np.clip((raised.floor - raised.y) / soft + 0.5, 0, 1)
    inside *= np.clip(raised.gap / soft, 0, 1)
    eye = skin + inside[..., None] * (drawn_eye(raised, iris, colours) - skin)
    lashes = _lashes(raised, above)[..., None]
    eye += lashes * (colours.lashes - eye)
    changed = (np.clip(rise, 0, 1) + inside).clip(0, 1)[..., None]
    result = base.astype(np.float32)
    result[..., :3] += changed * (eye - result[..., :3])
    return np.clip(result, 0, 255).astype(np.uint8)


def _lifted(
    base: NDArray[np.uint8], place: LidGeometry, raised: LidGeometry
) -> tuple[Array, Array]:
    """The patch with its upper lid raised, float32 [h, w, C], and by how much, pixels [h, w].

    Between the lids that are raised the movement ends.
    """
    rise = place.lid - raised.lid
    above = (raised.lid - raised.y) / place.width
    ends = np.clip((raised.lid - place.top) / place.width, NEAREST_END, ENDS)
    t = np.clip((above - CARRIED) / (ends - CARRIED), 0, 1)
    under = -above * place.width / np.maximum(raised.gap, EDGE_SOFTNESS * place.width)
    moved = rise * (1 - t * t * (3 - 2 * t)) * np.clip(1 - under, 0, 1)  # the lower lid stays
    columns, rows = np.meshgrid(*(np.arange(size, dtype=np.float32) for size in base.shape[1::-1]))
    right, down = place.axes[1]
    lifted = cv2.remap(
        base,
        (columns + right * moved).astype(np.float32),
        (rows + down * moved).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return lifted.astype(np.float32), rise


def _lashes(place: LidGeometry, above: NDArray[np.floating]) -> NDArray[np.floating]:
    """Cover of the lashes of an open eye, 0..1, [h, w]; `above` its lid, eye widths."""
    out = place.x * place.outward / place.half
    ends = 1 - np.where(out > 0, smoothstep(out, *EDGE_ENDS[1]), smoothstep(-out, *EDGE_ENDS[0]))
    thick = EDGE_WIDE * np.interp(out, *EDGE_THICKNESS)
    edge = EDGE * np.exp(-np.square(above / thick)) * ends
    slanted = (place.x - np.clip(out, -1, 1) * place.outward * above * place.width) / place.width
    waves = np.mean([np.sin(2 * np.pi * slanted / distance) for distance in TUFTS], axis=0)
    length = FRINGE_LONG * (1 + 0.5 * waves) * smoothstep(out, *FRINGE_FROM).clip(0.05, 1)
    fringe = FRINGE * (above > 0) * smoothstep(1 - above / length, 0, 0.9) * ends
    below = (place.y - place.floor) / place.width
    lower = (0.5 + 0.5 * waves) * smoothstep(1 - np.abs(below - 0.02) / LOWER_LONG, 0, 1)
    lower *= LOWER_LASHES * smoothstep(out, -0.6, 0.4) * ends
    return np.maximum.reduce([edge, fringe, lower])


def _eyeball(base: NDArray[np.uint8], place: LidGeometry, iris: Iris) -> Array:
    """The eye as it would be without lids, RGB float32 [h, w, 3]."""
    away = away_from(iris, base.shape)
    around, disc = white_of(base, place, iris), radial_colours(base, place, away)
    if disc is None:
        return base[..., :3].astype(np.float32)
    cover = 1 - smoothstep(away, *IRIS_EDGE)
    return np.asarray(around + cover[..., None] * (disc - around), np.float32)
