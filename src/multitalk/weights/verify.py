"""Are the files of a weight set there and whole? Quickly by their sizes, or byte for byte."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Literal

from multitalk.messages import Locale, sentence
from multitalk.weights.layout import find_file
from multitalk.weights.lockfile import LockedFile, read_lockfile
from multitalk.weights.sets import Wanted, load_manifest

CHUNK_BYTES = 4 * 2**20
MAX_READERS = 4  # more do not read a disk faster
LARGEST_IN_GIT = 64 * 2**20  # bytes; the hub has everything above 10 MB in its large storage


@dataclass(frozen=True)
class Problem:
    """What is wrong with one file.

    Attributes:
        file: `ORGANISATION/NAME/path`.
        kind: Not there, of another size, of another content, or of a content that nothing tells.
    """

    file: str
    kind: Literal["missing", "wrong_size", "damaged", "unrecorded"]

    def text(self, locale: Locale = "en") -> str:
        """The sentence for whoever runs the machine."""
        return sentence(SENTENCE_KEYS[self.kind], locale, file=self.file)


SENTENCE_KEYS = {
    "missing": "weights_file_missing",
    "wrong_size": "weights_file_wrong_size",
    "damaged": "weights_file_damaged",
    "unrecorded": "weights_file_unrecorded",
}


def verify_weights(
    directory: Path,
    weight_set: str,
    *,
    loras: Sequence[str] = (),
    deep: bool = False,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> tuple[Problem, ...]:
    """Look for what is wrong with a set in a directory; needs no network.

    Args:
        directory: Of weights, in any of `layout`'s forms.
        weight_set: Its name in the manifest.
        loras: Names of LoRAs that must be there too.
        deep: Read every byte and compare SHA-256, some files at a time. Otherwise presence and
            sizes, which is a matter of milliseconds.
        on_bytes: Told, from several threads, how many bytes more were read.

    Returns:
        Nothing where all is well. A file whose hash neither the manifest nor the lock file tells
        is a problem when `deep` only.

    Raises:
        InvalidRequest: No such set or LoRA.
        WeightsUnavailable: The lock file cannot be read.
    """
    wanted = load_manifest().wanted(weight_set, loras=loras)
    records = read_lockfile(directory).files

    def check(file: Wanted) -> Problem | None:
        record = records.get(file.key)
        return check_file(directory, file, record, deep=deep, on_bytes=on_bytes)

    if not deep:
        return tuple(filter(None, map(check, wanted)))
    with ThreadPoolExecutor(min(MAX_READERS, os.cpu_count() or 1)) as pool:
        return tuple(filter(None, pool.map(check, wanted)))


def survey(directory: Path, weight_set: str, *, loras: Sequence[str] = ()) -> dict[Wanted, bool]:
    """Each file of a set, and whether it is there by its size; needs no network.

    Raises:
        InvalidRequest: No such set or LoRA.
        WeightsUnavailable: The lock file cannot be read.
    """
    records = read_lockfile(directory).files
    return {
        wanted: check_file(directory, wanted, records.get(wanted.key)) is None
        for wanted in load_manifest().wanted(weight_set, loras=loras)
    }


def check_file(
    directory: Path,
    wanted: Wanted,
    record: LockedFile | None,
    *,
    deep: bool = False,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> Problem | None:
    """What is wrong with one file; `record` is the lock file's word on it."""
    path = find_file(directory, wanted)
    if not path.is_file():
        return Problem(wanted.key, "missing")
    size = wanted.size or (record.size if record else None)
    if size is not None and path.stat().st_size != size:
        return Problem(wanted.key, "wrong_size")
    if record and wanted.sha256 and record.sha256 != wanted.sha256:
        return Problem(wanted.key, "damaged")
    if not deep:
        return None
    sha256 = wanted.sha256 or (record.sha256 if record else None)
    if sha256 is None:
        return Problem(wanted.key, "unrecorded")
    digest = Digest(path.stat().st_size)
    digest.read(path, on_bytes=on_bytes)
    return None if digest.sha256 == sha256 else Problem(wanted.key, "damaged")


class Digest:
    """What the content of a file is called: by SHA-256, and as git calls it.

    The hub's ETag is the one for large files and the other for small ones: SHA-1 of `blob SIZE`, a
    zero byte and the content (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects).
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.reset()

    def reset(self) -> None:
        """Forget what was read."""
        self._sha256 = hashlib.sha256()
        self._git = None
        if self._size <= LARGEST_IN_GIT:
            self._git = hashlib.sha1(f"blob {self._size}\0".encode(), usedforsecurity=False)

    def update(self, chunk: bytes) -> None:
        """Read on."""
        self._sha256.update(chunk)
        if self._git:
            self._git.update(chunk)

    def read(
        self,
        path: Path,
        *,
        on_bytes: Callable[[int], None] = lambda _: None,
        stop: Event | None = None,
    ) -> None:
        """Read a whole file, or what of it is read when `stop` is set."""
        for chunk in _chunks(path):
            if stop is not None and stop.is_set():
                return
            self.update(chunk)
            on_bytes(len(chunk))

    @property
    def sha256(self) -> str:
        """Of what was read."""
        return self._sha256.hexdigest()

    def names(self, etag: str) -> bool | None:
        """Whether an ETag means this content; None where it is no hash of it."""
        if len(etag) == self._sha256.digest_size * 2:
            return etag == self.sha256
        if self._git and len(etag) == self._git.digest_size * 2:
            return etag == self._git.hexdigest()
        return None


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
