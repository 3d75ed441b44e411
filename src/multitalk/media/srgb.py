"""A decoded picture of any mode as opaque 8-bit sRGB."""

import io
import logging

import numpy as np
from PIL import Image, ImageChops, ImageCms

from multitalk.media.colour import BLOCK_PIXELS, ColourSpace, to_srgb
from multitalk.media.colour_tags import ColourTags
from multitalk.media.damage import DAMAGE
from multitalk.media.deep_pixels import deep_pixels
from multitalk.media.icc import hdr_space, plain_space
from multitalk.media.picture import Portrait
from multitalk.messages import Notice

BACKGROUND = 128  # middle grey, behind what is transparent

# Of ICC: the colour space of a profile, and Pillow's mode of a picture that it is for.
_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}
_GREYS = ("L", "LA", "La")

_log = logging.getLogger(__name__)


def opaque_srgb(
    image: Image.Image, data: bytes, tags: ColourTags
) -> tuple[Portrait, tuple[Notice, ...]]:
    """Convert a picture's colours and lay what is transparent over middle grey.

    Args:
        image: The decoded picture.
        data: Its whole file.
        tags: What the file says of its colours.

    Returns:
        RGB uint8 [H, W, 3], and what the caller should know about it.
    """
    coloured, alpha = _parted(_eight_bit(image))
    notices: tuple[Notice, ...] = ()
    pixels = None
    if tags.profile is not None:
        pixels = _by_profile(coloured, data, tags.profile, tags.bits)
        if pixels is None:
            notices = (Notice("profile_not_usable", {}),)
    if pixels is None and tags.space is not None and coloured.mode in ("RGB", "L"):
        pixels = _in_space(coloured, data, tags.space, tags.bits)
    if pixels is None:
        pixels = np.array(coloured.convert("RGB"))
    if alpha is not None:
        _lay_over_grey(pixels, alpha)
    return pixels, notices


def _parted(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours, as RGB, grey, CMYK or LAB, and how opaque they are, if that is said."""
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in _GREYS else "RGBA")
        return image.convert(image.mode[:-1]), image.getchannel("A")
    return image if image.mode in _MODES.values() else image.convert("RGB"), None


def _lay_over_grey(pixels: Portrait, alpha: Image.Image) -> None:
    """Mix a picture with the background, in place."""
    rows = max(BLOCK_PIXELS // alpha.width, 1)
    for top in range(0, alpha.height, rows):
        block = pixels[top : top + rows]
        opacity = np.asarray(_strip(alpha, top, rows), np.uint32)[..., None]
        mixed = block * opacity + BACKGROUND * (255 - opacity)
        block[:] = (mixed + 127) // 255


def _by_profile(coloured: Image.Image, data: bytes, profile: bytes, bits: int) -> Portrait | None:
    """Convert by an ICC profile; None where it is damaged or for another kind of colours."""
    if profile[16:20] == b"GRAY" and coloured.mode == "RGB":
        coloured = _as_grey(coloured)
    space = hdr_space(profile)
    if space is None and bits > 8:
        try:
            space = plain_space(profile)
        except ValueError as error:
            _log.info("colour profile not readable: %s", error)
    fits = coloured.mode == "L" or (coloured.mode == "RGB" and profile[16:20] == b"RGB ")
    if space is not None and fits:
        return _in_space(coloured, data, space, bits)
    return _by_lcms(coloured, profile)


def _as_grey(coloured: Image.Image) -> Image.Image:
    """A picture that is grey throughout as one channel; Pillow holds some of them as colours."""
    red, green, blue = coloured.split()
    is_grey = all(ImageChops.difference(red, other).getbbox() is None for other in (green, blue))
    return red if is_grey else coloured


def _in_space(coloured: Image.Image, data: bytes, space: ColourSpace, bits: int) -> Portrait:
    """Convert RGB or grey, with all the bits that the file has."""
    if bits > 8:
        deep = deep_pixels(data, width=coloured.width, height=coloured.height)
        if deep is not None:
            return to_srgb(deep, space, bits=bits)
    return to_srgb(np.asarray(coloured), space, bits=8)


def _by_lcms(coloured: Image.Image, profile: bytes) -> Portrait | None:
    """Convert 8 bits by LittleCMS."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES[source.profile.xcolor_space.strip()]
        if coloured.mode == "L" and mode == "RGB":
            coloured = coloured.convert("RGB")
        target = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, target, mode, "RGB")
        pixels = np.empty((coloured.height, coloured.width, 3), np.uint8)
        rows = max(BLOCK_PIXELS // coloured.width, 1)
        for top in range(0, coloured.height, rows):
            strip = ImageCms.applyTransform(_strip(coloured, top, rows), transform)
            pixels[top : top + rows] = np.asarray(strip)
    except (ImageCms.PyCMSError, *DAMAGE) as error:
        _log.info("colour profile not usable: %s", error)
        return None
    return pixels


def _strip(image: Image.Image, top: int, rows: int) -> Image.Image:
    return image.crop((0, top, image.width, min(top + rows, image.height)))


def _eight_bit(image: Image.Image) -> Image.Image:
    """Bring 16-bit, 32-bit and float grey to 8 bits; other modes have 8 bits already."""
    if not image.mode.startswith(("I", "F")):
        return image
    grey = np.nan_to_num(np.asarray(image, dtype=np.float64))
    if image.mode.startswith("F") and grey.max() <= 1.0:
        grey = grey * 255.0
    elif image.mode.startswith("I;16") or grey.max() > 255.0:
        grey = grey / 257.0  # 65535 / 255
    shown = Image.fromarray(np.clip(np.round(grey), 0, 255).astype(np.uint8))
    clear = image.info.get("transparency")  # of a PNG: the one grey that is transparent
    if clear is None:
        return shown
    opacity = np.where(np.asarray(image) == clear, 0, 255).astype(np.uint8)
    return Image.merge("LA", (shown, Image.fromarray(opacity)))
