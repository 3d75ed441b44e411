"""One file from the hub: resumed where it broke, compared with its hash, there when it is whole."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from multitalk.errors import WeightsUnavailable
from multitalk.weights.hub import Hub, HubHiccup, Remote
from multitalk.weights.lockfile import LockedFile
from multitalk.weights.sets import Wanted
from multitalk.weights.verify import Digest

ETAG_CHARACTERS = 16  # enough that the rests of two versions are two files
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class News:
    """Something that happened, for whoever watches; told from several threads.

    Attributes:
        kind: `plan`: what is to be fetched in all; `bytes` came; `resumed` after so many of them;
            `retry` in some seconds; `damaged`, dropped and fetched again; `done`; `read` to be
            compared; `busy`: another process fetches, and was waited for.
        file: `ORGANISATION/NAME/path`, or nothing where it is about all.
        bytes: How many; below 0 where bytes that had come were dropped.
        seconds: To wait, or waited.
        reason: Of a retry, in the hub's or the library's words.
    """

    kind: Literal["plan", "bytes", "resumed", "retry", "damaged", "done", "read", "busy"]
    file: str = ""
    bytes: int = 0
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Patience:
    """How long a hub in trouble is borne with.

    Attributes:
        tries: In a row without a byte.
        first_wait: Seconds before the second try; each further wait is twice as long.
        longest_wait: Seconds, of our own accord.
        longest_asked: Seconds, if the hub asks for them.
    """

    tries: int = 7
    first_wait: float = 1.0
    longest_wait: float = 30.0
    longest_asked: float = 900.0


class Stopped(Exception):
    """The whole fetch ends; what has come stays to be resumed."""


@dataclass(frozen=True)
class Session:
    """What the downloads of one fetch share."""

    hub: Hub
    patience: Patience
    on_news: Callable[[News], None]
    stop: threading.Event

    def check(self) -> None:
        """Go on, or not.

        Raises:
            Stopped: The fetch ends.
        """
        if self.stop.is_set():
            raise Stopped

    def wait(self, file: str, hiccup: HubHiccup, failures: int) -> None:
        """Wait before the next try, as long as the hub asks.

        Raises:
            WeightsUnavailable: That was the last try, or it asks for too long.
            Stopped: In the meantime.
        """
        patience = self.patience
        seconds = hiccup.seconds
        if seconds is None:
            seconds = min(patience.first_wait * 2 ** (failures - 1), patience.longest_wait)
        elif seconds > patience.longest_asked:
            raise WeightsUnavailable("weights_hub_asks_wait", seconds=seconds) from hiccup
        if failures >= patience.tries:
            raise WeightsUnavailable(
                "weights_hub_silent", file=file, reason=hiccup, tries=failures
            ) from hiccup
        self.on_news(News("retry", file, seconds=seconds, reason=str(hiccup)))
        if self.stop.wait(seconds):
            raise Stopped

    def patiently(self, file: str, ask: Callable[[], Answer]) -> Answer:
        """What `ask` gives, tried again while the hub has trouble."""
        failures = 0
        while True:
            self.check()
            try:
                return ask()
            except HubHiccup as hiccup:
                failures += 1
                self.wait(file, hiccup, failures)


def partial_path(target: Path, remote: Remote) -> Path:
    """Where a file is until it is whole; another version of it has another one."""
    version = "".join(filter(str.isalnum, remote.etag))[:ETAG_CHARACTERS]
    return target.with_name(f".{target.name}.{version}.part")


def download(wanted: Wanted, remote: Remote, target: Path, *, session: Session) -> LockedFile:
    """Fetch one file to `target`.

    A file that comes with the wrong size or hash is dropped and fetched once more.

    Args:
        wanted: The file; its hash, if known, is what the content must have.
        remote: What the hub says it is.
        target: Its place; it appears there when it is whole.
        session: The fetch that this is part of.

    Raises:
        WeightsUnavailable: The hub does not give it, it is wrong twice, or the disk does not take
            it.
        Stopped: The fetch ends.
    """
    partial = partial_path(target, remote)
    digest = Digest(remote.size)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for gone in _other_versions(target, partial):
            gone.unlink()
        for last in (False, True):
            size = _fill(partial, wanted, remote, digest, session)
            if size == remote.size and is_content_of(digest, wanted, remote):
                break
            partial.unlink()
            session.on_news(News("damaged", wanted.key, bytes=-size))
            if last:
                raise WeightsUnavailable("weights_damaged", file=wanted.key)
        partial.replace(target)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise WeightsUnavailable("weights_unwritable", file=wanted.key, reason=reason) from error
    session.on_news(News("done", wanted.key, bytes=remote.size))
    return LockedFile(
        commit=remote.commit, etag=remote.etag, size=remote.size, sha256=digest.sha256
    )


def _other_versions(target: Path, partial: Path) -> list[Path]:
    """Partial files of versions that the hub has no more."""
    prefix = f".{target.name}."
    return [
        path
        for path in target.parent.glob(f"{prefix}*.part")
        # a dot more, and it is of a file with a longer name
        if path != partial and "." not in path.name.removeprefix(prefix).removesuffix(".part")
    ]


def is_content_of(digest: Digest, wanted: Wanted, remote: Remote) -> bool:
    """Whether what was read is the file: by the manifest's hash and by the hub's."""
    return wanted.sha256 in {None, digest.sha256} and digest.names(remote.etag) is not False


def _fill(partial: Path, wanted: Wanted, remote: Remote, digest: Digest, session: Session) -> int:
    """Bring a partial file to its end, whatever breaks on the way; its size then."""
    digest.reset()
    with partial.open("a+b") as file:
        size = file.tell()
        if size:
            digest.read(partial, stop=session.stop)
            session.check()
            session.on_news(News("resumed", wanted.key, bytes=size))
        failures = 0
        while size < remote.size:
            session.check()
            began = size
            try:
                with session.hub.reading(wanted, commit=remote.commit, start=size) as (at, chunks):
                    if at < size:  # the hub gives the whole file only
                        session.on_news(News("bytes", wanted.key, bytes=-size))
                        file.truncate(0)
                        digest.reset()
                        size = 0
                    for chunk in chunks:
                        file.write(chunk)
                        file.flush()  # so that nothing is lost if the process is killed
                        digest.update(chunk)
                        size += len(chunk)
                        session.on_news(News("bytes", wanted.key, bytes=len(chunk)))
                        session.check()
                if size < remote.size:
                    break  # all that there is, as the hub says
            except HubHiccup as hiccup:
                failures = 1 if size > began else failures + 1
                session.wait(wanted.key, hiccup, failures)
        os.fsync(file.fileno())
    return size
