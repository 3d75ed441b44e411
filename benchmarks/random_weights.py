"""Weight sets of random numbers, or of none, under the published names and in the published files.

With values, a set is as large as the published one and gives finite pictures of noise. Without, its
files have their headers and sizes, but hold nothing, so that they take no disk. `bf16-diffusers`,
which the libraries wrote themselves, is not among the sets.
"""

import json
import math
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from diffusers import AutoencoderKLWan
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.serialization import skip_data
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    UMT5Config,
    UMT5EncoderModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
)

from multitalk.weights.component_files import INDEX_NAME
from multitalk.weights.sets import Part, load_manifest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "engines" / "diffusion"))  # where the names are known
from publish import wan_image_names, wan_text_names, wan_vae_names  # noqa: E402

SETS = tuple(name for name in load_manifest().sets if name != "bf16-diffusers")
SHARDS = 7  # of the published network in float32
# Random numbers that all tensors share. A prime: rows of no width begin at the same place twice.
POOL, SMALL_POOL = 16_777_213, 65_521
CODES = {"int8": ("I8", torch.int8, 40.0), "fp8": ("F8_E4M3", torch.float8_e4m3fn, 100.0)}
DTYPES = {
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "I8": torch.int8,
    "F8_E4M3": torch.float8_e4m3fn,
}
# What the files in 8 bits hold in full: the authors' maps have some more or some fewer.
NOT_IN_8_BITS = {
    "FusionX": ("audio_proj",),
    "dit_model": (),
    "infinitetalk": ("text_embedding", "time_embedding.0", "time_projection", "head", "img_emb"),
}


@dataclass(frozen=True)
class Scale:
    """How large the networks are.

    Attributes:
        heads: Of the transformer; `head_dim`, `ffn`, `layers` and `freq` are its others.
        audio: Width of the speech features, of the projection's hidden and last layer, and its
            tokens.
        vae: Options of the library's class, as all below.
    """

    heads: int
    head_dim: int
    ffn: int
    layers: int
    freq: int
    audio: tuple[int, int, int, int]
    vae: Mapping[str, Any]
    text_encoder: Mapping[str, Any]
    image_encoder: Mapping[str, Any]
    audio_encoder: Mapping[str, Any]

    @property
    def dim(self) -> int:
        """Width of the transformer."""
        return self.heads * self.head_dim


REAL = Scale(
    heads=40,
    head_dim=128,
    ffn=13_824,
    layers=40,
    freq=256,
    audio=(12 * 768, 512, 768, 32),
    vae={},
    text_encoder={
        "vocab_size": 256_384,
        "d_model": 4096,
        "d_kv": 64,
        "d_ff": 10_240,
        "num_layers": 24,
        "num_heads": 64,
    },
    image_encoder={
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
        "hidden_act": "gelu",
    },
    audio_encoder={},
)
TOY = Scale(
    heads=2,
    head_dim=16,
    ffn=48,
    layers=2,
    freq=32,
    audio=(2 * 16, 8, 8, 4),
    vae={"base_dim": 4},
    text_encoder={
        "vocab_size": 200,
        "d_model": 16,
        "d_kv": 4,
        "d_ff": 16,
        "num_layers": 2,
        "num_heads": 2,
    },
    image_encoder={
        "hidden_size": 80,
        "intermediate_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 1,
        "image_size": 28,
        "patch_size": 14,
        "hidden_act": "gelu",
    },
    audio_encoder={
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "conv_dim": (8,) * 7,
        "num_conv_pos_embeddings": 4,
        "num_conv_pos_embedding_groups": 2,
    },
)


@dataclass(frozen=True)
class Entry:
    """A tensor of a file: how it is stored, its shape, mean and deviation of its values."""

    dtype: str
    shape: tuple[int, ...]
    mean: float = 0.0
    deviation: float = 0.0

    @property
    def nbytes(self) -> int:
        """Of the values."""
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


Entries = dict[str, Entry]


