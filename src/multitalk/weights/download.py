"""One file from the hub: resumed where it broke off, compared with its hash, written atomically."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

from multitalk.errors import WeightsUnavailable
from multitalk.net.retry import backoff
from multitalk.weights.hub import Hub, HubMetadata, TransientHubError
from multitalk.weights.lockfile import LockedFile
from multitalk.weights.sets import RemoteFile
from multitalk.weights.verify import Digest

ETAG_CHARACTERS = 16  # enough to keep the partial files of two versions apart
Result = TypeVar("Result")


@dataclass(frozen=True)
class FetchEvent:
    """An event of a fetch, for progress reports.

    Attributes:
        kind: `plan`: total to fetch; `bytes` received; `resumed` after so many; `retry` after some
            seconds; `damaged`, deleted and fetched again; `done`; `read` to compare hashes;
            `busy`: waiting for another process that fetches.
        file: `ORGANISATION/NAME/path`; empty for events of the whole fetch.
        bytes: Count; below 0 where received bytes were discarded.
        seconds: Of waiting, ahead (`retry`) or so far (`busy`).
        reason: Of a retry, by the hub or its library.
    """

    kind: Literal["plan", "bytes", "resumed", "retry", "damaged", "done", "read", "busy"]
    file: str = ""
    bytes: int = 0
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class RetryPolicy:
    """Number and times of tries after transient errors of the hub.

    Attributes:
        tries: In a row without a byte received.
        first_wait: Seconds before the second try; each further wait is twice as long.
        longest_wait: Seconds, unless the hub names another wait.
        longest_asked: Longest wait in seconds that the hub may name.
    """

    tries: int = 7
    first_wait: float = 1.0
    longest_wait: float = 30.0
    longest_asked: float = 900.0

    def delays(self) -> Iterator[float]:
        """Seconds before each further try."""
        return islice(backoff(self.first_wait, self.longest_wait), self.tries - 1)


class FetchStopped(Exception):
    """The whole fetch ends; partial files are kept to be resumed."""


@dataclass(frozen=True)
class FetchSession:
    """State that the downloads of one fetch share.

    Attributes:
        hub: Client.
        retry: After transient errors.
        on_event: Called from several threads.
        stop: Ends the fetch.
    """

    hub: Hub
    retry: RetryPolicy
    on_event: Callable[[FetchEvent], None]
    stop: threading.Event

    def check(self) -> None:
        """Raise if the fetch ends.

        Raises:
            FetchStopped: It does.
        """
        if self.stop.is_set():
            raise FetchStopped

    def wait(self, file: str, error: TransientHubError, delays: Iterator[float]) -> None:
        """Wait before the next try, as long as the hub or the retry policy says.

        Args:
            file: Its key.
            error: Of the last try.
            delays: Those of the retry policy that are left.

        Raises:
            WeightsUnavailable: No try is left, or the hub's wait is too long.
            FetchStopped: In the meantime.
        """
        delay = next(delays, None)
        seconds = delay if error.retry_after is None else error.retry_after
        if error.retry_after is not None and error.retry_after > self.retry.longest_asked:
            raise WeightsUnavailable("weights_hub_asks_wait", seconds=seconds) from error
        if delay is None or seconds is None:
            raise WeightsUnavailable(
                "weights_hub_silent", file=file, reason=error, tries=self.retry.tries
            ) from error
        self.on_event(FetchEvent("retry", file, seconds=seconds, reason=str(error)))
        if self.stop.wait(seconds):
            raise FetchStopped

    def with_retries(self, file: str, call: Callable[[], Result]) -> Result:
        """The result of a call, repeated after transient errors."""
        delays = self.retry.delays()
        while True:
            self.check()
            try:
                return call()
            except TransientHubError as error:
                self.wait(file, error, delays)


def partial_path(target: Path, metadata: HubMetadata) -> Path:
    """The path of a file until it is whole; each version of it has another path."""
    version = "".join(filter(str.isalnum, metadata.etag))[:ETAG_CHARACTERS]
    return target.with_name(f".{target.name}.{version}.part")


def download(
    file: RemoteFile, metadata: HubMetadata, target: Path, *, session: FetchSession
) -> LockedFile:
    """Fetch one file.

    A file of the wrong size or hash is deleted and fetched once more.

    Args:
        file: With its hash, where that is known.
        metadata: Of the file on the hub.
        target: Where the whole file appears.
        session: Of the fetch.

    Raises:
        WeightsUnavailable: The hub does not give the file, it is wrong twice, or it cannot be
            written.
        FetchStopped: The fetch ends.
    """
    partial = partial_path(target, metadata)
    digest = Digest(metadata.size)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for outdated in _other_versions(target, partial):
            outdated.unlink()
        for last in (False, True):
            size = _complete(partial, file, metadata, digest, session)
            if size == metadata.size and has_content(digest, file, metadata):
                break
            partial.unlink()
            session.on_event(FetchEvent("damaged", file.key, bytes=-size))
            if last:
                raise WeightsUnavailable("weights_damaged", file=file.key)
        partial.replace(target)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise WeightsUnavailable("weights_unwritable", file=file.key, reason=reason) from error
    session.on_event(FetchEvent("done", file.key, bytes=metadata.size))
    return record_of(metadata, digest)


def _other_versions(target: Path, partial: Path) -> list[Path]:
    """Partial files of versions that the hub no longer has."""
    prefix = f".{target.name}."
    return [
        path
        for path in target.parent.glob(f"{prefix}*.part")
        # with one more dot it belongs to a file of a longer name
        if path != partial and "." not in path.name.removeprefix(prefix).removesuffix(".part")
    ]


def record_of(metadata: HubMetadata, digest: Digest) -> LockedFile:
    """The lock file's record of a whole file."""
    return LockedFile(
        commit=metadata.commit, etag=metadata.etag, size=metadata.size, sha256=digest.sha256
    )


