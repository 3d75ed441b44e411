"""A job's directory, removed with the job; and those that killed workers have left.

The owner holds a lock on a file in its directory, which the kernel releases however the owner ends.
So a directory whose lock is free has no owner, whatever process, container or boot it was made in;
one whose lock is held, or that has none, is left alone.
"""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from multitalk.disk import DISK_ERRORS, work_disk_error
from multitalk.errors import DiskUnusable

PREFIX = "multitalk-"
LOCK = ".owner"

logger = logging.getLogger(__name__)


@contextmanager
def job_directory(parent: Path) -> Iterator[Path]:
    """Make a directory under `parent` and remove it with all that is in it.

    Raises:
        DiskUnusable: It cannot be made.
    """
    try:
        directory, lock = _make_locked_directory(parent)
    except OSError as error:
        raise work_directory_error(error) from error
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def work_directory_error(error: OSError) -> DiskUnusable:
    """The error for a directory in which a job's files cannot be stored."""
    if error.errno in DISK_ERRORS:
        return work_disk_error(error.errno)
    return DiskUnusable("work_directory_unusable", reason=error.strerror)


def _make_locked_directory(parent: Path) -> tuple[Path, int]:
    """Make a directory; with the open file that holds its lock."""
    # Renamed once it is locked, so that no sweep finds it without an owner.
    made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
    try:
        lock = os.open(made / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        with suppress(OSError):  # a file system without locks, which is never swept
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return made.rename(made.with_name(made.name[1:])), lock
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        raise


def sweep(parent: Path) -> None:
    """Remove the job directories of dead processes under `parent`."""
    for directory in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # it is held, or swept at the same time
            lock = os.open(directory / LOCK, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
                logger.info("swept what a dead worker left in %s", directory.name)
            finally:
                os.close(lock)
