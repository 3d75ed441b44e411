"""Files that are cut or only stand for others are seen by their sizes and headers."""

import json
import zipfile
from pathlib import Path

import pytest

from multitalk.weights.tensor_headers import damage_of

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


def safetensors(data: bytes, **header: object) -> bytes:
    """A file of one tensor, whose values may be cut."""
    tensor = {"dtype": "U8", "shape": [40], "data_offsets": [0, 40], **header}
    text = json.dumps({"__metadata__": {"format": "pt"}, "a": tensor}).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "tokenizer.json"])
def test_a_git_lfs_pointer_is_told_with_its_way_out(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(POINTER)
    said = damage_of(tmp_path / name)
    assert said is not None
    assert said.startswith(f"a Git LFS pointer of {len(POINTER)} bytes")
    assert "git lfs pull" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (safetensors(bytes(40)), None),
        (safetensors(bytes(39)), "of"),
        (safetensors(bytes(41)), "of"),
        (safetensors(b"")[:20], "cut short in its header"),
        (safetensors(bytes(40), data_offsets=3), "damaged in its header"),
        (b"", "no safetensors"),
        (b"\xff" * 100, "no safetensors"),
        (b"\x02\0\0\0\0\0\0\0{}", None),
    ],
)
def test_safetensors_are_as_long_as_their_header_says(
    content: bytes, said: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(content)
    damage = damage_of(file)
    if said is None:
        assert damage is None
    else:
        assert damage is not None
        assert said in damage
        assert damage.endswith("delete it and fetch it again")


def test_an_archive_that_lacks_its_end_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "a.pth"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(1000))
    assert damage_of(file) is None
    file.write_bytes(file.read_bytes()[:-60])
    assert "cut short at" in str(damage_of(file))
    file.write_bytes(b"\x80\x02 an older file of PyTorch's")
    assert damage_of(file) is None
    file.write_bytes(b"")
    assert "empty" in str(damage_of(file))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "cannot be read" in str(damage_of(tmp_path / "a.safetensors"))
