"""Opens a directory of weights, in any layout of `weights.component_files`, for a memory plan."""

import gc
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
from multitalk.engines.diffusion.host_memory import available_bytes
from multitalk.engines.diffusion.memory_plan import MemoryBudget, MemoryPlan, VaeDtype
from multitalk.engines.diffusion.network_sizes import network_bytes
from multitalk.engines.diffusion.offload import devices_of, has_gpu
from multitalk.engines.diffusion.parallel import ProcessGroup, SingleProcess
from multitalk.engines.diffusion.pipeline import MultiTalkPipeline
from multitalk.engines.diffusion.profiles import LoraProfiles
from multitalk.engines.diffusion.state_dict import check_readable
from multitalk.engines.diffusion.vae import use_channels_last
from multitalk.errors import EngineUnavailable
from multitalk.settings import Settings
from multitalk.weights.component_files import (
    CONFIG_NAME,
    PIPELINE_INDEX,
    CheckpointMismatch,
    ComponentFiles,
    find_components,
)
from multitalk.weights.sets import ModelKind

SHOWN_PROBLEMS = 3
DTYPES: dict[VaeDtype, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TOKENIZER_NAME = "tokenizer.json"
CONFIG_KEYS = ("kind", "segment_frames", "conditioning_frames", "sizes")
CONDITIONING_FRAMES: dict[ModelKind, int] = {"multitalk": 25, "infinitetalk": 9}  # as trained
# Used in training only.
OPTIONAL_KEYS = frozenset({"masked_spec_embed"})
# Of wav2vec 2.0, used in training only.
UNUSED_KEYS = ("quantizer.", "project_hid.", "project_q.", "lm_head.", "masked_spec_embed")

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
    """Open all components, without network access.

    Args:
        directory: Of weights, in a layout of `find_components`.
        torch_dtype: Of the transformer and of the text encoder; weights in 8 bits keep theirs. CLIP
            and wav2vec 2.0 are float32, as in Wan's own code and diffusers.
        vae_dtype: Of the VAE.
        weight_set: Its name, where several are there.
        devices: By component; the others are loaded to the CPU. Tensors are copied from the file to
            the device one at a time.

    Raises:
        CheckpointMismatch: Lists every missing file, or what is wrong with the first component that
            is not whole.
        OutOfMemoryError: PyTorch's.
    """
    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()  # the log is no terminal
    files = find_components(directory, weight_set)
    components: dict[str, Any] = {}
    for name, load in _loaders(files, torch_dtype, vae_dtype).items():
        try:
            components[name] = load((devices or {}).get(name, "cpu"))
        except CheckpointMismatch as error:
            problems = (f"{name}: {problem}" for problem in error.problems)
            raise CheckpointMismatch(problems) from error
        except torch.OutOfMemoryError:
            raise
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            logger.warning("%s cannot be opened: %s", name, error)  # may name local paths
            raise CheckpointMismatch([f"{name}: cannot be opened"]) from error
    scheduler = FlowMatchEulerDiscreteScheduler()
    try:
        return MultiTalkPipeline(scheduler=scheduler, **components, **_config(files))
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointMismatch([f"{PIPELINE_INDEX}: {error}"]) from error


def _loaders(
    files: ComponentFiles, torch_dtype: torch.dtype, vae_dtype: torch.dtype
) -> dict[str, Callable[[str | torch.device], object]]:
    """Functions that open each component, small ones first, so that their errors come soon."""
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
    """The tokenizer of a file, unchanged: the library's T5 class would drop parts of it."""
    file = folder / TOKENIZER_NAME
    if not file.exists():
        raise CheckpointMismatch([f"{TOKENIZER_NAME}: missing file"])
    content = json.loads(file.read_text(encoding="utf-8"))
    if (
        not isinstance(content, dict) or "model" not in content
    ):  # the library raises a bare Exception
        raise CheckpointMismatch([f"{TOKENIZER_NAME}: no tokenizer"])
    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def _load_image_processor(folder: Path | None) -> CLIPImageProcessorPil:
    if folder is None:
        return CLIPImageProcessorPil()  # CLIP's published constants are the library's defaults
    return CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)


def _text_network(folder: Path) -> Any:
    """The class that saved a folder."""
    config = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
    return QuantizedUMT5EncoderModel if "weight_storage" in config else UMT5EncoderModel


