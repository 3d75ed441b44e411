"""A portrait from any picture file: upright, opaque, sRGB."""

import logging
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from multitalk.errors import LimitExceeded, MediaUndecodable
from multitalk.media.colour_tags import read_tags
from multitalk.media.damage import DAMAGE, undecodable
from multitalk.media.jpeg_scans import MAX_SCANS, has_too_many_scans
from multitalk.media.large_jpeg import reduce_jpeg
from multitalk.media.picture import Picture, Portrait
from multitalk.media.picture_file import MAX_PNG_READS, PictureFile
from multitalk.media.srgb import opaque_srgb
from multitalk.media.watch import Watch, unwatched
from multitalk.messages import Notice

# Pillow's formats, less those that start another program (EPS) or that are no pictures of pixels.
FORMATS = (
    "AVIF", "BLP", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "IM", "JPEG", "JPEG2000", "MSP",
    "PCX", "PNG", "PPM", "PSD", "QOI", "SGI", "SPIDER", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM",
)  # fmt: skip

MAX_SIDE = 65_535  # pixels: a JPEG's; colours are converted by whole rows
JPEG_SIGNATURE = b"\xff\xd8\xff"

# Of the eight EXIF orientations: rows and columns change places, and what is mirrored after that.
SIDEWAYS = frozenset({5, 6, 7, 8})
MIRRORED_ACROSS = frozenset({2, 3, 6, 7})
MIRRORED_DOWN = frozenset({3, 4, 7, 8})

_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)

_log = logging.getLogger(__name__)


def load_picture(path: Path, *, field: str, max_pixels: int, watch: Watch = unwatched) -> Picture:
    """Decode any still or animated picture (its first frame).

    The camera's orientation is applied, colours are converted to sRGB from whatever the file says
    that they are (`colour_tags`), HDR included, and transparency is laid over middle grey. A JPEG
    that is too large is decoded at a half, a quarter or an eighth of its size, and a notice says
    so.

    Args:
        path: The file.
        field: The request field to blame.
        max_pixels: Most pixels that are decoded; a larger picture is refused by its header.
        watch: Called whenever a piece of the file is decoded.

    Raises:
        MediaUndecodable: Empty, truncated or no picture, or one that would take minutes.
        LimitExceeded: More than `max_pixels`, and no JPEG that can be decoded smaller.
    """
    data = path.read_bytes()
    with undecodable("image_undecodable", field=field, reason="damaged or cut off"):
        try:
            return _decoded(data, field, max_pixels, watch)
        except _BOMB as error:
            raise LimitExceeded("image_is_bomb", field=field, limit=max_pixels) from error
        except UnidentifiedImageError as error:
            reason = _unknown_kind(data)
            raise MediaUndecodable("image_undecodable", field=field, reason=reason) from error


def _decoded(data: bytes, field: str, max_pixels: int, watch: Watch) -> Picture:
    """The picture of a file; whatever Pillow raises."""
    file = PictureFile(data, field=field, watch=watch)
    with _opened(file, data, field) as image:
        file_size = image.size
        if isinstance(image, JpegImageFile):
            reduce_jpeg(image, data, max_pixels=max_pixels)
        _check_size(image, field, max_pixels)
        tags = read_tags(image, data)
        file.allow(MAX_PNG_READS if image.format == "PNG" else None)
        image.load()
        orientation = _orientation(image)  # of a TIFF it is 1 by now: Pillow has turned it
        if not isinstance(image, JpegImageFile):
            file_size = image.size  # that of an icon is known by now
        pixels, notices = opaque_srgb(image, data, tags, watch)
    width, height = file_size[:: -1 if orientation in SIDEWAYS else 1]
    upright = _turned(pixels, orientation)
    notices = (*_reduced(width, height, upright, max_pixels), *notices)
    return Picture(upright, file_width=width, file_height=height, notices=notices)


def _opened(file: PictureFile, data: bytes, field: str) -> Image.Image:
    """The picture, of which only the header was read."""
    if data.startswith(JPEG_SIGNATURE):
        if has_too_many_scans(data):
            reason = f"more than {MAX_SCANS} scans"
            raise MediaUndecodable("image_undecodable", field=field, reason=reason)
        return JpegImageFile(file)  # of any size; `Image.open` refuses 179 megapixels
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]  # AVIF came with Pillow 11.3
    return Image.open(file, formats=formats)


def _check_size(image: Image.Image, field: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise LimitExceeded(
            "image_too_large", field=field, width=width, height=height, limit=max_pixels
        )
    if max(width, height) > MAX_SIDE:
        reason = f"{width}x{height} pixels; a side may have {MAX_SIDE}"
        raise MediaUndecodable("image_undecodable", field=field, reason=reason)


def _unknown_kind(data: bytes) -> str:
    if not data:
        return "empty file"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"hevc"):
        return "HEIC"
    return "unknown format"


def _orientation(image: Image.Image) -> int:
    """How the camera was held, 1 to 8 (EXIF 2.32, 4.6.5); 1 where the EXIF block is damaged."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except DAMAGE as error:
        _log.info("orientation not readable: %s", error)
        return 1
    return orientation if orientation in range(1, 9) else 1


def _turned(pixels: Portrait, orientation: int) -> Portrait:
    """A stored picture set upright."""
    if orientation in SIDEWAYS:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in MIRRORED_ACROSS:
        pixels = pixels[:, ::-1]
    if orientation in MIRRORED_DOWN:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _reduced(width: int, height: int, pixels: Portrait, max_pixels: int) -> tuple[Notice, ...]:
    """A notice where a picture was decoded smaller than the `width` x `height` that it has."""
    decoded_height, decoded_width = pixels.shape[:2]
    if (decoded_width, decoded_height) == (width, height):
        return ()
    sizes = {
        "width": width,
        "height": height,
        "decoded_width": decoded_width,
        "decoded_height": decoded_height,
        "limit": max_pixels,
    }
    return (Notice("picture_reduced", sizes),)
