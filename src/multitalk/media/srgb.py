"""A decoded picture of any mode as opaque 8-bit sRGB, strip by strip: one copy of it is made."""

import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms

from multitalk.array_types import Portrait
from multitalk.media.colour_profiles import ColourTags, hdr_space, plain_space
from multitalk.media.colour_spaces import BLOCK_PIXELS, ColourSpace, ToSrgb
from multitalk.media.decoding_errors import DAMAGE, CheckCancelled
from multitalk.messages import Notice

BACKGROUND = 128  # middle grey, behind transparency

# Of ICC: the colour space of a profile, and Pillow's mode of a picture that it is for.
_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}
_GREYS = ("L", "LA", "La")
DEEP_MODES = ("RGB", "RGBA")  # in which Pillow holds 8 bits of a PNG's 16

_Strip: TypeAlias = tuple[int, Image.Image, Image.Image | None]  # first row, colours, opacity
# Makes RGB of a strip's colours; the number is the picture's row that the strip begins with.
_Paint: TypeAlias = Callable[[Image.Image, int], Portrait]

_log = logging.getLogger(__name__)

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# FFmpeg's formats of a PNG's 16 bits: how many numbers a pixel has, the last of them opacity or not
_PNG_NUMBERS = {"gray16be": 1, "ya16be": 2, "rgb48be": 3, "rgba64be": 4}


def opaque_srgb(
    image: Image.Image, data: bytes, tags: ColourTags, check_cancelled: CheckCancelled
) -> tuple[Portrait, tuple[Notice, ...]]:
    """Convert a picture's colours and composite transparency over middle grey.

    Returns:
        RGB uint8 [H, W, 3], and what the caller should know about it.
    """
    strips = _Strips(image, data, check_cancelled)
    if tags.profile is not None:
        try:
            painter = _by_profile(strips, data, tags.profile, tags.bits)
            return _convert_strips(strips, painter), ()
        except (ImageCms.PyCMSError, *DAMAGE) as error:
            _log.info("colour profile not usable: %s", error)
    painter = _Painter(_plain)
    if tags.space is not None and strips.mode in ("RGB", "L"):
        painter = _in_space(strips, data, tags.space, tags.bits)
    notices = () if tags.profile is None else (Notice("profile_not_usable", {}),)
    return _convert_strips(strips, painter), notices


@dataclass(frozen=True)
class _Painter:
    """Converter of a picture's colours.

    Attributes:
        paint: Does it for a strip.
        has_colours: Whether it has them itself, with more bits, and takes none of a strip's.
    """

    paint: _Paint
    has_colours: bool = False


