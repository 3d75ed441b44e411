"""Wan's published UMT5, CLIP and VAE, opened in the classes of transformers and diffusers.

Wan's UMT5 and the library's are the same network (tests/engines/diffusion/test_convert_encoders.py
computes it a third time): a relative position bias in every layer, no scaling of the scores, a GELU
gate in its tanh form. Only the state dict's keys differ. Of CLIP only the vision half is opened.
"""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    PreTrainedModel,  # noqa: F401 - a pipeline's loader looks for it here, to know how to load
    UMT5Config,
    UMT5EncoderModel,
)
from transformers.initialization import no_init_weights

from multitalk.engines.diffusion.quantized import (
    parameter_of,
    storage_options,
    store_weights_as,
)
from multitalk.engines.diffusion.state_dict import (
    StoredTensors,
    fill,
    open_tensors,
    require,
    translate,
)
from multitalk.weights.component_files import CheckpointMismatch

UMT5_KEYS = {"token_embedding": "shared", "norm": "encoder.final_layer_norm"}
UMT5_BLOCK_KEYS = {
    "norm1": "layer.0.layer_norm",
    "attn": "layer.0.SelfAttention",
    "pos_embedding.embedding": "layer.0.SelfAttention.relative_attention_bias",
    "norm2": "layer.1.layer_norm",
    "ffn.gate.0": "layer.1.DenseReluDense.wi_0",
    "ffn.fc1": "layer.1.DenseReluDense.wi_1",
    "ffn.fc2": "layer.1.DenseReluDense.wo",
}
UMT5_TIED = {"encoder.embed_tokens.weight": "shared.weight"}
_UMT5_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")


class QuantizedUMT5EncoderModel(UMT5EncoderModel):
    """UMT5 whose Linear layers store weights in 8 bits; saved and opened by the library.

    Args:
        config: With `weight_storage` and `full_precision_modules`, as `storage_options` has them.
    """

    _keep_in_fp32_modules_strict: ClassVar = ["weight_scale"]

    def __init__(self, config: UMT5Config) -> None:
        super().__init__(config)
        store_weights_as(config.weight_storage, self, full_precision=config.full_precision_modules)


def load_text_encoder(
    file: Path, *, torch_dtype: torch.dtype, device: str | torch.device = "cpu"
) -> UMT5EncoderModel:
    """Open Wan's UMT5.

    Args:
        file: `.pth`, or `.safetensors` in optimum-quanto's layout.
        torch_dtype: Of tensors that are not in 8 bits.
        device: Of the weights.

    Raises:
        CheckpointMismatch: A file that does not hold the network.
    """
    stored = open_tensors([file], _umt5_name)
    options = _umt5_config(stored)
    network = QuantizedUMT5EncoderModel if "weight_storage" in options else UMT5EncoderModel
    with init_empty_weights(), no_init_weights():
        model = network(UMT5Config(**options))

    def dtype_of(name: str) -> torch.dtype:
        return torch.float32 if name.endswith("weight_scale") else torch_dtype

    fill(model, stored, dtype_of=dtype_of, device=device, tied=UMT5_TIED)
    model.tie_weights()
    return model


def _umt5_name(key: str) -> str | None:
    name = parameter_of(key)
    if name is None:
        return None
    inside = _UMT5_BLOCK.fullmatch(name)
    if inside:
        return f"encoder.block.{inside[1]}.{translate(inside[2], UMT5_BLOCK_KEYS)}"
    return translate(name, UMT5_KEYS)


def _umt5_config(stored: StoredTensors) -> dict[str, Any]:
    """The sizes, from the shapes of the tensors; the rest is UMT5's."""
    first = "encoder.block.0.layer"
    sizing = {
        "words": "shared.weight",
        "query": f"{first}.0.SelfAttention.q.weight",
        "bias": f"{first}.0.SelfAttention.relative_attention_bias.weight",
        "gate": f"{first}.1.DenseReluDense.wi_0.weight",
    }
    require(stored, sizing.values())
    shapes = {role: stored[name].shape for role, name in sizing.items()}
    vocab_size, d_model = shapes["words"]
    num_buckets, num_heads = shapes["bias"]
    return {
        "vocab_size": vocab_size,
        "d_model": d_model,
        "d_kv": shapes["query"][0] // num_heads,
        "d_ff": shapes["gate"][0],
        "num_layers": 1 + max(int(name.split(".")[2]) for name in stored if ".block." in name),
        "num_heads": num_heads,
        "relative_attention_num_buckets": num_buckets,
        **storage_options({name: tensor.values for name, tensor in stored.items()}),
    }


