"""Opens the transformer in every layout in which it is published.

* A folder in the published Wan layout: `config.json`, shards with an index, and the audio layers
  in `multitalk.safetensors`, there or elsewhere (InfiniteTalk's file holds such layers).
* A folder in the layout of diffusers' Wan model, with the audio layers elsewhere.
* One file of the whole network, in 8 bits or not, with the `config.json` of its model.
* A folder that `save_pretrained` wrote.

Sizes come from the tensors; the config has only what tensors do not show: heads, text length, eps.
All headers are compared with the model before the first tensor is read.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights

from multitalk.engines.diffusion.quantized import parameter_of, storage_options
from multitalk.engines.diffusion.state_dict import (
    StoredTensors,
    fill,
    open_tensors,
    require,
    translate,
)
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel
from multitalk.weights.component_files import (
    AUDIO_NAME,
    CONFIG_NAME,
    INDEX_NAME,
    CheckpointMismatch,
)

_MODEL = {
    "patch_embedding": "patch_embedding",
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "img_emb.proj.0": "condition_embedder.image_embedder.norm1",
    "img_emb.proj.1": "condition_embedder.image_embedder.ff.net.0.proj",
    "img_emb.proj.3": "condition_embedder.image_embedder.ff.net.2",
    "img_emb.proj.4": "condition_embedder.image_embedder.norm2",
    "head.modulation": "scale_shift_table",
    "head.head": "proj_out",
}

_BLOCK = {
    "modulation": "scale_shift_table",
    "self_attn.q": "attn1.to_q",
    "self_attn.k": "attn1.to_k",
    "self_attn.v": "attn1.to_v",
    "self_attn.o": "attn1.to_out.0",
    "self_attn.norm_q": "attn1.norm_q",
    "self_attn.norm_k": "attn1.norm_k",
    "cross_attn.q": "attn2.to_q",
    "cross_attn.k": "attn2.to_k",
    "cross_attn.v": "attn2.to_v",
    "cross_attn.o": "attn2.to_out.0",
    "cross_attn.k_img": "attn2.add_k_proj",
    "cross_attn.v_img": "attn2.add_v_proj",
    "cross_attn.norm_q": "attn2.norm_q",
    "cross_attn.norm_k": "attn2.norm_k",
    "cross_attn.norm_k_img": "attn2.norm_added_k",
    "norm3": "norm2",
    "norm_x": "norm_audio",
    "audio_cross_attn.q_linear": "audio_attn.to_q",
    "audio_cross_attn.kv_linear": "audio_attn.to_kv",
    "audio_cross_attn.proj": "audio_attn.to_out.0",
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
}

_IN_A_BLOCK = re.compile(r"(blocks\.\d+\.)(.+)")


def to_diffusers(name: str) -> str:
    """A published name of a module or parameter -> diffusers'; any other name is returned as is."""
    return _translate(name, _MODEL, _BLOCK)


def to_published(name: str) -> str:
    """Diffusers' name of a module or parameter -> the published one."""
    return _translate(
        name,
        {name: published for published, name in _MODEL.items()},
        {name: published for published, name in _BLOCK.items()},
    )


def _translate(name: str, model: Mapping[str, str], block: Mapping[str, str]) -> str:
    inside = _IN_A_BLOCK.fullmatch(name)
    if inside:
        return inside[1] + translate(inside[2], block)
    return translate(name, model)


WEIGHTS_NAME = "diffusion_pytorch_model.safetensors"
DEFAULT_TEXT_LEN = 512
DEFAULT_EPS = 1e-6
FRAMES_PER_LATENT = 4


def load_transformer(
    folder: Path,
    *,
    audio: Path | None = None,
    torch_dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
) -> MultiTalkTransformer3DModel:
    """Open a folder of weights.

    Args:
        folder: In any of the layouts above.
        audio: The file of the audio layers, where it is not `multitalk.safetensors` in the folder.
        torch_dtype: Of tensors that need not be float32.
        device: Of the weights, which are copied there from the file.

    Raises:
        CheckpointMismatch: Missing files or tensors, unknown ones, wrong shapes, cut files.
    """
    config = _read_json(folder / CONFIG_NAME)
    files = _weight_files(folder)
    if config.get("_class_name") != MultiTalkTransformer3DModel.__name__:
        # The audio part comes last: its tensors stand over the others'.
        files = [file for file in files if file.name != AUDIO_NAME]
        files.append(audio or folder / AUDIO_NAME)
    return _load_files(files, config, torch_dtype, device)


