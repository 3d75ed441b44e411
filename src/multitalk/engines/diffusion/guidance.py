"""Classifier-free guidance by the prompt and by the voices.

The network runs for several branches of a step, with and without its conditions, and differences of
the predictions are amplified. The scales decide which branches are needed: with both at one, a
single one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

# The conditions: the prompt (or else the negative prompt), the voices (or else null).
Branch = Literal["full", "voice", "prompt", "nothing"]

PROMPTED: frozenset[Branch] = frozenset({"full", "prompt"})  # the others get the negative prompt


@dataclass(frozen=True)
class AdaptiveProjection:
    """Adaptive projected guidance: large scales without burnt colours.

    S. Sadat, O. Hilliges, R. Weber, "Eliminating Oversaturation and Artifacts of High Guidance
    Scales in Diffusion Models", 2024, algorithm 1. The part parallel to the prediction is
    dropped (eta = 0).

    Attributes:
        norm_threshold: Longest difference, over the whole latent; 0 for no limit.
        momentum: Share of the differences of earlier steps; negative holds back.
    """

    norm_threshold: float = 55.0
    momentum: float = -0.75


@dataclass(frozen=True)
class Guidance:
    """Strength of the prompt and of the voices.

    Attributes:
        text_scale: 1 for no guidance.
        audio_scale: 1 for no guidance.
        projection: Project the differences, or None to add them as they are.
    """

    text_scale: float = 5.0
    audio_scale: float = 4.0
    projection: AdaptiveProjection | None = None

    @property
    def follows_text(self) -> bool:
        """True if there is guidance by the prompt."""
        return not math.isclose(self.text_scale, 1.0)

    @property
    def follows_audio(self) -> bool:
        """True if there is guidance by the voices."""
        return not math.isclose(self.audio_scale, 1.0)

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The branches of each step, in order."""
        if self.follows_text:
            return ("full", "voice", "nothing") if self.follows_audio else ("full", "voice")
        return ("full", "prompt") if self.follows_audio else ("full",)

    @property
    def uses_negative_prompt(self) -> bool:
        """True if a branch has the negative prompt."""
        return not set(self.branches) <= PROMPTED


class Guider:
    """Guidance of the steps of one window; the projection has momentum."""

    def __init__(self, guidance: Guidance) -> None:
        self._guidance = guidance
        self._text: Tensor | float = 0.0  # running differences, not yet shortened
        self._audio: Tensor | float = 0.0

    def __call__(self, predictions: Mapping[Branch, Tensor]) -> Tensor:
        """One velocity from the predictions of `guidance.branches`, all of one shape."""
        guidance, full = self._guidance, predictions["full"]
        if not guidance.follows_text and not guidance.follows_audio:
            return full
        projection, guided = guidance.projection, full
        if projection is None:
            return self._plain(predictions)
        if guidance.follows_text:
            self._text = full - predictions["voice"] + projection.momentum * self._text
            guided = guided + (guidance.text_scale - 1) * _projected(projection, self._text, full)
        if guidance.follows_audio:
            difference = _audio_difference(predictions)
            self._audio = difference + projection.momentum * self._audio
            guided = guided + (guidance.audio_scale - 1) * _projected(projection, self._audio, full)
        return guided

    def _plain(self, predictions: Mapping[Branch, Tensor]) -> Tensor:
        text, audio = self._guidance.text_scale, self._guidance.audio_scale
        full = predictions["full"]
        if not self._guidance.follows_text:
            return predictions["prompt"] + audio * _audio_difference(predictions)
        voice = predictions["voice"]
        if not self._guidance.follows_audio:
            return voice + text * (full - voice)
        return (
            predictions["nothing"] + text * (full - voice) + audio * _audio_difference(predictions)
        )


def _projected(projection: AdaptiveProjection, difference: Tensor, full: Tensor) -> Tensor:
    """The difference, clipped to the threshold, without its part parallel to `full`."""
    if projection.norm_threshold > 0:
        length = torch.linalg.vector_norm(difference)
        difference = difference * (projection.norm_threshold / length).clamp(max=1.0)
    exact, along = difference.double(), full.double()
    along = along / torch.linalg.vector_norm(along)
    return (exact - (exact * along).sum() * along).to(difference.dtype)


def _audio_difference(predictions: Mapping[Branch, Tensor]) -> Tensor:
    """Effect of the voices: without the prompt if that branch was computed, else with it."""
    if "nothing" in predictions:
        return predictions["voice"] - predictions["nothing"]
    return predictions["full"] - predictions["prompt"]
