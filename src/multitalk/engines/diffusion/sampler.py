"""From noise to frames, window by window: the Euler loop of one segment, and the loop over a talk.

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
from multitalk.engines.diffusion.guidance import Branch, Guidance, Guide
from multitalk.engines.diffusion.segments import (
    FRAMES_PER_LATENT,
    Segment,
    SegmentLengths,
    latent_frames,
    segments,
)

SMALLEST_SIGMA = 0.001  # of the last step's input, before the shift: 1 of 1000 training steps

Shape = tuple[int, ...]
Noise = Callable[[Shape], Tensor]  # standard normal, float32, on the latents' device
SegmentNoise = Callable[[int], Noise]  # by the index of the segment


class Denoiser(Protocol):
    """The network with all conditions of a segment bound."""

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
class Given:
    """Latents that a segment begins with.

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
    """The steps of one segment: evenly from 1 to `SMALLEST_SIGMA`, shifted, then to 0.

    The sigmas are passed on purpose: given only their number, the library shifts the last twice.
    """
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, SMALLEST_SIGMA, num_inference_steps))
    return scheduler


def seeded_noise(seed: int, device: torch.device | str = "cpu") -> SegmentNoise:
    """Noise that is the same on every device, drawn on the CPU, for each segment by itself.

    A segment's does not depend on how the earlier ones were made, so that a talk that begins with
    an earlier one's segments goes on as that one did.
    """

    def noise_of(index: int) -> Noise:
        own = seed
        if index:
            digest = hashlib.blake2b(f"{seed} {index}".encode(), digest_size=8).digest()
            own = int.from_bytes(digest, "big")
        generator = torch.Generator().manual_seed(own)
        return lambda shape: torch.randn(shape, generator=generator).to(device)

    return noise_of


def sample_segment(
    denoise: Denoiser,
    *,
    shape: Shape,
    given: Given | None,
    guidance: Guidance,
    num_inference_steps: int,
    shift: float,
    noise: Noise,
    on_step: Callable[[int], None] = lambda _: None,
) -> Tensor:
    """Denoise one segment.

    Args:
        denoise: The network, bound to the segment.
        shape: Of the latents, (16, t, h, w).
        given: What the segment begins with, or None if nothing is held.
        guidance: Branches, and how they are combined.
        num_inference_steps: At least 1.
        shift: Of the schedule; larger spends more steps on coarse structure.
        noise: Drawn for the whole segment, then for the given latents of each step.
        on_step: Called before each step with its index.

    Returns:
        Clean latents, float32 [16, t, h, w].
    """
    scheduler, guide = schedule(num_inference_steps, shift=shift), Guide(guidance)
    sigmas = scheduler.sigmas.tolist()
    latents = noise(shape)
    if given is not None:
        latents = given.impose(latents, sigmas[0], noise)
    steps = zip(scheduler.timesteps, sigmas[1:], strict=True)
    for index, (timestep, sigma_after) in enumerate(steps):
        on_step(index)
        velocities = denoise(latents, timestep, guidance.branches)
        predictions = {branch: velocity.float() for branch, velocity in velocities.items()}
        latents = scheduler.step(guide(predictions), timestep, latents).prev_sample
        if given is not None:
            latents = given.impose(latents, sigma_after, noise)
    return latents


