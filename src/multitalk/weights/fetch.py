"""A whole weight set into a directory: what is missing, in parallel, by one process at a time."""

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
from multitalk.weights.download import (
    News,
    Patience,
    Session,
    Stopped,
    download,
    is_content_of,
    partial_path,
)
from multitalk.weights.hub import Hub, Remote
from multitalk.weights.layout import find_file, written_path
from multitalk.weights.lockfile import LockedFile, Lockfile, read_lockfile, write_lockfile
from multitalk.weights.sets import Wanted, load_manifest
from multitalk.weights.verify import Digest, check_file

WORKERS = 4
DISK_MARGIN = 2**30  # bytes that are left free: a disk filled to the brim breaks other things
LEASE_NAME = ".multitalk-weights.lease"
LEASE_SECONDS = 30.0  # without a sign of life, after which another process takes over
BUSY_SECONDS = 2 * 3600.0  # that another process is waited for
BUSY_NEWS_SECONDS = 10.0


@dataclass(frozen=True)
class Order:
    """What is to be fetched, and how.

    Attributes:
        weight_set: Its name in the manifest.
        loras: Names of LoRAs to fetch beside it.
        lock: Whether later fetches into the directory must get just these files.
        verify: Whether files that are there are read and compared with their hashes.
        workers: Files at a time.
        patience: With a hub in trouble.
        busy_seconds: How long another process that fetches into the directory is waited for.
    """

    weight_set: str
    loras: tuple[str, ...] = ()
    lock: bool = False
    verify: bool = False
    workers: int = WORKERS
    patience: Patience = field(default_factory=Patience)
    busy_seconds: float = BUSY_SECONDS


def fetch_weights(
    directory: Path,
    order: Order,
    *,
    hub: Hub,
    on_news: Callable[[News], None] = lambda _: None,
) -> int:
    """Bring a set into a directory, whole; files that are there stay.

    Only one process fetches into a directory. Others, on whatever machine, wait for it and then
    find the files. One that dies is succeeded `LEASE_SECONDS` later, on its own machine at once.

    Args:
        directory: Made if it is not there.
        order: What and how.
        hub: Whom to ask.
        on_news: Told what happens, from several threads.

    Returns:
        Bytes of the files that were fetched.

    Raises:
        InvalidRequest: No such set or LoRA.
        WeightsUnavailable: It did not succeed; what has come is resumed next time.
    """
    wanted = load_manifest().wanted(order.weight_set, loras=order.loras)
    if not order.verify and _is_settled(directory, wanted, lock=order.lock):
        return 0  # a warm start: no lease, so that a directory that is read-only will do
    stop = threading.Event()
    session = Session(hub, order.patience, on_news, stop)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _only_one(directory, session, order.busy_seconds):
            return _fetch(directory, wanted, order, session)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise WeightsUnavailable("weights_unwritable", file="--to", reason=reason) from error
    except Stopped as stopped:  # by the lease's own thread: nobody else stops and lives
        raise WeightsUnavailable("weights_lease_lost") from stopped


def _is_settled(directory: Path, wanted: Sequence[Wanted], *, lock: bool) -> bool:
    records = read_lockfile(directory).files
    return all(
        (record := records.get(file.key)) is not None
        and (record.locked or not lock)
        and check_file(directory, file, record) is None
        for file in wanted
    )


