"""From noise to frames, window by window: the Euler loop of one window, and the loop over a talk.

The sampler knows neither prompts nor voices nor weights: a `Denoiser` predicts velocities and a
`LatentCodec` decodes pixels, so that the same loop runs the real model and a stand-in.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, Protocol

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from multitalk.engines.diffusion.colour import match_colours
from multitalk.engines.diffusion.guidance import Branch, Guidance, Guider
from multitalk.engines.diffusion.windows import (
    FRAMES_PER_LATENT,
    Window,
    WindowLengths,
    latent_frames,
    talk_windows,
)

SMALLEST_SIGMA = 0.001  # of the last step's input, before the shift: 1 of 1000 training steps

Shape = tuple[int, ...]
Noise = Callable[[Shape], Tensor]  # standard normal, float32, on the latents' device
WindowNoise = Callable[[int], Noise]  # by the index of the window


class Denoiser(Protocol):
    """The network with all conditions of a window bound."""

    def __call__(
        self, latents: Tensor, timestep: Tensor, branches: Sequence[Branch]
    ) -> Mapping[Branch, Tensor]:
        """Velocities of the latents [16, t, h, w] at a timestep in (0, 1000], for each branch."""
        ...


class LatentCodec(Protocol):
    """Pixels to latents and back; t = 1 + (T - 1) / 4, h = H / 8, w = W / 8."""

    def encode(self, frames: Tensor) -> Tensor:
        """RGB in [-1, 1], [3, T, H, W], to normalised latents [16, t, h, w]."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents [16, t, h, w] to RGB in [-1, 1], [3, T, H, W]."""
        ...


@dataclass(frozen=True)
class HeldLatents:
    """Latents that a window begins with.

    Attributes:
        latents: [16, n, h, w], the first n latent frames.
        held: "renoised": noised to the level of each step, so that they and the rest are denoised
            together (MultiTalk). "pinned": clean at every step (InfiniteTalk).
    """

    latents: Tensor
    held: Literal["renoised", "pinned"]

    def impose(self, latents: Tensor, sigma: float, noise: Noise) -> Tensor:
        """The latents [16, t, h, w] with the given ones, as noisy as `sigma`, at their start."""
        given = self.latents
        if self.held == "renoised" and sigma > 0:
            given = (1 - sigma) * given + sigma * noise(tuple(given.shape))
        return torch.cat([given, latents[:, given.shape[1] :]], dim=1)


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
    shape: Shape,
    given: HeldLatents | None,
    guidance: Guidance,
    num_inference_steps: int,
    shift: float,
    noise: Noise,
    on_step: Callable[[int], None] = lambda _: None,
) -> Tensor:
    """Denoise one window.

    Args:
        denoise: The network, bound to the window.
        shape: Of the latents, (16, t, h, w).
        given: What the window begins with, or None if nothing is held.
        guidance: Branches, and how they are combined.
        num_inference_steps: At least 1.
        shift: Of the schedule; larger spends more steps on coarse structure.
        noise: Drawn for the whole window, then for the given latents of each step.
        on_step: Called before each step with its index.

    Returns:
        Clean latents, float32 [16, t, h, w].
    """
    scheduler, guider = schedule(num_inference_steps, shift=shift), Guider(guidance)
    sigmas = scheduler.sigmas.tolist()
    latents = noise(shape)
    if given is not None:
        latents = given.impose(latents, sigmas[0], noise)
    steps = zip(scheduler.timesteps, sigmas[1:], strict=True)
    for index, (timestep, sigma_after) in enumerate(steps):
        on_step(index)
        velocities = denoise(latents, timestep, guidance.branches)
        predictions = {branch: velocity.float() for branch, velocity in velocities.items()}
        latents = scheduler.step(guider(predictions), timestep, latents).prev_sample
        if given is not None:
            latents = given.impose(latents, sigma_after, noise)
    return latents


@dataclass(frozen=True)
class ImageConditioning:
    """What the network is shown of a window's pixels.

    Attributes:
        latents: [4 + 16, t, h, w]: mask channels, 1 where a frame is given, then the latents of the
            given frames followed by frames of zeros.
        picture: RGB in [-1, 1], [3, H, W]: the frame that the image encoder sees.
    """

    latents: Tensor
    picture: Tensor

    @property
    def given_latents(self) -> Tensor:
        """Latents without the mask, [16, t, h, w]."""
        return self.latents[FRAMES_PER_LATENT:]


