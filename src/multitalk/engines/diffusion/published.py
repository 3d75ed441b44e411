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
        profile: That its network was distilled for; None for one as it was trained.
        fetched: Whether `multitalk fetch` knows it.
    """

    parts: Mapping[str, tuple[Part, ...]]
    kind: Kind = "multitalk"
    profile: str | None = None
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
# By how their weights are held; those in 8 bits are published beside both networks.
TEXT_ENCODERS: dict[str, tuple[Part, ...]] = {
    "int8": tuple(
        _file(where, "quant_models/t5_int8.safetensors") for where in (MULTITALK, INFINITETALK)
    ),
    "fp8": tuple(
        _file(where, "quant_models/t5_fp8.safetensors") for where in (MULTITALK, INFINITETALK)
    ),
    "bf16": (_file(WAN, "models_t5_umt5-xxl-enc-bf16.pth"),),
}
AUDIO_ENCODER = _folder(WAV2VEC2, "", CONFIG_NAME, "model.safetensors")
ENCODERS: dict[str, tuple[Part, ...]] = {
    "tokenizer": (_folder(WAN, "google/umt5-xxl", "tokenizer.json"),),
    "image_encoder": (_file(WAN, "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"),),
    "vae": (_file(WAN, "Wan2.1_VAE.pth"),),
    "audio_encoder": (AUDIO_ENCODER,),
}


def _text_encoder(storage: str) -> tuple[Part, ...]:
    """A set's own text encoder, or any other: they give every network the same states."""
    own, others = TEXT_ENCODERS[storage], TEXT_ENCODERS.items()
    return own + tuple(part for held, parts in others if held != storage for part in parts)


def _in_16_bits(audio_part: tuple[Part, ...], kind: Kind = "multitalk") -> WeightSet:
    network = {"transformer": (SHARDS,), "audio_part": audio_part}
    return WeightSet({**network, "text_encoder": _text_encoder("bf16"), **ENCODERS}, kind)


def _one_file(
    network: Part, storage: str, kind: Kind = "multitalk", profile: str | None = None
) -> WeightSet:
    parts = {"transformer": (network,), "transformer_config": (CONFIG,)}
    return WeightSet({**parts, "text_encoder": _text_encoder(storage), **ENCODERS}, kind, profile)


def _multitalk(name: str, storage: str, profile: str | None = None) -> WeightSet:
    network = _file(MULTITALK, f"quant_models/{name}.safetensors")
    return _one_file(network, storage, profile=profile)


def _infinitetalk(people: str) -> WeightSet:
    return _in_16_bits((_file(INFINITETALK, f"{people}/infinitetalk.safetensors"),), "infinitetalk")


def _infinitetalk_in_8_bits(people: str, storage: str) -> WeightSet:
    path = f"quant_models/infinitetalk_{people}_{storage}.safetensors"
    return _one_file(_file(INFINITETALK, path), storage, "infinitetalk")


def _infinitetalk_with_fusionx(people: str, storage: str) -> WeightSet:
    """Their names say `lora`; which one is merged in, the authors say: FusionX's."""
    path = f"quant_models/infinitetalk_{people}_{storage}_lora.safetensors"
    return _one_file(_file(INFINITETALK, path), storage, "infinitetalk", "fusionx")


# In the order in which they are taken where several are there and none is named.
WEIGHT_SETS: dict[str, WeightSet] = {
    "int8-fusionx": _multitalk("quant_model_int8_FusionX", "int8", "fusionx"),
    "fp8-fusionx": _multitalk("quant_model_fp8_FusionX", "fp8", "fusionx"),
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
                *_text_encoder("bf16"),
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
    "infinitetalk-int8-fusionx": _infinitetalk_with_fusionx("single", "int8"),
    "infinitetalk-multi-int8-fusionx": _infinitetalk_with_fusionx("multi", "int8"),
    "infinitetalk-multi-fp8-fusionx": _infinitetalk_with_fusionx("multi", "fp8"),
    "infinitetalk-int8": _infinitetalk_in_8_bits("single", "int8"),
    "infinitetalk-multi-int8": _infinitetalk_in_8_bits("multi", "int8"),
    "infinitetalk-fp8": _infinitetalk_in_8_bits("single", "fp8"),
    "infinitetalk-multi-fp8": _infinitetalk_in_8_bits("multi", "fp8"),
    "infinitetalk": _infinitetalk("single"),
    "infinitetalk-multi": _infinitetalk("multi"),
    # The whole network in a file of one's own, as the authors' `--dit_path` takes it.
    "infinitetalk-pth": replace(
        _one_file(_file(INFINITETALK, "*.pth"), "bf16", "infinitetalk"), fetched=False
    ),
}
