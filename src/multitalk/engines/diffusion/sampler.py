"""From noise to frames, window by window: the Euler loop of one window, and the loop over a talk.

The sampler knows neither prompts nor voices nor weights: a `Denoiser` predicts velocities and a
`LatentCodec` decodes pixels, so that the same loop runs the real model and a stand-in.

Steps are numbered from 0 in each window. Step i takes the latents from sigma i to sigma i + 1; the
last of `num_inference_steps` ends at sigma 0. Then the window is decoded, which is no step. A step
whose blocks the step cache skips has its number like any other.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from multitalk.engines.diffusion.colour import match_colours
from multitalk.engines.diffusion.continuation import (
    Continuation,
    FrameSource,
    HeldLatents,
    ImageConditioning,
    LatentCodec,
    Noise,
    continue_multitalk,
)
from multitalk.engines.diffusion.guidance import Branch, Guidance, Guider
from multitalk.engines.diffusion.windows import Window, WindowLengths, talk_windows

SMALLEST_SIGMA = 0.001  # of the last step's input, before the shift: 1 of 1000 training steps

WindowNoise = Callable[[int], Noise]  # by the index of the window

# Called before each slow part of a window, with the number of its steps that are done.
StepReport = Callable[[Window, int], None]


class Denoiser(Protocol):
    """The network with all conditions of a window bound."""

    def __call__(
        self, latents: Tensor, timestep: Tensor, branches: Sequence[Branch]
    ) -> Mapping[Branch, Tensor]:
        """Velocities of the latents [16, t, h, w] at a timestep in (0, 1000], for each branch."""
        ...


def schedule(num_inference_steps: int, *, shift: float) -> FlowMatchEulerDiscreteScheduler:
    """The steps of one window: evenly from 1 to `SMALLEST_SIGMA`, shifted, then to 0.

    The sigmas are passed on purpose: given only their number, the library shifts the last twice.
    """
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, SMALLEST_SIGMA, num_inference_steps))
    return scheduler


def seeded_noise(seed: int, device: torch.device | str = "cpu") -> WindowNoise:
    """Noise that is the same on every device, drawn on the CPU, for each window by itself.

    A window's does not depend on how the earlier ones were made, so that a talk that begins with
    an earlier one's windows goes on as that one did.
    """

    def noise_of(index: int) -> Noise:
        own = seed
        if index:
            digest = hashlib.blake2b(f"{seed} {index}".encode(), digest_size=8).digest()
            own = int.from_bytes(digest, "big")
        generator = torch.Generator().manual_seed(own)
        return lambda shape: torch.randn(shape, generator=generator).to(device)

    return noise_of


def sample_window(
    denoise: Denoiser,
    *,
    shape: tuple[int, ...],
    held: HeldLatents | None,
    guidance: Guidance,
    num_inference_steps: int,
    shift: float,
    noise: Noise,
    report: Callable[[int], None] = lambda _: None,
) -> Tensor:
    """Denoise one window.

    Args:
        denoise: The network, bound to the window.
        shape: Of the latents, (16, t, h, w).
        held: What the window begins with, or None if nothing is held.
        guidance: Branches, and how they are combined.
        num_inference_steps: At least 1.
        shift: Of the schedule; larger spends more steps on coarse structure.
        noise: Drawn for the whole window, then for the held latents of each step.
        report: Called before each step with the number of steps that are done.

    Returns:
        Clean latents, float32 [16, t, h, w].
    """
    scheduler, guider = schedule(num_inference_steps, shift=shift), Guider(guidance)
    sigmas = scheduler.sigmas.tolist()
    latents = noise(shape)
    if held is not None:
        latents = held.impose(latents, sigmas[0], noise)
    for step, timestep in enumerate(scheduler.timesteps):
        report(step)
        velocities = denoise(latents, timestep, guidance.branches)
        predictions = {branch: velocity.float() for branch, velocity in velocities.items()}
        latents = scheduler.step(guider(predictions), timestep, latents).prev_sample
        if held is not None:
            latents = held.impose(latents, sigmas[step + 1], noise)
    return latents


class WindowModel(Protocol):
    """The network with a talk's prompts and voices."""

    def bind(self, window: Window, conditioning: ImageConditioning) -> Denoiser:
        """Prepare what all steps of a window share."""
        ...


@dataclass(frozen=True)
class SampleOptions:
    """Options of sampling a talk.

    Attributes:
        guidance: Strength of the prompt and of the voices.
        num_inference_steps: Of each window, at least 1.
        shift: Of the schedule; larger spends more steps on coarse structure.
        color_correction: Blend of each window's colours with the source's, 0..1.
    """

    guidance: Guidance = field(default_factory=lambda: Guidance(1.0, 2.0))
    num_inference_steps: int = 8
    shift: float = 3.0
    color_correction: float = 0.0


def sample_talk(
    model: WindowModel,
    codec: LatentCodec,
    source: FrameSource,
    *,
    num_frames: int,
    lengths: WindowLengths,
    options: SampleOptions,
    noise: WindowNoise,
    continuation: Continuation = continue_multitalk,
    finished: Callable[[Window], Tensor | None] = lambda _: None,
    report: StepReport = lambda *_: None,
) -> Iterator[tuple[Window, Tensor, Tensor]]:
    """Sample a talk window by window; no more than one window is held.

    Args:
        model: Bound to each window in turn.
        codec: Between pixels and latents.
        source: A portrait, the same at every frame, or a video.
        num_frames: Of the talk, at least 1.
        lengths: Of the windows.
        options: How it is sampled.
        noise: Of each window.
        continuation: How windows follow one another: the model's kind.
        finished: Latents of windows that are only decoded; None for those that are sampled.
        report: Progress callback.

    Yields:
        Each window; its latents [16, t, h, w] as they were decoded; and its new frames, RGB in
        [-1, 1], [3, len(window.new), H, W].
    """
    previous = conditioning = None
    for window in talk_windows(num_frames, lengths):
        latents = finished(window)
        if latents is None:
            report(window, 0)
            conditioning, held = continuation(
                window, previous, source=source, codec=codec, shown_before=conditioning
            )
            report(window, 0)
            latents = sample_window(
                model.bind(window, conditioning),
                shape=tuple(conditioning.given_latents.shape),
                held=held,
                guidance=options.guidance,
                num_inference_steps=options.num_inference_steps,
                shift=options.shift,
                noise=noise(window.index),
                report=partial(report, window),
            )
        report(window, options.num_inference_steps)
        frames = match_colours(codec.decode(latents), source(0), strength=options.color_correction)
        yield window, latents, frames[:, window.new_in_window]
        previous = frames[:, -lengths.conditioning_frames :].clone()
        del latents, frames  # memory that the next window's steps can have
