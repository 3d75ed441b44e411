"""Opens the transformer in every layout in which it is published.

* A folder in the published Wan layout: `config.json`, shards with an index, and the audio part
  in `multitalk.safetensors`, there or elsewhere (InfiniteTalk's file is such a part).
* A folder in the layout of diffusers' Wan model, with the audio part elsewhere.
* One file of weights in 8 bits, with the `config.json` of its model.
* A folder that `save_pretrained` wrote.

Sizes come from the tensors; the config says only what tensors cannot: heads, text length, eps.
All headers are compared with the model before the first tensor is read.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from accelerate.utils import set_module_tensor_to_device
from safetensors import SafetensorError, safe_open

from multitalk.engines.diffusion.names import to_ours
from multitalk.engines.diffusion.quantized import WeightStorage, as_stored
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel
from multitalk.engines.diffusion.weight_files import CheckpointMismatch

CONFIG_NAME = "config.json"
INDEX_NAME = "diffusion_pytorch_model.safetensors.index.json"
WEIGHTS_NAME = "diffusion_pytorch_model.safetensors"
AUDIO_NAME = "multitalk.safetensors"

DEFAULT_TEXT_LEN = 512
DEFAULT_EPS = 1e-6
FRAMES_PER_LATENT = 4

_STORAGE: dict[str, WeightStorage] = {"I8": "int8", "F8_E4M3": "float8_e4m3fn"}


@dataclass(frozen=True)
class StoredTensor:
    """Where a parameter is.

    Attributes:
        file: The safetensors file.
        key: Its name in that file.
        shape: Its shape there.
        dtype: Its dtype there, in safetensors' words, such as `F32`.
    """

    file: Path
    key: str
    shape: tuple[int, ...]
    dtype: str


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
        audio: The file of the audio part, where it is not `multitalk.safetensors` in the folder.
        torch_dtype: Of what need not be float32.
        device: Where the weights go, straight from the file.

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


def load_quantized_transformer(
    file: Path,
    *,
    config: Path,
    torch_dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
) -> MultiTalkTransformer3DModel:
    """Open one file of int8 or float8 weights, which stay so in memory.

    Args:
        file: In optimum-quanto's layout: `.weight._data` and `.weight._scale` per layer.
        config: The `config.json` of the model that was quantised.
        torch_dtype: Of what is not quantised and need not be float32.
        device: Where the weights go, straight from the file.

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
    stored, problems = _stored_tensors(files)
    if problems:
        raise CheckpointMismatch(problems)
    if config.get("_class_name") != MultiTalkTransformer3DModel.__name__:
        config = _model_options(stored, config)
    with init_empty_weights():
        model = MultiTalkTransformer3DModel.from_config(config)
    problems = _mismatches(model, stored)
    if problems:
        raise CheckpointMismatch(problems)
    _fill(model, stored, torch_dtype, device)
    return model.to(device).eval()


def _stored_tensors(files: list[Path]) -> tuple[dict[str, StoredTensor], list[str]]:
    """Read the headers of files: our name -> tensor, and what is wrong with the files."""
    stored: dict[str, StoredTensor] = {}
    problems = []
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                for key in opened.keys():  # noqa: SIM118 - not a mapping
                    name = _parameter_name(key)
                    if name is not None:
                        header = opened.get_slice(key)
                        shape = tuple(header.get_shape())
                        stored[name] = StoredTensor(file, key, shape, header.get_dtype())
        except FileNotFoundError:
            problems.append(f"{file.name}: missing file")
        except (SafetensorError, OSError) as error:
            problems.append(f"{file.name}: cannot be read ({error})")
    return stored, problems


def _parameter_name(key: str) -> str | None:
    """A key of a file -> the name of our parameter, or None for what quanto does not use."""
    if key.endswith((".input_scale", ".output_scale")):
        return None
    if key.endswith(".weight._data"):
        return to_ours(key.removesuffix("._data"))
    if key.endswith(".weight._scale"):
        return to_ours(key.removesuffix("._scale")) + "_scale"
    return to_ours(key)


def _model_options(stored: dict[str, StoredTensor], config: dict[str, Any]) -> dict[str, Any]:
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
    missing = [name for name in sizing.values() if name not in stored]
    if missing:
        raise CheckpointMismatch(f"{name}: missing tensor" for name in missing)
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
        **_storage_options(stored),
    }


def _storage_options(stored: dict[str, StoredTensor]) -> dict[str, Any]:
    """How the file holds its weights, and which Linear layers it does not hold so."""
    in_8_bits = {name for name, tensor in stored.items() if tensor.dtype in _STORAGE}
    kinds = {stored[name].dtype for name in in_8_bits}
    if not kinds:
        return {}
    if len(kinds) > 1:
        raise CheckpointMismatch([f"weights of several kinds, {sorted(kinds)}: one is possible"])
    full_precision = tuple(
        name.removesuffix(".weight")
        for name, tensor in stored.items()
        if name.endswith(".weight") and len(tensor.shape) == 2 and name not in in_8_bits
    )
    return {"weight_storage": _STORAGE[kinds.pop()], "full_precision_modules": full_precision}


def _mismatches(model: torch.nn.Module, stored: dict[str, StoredTensor]) -> list[str]:
    expected = model.state_dict()
    problems = [f"{name}: missing tensor" for name in expected if name not in stored]
    for name, tensor in stored.items():
        if name not in expected:
            problems.append(f"{tensor.file.name}: {tensor.key}: unknown tensor")
        elif tensor.shape != tuple(expected[name].shape):
            shape = list(expected[name].shape)
            problems.append(
                f"{tensor.file.name}: {tensor.key}: shape {list(tensor.shape)}, not {shape}"
            )
    return problems


def _fill(
    model: MultiTalkTransformer3DModel,
    stored: dict[str, StoredTensor],
    torch_dtype: torch.dtype,
    device: str | torch.device,
) -> None:
    """Read every tensor once, straight to its device and dtype."""
    in_float32 = set(model._keep_in_fp32_modules)
    for file in dict.fromkeys(tensor.file for tensor in stored.values()):
        with safe_open(file, framework="pt", device=str(device)) as opened:
            for name, tensor in stored.items():
                if tensor.file != file:
                    continue
                values = as_stored(opened.get_tensor(tensor.key))
                if values.is_floating_point():
                    keep = in_float32 & set(name.split("."))
                    values = values.to(torch.float32 if keep else torch_dtype)
                set_module_tensor_to_device(model, name, device, values, dtype=values.dtype)


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
