"""ICC profiles that are three curves and a matrix, or the curve of a grey, as colour spaces.

LittleCMS, by Pillow, converts 8 bits only. For deeper pictures such profiles are read here, by
ISO 15076-1 (ICC.1:2022): clauses 7 (the file), 10.6 (`curv`) and 10.18 (`para`). A profile may also
name code points of H.273 (`cicp`, 9.2.17); then those are HDR's meaning of it.
"""

import struct
from collections.abc import Mapping

import numpy as np

from multitalk.media.code_points import HLG, PQ, space_of
from multitalk.media.colour import ColourSpace, Curve, Floats

HEADER_BYTES = 128
MAX_TAGS = 100
# sRGB's primaries and white as a profile has them, adapted to D50: columns red, green and blue.
_SRGB_D50 = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)


def hdr_space(profile: bytes) -> ColourSpace | None:
    """The space of a profile that says that it is PQ's or HLG's; None for any other."""
    try:
        tag = _tags(profile).get(b"cicp", b"")
    except (struct.error, ValueError):
        return None
    if len(tag) < 12 or tag[:4] != b"cicp" or tag[9] not in (PQ, HLG):
        return None
    return space_of(tag[8], tag[9])


def plain_space(profile: bytes) -> ColourSpace | None:
    """The space of a profile of curves and a matrix; None for one of tables, or of no RGB or grey.

    Raises:
        ValueError: The profile is damaged.
    """
    try:
        tags, kind = _tags(profile), profile[16:20]
        if kind == b"GRAY" and b"kTRC" in tags:
            curve = _curve(tags[b"kTRC"])
            return ColourSpace((curve, curve, curve), np.eye(3), np.array([0.0, 1.0, 0.0]))
        names = ("r", "g", "b")
        if (
            kind != b"RGB "
            or b"A2B0" in tags
            or any(f"{one}TRC".encode() not in tags for one in names)
        ):
            return None
        red, green, blue = (_curve(tags[f"{one}TRC".encode()]) for one in names)
        colorants = np.array([_xyz(tags.get(f"{one}XYZ".encode(), b"")) for one in names]).T
    except struct.error as error:
        raise ValueError("profile is cut off") from error
    return ColourSpace((red, green, blue), np.linalg.inv(_SRGB_D50) @ colorants, colorants[1])


def _tags(profile: bytes) -> Mapping[bytes, bytes]:
    """What the profile holds, by name."""
    if profile[36:40] != b"acsp":
        raise ValueError("not a profile")
    (count,) = struct.unpack_from(">I", profile, HEADER_BYTES)
    if count > MAX_TAGS:
        raise ValueError(f"{count} tags")
    places = (
        struct.unpack_from(">4sII", profile, HEADER_BYTES + 4 + 12 * index)
        for index in range(count)
    )
    return {name: profile[start : start + size] for name, start, size in places}


def _curve(tag: bytes) -> Curve:
    """A curve to linear light."""
    kind, (count,) = tag[:4], struct.unpack_from(">I", tag, 8)
    if kind == b"para":
        return _parametric(count >> 16, tag)
    if kind != b"curv":
        raise ValueError(f"curve {kind!r}")
    if count == 0:
        return lambda coded: coded
    values = np.array(struct.unpack_from(f">{count}H", tag, 12))
    if count == 1:
        return lambda coded: coded ** (values[0] / 256)
    return lambda coded: np.interp(coded, np.linspace(0, 1, count), values / 65535)


# How many numbers each kind of `para` has, and which of g a b c d e f they are.
_PARAMETERS = ("g", "gab", "gabc", "gabcd", "gabcdef")


def _parametric(kind: int, tag: bytes) -> Curve:
    if kind >= len(_PARAMETERS):
        raise ValueError(f"curve of kind {kind}")
    names = _PARAMETERS[kind]
    numbers = [number / 65536 for number in struct.unpack_from(f">{len(names)}i", tag, 12)]
    given = {"a": 1.0, "b": 0.0, "c": 0.0, "d": 0.0, "e": 0.0, "f": 0.0}
    given |= dict(zip(names, numbers, strict=True))
    if kind in (1, 2):  # a power from where it is 0 on; what is below is the constant c
        edge = -given["b"] / given["a"] if given["a"] else 0.0
        given |= {"d": edge, "c": 0.0, "e": given["c"], "f": given["c"]}

    def curve(coded: Floats) -> Floats:
        powered = np.maximum(given["a"] * coded + given["b"], 0) ** given["g"] + given["e"]
        return np.where(coded >= given["d"], powered, given["c"] * coded + given["f"])

    return curve


def _xyz(tag: bytes) -> tuple[float, ...]:
    x, y, z = struct.unpack_from(">3i", tag, 8)
    return x / 65536, y / 65536, z / 65536
