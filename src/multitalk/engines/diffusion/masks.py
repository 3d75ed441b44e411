"""Where each speaker is: masks of the picture, then of the latent and of the token grid.

The transformer binds a voice to a person by comparing its tokens with these masks.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from multitalk.boxes import Box
from multitalk.engines.diffusion.buckets import Size, fit_mask, nearest

PIXELS_PER_LATENT = 8  # on each side
PIXELS_PER_TOKEN = 16  # two latent pixels
MARGIN = 0.05  # of a strip, left free on every side when nobody said where the speakers are


class SpeakerOutOfSight(ValueError):
    """A speaker's box has no area, or none that is left after the picture is cut and reduced.

    Attributes:
        speaker: Index of the speaker.
    """

    def __init__(self, speaker: int) -> None:
        self.speaker = speaker
        super().__init__(f"speaker {speaker}: nothing of the box is left in the frame")


def speaker_masks(
    source: Size, bucket: Size, *, num_speakers: int, boxes: Sequence[Box] | None
) -> NDArray[np.uint8]:
    """Masks on the latent grid, the background last.

    Args:
        source: Size of the portrait.
        bucket: Size of the video.
        num_speakers: N.
        boxes: Of each speaker in pixels of the portrait, or None for equal strips, left to right.

    Returns:
        0 or 1, uint8 [N + 1, height / 8, width / 8]. Boxes may overlap; the background is what no
        box covers, which may be nothing.

    Raises:
        SpeakerOutOfSight: A speaker has no token of his own.
    """
    people = strips(source, num_speakers) if boxes is None else rectangles(source, boxes)
    background = 1 - people.max(axis=0, keepdims=True)
    masks = np.concatenate([people, background])  # [N + 1, h, w]
    latent = (bucket[0] // PIXELS_PER_LATENT, bucket[1] // PIXELS_PER_LATENT)
    fitted = np.stack([nearest(fit_mask(mask, bucket), latent) for mask in masks])
    for speaker, mask in enumerate(token_masks(fitted)[:num_speakers]):
        if not mask.any():
            raise SpeakerOutOfSight(speaker)
    return fitted


def token_masks(masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Masks on the token grid: [N, h, w] -> [N, h / 2, w / 2]."""
    latents_per_token = PIXELS_PER_TOKEN // PIXELS_PER_LATENT
    grid = (masks.shape[1] // latents_per_token, masks.shape[2] // latents_per_token)
    return np.stack([nearest(mask, grid) for mask in masks])


def rectangles(size: Size, boxes: Sequence[Box]) -> NDArray[np.uint8]:
    """One mask a box, 1 inside; corners are truncated to whole pixels: uint8 [N, height, width]."""
    masks = np.zeros((len(boxes), *size), np.uint8)
    for mask, box in zip(masks, boxes, strict=True):
        x_min, y_min, x_max, y_max = (max(0, int(corner)) for corner in box)
        mask[y_min:y_max, x_min:x_max] = 1
    return masks


def strips(size: Size, num_speakers: int) -> NDArray[np.uint8]:
    """Equal strips side by side with a margin: uint8 [N, height, width]."""
    height, width = size
    strip = width // num_speakers
    y_min, y_max = height * MARGIN, height * (1 - MARGIN)
    return rectangles(
        size,
        [
            (i * strip + strip * MARGIN, y_min, i * strip + strip * (1 - MARGIN), y_max)
            for i in range(num_speakers)
        ],
    )