CLIP_HEAD_DIM = 80  # of ViT-H/14; no tensor tells it
CLIP_PREFIX = "visual."
# The half that reads texts, and what compares the halves.
CLIP_UNUSED = ("textual.", "log_scale", "visual.head")

CLIP_EMBEDDINGS = {
    "embeddings.class_embedding": 1,
    "embeddings.position_embedding.weight": 2,
}  # dims

CLIP_KEYS = {
    "cls_embedding": "embeddings.class_embedding",
    "pos_embedding": "embeddings.position_embedding.weight",
    "patch_embedding": "embeddings.patch_embedding",
    "pre_norm": "pre_layrnorm",
    "post_norm": "post_layernorm",
}
CLIP_LAYER_KEYS = {
    "norm1": "layer_norm1",
    "attn.to_qkv": "self_attn.qkv",
    "attn.proj": "self_attn.out_proj",
    "norm2": "layer_norm2",
    "mlp.0": "mlp.fc1",
    "mlp.2": "mlp.fc2",
}
_CLIP_LAYER = re.compile(r"transformer\.(\d+)\.(.+)")


def load_image_encoder(file: Path, *, device: str | torch.device = "cpu") -> CLIPVisionModel:
    """Open Wan's CLIP, as float32.

    Args:
        file: `.pth`.
        device: Of the weights.

    Raises:
        CheckpointMismatch: A file that does not hold the network.
    """
    stored = open_tensors([file], _clip_name)
    config = _clip_config(stored)
    _split_qkv(stored)
    with init_empty_weights(), no_init_weights():
        model = CLIPVisionModel(config)
    fill(model, stored, dtype_of=lambda _: torch.float32, device=device)
    return model


def _clip_name(key: str) -> str | None:
    if key.startswith(CLIP_UNUSED):
        return None
    name = key.removeprefix(CLIP_PREFIX)
    inside = _CLIP_LAYER.fullmatch(name)
    if inside:
        return f"encoder.layers.{inside[1]}.{translate(inside[2], CLIP_LAYER_KEYS)}"
    return translate(name, CLIP_KEYS)


def _clip_config(stored: StoredTensors) -> CLIPVisionConfig:
    """The sizes, from the shapes of the tensors."""
    sizing = {
        "patch": "embeddings.patch_embedding.weight",
        "position": "embeddings.position_embedding.weight",
        "mlp": "encoder.layers.0.mlp.fc1.weight",
    }
    require(stored, sizing.values())
    shapes = {role: stored[name].shape for role, name in sizing.items()}
    dim, channels, patch_size, _ = shapes["patch"]
    if dim % CLIP_HEAD_DIM:
        raise CheckpointMismatch([f"width {dim}: not a multiple of {CLIP_HEAD_DIM}, a head's"])
    patches = shapes["position"][-2] - 1
    return CLIPVisionConfig(
        hidden_size=dim,
        intermediate_size=shapes["mlp"][0],
        num_hidden_layers=1 + max(int(name.split(".")[2]) for name in stored if "layers." in name),
        num_attention_heads=dim // CLIP_HEAD_DIM,
        num_channels=channels,
        image_size=math.isqrt(patches) * patch_size,
        patch_size=patch_size,
        hidden_act="gelu",
        layer_norm_eps=1e-5,
    )


def _split_qkv(stored: StoredTensors) -> None:
    """Embeddings without axes of length one; query, key and value apart."""
    for name, dims in CLIP_EMBEDDINGS.items():
        if name in stored:
            values = stored[name].values
            stored[name] = replace(stored[name], values=values.reshape(values.shape[-dims:]))
    for name in [name for name in stored if ".qkv." in name]:
        joined = stored.pop(name)
        for role, values in zip("qkv", joined.values.chunk(3), strict=True):
            stored[name.replace(".qkv.", f".{role}_proj.")] = replace(joined, values=values)


def load_vae(
    file: Path, *, torch_dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> AutoencoderKLWan:
    """Open Wan's VAE.

    The library's `from_single_file` asks the hub for a config; the sizes are in the tensors.

    Args:
        file: `.pth`.
        torch_dtype: Of its weights.
        device: Of the weights.

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
