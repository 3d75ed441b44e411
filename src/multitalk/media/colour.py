"""Colours of any RGB space as sRGB: curves to linear light, one matrix, sRGB's own curve.

Light is relative to SDR white, which is 1. What HDR shows brighter than that rolls off: it keeps
its hue and pales towards white. Whatever is not brighter stays as it is.

Sources: IEC 61966-2-1 (sRGB); ITU-R BT.2100-2, tables 4 and 5 (PQ, HLG); ITU-R BT.2408 (in HDR,
SDR white is 203 cd/m2: 58 % of PQ's range, 75 % of HLG's); ISO 15076-1, annex E (the Bradford
adaptation of white points).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating]
Curve: TypeAlias = Callable[[Floats], Floats]  # coded values, 0 to 1, to light
Chromaticity: TypeAlias = tuple[float, float]  # CIE 1931 x, y

D65: Chromaticity = (0.3127, 0.3290)
SRGB_PRIMARIES: tuple[Chromaticity, ...] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
SDR_WHITE = 203.0  # cd/m2
PQ_PEAK = 10_000.0  # cd/m2
HLG_PEAK = 1_000.0  # cd/m2, of the display that BT.2100 refers to
HLG_GAMMA = 1.2  # from the scene to that display

BLOCK_PIXELS = 2**17  # converted at once: some megabytes of floats
STEPS = 2**16  # of linear light when it is encoded: where it is darkest, a twentieth of a level

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


@dataclass(frozen=True)
class ColourSpace:
    """What the numbers of an RGB picture mean.

    Attributes:
        curves: Of red, green and blue: to light, or for HLG to the light of the scene.
        matrix: Linear RGB to linear sRGB [3, 3]; white stays white.
        luminance: Of red, green and blue, 1 in all.
        hdr: Which kind of HDR this is, if it is.
        is_narrow: Whether black is at 16/255 and white at 235/255, as in video.
    """

    curves: tuple[Curve, Curve, Curve]
    matrix: Floats
    luminance: Floats
    hdr: Literal["pq", "hlg"] | None = None
    is_narrow: bool = False


class ToSrgb:
    """Converts pictures of one colour space to sRGB, or one picture piece by piece.

    Args:
        space: What the numbers mean.
        bits: Of each number.
    """

    def __init__(self, space: ColourSpace, bits: int) -> None:
        self._space = space
        self._bits = bits
        self._tables = _tables(space, bits)
        self._greys: NDArray[np.uint8] | None = None

    def __call__(self, pixels: NDArray[np.unsignedinteger]) -> NDArray[np.uint8]:
        """Convert RGB [H, W, 3] or grey [H, W], from 0 to 2**bits - 1, to RGB uint8 [H, W, 3]."""
        if pixels.ndim == 2:
            if self._greys is None:
                ramp = np.arange(2**self._bits)[:, None].repeat(3, axis=1)
                self._greys = _converted(ramp, self._space, self._tables)
            return self._greys.take(pixels, axis=0, mode="clip")
        height, width = pixels.shape[:2]
        converted = np.empty((height, width, 3), np.uint8)
        rows = max(BLOCK_PIXELS // width, 1)
        for top in range(0, height, rows):
            block = pixels[top : top + rows]
            converted[top : top + rows] = _converted(block, self._space, self._tables)
        return converted


def to_srgb(
    pixels: NDArray[np.unsignedinteger], space: ColourSpace, *, bits: int
) -> NDArray[np.uint8]:
    """Convert one picture, as `ToSrgb` does."""
    return ToSrgb(space, bits)(pixels)


def srgb_curve(coded: Floats) -> Floats:
    """The curve of sRGB, to linear light."""
    dark = coded <= 0.04045
    return np.where(dark, coded / 12.92, ((np.maximum(coded, 0) + 0.055) / 1.055) ** 2.4)


def matrix_from(primaries: Sequence[Chromaticity], white: Chromaticity) -> tuple[Floats, Floats]:
    """What turns linear RGB into linear sRGB, and the luminances of red, green and blue.

    Args:
        primaries: Red, green and blue.
        white: The white point, which is adapted to D65.

    Raises:
        ValueError: Such colours cannot be: the primaries are on a line, say.
    """
    to_xyz = _xyz_of(primaries, white)
    source, target = (_BRADFORD @ _xyz(point) for point in (white, D65))
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(target / source) @ _BRADFORD
    return np.linalg.inv(_xyz_of(SRGB_PRIMARIES, D65)) @ adapted @ to_xyz, to_xyz[1]


def _xyz(point: Chromaticity) -> Floats:
    """A chromaticity as a colour of luminance 1."""
    x, y = point
    return np.array([x / y, 1.0, (1.0 - x - y) / y])


def _xyz_of(primaries: Sequence[Chromaticity], white: Chromaticity) -> Floats:
    """Linear RGB to CIE XYZ, white having luminance 1 (SMPTE RP 177)."""
    if white[1] <= 0:
        raise ValueError(f"white point {white}")
    directions = np.array([[x, y, 1.0 - x - y] for x, y in primaries]).T
    if abs(np.linalg.det(directions)) < 1e-4:
        raise ValueError(f"primaries {primaries}")
    return directions * np.linalg.solve(directions, _xyz(white))


def _tables(space: ColourSpace, bits: int) -> list[Floats]:
    """The light of each number, for red, green and blue: float32 [2**bits]."""
    coded = np.arange(2**bits) / (2**bits - 1)
    if space.is_narrow:
        depth = 2 ** (bits - 8)
        coded = np.clip((np.arange(2**bits) / depth - 16) / 219, 0, 1)
    with np.errstate(all="ignore"):  # a damaged profile may have any curve
        return [
            np.nan_to_num(curve(coded), posinf=1.0, neginf=0.0).astype(np.float32)
            for curve in space.curves
        ]


def _converted(
    pixels: NDArray[np.unsignedinteger], space: ColourSpace, tables: Sequence[Floats]
) -> NDArray[np.uint8]:
    """Some pixels [..., 3] in sRGB."""
    light = np.empty((3, pixels[..., 0].size), np.float32)  # a row for each channel: faster
    for channel, table in enumerate(tables):
        table.take(pixels[..., channel].ravel(), mode="clip", out=light[channel])
    if space.hdr == "hlg":
        scene = space.luminance.astype(np.float32) @ light
        light *= np.float32(HLG_PEAK / SDR_WHITE) * scene ** np.float32(HLG_GAMMA - 1)
    if space.hdr is not None:
        _roll_off(light)
    light = space.matrix.astype(np.float32) @ light
    light *= STEPS - 1
    light += 0.5
    steps = np.clip(light, 0, STEPS - 1, out=light).astype(np.uint16)
    converted = np.empty(pixels.shape, np.uint8)
    for channel, row in enumerate(steps):
        converted[..., channel] = _ENCODED.take(row).reshape(pixels.shape[:-1])
    return converted


def _roll_off(light: Floats) -> None:
    """Bring light [3, N] down to SDR white, in place: what is brighter keeps its hue and pales.

    A colour whose largest part is m > 1 is divided by m and mixed with white, of which it gets
    (1 - 1/m)^2: nothing at m = 1, half of it at 3.4.
    """
    peak = np.maximum(np.maximum(light[0], light[1]), light[2])
    over = np.flatnonzero(peak > 1)
    if not over.size:
        return
    share = 1 / peak[over]
    white = (1 - share) ** 2
    light[:, over] = light[:, over] * (share * (1 - white)) + white


def _encoded() -> NDArray[np.uint8]:
    """Linear light in `STEPS` steps as sRGB."""
    light = np.arange(STEPS) / (STEPS - 1)
    coded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(coded * 255).astype(np.uint8)


_ENCODED = _encoded()
