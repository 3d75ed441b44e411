"""Opens a directory of weights, one folder a component, as a pipeline.

The directory is what `MultiTalkPipeline.save_pretrained` writes, or a copy of
Wan2.1-I2V-14B-480P-Diffusers with two things added: `audio_encoder/` (wav2vec 2.0) and the audio
part of the network, `transformer/multitalk.safetensors`. In place of the shards, `transformer/` may
hold one `quant_model*.safetensors` in 8 bits.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPVisionModel,
    UMT5EncoderModel,
    Wav2Vec2Model,
)
from transformers.utils import logging as transformers_logging

from multitalk.engines.diffusion.convert import (
    CONFIG_NAME,
    load_quantized_transformer,
    load_transformer,
)
from multitalk.engines.diffusion.pipeline import MultiTalkPipeline
from multitalk.engines.diffusion.weight_files import CheckpointMismatch

INDEX_NAME = "model_index.json"
TOKENIZER_NAME = "tokenizer.json"
CONFIG_KEYS = ("kind", "segment_frames", "conditioning_frames", "sizes")
QUANTIZED = "quant_model*.safetensors"
# Replaces what is masked in training, and nothing otherwise.
UNUSED = frozenset({"masked_spec_embed"})

logger = logging.getLogger(__name__)


def load_pipeline(directory: Path, *, torch_dtype: torch.dtype) -> MultiTalkPipeline:
    """Open all components, on the CPU, from files only.

    Args:
        directory: As above.
        torch_dtype: Of the transformer and of the text encoder. The small networks stay float32,
            as Wan's own code and diffusers run them.

    Raises:
        CheckpointMismatch: Says every component that is missing, or the first that is not whole.
    """
    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()  # a worker's log is no terminal
    loaders: dict[str, Callable[[Path], object]] = {
        "tokenizer": _load_tokenizer,
        "image_processor": lambda folder: CLIPImageProcessorPil.from_pretrained(
            folder, local_files_only=True
        ),
        "vae": lambda folder: _load(AutoencoderKLWan, folder, torch_dtype=torch.float32),
        "image_encoder": lambda folder: _load(CLIPVisionModel, folder, dtype=torch.float32),
        "audio_encoder": lambda folder: _load(Wav2Vec2Model, folder, dtype=torch.float32),
        "text_encoder": lambda folder: _load(UMT5EncoderModel, folder, dtype=torch_dtype),
        "transformer": lambda folder: _load_transformer(folder, torch_dtype),
    }
    absent = [name for name in loaders if not (directory / name).is_dir()]
    if absent:
        raise CheckpointMismatch(f"{name}: missing folder" for name in absent)
    components: dict[str, Any] = {}
    for name, load in loaders.items():
        try:
            components[name] = load(directory / name)
        except CheckpointMismatch as error:
            problems = (f"{name}: {problem}" for problem in error.problems)
            raise CheckpointMismatch(problems) from error
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            logger.warning("%s cannot be opened: %s", name, error)  # may name local paths
            raise CheckpointMismatch([f"{name}: cannot be opened"]) from error
    scheduler = FlowMatchEulerDiscreteScheduler()
    return MultiTalkPipeline(scheduler=scheduler, **components, **_config(directory))


def _load_tokenizer(folder: Path) -> object:
    if not (folder / TOKENIZER_NAME).exists():  # the library would make one that knows no word
        raise CheckpointMismatch([f"{TOKENIZER_NAME}: missing file"])
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _load_transformer(folder: Path, torch_dtype: torch.dtype) -> object:
    quantized = sorted(folder.glob(QUANTIZED))
    if len(quantized) > 1:
        raise CheckpointMismatch([f"{len(quantized)} files {QUANTIZED}: one is possible"])
    if quantized:
        config = folder / CONFIG_NAME
        return load_quantized_transformer(quantized[0], config=config, torch_dtype=torch_dtype)
    return load_transformer(folder, torch_dtype=torch_dtype)


def _load(network: Any, folder: Path, **options: object) -> object:
    """Open one network; the libraries would only warn of weights that are not there."""
    loaded, report = network.from_pretrained(
        folder, local_files_only=True, output_loading_info=True, **options
    )
    missing = sorted(set(report["missing_keys"]) - UNUSED)
    if missing:
        raise CheckpointMismatch(f"{key}: missing tensor" for key in missing)
    return loaded.eval()


def _config(directory: Path) -> dict[str, Any]:
    """What our own `save_pretrained` wrote beside the components."""
    index = directory / INDEX_NAME
    if not index.exists():
        return {}
    config = json.loads(index.read_text(encoding="utf-8"))
    if config.get("_class_name") != MultiTalkPipeline.__name__:
        return {}
    return {key: config[key] for key in CONFIG_KEYS if key in config}
