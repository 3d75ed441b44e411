"""Wan's VAE as Wan publishes it, in the library's class."""

from pathlib import Path

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

from multitalk.engines.diffusion.tensor_files import fill, open_tensors, require


def load_vae(
    file: Path, *, torch_dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> AutoencoderKLWan:
    """Open Wan's VAE.

    The library's `from_single_file` asks the hub for a config; the sizes are in the tensors.

    Args:
        file: `.pth`.
        torch_dtype: Of its weights.
        device: Where the weights go.

    Raises:
        CheckpointMismatch: A file that does not hold the network.
    """
    published = open_tensors([file], lambda key: key)
    stored = convert_wan_vae_to_diffusers(published)
    require(stored, ["encoder.conv_in.weight", "decoder.conv_in.weight"])
    with init_empty_weights():
        vae = AutoencoderKLWan(
            base_dim=stored["encoder.conv_in.weight"].shape[0],
            z_dim=stored["decoder.conv_in.weight"].shape[1],
        )
    published.clear()  # it would hold the file
    fill(vae, stored, dtype_of=lambda _: torch_dtype, device=device)
    return vae


def use_channels_last(vae: AutoencoderKLWan) -> None:
    """Keep the channels of a pixel together in all convolutions, as GPUs' 16-bit kernels have them.

    What goes through a convolution takes its weight's order, so that no kernel has to change it.
    """
    for parameter in vae.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
        elif parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
