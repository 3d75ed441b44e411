"""UMT5 as Wan publishes it, in the library's class: `.pth` in 16 bits, or a file in 8 bits.

Wan's encoder and the library's are the same network (tests/engines/diffusion/test_text_encoder.py
computes it a third time): a relative position bias in every layer, no scaling of the scores, a GELU
gate in its tanh form. Only the names differ.
"""

import re
from pathlib import Path
from typing import Any, ClassVar

import torch
from accelerate import init_empty_weights
from transformers import (
    PreTrainedModel,  # noqa: F401 - a pipeline's loader looks for it here, to know how to load
    UMT5Config,
    UMT5EncoderModel,
)

from multitalk.engines.diffusion.names import translate
from multitalk.engines.diffusion.quantized import (
    parameter_of,
    storage_options,
    store_weights_as,
)
from multitalk.engines.diffusion.tensor_files import StoredTensors, fill, open_tensors, require

_MODEL = {"token_embedding": "shared", "norm": "encoder.final_layer_norm"}
_BLOCK = {
    "norm1": "layer.0.layer_norm",
    "attn": "layer.0.SelfAttention",
    "pos_embedding.embedding": "layer.0.SelfAttention.relative_attention_bias",
    "norm2": "layer.1.layer_norm",
    "ffn.gate.0": "layer.1.DenseReluDense.wi_0",
    "ffn.fc1": "layer.1.DenseReluDense.wi_1",
    "ffn.fc2": "layer.1.DenseReluDense.wo",
}
TIED = {"encoder.embed_tokens.weight": "shared.weight"}
_IN_A_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")


class QuantizedUMT5EncoderModel(UMT5EncoderModel):
    """UMT5 whose Linear layers hold their weights in 8 bits; saved and opened as the library does.

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
        torch_dtype: Of what is not in 8 bits.
        device: Where the weights go.

    Raises:
        CheckpointMismatch: A file that does not hold the network.
    """
    stored = open_tensors([file], _parameter_name)
    options = _config(stored)
    network = QuantizedUMT5EncoderModel if "weight_storage" in options else UMT5EncoderModel
    with init_empty_weights():
        model = network(UMT5Config(**options))

    def dtype_of(name: str) -> torch.dtype:
        return torch.float32 if name.endswith("weight_scale") else torch_dtype

    fill(model, stored, dtype_of=dtype_of, device=device, tied=TIED)
    model.tie_weights()
    return model


def _parameter_name(key: str) -> str | None:
    name = parameter_of(key)
    if name is None:
        return None
    inside = _IN_A_BLOCK.fullmatch(name)
    if inside:
        return f"encoder.block.{inside[1]}.{translate(inside[2], _BLOCK)}"
    return translate(name, _MODEL)


def _config(stored: StoredTensors) -> dict[str, Any]:
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
