"""How much memory each network of a weight set takes, told from its files' headers; without torch.

The rules are those by which `loading` opens them: integers and 8-bit floats stay, the transformer
and UMT5 get the engine's dtype, CLIP and wav2vec 2.0 are float32.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from multitalk.engines.diffusion.weight_files import WeightFiles
from multitalk.weights.tensor_headers import BYTES_OF, TensorHeader, tensors_of

FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
BLOCKS_AT_ONCE = 2  # of a streamed network on the GPU: the one at work and the next
# What a file holds and the engine does not open: CLIP's half that reads, what only training needs.
LEFT = re.compile(
    r"textual\.|log_scale|visual\.head|quantizer\.|project_hid\.|project_q\.|lm_head\.|"
    r".*\.(input|output)_scale$"
)
IN_A_BLOCK = re.compile(r"(?:.*\.)?blocks?\.(\d+)\.")


@dataclass(frozen=True)
class NetworkBytes:
    """What a network takes, in bytes.

    Attributes:
        whole: All of its weights.
        streamed: On the GPU while it comes block by block: two blocks, and what is in none.
        converted: Of `whole`, what is in the file in another dtype: on the CPU it takes memory of
            its own, while all else stays in the mapped file.
    """

    whole: int
    streamed: int = 0
    converted: int = 0


def network_bytes(
    files: WeightFiles, *, float_bytes: int, vae_float_bytes: int, loras: Iterable[Path] = ()
) -> dict[str, NetworkBytes]:
    """The networks' sizes by the names of the pipeline's components.

    Args:
        files: Of the set.
        float_bytes: Of a number of the transformer and of UMT5: 2 on a GPU, 4 elsewhere.
        vae_float_bytes: Of a number of the VAE.
        loras: Files that lie beside the transformer's weights.
    """
    parts = {
        "transformer": ((files.transformer, files.audio_part), float_bytes),
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
    """Tensors with two names count once; of several files that have a name, the last one's."""
    found: dict[str, tuple[Path, TensorHeader]] = {}
    unknown = 0
    for file in (file for path in paths for file in _tensor_files(path)):
        try:
            headers = tensors_of(file)
        except ValueError:  # an old pickle, or damaged, which whoever opens it says
            unknown += file.stat().st_size
            continue
        found |= {key: (file, header) for key, header in headers.items() if not LEFT.match(key)}
    counted = {(file, header.place): (key, header) for key, (file, header) in found.items()}
    outside, converted, blocks = unknown, 0, Counter[str]()
    for key, header in counted.values():
        is_float = header.dtype in FLOATS
        size = (4 if key.endswith("_scale") else width) if is_float else BYTES_OF[header.dtype]
        converted += header.count * size if is_float and FLOATS[header.dtype] != size else 0
        block = IN_A_BLOCK.match(key)
        if block:
            blocks[block[1]] += header.count * size
        else:
            outside += header.count * size
    streamed = outside + BLOCKS_AT_ONCE * max(blocks.values(), default=0)
    return NetworkBytes(outside + blocks.total(), streamed, converted)


def _tensor_files(path: Path) -> list[Path]:
    """A file, or of a folder those that its index names, or all where there is none."""
    if not path.is_dir():
        return [path]
    for index in path.glob("*.index.json"):
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, LookupError, TypeError, AttributeError):
            continue  # whoever opens it says so
        return [file for name in sorted(names) if (file := path / name).is_file()]
    return sorted(path.glob("*.safetensors"))
