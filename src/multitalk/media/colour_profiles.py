"""The colour tags of picture files: PNG chunks, AVIF boxes, EXIF and ICC profiles.

The order in which they are believed:

    PNG    cICP, then iCCP, then sRGB, then gAMA and cHRM (PNG, third edition, 4.3)
    AVIF   an ICC profile, then nclx, then the header of the AV1 stream
    JPEG   an ICC profile, then what cameras say in EXIF: R03 is Adobe RGB (DCF 2.0)
    other  an ICC profile

What says nothing is sRGB.
"""

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import av
import numpy as np
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

from multitalk.media.colour_spaces import (
    D65,
    HLG,
    PQ,
    SRGB_PRIMARIES,
    Chromaticity,
    ColourSpace,
    Floats,
    TransferFunction,
    is_known,
    matrix_from,
    power,
    space_of,
    srgb_curve,
)
from multitalk.media.decoding_errors import DAMAGE

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

# ICC profiles of three curves and a matrix, or of one grey curve, by ISO 15076-1 (ICC.1:2022):
# clauses 7 (the file), 10.6 (`curv`), 10.18 (`para`) and 9.2.17 (`cicp`: H.273's HDR curves).
# LittleCMS, by Pillow, converts 8 bits only, so deeper pictures need them.
PROFILE_HEADER_BYTES = 128
MAX_PROFILE_TAGS = 100
# sRGB's primaries and white as a profile has them, adapted to D50: columns red, green and blue.
_SRGB_D50 = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
# How many numbers each kind of `para` has, and which of g a b c d e f they are.
_PARAMETERS = ("g", "gab", "gabc", "gabcd", "gabcdef")
Points = tuple[int, int]  # colour primaries and transfer characteristics of ITU-T H.273
MAX_BOXES = 10_000  # of one box's children
_FULL_BOX = 4  # bytes of version and flags before a box's content


@dataclass(frozen=True)
class ColourTags:
    """The colour tags of a file.

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
        bits, points = read_avif_colour(data)
        return ColourTags(bits, profile, None if points is None else space_of(*points))
    if isinstance(image, TiffImageFile):
        return ColourTags(_tiff_bits(image), profile)
    if image.format == "JPEG" and _says_adobe_rgb(image):
        return ColourTags(profile=profile, space=_space(ADOBE_PRIMARIES, D65, ADOBE_GAMMA))
    return ColourTags(profile=profile)


def _tiff_bits(image: TiffImageFile) -> int:
    """Bits of each number; 8 for the rarer layouts, whose other bits are not read."""
    fields = image.tag_v2
    is_plain = fields.get(_TIFF_PHOTOMETRIC) in (1, 2) and (  # black is 0; RGB
        fields.get(_TIFF_ORIENTATION, 1) == fields.get(_TIFF_PLANES, 1) == 1
    )
    return max(fields.get(_TIFF_BITS, (1,))) if is_plain else 8


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
    """The colour space of the chunks gAMA and cHRM."""
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
    """The profile's tags, by name."""
    if profile[36:40] != b"acsp":
        raise ValueError("not a profile")
    (count,) = struct.unpack_from(">I", profile, PROFILE_HEADER_BYTES)
    if count > MAX_PROFILE_TAGS:
        raise ValueError(f"{count} tags")
    places = (
        struct.unpack_from(">4sII", profile, PROFILE_HEADER_BYTES + 4 + 12 * index)
        for index in range(count)
    )
    return {name: profile[start : start + size] for name, start, size in places}


def _curve(tag: bytes) -> TransferFunction:
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