def write_set(
    name: str,
    directory: Path,
    scale: Scale = REAL,
    *,
    values: bool = True,
    in_full: str = "F32",
    components: Iterable[str] | None = None,
) -> None:
    """Write one weight set; existing files stay.

    Args:
        name: Of `SETS`.
        directory: Of weights.
        scale: How large.
        values: Whether the files hold numbers, or nothing.
        in_full: The dtype of a network that is not in 8 bits: F32 as published, or BF16.
        components: Which of the set's; None for all.
    """
    for component, (source, *_) in load_manifest().sources(name).items():
        if components is None or component in components:
            folder = directory / source.repository.split("/")[1]
            folder.mkdir(parents=True, exist_ok=True)
            _write_part(component, source.part, folder, scale, values=values, in_full=in_full)
    _pool.cache_clear()


def _write_part(
    component: str, part: Part, folder: Path, scale: Scale, *, values: bool, in_full: str
) -> None:
    file = folder / part.opens.replace("*", "network")
    file.parent.mkdir(parents=True, exist_ok=True)
    if component == "tokenizer":
        write_tokenizer(file)
    elif component == "audio_encoder":
        _write(file / "model.safetensors", speech_entries(scale), values)
        Wav2Vec2Config(**scale.audio_encoder).save_pretrained(file)
    elif component == "transformer_config" or part.index is not None:
        config = {"_class_name": "WanModel", "num_heads": scale.heads, "text_len": 512, "eps": 1e-6}
        (folder / "config.json").write_text(json.dumps(config))
        if part.index is not None:
            _write_shards(folder, network_entries(scale, in_full), values)
    elif component == "audio_layers":
        entries = network_entries(scale, in_full)
        _write(file, {key: entry for key, entry in entries.items() if _is_audio(key)}, values)
    elif component == "transformer" and file.suffix == ".pth":
        _write(file, network_entries(scale, in_full), values)
    elif component == "transformer":
        kept = next(names for part, names in NOT_IN_8_BITS.items() if part in file.name)
        storage = next(word for word in CODES if word in file.name)
        dtype = "BF16" if "dit_model" in file.name else "F32"
        _write(file, _in_8_bits(network_entries(scale, dtype), storage, kept), values)
    elif component == "text_encoder":
        entries = text_entries(scale)
        if file.suffix != ".pth":
            storage = next(word for word in CODES if word in file.name)
            entries = _in_8_bits(entries, storage, ("token_embedding",))
        _write(file, entries, values)
    else:
        make = {"image_encoder": picture_entries, "vae": vae_entries}[component]
        _write(file, make(scale), values)


def network_entries(scale: Scale, dtype: str) -> Entries:
    """The transformer's tensors, as the authors' code names them."""
    dim, ffn = scale.dim, scale.ffn
    text, image = scale.text_encoder["d_model"], scale.image_encoder["hidden_size"]
    features, hidden, audio, tokens = scale.audio
    outside = {
        "text_embedding.0": (dim, text),
        "text_embedding.2": (dim, dim),
        "time_embedding.0": (dim, scale.freq),
        "time_embedding.2": (dim, dim),
        "time_projection.1": (6 * dim, dim),
        "head.head": (64, dim),
        "img_emb.proj.1": (image, image),
        "img_emb.proj.3": (dim, image),
        "audio_proj.proj1": (hidden, 5 * features),
        "audio_proj.proj1_vf": (hidden, 8 * features),
        "audio_proj.proj2": (hidden, hidden),
        "audio_proj.proj3": (tokens * audio, hidden),
    }
    inside = {
        **{f"self_attn.{role}": (dim, dim) for role in "qkvo"},
        **{f"cross_attn.{role}": (dim, dim) for role in ("q", "k", "v", "o", "k_img", "v_img")},
        "audio_cross_attn.q_linear": (dim, dim),
        "audio_cross_attn.kv_linear": (2 * dim, audio),
        "audio_cross_attn.proj": (dim, dim),
        "ffn.0": (ffn, dim),
        "ffn.2": (dim, ffn),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embedding.weight": (dim, 36, 1, 2, 2),
        "patch_embedding.bias": (dim,),
        "head.modulation": (1, 2, dim),
    }
    norms = {"img_emb.proj.0": image, "img_emb.proj.4": dim, "audio_proj.norm": audio}
    linears = dict(outside)
    for block in range(scale.layers):
        prefix = f"blocks.{block}."
        shapes[f"{prefix}modulation"] = (1, 6, dim)
        linears |= {prefix + name: shape for name, shape in inside.items()}
        for name in ("self_attn.norm_q", "self_attn.norm_k"):
            shapes[f"{prefix}{name}.weight"] = (dim,)
        for name in ("norm_q", "norm_k", "norm_k_img"):
            shapes[f"{prefix}cross_attn.{name}.weight"] = (dim,)
        norms |= {f"{prefix}{name}": dim for name in ("norm3", "norm_x")}
    for name, shape in linears.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, width in norms.items():
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return _spread(shapes, dtype)


