"""Opens a directory of weights as a pipeline, whichever way it is laid out (see `weight_files`)."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionModel,
    PreTrainedTokenizerFast,
    UMT5EncoderModel,
    Wav2Vec2Model,
)
from transformers.utils import logging as transformers_logging

from multitalk.engines.diffusion.convert_encoders import (
    QuantizedUMT5EncoderModel,
    load_image_encoder,
    load_text_encoder,
    load_vae,
)
from multitalk.engines.diffusion.convert_transformer import load_transformer, load_transformer_file
from multitalk.engines.diffusion.pipeline import MultiTalkPipeline
from multitalk.engines.diffusion.state_dict import check_readable
from multitalk.weights.locate import (
    CONFIG_NAME,
    CheckpointMismatch,
    ComponentFiles,
    find_components,
)
from multitalk.weights.sets import Kind

TOKENIZER_NAME = "tokenizer.json"
CONFIG_KEYS = ("kind", "segment_frames", "conditioning_frames", "sizes")
CONDITIONING_FRAMES: dict[Kind, int] = {"multitalk": 25, "infinitetalk": 9}  # as trained
# Replaces what is masked in training, and nothing otherwise.
MAY_BE_ABSENT = frozenset({"masked_spec_embed"})
# What wav2vec 2.0 was trained with, and nothing else.
MAY_BE_LEFT = ("quantizer.", "project_hid.", "project_q.", "lm_head.", "masked_spec_embed")

Devices = Mapping[str, str | torch.device]

logger = logging.getLogger(__name__)


def load_pipeline(
    directory: Path,
    *,
    torch_dtype: torch.dtype,
    vae_dtype: torch.dtype = torch.float32,
    weight_set: str | None = None,
    devices: Devices | None = None,
) -> MultiTalkPipeline:
    """Open all components, from files only.

    Args:
        directory: Of weights, as `find_components` knows them.
        torch_dtype: Of the transformer and of the text encoder, but for weights in 8 bits, which
            stay so. CLIP and wav2vec 2.0 are float32, as Wan's own code and diffusers run them.
        vae_dtype: Of the VAE.
        weight_set: Which one, where several are there.
        devices: Where a component goes, by its name; the others go to the CPU. Values go from the
            file to the device one tensor at a time.

    Raises:
        CheckpointMismatch: Says every file that is missing, or what is wrong with the first
            component that is not whole.
        OutOfMemoryError: PyTorch's: a device has no room.
    """
    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()  # a worker's log is no terminal
    files = find_components(directory, weight_set)
    places = devices or {}
    components: dict[str, Any] = {}
    for name, load in _loaders(files, torch_dtype, vae_dtype).items():
        try:
            components[name] = load(places.get(name, "cpu"))
        except CheckpointMismatch as error:
            problems = (f"{name}: {problem}" for problem in error.problems)
            raise CheckpointMismatch(problems) from error
        except torch.OutOfMemoryError:
            raise
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            logger.warning("%s cannot be opened: %s", name, error)  # may name local paths
            raise CheckpointMismatch([f"{name}: cannot be opened"]) from error
    return MultiTalkPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        **components,
        **_config(files),
    )


def _loaders(
    files: ComponentFiles, torch_dtype: torch.dtype, vae_dtype: torch.dtype
) -> dict[str, Callable[[str | torch.device], object]]:
    """How each is opened, the small ones first: what is wrong with them is said soon."""
    return {
        "tokenizer": lambda _: _load_tokenizer(files.tokenizer),
        "image_processor": lambda _: _load_image_processor(files.image_processor),
        "vae": lambda device: (
            _load(AutoencoderKLWan, files.vae, device, torch_dtype=vae_dtype)
            if files.vae.is_dir()
            else load_vae(files.vae, torch_dtype=vae_dtype, device=device)
        ),
        "image_encoder": lambda device: (
            _load(CLIPVisionModel, files.image_encoder, device, dtype=torch.float32)
            if files.image_encoder.is_dir()
            else load_image_encoder(files.image_encoder, device=device)
        ),
        "audio_encoder": lambda device: _load(
            Wav2Vec2Model, files.audio_encoder, device, dtype=torch.float32
        ),
        "text_encoder": lambda device: (
            _load(_text_network(files.text_encoder), files.text_encoder, device, dtype=torch_dtype)
            if files.text_encoder.is_dir()
            else load_text_encoder(files.text_encoder, torch_dtype=torch_dtype, device=device)
        ),
        "transformer": lambda device: _load_transformer(files, torch_dtype, device),
    }


def _load_transformer(
    files: ComponentFiles, torch_dtype: torch.dtype, device: str | torch.device
) -> object:
    if files.transformer_config is not None:
        return load_transformer_file(
            files.transformer,
            config=files.transformer_config,
            torch_dtype=torch_dtype,
            device=device,
        )
    return load_transformer(
        files.transformer, audio=files.audio_layers, torch_dtype=torch_dtype, device=device
    )


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer as its file has it: the library's T5 class would rebuild it without parts."""
    file = folder / TOKENIZER_NAME
    if not file.exists():
        raise CheckpointMismatch([f"{TOKENIZER_NAME}: missing file"])
    content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or "model" not in content:  # the library's error has no class
        raise CheckpointMismatch([f"{TOKENIZER_NAME}: no tokenizer"])
    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def _load_image_processor(folder: Path | None) -> CLIPImageProcessorPil:
    if folder is None:
        return CLIPImageProcessorPil()  # CLIP's published constants are the library's defaults
    return CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)


def _text_network(folder: Path) -> Any:
    """The class that wrote a folder."""
    config = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
    return QuantizedUMT5EncoderModel if "weight_storage" in config else UMT5EncoderModel


def _load(network: Any, folder: Path, device: str | torch.device, **options: object) -> object:
    """Open one network; the libraries would only warn of weights that do not fit."""
    check_readable(folder.glob("*.safetensors"))
    with _quiet_library():
        loaded, report = network.from_pretrained(
            folder,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **options,
        )
    missing = sorted(set(report["missing_keys"]) - MAY_BE_ABSENT)
    problems = [f"{key}: missing tensor" for key in missing]
    for key in sorted(report["unexpected_keys"]):
        if not key.startswith(MAY_BE_LEFT):
            problems.append(f"{key}: unknown tensor")
    for key, found, expected in sorted(report["mismatched_keys"]):
        problems.append(f"{key}: shape {list(found)}, not {list(expected)}")
    if problems:
        raise CheckpointMismatch(problems)
    return loaded.to(device).eval()


@contextmanager
def _quiet_library() -> Iterator[None]:
    """Without the table that transformers logs of every key it does not use: we judge them."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)


def _config(files: ComponentFiles) -> dict[str, Any]:
    """How segments follow one another: by the kind, and by what our `save_pretrained` wrote."""
    config = {"kind": files.kind, "conditioning_frames": CONDITIONING_FRAMES[files.kind]}
    if files.pipeline_index is None:
        return config
    written = json.loads(files.pipeline_index.read_text(encoding="utf-8"))
    return config | {key: written[key] for key in CONFIG_KEYS if key in written}
