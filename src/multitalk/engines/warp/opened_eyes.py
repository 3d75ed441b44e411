"""Half-shut eyes of a photograph, opened to a natural rest.

The upper lid goes up with its lashes, and the skin above it closes up. What it uncovers is made
up: the iris goes on as a disc around its centre, in the colours that are seen at each radius, and
the white beside it goes on upwards. Of eyes that open far, lids and lashes have dulled what is
seen: the whole eye is made up, a clear one with pupil, edge of the iris, white and catchlight.
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

# A clear eye: where it ends at the lower lid.
CHEEK = (0.11, 0.30)  # skin below the eye
BELOW_FLOOR = (-0.02, 0.04)
# White: brightness as a share of the skin's below the eye, how grey; loss of light at its corners.
WHITE, GREY, CORNERS, CORNERS_AT = 1.0, 0.8, 0.35, (0.5, 1.0)
CAST, CAST_DEPTH = 0.5, 0.13  # the lid's shade
# Iris: radii that are read; of their pixels the least warm have its colour (a share; others are
# lashes and skin), less half of the skin's hue, which the lid's shade has. Gain of light, up to a
# share of the skin's, more below. Its dark edge, its pupil: radii, share of the light that is left.
COLOURED, LEAST_WARM, GAIN, LIGHTEST, LIT_BELOW = (0.30, 0.90), 0.3, 1.6, 0.60, 0.2
LIMBUS, LIMBUS_LEFT, PUPIL, PUPIL_LEFT = (0.70, 1.0), 0.58, (0.30, 0.50), 0.15
LIGHT_AT, LIGHT_RADIUS, LIGHT = (0.06, -0.24), 0.12, 215.0  # catchlight: place, size, level


def opened(
    base: NDArray[np.uint8],
    place: LidGeometry,
    raised: LidGeometry,
    iris: Iris,
    clear: Iris | None = None,
) -> NDArray[np.uint8]:
    """An eye whose upper lid is raised, uint8 [h, w, C].

    Args:
        base: Patch of the picture around the eye, uint8 [h, w, C].
        place: Where its pixels are.
        raised: Where they are with the lid raised.
        iris: In pixels of the patch.
        clear: Where the iris of a clear eye is drawn; None: what is seen of the eye goes on.
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
    eye = base.astype(np.float32)
    eye += made_up[..., None] * (eyeball - base)
    eye *= 1 - (SHADE * made_up * (1 - smoothstep(above, 0, SHADE_DEPTH)))[..., None]
    ends = np.where(place.y < place.floor, 1.0, 0.0)
    if clear:
        eye = _clear_eye(base, place, iris, clear)
        eye *= 1 - (CAST * (1 - smoothstep(above, 0, CAST_DEPTH)))[..., None]
        ends = 1 - smoothstep(place.under, *BELOW_FLOOR)
    inside = np.clip(above * width / max(1.5, EDGE_SOFTNESS * width) + 0.5, 0, 1)
    inside *= np.clip(rise, 0, 1)
    result = lifted + inside[..., None] * (eye - lifted)
    result = base + ends[..., None] * (result - base)
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


def _clear_eye(base: NDArray[np.uint8], place: LidGeometry, iris: Iris, drawn: Iris) -> Array:
    """An open eye in the colours of a dull one and of the skin below it, float32 [h, w, C].

    `iris` is where the photograph has one, `drawn` where the eye has it.
    """
    y, x = np.indices(base.shape[:2], np.float32)
    radius = max(iris.radius, 1.0)
    away = np.hypot(x - iris.centre[0], y - iris.centre[1]) / radius
    colours = base[..., :3].astype(np.float32)
    seen = (place.y > place.lid + SHADED * place.width) & (place.y < place.floor)
    ring = colours[seen & (away > COLOURED[0]) & (away < COLOURED[1])]
    below = colours[
        (place.under > CHEEK[0]) & (place.under < CHEEK[1]) & (np.abs(place.x) < place.half)
    ]
    if not len(ring) or not len(below):
        return base.astype(np.float32)
    skin = np.median(below, 0)
    grey = float(skin @ LUMA)
    white = WHITE * (skin + GREY * (grey - skin))
    warmth = (ring[:, 0] - ring[:, 2]) / np.maximum(ring.sum(1), 1.0)
    coloured = np.median(ring[warmth <= np.quantile(warmth, LEAST_WARM)], 0)
    coloured *= np.sqrt(grey / np.maximum(skin, 1.0))
    coloured *= min(GAIN, LIGHTEST * grey / max(float(coloured @ LUMA), 1.0))
    right, down = (x - drawn.centre[0]) / radius, (y - drawn.centre[1]) / radius
    away = np.hypot(right, down)
    light = 1 - (1 - LIMBUS_LEFT) * smoothstep(away, *LIMBUS)
    light *= 1 - (1 - PUPIL_LEFT) * (1 - smoothstep(away, *PUPIL))
    light *= 1 + LIT_BELOW * (smoothstep(down, -0.6, 0.8) - 0.5)
    corners = 1 - CORNERS * smoothstep(np.abs(place.x) / place.half, *CORNERS_AT)
    disc = (1 - smoothstep(away, 1 - IRIS_EDGE, 1 + IRIS_EDGE))[..., None]
    eye = white * corners[..., None]
    eye = eye + disc * (coloured * light[..., None] - eye)
    spot = np.hypot(right - LIGHT_AT[0], down - LIGHT_AT[1]) / LIGHT_RADIUS
    eye = eye + np.exp(-(spot**4))[..., None] * (LIGHT - eye)
    whole = base.astype(np.float32)
    whole[..., :3] = eye
    return whole
