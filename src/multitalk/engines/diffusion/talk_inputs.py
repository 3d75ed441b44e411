"""Inputs of one talk: the pipeline takes them, and processes that share the talk exchange them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.boxes import Box
from multitalk.engines.base import Footage
from multitalk.engines.diffusion.resolution_buckets import DEFAULT_RESOLUTION, Resolution
from multitalk.engines.diffusion.sampler import SampleOptions
from multitalk.timebase import SAMPLES_PER_FRAME


class FinishedLatents(Protocol):
    """Latents of an earlier talk's first windows, which may be read lazily."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Array:
        """Of a window, float32 [16, t, h, w]."""
        ...


@dataclass(frozen=True)
class TalkInputs:
    """Everything that a talk's frames depend on, beside the weights. Picklable.

    Attributes:
        picture: RGB uint8 [H, W, 3] of any size; with footage, its frame 0.
        prompt: What the video shows.
        voices: One per speaker, float32 [S] at 16 kHz.
        num_frames: T, at least 1.
        negative_prompt: What the video does not show; read where the text guidance scale is not 1.
        boxes: Where each speaker is, in pixels of the picture; None for strips, left to right.
        footage: The moving source that each window is shown at its start; only InfiniteTalk.
        finished: Latents of windows that the talk begins with: those of an earlier one of the same
            picture, voices and lengths, and fewer than it has. They are only decoded.
        resolution: Picks the sizes to choose from.
        sampling: Steps, guidance and colours.
        seed: Of the noise; the same one gives the same video, whatever the device.
    """

    picture: NDArray[np.uint8]
    prompt: str
    voices: Sequence[Array]
    num_frames: int
    negative_prompt: str = ""
    boxes: Sequence[Box] | None = None
    footage: Footage | None = None
    finished: FinishedLatents = ()
    resolution: Resolution = DEFAULT_RESOLUTION
    sampling: SampleOptions = field(default_factory=SampleOptions)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what can be checked without the weights.

        Raises:
            ValueError: No voice, an empty one, no frame, no step, or not a box for each voice.
        """
        _check_voices(self.voices)
        if self.boxes is not None and len(self.boxes) != len(self.voices):
            raise ValueError(f"{len(self.boxes)} boxes for {len(self.voices)} voices")
        if self.num_frames < 1 or self.sampling.num_inference_steps < 1:
            raise ValueError("num_frames and num_inference_steps begin at 1")


def frames_of_longest(voices: Sequence[Array]) -> int:
    """Frames of the longest voice, the last one begun.

    Raises:
        ValueError: No voice, or an empty one.
    """
    _check_voices(voices)
    return max(-(-len(voice) // SAMPLES_PER_FRAME) for voice in voices)


def _check_voices(voices: Sequence[Array]) -> None:
    if not voices or any(voice.ndim != 1 or not len(voice) for voice in voices):
        raise ValueError("voices: at least one, each with samples [S], S > 0")
