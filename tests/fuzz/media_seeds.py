"""Small whole files of every kind that a caller may send, to be damaged."""

import io
import sys
from pathlib import Path

import av
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "media"))
from made import sine, write_sound, write_video

_SOUNDS = ("wav", "mp3", "m4a", "ogg", "webm", "flac")
_PICTURES = {
    "jpg": {"format": "JPEG"},
    "progressive.jpg": {"format": "JPEG", "progressive": True},
    "png": {"format": "PNG"},
    "16.png": {"format": "PNG"},
    "webp": {"format": "WEBP"},
    "lossless.webp": {"format": "WEBP", "lossless": True},
    "avif": {"format": "AVIF", "speed": 10},
    "gif": {"format": "GIF"},
    "tiff": {"format": "TIFF", "compression": "tiff_lzw"},
    "bmp": {"format": "BMP"},
}


def sounds(directory: Path) -> dict[str, bytes]:
    """Files with 0.3 s of sound, by their endings; written to `directory` on the way."""
    made = {}
    for ending in _SOUNDS:
        path = directory / f"sound.{ending}"
        made[ending] = write_sound(path, sine(0.3, 48_000, channels=2), 48_000).read_bytes()
    made["mp4"] = films(directory)["mp4"]  # without sound
    # AMR has no encoder here. 20 frames of its lowest rate: a byte of 4 + 12 of sound.
    made["amr"] = b"#!AMR\n" + (b"\x04" + bytes(range(12))) * 20
    return made


def films(directory: Path) -> dict[str, bytes]:
    """Videos of six pictures, by their endings."""
    frames = [np.full((64, 96, 3), shade, np.uint8) for shade in range(0, 240, 40)]
    made = {}
    for ending, codec in (("mp4", "libx264"), ("mov", "mjpeg"), ("webm", "libvpx-vp9")):
        if codec in av.codecs_available:
            path = write_video(directory / f"film.{ending}", frames, codec=codec)
            made[ending] = path.read_bytes()
    return made


def pictures() -> dict[str, bytes]:
    """Pictures of 64 by 48 pixels, by their endings."""
    noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    deep = Image.fromarray((noise[..., 0].astype(np.uint16)) * 257)
    made = {}
    for ending, options in _PICTURES.items():
        file = io.BytesIO()
        picture = deep if ending.startswith("16") else Image.fromarray(noise)
        picture.save(file, **options)
        made[ending] = file.getvalue()
    return made