def has_content(digest: Digest, file: RemoteFile, metadata: HubMetadata) -> bool:
    """True if a digest is that of a file: by the manifest's hash and by the hub's."""
    return file.sha256 in {None, digest.sha256} and digest.matches(metadata.etag) is not False


def _complete(
    partial: Path, file: RemoteFile, metadata: HubMetadata, digest: Digest, session: FetchSession
) -> int:
    """Append the missing bytes to a partial file, with retries; returns its size."""
    digest.reset()
    with partial.open("a+b") as opened:
        if opened.tell():
            digest.read(partial, stop=session.stop)
            session.check()
            session.on_event(FetchEvent("resumed", file.key, bytes=opened.tell()))
        delays = session.retry.delays()
        while opened.tell() < metadata.size:
            session.check()
            before = opened.tell()
            try:
                _receive(opened, file, metadata, digest, session)
                break  # the hub has sent all that it has of the file
            except TransientHubError as error:
                if opened.tell() > before:
                    delays = session.retry.delays()
                session.wait(file.key, error, delays)
        os.fsync(opened.fileno())
        return opened.tell()


def _receive(
    opened: BinaryIO,
    file: RemoteFile,
    metadata: HubMetadata,
    digest: Digest,
    session: FetchSession,
) -> None:
    """Append the bytes that the hub sends after the end of a partial file.

    Raises:
        TransientHubError: The connection broke; the bytes received so far are in the file.
    """
    size = opened.tell()
    with session.hub.stream(file, commit=metadata.commit, start=size) as (start, chunks):
        if start < size:  # the hub sends the whole file only
            session.on_event(FetchEvent("bytes", file.key, bytes=-size))
            opened.seek(0)
            opened.truncate()
            digest.reset()
        for chunk in chunks:
            opened.write(chunk)
            opened.flush()  # so that nothing is lost if the process is killed
            digest.update(chunk)
            session.on_event(FetchEvent("bytes", file.key, bytes=len(chunk)))
            session.check()
