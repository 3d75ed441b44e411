"""CLIP ViT-H/14 as Wan publishes it, in the library's class: the picture's half of a `.pth`."""

import math
import re
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import init_empty_weights
from transformers import CLIPVisionConfig, CLIPVisionModel

from multitalk.engines.diffusion.names import translate
from multitalk.engines.diffusion.tensor_files import StoredTensors, fill, open_tensors, require
from multitalk.engines.diffusion.weight_files import CheckpointMismatch

HEAD_DIM = 80  # of ViT-H/14; no tensor tells it
PREFIX = "visual."
# The half that reads texts, and what compares the halves.
UNUSED = ("textual.", "log_scale", "visual.head")

EMBEDDINGS = {"embeddings.class_embedding": 1, "embeddings.position_embedding.weight": 2}  # dims

_MODEL = {
    "cls_embedding": "embeddings.class_embedding",
    "pos_embedding": "embeddings.position_embedding.weight",
    "patch_embedding": "embeddings.patch_embedding",
    "pre_norm": "pre_layrnorm",
    "post_norm": "post_layernorm",
}
_LAYER = {
    "norm1": "layer_norm1",
    "attn.to_qkv": "self_attn.qkv",
    "attn.proj": "self_attn.out_proj",
    "norm2": "layer_norm2",
    "mlp.0": "mlp.fc1",
    "mlp.2": "mlp.fc2",
}
_IN_A_LAYER = re.compile(r"transformer\.(\d+)\.(.+)")


def load_image_encoder(file: Path, *, device: str | torch.device = "cpu") -> CLIPVisionModel:
    """Open Wan's CLIP, as float32.

    Args:
        file: `.pth`.
        device: Where the weights go.

    Raises:
        CheckpointMismatch: A file that does not hold the network.
    """
    stored = open_tensors([file], _parameter_name)
    config = _config(stored)
    _bring_into_form(stored)
    with init_empty_weights():
        model = CLIPVisionModel(config)
    fill(model, stored, dtype_of=lambda _: torch.float32, device=device)
    return model


def _parameter_name(key: str) -> str | None:
    if key.startswith(UNUSED):
        return None
    name = key.removeprefix(PREFIX)
    inside = _IN_A_LAYER.fullmatch(name)
    if inside:
        return f"encoder.layers.{inside[1]}.{translate(inside[2], _LAYER)}"
    return translate(name, _MODEL)


def _config(stored: StoredTensors) -> CLIPVisionConfig:
    """The sizes, from the shapes of the tensors."""
    sizing = {
        "patch": "embeddings.patch_embedding.weight",
        "position": "embeddings.position_embedding.weight",
        "mlp": "encoder.layers.0.mlp.fc1.weight",
    }
    require(stored, sizing.values())
    shapes = {role: stored[name].shape for role, name in sizing.items()}
    dim, channels, patch_size, _ = shapes["patch"]
    if dim % HEAD_DIM:
        raise CheckpointMismatch([f"width {dim}: not a multiple of {HEAD_DIM}, a head's"])
    patches = shapes["position"][-2] - 1
    return CLIPVisionConfig(
        hidden_size=dim,
        intermediate_size=shapes["mlp"][0],
        num_hidden_layers=1 + max(int(name.split(".")[2]) for name in stored if "layers." in name),
        num_attention_heads=dim // HEAD_DIM,
        num_channels=channels,
        image_size=math.isqrt(patches) * patch_size,
        patch_size=patch_size,
        hidden_act="gelu",
        layer_norm_eps=1e-5,
    )


def _bring_into_form(stored: StoredTensors) -> None:
    """Embeddings without axes of length one; query, key and value apart."""
    for name, dims in EMBEDDINGS.items():
        if name in stored:
            values = stored[name].values
            stored[name] = replace(stored[name], values=values.reshape(values.shape[-dims:]))
    for name in [name for name in stored if ".qkv." in name]:
        joined = stored.pop(name)
        for role, values in zip("qkv", joined.values.chunk(3), strict=True):
            stored[name.replace(".qkv.", f".{role}_proj.")] = replace(joined, values=values)
