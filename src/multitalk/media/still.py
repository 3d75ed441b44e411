"""A small picture: of a video's beginning, or of a portrait; for lists."""

from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from multitalk.media.video import read_frames

LONGER_SIDE = 320  # pixels: twice what a list shows
JPEG_QUALITY = 82


def write_still(video: Path, still: Path) -> Path:
    """Write the first frame of a video as a small JPEG.

    Raises:
        MediaUndecodable: No video, or damaged.
    """
    with closing(read_frames(video)) as frames:  # type: ignore[type-var]
        return write_small(next(frames), still)


def write_small(picture: NDArray[np.uint8], path: Path) -> Path:
    """Write a picture, RGB [H, W, 3], as a JPEG with sides of `LONGER_SIDE` at most; its path."""
    small = Image.fromarray(picture)
    small.thumbnail((LONGER_SIDE, LONGER_SIDE), Image.Resampling.LANCZOS)
    small.save(path, "JPEG", quality=JPEG_QUALITY)
    return path
