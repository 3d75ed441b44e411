"""Headers of weight files: the tensors in a file, and whether it is whole; needs no torch.

A safetensors file begins with a JSON object of its tensors
(https://huggingface.co/docs/safetensors). A `.pth` is a zip archive whose `data.pkl` names them;
it is read by an unpickler that knows nothing but PyTorch's tensors. A download that broke off, or a
repository that was cloned without Git LFS, leaves files of the right names: headers and sizes show
them in a moment.
"""

import json
import math
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POINTER = b"version https://git-lfs.github.com/spec/"
LONGEST_POINTER = 1024
LONGEST_HEADER = 100_000_000  # the format's own limit
ARCHIVE = b"PK\x03\x04"  # how PyTorch's archives begin; older files of its are pickles only


def damage_of(file: Path) -> str | None:
    """The damage of a file, as the end of a sentence, with the remedy; None for a whole file.

    Args:
        file: `.safetensors`, `.pth` or `.json`; of others only what `pointer_of` and emptiness say.
    """
    try:
        damage = pointer_of(file)
        if damage is not None:
            return damage
        if file.suffix == ".safetensors":
            damage = _cut_safetensors(file)
        elif file.suffix == ".pth":
            damage = _cut_archive(file)
        elif file.stat().st_size == 0:
            damage = "empty"
    except OSError as error:
        damage = f"cannot be read ({error.strerror})"
    return None if damage is None else f"{damage}: delete it and fetch it again"


def pointer_of(file: Path) -> str | None:
    """A sentence if the file is a Git LFS pointer, with the remedy; else None.

    Raises:
        OSError: The file cannot be read.
    """
    size = file.stat().st_size
    if size > LONGEST_POINTER:
        return None
    with file.open("rb") as opened:
        if opened.read(len(POINTER)) != POINTER:
            return None
    return f"a Git LFS pointer of {size} bytes in the file's place: git lfs pull brings the file"


def _cut_safetensors(file: Path) -> str | None:
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if size < 8 or length > LONGEST_HEADER:
            return f"no safetensors ({size} bytes)"
        header = opened.read(length)
    if len(header) < length:
        return f"cut short in its header ({size} bytes)"
    try:
        tensors = json.loads(header)
        end = max(
            (values["data_offsets"][1] for name, values in tensors.items() if name[:2] != "__"),
            default=0,
        )
        whole = 8 + length + int(end)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return "damaged in its header"
    return None if size == whole else f"{size} of {whole} bytes"


def _cut_archive(file: Path) -> str | None:
    """An archive's list of contents is its end."""
    size = file.stat().st_size
    if size == 0:
        return "empty"
    with file.open("rb") as opened:
        is_archive = opened.read(len(ARCHIVE)) == ARCHIVE
    return f"cut short at {size} bytes" if is_archive and not zipfile.is_zipfile(file) else None


# Bytes of a number, by safetensors' names.
BYTES_OF = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL"), 1),
}
STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
    "Float8_e4m3fnStorage": "F8_E4M3",
}
# Errors of reading damaged files, or files of another format.
UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    StopIteration,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class TensorHeader:
    """Header of a tensor.

    Attributes:
        dtype: By safetensors' name.
        shape: Its sizes.
        place: Storage and offset in the file; equal for two names of one tensor.
    """

    dtype: str
    shape: tuple[int, ...]
    place: tuple[object, int]

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def tensors_of(file: Path) -> dict[str, TensorHeader]:
    """The tensors of a `.pth` or a safetensors file, by their names.

    Raises:
        ValueError: The file has no such header, or it cannot be read.
    """
    try:
        return _archive(file) if file.suffix == ".pth" else _safetensors(file)
    except UNREADABLE as error:
        raise ValueError(f"{file.name}: no header of tensors: {error}") from error


def _safetensors(file: Path) -> dict[str, TensorHeader]:
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > LONGEST_HEADER:
            raise ValueError("no safetensors")
        header = json.loads(opened.read(length))
    return {
        name: TensorHeader(entry["dtype"], tuple(entry["shape"]), ("", entry["data_offsets"][0]))
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _archive(file: Path) -> dict[str, TensorHeader]:
    with zipfile.ZipFile(file) as archive:
        index = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        with archive.open(index) as opened:
            content = _HeaderUnpickler(opened).load()
    content = content.get("state_dict", content)
    return {name: value for name, value in content.items() if isinstance(value, TensorHeader)}


class _HeaderUnpickler(pickle.Unpickler):
    """Makes headers where PyTorch would make tensors, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        """The replacement of a class or function of the pickle."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _rebuild_parameter
        raise pickle.UnpicklingError(f"{module}.{name} is no tensor")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        """The storage of a tensor, as its dtype and its name."""
        _, dtype, key, *_ = pid
        return dtype, key


def _rebuild(storage: tuple[str, str], offset: int, size: Any, *_: object) -> TensorHeader:
    dtype, key = storage
    return TensorHeader(dtype, tuple(size), (key, offset))


def _rebuild_parameter(tensor: TensorHeader, *_: object) -> TensorHeader:
    return tensor
