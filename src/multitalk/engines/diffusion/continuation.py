"""Continuation of a talk from window to window: pixels that a window is shown, latents it holds.

MultiTalk and InfiniteTalk share the network and differ in this alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor

from multitalk.engines.diffusion.windows import FRAMES_PER_LATENT, Window, latent_frames

Noise = Callable[[tuple[int, ...]], Tensor]  # of a shape: normal, float32, on the latents' device


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
        mode: "renoised": noised to the level of each step, so that they and the rest are denoised
            together (MultiTalk). "pinned": clean at every step (InfiniteTalk).
    """

    latents: Tensor
    mode: Literal["renoised", "pinned"]

    def impose(self, latents: Tensor, sigma: float, noise: Noise) -> Tensor:
        """The latents [16, t, h, w] with the held ones, as noisy as `sigma`, at their start."""
        held = self.latents
        if self.mode == "renoised" and sigma > 0:
            held = (1 - sigma) * held + sigma * noise(tuple(held.shape))
        return torch.cat([held, latents[:, held.shape[1] :]], dim=1)


@dataclass(frozen=True)
class ImageConditioning:
    """The pixels of a window that the network is shown.

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
    """The start of a window: the pixels that it is shown, and the latents that it holds."""

    def __call__(
        self,
        window: Window,
        previous: Tensor | None,
        *,
        source: FrameSource,
        codec: LatentCodec,
        shown_before: ImageConditioning | None = None,
    ) -> tuple[ImageConditioning, HeldLatents | None]:
        """Begin a window.

        Args:
            window: Where it is in the talk.
            previous: The last frames of the one before, [3, n, H, W]; None at first.
            source: What can be shown.
            codec: Between pixels and latents.
            shown_before: What the window before was shown; None at first.
        """
        ...


def continue_multitalk(
    window: Window,
    previous: Tensor | None,
    *,
    source: FrameSource,
    codec: LatentCodec,
    shown_before: ImageConditioning | None = None,  # noqa: ARG001 - its frames are never shown again
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
    shown_before: ImageConditioning | None = None,
) -> tuple[ImageConditioning, HeldLatents | None]:
    """Every window is shown the source at its start, and holds the last frames as they are.

    A picture that stays is encoded once; a shorter window takes the beginning of its latents,
    since those of a frame do not depend on later frames.
    """
    picture, length = source(window.start), latent_frames(window.num_frames)
    held = codec.encode(picture[:, None] if previous is None else previous)
    shown = shown_before
    if shown is None or shown.latents.shape[1] < length or not torch.equal(shown.picture, picture):
        shown = condition_on(picture[:, None], codec, window.num_frames)
    return replace(shown, latents=shown.latents[:, :length]), HeldLatents(held, "pinned")
