"""Sizes of the networks in memory, from the headers of their files; needs no torch.

The rules are those by which `loading` opens the files: integers and 8-bit floats stay, the
transformer and UMT5 get the engine's dtype, CLIP and wav2vec 2.0 are float32.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from multitalk.weights.component_files import ComponentFiles
from multitalk.weights.tensor_headers import BYTES_OF, TensorHeader, tensors_of

FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
BLOCKS_AT_ONCE = 2  # of a streamed network on the GPU: the current and the next
# Tensors that are not opened: CLIP's text half, and those of training only.
UNUSED = re.compile(
    r"textual\.|log_scale|visual\.head|quantizer\.|project_hid\.|project_q\.|lm_head\.|"
    r".*\.(input|output)_scale$"
)
IN_A_BLOCK = re.compile(r"(?:.*\.)?blocks?\.(\d+)\.")


@dataclass(frozen=True)
class NetworkBytes:
    """Memory of a network, in bytes.

    Attributes:
        whole: All of its weights.
        streamed: On the GPU while it is streamed: two blocks, and tensors outside of blocks.
        converted: Of `whole`, tensors that the file has in another dtype: on the CPU they take
            memory, while all others stay in the mapped file.
    """

    whole: int
    streamed: int = 0
    converted: int = 0


def network_bytes(
    files: ComponentFiles, *, float_bytes: int, vae_float_bytes: int, loras: Iterable[Path] = ()
) -> dict[str, NetworkBytes]:
    """The networks' sizes by the names of the pipeline's components.

    Args:
        files: Of the set.
        float_bytes: Of an element of the transformer and of UMT5: 2 on a GPU, 4 elsewhere.
        vae_float_bytes: Of an element of the VAE.
        loras: Files of the transformer's LoRAs.
    """
    parts = {
        "transformer": ((files.transformer, files.audio_layers), float_bytes),
        "text_encoder": ((files.text_encoder,), float_bytes),
        "image_encoder": ((files.image_encoder,), FLOATS["F32"]),
        "vae": ((files.vae,), vae_float_bytes),
        "audio_encoder": ((files.audio_encoder,), FLOATS["F32"]),
    }
    sizes = {
        name: _network_bytes([path for path in paths if path is not None], width)
        for name, (paths, width) in parts.items()
    }
    beside = sum(file.stat().st_size for file in loras if file.is_file())
    network = sizes["transformer"]
    share = network.streamed / max(network.whole, 1)
    sizes["transformer"] = NetworkBytes(
        network.whole + beside, network.streamed + int(beside * share), network.converted + beside
    )
    return sizes


def _network_bytes(paths: Iterable[Path], width: int) -> NetworkBytes:
    """Tensors with two names count once; for a name in several files, the last file's."""
    headers, outside = _read_headers(file for path in paths for file in _tensor_files(path))
    converted, blocks = 0, Counter[str]()
    counted = {(file, header.place): (key, header) for key, (file, header) in headers.items()}
    for key, header in counted.values():
        in_file = BYTES_OF[header.dtype]
        loaded = _loaded_bytes(key, header.dtype, width)
        size = header.count * loaded
        converted += size if loaded != in_file else 0
        if block := IN_A_BLOCK.match(key):
            blocks[block[1]] += size
        else:
            outside += size
    streamed = outside + BLOCKS_AT_ONCE * max(blocks.values(), default=0)
    return NetworkBytes(outside + blocks.total(), streamed, converted)


def _loaded_bytes(key: str, dtype: str, width: int) -> int:
    """Bytes of an element in memory, by its dtype in the file."""
    if dtype not in FLOATS:
        return BYTES_OF[dtype]
    return FLOATS["F32"] if key.endswith("_scale") else width


def _read_headers(files: Iterable[Path]) -> tuple[dict[str, tuple[Path, TensorHeader]], int]:
    """Headers of the tensors to open, by key, and the bytes of files without headers."""
    found: dict[str, tuple[Path, TensorHeader]] = {}
    unknown = 0
    for file in files:
        try:
            headers = tensors_of(file)
        except ValueError:  # an old pickle, or a damaged file: an error when it is opened
            unknown += file.stat().st_size
            continue
        found |= {key: (file, header) for key, header in headers.items() if not UNUSED.match(key)}
    return found, unknown


def _tensor_files(path: Path) -> list[Path]:
    """A file, or of a folder those that its index names, or all where there is none."""
    if not path.is_dir():
        return [path]
    for index in path.glob("*.index.json"):
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, LookupError, TypeError, AttributeError):
            continue  # an error when it is opened
        return [file for name in sorted(names) if (file := path / name).is_file()]
    return sorted(path.glob("*.safetensors"))
