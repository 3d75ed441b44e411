"""A portrait from any picture file: upright, opaque, sRGB."""

import io
import logging
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from multitalk.errors import LimitExceeded, MediaUndecodable

Portrait = NDArray[np.uint8]  # RGB [H, W, 3]

BACKGROUND = (128, 128, 128)  # middle grey, behind what is transparent

# Pillow's formats, less those that start another program (EPS) or that are no pictures of pixels.
FORMATS = (
    "AVIF", "BLP", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "IM", "JPEG", "JPEG2000", "MSP",
    "PCX", "PNG", "PPM", "PSD", "QOI", "SGI", "SPIDER", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM",
)  # fmt: skip

# What Pillow's decoders raise on bytes that are not what they claim to be.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    NotImplementedError,
    struct.error,
    zlib.error,
)
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)

_log = logging.getLogger(__name__)


def load_portrait(path: Path, *, field: str, max_pixels: int) -> Portrait:
    """Decode any still or animated picture (its first frame).

    The camera's orientation is applied, an ICC profile is converted to sRGB, and transparency is
    laid over middle grey (128, 128, 128).

    Args:
        path: The file.
        field: The request field to blame.
        max_pixels: Most pixels that are decoded; a larger picture is refused by its header.

    Returns:
        RGB uint8 [H, W, 3], contiguous and ours to change.

    Raises:
        MediaUndecodable: Empty, truncated or no picture.
        LimitExceeded: More than `max_pixels`.
    """
    data = io.BytesIO(path.read_bytes())
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]  # AVIF came with Pillow 11.3
    try:
        with Image.open(data, formats=formats) as image:
            _check_size(image, field, max_pixels)
            return np.array(_srgb(_upright(image)), dtype=np.uint8)
    except _BOMB as error:
        raise LimitExceeded("image_is_bomb", field=field, limit=max_pixels) from error
    except UnidentifiedImageError as error:
        reason = _unknown_kind(data.getvalue())
        raise MediaUndecodable("image_undecodable", field=field, reason=reason) from error
    except _BROKEN as error:
        _log.info("%s: %s", field, error)
        raise MediaUndecodable(
            "image_undecodable", field=field, reason="damaged or cut off"
        ) from error


def _check_size(image: Image.Image, field: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise LimitExceeded(
            "image_too_large", field=field, width=width, height=height, limit=max_pixels
        )


def _unknown_kind(data: bytes) -> str:
    if not data:
        return "empty file"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"hevc"):
        return "HEIC"
    return "unknown format"


def _upright(image: Image.Image) -> Image.Image:
    """The picture as the camera was held; as it is stored where the EXIF block is damaged."""
    try:
        return ImageOps.exif_transpose(image)
    except _BROKEN as error:
        _log.info("orientation not readable: %s", error)
        return image


def _srgb(image: Image.Image) -> Image.Image:
    """Any mode as opaque 8-bit sRGB."""
    profile = image.info.get("icc_profile")
    image = _eight_bit(image)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    if image.mode not in ("RGB", "CMYK", "L", "LAB"):
        image = image.convert("RGB")
    if profile:
        image = _by_profile(image, profile)
    image = image.convert("RGB")
    if alpha is not None:
        image = Image.composite(image, Image.new("RGB", image.size, BACKGROUND), alpha)
    return image


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert to sRGB; a profile that is damaged or of another colour space is left out."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, *_BROKEN) as error:
        _log.info("colour profile not usable: %s", error)
        return image
    return converted or image


def _eight_bit(image: Image.Image) -> Image.Image:
    """Bring 16-bit, 32-bit and float grey to 8 bits; other modes have 8 bits already."""
    if not image.mode.startswith(("I", "F")):
        return image
    grey = np.nan_to_num(np.asarray(image, dtype=np.float64))
    if image.mode.startswith("F") and grey.max() <= 1.0:
        grey = grey * 255.0
    elif image.mode.startswith("I;16") or grey.max() > 255.0:
        grey = grey / 257.0  # 65535 / 255
    return Image.fromarray(np.clip(np.round(grey), 0, 255).astype(np.uint8))
