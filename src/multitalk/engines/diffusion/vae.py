"""Wan's VAE as Wan publishes it, in the library's class."""

from pathlib import Path

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

from multitalk.engines.diffusion.tensor_files import fill, open_tensors, require


def load_vae(file: Path, *, device: str | torch.device = "cpu") -> AutoencoderKLWan:
    """Open Wan's VAE, as float32.

    The library's `from_single_file` asks the hub for a config; the sizes are in the tensors.

    Args:
        file: `.pth`.
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
    fill(vae, stored, dtype_of=lambda _: torch.float32, device=device)
    return vae
