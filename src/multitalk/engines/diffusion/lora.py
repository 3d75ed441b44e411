"""LoRA files: low-rank changes of weights, in whatever naming they were published.

Read are `lora_down`/`lora_up` and `lora_A`/`lora_B` pairs, under published or diffusers names, bare
or after a known prefix, with dots or with kohya's underscores; `alpha`; and whole differences of
weights (`diff`), biases (`diff_b`) and modulation tables (`diff_m`). A change at scale s is

    W += s * (alpha / rank) * up @ down + s * diff,    b += s * diff_b

with alpha = rank where a file has none. A key that has no module in the model is an error, except
those of a model of the same family with other inputs: these are ignored, with a warning.
"""

import logging
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from multitalk.engines.diffusion.convert_transformer import to_diffusers, to_published
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel

PREFIXES = ("base_model.model.", "diffusion_model.", "transformer.", "pipe.dit.", "model.")
KOHYA_PREFIX = "lora_unet_"
ADAPTER_NAME = "lora"
PARTS = {
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.default.weight": "up",
    ".alpha": "alpha",
}
DIFFERENCES = {".diff": "weight", ".diff_b": "bias", ".diff_m": "scale_shift_table"}
MODULATION = (".modulation", "_modulation")  # with dots, or with kohya's underscores
SHOWN_IGNORED = 5

logger = logging.getLogger(__name__)


