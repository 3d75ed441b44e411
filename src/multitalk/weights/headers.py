"""Whether a file of weights is whole, told by its size and its header: no value is read.

A download that broke off, or a repository that was cloned without Git LFS, leaves files of the
right names. This sees them in a moment, and needs no torch.
"""

import json
import zipfile
from pathlib import Path

POINTER = b"version https://git-lfs.github.com/spec/"
LONGEST_POINTER = 1024
LONGEST_HEADER = 100_000_000  # the format's own limit
ARCHIVE = b"PK\x03\x04"  # how PyTorch's archives begin; older files of its are pickles only


def damage_of(file: Path) -> str | None:
    """What is wrong with a file, as the end of a sentence, with its way out; None if nothing is.

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
    """That a file is only Git LFS's note of where the real one is, with the way out; else None.

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
