"""Which files of a directory of weights are opened, told without opening them; needs no torch.

The directory is one of two kinds:

* One folder a component, as diffusers has it: what `MultiTalkPipeline.save_pretrained` writes. That
  is the weight set `folder`.
* The publishers' repositories, each in a folder: `NAME`, `ORG/NAME`, or the hub's own cache,
  `models--ORG--NAME/snapshots/REVISION`. The weight sets of `WEIGHT_SETS` are made of them.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from multitalk.engines.diffusion.published import (
    AUDIO_NAME,
    CONFIG_NAME,
    WEIGHT_SETS,
    Kind,
    Part,
    Repository,
    WeightSet,
)
from multitalk.weights.layout import repository_folders
from multitalk.weights.tensor_headers import damage_of

FOLDER = "folder"
PIPELINE_INDEX = "model_index.json"
COMPONENTS = (
    "transformer",
    "text_encoder",
    "tokenizer",
    "image_encoder",
    "vae",
    "audio_encoder",
)
QUANTIZED = "quant_model*.safetensors"

logger = logging.getLogger(__name__)


class CheckpointMismatch(ValueError):
    """Files that do not hold the model: says everything that is wrong with them at once.

    Attributes:
        problems: One sentence each.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class WeightFiles:
    """Where each component comes from: a folder in the libraries' layout, or a published file.

    Attributes:
        weight_set: Name of the set.
        kind: How segments follow one another.
        transformer: A folder of shards, or one file of the whole network.
        text_encoder: Wan's UMT5 as `.pth`, UMT5 in 8 bits as `.safetensors`, or a folder.
        tokenizer: A folder with `tokenizer.json`.
        image_encoder: Wan's CLIP as `.pth`, or a folder.
        vae: Wan's VAE as `.pth`, or a folder.
        audio_encoder: A folder of wav2vec 2.0.
        transformer_config: The network's `config.json`, where it lies elsewhere.
        audio_part: The file of the audio layers, where it lies elsewhere.
        image_processor: A folder, or None for CLIP's published constants.
        pipeline_index: `model_index.json`, where there is one.
        profile: That the set's network was distilled for, where the set says so.
    """

    weight_set: str
    kind: Kind
    transformer: Path
    text_encoder: Path
    tokenizer: Path
    image_encoder: Path
    vae: Path
    audio_encoder: Path
    transformer_config: Path | None = None
    audio_part: Path | None = None
    image_processor: Path | None = None
    pipeline_index: Path | None = None
    profile: str | None = None

    def damaged(self) -> list[str]:
        """Which files cannot be what they should, by their sizes and headers; one sentence each."""
        opened = (
            self.transformer,
            self.text_encoder,
            self.tokenizer,
            self.image_encoder,
            self.vae,
            self.audio_encoder,
            self.transformer_config,
            self.audio_part,
        )
        files = [file for path in opened if path is not None for file in _files_of(path)]
        found = ((file, damage_of(file)) for file in dict.fromkeys(files))
        return [f"{file}: {damage}" for file, damage in found if damage is not None]


def find_weight_files(directory: Path, weight_set: str | None = None) -> WeightFiles:
    """Find every component of one weight set.

    Args:
        directory: Of weights, of either kind.
        weight_set: `folder` or a key of `WEIGHT_SETS`; None takes the first that is whole, `folder`
            first, then in the order of `WEIGHT_SETS`.

    Raises:
        CheckpointMismatch: No such set, or it is not whole: names every missing file and its
            repository. Where no set was named, those of the set that lacks the fewest,
            of the sets whose network is there, or a part of it, if there are such.
    """
    if weight_set not in (None, FOLDER, *WEIGHT_SETS):
        known = ", ".join((FOLDER, *WEIGHT_SETS))
        raise CheckpointMismatch([f"no weight set {weight_set}: there are {known}"])
    if weight_set == FOLDER or (weight_set is None and _is_folder(directory)):
        return _folder(directory)
    names = WEIGHT_SETS if weight_set is None else [weight_set]
    found = [_look_for(directory, name, WEIGHT_SETS[name]) for name in names]
    whole = [search for search in found if not search.missing]
    if not whole:
        likely = [search for search in found if search.is_likely] or found
        raise CheckpointMismatch(min(likely, key=_Search.lack).problems())
    chosen, *others = (search.name for search in whole)
    also = f"; also whole: {', '.join(others)}" if others else ""
    logger.info("weight set %s%s", chosen, also)
    return whole[0].files()


