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
from multitalk.engines.warp.lid_geometry import LidGeometry
from multitalk.engines.warp.look import Iris
from multitalk.engines.warp.smoothing import gaussian_blur, smoothstep

# Lengths are in eye widths, and set by eye on blinks of films, unless another unit is given.
# Above the lid's edge: moved as a whole; not at all from here on, or from the brow, but not nearer.
CARRIED, ENDS, NEAREST_END = 0.05, 0.36, 0.12
SHADED, JOIN = 0.035, 0.05  # below the photographed edge: in its shade; where the picture goes on
SEEN_ABOVE_FLOOR = 0.03  # above the lower lid: nearer, its lashes are seen
CATCHLIGHT = (20.0, 50.0)  # brighter than the iris, of 255: kept
SHADE, SHADE_DEPTH = 0.28, 0.07  # by the lid on the eye: loss of light at its edge; depth
EDGE_SOFTNESS = 0.02  # of the lid's edge
IRIS_EDGE, RADII = 0.10, 24  # softness of the iris's edge, in its radii; samples of a radius
REACH = 1.2  # radii to which colours around the iris's centre are read
WHITE_SPREAD = 0.12  # of the white's colour, along the eye
# A lid that rises folds: loss of light in its crease, by rise; height above its edge; thickness.
CREASE, CREASE_BY, CREASE_AT, CREASE_WIDE = 0.24, (0.03, 0.14), 0.105, 0.020
# Lashes of a drawn eye: cover at its edge; thickness there; of the fringe above; its length, and
# where it begins, of the half width outwards; distances of tufts.
EDGE, EDGE_WIDE, FRINGE, FRINGE_LONG = 0.78, 0.019, 0.42, 0.075
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
    brighter = (base - eyeball)[..., :3] @ LUMA
    made_up *= 1 - (below > 0) * smoothstep(brighter, *CATCHLIGHT)
    eye = base.astype(np.float32)
    eye += made_up[..., None] * (eyeball - base)
    eye *= 1 - (SHADE * made_up * (1 - smoothstep(above, 0, SHADE_DEPTH)))[..., None]
    ends = np.where(place.y < place.floor, 1.0, 0.0)
    inside = np.clip(above * width / max(1.5, EDGE_SOFTNESS * width) + 0.5, 0, 1)
    inside *= np.clip(rise, 0, 1)
    result = lifted + inside[..., None] * (eye - lifted)
    result = base + ends[..., None] * (result - base)
    result[..., 3:] = base[..., 3:]
    return np.clip(result, 0, 255).astype(np.uint8)


def opened_and_drawn(
    base: NDArray[np.uint8],
    place: LidGeometry,
    raised: LidGeometry,
    iris: Iris,
    colours: EyeColours,
) -> NDArray[np.uint8]:
    """An eye that is drawn between its lids at rest, with lashes, under lifted skin.

    Args:
        base: Patch of the picture around the eye, uint8 [h, w, C].
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
    """The patch with its upper lid raised, float32 [h, w, C], and by how much, pixels [h, w]."""
    rise = place.lid - raised.lid
    above = (raised.lid - raised.y) / place.width
    ends = np.clip((raised.lid - place.top) / place.width, NEAREST_END, ENDS)
    t = np.clip((above - CARRIED) / (ends - CARRIED), 0, 1)
    moved = rise * (1 - t * t * (3 - 2 * t))
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
    ends = 1 - smoothstep(np.abs(out), 0.86, 1.04)
    thick = EDGE_WIDE * (0.75 + 0.5 * smoothstep(out, -0.6, 0.8))
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
    """The eye as it would be without lids, float32 [h, w, C]."""
    width = place.width
    y, x = np.indices(base.shape[:2], np.float32)
    away = np.hypot(x - iris.centre[0], y - iris.centre[1]) / max(iris.radius, 1.0)
    seen = (place.y - place.lid > SHADED * width) & (
        place.floor - place.y > SEEN_ABOVE_FLOOR * width
    )
    colours = base.astype(np.float32)
    white = (seen & (away > REACH)).astype(np.float32)
    spread = WHITE_SPREAD * width
    total = gaussian_blur(white, spread)
    sums = gaussian_blur(colours * white[..., None], spread)
    around = sums / (total + 1e-3)[..., None]
    if float(total.max()) < 1e-2 or not seen.any():
        return colours
    at = np.minimum((away / REACH * RADII).astype(int), RADII)
    near = seen & (at < RADII)
    count = np.bincount(at[near], minlength=RADII + 1)[:RADII]
    known = np.flatnonzero(count > 2)
    if len(known) < 2:
        return around
    radial = np.stack(
        [
            np.interp(
                np.minimum(away / REACH * RADII - 0.5, RADII - 1),
                known,
                np.bincount(at[near], colours[near, channel], RADII + 1)[known] / count[known],
            )
            for channel in range(base.shape[2])
        ],
        -1,
    )
    disc = 1 - smoothstep(away, 1 + IRIS_EDGE, REACH)
    return np.asarray(around + disc[..., None] * (radial - around), np.float32)
