"""What keeps photographed eyes clear in a video: their contrast, and a light on the cornea.

Sampling and encoding take some of the finest contrast, which is most seen in eyes. A photograph
lit from everywhere may show no catchlight: such eyes look dull.
"""

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.eyeball import Iris
from multitalk.engines.warp.lid_geometry import LidGeometry
from multitalk.engines.warp.look import has_catchlight
from multitalk.engines.warp.smoothing import gaussian_blur, smoothstep

# So much more of the fine contrast, of which encoded frames lose some (7 % of the gradients of five
# clips' eyes); what is fine, eye widths; least and most, levels of 255: brighter rims are seen.
GAIN, FINE, LIMITS = 0.25, 0.030, (-20.0, 7.0)
REACH = (0.60, 0.40, 0.50)  # aside, up, down, eye widths: what is read and changed
EDGE = 0.03  # eye widths inside the lids, over which it begins
# A catchlight: from the iris's centre and below the lid; size, radii; how much of it is the light,
# which is so many times as bright as the skin at most.
LIGHT_AT, BELOW_LID, LIGHT_RADIUS, LIGHT, BRIGHTEST = (0.16, -0.32), 0.22, 0.17, 0.62, 1.8
# Seen irises: radii below the lid; luma against the skin below the eye; what is read of them.
SHOWN, DARKER, READ, CHEEK = 0.35, 0.72, 0.7, (0.11, 0.30)
LEAST_RADIUS = 4.0  # pixels


def cleared(base: NDArray[np.uint8], place: LidGeometry, iris: Iris) -> NDArray[np.uint8]:
    """An open eye with its contrast and a catchlight, uint8 [h, w, C].

    Args:
        base: Patch of the picture around the eye, uint8 [h, w, C].
        place: Where its pixels are.
        iris: In pixels of the patch.
    """
    result = base.copy()
    part, near = place.around(*REACH)
    colours = base[part][..., :3].astype(np.float32)
    inside = np.minimum(near.y - near.lid, near.floor - near.y) / place.width
    luma = colours @ LUMA
    fine = luma - gaussian_blur(luma, max(0.8, FINE * place.width))
    colours += (smoothstep(inside, 0, EDGE) * np.clip(GAIN * fine, *LIMITS))[..., None]
    if not has_catchlight(base, place.width, iris):
        _light(colours, near, iris.moved(-np.array([part[1].start, part[0].start])))
    result[part][..., :3] = np.clip(colours, 0, 255)
    return result


def _light(colours: NDArray[np.floating], place: LidGeometry, iris: Iris) -> None:
    """Put a catchlight onto an iris that is dark and seen, in place; [h, w, 3]."""
    radius = iris.radius
    y, x = np.indices(place.y.shape, np.float32)
    right, down = (x - iris.centre[0]) / radius, (y - iris.centre[1]) / radius
    away = np.hypot(right, down)
    seen = (away < READ) & (place.y > place.lid) & (place.y < place.floor)
    skin = (place.under > CHEEK[0]) & (place.under < CHEEK[1]) & (np.abs(place.x) < place.half)
    middle = (away < 1) & (np.abs(right) < 0.25)
    if radius < LEAST_RADIUS or not seen.any() or not skin.any() or not middle.any():
        return
    bright = float(np.median(colours[skin] @ LUMA))
    lid = float(np.min(down[middle & (place.y > place.lid)], initial=1.0))
    if -lid < SHOWN or float(np.median(colours[seen] @ LUMA)) > DARKER * bright:
        return
    at = max(LIGHT_AT[1], lid + BELOW_LID)
    spot = np.exp(-((np.hypot(right - LIGHT_AT[0], down - at) / LIGHT_RADIUS) ** 2))
    white = min(255.0, BRIGHTEST * bright)
    colours += (LIGHT * spot)[..., None] * np.clip(white - colours, 0, None)
