"""Half-shut eyes of a photograph, opened to a natural rest.

The upper lid goes up with its lashes, and the skin above it closes up. What it uncovers is made
up: the iris goes on as a disc around its centre, in the colours that are seen at each radius, and
the white beside it goes on upwards.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.lid_geometry import LidGeometry
from multitalk.engines.warp.look import Iris
from multitalk.engines.warp.smoothing import gaussian_blur, smoothstep

# Lengths are in eye widths, and set by eye on blinks of films, unless another unit is given.
CARRIED, ENDS = 0.05, 0.36  # above the lid's edge: moved as a whole; not at all from here on
SHADED, JOIN = 0.035, 0.05  # below the photographed edge: in its shade; where the picture goes on
SEEN_ABOVE_FLOOR = 0.03  # above the lower lid: nearer, its lashes are seen
CATCHLIGHT = (20.0, 50.0)  # brighter than the iris, of 255: kept
SHADE, SHADE_DEPTH = 0.28, 0.07  # by the lid on the eye: loss of light at its edge; depth
EDGE_SOFTNESS = 0.02  # of the lid's edge
IRIS_EDGE, RADII = 0.10, 24  # softness of the iris's edge, in its radii; samples of a radius
REACH = 1.2  # radii to which colours around the iris's centre are read
WHITE_SPREAD = 0.12  # of the white's colour, along the eye


def opened(
    base: NDArray[np.uint8], place: LidGeometry, raised: LidGeometry, iris: Iris
) -> NDArray[np.uint8]:
    """An eye whose upper lid is raised, uint8 [h, w, C].

    Args:
        base: Patch of the picture around the eye, uint8 [h, w, C].
        place: Where its pixels are.
        raised: Where they are with the lid raised.
        iris: In pixels of the patch.
    """
    width = place.width
    rise = place.lid - raised.lid
    above, below = ((place.y - one.lid) / width for one in (raised, place))
    moved = rise * (1 - smoothstep(-above, CARRIED, ENDS))
    columns, rows = np.meshgrid(*(np.arange(size, dtype=np.float32) for size in base.shape[1::-1]))
    right, down = place.axes[1]
    lifted = cv2.remap(
        base,
        (columns + right * moved).astype(np.float32),
        (rows + down * moved).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)
    made_up = 1 - smoothstep(below, SHADED, SHADED + JOIN)
    eyeball = _eyeball(base, place, iris)
    brighter = (base - eyeball)[..., :3] @ LUMA
    made_up *= 1 - (below > 0) * smoothstep(brighter, *CATCHLIGHT)
    eye = base + made_up[..., None] * (eyeball - base)
    eye *= 1 - (SHADE * made_up * (1 - smoothstep(above, 0, SHADE_DEPTH)))[..., None]
    inside = np.clip(above * width / max(1.5, EDGE_SOFTNESS * width) + 0.5, 0, 1)
    inside *= np.clip(rise, 0, 1)
    result = lifted + inside[..., None] * (eye - lifted)
    result = np.where((place.y < place.floor)[..., None], result, base)
    result[..., 3:] = base[..., 3:]
    return np.clip(result, 0, 255).astype(np.uint8)


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
