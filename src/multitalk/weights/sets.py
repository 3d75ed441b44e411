"""Which files the engine opens: `manifest.json`, read and checked.

A weight set is what one way to run the engine opens, no more. Sizes and hashes that are not known
there are learnt from the hub when a set is fetched, and kept by `lockfile`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from multitalk.errors import not_a_choice

MANIFEST = Path(__file__).with_name("manifest.json")
TEXT_ENCODER_PART = "text-"  # how the names of such parts begin

# As the hub's: a path's parts are names, so that no file lands outside its folder.
RepositoryName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
]
FilePath = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.+-]*(/[A-Za-z0-9][\w.+-]*)*$")
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedFile(_Strict):
    """A file of a repository.

    Attributes:
        path: In the repository.
        size: Bytes, where known to the last one.
        about: Bytes after public listings, where they are not.
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
    """What is taken from one repository of the hub.

    Attributes:
        revision: A branch, tag, pull request's reference or commit.
        licence: As its page states it, or None where none was found.
        files: Those that some set or LoRA names.
    """

    revision: str
    licence: str | None
    files: tuple[PublishedFile, ...]


class WeightSet(_Strict):
    """The files that one way to run the engine opens, as names of the manifest's parts."""

    purpose: str
    parts: tuple[str, ...]


class Lora(_Strict):
    """A LoRA file that can be fetched beside a set."""

    repository: RepositoryName
    path: FilePath


@dataclass(frozen=True)
class Wanted:
    """One file to have.

    Attributes:
        repository: `ORGANISATION/NAME`.
        revision: Where in its history.
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
        """The file's one name: `ORGANISATION/NAME/path`."""
        return f"{self.repository}/{self.path}"


class Manifest(_Strict):
    """Every weight set, the files of each, and the LoRAs."""

    default: str
    repositories: dict[RepositoryName, Repository]
    parts: dict[str, dict[RepositoryName, tuple[FilePath, ...]]]
    sets: dict[str, WeightSet]
    loras: dict[str, Lora]

    @model_validator(mode="after")
    def _names_exist(self) -> "Manifest":
        if self.default not in self.sets:
            raise ValueError(f"default: no set {self.default}")
        published = {
            f"{name}/{file.path}"
            for name, found in self.repositories.items()
            for file in found.files
        }
        unknown = {part for each in self.sets.values() for part in each.parts} - set(self.parts)
        named = {
            f"{repository}/{path}"
            for part in self.parts.values()
            for repository, paths in part.items()
            for path in paths
        } | {f"{lora.repository}/{lora.path}" for lora in self.loras.values()}
        if wrong := sorted(unknown | (named ^ published)):
            raise ValueError(f"named and not defined, or defined and not named: {wrong}")
        return self

    def wanted(self, weight_set: str, *, loras: Sequence[str] = ()) -> tuple[Wanted, ...]:
        """The files of a set, and of the LoRAs beside it, each once.

        Raises:
            InvalidRequest: No such set or LoRA.
        """
        _check_choice("SET", weight_set, self.sets)
        for name in loras:
            _check_choice("--lora", name, self.loras)
        found = {wanted.key: wanted for wanted in self._of_set(weight_set)}
        for name in loras:
            lora = self.loras[name]
            added = self._find(lora.repository, lora.path)
            found[added.key] = added
        return tuple(found.values())

    @property
    def text_encoders(self) -> frozenset[str]:
        """Keys of the files of which any one is a text encoder for every set."""
        return frozenset(
            f"{repository}/{path}"
            for part, files in self.parts.items()
            if part.startswith(TEXT_ENCODER_PART)
            for repository, paths in files.items()
            for path in paths
        )

    def _of_set(self, weight_set: str) -> Iterator[Wanted]:
        for part in self.sets[weight_set].parts:
            for repository, paths in self.parts[part].items():
                for path in paths:
                    yield self._find(repository, path)

    def _find(self, name: str, path: str) -> Wanted:
        repository = self.repositories[name]
        file = next(file for file in repository.files if file.path == path)
        about = file.size or file.about or 0
        return Wanted(name, repository.revision, path, file.size, about, file.sha256)


@cache
def load_manifest() -> Manifest:
    """The manifest of this release."""
    return Manifest.model_validate_json(MANIFEST.read_text(encoding="utf-8"))


def _check_choice(field: str, value: str, choices: dict[str, WeightSet] | dict[str, Lora]) -> None:
    if value not in choices:
        raise not_a_choice(field, value, choices)
