"""Glasses: whether a face wears some.

They are recognised by their bridge. The rim above an eye is looked for where its lid is painted
(`eyelids.py`).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.lid_skin import DARKEST_SKIN
from multitalk.face import mesh

# The bridge across the root of the nose: where it is searched, in distances
# between the inner eye corners; samples; thickness; rows at either end where the filter sees half
# of its window. Darkness, of the skin around it, in all columns but a few: measured on 114
# pictures, 0.32 to 0.86 with glasses, at most 0.25 without.
BRIDGE_ASIDE, BRIDGE_ABOVE, BRIDGE_BELOW = 0.16, 0.45, 0.70
BRIDGE_ROWS, BRIDGE_COLUMNS, BRIDGE_THINNER_THAN, BRIDGE_END_ROWS = 81, 17, 31, 8
BRIDGE, BRIDGE_QUANTILE = 0.28, 0.2


def wears_glasses(picture: NDArray[np.uint8], points: NDArray[np.float64]) -> bool:
    """Whether glasses' bridge, a dark line across the root of the nose, is between the eyes.

    A black-hat filter (closing minus picture; J. Serra, Image Analysis and Mathematical Morphology,
    1982) along the nose responds to dark lines thinner than itself, and not to slow changes:
    shading, a shadow, dark skin.

    Args:
        picture: uint8 [H, W, C], RGB first.
        points: Landmarks [478, 2 or more] in pixels of the picture.
    """
    right, left = (points[index, :2] for index in (mesh.RIGHT_EYE_INNER, mesh.LEFT_EYE_INNER))
    distance = float(np.linalg.norm(left - right))
    if distance < 1:
        return False
    across = (left - right) / distance
    along = np.array([-across[1], across[0]])
    u, v = np.meshgrid(
        np.linspace(-BRIDGE_ASIDE, BRIDGE_ASIDE, BRIDGE_COLUMNS),
        np.linspace(-BRIDGE_ABOVE, BRIDGE_BELOW, BRIDGE_ROWS),
    )
    places = (left + right) / 2 + (u[..., None] * across + v[..., None] * along) * distance
    nose = cv2.remap(
        picture,
        places.astype(np.float32),
        None,  # type: ignore[call-overload]
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    luma = nose[..., :3].astype(np.float32) @ LUMA
    window = np.ones((BRIDGE_THINNER_THAN, 1), np.uint8)
    lines = cv2.morphologyEx(luma, cv2.MORPH_BLACKHAT, window)
    darkest = np.quantile(lines[BRIDGE_END_ROWS:-BRIDGE_END_ROWS].max(0), BRIDGE_QUANTILE)
    return bool(darkest > BRIDGE * max(float(np.median(luma)), DARKEST_SKIN))