@contextmanager
def _only_one(directory: Path, session: Session, busy_seconds: float) -> Iterator[None]:
    """Hold the directory against other processes.

    A lease is a file that is made exclusively and touched all the time, which works on network
    file systems whose `flock` does not. Who loses it, by a pause of the machine, stops.
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
            session.on_news(News("busy", seconds=waited))
            step = min(BUSY_NEWS_SECONDS, busy_seconds - waited)
    try:
        yield
    finally:
        lease.release()


def _fetch(directory: Path, wanted: Sequence[Wanted], order: Order, session: Session) -> int:
    records = dict(read_lockfile(directory).files)

    def remember(file: Wanted, record: LockedFile) -> None:
        before = records.get(file.key)
        locked = order.lock or (before is not None and before.locked)
        records[file.key] = record.model_copy(update={"locked": locked})
        write_lockfile(directory, Lockfile(files=records))

    with ThreadPoolExecutor(order.workers) as pool:
        try:
            missing = {}
            looks = [
                pool.submit(_look, directory, file, records.get(file.key), order.verify, session)
                for file in wanted
            ]
            for file, look in zip(wanted, looks, strict=True):
                found = look.result()
                if isinstance(found, LockedFile):
                    remember(file, found)
                else:
                    missing[file] = found
            _check_disk(directory, missing)
            session.on_news(News("plan", bytes=sum(remote.size for remote in missing.values())))
            largest_first = sorted(missing, key=lambda file: -missing[file].size)
            downloads = {
                pool.submit(
                    download, file, missing[file], written_path(directory, file), session=session
                ): file
                for file in largest_first
            }
            for done in as_completed(downloads):
                remember(downloads[done], done.result())
        except BaseException:  # Ctrl-C, too: the threads end before we do
            session.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return sum(remote.size for remote in missing.values())


def _look(
    directory: Path, file: Wanted, record: LockedFile | None, verify: bool, session: Session
) -> LockedFile | Remote:
    """What is known of a file that is there and whole, or what the hub has in its place."""
    session.check()
    path = find_file(directory, file)
    problem = check_file(directory, file, record)
    digest = Digest(path.stat().st_size) if path.is_file() else None
    if digest and not problem and (verify or not record):
        digest.read(
            path,
            on_bytes=lambda count: session.on_news(News("read", bytes=count)),
            stop=session.stop,
        )
        session.check()
    if record and not problem and (not verify or (digest and digest.sha256 == record.sha256)):
        return record
    if digest and record:
        _drop(path, file, session)
        digest = None
    remote = _ask(file, record, session)
    if digest and not problem and is_content_of(digest, file, remote):
        return LockedFile(
            commit=remote.commit, etag=remote.etag, size=remote.size, sha256=digest.sha256
        )
    if digest:
        _drop(path, file, session)
    return remote


def _drop(path: Path, file: Wanted, session: Session) -> None:
    """Remove a file that is damaged, before its size passes it for whole."""
    session.on_news(News("damaged", file.key))
    path.unlink()


def _ask(file: Wanted, record: LockedFile | None, session: Session) -> Remote:
    """What the hub has, if it is what it must be.

    Raises:
        WeightsUnavailable: It has nothing, or not what the manifest or the lock file says.
    """
    locked = record if record and record.locked else None
    revision = locked.commit if locked else file.revision
    try:
        remote = session.patiently(file.key, lambda: session.hub.describe(file, revision=revision))
    except WeightsUnavailable as error:
        if locked and error.key == "weights_not_on_hub":
            raise WeightsUnavailable("weights_lock_gone", file=file.key, commit=revision) from error
        raise
    size = file.size or (locked.size if locked else None)
    sha256 = file.sha256 or (locked.sha256 if locked else None)
    other_hash = sha256 is not None and len(remote.etag) == len(sha256) and remote.etag != sha256
    other_etag = (
        locked is not None and len(remote.etag) == len(locked.etag) and remote.etag != locked.etag
    )
    if size not in {None, remote.size} or other_hash or other_etag:
        raise WeightsUnavailable("weights_changed", file=file.key)
    return remote


def _check_disk(directory: Path, missing: dict[Wanted, Remote]) -> None:
    """Make sure that all that is missing has room.

    Raises:
        WeightsUnavailable: It has not.
    """
    needed = 0
    for file, remote in missing.items():
        partial = partial_path(written_path(directory, file), remote)
        needed += remote.size - (partial.stat().st_size if partial.is_file() else 0)
    free = shutil.disk_usage(directory).free
    if needed and free < needed + DISK_MARGIN:
        raise WeightsUnavailable(
            "weights_disk_full",
            field="--to",
            needed=(needed + DISK_MARGIN) / 1e9,
            free=free / 1e9,
        )