class LoraMismatch(ValueError):
    """A file that does not fit the model; lists everything that does not fit.

    Attributes:
        problems: One sentence each, beginning with a key of the file or a module's name.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass
class ModuleChange:
    """The change of one module by a file.

    Attributes:
        down: [rank, in], or None.
        up: [out, rank], or None.
        alpha: A number; the pair is multiplied by alpha / rank.
        differences: Of whole parameters, by the parameter's name in the module.
    """

    down: torch.Tensor | None = None
    up: torch.Tensor | None = None
    alpha: torch.Tensor | None = None
    differences: dict[str, torch.Tensor] = field(default_factory=dict)

    def set(self, ending: str, tensor: torch.Tensor) -> None:
        """Add a tensor whose key has this ending."""
        if ending in PARTS:
            setattr(self, PARTS[ending], tensor)
        else:
            self.differences[DIFFERENCES[ending]] = tensor

    @property
    def scaled_up(self) -> torch.Tensor | None:
        """`up` times alpha / rank, or None where there is no pair."""
        if self.up is None or self.down is None or self.alpha is None:
            return self.up
        return self.up * (float(self.alpha) / self.down.shape[0])


Lora = dict[str, ModuleChange]  # by diffusers' name of the module


def read_lora(file: Path, model: nn.Module) -> Lora:
    """Read a file and assign its tensors to the modules of a model.

    Raises:
        LoraMismatch: Unknown keys, unpaired halves, wrong shapes, no tensor for this model, a
            damaged file.
    """
    tensors = _read(file)
    modules = {name: base_layer(module) for name, module in model.named_modules()}
    lora, problems, ignored = _assign(tensors, modules)
    if not tensors:
        problems.append(f"{file.name}: empty")
    if ignored and not lora:
        problems.append(f"{file.name}: nothing in it has a place in this network")
    if problems:
        raise LoraMismatch(problems)
    if ignored:
        shown = ", ".join(ignored[:SHOWN_IGNORED])
        logger.warning(
            "%s: %d tensors ignored, of another model: %s", file.name, len(ignored), shown
        )
    return lora


def _assign(
    tensors: Mapping[str, torch.Tensor], modules: Mapping[str, nn.Module]
) -> tuple[Lora, list[str], list[str]]:
    """Tensors by the module that they change, problems, and ignored keys with their shapes."""
    kohya = {
        spelled.replace(".", "_"): name
        for name in modules
        for spelled in (name, to_published(name))
    }
    lora: Lora = {}
    problems, ignored = [], []
    for key, tensor in tensors.items():
        stem, ending = _split(key)
        name = stem if ending is None else _module_name(stem, ending, kohya)
        if _is_ignored(name, tensor, modules):
            ignored.append(f"{key} {list(tensor.shape)}")
        elif ending is None or name not in modules:
            problems.append(f"{key}: unknown")
        else:
            lora.setdefault(name, ModuleChange()).set(ending, tensor)
    for name, change in lora.items():
        problems += _mismatches(name, change, modules[name])
    return lora, problems, ignored


class AttachedLoras:
    """LoRAs beside a model's weights, which can be enabled and disabled at any time.

    Pairs become the library's adapters, whatever the weights are stored as. Differences are added
    to the parameters, whose original values are kept. LoRAs are to be attached before layerwise
    casting and offloading.
    """

    def __init__(self, model: MultiTalkTransformer3DModel) -> None:
        """Start with a model without LoRAs."""
        self._model = model
        self._adapters: list[str | None] = []  # by LoRA; None for one without pairs
        self._differences: list[list[tuple[nn.Parameter, torch.Tensor, float]]] = []
        self._before: dict[nn.Parameter, torch.Tensor] = {}

    def add(self, lora: Lora, *, scale: float) -> None:
        """Attach a LoRA, and enable all of them.

        Raises:
            LoraMismatch: A whole difference of a weight that is held in 8 bits; nothing changed.
        """
        modules = {name: base_layer(self._model.get_submodule(name)) for name in lora}
        _refuse_8_bits(
            modules[name] for name, change in lora.items() if "weight" in change.differences
        )
        self._adapters.append(self._add_adapter(_pairs(lora, scale, self._model.dtype)))
        differences = [
            (getattr(modules[name], parameter), difference, scale)
            for name, change in lora.items()
            for parameter, difference in change.differences.items()
        ]
        for changed, _, _ in differences:
            self._before.setdefault(changed, changed.detach().clone())
        self._differences.append(differences)
        self.enable(range(len(self._adapters)))

    def _add_adapter(self, pairs: dict[str, torch.Tensor]) -> str | None:
        """The name of a new adapter of the library, or None where there are no pairs."""
        if not pairs:
            return None
        name = f"{ADAPTER_NAME}{len(self._adapters)}"
        with warnings.catch_warnings():  # that there is one already: several are meant
            warnings.filterwarnings("ignore", "Already found a `peft_config`")
            # Taken as they are: otherwise the library makes float32 ones first, at random, and
            # beside weights in 8 bits they stay so, which costs a quarter of a forward.
            self._model.load_lora_adapter(
                pairs, adapter_name=name, prefix=None, low_cpu_mem_usage=True
            )
        return name

    def enable(self, numbers: Collection[int]) -> None:
        """Enable some of the LoRAs, and disable the others.

        Args:
            numbers: In the order in which they were attached, from 0.
        """
        in_order = sorted(numbers)
        names = [name for name in map(self._adapters.__getitem__, in_order) if name is not None]
        if names:
            self._model.enable_lora()
            self._model.set_adapter(names)
        elif any(self._adapters):
            self._model.disable_lora()
        self._set_differences(in_order)

    @torch.no_grad()
    def _set_differences(self, numbers: Iterable[int]) -> None:
        """Add the differences of some LoRAs to the parameters' original values."""
        for parameter, values in self._before.items():
            parameter.copy_(values)
        for number in numbers:
            for parameter, difference, scale in self._differences[number]:
                add_scaled(parameter, difference, scale)


