"""A decoded picture of any mode as opaque 8-bit sRGB, strip by strip: one copy of it is made."""

import io
import logging
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageChops, ImageCms

from multitalk.media.colour import BLOCK_PIXELS, ColourSpace, ToSrgb
from multitalk.media.colour_tags import ColourTags
from multitalk.media.damage import DAMAGE
from multitalk.media.deep_pixels import deep_pixels
from multitalk.media.icc import hdr_space, plain_space
from multitalk.media.picture import Portrait
from multitalk.media.watch import Watch
from multitalk.messages import Notice

BACKGROUND = 128  # middle grey, behind what is transparent

# Of ICC: the colour space of a profile, and Pillow's mode of a picture that it is for.
_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}
_GREYS = ("L", "LA", "La")

# Makes RGB of a strip's colours; the number is the picture's row that the strip begins with.
_Painter: TypeAlias = Callable[[Image.Image, int], Portrait]

_log = logging.getLogger(__name__)


def opaque_srgb(
    image: Image.Image, data: bytes, tags: ColourTags, watch: Watch
) -> tuple[Portrait, tuple[Notice, ...]]:
    """Convert a picture's colours and lay what is transparent over middle grey.

    Args:
        image: The decoded picture.
        data: Its whole file.
        tags: What the file says of its colours.
        watch: Called at each strip.

    Returns:
        RGB uint8 [H, W, 3], and what the caller should know about it.
    """
    strips = _Strips(image, watch)
    if tags.profile is not None:
        try:
            painter = _by_profile(strips, data, tags.profile, tags.bits)
            return _painted(strips, painter), ()
        except (ImageCms.PyCMSError, *DAMAGE) as error:
            _log.info("colour profile not usable: %s", error)
    painter = _plain
    if tags.space is not None and strips.mode in ("RGB", "L"):
        painter = _in_space(strips, data, tags.space, tags.bits)
    notices = () if tags.profile is None else (Notice("profile_not_usable", {}),)
    return _painted(strips, painter), notices


class _Strips:
    """A picture in strips of whole rows: their colours, and how opaque they are.

    Attributes:
        width: Of the picture, in pixels.
        height: The same.
        mode: Of the colours: RGB, grey (L), CMYK or LAB.
    """

    def __init__(self, image: Image.Image, watch: Watch) -> None:
        self.width, self.height = image.size
        self._image = image
        self._watch = watch
        self._rows = max(BLOCK_PIXELS // image.width, 1)
        self._scale = _scale(strip for _, strip in self._cut())
        self.mode = next(iter(self))[1].mode

    def __iter__(self) -> Iterator[tuple[int, Image.Image, Image.Image | None]]:
        """The first row of each, its colours, and how opaque they are, if that is said."""
        for top, strip in self._cut():
            yield top, *_parted(_eight_bit(strip, self._scale))

    def _cut(self) -> Iterator[tuple[int, Image.Image]]:
        for top in range(0, self.height, self._rows):
            self._watch()
            bottom = min(top + self._rows, self.height)
            yield top, self._image.crop((0, top, self.width, bottom))


def _painted(strips: _Strips, painter: _Painter) -> Portrait:
    pixels = np.empty((strips.height, strips.width, 3), np.uint8)
    for top, coloured, alpha in strips:
        block = pixels[top : top + coloured.height]
        block[:] = painter(coloured, top)
        if alpha is not None:
            opacity = np.asarray(alpha, np.uint32)[..., None]
            mixed = block * opacity + BACKGROUND * (255 - opacity)
            block[:] = (mixed + 127) // 255
    return pixels


def _plain(coloured: Image.Image, _: int) -> Portrait:
    return np.asarray(coloured.convert("RGB"))


def _parted(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours, as RGB, grey, CMYK or LAB, and how opaque they are, if that is said."""
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in _GREYS else "RGBA")
        return image.convert(image.mode[:-1]), image.getchannel("A")
    return image if image.mode in _MODES.values() else image.convert("RGB"), None


def _by_profile(strips: _Strips, data: bytes, profile: bytes, bits: int) -> _Painter:
    """What converts by an ICC profile.

    Raises:
        PyCMSError, *DAMAGE: It is damaged, or for another kind of colours; perhaps only when a
            strip is converted.
    """
    is_for_grey = profile[16:20] == b"GRAY"
    is_single = is_for_grey and strips.mode == "RGB" and _is_grey(strips)
    mode = "L" if is_single else strips.mode
    space = hdr_space(profile)
    if space is None and bits > 8:
        try:
            space = plain_space(profile)
        except ValueError as error:
            _log.info("colour profile not readable: %s", error)
    fits = mode == "L" or (mode == "RGB" and profile[16:20] == b"RGB ")
    if space is not None and fits:
        painter = _in_space(strips, data, space, bits)
    else:
        painter = _by_lcms(profile, mode)
    if not is_single:
        return painter
    return lambda coloured, top: painter(coloured.getchannel(0), top)


def _is_grey(strips: _Strips) -> bool:
    """Whether a picture in colours is grey throughout; Pillow holds some of them so."""
    for _, coloured, _ in strips:
        red, *others = coloured.split()
        if any(ImageChops.difference(red, other).getbbox() is not None for other in others):
            return False
    return True


def _in_space(strips: _Strips, data: bytes, space: ColourSpace, bits: int) -> _Painter:
    """What converts RGB or grey, with all the bits that the file has."""
    if bits > 8:
        deep = deep_pixels(data, width=strips.width, height=strips.height)
        if deep is not None:
            convert = ToSrgb(space, bits)
            return lambda coloured, top: convert(deep[top : top + coloured.height])
    convert_bytes = ToSrgb(space, 8)
    return lambda coloured, _: convert_bytes(np.asarray(coloured))


def _by_lcms(profile: bytes, mode: str) -> _Painter:
    """What converts 8 bits by LittleCMS."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    wanted = _MODES[source.profile.xcolor_space.strip()]
    target = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, target, wanted, "RGB")

    def paint(coloured: Image.Image, _: int) -> Portrait:
        if mode == "L" and wanted == "RGB":
            coloured = coloured.convert("RGB")
        return np.asarray(ImageCms.applyTransform(coloured, transform))

    return paint


def _scale(strips: Iterator[Image.Image]) -> tuple[float, float]:
    """What a picture's numbers are multiplied with and divided by, to be from 0 to 255."""
    brightest, mode = 0.0, ""
    for strip in strips:
        mode = strip.mode
        if not mode.startswith(("I", "F")):
            return 1.0, 1.0
        if mode.startswith("I;16"):
            return 1.0, 257.0  # 65535 / 255
        brightest = max(brightest, float(np.nan_to_num(np.asarray(strip, np.float64)).max()))
    if mode.startswith("F") and brightest <= 1.0:
        return 255.0, 1.0
    return 1.0, 257.0 if brightest > 255.0 else 1.0


def _eight_bit(image: Image.Image, scale: tuple[float, float]) -> Image.Image:
    """Bring 16-bit, 32-bit and float grey to 8 bits; other modes have 8 bits already."""
    if not image.mode.startswith(("I", "F")):
        return image
    grey = np.nan_to_num(np.asarray(image, dtype=np.float64)) * scale[0] / scale[1]
    shown = Image.fromarray(np.clip(np.round(grey), 0, 255).astype(np.uint8))
    clear = image.info.get("transparency")  # of a PNG: the one grey that is transparent
    if clear is None:
        return shown
    opacity = np.where(np.asarray(image) == clear, 0, 255).astype(np.uint8)
    return Image.merge("LA", (shown, Image.fromarray(opacity)))
