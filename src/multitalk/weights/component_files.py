"""The files of a directory that each component of the network is opened from.

A directory of weights is one of two kinds:

* A folder for each component, in diffusers' layout: what `MultiTalkPipeline.save_pretrained`
  writes. This is the weight set `folder`.
* The publishers' repositories, each in a folder `NAME`, which `fetch` writes, `ORGANISATION/NAME`,
  or the hub's own cache, `models--ORGANISATION--NAME/snapshots/COMMIT`.

Needs no torch.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from multitalk.weights.sets import (
    Component,
    Manifest,
    ModelKind,
    RemoteFile,
    RepositorySource,
    load_manifest,
)
from multitalk.weights.tensor_headers import damage_of

FOLDER = "folder"
PIPELINE_INDEX = "model_index.json"
CONFIG_NAME = "config.json"
INDEX_NAME = "diffusion_pytorch_model.safetensors.index.json"
AUDIO_NAME = "multitalk.safetensors"
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
    """Files that do not hold the model; lists everything that is wrong with them.

    Attributes:
        problems: One sentence each.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class ComponentFiles:
    """Paths of the components: each a folder in the libraries' layout, or a published file.

    Attributes:
        weight_set: Name of the set.
        kind: How windows follow one another.
        transformer: A folder of shards, or one file of the whole network.
        text_encoder: Wan's UMT5 as `.pth`, UMT5 in 8 bits as `.safetensors`, or a folder.
        tokenizer: A folder with `tokenizer.json`.
        image_encoder: Wan's CLIP as `.pth`, or a folder.
        vae: Wan's VAE as `.pth`, or a folder.
        audio_encoder: A folder of wav2vec 2.0.
        transformer_config: The network's `config.json`, where it is not in `transformer`.
        audio_layers: The file of the audio layers, where they are not in `transformer`.
        image_processor: A folder, or None for CLIP's published constants.
        pipeline_index: `model_index.json`, where there is one.
        profile: That the set's network was distilled for.
    """

    weight_set: str
    kind: ModelKind
    transformer: Path
    text_encoder: Path
    tokenizer: Path
    image_encoder: Path
    vae: Path
    audio_encoder: Path
    transformer_config: Path | None = None
    audio_layers: Path | None = None
    image_processor: Path | None = None
    pipeline_index: Path | None = None
    profile: str | None = None

    def damaged(self) -> list[str]:
        """A sentence for each file whose size or header shows that it is damaged."""
        opened = [getattr(self, component) for component in get_args(Component)]
        files = [file for path in opened if path is not None for file in _files_of(path)]
        found = ((file, damage_of(file)) for file in dict.fromkeys(files))
        return [f"{file}: {damage}" for file, damage in found if damage is not None]


def find_components(directory: Path, weight_set: str | None = None) -> ComponentFiles:
    """Find the files of every component of a weight set.

    Args:
        directory: Of weights, of either kind.
        weight_set: `folder` or one of the manifest; None takes the first that is whole, `folder`
            first, then in the manifest's order.

    Raises:
        CheckpointMismatch: No such set, or it is not whole: names every missing file and its
            repository. Where no set was named, those of the set that lacks the fewest, of the sets
            whose network is there in whole or in part, if there are such.
    """
    manifest = load_manifest()
    if weight_set not in (None, FOLDER, *manifest.sets):
        known = ", ".join((FOLDER, *manifest.sets))
        raise CheckpointMismatch([f"no weight set {weight_set}: there are {known}"])
    if weight_set == FOLDER or (weight_set is None and _has_pipeline_folder(directory)):
        return _find_in_folder(directory)
    names = manifest.sets if weight_set is None else [weight_set]
    return _first_whole([_search_set(directory, name, manifest) for name in names]).files()


# A repository, the path to open in it, and the files that are missing there.
FoundSource = tuple[RepositorySource, Path | None, list[str]]


@dataclass
class _SetSearch:
    """Result of the search for a set.

    Attributes:
        name: Of the set.
        fetched: Whether `multitalk fetch` offers the set.
        paths: What each component opens.
        missing: Files, by the repository that publishes them.
        has_network: Whether the transformer is there, in whole or in part.
    """

    name: str
    fetched: bool
    paths: dict[str, Path] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    has_network: bool = False

    @property
    def is_likely(self) -> bool:
        """True if it may be meant: a set that cannot be fetched only if its network is there."""
        return self.fetched or "transformer" in self.paths

    def distance(self) -> tuple[bool, int]:
        """Sort key: the set whose network is there, then the one that lacks the fewest files."""
        return not self.has_network, len(self.missing)

    def files(self) -> ComponentFiles:
        weight_set = load_manifest().sets[self.name]
        return ComponentFiles(
            weight_set=self.name, kind=weight_set.kind, profile=weight_set.profile, **self.paths
        )

    def problems(self) -> list[str]:
        way_out = "put these files there; docs/diffusion.md says where"
        if self.fetched:
            way_out = f"multitalk fetch {self.name} completes it"
        return [f"weight set {self.name} is not whole: {way_out}", *self.missing]


