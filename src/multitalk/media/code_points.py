"""Colour spaces by the code points of ITU-T H.273, as AVIF, HEIF, PNG and video name them.

A transfer code point names the curve that was applied when the picture was made, so its inverse
gives back the light. A code point that is reserved, or says "unspecified", counts as sRGB's.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from multitalk.media.colour import (
    D65,
    PQ_PEAK,
    SDR_WHITE,
    SRGB_PRIMARIES,
    Chromaticity,
    ColourSpace,
    Curve,
    Floats,
    matrix_from,
    srgb_curve,
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


def space_of(primaries: int, transfer: int, *, is_narrow: bool = False) -> ColourSpace | None:
    """The colour space of two code points; None where it is sRGB itself.

    Args:
        primaries: ColourPrimaries of H.273.
        transfer: TransferCharacteristics of H.273.
        is_narrow: Whether RGB itself is in video's range.
    """
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


def power(exponent: float) -> Curve:
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


def _logarithmic(decades: float) -> Curve:
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
_CURVES: Mapping[int, Curve] = MappingProxyType(
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
