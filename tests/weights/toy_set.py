"""The files of a toy set, and a LoRA beside it."""

import hashlib

import numpy as np

NETWORK, TEXT, VAE = (
    "Org/Talk/quant/network.safetensors",
    "Org/Talk/t5.safetensors",
    "Wan/Base/vae.pth",
)
CONFIG, LORA = "Wan/Base/config.json", "Some/Lora/lora.safetensors"
SIZES = {NETWORK: 600_000, TEXT: 250_000, VAE: 90_000, CONFIG: 200, LORA: 40_000}


def content_of(file: str, *, seed: int = 0) -> bytes:
    """Bytes that are the same each time."""
    key = int.from_bytes(hashlib.sha256(file.encode()).digest()[:4], "big")
    return np.random.default_rng([key, seed]).bytes(SIZES[file])
