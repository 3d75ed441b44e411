"""Files of tensors, safetensors or `.pth`: compared with a network, then put into it.

Both kinds are mapped into memory, not read. Names, shapes and dtypes are known before the first
value is, and a tensor that keeps its dtype on the CPU stays in the file until a layer uses it.
Other tensors are converted one at a time.
"""

import errno
import logging
import mmap
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from types import MappingProxyType

import torch
from torch import nn

from multitalk.engines.diffusion.quantized import as_held
from multitalk.weights.component_files import CheckpointMismatch
from multitalk.weights.tensor_headers import ARCHIVE, damage_of, pointer_of, tensors_of

# Of Linux on x86-64 and arm64; Python knows its name from 3.13 on.
MAP_NORESERVE = 0x4000 if sys.platform == "linux" else 0
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredTensor:
    """A parameter in a file.

    Attributes:
        file: Of the tensor.
        key: Its name in the file.
        values: Mapped from the file.
    """

    file: Path
    key: str
    values: torch.Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the values."""
        return tuple(self.values.shape)


StoredTensors = dict[str, StoredTensor]  # by the name of the parameter


def open_tensors(files: Iterable[Path], name_of: Callable[[str], str | None]) -> StoredTensors:
    """Map files into memory.

    Args:
        files: Tensors of a later one replace those of an earlier one.
        name_of: From a key of a file to the name of the parameter; None for an unused one.

    Raises:
        CheckpointMismatch: Files that are missing, cut, or hold anything other than tensors.
    """
    stored: StoredTensors = {}
    problems: list[str] = []
    for file in files:
        try:
            tensors = _map_file(file)
        except CheckpointMismatch as error:
            problems += error.problems
            continue
        for key, values in tensors.items():
            name = name_of(key)
            if name is not None:
                stored[name] = StoredTensor(file, key, values)
    if problems:
        raise CheckpointMismatch(problems)
    return stored


def check_readable(files: Iterable[Path]) -> None:
    """Check that files are whole, before a library opens them whose errors do not name them.

    Raises:
        CheckpointMismatch: Lists the files that are not.
    """
    open_tensors(files, lambda _: None)


def require(stored: StoredTensors, names: Iterable[str]) -> None:
    """Check for the tensors from which a network's sizes are derived.

    Raises:
        CheckpointMismatch: Lists the missing ones.
    """
    missing = [name for name in names if name not in stored]
    if missing:
        raise CheckpointMismatch(f"{name}: missing tensor" for name in missing)


def fill(
    network: nn.Module,
    stored: StoredTensors,
    *,
    dtype_of: Callable[[str], torch.dtype],
    device: str | torch.device,
    tied: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Load tensors into a network on the meta device; integers keep their dtype.

    Args:
        network: On the meta device except its buffers; on `device` afterwards.
        stored: Is emptied, so that files are closed one after another.
        dtype_of: From the name of a parameter to its dtype.
        device: Of the loaded network.
        tied: Further names of parameters that files have once, by those names.

    Raises:
        CheckpointMismatch: Missing or unknown tensors, wrong shapes or kinds of numbers.
    """
    problems = _mismatches(network, stored, tied)
    if problems:
        raise CheckpointMismatch(problems)
    state = {}
    for name in list(stored):
        values = as_held(stored.pop(name).values).to(device)
        state[name] = values.to(dtype_of(name)) if values.is_floating_point() else values
    state |= {also: state[name] for also, name in tied.items()}
    network.load_state_dict(state, assign=True)
    network.to(device).eval()


def translate(name: str, table: Mapping[str, str]) -> str:
    """Replace the first prefix of a module's or parameter's name that is in a table."""
    for old, new in table.items():
        if name == old or name.startswith(f"{old}."):
            return new + name[len(old) :]
    return name


def _map_file(file: Path) -> dict[str, torch.Tensor]:
    """Map one file into memory.

    Raises:
        CheckpointMismatch: It is missing, cut, a pointer, or holds anything other than tensors.
    """
    try:
        pointer = pointer_of(file)
        if pointer is not None:
            raise CheckpointMismatch([f"{file.name}: {pointer}"])
        return _map_pickle(file) if file.suffix == ".pth" else _map_safetensors(file)
    except CheckpointMismatch:
        raise
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, UnpicklingError) as error:
        raise CheckpointMismatch([f"{file.name}: {_reason_unreadable(error, file)}"]) from error


def _reason_unreadable(error: Exception, file: Path) -> str:
    """The reason why a file cannot be mapped, without the local paths of the library's error."""
    if isinstance(error, FileNotFoundError):
        return "missing file"
    logger.warning("%s cannot be read: %s", file, error)
    if isinstance(error, UnpicklingError):
        reason = "holds more than tensors, which could run a stranger's code, or is damaged"
        return f"not opened: it {reason}"
    if os.strerror(errno.ENOMEM) in str(error):  # PyTorch maps a .pth so that it could write
        return "cannot be read: the host has less memory than its size; .safetensors needs none"
    return "cannot be read: cut short or damaged"


def _map_safetensors(file: Path) -> dict[str, torch.Tensor]:
    """Map a file without reserving memory for writes.

    The library's own mapping of a file that is larger than the machine's memory is refused.
    """
    damage = damage_of(file)
    if damage is not None:
        raise ValueError(damage)
    with file.open("rb") as opened:
        begin = 8 + int.from_bytes(opened.read(8), "little")
        mapped = mmap.mmap(opened.fileno(), 0, flags=mmap.MAP_PRIVATE | MAP_NORESERVE)
    tensors = {}
    for key, header in tensors_of(file).items():
        dtype, (_, offset) = DTYPES[header.dtype], header.place
        values = torch.empty(0, dtype=dtype)
        if header.count:
            values = torch.frombuffer(
                mapped, dtype=dtype, count=header.count, offset=begin + offset
            )
        tensors[key] = values.view(header.shape)
    return tensors


def _map_pickle(file: Path) -> dict[str, torch.Tensor]:
    with file.open("rb") as opened:
        mappable = opened.read(len(ARCHIVE)) == ARCHIVE  # older ones are pickles only
    content = torch.load(file, map_location="cpu", mmap=mappable, weights_only=True)
    if isinstance(content, dict):
        content = content.get("state_dict", content)
    if not isinstance(content, dict):
        raise CheckpointMismatch([f"{file.name}: no names of tensors in it"])
    others = [key for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise CheckpointMismatch(f"{file.name}: {key}: not a tensor" for key in others)
    return content


def _mismatches(network: nn.Module, stored: StoredTensors, tied: Mapping[str, str]) -> list[str]:
    expected = {key: value for key, value in network.state_dict().items() if key not in tied}
    problems = [f"{name}: missing tensor" for name in expected if name not in stored]
    for name, tensor in stored.items():
        place = f"{tensor.file.name}: {tensor.key}"
        if name not in expected:
            problems.append(f"{place}: unknown tensor")
        elif tensor.shape != tuple(expected[name].shape):
            shape = list(expected[name].shape)
            problems.append(f"{place}: shape {list(tensor.shape)}, not {shape}")
        elif as_held(tensor.values).is_floating_point() != expected[name].is_floating_point():
            problems.append(f"{place}: {tensor.values.dtype} for {expected[name].dtype}")
    return problems