def text_entries(scale: Scale) -> Entries:
    """UMT5's, in 16 bits."""
    with torch.device("meta"):
        state = UMT5EncoderModel(UMT5Config(**scale.text_encoder)).state_dict()
    entries = _spread(_shapes(wan_text_names(state)), "BF16")
    for name, entry in entries.items():
        gain = 1.0  # its scores are not divided by the root of a head's width
        if len(entry.shape) == 2 and name.startswith("blocks."):
            gain = 0.125 if ".attn.q." in name else 0.3
        if name == "token_embedding.weight":
            gain = entry.shape[1] ** 0.5
        deviation = gain * entry.deviation
        entries[name] = Entry(entry.dtype, entry.shape, entry.mean, deviation)
    return entries


def picture_entries(scale: Scale) -> Entries:
    """Those of CLIP's half that sees."""
    with torch.device("meta"):
        state = CLIPVisionModel(CLIPVisionConfig(**scale.image_encoder)).state_dict()
    return _spread(_shapes(wan_image_names(state)), "F32")


def vae_entries(scale: Scale) -> Entries:
    """The VAE's."""
    with torch.device("meta"):
        state = AutoencoderKLWan(**scale.vae).state_dict()
    return _spread(_shapes(wan_vae_names(state)), "F32")


def speech_entries(scale: Scale) -> Entries:
    """Those of wav2vec 2.0 as it was trained: with its quantizer, under weight norm's older names.

    A deviation of a convolution's weights that are normed does not matter.
    """
    with torch.device("meta"):
        state = Wav2Vec2Model(Wav2Vec2Config(**scale.audio_encoder)).state_dict()
    shapes: dict[str, tuple[int, ...]] = {
        "quantizer.codevectors": (1, 640, 128),
        "project_q.bias": (256,),
    }
    for name, shape in _shapes(state).items():
        older = name.replace("parametrizations.weight.original0", "weight_g")
        shapes["wav2vec2." + older.replace("parametrizations.weight.original1", "weight_v")] = shape
    return _spread(shapes, "F32")


