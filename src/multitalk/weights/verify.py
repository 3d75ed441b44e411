"""Checks that the files of a weight set are there and whole: by their sizes, or by their hashes."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Literal

from multitalk.messages import Locale, sentence
from multitalk.weights.component_files import find_file
from multitalk.weights.lockfile import LockedFile, read_lockfile
from multitalk.weights.sets import RemoteFile, load_manifest

CHUNK_BYTES = 4 * 2**20
MAX_READERS = 4  # more do not read a disk faster
LARGEST_IN_GIT = 64 * 2**20  # bytes; the hub has everything above 10 MB in its large storage


@dataclass(frozen=True)
class FileProblem:
    """A problem of one file.

    Attributes:
        file: `ORGANISATION/NAME/path`.
        kind: `unrecorded`: neither the manifest nor the lock file has its hash.
    """

    file: str
    kind: Literal["missing", "wrong_size", "damaged", "unrecorded"]

    def text(self, locale: Locale = "en") -> str:
        """One sentence for the operator."""
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
) -> tuple[FileProblem, ...]:
    """Find the problems of a set in a directory; needs no network.

    Args:
        directory: Of weights, in any layout of `component_files`.
        weight_set: Its name in the manifest.
        loras: Names of LoRAs that must be there too.
        deep: Read every byte and compare SHA-256, some files at a time. Otherwise presence and
            sizes, which takes milliseconds.
        on_bytes: Called from several threads with the number of bytes that were read.

    Returns:
        Nothing if all is well. A file without a known hash is a problem only when `deep`.

    Raises:
        InvalidRequest: No such set or LoRA.
        WeightsUnavailable: The lock file cannot be read.
    """
    files = load_manifest().files(weight_set, loras=loras)
    records = read_lockfile(directory).files

    def check(file: RemoteFile) -> FileProblem | None:
        record = records.get(file.key)
        return check_file(directory, file, record, deep=deep, on_bytes=on_bytes)

    if not deep:
        return tuple(filter(None, map(check, files)))
    with ThreadPoolExecutor(min(MAX_READERS, os.cpu_count() or 1)) as pool:
        return tuple(filter(None, pool.map(check, files)))


def status_of_files(
    directory: Path, weight_set: str, *, loras: Sequence[str] = ()
) -> dict[RemoteFile, bool]:
    """Each file of a set, and True if it is there by its size; needs no network.

    Raises:
        InvalidRequest: No such set or LoRA.
        WeightsUnavailable: The lock file cannot be read.
    """
    records = read_lockfile(directory).files
    return {
        file: check_file(directory, file, records.get(file.key)) is None
        for file in load_manifest().files(weight_set, loras=loras)
    }


def check_file(
    directory: Path,
    file: RemoteFile,
    record: LockedFile | None,
    *,
    deep: bool = False,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> FileProblem | None:
    """The problem of one file, given its record in the lock file, if there is one."""
    path = find_file(directory, file)
    if not path.is_file():
        return FileProblem(file.key, "missing")
    size, sha256 = _expected(file, record)
    if size is not None and path.stat().st_size != size:
        return FileProblem(file.key, "wrong_size")
    if record and file.sha256 not in (None, record.sha256):
        return FileProblem(file.key, "damaged")
    return _content_problem(path, file.key, sha256, on_bytes) if deep else None


def _expected(file: RemoteFile, record: LockedFile | None) -> tuple[int | None, str | None]:
    """Size and SHA-256 of a file by the manifest, or else by its record; None where unknown."""
    if record is None:
        return file.size, file.sha256
    return file.size or record.size, file.sha256 or record.sha256


def _content_problem(
    path: Path, key: str, sha256: str | None, on_bytes: Callable[[int], None]
) -> FileProblem | None:
    if sha256 is None:
        return FileProblem(key, "unrecorded")
    digest = Digest(path.stat().st_size)
    digest.read(path, on_bytes=on_bytes)
    return None if digest.sha256 == sha256 else FileProblem(key, "damaged")


class Digest:
    """Hashes of a file's content: SHA-256, and git's.

    The hub's ETag is the first for large files and the second for small ones: SHA-1 of `blob SIZE`,
    a zero byte and the content (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects).
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.reset()

    def reset(self) -> None:
        """Restart."""
        self._sha256 = hashlib.sha256()
        self._git = None
        if self._size <= LARGEST_IN_GIT:
            self._git = hashlib.sha1(f"blob {self._size}\0".encode(), usedforsecurity=False)

    def update(self, chunk: bytes) -> None:
        """Add bytes."""
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
        """Add a file's content, until `stop` is set."""
        for chunk in _chunks(path):
            if stop is not None and stop.is_set():
                return
            self.update(chunk)
            on_bytes(len(chunk))

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256."""
        return self._sha256.hexdigest()

    def matches(self, etag: str) -> bool | None:
        """Compare an ETag with the hashes of this content; None if it is no hash."""
        if len(etag) == self._sha256.digest_size * 2:
            return etag == self.sha256
        if self._git and len(etag) == self._git.digest_size * 2:
            return etag == self._git.hexdigest()
        return None


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
