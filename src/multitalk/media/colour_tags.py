"""What a picture file says of its colours, in the order in which its format wants to be believed.

    PNG    cICP, then iCCP, then sRGB, then gAMA and cHRM (PNG, third edition, 4.3)
    AVIF   an ICC profile, then nclx, then the header of the AV1 stream
    JPEG   an ICC profile, then what cameras say in EXIF: R03 is Adobe RGB (DCF 2.0)
    other  an ICC profile

What says nothing is sRGB.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

from multitalk.media import avif_boxes
from multitalk.media.code_points import is_known, power, space_of
from multitalk.media.colour import (
    D65,
    SRGB_PRIMARIES,
    Chromaticity,
    ColourSpace,
    matrix_from,
    srgb_curve,
)
from multitalk.media.damage import DAMAGE

ADOBE_PRIMARIES = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
ADOBE_GAMMA = 563 / 256
# Many programs write this gamma, 1/2.2, and no sRGB chunk, for pictures in sRGB.
GAMMA_OF_SRGB = 0.45455
GAMMA_TOLERANCE = 0.01
POINT_TOLERANCE = 0.002

_PNG_SIGNATURE_BYTES = 8
_PNG_BITS_AT = 24
# Tags of TIFF 6.0.
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_ORIENTATION, _TIFF_PLANES = 258, 262, 274, 284


@dataclass(frozen=True)
class ColourTags:
    """What a file says of its colours.

    Attributes:
        bits: Of each stored number.
        profile: An ICC profile, to be believed first.
        space: To be believed where no profile can be used; None is sRGB.
    """

    bits: int = 8
    profile: bytes | None = None
    space: ColourSpace | None = None


def read_tags(image: Image.Image, data: bytes) -> ColourTags:
    """Read what a picture says of its colours.

    Args:
        image: The opened picture, before its pixels are loaded: a TIFF then loses its tags.
        data: Its whole file.
    """
    profile = image.info.get("icc_profile") or None
    if image.format == "PNG":
        return _of_png(image, data, profile)
    if image.format == "AVIF":
        bits, points = avif_boxes.read_colour(data)
        return ColourTags(bits, profile, None if points is None else space_of(*points))
    if isinstance(image, TiffImageFile):
        return ColourTags(_tiff_bits(image), profile)
    if image.format == "JPEG" and _says_adobe_rgb(image):
        return ColourTags(profile=profile, space=_space(ADOBE_PRIMARIES, D65, ADOBE_GAMMA))
    return ColourTags(profile=profile)


def _tiff_bits(image: TiffImageFile) -> int:
    """Bits of each number; 8 for the rarer layouts, whose other bits are not read."""
    said = image.tag_v2
    is_plain = said.get(_TIFF_PHOTOMETRIC) in (1, 2) and (  # black is 0; RGB
        said.get(_TIFF_ORIENTATION, 1) == said.get(_TIFF_PLANES, 1) == 1
    )
    return max(said.get(_TIFF_BITS, (1,))) if is_plain else 8


def _says_adobe_rgb(image: Image.Image) -> bool:
    """Whether a camera says in EXIF that the picture is in Adobe RGB."""
    try:
        named = image.getexif().get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
    except DAMAGE:
        return False
    return bool(named == "R03")


def _of_png(image: Image.Image, data: bytes, profile: bytes | None) -> ColourTags:
    bits = data[_PNG_BITS_AT]
    for name, content in _png_chunks(data):
        # Primaries, transfer, matrix (0: it is RGB) and whether the range is full.
        if name == b"cICP" and len(content) == 4 and content[2] == 0 and is_known(*content[:2]):
            space = space_of(*content[:2], is_narrow=content[3] == 0)
            return ColourTags(bits, space=space)
    if "srgb" in image.info:
        return ColourTags(bits, profile)
    return ColourTags(bits, profile, _png_space(image))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the chunks before the picture itself."""
    at = _PNG_SIGNATURE_BYTES
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        name = data[at + 4 : at + 8]
        if name == b"IDAT":
            return
        yield name, data[at + 8 : at + 8 + size]
        at += 12 + size


def _png_space(image: Image.Image) -> ColourSpace | None:
    """What the chunks gAMA and cHRM say."""
    gamma = image.info.get("gamma") or None
    numbers = image.info.get("chromaticity")
    white, primaries = D65, SRGB_PRIMARIES
    if numbers is not None:
        white, *others = zip(numbers[::2], numbers[1::2], strict=True)
        primaries = tuple(others)
    is_srgb = _near((white, *primaries), (D65, *SRGB_PRIMARIES))
    if gamma is None or (is_srgb and abs(gamma / GAMMA_OF_SRGB - 1) < GAMMA_TOLERANCE):
        return None if is_srgb else _space(primaries, white, None)
    return _space(primaries, white, 1 / gamma)


def _near(points: tuple[Chromaticity, ...], others: tuple[Chromaticity, ...]) -> bool:
    return all(
        abs(number - other) < POINT_TOLERANCE
        for point, another in zip(points, others, strict=True)
        for number, other in zip(point, another, strict=True)
    )


def _space(
    primaries: tuple[Chromaticity, ...], white: Chromaticity, gamma: float | None
) -> ColourSpace | None:
    """The space of a plain gamma, or of sRGB's curve; None where such primaries cannot be."""
    curve = srgb_curve if gamma is None else power(gamma)
    try:
        matrix, luminance = matrix_from(primaries, white)
    except ValueError:
        return None
    return ColourSpace((curve, curve, curve), matrix, luminance)