def _load(network: Any, folder: Path, device: str | torch.device, **options: object) -> object:
    """Open a network; the libraries would only warn of weights that do not fit."""
    check_readable(folder.glob("*.safetensors"))
    with _quiet_library():
        loaded, report = network.from_pretrained(
            folder,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **options,
        )
    missing = sorted(set(report["missing_keys"]) - OPTIONAL_KEYS)
    problems = [f"{key}: missing tensor" for key in missing]
    for key in sorted(report["unexpected_keys"]):
        if not key.startswith(UNUSED_KEYS):
            problems.append(f"{key}: unknown tensor")
    for key, found, expected in sorted(report["mismatched_keys"]):
        problems.append(f"{key}: shape {list(found)}, not {list(expected)}")
    if problems:
        raise CheckpointMismatch(problems)
    return loaded.to(device).eval()


@contextmanager
def _quiet_library() -> Iterator[None]:
    """Suppress the table of unused keys that transformers logs."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)


def _config(files: ComponentFiles) -> dict[str, Any]:
    """Lengths and sizes of windows: by the kind, and by what `save_pretrained` wrote."""
    config = {"kind": files.kind, "conditioning_frames": CONDITIONING_FRAMES[files.kind]}
    if files.pipeline_index is None:
        return config
    written = json.loads(files.pipeline_index.read_text(encoding="utf-8"))
    return config | {key: written[key] for key in CONFIG_KEYS if key in written}


def find_files(weights: Path, settings: Settings) -> ComponentFiles:
    """The files of the weight set that the settings name, or of the first that is whole.

    Raises:
        EngineUnavailable: None is.
    """
    try:
        return find_components(weights, settings.weight_set)
    except CheckpointMismatch as error:
        raise _unusable_weights_error(error) from error


def measure_memory(
    files: ComponentFiles, settings: Settings, group: SingleProcess | ProcessGroup
) -> MemoryBudget:
    """Memory of the GPU that has the least, and this process's share of the host's."""
    vae_dtype: VaeDtype = "bfloat16" if has_gpu() else "float32"
    if settings.vae_dtype != "auto":
        vae_dtype = settings.vae_dtype
    sizes = network_bytes(
        files,
        float_bytes=2 if has_gpu() else 4,
        vae_float_bytes=4 if vae_dtype == "float32" else 2,
        loras=[lora.path for lora in settings.loras],
    )
    free = torch.cuda.mem_get_info()[0] if has_gpu() else float("inf")
    return MemoryBudget(
        sizes,
        group.all_reduce_min(free),
        vae_dtype,
        group.all_reduce_min(available_bytes() / group.world_size),
        in_strips=group.world_size > 1,
    )


def load_for_plan(
    weights: Path, files: ComponentFiles, plan: MemoryPlan, budget: MemoryBudget, settings: Settings
) -> tuple[MultiTalkPipeline, LoraProfiles]:
    """A directory of weights on the devices of a plan, with its LoRAs.

    Raises:
        EngineUnavailable: The weights are not whole, or a LoRA does not fit them.
        OutOfMemoryError: PyTorch's.
    """
    on_gpu = has_gpu()
    try:
        pipeline = load_pipeline(
            weights,
            torch_dtype=torch.bfloat16 if on_gpu else torch.float32,
            vae_dtype=DTYPES[budget.vae_dtype],
            weight_set=settings.weight_set,
            devices=devices_of(plan, "cuda") if on_gpu else None,
        )
    except CheckpointMismatch as error:
        raise _unusable_weights_error(error) from error
    if on_gpu and budget.vae_dtype == "bfloat16":
        use_channels_last(pipeline.vae)
    loras = LoraProfiles(
        pipeline.transformer, files.transformer, settings.loras, distilled_for=files.profile
    )
    return pipeline, loras


def plans_after(plans: tuple[MemoryPlan, ...]) -> tuple[MemoryPlan, ...]:
    """The plans that are left after one ran out of memory while loading.

    Raises:
        EngineUnavailable: None is left.
    """
    logger.warning("out of memory while loading for the plan: %s", plans[0])
    gc.collect()  # what was loaded before memory ran out
    if has_gpu():
        torch.cuda.empty_cache()
    if len(plans) == 1:
        raise EngineUnavailable("diffusion_out_of_memory", field="engine")
    return plans[1:]


def _unusable_weights_error(error: CheckpointMismatch) -> EngineUnavailable:
    logger.warning("unusable weights: %s", error)
    shown = "; ".join(error.problems[:SHOWN_PROBLEMS])
    return EngineUnavailable("diffusion_weights_unusable", field="engine", problems=shown)
