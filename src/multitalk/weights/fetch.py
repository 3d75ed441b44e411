"""Fetches missing files of a weight set, in parallel, by one process at a time."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import LeaseCompromise, SoftFileLease, Timeout

from multitalk.errors import WeightsUnavailable
from multitalk.weights.component_files import find_file, written_path
from multitalk.weights.download import (
    FetchEvent,
    FetchSession,
    FetchStopped,
    RetryPolicy,
    download,
    has_content,
    partial_path,
    record_of,
)
from multitalk.weights.hub import Hub, HubMetadata
from multitalk.weights.lockfile import LockedFile, Lockfile, read_lockfile, write_lockfile
from multitalk.weights.sets import RemoteFile, load_manifest
from multitalk.weights.verify import Digest, check_file

WORKERS = 4
DISK_MARGIN = 2**30  # bytes left free: other processes fail on a full disk
LEASE_NAME = ".multitalk-weights.lease"
LEASE_SECONDS = 30.0  # without a heartbeat, after which another process takes over
BUSY_SECONDS = 2 * 3600.0  # longest wait for another process
BUSY_EVENT_SECONDS = 10.0


@dataclass(frozen=True)
class FetchOptions:
    """Options of a fetch.

    Attributes:
        weight_set: Its name in the manifest.
        loras: Names of LoRAs to fetch beside it.
        lock: Whether later fetches into the directory must get exactly these files.
        verify: Whether existing files are read and compared with their hashes.
        workers: Files at a time.
        retry: After transient errors of the hub.
        busy_seconds: Longest wait for another process that fetches into the directory.
    """

    weight_set: str
    loras: tuple[str, ...] = ()
    lock: bool = False
    verify: bool = False
    workers: int = WORKERS
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    busy_seconds: float = BUSY_SECONDS


def fetch_weights(
    directory: Path,
    options: FetchOptions,
    *,
    hub: Hub,
    on_event: Callable[[FetchEvent], None] = lambda _: None,
) -> int:
    """Fetch a set into a directory; whole files that are there stay.

    Only one process fetches into a directory. Others, on any machine, wait for it and then find the
    files. Another process takes over from one that died after `LEASE_SECONDS`, on the same machine
    at once.

    Args:
        directory: Created if it does not exist.
        options: What and how.
        hub: Client.
        on_event: Called from several threads.

    Returns:
        Bytes of the fetched files.

    Raises:
        InvalidRequest: No such set or LoRA.
        WeightsUnavailable: The fetch failed; the next one resumes it.
    """
    files = load_manifest().files(options.weight_set, loras=options.loras)
    if not options.verify and _is_complete(directory, files, lock=options.lock):
        return 0  # a warm start needs no lease, so that a read-only directory will do
    stop = threading.Event()
    session = FetchSession(hub, options.retry, on_event, stop)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _lease(directory, session, options.busy_seconds):
            return _fetch_missing(directory, files, options, session)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise WeightsUnavailable("weights_unwritable", file="--to", reason=reason) from error
    except FetchStopped as stopped:  # only the lease's thread stops a fetch that still runs
        raise WeightsUnavailable("weights_lease_lost") from stopped


def _is_complete(directory: Path, files: Sequence[RemoteFile], *, lock: bool) -> bool:
    records = read_lockfile(directory).files
    return all(
        (record := records.get(file.key)) is not None
        and (record.locked or not lock)
        and check_file(directory, file, record) is None
        for file in files
    )


@contextmanager
def _lease(directory: Path, session: FetchSession, busy_seconds: float) -> Iterator[None]:
    """Hold the directory against other processes.

    A lease is a file that is created exclusively and touched periodically, which works on network
    file systems whose `flock` does not. A process that loses it, by a pause of the machine, stops.
    """

    def lose(_: LeaseCompromise) -> None:
        session.stop.set()

    lease = SoftFileLease(directory / LEASE_NAME, lease_duration=LEASE_SECONDS, on_compromise=lose)
    waited = step = 0.0
    while True:
        try:
            lease.acquire(timeout=step)
            break
        except Timeout as error:
            waited += step
            if waited >= busy_seconds:
                raise WeightsUnavailable("weights_busy", seconds=waited) from error
            session.on_event(FetchEvent("busy", seconds=waited))
            step = min(BUSY_EVENT_SECONDS, busy_seconds - waited)
    try:
        yield
    finally:
        lease.release()


def _fetch_missing(
    directory: Path, files: Sequence[RemoteFile], options: FetchOptions, session: FetchSession
) -> int:
    records = dict(read_lockfile(directory).files)

    def save_record(file: RemoteFile, record: LockedFile) -> None:
        before = records.get(file.key)
        locked = options.lock or (before is not None and before.locked)
        records[file.key] = record.model_copy(update={"locked": locked})
        write_lockfile(directory, Lockfile(files=records))

    with ThreadPoolExecutor(options.workers) as pool:
        try:
            missing = {}
            inspections = [
                pool.submit(
                    _inspect, directory, file, records.get(file.key), options.verify, session
                )
                for file in files
            ]
            for file, inspection in zip(files, inspections, strict=True):
                found = inspection.result()
                if isinstance(found, LockedFile):
                    save_record(file, found)
                else:
                    missing[file] = found
            _check_disk(directory, missing)
            total = sum(metadata.size for metadata in missing.values())
            session.on_event(FetchEvent("plan", bytes=total))
            largest_first = sorted(missing, key=lambda file: -missing[file].size)
            downloads = {
                pool.submit(
                    download, file, missing[file], written_path(directory, file), session=session
                ): file
                for file in largest_first
            }
            for done in as_completed(downloads):
                save_record(downloads[done], done.result())
        except BaseException:  # including Ctrl-C: stop the threads first
            session.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return total


def _inspect(
    directory: Path,
    file: RemoteFile,
    record: LockedFile | None,
    verify: bool,
    session: FetchSession,
) -> LockedFile | HubMetadata:
    """The record of a file that is there and whole, or the hub's metadata of a file to fetch."""
    session.check()
    path = find_file(directory, file)
    problem = check_file(directory, file, record)
    digest = None
    if path.is_file() and not problem and (verify or not record):
        digest = _read_digest(path, session)
    if record and not problem and (digest is None or digest.sha256 == record.sha256):
        return record
    if record:
        _delete(path, file, session)
    metadata = _describe(file, record, session)
    if not record and digest and has_content(digest, file, metadata):
        return record_of(metadata, digest)
    _delete(path, file, session)
    return metadata