def _pairs(lora: Lora, scale: float, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The low-rank pairs under the library's names, the second of each times `scale`."""
    pairs = {}
    for name, change in lora.items():
        if change.down is not None and change.scaled_up is not None:
            pairs[f"{name}.lora_A.weight"] = change.down.to(dtype)
            pairs[f"{name}.lora_B.weight"] = (change.scaled_up.float() * scale).to(dtype)
    return pairs


def base_layer(module: nn.Module) -> nn.Module:
    """The layer inside of the library's adapter, if there is one."""
    return getattr(module, "base_layer", module)


def _read(file: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(file)
    except OSError as error:
        raise LoraMismatch([f"{file.name}: cannot be read ({error.strerror})"]) from error
    except SafetensorError as error:
        raise LoraMismatch([f"{file.name}: cannot be read ({error})"]) from error


def _split(key: str) -> tuple[str, str | None]:
    """A key without its ending, and the ending; None for an unknown ending."""
    ending = next((ending for ending in (*PARTS, *DIFFERENCES) if key.endswith(ending)), None)
    if ending is None:
        return key, None
    stem = key.removesuffix(ending)
    if ending == ".diff" and stem.endswith(MODULATION):  # a longer way to say the same
        return stem[: -len(MODULATION[0])], ".diff_m"
    return stem, ending


def _is_ignored(name: str, tensor: torch.Tensor, modules: Mapping[str, nn.Module]) -> bool:
    """True for keys of Wan's text-to-video model, and of a norm that only some versions have."""
    if name == "patch_embedding":  # there, it sees 16 channels of noise and no picture
        weight = modules[name].weight
        return (
            tensor.dim() == weight.dim()
            and tensor.shape[1] < weight.shape[1]
            and tensor.shape[2:] == weight.shape[2:]
        )
    return name.endswith("norm_added_q") and name not in modules


def _module_name(key: str, ending: str, kohya: dict[str, str]) -> str:
    """A key without its ending -> diffusers' name of the module, known or not."""
    if ending == ".diff_m":  # the module is not named, but the block or head that holds it
        table = _module_name(f"{key}.modulation", "", kohya)
        return table.removesuffix("scale_shift_table").rstrip(".")
    if key.startswith(KOHYA_PREFIX):
        return kohya.get(key.removeprefix(KOHYA_PREFIX).lstrip("_"), key)
    for prefix in PREFIXES:
        key = key.removeprefix(prefix)
    return to_diffusers(key)


def _mismatches(name: str, change: ModuleChange, module: nn.Module) -> list[str]:
    """Problems of a change that does not fit its module."""
    pair = _pair_mismatch(change, module)
    problems = [] if pair is None else [f"{name}: {pair}"]
    for parameter, difference in change.differences.items():
        whole = getattr(module, parameter, None)
        if not isinstance(whole, torch.Tensor):
            problems.append(f"{name}: a difference of a {parameter} that it has not")
        elif difference.shape != whole.shape:
            shapes = f"{list(difference.shape)} for {list(whole.shape)}"
            problems.append(f"{name}: a difference of its {parameter}, {shapes}")
    return problems


def _pair_mismatch(change: ModuleChange, module: nn.Module) -> str | None:
    down, up = change.down, change.up
    if down is None and up is None:
        return "alpha without a pair" if change.alpha is not None else None
    if down is None or up is None:
        return "one half of a pair"
    shapes = f"{list(up.shape)} x {list(down.shape)}"
    if not isinstance(module, nn.Linear):
        return f"a pair {shapes} for a layer that is not Linear"
    if up.shape[1:] != down.shape[:1] or up.shape[:1] + down.shape[1:] != module.weight.shape:
        return f"a pair {shapes} for a weight {list(module.weight.shape)}"
    return None


def _refuse_8_bits(changed: Iterable[nn.Module]) -> None:
    count = sum(not module.weight.is_floating_point() for module in changed)
    if count:
        raise LoraMismatch([f"{count} weights to be changed are held in 8 bits"])


def add_scaled(parameter: torch.Tensor, difference: torch.Tensor, scale: float) -> None:
    """Add a scaled difference in place, in float32, so that bfloat16 weights are rounded once."""
    added = parameter.float() + scale * difference.to(parameter.device).float()
    parameter.copy_(added.to(parameter.dtype))
