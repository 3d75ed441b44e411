"""The weight sets, from `manifest.json`: which files are fetched and what each component opens.

A weight set is what one way to run the diffusion engine opens, no more. Sizes and hashes that are
not in the manifest are learnt from the hub when a set is fetched, and kept by `lockfile`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from multitalk.errors import not_a_choice

MANIFEST = Path(__file__).with_name("manifest.json")

# As on the hub: a path's parts are plain names, so that no file is written outside its folder.
RepositoryName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
]
FilePath = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.+-]*(/[A-Za-z0-9][\w.+-]*)*$")
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ModelKind = Literal["multitalk", "infinitetalk"]
Component = Literal[
    "transformer",
    "transformer_config",
    "audio_layers",
    "text_encoder",
    "tokenizer",
    "image_encoder",
    "vae",
    "audio_encoder",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedFile(_Strict):
    """A file of a repository.

    Attributes:
        path: In the repository.
        size: Bytes, where known exactly.
        about: Bytes by public listings, where not.
        sha256: Of the content, where known.
    """

    path: FilePath
    size: Annotated[int, Field(gt=0)] | None = None
    about: Annotated[int, Field(gt=0)] | None = None
    sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _has_one_size(self) -> "PublishedFile":
        if (self.size is None) == (self.about is None):
            raise ValueError(f"{self.path}: give either size or about")
        return self


class Repository(_Strict):
    """A repository of the hub from which files are fetched.

    Attributes:
        revision: A branch, tag, pull request's reference or commit.
        licence: Stated on its page; None where none was found.
        files: Those of some set or LoRA.
    """

    revision: str = "main"
    licence: str | None = None
    files: tuple[PublishedFile, ...] = ()


class Part(_Strict):
    """The files of one component in one repository.

    Attributes:
        component: That opens them.
        repository: That has them.
        opens: The file or folder that is opened; empty for the repository itself, or a pattern for
            a file without a published name.
        requires: Files that must be there; `opens` itself where none are named.
        index: A further required file, which lists the shards beside it.
        files: Further files to fetch.
        also_in: Repositories with the same file.
    """

    component: Component
    repository: RepositoryName
    opens: FilePath | Literal["", "*.pth"]
    requires: tuple[FilePath, ...] = ()
    index: FilePath | None = None
    files: tuple[FilePath, ...] = ()
    also_in: tuple[RepositoryName, ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        """Files that must be there, the index last."""
        return (*(self.requires or (self.opens,)), *filter(None, [self.index]))


class WeightSet(_Strict):
    """The files that one way to run the engine opens.

    Attributes:
        purpose: One line for documents.
        parts: Names of the manifest's parts; of those with one component, the first that is there
            is opened.
        kind: How windows follow one another.
        profile: That the network was distilled for; None for a network as trained.
        fetched: Whether `multitalk fetch` offers it.
    """

    purpose: str
    parts: tuple[str, ...]
    kind: ModelKind = "multitalk"
    profile: str | None = None
    fetched: bool = True


class PublishedLora(_Strict):
    """A LoRA file that can be fetched beside a set."""

    repository: RepositoryName
    path: FilePath


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Attributes:
        repository: `ORGANISATION/NAME`.
        revision: Of the repository.
        path: In the repository.
        size: Bytes, where known.
        about: Bytes, known or estimated.
        sha256: Of the content, where known.
    """

    repository: str
    revision: str
    path: str
    size: int | None
    about: int
    sha256: str | None

    @property
    def key(self) -> str:
        """Unique name of the file: `ORGANISATION/NAME/path`."""
        return f"{self.repository}/{self.path}"


@dataclass(frozen=True)
class RepositorySource:
    """One repository from which a component can be opened.

    Attributes:
        repository: `ORGANISATION/NAME`.
        revision: Of the repository.
        part: The files.
    """

    repository: str
    revision: str
    part: Part