@dataclass(frozen=True)
class ImageConditioning:
    """What the network is shown of a segment's pixels.

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
    """Conditioning of a segment of so many frames.

    Args:
        frames: That it begins with, RGB in [-1, 1], [3, n, H, W].
        codec: Between pixels and latents.
        num_frames: Of the segment, 4 n + 1.
    """
    num_given = frames.shape[1]
    zeros = frames.new_zeros((frames.shape[0], num_frames - num_given, *frames.shape[2:]))
    latents = codec.encode(torch.cat([frames, zeros], dim=1))
    # Latent frame 0 is one video frame, every other is four; a flag for each in its channel.
    frame = torch.arange(1 - FRAMES_PER_LATENT, num_frames, device=latents.device)
    flags = (frame < num_given).unflatten(0, (-1, FRAMES_PER_LATENT)).T  # [4, t]
    mask = flags[:, :, None, None].expand(-1, -1, *latents.shape[2:]).to(latents.dtype)
    return ImageConditioning(torch.cat([mask, latents]), frames[:, -1])


Source = Callable[[int], Tensor]  # RGB in [-1, 1], [3, H, W], at a frame of the talk


class Continuation(Protocol):
    """How a segment begins: what it is shown, and which latents it holds."""

    def __call__(
        self,
        segment: Segment,
        previous: Tensor | None,
        *,
        source: Source,
        codec: LatentCodec,
        last: ImageConditioning | None = None,
    ) -> tuple[ImageConditioning, Given | None]:
        """Begin a segment.

        Args:
            segment: Where it is in the talk.
            previous: The last frames of the one before, [3, n, H, W]; None at first.
            source: What can be shown.
            codec: Between pixels and latents.
            last: What the segment before was shown; None at first.
        """
        ...


def continue_multitalk(
    segment: Segment,
    previous: Tensor | None,
    *,
    source: Source,
    codec: LatentCodec,
    last: ImageConditioning | None = None,  # noqa: ARG001 - its frames are never shown again
) -> tuple[ImageConditioning, Given | None]:
    """The picture begins the talk; later segments are shown, and hold, the last frames."""
    if previous is None:
        return condition_on(source(0)[:, None], codec, segment.num_frames), None
    conditioning = condition_on(previous, codec, segment.num_frames)
    motion = conditioning.given_latents[:, : latent_frames(previous.shape[1])]
    return conditioning, Given(motion, "renoised")


def continue_infinitetalk(
    segment: Segment,
    previous: Tensor | None,
    *,
    source: Source,
    codec: LatentCodec,
    last: ImageConditioning | None = None,
) -> tuple[ImageConditioning, Given | None]:
    """Every segment is shown the source at its start, and holds the last frames as they are.

    A picture that stays is encoded once; a shorter segment takes the beginning of its latents,
    since those of a frame do not depend on later frames.
    """
    picture, length = source(segment.start), latent_frames(segment.num_frames)
    held = codec.encode(picture[:, None] if previous is None else previous)
    if last is None or last.latents.shape[1] < length or not torch.equal(last.picture, picture):
        last = condition_on(picture[:, None], codec, segment.num_frames)
    return replace(last, latents=last.latents[:, :length]), Given(held, "pinned")


Finished = Callable[[Segment], Tensor | None]  # latents [16, t, h, w] that are there already


class SegmentModel(Protocol):
    """The network with a talk's prompts and voices."""

    def bind(self, segment: Segment, conditioning: ImageConditioning) -> Denoiser:
        """Prepare what all steps of a segment share."""
        ...


@dataclass(frozen=True)
class SampleOptions:
    """How a talk is sampled.

    Attributes:
        guidance: Strength of the prompt and of the voices.
        num_inference_steps: Of each segment, at least 1.
        shift: Of the schedule; larger spends more steps on coarse structure.
        color_correction: Blend of each segment's colours with the source's, 0..1.
    """

    guidance: Guidance = field(default_factory=lambda: Guidance(1.0, 2.0))
    num_inference_steps: int = 8
    shift: float = 3.0
    color_correction: float = 0.0


# Called before each piece of a segment's work: conditioning and first step are piece 0, decoding is
# piece `num_inference_steps`.
OnStep = Callable[[Segment, int], None]


@dataclass(frozen=True)
class SampledSegment:
    """One window of the talk, finished.

    Attributes:
        segment: Where it is in the talk.
        latents: [16, t, h, w], as they were decoded.
        frames: The new frames, RGB in [-1, 1], [3, len(segment.new), H, W].
    """

    segment: Segment
    latents: Tensor
    frames: Tensor


def sample_talk(
    model: SegmentModel,
    codec: LatentCodec,
    source: Source,
    *,
    num_frames: int,
    lengths: SegmentLengths,
    options: SampleOptions,
    noise: SegmentNoise,
    continuation: Continuation = continue_multitalk,
    finished: Finished = lambda _: None,
    on_step: OnStep = lambda *_: None,
) -> Iterator[SampledSegment]:
    """Sample a talk window by window; no more than one window is held.

    Args:
        model: Bound to each segment in turn.
        codec: Between pixels and latents.
        source: A portrait, the same at every frame, or a video.
        num_frames: Of the talk, at least 1.
        lengths: Of the windows.
        options: How it is sampled.
        noise: Of each segment.
        continuation: How segments follow one another: the model's kind.
        finished: Latents of segments that are only decoded; None for those that are sampled.
        on_step: Progress callback.
    """
    previous = conditioning = None
    for segment in segments(num_frames, lengths):
        latents = finished(segment)
        if latents is None:
            on_step(segment, 0)
            conditioning, given = continuation(
                segment, previous, source=source, codec=codec, last=conditioning
            )
            on_step(segment, 0)
            latents = sample_segment(
                model.bind(segment, conditioning),
                shape=tuple(conditioning.given_latents.shape),
                given=given,
                guidance=options.guidance,
                num_inference_steps=options.num_inference_steps,
                shift=options.shift,
                noise=noise(segment.index),
                on_step=partial(on_step, segment),
            )
        on_step(segment, options.num_inference_steps)
        frames = match_colours(codec.decode(latents), source(0), strength=options.color_correction)
        yield SampledSegment(segment, latents, frames[:, segment.new_in_window])
        previous = frames[:, -lengths.conditioning_frames :].clone()  # lets the window go
