"""Is it still the same person? Shape and looks of the face without its moving parts."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks

# Speech and blinks move the mouth, the jaw, the lids and the irises; the outline shows the
# background. What is left is compared: about 200 points of forehead, brows, nose and cheeks.
_FIRST_LOWER_FACE = 0.52  # share of the face height below which the mouth and the jaw move
_BLUR = 0.02  # of the face height: the size of what is compared, and tolerance for its placing


@dataclass(frozen=True)
class Look:
    """What identifies a face in one frame.

    Attributes:
        shape: Still points in 3-D, in face heights, centred: float32 [P, 3].
        colors: The picture at these points, 0..255: float32 [P, 3].
    """

    shape: NDArray[np.float32]
    colors: NDArray[np.float32]


@dataclass(frozen=True)
class Identity:
    """How much one person changed against a reference.

    Attributes:
        shape_change: Mean distance of the still points after the best turn and scaling, in face
            heights; median over the frames.
        likeness: Correlation of the colours at the still points, lightness and contrast removed;
            1 is the same picture. Median over the frames.
        worst_likeness: 5th percentile of the same.
    """

    shape_change: float
    likeness: float
    worst_likeness: float


def still_points(reference: FaceLandmarks) -> NDArray[np.int_]:
    """Indices of the points that neither speech nor a blink moves, from a reference face."""
    down = (reference.points - reference.points[mesh.FOREHEAD_TOP]) @ reference.head_axes[1]
    still = down / reference.height < _FIRST_LOWER_FACE
    lids = (
        *(mesh.RIGHT_EYE_UPPER, mesh.RIGHT_EYE_LOWER, mesh.LEFT_EYE_UPPER, mesh.LEFT_EYE_LOWER),
        *(mesh.RIGHT_IRIS, mesh.LEFT_IRIS, mesh.OVAL),
    )
    for curve in lids:
        still[list(curve)] = False
    return np.flatnonzero(still)


def look_of(image: NDArray[np.uint8], face: FaceLandmarks, points: NDArray[np.int_]) -> Look:
    """Take the shape and the colours of a face at the given points.

    Args:
        image: RGB uint8 [H, W, 3].
        face: Where the face is.
        points: From `still_points`, of the reference: the same for all looks to be compared.
    """
    x_min, y_min, x_max, y_max = (int(edge) for edge in face.box)
    top, left = max(y_min, 0), max(x_min, 0)
    crop = image[top : max(y_max, top + 1), left : max(x_max, left + 1)]
    blurred = cv2.GaussianBlur(crop.astype(np.float32), (0, 0), max(_BLUR * face.height, 0.5))
    place = face.points[points, :2] - (left, top)
    colors = cv2.remap(
        blurred,
        np.ascontiguousarray(place[None, :, 0], np.float32),
        np.ascontiguousarray(place[None, :, 1], np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )[0]
    shape = face.points[points] / face.height
    return Look(
        shape=(shape - shape.mean(0)).astype(np.float32), colors=np.asarray(colors, np.float32)
    )


def compare_looks(reference: Look, looks: Sequence[Look]) -> Identity:
    """Compare a person's looks over a video with a reference."""
    changes = [shape_change(reference.shape, look.shape) for look in looks]
    likenesses = [likeness(reference.colors, look.colors) for look in looks]
    return Identity(
        shape_change=float(np.median(changes)),
        likeness=float(np.median(likenesses)),
        worst_likeness=float(np.percentile(likenesses, 5)),
    )


def shape_change(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Mean distance of points [P, 3] after the best rotation and scaling (Procrustes, by SVD)."""
    u, singular, vt = np.linalg.svd(second.T @ first)
    handed = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = float((singular * handed).sum() / (second**2).sum())
    fitted = scale * second @ (u * handed) @ vt
    return float(np.linalg.norm(fitted - first, axis=1).mean())


def likeness(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Correlation of colours [P, 3], each channel without its mean; gain does not count."""
    a, b = first - first.mean(0), second - second.mean(0)
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / norm) if norm > 1e-6 else 0.0