def _first_whole(found: Sequence[_SetSearch]) -> _SetSearch:
    whole = [search for search in found if not search.missing]
    if not whole:
        likely = [search for search in found if search.is_likely] or found
        raise CheckpointMismatch(min(likely, key=_SetSearch.distance).problems())
    chosen, *others = (search.name for search in whole)
    also = f"; also whole: {', '.join(others)}" if others else ""
    logger.info("weight set %s%s", chosen, also)
    return whole[0]


def _search_set(directory: Path, name: str, manifest: Manifest) -> _SetSearch:
    search = _SetSearch(name, manifest.sets[name].fetched)
    for component, sources in manifest.sources(name).items():
        found = [(source, *_find_source(directory, source)) for source in sources]
        if component == "transformer":
            search.has_network = any(map(_has_weights, found))
        source, path, missing = min(found, key=lambda choice: (len(choice[2]), choice[1] is None))
        if path is not None and not missing:
            search.paths[component] = path
            continue
        at = "" if source.revision == "main" else f" at {source.revision}"
        search.missing += [f"{source.repository}{at}: {file}: missing" for file in missing]
    search.missing = list(dict.fromkeys(search.missing))
    return search


def _has_weights(found: FoundSource) -> bool:
    """True if a file other than a config is there."""
    source, _, missing = found
    there = set(source.part.required) - set(missing)
    return any(Path(file).name != CONFIG_NAME for file in there)


def _find_source(directory: Path, source: RepositorySource) -> tuple[Path | None, list[str]]:
    """The path to open, and the missing files, in the most complete folder."""
    part = source.part
    best: tuple[Path | None, list[str]] = None, list(part.required)
    for root in repository_folders(directory, source.repository, source.revision):
        missing = [
            file for file in part.required if not any(path.is_file() for path in root.glob(file))
        ]
        if part.index is not None and part.index not in missing:
            missing += _missing_shards(root / part.index, part.index)
        if best[0] is None or len(missing) < len(best[1]):
            opened = min(root.glob(part.opens), default=root) if part.opens else root
            best = opened, missing
    return best


def _missing_shards(index: Path, name: str) -> list[str]:
    """The shards that an index names and that are not beside it; the audio layers are no shard."""
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"{name} as it was published (this one names no files)"]
    prefix = name.removesuffix(index.name)
    names = sorted(shards - {AUDIO_NAME})
    return [prefix + shard for shard in names if not (index.parent / shard).is_file()]


def _files_of(path: Path) -> list[Path]:
    """The files of a folder that are opened, or the file itself."""
    if not path.is_dir():
        return [path]
    return sorted(file for kind in ("*.json", "*.safetensors") for file in path.glob(kind))


def written_path(directory: Path, file: RemoteFile) -> Path:
    """The path that `fetch` writes a file to."""
    return directory / file.repository.split("/")[1] / file.path


def find_file(directory: Path, file: RemoteFile) -> Path:
    """The path of a file, or, if it is missing, the one it would be written to."""
    folders = repository_folders(directory, file.repository, file.revision)
    candidates = (folder / file.path for folder in folders)
    return next((path for path in candidates if path.is_file()), written_path(directory, file))


def repository_folders(directory: Path, repository: str, revision: str) -> list[Path]:
    """The folders that have a repository, `ORGANISATION/NAME`, by preference.

    Of the hub's cache, the snapshots that the references of `revision` and of `main` name, or the
    only one there is.
    """
    cache = directory / ("models--" + repository.replace("/", "--"))
    snapshots = {path.name: path for path in cache.glob("snapshots/*")}
    references = [cache / "refs" / name for name in dict.fromkeys([revision, "main"])]
    named = [file.read_text(encoding="utf-8").strip() for file in references if file.is_file()]
    found = [snapshots[name] for name in named if name in snapshots]
    if not found and len(snapshots) == 1:
        found = list(snapshots.values())
    folders = [directory / repository.split("/")[1], directory / repository, *found]
    return [folder for folder in folders if folder.is_dir()]


def _has_pipeline_folder(directory: Path) -> bool:
    return (directory / PIPELINE_INDEX).is_file() or (directory / "transformer").is_dir()


def _find_in_folder(directory: Path) -> ComponentFiles:
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
    return ComponentFiles(weight_set=FOLDER, kind=_kind(index), profile=None, **paths)


def _kind(index: Path) -> ModelKind:
    """The kind in `model_index.json`, MultiTalk's by default."""
    try:
        kind = json.loads(index.read_text(encoding="utf-8")).get("kind", "multitalk")
    except FileNotFoundError:
        kind = "multitalk"
    except (ValueError, AttributeError) as error:
        raise CheckpointMismatch([f"{index.name}: not a JSON object"]) from error
    if kind not in get_args(ModelKind):
        raise CheckpointMismatch([f"{index.name}: kind {kind!r}, not one of {get_args(ModelKind)}"])
    known: ModelKind = kind
    return known