class _Strips:
    """A picture in strips of whole rows.

    Attributes:
        width: Of the picture, in pixels.
        height: The same.
        mode: Of the colours: RGB, grey (L), CMYK or LAB.
    """

    def __init__(self, image: Image.Image, data: bytes, check_cancelled: CheckCancelled) -> None:
        self.width, self.height = image.size
        self._image = image
        self._data = data
        self._check_cancelled = check_cancelled
        self._opacity: Image.Image | None = None
        self._is_freed = False
        self._scale = _scale(strip for _, strip in self._cut(image))
        self.mode = next(self.whole())[1].mode

    def whole(self) -> Iterator[_Strip]:
        """Colours and opacity; decoded again if they were freed."""
        if self._is_freed:
            self._image = Image.open(io.BytesIO(self._data))
            self._is_freed = False
        for top, strip in self._cut(self._image):
            yield top, *_split_alpha(_eight_bit(strip, self._scale))

    def free_colours(self) -> None:
        """Give back the colours of a deep PNG, which are most of its memory."""
        image = self._image
        if image.format == "PNG" and image.mode in DEEP_MODES and "transparency" not in image.info:
            self._opacity = image.getchannel("A") if image.mode == "RGBA" else None
            image.close()
            self._is_freed = True

    def opacities(self) -> Iterator[_Strip]:
        """Opacity, and perhaps no colours."""
        if not self._is_freed:
            yield from self.whole()
            return
        for top, black in self._cut(Image.new("L", (self.width, self.height))):
            box = (0, top, self.width, top + black.height)
            yield top, black, None if self._opacity is None else self._opacity.crop(box)

    def _cut(self, image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
        rows = max(BLOCK_PIXELS // self.width, 1)
        for top in range(0, self.height, rows):
            self._check_cancelled()
            yield top, image.crop((0, top, self.width, min(top + rows, self.height)))


def _convert_strips(strips: _Strips, painter: _Painter) -> Portrait:
    pixels = np.empty((strips.height, strips.width, 3), np.uint8)
    for top, coloured, alpha in strips.opacities() if painter.has_colours else strips.whole():
        block = pixels[top : top + coloured.height]
        block[:] = painter.paint(coloured, top)
        if alpha is not None:
            opacity = np.asarray(alpha, np.uint32)[..., None]
            mixed = block * opacity + BACKGROUND * (255 - opacity)
            block[:] = (mixed + 127) // 255
    return pixels


def _plain(coloured: Image.Image, _: int) -> Portrait:
    return np.asarray(coloured.convert("RGB"))


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours, as RGB, grey, CMYK or LAB, and their opacity, if there is one."""
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in _GREYS else "RGBA")
        return image.convert(image.mode[:-1]), image.getchannel("A")
    return image if image.mode in _MODES.values() else image.convert("RGB"), None


def _by_profile(strips: _Strips, data: bytes, profile: bytes, bits: int) -> _Painter:
    """The converter by an ICC profile.

    Raises:
        PyCMSError, *DAMAGE: It is damaged, or for another kind of colours; perhaps only when a
            strip is converted.
    """
    is_for_grey = profile[16:20] == b"GRAY"
    is_single = is_for_grey and strips.mode == "RGB" and _is_grey(strips)
    mode = "L" if is_single else strips.mode
    space = _profile_space(profile, bits)
    fits = mode == "L" or (mode == "RGB" and profile[16:20] == b"RGB ")
    if space is not None and fits:
        painter = _in_space(strips, data, space, bits)
    else:
        painter = _Painter(_by_lcms(profile, mode))
    if not is_single or painter.has_colours:
        return painter
    return _Painter(lambda coloured, top: painter.paint(coloured.getchannel(0), top))


def _profile_space(profile: bytes, bits: int) -> ColourSpace | None:
    """The space of a profile that LittleCMS cannot convert: of HDR, or of more than 8 bits."""
    space = hdr_space(profile)
    if space is not None or bits <= 8:
        return space
    try:
        return plain_space(profile)
    except ValueError as error:
        _log.info("colour profile not readable: %s", error)
        return None


def _is_grey(strips: _Strips) -> bool:
    """Whether a picture in colours is grey throughout; Pillow holds some of them so."""
    for _, coloured, _ in strips.whole():
        red, *others = coloured.split()
        if any(ImageChops.difference(red, other).getbbox() is not None for other in others):
            return False
    return True


def _in_space(strips: _Strips, data: bytes, space: ColourSpace, bits: int) -> _Painter:
    """The converter of RGB or grey with all bits of the file."""
    if bits > 8:
        strips.free_colours()
        deep = deep_pixels(data, width=strips.width, height=strips.height)
        if deep is not None:
            convert = ToSrgb(space, bits)

            def paint(strip: Image.Image, top: int) -> Portrait:
                return convert(deep[top : top + strip.height].astype(np.uint16))

            return _Painter(paint, has_colours=True)
    convert_bytes = ToSrgb(space, 8)
    return _Painter(lambda coloured, _: convert_bytes(np.asarray(coloured)))


def _by_lcms(profile: bytes, mode: str) -> _Paint:
    """The converter of 8 bits by LittleCMS."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    input_mode = _MODES[source.profile.xcolor_space.strip()]
    target = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, target, input_mode, "RGB")

    def paint(coloured: Image.Image, _: int) -> Portrait:
        if mode == "L" and input_mode == "RGB":
            coloured = coloured.convert("RGB")
        return np.asarray(ImageCms.applyTransform(coloured, transform))

    return paint


def _scale(strips: Iterator[Image.Image]) -> tuple[float, float]:
    """Factor and divisor that bring a picture's numbers to 0 to 255."""
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


def deep_pixels(data: bytes, *, width: int, height: int) -> NDArray[np.unsignedinteger] | None:
    """Decode a PNG, a TIFF or an AVIF whose numbers have more than 8 bits.

    Args:
        data: The whole file, of which Pillow knows that it can be decoded.
        width: What Pillow says of it.
        height: The same.

    Returns:
        RGB [H, W, 3] or grey [H, W] in 16 bits as it is stored: not turned, without alpha, and 10
        bits are 0 to 1023. Not to be changed. None where this cannot be decoded.
    """
    decode = _png if data.startswith(_PNG_SIGNATURE) else _other
    try:
        pixels = decode(data)
    except (cv2.error, av.FFmpegError) as error:
        _log.info("not decoded with all its bits: %s", error)
        return None
    if pixels is None or pixels.shape[:2] != (height, width):
        return None
    return pixels


def _png(data: bytes) -> NDArray[np.unsignedinteger] | None:
    """A PNG's pixels where FFmpeg has put them; OpenCV would take twice the memory."""
    context = av.CodecContext.create("png", "r")
    for frame in [*context.decode(av.Packet(data)), *context.decode(None)]:
        numbers = _PNG_NUMBERS.get(frame.format.name)
        if numbers is None:
            return None
        (plane,) = frame.planes
        stored: NDArray[np.uint16] = np.frombuffer(cast(memoryview, plane), ">u2")
        rows = stored.reshape(frame.height, plane.line_size // 2)[:, : frame.width * numbers]
        pixels = rows.reshape(frame.height, frame.width, numbers)
        return pixels[..., 0] if numbers < 3 else pixels[..., :3]
    return None


def _other(data: bytes) -> NDArray[np.unsignedinteger] | None:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    return np.asarray(pixels if pixels.ndim == 2 else pixels[..., 2::-1], np.uint16)
