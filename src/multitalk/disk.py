"""Disks: their errors, reserved space, and files that are written atomically."""

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from multitalk.errors import (
    DeliveryFailed,
    DiskUnusable,
    QueueUnavailable,
    RequestError,
    WorkerError,
)

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})  # for all, or for this user
UNWRITABLE = DISK_FULL | {errno.EROFS}  # a file system may turn read-only at any time
DISK_ERRORS = UNWRITABLE | {errno.EIO}
# Errors about other disks than the worker's: the results' and the queue's.
OTHER_DISKS = (DeliveryFailed, DiskUnusable, QueueUnavailable)
MAX_CAUSES = 32  # in the chain of one error
RESERVED_BYTES = 10**9
RESERVED_SHARE = 20


def find_disk_error(error: BaseException) -> OSError | None:
    """The disk's error among an error and its causes, or None.

    For a RequestError, EIO does not count: FFmpeg returns it for truncated media.
    """
    numbers = UNWRITABLE if isinstance(error, RequestError) else DISK_ERRORS
    for cause in islice(_causes(error), MAX_CAUSES):
        if isinstance(cause, OSError) and cause.errno in numbers:
            return cause
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and what it was raised from or because of."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def work_disk_error(number: int | None) -> DiskUnusable:
    """The error for an `errno` in the job's directory; its message has no path."""
    return DiskUnusable("work_directory_full", reason=os.strerror(number or 0))


def local_disk_error(number: int | None) -> DiskUnusable:
    """The error for an `errno`, for the user of this machine."""
    return DiskUnusable("local_disk_full", reason=os.strerror(number or 0))


def unwritable_video(number: int | None, reason: str | None) -> WorkerError:
    """The error for a video that could not be written, by `errno` and its text."""
    if number in DISK_ERRORS:
        return work_disk_error(number)
    return DeliveryFailed("video_unwritable", reason=reason or "encoder")


@contextmanager
def translate_local_disk_errors() -> Iterator[None]:
    """`translate_disk_errors`, with a message for the user of this machine."""
    try:
        with translate_disk_errors():
            yield
    except DiskUnusable as error:
        if error.key != "work_directory_full":
            raise
        local = DiskUnusable("local_disk_full", reason=error.parameters["reason"])
        if error.job_id is not None:
            local.set_context(error.stage, error.job_id)
        raise local from error


@contextmanager
def translate_disk_errors() -> Iterator[None]:
    """Raise DiskUnusable for any error that a full, read-only or broken disk caused."""
    try:
        yield
    except OTHER_DISKS:
        raise
    except Exception as error:
        cause = find_disk_error(error)
        if cause is None:
            raise
        raise work_disk_error(cause.errno) from error


def check_free_space(directory: Path, *, share: float = 1.0) -> None:
    """Check that a disk has its reserved space free: 1 GB, or 5% of a smaller disk.

    Nothing new is accepted below it; it is left for the results of jobs that were accepted before.

    Args:
        directory: A directory on that disk, which may not exist yet.
        share: The part of the reserved space that must be free.

    Raises:
        DiskUnusable: Less is free, or the disk fails.
    """
    try:
        total, free = _disk_usage(directory)
    except OSError as error:
        raise server_disk_error(error) from error
    reserved = share * min(RESERVED_BYTES, total / RESERVED_SHARE)
    if free < reserved:
        raise DiskUnusable("server_disk_low", free=free / 2**20, needed=reserved / 2**20)


def _disk_usage(directory: Path) -> tuple[int, int]:
    """Bytes of the disk of a directory, which may not exist yet, and free bytes."""
    try:
        usage = shutil.disk_usage(directory)
        return usage.total, usage.free
    except FileNotFoundError:
        if directory.parent == directory:
            raise
        return _disk_usage(directory.parent)


def server_disk_error(error: OSError) -> DiskUnusable:
    """The error for a failure of the server's disk; its message has no path."""
    return DiskUnusable("server_disk_failed", reason=error.strerror or type(error).__name__)


def free_bytes(directory: Path) -> int:
    """Bytes free on a directory's disk; OSError where it does not exist or the disk fails."""
    return shutil.disk_usage(directory).free


def prepare_output_file(output: Path, *, field: str = "output") -> None:
    """Make the directory of a file that is to be written, and check that it can be.

    Args:
        output: The file.
        field: What named it, for errors.

    Raises:
        DeliveryFailed: It cannot be, or its name is taken by a directory or a device.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        is_taken = output.exists() and not output.is_file()
        descriptor, probe = tempfile.mkstemp(dir=output.parent)
        os.close(descriptor)
        Path(probe).unlink()
    except OSError as error:
        reason = error.strerror
        raise DeliveryFailed("output_unwritable", field=field, reason=reason) from error
    if is_taken:
        reason = "a directory or a device has its name"
        raise DeliveryFailed("output_unwritable", field=field, reason=reason)


def write_atomically(path: Path, data: bytes, *, mode: int = 0o666, overwrite: bool = True) -> None:
    """Write a file such that readers, and a crash, see the old content or the new, never a part.

    Args:
        path: The file, in an existing directory; a symbolic link keeps pointing to it.
        data: Its new content.
        mode: Permissions of a new file, less the umask; 0o600: for its owner only.
        overwrite: Whether to replace an existing file, which otherwise is left as it is.

    Raises:
        OSError: It could not be written; an existing file is unchanged.
    """
    target = path.resolve()
    partial = target.with_name(f".{target.name}-{secrets.token_hex(8)}.part")
    try:
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            partial.replace(target)
        else:
            with suppress(FileExistsError):
                target.hardlink_to(partial)
    finally:
        partial.unlink(missing_ok=True)