def load_transformer_file(
    file: Path,
    *,
    config: Path,
    torch_dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
) -> MultiTalkTransformer3DModel:
    """Open one file of the whole network.

    Args:
        file: `.safetensors`, where int8 or float8 weights in optimum-quanto's layout stay so in
            memory, or `.pth`.
        config: The `config.json` of the network.
        torch_dtype: Of tensors that are not quantised and need not be float32.
        device: Of the weights, which are copied there from the file.

    Raises:
        CheckpointMismatch: Missing or unknown tensors, wrong shapes, a cut file.
    """
    return _load_files([file], _read_json(config), torch_dtype, device)


def _weight_files(folder: Path) -> list[Path]:
    """The shards which a folder's index names, or the one file of a folder without index."""
    index = folder / INDEX_NAME
    if not index.exists():
        return [folder / WEIGHTS_NAME]
    weight_map = _read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise CheckpointMismatch([f"{index.name}: no weight_map"])
    return [folder / name for name in sorted(set(weight_map.values()))]


def _load_files(
    files: list[Path],
    config: dict[str, Any],
    torch_dtype: torch.dtype,
    device: str | torch.device,
) -> MultiTalkTransformer3DModel:
    stored = open_tensors(files, _parameter_name)
    if config.get("_class_name") != MultiTalkTransformer3DModel.__name__:
        config = _model_options(stored, config)
    with init_empty_weights():
        model = MultiTalkTransformer3DModel.from_config(config)
    in_float32 = set(model._keep_in_fp32_modules)

    def dtype_of(name: str) -> torch.dtype:
        return torch.float32 if in_float32 & set(name.split(".")) else torch_dtype

    fill(model, stored, dtype_of=dtype_of, device=device)
    return model


def _parameter_name(key: str) -> str | None:
    name = parameter_of(key)
    return None if name is None else to_diffusers(name)


def _model_options(stored: StoredTensors, config: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments, from the shapes of the tensors and the file's config."""
    embedder = "condition_embedder"
    sizing = {
        "patch": "patch_embedding.weight",
        "time": f"{embedder}.time_embedder.linear_1.weight",
        "text": f"{embedder}.text_embedder.linear_1.weight",
        "image": f"{embedder}.image_embedder.ff.net.0.proj.weight",
        "ffn": "blocks.0.ffn.net.0.proj.weight",
        "out": "proj_out.weight",
        "audio_first": "audio_proj.proj1.weight",
        "audio_later": "audio_proj.proj1_vf.weight",
        "audio_last": "audio_proj.proj3.weight",
        "audio_norm": "audio_proj.norm.weight",
    }
    require(stored, sizing.values())
    shapes = {role: stored[name].shape for role, name in sizing.items()}
    dim, in_channels, *patch_size = shapes["patch"]
    heads = config.get("num_heads", config.get("num_attention_heads"))
    if not isinstance(heads, int):
        raise CheckpointMismatch([f"{CONFIG_NAME}: neither num_heads nor num_attention_heads"])
    frames_per_latent = config.get("vae_scale", FRAMES_PER_LATENT)
    audio_hidden_dim, first_inputs = shapes["audio_first"]
    feature_dim = (shapes["audio_later"][1] - first_inputs) // (frames_per_latent - 1)
    audio_dim = shapes["audio_norm"][0]
    return {
        "patch_size": tuple(patch_size),
        "num_attention_heads": heads,
        "attention_head_dim": dim // heads,
        "in_channels": in_channels,
        "out_channels": shapes["out"][0] // math.prod(patch_size),
        "text_dim": shapes["text"][1],
        "text_len": config.get("text_len", DEFAULT_TEXT_LEN),
        "freq_dim": shapes["time"][1],
        "ffn_dim": shapes["ffn"][0],
        "num_layers": 1 + max(int(name.split(".")[1]) for name in stored if "blocks." in name),
        "eps": config.get("eps", DEFAULT_EPS),
        "image_dim": shapes["image"][1],
        "audio_window": first_inputs // feature_dim,
        "audio_feature_dim": feature_dim,
        "audio_hidden_dim": audio_hidden_dim,
        "audio_dim": audio_dim,
        "audio_tokens": shapes["audio_last"][0] // audio_dim,
        "frames_per_latent": frames_per_latent,
        **storage_options({name: tensor.values for name, tensor in stored.items()}),
    }


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointMismatch([f"{file.name}: missing file"]) from error
    except ValueError as error:
        raise CheckpointMismatch([f"{file.name}: not JSON ({error})"]) from error
    if not isinstance(content, dict):
        raise CheckpointMismatch([f"{file.name}: not a JSON object"])
    return content
