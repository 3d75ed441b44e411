"""Pictures and samples in memory as files: a PNG or TIFF, a WAV."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from multitalk.errors import InvalidRequest, MediaUndecodable

PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"})
TIFF_MODES = frozenset({"CMYK", "YCbCr", "LAB", "F"})  # others become RGB or RGBA
MAX_CHANNELS = 8
MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz
MAX_PEAK = 4.0  # of float samples, 12 dB above full scale: more than any resampling overshoots
PCM, IEEE_FLOAT = 1, 3  # format tags of a WAV file, Microsoft's mmreg.h


def write_picture(picture: Image.Image, path: Path, *, field: str) -> None:
    """Keep a picture with its colour profile and its orientation, losing nothing.

    Args:
        picture: Of any mode; of an animation, its current frame.
        path: The new file.
        field: What to blame.

    Raises:
        InvalidRequest: It is empty.
        MediaUndecodable: It was opened from a file that is damaged, or was closed.
    """
    if 0 in picture.size:
        raise InvalidRequest("pixels_of_shape", field=field, shape=list(picture.size[::-1]))
    try:
        picture.load()
        kept = picture
        if picture.mode not in PNG_MODES | TIFF_MODES:
            kept = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        file_format = "TIFF" if kept.mode in TIFF_MODES else "PNG"
        kept.save(
            path,
            format=file_format,
            exif=picture.getexif(),
            icc_profile=picture.info.get("icc_profile"),
        )
    except (OSError, SyntaxError, ValueError) as error:
        reason = "damaged, cut off or closed"
        raise MediaUndecodable("image_undecodable", field=field, reason=reason) from error


def write_pixels(pixels: NDArray[np.generic], path: Path, *, field: str) -> None:
    """Keep pixels as a PNG.

    Args:
        pixels: uint8 [H, W, 3] RGB, [H, W, 4] with alpha, or [H, W] or [H, W, 1] grey.
        path: The new file.
        field: What to blame.

    Raises:
        InvalidRequest: Of another type or shape, or empty.
    """
    if pixels.dtype != np.uint8:
        raise InvalidRequest("pixels_of_type", field=field, dtype=pixels.dtype)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    fits = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if not fits or pixels.size == 0:
        raise InvalidRequest("pixels_of_shape", field=field, shape=_format_shape(pixels))
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, format="PNG", compress_level=1)


def write_samples(samples: NDArray[np.generic], rate: object, path: Path, *, field: str) -> None:
    """Keep samples as a WAV of their own depth: floats as 32-bit float.

    Args:
        samples: float in [-1, 1], int16 or int32, [S] or [S, channels].
        rate: Samples a second, a whole number.
        path: The new file.
        field: What to blame.

    Raises:
        InvalidRequest: Of another type or shape, empty, not finite, far too loud to be floats in
            [-1, 1], or at a rate that cannot be.
    """
    frequency = _checked_rate(rate, field)
    dtype = samples.dtype.newbyteorder("=")
    if dtype.kind != "f" and dtype not in (np.int16, np.int32):
        raise InvalidRequest("samples_of_type", field=field, dtype=dtype)
    channels = samples.shape[1] if samples.ndim == 2 else 1
    if samples.ndim not in (1, 2) or samples.size == 0 or channels > MAX_CHANNELS:
        raise InvalidRequest(
            "samples_of_shape", field=field, shape=_format_shape(samples), limit=MAX_CHANNELS
        )
    tag = PCM
    if dtype.kind == "f":
        tag, samples = IEEE_FLOAT, _checked_floats(samples, field)
    data = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    path.write_bytes(_wav_header(tag, samples.itemsize, channels, frequency, len(data)) + data)


def _checked_floats(samples: NDArray[np.generic], field: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # infinity is refused
        floats = samples.astype(np.float32)
    if not np.isfinite(floats).all():
        count = int((~np.isfinite(floats)).sum())
        raise InvalidRequest("samples_not_finite", field=field, count=count)
    peak = float(np.abs(floats).max())
    if peak > MAX_PEAK:
        raise InvalidRequest("samples_too_large", field=field, peak=peak)
    return floats


def _checked_rate(rate: object, field: str) -> int:
    number = rate.item() if isinstance(rate, np.generic) else rate
    fits = isinstance(number, int | float) and MIN_RATE <= number <= MAX_RATE
    if not (isinstance(number, int | float) and fits and number == int(number)):
        raise InvalidRequest(
            "samples_at_rate", field=field, rate=number, low=MIN_RATE, high=MAX_RATE
        )
    return int(number)


def _wav_header(tag: int, width: int, channels: int, rate: int, size: int) -> bytes:
    """RIFF, `fmt ` and the head of `data`; more than four GB are written as four."""
    block = width * channels
    size = min(size, 0xFFFF_FFFF - 36)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + size, b"WAVE"),
        *(b"fmt ", 16, tag, channels, rate, rate * block, block, 8 * width),
        *(b"data", size),
    )


def _format_shape(array: NDArray[np.generic]) -> str:
    return "[" + ", ".join(map(str, array.shape)) + "]"
