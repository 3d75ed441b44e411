"""Wan's VAE as the sampler's codec: whole frames, in tiles, or in strips over processes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from multitalk.engines.diffusion import parallel_vae
from multitalk.engines.diffusion.parallel import SingleProcess, TalkGroup

logger = logging.getLogger(__name__)


def use_channels_last(vae: AutoencoderKLWan) -> None:
    """Store the weights of all convolutions in channels-last order, as GPUs' 16-bit kernels need.

    Activations take the order of a convolution's weight, so that no kernel converts it.
    """
    for parameter in vae.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
        elif parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


class VaeCodec:
    """Wan's VAE with latents of mean 0 and variance 1.

    Decoding takes the most memory of all. Where it does not fit, it is repeated in tiles, which is
    a little slower, and so are later decodings. Processes that share a talk do not fall back to
    tiles, since all must decode alike; they compute a strip each.
    """

    def __init__(
        self,
        vae: AutoencoderKLWan,
        device: torch.device,
        *,
        in_tiles: bool = False,
        group: TalkGroup | None = None,
    ) -> None:
        """Work with a VAE.

        Args:
            vae: On its device.
            device: The same.
            in_tiles: Whether to work in tiles from the start; else in whole frames while that fits.
            group: The processes that share the talk; None for this one alone.
        """
        self._vae = vae
        self._device = device
        self._group = group or SingleProcess()
        self._in_tiles = in_tiles
        self._encodes_in_tiles = in_tiles
        shape = (-1, 1, 1, 1)
        self._mean = torch.tensor(vae.config.latents_mean, device=device).reshape(shape)
        self._deviation = torch.tensor(vae.config.latents_std, device=device).reshape(shape)

    def encode(self, frames: Tensor) -> Tensor:
        """RGB in [-1, 1], [3, T, H, W] -> normalised latents, float32 [16, t, h, w]."""
        pixels = frames[None].to(self._device, self._vae.dtype)
        if not self._encodes_in_tiles and self._has_strips(pixels, parallel_vae.LATENT_PIXELS):
            encoded = parallel_vae.encode(self._vae, pixels, self._group)
        else:
            with self._tiling(self._encodes_in_tiles):
                encoded = self._vae.encode(pixels)
        latents = encoded.latent_dist.mode()[0].float()
        return (latents - self._mean) / self._deviation

    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents [16, t, h, w] -> RGB in [-1, 1], float32 [3, T, H, W]."""
        scaled = latents.to(self._device).float() * self._deviation + self._mean
        scaled = scaled[None].to(self._vae.dtype)
        if not self._in_tiles:
            try:
                return self._decoded(scaled)
            except torch.OutOfMemoryError:
                if self._group.world_size > 1:
                    raise
                logger.warning("out of memory while decoding at once: now in tiles")
            self._in_tiles = True
            self._vae.clear_cache()  # of features, which a decoding that failed leaves
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
        with self._tiling(True):
            return self._decoded(scaled)

    @contextmanager
    def _tiling(self, wanted: bool) -> Iterator[None]:
        was = self._vae.use_tiling
        if wanted:
            self._vae.enable_tiling()
        try:
            yield
        finally:
            self._vae.use_tiling = was

    def _decoded(self, scaled: Tensor) -> Tensor:
        if not self._vae.use_tiling and self._has_strips(scaled, 1):
            decoded = parallel_vae.decode(self._vae, scaled, self._group)
        else:
            decoded = self._vae.decode(scaled, return_dict=False)[0]
        return decoded[0].float().clamp(-1, 1)

    def _has_strips(self, images: Tensor, latent_size: int) -> bool:
        """True if images are computed in strips, at least one latent wide in each process."""
        longer = max(images.shape[-2:])
        return 1 < self._group.world_size <= longer // latent_size
