"""Colours of the photograph: luma, the skin around the mouth, the red of the lips."""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.face import mesh

LUMA = np.array([0.30, 0.59, 0.11], np.float32)  # weights of R, G, B: ITU-R BT.601, rounded
SKIN_MARGIN = 0.2  # mouth widths around the mouth
SKIN_PERCENTILE = 70  # lit skin, without highlights
# Whites of eyes: luma from which they are lit, of the skin's; radii kept free around an iris;
# pixels that tell a colour; the percentile of luma from which they are neither lash nor shade.
LIT_WHITE, IRIS_MARGIN, WHITE_PIXELS, WHITE_PERCENTILE = 0.85, 1.2, 8, 65
LIP_PERCENTILE = 35  # the red without its shine


def skin_colour(
    picture: NDArray[np.uint8], points: NDArray[np.float64], mouth_width: float
) -> Array:
    """Lit skin around the mouth, RGB 0..255: a percentile of each channel."""
    around = points[
        [
            mesh.RIGHT_MOUTH_CORNER,
            mesh.LEFT_MOUTH_CORNER,
            mesh.OUTER_UPPER_LIP,
            mesh.OUTER_LOWER_LIP,
        ],
        :2,
    ]
    low = np.maximum((around.min(0) - SKIN_MARGIN * mouth_width).astype(int), 0)
    high = (around.max(0) + SKIN_MARGIN * mouth_width).astype(int)
    pixels = picture[low[1] : high[1], low[0] : high[0]].reshape(-1, 3)
    return np.percentile(pixels, SKIN_PERCENTILE, axis=0).astype(np.float32)


def lip_colour(picture: NDArray[np.uint8], points: NDArray[np.float64]) -> Array:
    """The red of the lower lip without its shine, RGB 0..255."""
    limit = np.array(picture.shape[1::-1]) - 1
    red = [*mesh.LOWER_LIP_RED_INNER[2:-2], *mesh.LOWER_LIP_RED_OUTER[2:-2]]
    x, y = np.clip(points[red, :2].round().astype(int), 0, limit).T
    return np.percentile(picture[y, x], LIP_PERCENTILE, axis=0).astype(np.float32)


def eye_white(picture: NDArray[np.uint8], points: NDArray[np.float64], skin: Array) -> Array | None:
    """The white of the better lit eye, RGB 0..255; None where it is hidden or in the shade.

    Args:
        picture: RGB uint8 [H, W, 3].
        points: Landmarks, [478, 3] pixels.
        skin: Of the lit skin, RGB 0..255.
    """
    whites = [
        white
        for upper, lower, iris in (
            (mesh.RIGHT_EYE_UPPER, mesh.RIGHT_EYE_LOWER, mesh.RIGHT_IRIS),
            (mesh.LEFT_EYE_UPPER, mesh.LEFT_EYE_LOWER, mesh.LEFT_IRIS),
        )
        if (white := _white_between(picture, points, (*upper, *lower[::-1]), iris)) is not None
    ]
    best = max(whites, key=lambda white: float(white @ LUMA), default=None)
    if best is None or best @ LUMA < LIT_WHITE * (skin @ LUMA):
        return None
    return best


def _white_between(
    picture: NDArray[np.uint8],
    points: NDArray[np.float64],
    lids: tuple[int, ...],
    iris: tuple[int, ...],
) -> Array | None:
    """The mean of the brighter pixels between lids and beside the iris; None where too few are."""
    around = points[list(lids), :2]
    low = np.maximum(np.floor(around.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(around.max(0)).astype(int) + 1, picture.shape[1::-1])
    if (high <= low).any():
        return None
    outline, outside = points[[*lids, *iris], :2] - low, np.zeros((high - low)[::-1], np.uint8)
    cv2.fillPoly(outside, [outline[: len(lids)].round().astype(np.int32)], 1)
    centre, edge = outline[len(lids)], outline[len(lids) + 1 :]
    radius = IRIS_MARGIN * np.linalg.norm(edge - centre, axis=1).mean()
    cv2.circle(outside, tuple(centre.round().astype(int).tolist()), round(radius), 0, -1)
    seen = picture[low[1] : high[1], low[0] : high[0]][outside > 0].astype(np.float32)
    if len(seen) < WHITE_PIXELS:
        return None
    bright = seen @ LUMA
    return seen[bright >= np.percentile(bright, WHITE_PERCENTILE)].mean(0)


def three_channels(cover: Array) -> Array:
    """Cover [h, w] repeated for three channels, [h, w, 3]: faster than numpy's broadcasting."""
    return cv2.cvtColor(cover, cv2.COLOR_GRAY2RGB).astype(np.float32, copy=False)


def in_channels(values: NDArray[np.floating], shares: Array | int) -> Array:
    """Values [h, w] times a share for each channel [C], or for so many channels: [h, w, C].

    Numpy's broadcasting takes several times as long where the last axis is short.
    """
    plane = values.astype(np.float32, copy=False)
    planes = [plane] * shares if isinstance(shares, int) else [plane * share for share in shares]
    return cv2.merge(planes).astype(np.float32, copy=False)


def mix_in(colours: Array, colour: Array, cover: Array) -> None:
    """Mix one colour into others, in place: three times as fast as by numpy's broadcasting.

    Args:
        colours: float32 [h, w, 3].
        colour: RGB [3].
        cover: Its share at each place, float32 [h, w].
    """
    away = cv2.subtract((*colour.tolist(), 0.0), colours)  # type: ignore[call-overload]
    cv2.multiply(away, three_channels(cover), dst=away)
    cv2.add(colours, away, dst=colours)


def warmth(colours: NDArray[np.generic]) -> NDArray[np.floating]:
    """Red less blue of colours [..., C], C >= 3, as a share of red, green and blue: [...]."""
    kind = np.result_type(colours, np.float32)
    light: NDArray[np.floating] = np.asarray(colours, kind)
    red, green, blue = (light[..., channel] for channel in range(3))
    return np.asarray((red - blue) / np.maximum(red + green + blue, 1e-3))
