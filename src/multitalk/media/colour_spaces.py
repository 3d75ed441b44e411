"""Colours of any RGB space as sRGB: curves to linear light, one matrix, sRGB's own curve.

Light is relative to SDR white, which is 1. What HDR shows brighter than that rolls off: it keeps
its hue and pales towards white. Whatever is not brighter stays as it is.

Sources: IEC 61966-2-1 (sRGB); ITU-R BT.2100-2, tables 4 and 5 (PQ, HLG); ITU-R BT.2408 (in HDR,
SDR white is 203 cd/m2: 58 % of PQ's range, 75 % of HLG's); ISO 15076-1, annex E (the Bradford
adaptation of white points).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating]
TransferFunction: TypeAlias = Callable[[Floats], Floats]  # coded values, 0 to 1, to light
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

PQ, HLG = 16, 18
SRGB = (1, 13)  # primaries and transfer
_ILLUMINANT_C: Chromaticity = (0.310, 0.316)
_EQUAL_ENERGY: Chromaticity = (1 / 3, 1 / 3)
_DCI_WHITE: Chromaticity = (0.314, 0.351)
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_SMPTE_C = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
# Table 2 of H.273: red, green, blue and the white point.
_PRIMARIES: Mapping[int, tuple[tuple[Chromaticity, ...], Chromaticity]] = MappingProxyType(
    {
        1: (SRGB_PRIMARIES, D65),  # BT.709
        4: (((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), _ILLUMINANT_C),  # BT.470 M
        5: (((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), D65),  # BT.470 BG
        6: (_SMPTE_C, D65),  # BT.601, 525 lines
        7: (_SMPTE_C, D65),  # SMPTE 240M
        8: (((0.681, 0.319), (0.243, 0.692), (0.145, 0.049)), _ILLUMINANT_C),  # film
        9: (((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), D65),  # BT.2020
        10: (((1.0, 0.0), (0.0, 1.0), (0.0, 0.0)), _EQUAL_ENERGY),  # SMPTE 428-1: XYZ
        11: (_P3, _DCI_WHITE),  # SMPTE RP 431-2: DCI P3
        12: (_P3, D65),  # SMPTE EG 432-1: Display P3
        22: (((0.630, 0.340), (0.295, 0.605), (0.155, 0.077)), D65),  # EBU 3213-E
    }
)


@dataclass(frozen=True)
class ColourSpace:
    """Primaries, white point and transfer function of an RGB picture.

    Attributes:
        curves: Of red, green and blue: to light, or for HLG to the light of the scene.
        matrix: Linear RGB to linear sRGB [3, 3]; white stays white.
        luminance: Of red, green and blue, 1 in all.
        hdr: Which kind of HDR this is, if it is.
        is_narrow: Whether black is at 16/255 and white at 235/255, as in video.
    """

    curves: tuple[TransferFunction, TransferFunction, TransferFunction]
    matrix: Floats
    luminance: Floats
    hdr: Literal["pq", "hlg"] | None = None
    is_narrow: bool = False


class ToSrgb:
    """Converts pictures of one colour space to sRGB, or one picture piece by piece."""

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
    """The matrix from linear RGB to linear sRGB, and the luminances of red, green and blue.

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
    """Bring light [3, N] down to SDR white, in place: brighter colours keep their hue and pale.

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


def space_of(primaries: int, transfer: int, *, is_narrow: bool = False) -> ColourSpace | None:
    """The colour space of two H.273 code points; None: sRGB. `is_narrow`: RGB in video's range."""
    points, white = _PRIMARIES.get(primaries, _PRIMARIES[SRGB[0]])
    curve = _CURVES.get(transfer, srgb_curve)
    if points is SRGB_PRIMARIES and curve is srgb_curve and not is_narrow:
        return None
    matrix, luminance = matrix_from(points, white)
    return ColourSpace(
        curves=(curve, curve, curve),
        matrix=matrix,
        luminance=luminance,
        hdr="pq" if transfer == PQ else "hlg" if transfer == HLG else None,
        is_narrow=is_narrow,
    )


def is_known(primaries: int, transfer: int) -> bool:
    """Whether both code points name something."""
    return primaries in _PRIMARIES and (transfer in _CURVES or transfer == SRGB[1])


def power(exponent: float) -> TransferFunction:
    """The curve of a plain gamma."""
    return lambda coded: coded**exponent


def _bt709(coded: Floats) -> Floats:
    """BT.709, BT.601 and BT.2020 share one curve."""
    alpha, beta = 1.099296826809442, 0.018053968510807
    dark = coded < 4.5 * beta
    return np.where(dark, coded / 4.5, ((coded + alpha - 1) / alpha) ** (1 / 0.45))


def _smpte240(coded: Floats) -> Floats:
    alpha, beta = 1.111572195921731, 0.022821585529445
    dark = coded < 4.0 * beta
    return np.where(dark, coded / 4.0, ((coded + alpha - 1) / alpha) ** (1 / 0.45))


def _logarithmic(decades: float) -> TransferFunction:
    return lambda coded: np.where(coded <= 0, 0.0, 10.0 ** (decades * (coded - 1)))


def _smpte428(coded: Floats) -> Floats:
    return coded**2.6 * (52.37 / 48)


def _pq(coded: Floats) -> Floats:
    """SMPTE ST 2084: light of the display, SDR white being 1."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    root = coded ** (1 / m2)
    light: Floats = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return light * (PQ_PEAK / SDR_WHITE)


def _hlg(coded: Floats) -> Floats:
    """ARIB STD-B67: light of the scene, 0 to 1."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * math.log(4 * a)
    return np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)


# Table 3 of H.273, for values from 0 to 1.
_CURVES: Mapping[int, TransferFunction] = MappingProxyType(
    {
        1: _bt709,
        4: power(2.2),  # BT.470 M
        5: power(2.8),  # BT.470 BG
        6: _bt709,  # BT.601
        7: _smpte240,
        8: power(1.0),  # linear
        9: _logarithmic(2.0),  # 100 : 1
        10: _logarithmic(2.5),  # 316 : 1
        11: _bt709,  # xvYCC
        12: _bt709,  # BT.1361
        14: _bt709,  # BT.2020, 10 bits
        15: _bt709,  # BT.2020, 12 bits
        PQ: _pq,
        17: _smpte428,
        HLG: _hlg,
    }
)