def _read_digest(path: Path, session: FetchSession) -> Digest:
    digest = Digest(path.stat().st_size)
    digest.read(
        path,
        on_bytes=lambda count: session.on_event(FetchEvent("read", bytes=count)),
        stop=session.stop,
    )
    session.check()
    return digest


def _delete(path: Path, file: RemoteFile, session: FetchSession) -> None:
    """Delete a damaged file, if there is one; its size may be right."""
    if path.is_file():
        session.on_event(FetchEvent("damaged", file.key))
        path.unlink()


def _describe(file: RemoteFile, record: LockedFile | None, session: FetchSession) -> HubMetadata:
    """The hub's metadata of a file, compared with the manifest and the lock file.

    Raises:
        WeightsUnavailable: The hub does not have it, or has another version.
    """
    locked = record if record and record.locked else None
    revision = locked.commit if locked else file.revision
    try:
        metadata = session.with_retries(
            file.key, lambda: session.hub.describe(file, revision=revision)
        )
    except WeightsUnavailable as error:
        if locked and error.key == "weights_not_on_hub":
            raise WeightsUnavailable("weights_lock_gone", file=file.key, commit=revision) from error
        raise
    fixed = (locked.size, locked.sha256, locked.etag) if locked else (None, None, None)
    sizes = {file.size, fixed[0]} - {None, metadata.size}
    hashes = {file.sha256, *fixed[1:]} - {None, metadata.etag}
    if sizes or any(len(expected or "") == len(metadata.etag) for expected in hashes):
        raise WeightsUnavailable("weights_changed", file=file.key)
    return metadata


def _check_disk(directory: Path, missing: dict[RemoteFile, HubMetadata]) -> None:
    """Compare the free space with the missing bytes.

    Raises:
        WeightsUnavailable: It does not suffice.
    """
    needed = 0
    for file, metadata in missing.items():
        partial = partial_path(written_path(directory, file), metadata)
        needed += metadata.size - (partial.stat().st_size if partial.is_file() else 0)
    free = shutil.disk_usage(directory).free
    if needed and free < needed + DISK_MARGIN:
        raise WeightsUnavailable(
            "weights_disk_full",
            field="--to",
            needed=(needed + DISK_MARGIN) / 1e9,
            free=free / 1e9,
        )
