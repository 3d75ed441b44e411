"""Backdrop: what is behind people, and the layers in which they are moved in front of it.

A person who moves uncovers a rim of the background that the photograph does not show. It is filled
from the background around it. Each person's layer is what must be added to the backdrop to make the
photograph, so that a person at rest is the photograph exactly.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.masks import mask_where
from multitalk.engines.warp.matte import Matte
from multitalk.engines.warp.rig import Rig
from multitalk.engines.warp.smoothing import gaussian_blur, push_pull, ramp, smoothstep

# Pixels of displacement for weight 1 that count as movement, and that can uncover anything.
STILL_FIELD, UNCOVERING_FIELD = 1e-3, 8.0
SOFT_END = 9  # pixels over which a layer ends in a person who goes on
KNOWN_ALPHA = 0.1  # of a person, below which a pixel shows background only
MARGIN = 0.035  # face heights around people that are filled, too: the matte's edge is soft
# Mirroring of the background, in face heights: blur of the outline, and distances from the outline
# over which it fades; pixels from one computed place to the next.
MIRROR_BLUR, MIRROR_FADES, MIRROR_STEP = 0.03, (0.10, 0.30), 2
# Farther in it is blurred, or the curls of an outline are seen in it: face heights from the
# outline over which that begins, and the side of the blur; not where a background is in focus, by
# the levels by which its pixels differ from such a blur on average.
BLURRED_FROM, BLUR, IN_FOCUS = (0.01, 0.08), 0.07, (4.0, 7.0)
SMOOTH_STEP = 2  # pixels from one computed place of the smooth filling to the next
MIRROR_EDGE = 7  # pixels over which what is mirrored ends at other people


def covered_by(rig: Rig, matte: Matte | None, size: tuple[int, int]) -> Array:
    """Opacity of a head's layer, 0..1 [H, W]: nothing where none of its fields moves pixels.

    Args:
        rig: Of the head.
        matte: Of the person; None: the layer holds all that moves.
        size: (H, W) of the picture.
    """
    # A hard end would be seen where filters overshoot; nothing moves there by then.
    moving = cv2.erode(_moved_by(rig, size, STILL_FIELD), np.ones((SOFT_END, SOFT_END), np.uint8))
    moving = cv2.blur(moving, (SOFT_END, SOFT_END))
    share = np.asarray(moving, np.float32) / np.float32(255)
    return share if matte is None else np.multiply(share, matte.cover, out=share)


def _moved_by(rig: Rig, size: tuple[int, int], least: float) -> NDArray[np.uint8]:
    """255 where a field of a head moves a picture's pixels by more than `least`, 0 elsewhere."""
    x0, y0, x1, y1 = rig.box
    grid = rig.upper.grid
    moves = np.where(rig.upper.largest > least, np.uint8(255), np.uint8(0))
    to_lattice = np.array([[1 / grid.step, 0, 0], [0, 1 / grid.step, 0]])
    moving = cv2.warpAffine(
        moves,
        to_lattice,
        (x1 - x0, y1 - y0),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    made = np.zeros(size, np.uint8)
    made[y0:y1, x0:x1] = mask_where(moving > 0)
    return made


def fill_behind(
    picture: NDArray[np.uint8], people: Sequence[tuple[Rig, Matte | None]]
) -> NDArray[np.uint8]:
    """The picture without the people who move, RGB uint8 [H, W, 3].

    Nothing changes where no person moves.
    """
    size = picture.shape[:2]
    seen = [(rig, matte) for rig, matte in people if matte is not None]
    if not seen:
        return picture
    near, removed = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    for rig, matte in seen:
        cv2.max(near, _near(matte.alpha, rig.frame.height), dst=near)
        cv2.max(removed, _moved_by(rig, size, UNCOVERING_FIELD), dst=removed)
    if near.all():
        return picture
    removed &= near
    if not removed.any():
        return picture
    x, y, width, height = cv2.boundingRect(removed)
    part = (slice(y, y + height), slice(x, x + width))
    face_height = max(rig.frame.height for rig, _ in seen)
    known = 255 - near
    filled = _mirrored(picture, known, _smoothly_filled(picture, known)[part], part, face_height)
    made = picture.copy()
    cv2.copyTo(filled, removed[part], made[part])
    return made


def _smoothly_filled(picture: NDArray[np.uint8], known: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with colours continued over what is not known, uint8 [H, W, 3].

    It is computed on a smaller picture, as it has no detail.

    Args:
        picture: RGB uint8 [H, W, 3].
        known: 255 where it shows the background, else 0, [H, W].
    """
    height, width = known.shape
    small = (-(-width // SMOOTH_STEP), -(-height // SMOOTH_STEP))
    seen = cv2.bitwise_and(picture, picture, mask=known)
    weighted = cv2.resize(seen, small, interpolation=cv2.INTER_AREA).astype(np.float32)
    share = cv2.resize(known, small, interpolation=cv2.INTER_AREA).astype(np.float32)
    filled = np.clip(np.rint(push_pull(weighted, share / np.float32(255))), 0, 255).astype(np.uint8)
    whole = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole, np.uint8)


def _mirrored(
    picture: NDArray[np.uint8],
    known: NDArray[np.uint8],
    smooth: NDArray[np.uint8],
    part: tuple[slice, slice],
    height: float,
) -> NDArray[np.uint8]:
    """Mirror the background over the outline of what is unknown, fading into `smooth`: [h, w, 3].

    So textures and lines go on behind a person for as far as a movement uncovers.

    Args:
        picture: RGB uint8 [H, W, 3].
        known: 255 where it shows the background, else 0, [H, W].
        smooth: The part of a smooth filling, uint8 [h, w, 3].
        part: Rows and columns that are filled.
        height: Of the face, pixels.
    """
    small_source, distance = _mirror(known, MIRROR_BLUR * height)
    small_fades = (1 - smoothstep(distance / height, *MIRROR_FADES)).astype(np.float32)
    small_blurred = smoothstep(distance / height, *BLURRED_FROM).astype(np.float32)
    source, fades, blurred = (
        cv2.resize(values, known.shape[::-1], interpolation=cv2.INTER_LINEAR)[part]
        for values in (small_source, small_fades, small_blurred)
    )
    shown, is_known = (
        cv2.remap(  # type: ignore[call-overload]
            image, source, None, filter_, borderMode=cv2.BORDER_REPLICATE
        )
        for image, filter_ in ((picture, cv2.INTER_LINEAR), (known, cv2.INTER_NEAREST))
    )
    side = 2 * max(1, round(BLUR * height / 2)) + 1
    soft = cv2.blur(cv2.blur(shown, (side, side)), (side, side))
    detail = np.mean(cv2.mean(cv2.absdiff(shown, soft), mask=known[part])[:3])
    softened = (blurred * np.float32(1 - ramp(float(detail), *IN_FOCUS))).astype(np.float32)
    shown = cv2.blendLinear(shown, soft, 1 - softened, softened)
    share = cv2.multiply(is_known, fades, scale=1 / 255, dtype=cv2.CV_32F)
    share = cv2.blur(share, (MIRROR_EDGE, MIRROR_EDGE)) * fades
    return np.asarray(cv2.blendLinear(shown, smooth, share, 1 - share), np.uint8)


def _mirror(known: NDArray[np.uint8], blur: float) -> tuple[Array, Array]:
    """The mirror image (x, y) of each pixel over the outline, and the distance to that, in pixels.

    Both are of a picture `MIRROR_STEP` times smaller: [h, w, 2] and [h, w].

    Args:
        known: 255 outside the outline, 0 inside, [H, W].
        blur: Standard deviation of the blur of the way to the image, pixels.
    """
    small = np.ascontiguousarray(255 - known[::MIRROR_STEP, ::MIRROR_STEP])
    distance, labels = cv2.distanceTransformWithLabels(
        small, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(small == 0)
    nearest = np.zeros((int(labels.max()) + 1, 2), np.float32)
    nearest[labels[rows, columns]] = np.stack([columns, rows], 1)
    here = np.stack(np.meshgrid(*map(np.arange, small.shape[::-1])), -1).astype(np.float32)
    across = 2 * MIRROR_STEP * (nearest[labels] - here)
    # Enlarged, a pixel's middle is that of the pixels that it stands for.
    middle = MIRROR_STEP * here + np.float32((MIRROR_STEP - 1) / 2)
    image = middle + gaussian_blur(across, blur / MIRROR_STEP)
    return image.astype(np.float32), (distance * MIRROR_STEP).astype(np.float32)


def cut_out(
    picture: NDArray[np.uint8], backdrop: NDArray[np.uint8], cover: Array, height: float
) -> NDArray[np.uint8]:
    """A person's layer, uint8 [H, W, 4]: RGB times opacity, and transparency.

    Where a pixel is too dark or too bright to be a mixture with the backdrop, it is more opaque.

    Args:
        picture: RGB uint8 [H, W, 3].
        backdrop: Of the same size.
        cover: The layer's opacity, 0 .. 1, [H, W].
        height: Of the face, pixels.
    """
    near = _near(cover, height)
    layer = np.empty((*cover.shape, 4), np.uint8)
    opaque = cv2.bitwise_and(picture, picture, mask=near)
    cv2.mixChannels([opaque, 255 - near], [layer], [0, 0, 1, 1, 2, 2, 3, 3])
    edge = np.flatnonzero(near & mask_where(cover < 1))
    shown, behind = (image.reshape(-1, 3)[edge].astype(np.float32) for image in (picture, backdrop))
    darker = 1 - shown / np.maximum(behind, 1)
    brighter = (shown - behind) / np.maximum(255 - behind, 1)
    most = np.maximum(darker, brighter)
    least = np.minimum(np.maximum.reduce([most[:, 0], most[:, 1], most[:, 2]]), 1)
    alpha = np.ceil(np.maximum(cover.reshape(-1)[edge], least) * 255)[:, None]
    mixed = np.clip(shown - behind * (1 - alpha / 255), 0, alpha)
    layer.reshape(-1, 4)[edge] = np.concatenate([np.rint(mixed), 255 - alpha], 1).astype(np.uint8)
    return layer


def _near(alpha: Array, height: float) -> NDArray[np.uint8]:
    """255 on a person and a little around, 0 elsewhere: [H, W]."""
    size = 2 * max(2, round(MARGIN * height)) + 1
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return np.asarray(cv2.dilate(mask_where(alpha > KNOWN_ALPHA), window), np.uint8)