@dataclass
class _Search:
    """What was found of a set.

    Attributes:
        name: Of the set.
        kind: Of the set.
        paths: What each component opens.
        missing: Files, by the repository that publishes them.
    """

    name: str
    kind: Kind
    paths: dict[str, Path] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    has_network: bool = False  # or a part of it

    @property
    def is_likely(self) -> bool:
        """Whether it may be meant: a set that cannot be fetched only where its network is there."""
        return WEIGHT_SETS[self.name].fetched or "transformer" in self.paths

    def lack(self) -> tuple[bool, int]:
        """How far it is from being whole: a network that is there says which set is meant."""
        return not self.has_network, len(self.missing)

    def files(self) -> WeightFiles:
        profile = WEIGHT_SETS[self.name].profile
        return WeightFiles(weight_set=self.name, kind=self.kind, profile=profile, **self.paths)

    def problems(self) -> list[str]:
        way_out = "put these files there; docs/diffusion.md says where"
        if WEIGHT_SETS[self.name].fetched:
            way_out = f"multitalk fetch {self.name} completes it"
        return [f"weight set {self.name} is not whole: {way_out}", *self.missing]


def _look_for(directory: Path, name: str, weight_set: WeightSet) -> _Search:
    search = _Search(name, weight_set.kind)
    for component, choices in weight_set.parts.items():
        found = [(part, *_find_part(directory, part)) for part in choices]
        if component == "transformer":
            search.has_network = any(
                Path(file).name != CONFIG_NAME and file not in missing
                for part, _, missing in found
                for file in part.files
            )
        for _, path, missing in found:
            if path is not None and not missing:
                search.paths[component] = path
                break
        else:
            part, _, missing = min(found, key=lambda choice: len(choice[2]))
            search.missing += [
                f"{_publisher(part.repository)}: {file}: missing" for file in missing
            ]
    search.missing = list(dict.fromkeys(search.missing))
    return search


def _publisher(repository: Repository) -> str:
    at = "" if repository.revision == "main" else f" at {repository.revision}"
    return repository.name + at


def _find_part(directory: Path, part: Part) -> tuple[Path | None, list[str]]:
    """What a part opens, and which of its files are missing, in the most complete place."""
    best: tuple[Path | None, list[str]] = None, list(part.files)
    repository = part.repository
    for root in repository_folders(directory, repository.name, repository.revision):
        missing = [
            file for file in part.files if not any(path.is_file() for path in root.glob(file))
        ]
        if part.index is not None and part.index not in missing:
            missing += _missing_shards(root / part.index, part.index)
        if best[0] is None or len(missing) < len(best[1]):
            opened = min(root.glob(part.opens), default=root) if part.opens else root
            best = opened, missing
    return best


def _missing_shards(index: Path, name: str) -> list[str]:
    """The shards which an index names and that are not beside it; the audio part is no shard."""
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"{name} as it was published (this one names no files)"]
    prefix = name.removesuffix(index.name)
    names = sorted(shards - {AUDIO_NAME})
    return [prefix + shard for shard in names if not (index.parent / shard).is_file()]


def _files_of(path: Path) -> list[Path]:
    """The files that are opened of a folder, or the file itself."""
    if not path.is_dir():
        return [path]
    return sorted(file for kind in ("*.json", "*.safetensors") for file in path.glob(kind))


def _is_folder(directory: Path) -> bool:
    return (directory / PIPELINE_INDEX).is_file() or (directory / "transformer").is_dir()


def _folder(directory: Path) -> WeightFiles:
    absent = [name for name in COMPONENTS if not (directory / name).is_dir()]
    if absent:
        raise CheckpointMismatch(f"{name}: missing folder" for name in absent)
    paths = {name: directory / name for name in COMPONENTS}
    quantized = sorted(paths["transformer"].glob(QUANTIZED))
    if len(quantized) > 1:
        problem = f"transformer: {len(quantized)} files {QUANTIZED}: one is possible"
        raise CheckpointMismatch([problem])
    if quantized:
        paths["transformer_config"] = paths["transformer"] / CONFIG_NAME
        paths["transformer"] = quantized[0]
    if (directory / "image_processor").is_dir():
        paths["image_processor"] = directory / "image_processor"
    index = directory / PIPELINE_INDEX
    if index.is_file():
        paths["pipeline_index"] = index
    return WeightFiles(weight_set=FOLDER, kind=_kind(index), profile=None, **paths)


def _kind(index: Path) -> Kind:
    """What our own index says, or MultiTalk's."""
    try:
        kind = json.loads(index.read_text(encoding="utf-8")).get("kind", "multitalk")
    except FileNotFoundError:
        kind = "multitalk"
    except (ValueError, AttributeError) as error:
        raise CheckpointMismatch([f"{index.name}: not a JSON object"]) from error
    if kind not in get_args(Kind):
        raise CheckpointMismatch([f"{index.name}: kind {kind!r}, not one of {get_args(Kind)}"])
    known: Kind = kind
    return known