def condition_on(frames: Tensor, codec: LatentCodec, num_frames: int) -> ImageConditioning:
    """Conditioning of a window of so many frames.

    Args:
        frames: That it begins with, RGB in [-1, 1], [3, n, H, W].
        codec: Between pixels and latents.
        num_frames: Of the window, 4 n + 1.
    """
    num_given = frames.shape[1]
    zeros = frames.new_zeros((frames.shape[0], num_frames - num_given, *frames.shape[2:]))
    latents = codec.encode(torch.cat([frames, zeros], dim=1))
    # Latent frame 0 is one video frame, every other is four; a flag for each in its channel.
    frame = torch.arange(1 - FRAMES_PER_LATENT, num_frames, device=latents.device)
    flags = (frame < num_given).unflatten(0, (-1, FRAMES_PER_LATENT)).T  # [4, t]
    mask = flags[:, :, None, None].expand(-1, -1, *latents.shape[2:]).to(latents.dtype)
    return ImageConditioning(torch.cat([mask, latents]), frames[:, -1])


FrameSource = Callable[[int], Tensor]  # RGB in [-1, 1], [3, H, W], at a frame of the talk


class Continuation(Protocol):
    """How a window begins: what it is shown, and which latents it holds."""

    def __call__(
        self,
        window: Window,
        previous: Tensor | None,
        *,
        source: FrameSource,
        codec: LatentCodec,
        last: ImageConditioning | None = None,
    ) -> tuple[ImageConditioning, HeldLatents | None]:
        """Begin a window.

        Args:
            window: Where it is in the talk.
            previous: The last frames of the one before, [3, n, H, W]; None at first.
            source: What can be shown.
            codec: Between pixels and latents.
            last: What the window before was shown; None at first.
        """
        ...


def continue_multitalk(
    window: Window,
    previous: Tensor | None,
    *,
    source: FrameSource,
    codec: LatentCodec,
    last: ImageConditioning | None = None,  # noqa: ARG001 - its frames are never shown again
) -> tuple[ImageConditioning, HeldLatents | None]:
    """The picture begins the talk; later windows are shown, and hold, the last frames."""
    if previous is None:
        return condition_on(source(0)[:, None], codec, window.num_frames), None
    conditioning = condition_on(previous, codec, window.num_frames)
    motion = conditioning.given_latents[:, : latent_frames(previous.shape[1])]
    return conditioning, HeldLatents(motion, "renoised")


def continue_infinitetalk(
    window: Window,
    previous: Tensor | None,
    *,
    source: FrameSource,
    codec: LatentCodec,
    last: ImageConditioning | None = None,
) -> tuple[ImageConditioning, HeldLatents | None]:
    """Every window is shown the source at its start, and holds the last frames as they are.

    A picture that stays is encoded once; a shorter window takes the beginning of its latents,
    since those of a frame do not depend on later frames.
    """
    picture, length = source(window.start), latent_frames(window.num_frames)
    held = codec.encode(picture[:, None] if previous is None else previous)
    if last is None or last.latents.shape[1] < length or not torch.equal(last.picture, picture):
        last = condition_on(picture[:, None], codec, window.num_frames)
    return replace(last, latents=last.latents[:, :length]), HeldLatents(held, "pinned")


Finished = Callable[[Window], Tensor | None]  # latents [16, t, h, w] that are there already


class WindowModel(Protocol):
    """The network with a talk's prompts and voices."""

    def bind(self, window: Window, conditioning: ImageConditioning) -> Denoiser:
        """Prepare what all steps of a window share."""
        ...


@dataclass(frozen=True)
class SampleOptions:
    """How a talk is sampled.

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


# Called before each piece of a window's work: conditioning and first step are piece 0, decoding is
# piece `num_inference_steps`.
OnStep = Callable[[Window, int], None]


@dataclass(frozen=True)
class SampledWindow:
    """One window of the talk, finished.

    Attributes:
        window: Where it is in the talk.
        latents: [16, t, h, w], as they were decoded.
        frames: The new frames, RGB in [-1, 1], [3, len(window.new), H, W].
    """

    window: Window
    latents: Tensor
    frames: Tensor


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
    finished: Finished = lambda _: None,
    on_step: OnStep = lambda *_: None,
) -> Iterator[SampledWindow]:
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
        on_step: Progress callback.
    """
    previous = conditioning = None
    for window in talk_windows(num_frames, lengths):
        latents = finished(window)
        if latents is None:
            on_step(window, 0)
            conditioning, given = continuation(
                window, previous, source=source, codec=codec, last=conditioning
            )
            on_step(window, 0)
            latents = sample_window(
                model.bind(window, conditioning),
                shape=tuple(conditioning.given_latents.shape),
                given=given,
                guidance=options.guidance,
                num_inference_steps=options.num_inference_steps,
                shift=options.shift,
                noise=noise(window.index),
                on_step=partial(on_step, window),
            )
        on_step(window, options.num_inference_steps)
        frames = match_colours(codec.decode(latents), source(0), strength=options.color_correction)
        yield SampledWindow(window, latents, frames[:, window.new_in_window])
        previous = frames[:, -lengths.conditioning_frames :].clone()  # lets the window go
