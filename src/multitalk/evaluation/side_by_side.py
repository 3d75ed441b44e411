"""Side-by-side video of two videos, with the sound of the left one."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.media.soundtrack import Soundtrack, SoundtrackVoice
from multitalk.media.video import VideoWriter, probe, read_frames
from multitalk.timebase import FPS


def write_side_by_side(left: Path, right: Path, output: Path) -> None:
    """Write an MP4 at 25 fps, as high as the higher and as long as the shorter video.

    Args:
        left: The left video; its sound is used.
        right: The right video.
        output: Replaced atomically when complete; not one of the two.

    Raises:
        MediaUndecodable: One of them cannot be read, or the left one has no sound.
        DeliveryFailed: The file could not be written.
    """
    both = (left, right)
    facts = [probe(video) for video in both]
    height = _even(max(one.height for one in facts))
    widths = [_even(one.width * height / one.height) for one in facts]
    # Frames are decoded and counted: a truncated file has fewer than its header says.
    num_frames = min(sum(1 for _ in frames_at_25(video)) for video in both)
    sound = Soundtrack([SoundtrackVoice(left)], num_frames=num_frames)
    partial = output.with_name(f".{output.name}")
    with VideoWriter(partial, width=sum(widths), height=height, soundtrack=sound) as writer:
        for pictures in zip(*map(frames_at_25, both), strict=False):
            scaled = [
                _scaled(picture, height=height, width=width)
                for picture, width in zip(pictures, widths, strict=True)
            ]
            writer.append(np.concatenate(scaled, axis=1)[None])
    partial.replace(output)


def frames_at_25(video: Path) -> Iterator[NDArray[np.uint8]]:
    """A video resampled to 25 fps at frame centres: RGB uint8 [H, W, 3]."""
    fps = probe(video).fps
    shown = 0
    for index, frame in enumerate(read_frames(video)):
        while (shown + 0.5) * fps < (index + 1) * FPS:
            shown += 1
            yield frame


def _scaled(picture: NDArray[np.uint8], *, height: int, width: int) -> NDArray[np.uint8]:
    if picture.shape[:2] == (height, width):
        return picture
    method = cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=method), np.uint8)


def _even(size: float) -> int:
    return max(2 * round(size / 2), 2)
