"""The published weights: which repositories hold them, and which of their files make a weight set.

Maps of quantisation are not opened: the tensors' own names and dtypes say what they do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["multitalk", "infinitetalk"]

CONFIG_NAME = "config.json"
INDEX_NAME = "diffusion_pytorch_model.safetensors.index.json"
AUDIO_NAME = "multitalk.safetensors"


@dataclass(frozen=True)
class Repository:
    """A repository of weights on the hub.

    Attributes:
        name: As the hub has it, `ORGANISATION/NAME`.
        revision: Which one holds what is opened.
    """

    name: str
    revision: str = "main"


@dataclass(frozen=True)
class Part:
    """What one repository has of a component.

    Attributes:
        repository: Where it is published.
        opens: The file or folder that is opened, by its path in the repository, or by a pattern
            for files that have no published name.
        files: Must be there: `opens` itself, or what is opened in it.
        index: The one of `files` that names further ones, the shards beside it.
    """

    repository: Repository
    opens: str
    files: tuple[str, ...]
    index: str | None = None


@dataclass(frozen=True)
class WeightSet:
    """Everything a talk needs.

    Attributes:
        parts: By the component, or field of `WeightFiles`, that they are for; where several can
            serve, the first that is there does.
        kind: How segments follow one another.
        fetched: Whether `multitalk fetch` knows it.
    """

    parts: Mapping[str, tuple[Part, ...]]
    kind: Kind = "multitalk"
    fetched: bool = True


WAN = Repository("Wan-AI/Wan2.1-I2V-14B-480P")
WAN_FOR_DIFFUSERS = Repository("Wan-AI/Wan2.1-I2V-14B-480P-Diffusers")
MULTITALK = Repository("MeiGen-AI/MeiGen-MultiTalk")
INFINITETALK = Repository("MeiGen-AI/InfiniteTalk")
WAV2VEC2 = Repository("TencentGameMate/chinese-wav2vec2-base", "refs/pr/1")


def _file(repository: Repository, path: str) -> Part:
    return Part(repository, path, (path,))


def _folder(repository: Repository, path: str, *names: str, index: str | None = None) -> Part:
    prefix = f"{path}/" if path else ""
    files = tuple(prefix + name for name in names)
    if index is not None:
        files = (*files, prefix + index)
    return Part(repository, path, files, None if index is None else prefix + index)


SHARDS = _folder(WAN, "", CONFIG_NAME, index=INDEX_NAME)
CONFIG = _file(WAN, CONFIG_NAME)
# The second place: the MultiTalk authors have users link the file there.
MULTITALK_AUDIO = (_file(MULTITALK, AUDIO_NAME), _file(WAN, AUDIO_NAME))
TEXT_ENCODER = _file(WAN, "models_t5_umt5-xxl-enc-bf16.pth")
AUDIO_ENCODER = _folder(WAV2VEC2, "", CONFIG_NAME, "model.safetensors")
ENCODERS: dict[str, tuple[Part, ...]] = {
    "tokenizer": (_folder(WAN, "google/umt5-xxl", "tokenizer.json"),),
    "image_encoder": (_file(WAN, "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"),),
    "vae": (_file(WAN, "Wan2.1_VAE.pth"),),
    "audio_encoder": (AUDIO_ENCODER,),
}


def _in_16_bits(audio_part: tuple[Part, ...], kind: Kind = "multitalk") -> WeightSet:
    network = {"transformer": (SHARDS,), "audio_part": audio_part}
    return WeightSet({**network, "text_encoder": (TEXT_ENCODER,), **ENCODERS}, kind)


def _one_file(network: Part, text_encoder: tuple[Part, ...], kind: Kind) -> WeightSet:
    parts = {"transformer": (network,), "transformer_config": (CONFIG,)}
    return WeightSet({**parts, "text_encoder": text_encoder, **ENCODERS}, kind)


def _in_8_bits(network: Part, storage: str, kind: Kind = "multitalk") -> WeightSet:
    """The same text encoder is published beside both networks."""
    path = f"quant_models/t5_{storage}.safetensors"
    return _one_file(network, (_file(MULTITALK, path), _file(INFINITETALK, path)), kind)


def _multitalk(name: str, storage: str) -> WeightSet:
    return _in_8_bits(_file(MULTITALK, f"quant_models/{name}.safetensors"), storage)


def _infinitetalk(people: str) -> WeightSet:
    return _in_16_bits((_file(INFINITETALK, f"{people}/infinitetalk.safetensors"),), "infinitetalk")


def _infinitetalk_in_8_bits(people: str, storage: str) -> WeightSet:
    path = f"quant_models/infinitetalk_{people}_{storage}.safetensors"
    return _in_8_bits(_file(INFINITETALK, path), storage, "infinitetalk")


# In the order in which they are taken where several are there and none is named.
WEIGHT_SETS: dict[str, WeightSet] = {
    "int8-fusionx": _multitalk("quant_model_int8_FusionX", "int8"),
    "fp8-fusionx": _multitalk("quant_model_fp8_FusionX", "fp8"),
    "bf16": _in_16_bits(MULTITALK_AUDIO),
    "bf16-diffusers": WeightSet(
        {
            "transformer": (
                _folder(WAN_FOR_DIFFUSERS, "transformer", CONFIG_NAME, index=INDEX_NAME),
            ),
            "audio_part": MULTITALK_AUDIO[:1],
            "text_encoder": (
                _folder(
                    WAN_FOR_DIFFUSERS,
                    "text_encoder",
                    CONFIG_NAME,
                    index="model.safetensors.index.json",
                ),
            ),
            "tokenizer": (_folder(WAN_FOR_DIFFUSERS, "tokenizer", "tokenizer.json"),),
            "image_encoder": (
                _folder(WAN_FOR_DIFFUSERS, "image_encoder", CONFIG_NAME, "model.safetensors"),
            ),
            "vae": (
                _folder(
                    WAN_FOR_DIFFUSERS, "vae", CONFIG_NAME, "diffusion_pytorch_model.safetensors"
                ),
            ),
            "audio_encoder": (AUDIO_ENCODER,),
        },
        fetched=False,
    ),
    "int8": _multitalk("dit_model_int8", "int8"),
    "fp8": replace(_multitalk("dit_model_fp8", "fp8"), fetched=False),
    "infinitetalk-int8": _infinitetalk_in_8_bits("single", "int8"),
    "infinitetalk-multi-int8": _infinitetalk_in_8_bits("multi", "int8"),
    "infinitetalk-fp8": _infinitetalk_in_8_bits("single", "fp8"),
    "infinitetalk-multi-fp8": _infinitetalk_in_8_bits("multi", "fp8"),
    "infinitetalk": _infinitetalk("single"),
    "infinitetalk-multi": _infinitetalk("multi"),
    # The whole network in a file of one's own, as the authors' `--dit_path` takes it.
    "infinitetalk-pth": replace(
        _one_file(_file(INFINITETALK, "*.pth"), (TEXT_ENCODER,), "infinitetalk"), fetched=False
    ),
}
