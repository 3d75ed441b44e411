"""Disks that take nothing: their errors among others, and how much of a disk is kept free."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from multitalk.errors import (
    DeliveryFailed,
    DiskUnusable,
    QueueUnavailable,
    RequestError,
    WorkerError,
)

# No space, or none for this user; a file system may also turn read-only, or fail, at any time.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
REFUSALS = NO_ROOM | {errno.EIO}
# What says itself which disk it is about: the results' or the queue's is not the worker's.
OTHER_DISKS = (DeliveryFailed, DiskUnusable, QueueUnavailable)
MAX_CAUSES = 32  # of one error
KEPT_BYTES = 10**9
KEPT_SHARE = 20


def refusal_of(error: BaseException) -> OSError | None:
    """A disk's refusal among an error and its causes, or None.

    Where a request is blamed an I/O error is none: FFmpeg calls media that are cut off so.
    """
    refusals = NO_ROOM if isinstance(error, RequestError) else REFUSALS
    cause: BaseException | None = error
    for _ in range(MAX_CAUSES):
        if cause is None:
            break
        if isinstance(cause, OSError) and cause.errno in refusals:
            return cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return None


def disk_unusable(number: int | None) -> DiskUnusable:
    """A refusal (`errno`) while a job's files are written, as an error of ours without a path."""
    return DiskUnusable("work_directory_full", reason=os.strerror(number or 0))


def local_disk_full(number: int | None) -> DiskUnusable:
    """A refusal (`errno`) as it is told to whoever sits at this machine."""
    return DiskUnusable("local_disk_full", reason=os.strerror(number or 0))


def unwritten(number: int | None, reason: str | None) -> WorkerError:
    """What stopped a video from being written (`errno` and its text), as an error of ours."""
    if number in REFUSALS:
        return disk_unusable(number)
    return DeliveryFailed("video_unwritable", reason=reason or "encoder")


@contextmanager
def refusals_told_here() -> Iterator[None]:
    """Have a disk's refusal, whatever it was taken for, told to whoever sits at this machine.

    Raises:
        DiskUnusable: A disk is full, read-only or broken.
    """
    try:
        with refusals_told():
            yield
    except DiskUnusable as error:
        if error.key != "work_directory_full":
            raise
        told = DiskUnusable("local_disk_full", reason=error.parameters["reason"])
        if error.job_id is not None:
            told.happened(error.stage, error.job_id)
        raise told from error


@contextmanager
def refusals_told() -> Iterator[None]:
    """Turn a disk's refusal, whatever it was taken for, into an error of ours.

    Raises:
        DiskUnusable: A disk is full, read-only or broken.
    """
    try:
        yield
    except OTHER_DISKS:
        raise
    except Exception as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise disk_unusable(refusal.errno) from error


def check_kept_free(directory: Path, *, share: float = 1.0) -> None:
    """See that a disk has what nothing new may take: 1 GB, or a 20th of a smaller disk.

    What was accepted before has these for its results, and the records have them for changes.

    Args:
        directory: On that disk; it may still be to be made.
        share: Of those bytes.

    Raises:
        DiskUnusable: It has less, or fails.
    """
    place = next(place for place in (directory, *directory.parents) if place.is_dir())
    try:
        usage = shutil.disk_usage(place)
    except OSError as error:
        raise disk_failed(error) from error
    kept = share * min(KEPT_BYTES, usage.total / KEPT_SHARE)
    if usage.free < kept:
        raise DiskUnusable("server_disk_low", free=usage.free / 2**20, needed=kept / 2**20)


def disk_failed(error: OSError) -> DiskUnusable:
    """A failure of the server's disk as an error of ours; its message has no path."""
    return DiskUnusable("server_disk_failed", reason=error.strerror or type(error).__name__)


def free_bytes(directory: Path) -> int:
    """Bytes that may still be written on a directory's disk.

    Raises:
        OSError: The directory is not there, or its disk fails.
    """
    return shutil.disk_usage(directory).free
