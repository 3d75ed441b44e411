"""Whether a mouth is covered: by a mask, a scarf, a sheet of paper.

The mesh places lips where they would be. They are covered where nothing of them shows: their colour
is that of what is around them, and no line between them, shadow or tooth stands out.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.smoothing import gaussian_blur
from multitalk.face import mesh

# Pixels of a face height at which it is measured; blur there, against grain; brightness to which
# the cheeks' brightest channel is brought, and the factor that does it at most.
WORKING_HEIGHT, BLUR, CHEEKS, MOST_GAIN = 110.0, 0.8, 160.0, 6.0
# Distances in CIE Lab. On 105 pictures lips differ from the skin around them by 3.3 and more (a
# terracotta figure's by 2.5), and across a mouth something differs from the rest by 8.2 and more;
# on five masks by 2.4 and 7.7 at most.
LIPS_DIFFER, SOMETHING_DIFFERS = 4.0, 8.0
# Pairs of landmarks on the outer edges of the lips, upper and lower, and those on the inner ones.
OUTER, INNER = ((37, 84), (0, 17), (267, 314), (39, 181), (269, 405)), (82, 13, 312, 81, 311)
INNER_LOWER = (87, 14, 317, 178, 402)
AROUND = (
    *(164, 167, 393, 165, 391, 18, 83, 313, 182, 406, 200, 199),
    *(186, 410, 43, 273, 57, 287, 92, 322),
)
PROFILE_REACH, PROFILE_STEPS = 0.13, 21  # face heights above and below the mouth; samples


def is_covered(picture: NDArray[np.uint8], points: NDArray[np.floating], height: float) -> bool:
    """Whether a face's mouth is covered.

    Args:
        picture: RGB uint8 [H, W, 3].
        points: Landmarks, [478, 3] pixels.
        height: Of the face, pixels.
    """
    scale = min(1.0, WORKING_HEIGHT / height)
    low = np.maximum(points[:, :2].min(0).astype(int), 0)
    high = np.maximum(points[:, :2].max(0).astype(int) + 1, low + 1)
    face = picture[low[1] : high[1], low[0] : high[0]]
    if not face.size:
        return False
    small = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    places = (points[:, :2] - low) * scale
    colours = _lab(small.astype(np.float32), places)
    upper, lower = (np.array(side) for side in zip(*OUTER, strict=True))
    lips = [
        (places[outer] + places[list(inner)]) / 2
        for outer, inner in ((upper, INNER), (lower, INNER_LOWER))
    ]
    around = np.median(_at(colours, places[list(AROUND)]), 0)
    differ = np.linalg.norm(np.median(_at(colours, np.concatenate(lips)), 0) - around)
    return bool(
        differ < LIPS_DIFFER
        and _most_across(colours, places[upper], places[lower], height * scale) < SOMETHING_DIFFERS
    )


def _lab(face: Array, places: NDArray[np.floating]) -> Array:
    """CIE Lab of a face [h, w, 3] whose cheeks are brought to one brightness."""
    soft = gaussian_blur(face, BLUR)
    cheeks = np.median(_at(soft, places[list(mesh.CHEEKS)]), 0).max()
    gain = np.clip(CHEEKS / max(float(cheeks), 1.0), 1, MOST_GAIN)
    bright = np.clip(soft * np.float32(gain / 255), 0, 1)
    return np.asarray(cv2.cvtColor(bright, cv2.COLOR_RGB2Lab), np.float32)


def _most_across(
    colours: Array, upper: NDArray[np.floating], lower: NDArray[np.floating], height: float
) -> float:
    """How far something stands out on lines from above to below a mouth; their median, Lab."""
    middles, ways = (upper + lower) / 2, lower - upper
    ways = ways / np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-3)
    steps = np.linspace(-PROFILE_REACH, PROFILE_REACH, PROFILE_STEPS) * height
    most = []
    for middle, way in zip(middles, ways, strict=True):
        profile = _at(colours, middle + steps[:, None] * way)
        most.append(np.linalg.norm(profile - np.median(profile, 0), axis=1).max())
    return float(np.median(most))


def _at(image: Array, places: NDArray[np.floating]) -> Array:
    """Pixels [K, 3] at places (x, y)."""
    x, y = np.clip(places.round().astype(int), 0, np.array(image.shape[1::-1]) - 1).T
    return image[y, x]
