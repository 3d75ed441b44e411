"""Buckets: the sizes that the model was trained at, and resizing a picture to one of them.

A picture is scaled until it covers the bucket nearest to its shape, then cropped around its centre.
A mask is treated likewise, without interpolation.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Size = tuple[int, int]  # height, width in pixels
Buckets = Mapping[float, Size]  # by height / width, as published: rounded to two decimals
Resolution = Literal["480p", "720p"]
DEFAULT_RESOLUTION: Resolution = "480p"  # the weights' own; 720p is 3.6 times the work of a step

# Published with MultiTalk; InfiniteTalk has the same. Every side is a multiple of 64.
BUCKETS: Mapping[Resolution, Buckets] = MappingProxyType(
    {
        "480p": MappingProxyType(
            {
                0.26: (320, 1216),
                0.38: (384, 1024),
                0.50: (448, 896),
                0.67: (512, 768),
                0.82: (576, 704),
                1.00: (640, 640),
                1.22: (704, 576),
                1.50: (768, 512),
                1.86: (832, 448),
                2.00: (896, 448),
                2.50: (960, 384),
                2.83: (1088, 384),
                3.60: (1152, 320),
                3.80: (1216, 320),
                4.00: (1280, 320),
            }
        ),
        "720p": MappingProxyType(
            {
                0.22: (448, 2048),
                0.29: (512, 1792),
                0.36: (576, 1600),
                0.45: (640, 1408),
                0.55: (704, 1280),
                0.63: (768, 1216),
                0.76: (832, 1088),
                0.88: (896, 1024),
                1.00: (960, 960),
                1.14: (1024, 896),
                1.31: (1088, 832),
                1.50: (1152, 768),
                1.58: (1216, 768),
                1.82: (1280, 704),
                1.91: (1344, 704),
                2.20: (1408, 640),
                2.30: (1472, 640),
                2.67: (1536, 576),
                2.89: (1664, 576),
                3.62: (1856, 512),
                3.75: (1920, 512),
            }
        ),
    }
)


def choose_bucket(height: int, width: int, *, buckets: Buckets) -> Size:
    """The bucket whose shape is nearest to the picture's; of two equally near ones the first."""
    shape = height / width
    return buckets[min(buckets, key=lambda ratio: abs(ratio - shape))]


@dataclass(frozen=True)
class BucketCrop:
    """The scaling and the crop by which a picture fills a bucket.

    Attributes:
        resized: Its size before the crop, not smaller than the bucket.
        top: Rows cropped above.
        left: Columns cropped at the left.
        size: The bucket.
    """

    resized: Size
    top: int
    left: int
    size: Size

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The centre of resized pixels [H', W', ...]: [H, W, ...]."""
        height, width = self.size
        return pixels[self.top : self.top + height, self.left : self.left + width]


def cover(source: Size, bucket: Size) -> BucketCrop:
    """The crop of a picture of size `source` that fills the bucket, around their common centre."""
    scale = max(bucket[0] / source[0], bucket[1] / source[1])
    height, width = math.ceil(scale * source[0]), math.ceil(scale * source[1])
    top, left = round((height - bucket[0]) / 2), round((width - bucket[1]) / 2)  # half to even
    return BucketCrop((height, width), top, left, bucket)


def fit_picture(picture: NDArray[np.uint8], bucket: Size) -> NDArray[np.uint8]:
    """Resize and crop a picture to a bucket: uint8 RGB [h, w, 3] -> [H, W, 3]."""
    crop = cover((picture.shape[0], picture.shape[1]), bucket)
    height, width = crop.resized
    resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
    return crop.apply(np.asarray(resized))


def fit_mask(mask: NDArray[np.uint8], bucket: Size) -> NDArray[np.uint8]:
    """Resize and crop a mask to a bucket by nearest neighbour: uint8 [h, w, ...] -> [H, W, ...].

    The first two axes are rows and columns.
    """
    crop = cover((mask.shape[0], mask.shape[1]), bucket)
    return crop.apply(nearest(mask, crop.resized))


def nearest(mask: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Resize by taking pixels: [h, w, ...] -> [height, width, ...].

    Pixel i comes from floor(i * source / target), computed in float32 as PyTorch does, so that
    masks are the ones the model was trained with to the last pixel.
    """
    rows, columns = (
        np.minimum(
            (
                np.arange(target, dtype=np.float32) * (np.float32(source) / np.float32(target))
            ).astype(np.int64),
            source - 1,
        )
        for source, target in zip(mask.shape[:2], size, strict=True)
    )
    resized: NDArray[np.uint8] = mask[rows[:, None], columns]
    return resized