def write_tokenizer(folder: Path) -> None:
    """One that takes any text apart into its letters."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = [(chr(code), -8.0) for code in range(32, 127) if chr(code) not in "<>"]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -30.0), ("▁", -2.0), *letters]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    special = json.dumps({"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"})
    for name in ("special_tokens_map", "tokenizer_config"):
        (folder / f"{name}.json").write_text(special)


def _is_audio(name: str) -> bool:
    return "audio" in name or "norm_x" in name


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(values.shape) for name, values in state.items()}


def _spread(shapes: Mapping[str, tuple[int, ...]], dtype: str) -> Entries:
    """Norms are one, biases small, and weights keep the size of what they are given."""
    entries = {}
    for name, shape in shapes.items():
        if name.endswith("bias"):
            entries[name] = Entry(dtype, shape, deviation=0.01)
        elif name.endswith("modulation"):
            entries[name] = Entry(dtype, shape, deviation=shape[-1] ** -0.5)
        elif math.prod(shape) == max(shape, default=1):  # a vector, whatever its axes
            entries[name] = Entry(dtype, shape, mean=1.0)
        else:
            entries[name] = Entry(dtype, shape, deviation=math.prod(shape[1:]) ** -0.5)
    return entries


def _in_8_bits(entries: Entries, storage: str, kept: tuple[str, ...]) -> Entries:
    """As optimum-quanto stores linear layers: codes, a scale a row, and two scales that say 1."""
    dtype, _, spread = CODES[storage]
    stored: Entries = {}
    for name, entry in entries.items():
        module = name.removesuffix(".weight")
        is_linear = len(entry.shape) == 2 and name.endswith(".weight")
        if not is_linear or "embedding.embedding" in name or module.startswith(kept):
            stored[name] = entry
            continue
        stored[f"{name}._data"] = Entry(dtype, entry.shape, deviation=spread)
        scale = entry.deviation / spread
        stored[f"{name}._scale"] = Entry(entry.dtype, (entry.shape[0], 1), mean=scale)
        for unused in ("input_scale", "output_scale"):
            stored[f"{module}.{unused}"] = Entry(entry.dtype, (), mean=1.0)
    return stored


def _write_shards(folder: Path, entries: Entries, values: bool) -> None:
    names = [name for name in entries if not _is_audio(name)]
    size, weight_map = -(-len(names) // SHARDS), {}
    for number in range(SHARDS):
        file = f"diffusion_pytorch_model-{number + 1:05}-of-{SHARDS:05}.safetensors"
        members = names[number * size : (number + 1) * size]
        _write(folder / file, {name: entries[name] for name in members}, values)
        weight_map |= dict.fromkeys(members, file)
    (folder / INDEX_NAME).write_text(json.dumps({"weight_map": weight_map}))


def _write(file: Path, entries: Entries, values: bool) -> None:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(file.name + ".part")
        write = _write_pickle if file.suffix == ".pth" else _write_safetensors
        write(unfinished, entries, values)
        unfinished.rename(file)


def _write_pickle(file: Path, entries: Entries, values: bool) -> None:
    if values:
        state = {name: _tensor(name, entry) for name, entry in entries.items()}
    else:
        with FakeTensorMode():
            state = {
                name: torch.empty(entry.shape, dtype=DTYPES[entry.dtype])
                for name, entry in entries.items()
            }
    with nullcontext() if values else skip_data(materialize_fake_tensors=True):
        torch.save(state, file)


def _tensor(name: str, entry: Entry) -> torch.Tensor:
    values = bytearray(b"".join(_chunks(name, entry)))
    return torch.frombuffer(values, dtype=DTYPES[entry.dtype]).reshape(entry.shape)


def _write_safetensors(file: Path, entries: Entries, values: bool) -> None:
    """A length, a header of JSON, and the values; see safetensors' description of the format."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, entry in entries.items():
        start, end = end, end + entry.nbytes
        header[name] = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb", buffering=0) as opened:
        opened.write(struct.pack("<Q", len(text)) + text)
        if not values:
            opened.truncate(8 + len(text) + end)
            return
        for name, entry in entries.items():
            for chunk in _chunks(name, entry):
                opened.write(chunk)


def _chunks(name: str, entry: Entry) -> Iterator[memoryview]:
    """The values of a tensor, from a pool that all of its kind share, at its own offset."""
    size = POOL if math.prod(entry.shape) > SMALL_POOL else SMALL_POOL
    pool = _pool(entry.dtype, size, entry.mean, entry.deviation)
    place = crc32(name.encode()) % size * DTYPES[entry.dtype].itemsize
    left = entry.nbytes
    while left:
        chunk = pool[place : place + left]
        yield chunk
        left -= len(chunk)
        place = 0


@cache
def _pool(dtype: str, size: int, mean: float, deviation: float) -> memoryview:
    """Random numbers as a file has them; where all are the same, too."""
    generator = torch.Generator().manual_seed(0)
    if deviation:
        values = torch.randn(size, generator=generator).mul_(deviation).add_(mean)
    else:
        values = torch.full((size,), mean)
    if dtype == "I8":
        values = values.round_().clamp_(-127, 127)
    return memoryview(values.to(DTYPES[dtype]).view(torch.uint8).numpy()).cast("B")
