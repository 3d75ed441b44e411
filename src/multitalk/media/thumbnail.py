"""Small JPEGs for lists: of a portrait, or of a video's first frame."""

from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from multitalk.media.video import read_frames

THUMBNAIL_SIDE = 320  # pixels: twice the size in a list
JPEG_QUALITY = 82


def write_video_thumbnail(video: Path, still: Path) -> Path:
    """Write the first frame of a video as a small JPEG.

    Raises:
        MediaUndecodable: No video, or damaged.
    """
    with closing(read_frames(video)) as frames:  # type: ignore[type-var]
        return write_thumbnail(next(frames), still)


def write_thumbnail(picture: NDArray[np.uint8], path: Path) -> Path:
    """Write a picture, RGB [H, W, 3], as a JPEG; sides are `THUMBNAIL_SIDE` at most."""
    small = Image.fromarray(picture)
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    small.save(path, "JPEG", quality=JPEG_QUALITY)
    return path
