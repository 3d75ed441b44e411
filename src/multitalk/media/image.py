"""A portrait from any picture file, upright, opaque and sRGB."""

import io
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from multitalk.array_types import Portrait
from multitalk.boxes import Box
from multitalk.errors import LimitExceeded, MediaUndecodable
from multitalk.media.colour_profiles import read_tags
from multitalk.media.decoding_errors import (
    DAMAGE,
    CheckCancelled,
    never_cancelled,
    translate_decoder_errors,
)
from multitalk.media.jpeg import MAX_SCANS, has_too_many_scans, reduce_jpeg
from multitalk.media.srgb import opaque_srgb
from multitalk.messages import Notice

# Pillow's formats, less those that start another program (EPS) or that are no pictures of pixels.
FORMATS = (
    "AVIF", "BLP", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "IM", "JPEG", "JPEG2000", "MSP",
    "PCX", "PNG", "PPM", "PSD", "QOI", "SGI", "SPIDER", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM",
)  # fmt: skip

MAX_SIDE = 65_535  # pixels: a JPEG's; colours are converted by whole rows
JPEG_SIGNATURE = b"\xff\xd8\xff"

# Of the eight EXIF orientations: rows and columns change places, then mirroring.
SIDEWAYS = frozenset({5, 6, 7, 8})
MIRRORED_ACROSS = frozenset({2, 3, 6, 7})
MIRRORED_DOWN = frozenset({3, 4, 7, 8})

_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)

_log = logging.getLogger(__name__)

# Chunks, segments and blocks take one to four reads each; cameras and editors write some hundreds.
MAX_HEADER_READS = 100_000
# A PNG's pixels come in pieces of 8 KiB or more, of three reads each; other pieces may follow.
MAX_PNG_READS = 200_000


@dataclass(frozen=True)
class Picture:
    """The decoded content of a picture file.

    A caller knows the picture as its file has it, set upright: boxes of a request are in those
    pixels, and so are boxes that are answered.

    Attributes:
        pixels: Upright, opaque sRGB: uint8 [H, W, 3], contiguous, and may be changed.
        file_width: Width of the upright picture in the file, in pixels.
        file_height: Its height.
        notices: What the caller should know about how it was decoded.
    """

    pixels: Portrait
    file_width: int
    file_height: int
    notices: tuple[Notice, ...] = ()

    @classmethod
    def whole(cls, pixels: Portrait) -> "Picture":
        """A picture that is as its file has it."""
        return cls(pixels, file_width=pixels.shape[1], file_height=pixels.shape[0])

    def from_file(self, box: Box) -> Box:
        """A box in pixels of the file, in `pixels`."""
        across, down = self._scale()
        return box[0] / across, box[1] / down, box[2] / across, box[3] / down

    def to_file(self, box: Box) -> Box:
        """A box in `pixels`, in pixels of the file."""
        across, down = self._scale()
        return box[0] * across, box[1] * down, box[2] * across, box[3] * down

    def _scale(self) -> tuple[float, float]:
        """Pixels of the file for one of `pixels`, across and down."""
        height, width = self.pixels.shape[:2]
        return self.file_width / width, self.file_height / height


class PictureFile(io.BytesIO):
    """Asks at each read whether to go on.

    Pillow reads a header piece by piece and keeps what it does not know, so a file of millions of
    empty pieces would cost minutes and gigabytes.
    """

    def __init__(self, data: bytes, *, field: str, check_cancelled: CheckCancelled) -> None:
        super().__init__(data)
        self._field = field
        self._check_cancelled = check_cancelled
        self._reads_left: int | None = MAX_HEADER_READS

    def allow(self, reads: int | None) -> None:
        """So many reads from here on; None: any number."""
        self._reads_left = reads

    def read(self, size: int | None = -1, /) -> bytes:
        """As a file's.

        Raises:
            MediaUndecodable: It was read too often.
        """
        self._check_cancelled()
        if self._reads_left is not None:
            if self._reads_left <= 0:
                reason = "far too many parts"
                raise MediaUndecodable("image_undecodable", field=self._field, reason=reason)
            self._reads_left -= 1
        return super().read(size)


def load_picture(
    path: Path, *, field: str, max_pixels: int, check_cancelled: CheckCancelled = never_cancelled
) -> Picture:
    """Decode any still or animated picture (its first frame).

    The camera's orientation is applied, colours are converted to sRGB from the space that the file
    names (`colour_profiles`), HDR included, and transparency is laid over middle grey. A JPEG that
    is too large is decoded at a half, a quarter or an eighth of its size, with a notice.

    Args:
        path: The file.
        field: The request field to blame.
        max_pixels: Most pixels that are decoded; a larger picture is refused by its header.
        check_cancelled: Called whenever a piece of the file is decoded.

    Raises:
        MediaUndecodable: Empty, truncated or no picture, or one that would take minutes.
        LimitExceeded: More than `max_pixels`, and no JPEG that can be decoded smaller.
    """
    data = path.read_bytes()
    with translate_decoder_errors("image_undecodable", field=field, reason="damaged or cut off"):
        try:
            return _decode(data, field, max_pixels, check_cancelled)
        except _BOMB as error:
            raise LimitExceeded("image_is_bomb", field=field, limit=max_pixels) from error
        except UnidentifiedImageError as error:
            reason = _unknown_kind(data)
            raise MediaUndecodable("image_undecodable", field=field, reason=reason) from error


def _decode(data: bytes, field: str, max_pixels: int, check_cancelled: CheckCancelled) -> Picture:
    """The picture of a file; whatever Pillow raises."""
    file = PictureFile(data, field=field, check_cancelled=check_cancelled)
    with _open_header(file, data, field) as image:
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
        pixels, notices = opaque_srgb(image, data, tags, check_cancelled)
    width, height = file_size[:: -1 if orientation in SIDEWAYS else 1]
    upright = _set_upright(pixels, orientation)
    notices = (*_reduce(width, height, upright, max_pixels), *notices)
    return Picture(upright, file_width=width, file_height=height, notices=notices)


def _open_header(file: PictureFile, data: bytes, field: str) -> Image.Image:
    """Open a picture; only its header is read."""
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
    """The camera's orientation, 1 to 8 (EXIF 2.32, 4.6.5); 1 where the EXIF block is damaged."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except DAMAGE as error:
        _log.info("orientation not readable: %s", error)
        return 1
    return orientation if orientation in range(1, 9) else 1


def _set_upright(pixels: Portrait, orientation: int) -> Portrait:
    """A stored picture set upright."""
    if orientation in SIDEWAYS:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in MIRRORED_ACROSS:
        pixels = pixels[:, ::-1]
    if orientation in MIRRORED_DOWN:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _reduce(width: int, height: int, pixels: Portrait, max_pixels: int) -> tuple[Notice, ...]:
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
