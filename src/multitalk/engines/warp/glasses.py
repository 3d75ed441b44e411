"""Whether a face wears glasses: their bridge is a dark line across the root of the nose.

A black-hat filter (closing minus picture; J. Serra, Image Analysis and Mathematical Morphology,
1982) along the nose answers to dark lines across it that are thinner than the filter, and not to
what changes slowly: the shade of the nose, a shadow, dark skin.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.mouth_parts import LUMA

INNER_CORNERS = (133, 362)  # of the right eye and the left
# Where the bridge is looked for, in distances between the inner corners: across and along the nose.
ACROSS, ABOVE, BELOW = 0.16, 0.45, 0.70
ROWS, COLUMNS = 81, 17
THINNER_THAN = 31  # rows
ASIDE = 8  # rows at either end, where the filter sees half of its window
# How dark the line is, of the skin around it, in all columns but a few. Measured on 114 pictures:
# 0.32 to 0.86 on those with glasses, at most 0.25 on those without.
BRIDGE = 0.28
COLUMNS_ASIDE = 0.2
DARKEST_SKIN = 20.0  # of 255: below this nothing can be distinguished


def wears_glasses(picture: NDArray[np.uint8], points: NDArray[np.float64]) -> bool:
    """Whether there is a bridge between the eyes.

    Args:
        picture: uint8 [H, W, C], RGB first.
        points: The mesh [478, 2 or more] in pixels of the picture.
    """
    right, left = (points[index, :2] for index in INNER_CORNERS)
    distance = float(np.linalg.norm(left - right))
    if distance < 1:
        return False
    across = (left - right) / distance
    along = np.array([-across[1], across[0]])
    u, v = np.meshgrid(np.linspace(-ACROSS, ACROSS, COLUMNS), np.linspace(-ABOVE, BELOW, ROWS))
    places = (left + right) / 2 + (u[..., None] * across + v[..., None] * along) * distance
    nose = cv2.remap(
        picture,
        places.astype(np.float32),
        None,  # type: ignore[call-overload]
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    luma = nose[..., :3].astype(np.float32) @ LUMA
    lines = cv2.morphologyEx(luma, cv2.MORPH_BLACKHAT, np.ones((THINNER_THAN, 1), np.uint8))
    darkest = np.quantile(lines[ASIDE:-ASIDE].max(0), COLUMNS_ASIDE)
    return bool(darkest > BRIDGE * max(float(np.median(luma)), DARKEST_SKIN))