class Manifest(_Strict):
    """Every weight set, its files, and the LoRAs.

    Attributes:
        default: Name of the set that `multitalk fetch` takes where none is named.
        repositories: By name.
        parts: By name.
        sets: By name, in the order in which the engine takes one where several are there.
        loras: By name.
    """

    default: str
    repositories: dict[RepositoryName, Repository]
    parts: dict[str, Part]
    sets: dict[str, WeightSet]
    loras: dict[str, PublishedLora]

    @model_validator(mode="after")
    def _names_exist(self) -> "Manifest":
        if self.default not in self.fetchable:
            raise ValueError(f"default: no set {self.default}")
        published = {
            f"{name}/{file.path}"
            for name, repository in self.repositories.items()
            for file in repository.files
        }
        unknown = {part for each in self.sets.values() for part in each.parts} - set(self.parts)
        named = {key for name in self.fetchable for key in self._keys(self.sets[name].parts)}
        named |= {f"{lora.repository}/{lora.path}" for lora in self.loras.values()}
        if wrong := sorted(unknown | (named ^ published)):
            raise ValueError(f"named and not defined, or defined and not named: {wrong}")
        return self

    @property
    def fetchable(self) -> tuple[str, ...]:
        """Names of the sets that `multitalk fetch` offers."""
        return tuple(name for name, weight_set in self.sets.items() if weight_set.fetched)

    def files(self, weight_set: str, *, loras: Sequence[str] = ()) -> tuple[RemoteFile, ...]:
        """The files of a set and of LoRAs, each once.

        Raises:
            InvalidRequest: No such set or LoRA.
        """
        _check_choice("SET", weight_set, self.fetchable)
        for name in loras:
            _check_choice("--lora", name, self.loras)
        keys = [*self._keys(self.sets[weight_set].parts)]
        keys += [f"{self.loras[name].repository}/{self.loras[name].path}" for name in loras]
        return tuple(self._file(key) for key in dict.fromkeys(keys))

    def sources(self, weight_set: str) -> dict[Component, tuple[RepositorySource, ...]]:
        """Repositories from which each component of a set can be opened, by preference.

        Every text encoder gives all networks the same states, so any of them serves.
        """
        own = [self.parts[name] for name in self.sets[weight_set].parts]
        found: dict[Component, list[RepositorySource]] = {}
        for part in (*own, *self._text_encoders()):
            for repository in (part.repository, *part.also_in):
                source = RepositorySource(repository, self._revision(repository), part)
                if source not in (choices := found.setdefault(part.component, [])):
                    choices.append(source)
        return {component: tuple(choices) for component, choices in found.items()}

    @property
    def text_encoders(self) -> frozenset[str]:
        """Keys of the files of which any one is a text encoder for every set."""
        return frozenset(f"{part.repository}/{part.opens}" for part in self._text_encoders())

    def _text_encoders(self) -> list[Part]:
        fetched = {part for name in self.fetchable for part in self.sets[name].parts}
        parts = [part for name, part in self.parts.items() if name in fetched]
        return [part for part in parts if part.component == "text_encoder"]

    def _revision(self, repository: str) -> str:
        return self.repositories.get(repository, Repository()).revision

    def _keys(self, parts: Iterable[str]) -> Iterator[str]:
        for name in parts:
            if part := self.parts.get(name):
                for path in (*part.required, *part.files):
                    yield f"{part.repository}/{path}"

    def _file(self, key: str) -> RemoteFile:
        organisation, name, path = key.split("/", 2)
        repository = self.repositories[f"{organisation}/{name}"]
        file = next(file for file in repository.files if file.path == path)
        about = file.size or file.about or 0
        return RemoteFile(
            f"{organisation}/{name}", repository.revision, path, file.size, about, file.sha256
        )


@cache
def load_manifest() -> Manifest:
    """The manifest of this release."""
    return Manifest.model_validate_json(MANIFEST.read_text(encoding="utf-8"))


def _check_choice(field: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise not_a_choice(field, value, choices)