def _parametric(kind: int, tag: bytes) -> TransferFunction:
    if kind >= len(_PARAMETERS):
        raise ValueError(f"curve of kind {kind}")
    names = _PARAMETERS[kind]
    numbers = [number / 65536 for number in struct.unpack_from(f">{len(names)}i", tag, 12)]
    given = {"a": 1.0, "b": 0.0, "c": 0.0, "d": 0.0, "e": 0.0, "f": 0.0}
    given |= dict(zip(names, numbers, strict=True))
    if kind in (1, 2):  # a power from where it is 0 on; below it the constant c
        edge = -given["b"] / given["a"] if given["a"] else 0.0
        given |= {"d": edge, "c": 0.0, "e": given["c"], "f": given["c"]}

    def curve(coded: Floats) -> Floats:
        powered = np.maximum(given["a"] * coded + given["b"], 0) ** given["g"] + given["e"]
        return np.where(coded >= given["d"], powered, given["c"] * coded + given["f"])

    return curve


def _xyz(tag: bytes) -> tuple[float, ...]:
    x, y, z = struct.unpack_from(">3i", tag, 8)
    return x / 65536, y / 65536, z / 65536


def read_avif_colour(data: bytes) -> tuple[int, Points | None]:
    """Bits of each number, and the code points; None where nothing says any."""
    try:
        bits, points = _of_primary_item(data)
    except (struct.error, IndexError):
        bits, points = None, None
    if bits is None or points is None:
        stream_bits, stream_points = _of_stream(data)
        bits, points = bits or stream_bits, points or stream_points
    return bits, points


def _of_primary_item(data: bytes) -> tuple[int | None, Points | None]:
    """The properties of the picture itself, not of its thumbnail, alpha or gain map."""
    meta = _child(data, b"meta")
    inside = meta[_FULL_BOX:]
    properties = _child(inside, b"iprp")
    listed = list(_boxes(_child(properties, b"ipco")))
    item = _primary(_child(inside, b"pitm"))
    bits, points = None, None
    for number in _associated(_child(properties, b"ipma"), item):
        if not 1 <= number <= len(listed):
            continue
        name, content = listed[number - 1]
        if name == b"pixi":
            bits = max(content[_FULL_BOX + 1 :])
        elif name == b"av1C" and bits is None:
            bits = 8 if not content[2] & 0x40 else 12 if content[2] & 0x20 else 10
        elif name == b"colr" and content[:4] == b"nclx":
            points = struct.unpack_from(">HH", content, 4)
    return bits, points


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the boxes that follow one another."""
    at = 0
    for _ in range(MAX_BOXES):
        if at + 8 > len(data):
            return
        size, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = len(data) if size == 0 else at + size
        if end < start:
            return
        yield name, data[start:end]
        at = end


def _child(data: bytes, target: bytes) -> bytes:
    """The content of the first box of a name; empty where there is none."""
    return next((content for name, content in _boxes(data) if name == target), b"")


def _primary(box: bytes) -> int:
    (item,) = struct.unpack_from(">H" if box[0] == 0 else ">I", box, _FULL_BOX)
    return int(item)


def _associated(box: bytes, target: int) -> list[int]:
    """Which of the properties, counted from 1, an item has."""
    version, is_wide = box[0], box[3] & 1
    (count,) = struct.unpack_from(">I", box, _FULL_BOX)
    at = _FULL_BOX + 4
    for _ in range(count):
        (item,) = struct.unpack_from(">H" if version == 0 else ">I", box, at)
        at += 2 if version == 0 else 4
        number = box[at]
        kind, mask = (">H", 0x7FFF) if is_wide else (">B", 0x7F)
        size = struct.calcsize(kind)
        values = [
            struct.unpack_from(kind, box, at + 1 + size * index)[0] & mask
            for index in range(number)
        ]
        if item == target:
            return values
        at += 1 + size * number
    return []


def _of_stream(data: bytes) -> tuple[int, Points | None]:
    """The tags of the AV1 stream itself, as FFmpeg finds them."""
    try:
        with av.open(io.BytesIO(data), format="mov", metadata_errors="ignore") as container:
            context = container.streams.video[0].codec_context
            bits = max(part.bits for part in context.format.components) if context.format else 8
            return bits, (int(context.color_primaries), int(context.color_trc))
    except (av.FFmpegError, IndexError, ValueError):
        return 8, None
