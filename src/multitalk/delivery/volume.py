"""A video on the operator's volume: written completely or not at all, replacing nothing."""

import errno
import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from multitalk.disk import DISK_FULL
from multitalk.errors import Cancelled, DeliveryFailed
from multitalk.net.deadline import never

logger = logging.getLogger(__name__)

CHUNK_BYTES = 2**20
# Errors of file systems without hard links (FAT, some network and object stores), and of a link
# from one file system to another.
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


def put_on_volume(
    video: Path,
    target: Path,
    *,
    on_progress: Callable[[int], None] | None = None,
    cancelled: Callable[[], bool] = never,
) -> Path:
    """Bring a video to `target`, or to a similar name where that one exists.

    On the same file system the file is linked, not copied: its content must not change later.

    Args:
        video: A finished mp4.
        target: A path on the volume; missing directories are made.
        on_progress: Called with the number of bytes that are there; may raise to stop.
        cancelled: Whether the job was cancelled.

    Returns:
        The path: `target`, or with `-2`, `-3` ... before the suffix.

    Raises:
        DeliveryFailed: The volume is full, or cannot be written to.
        Cancelled: The job was cancelled.
    """
    # A random name: workers in two containers often have the same process id.
    partial = target.with_name(f".{target.stem}.{secrets.token_hex(8)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if not _link(video, partial):
                _copy(video, partial, on_progress=on_progress, cancelled=cancelled)
            elif on_progress is not None:
                on_progress(video.stat().st_size)
            if cancelled():
                raise Cancelled
            return _rename(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        logger.error("the volume did not take %s: %s", target, error)
        if error.errno in DISK_FULL:
            raise DeliveryFailed("volume_full", size=video.stat().st_size) from error
        raise DeliveryFailed("volume_failed", reason=os.strerror(error.errno or 0)) from error


def _link(video: Path, partial: Path) -> bool:
    """Give a file a second name on its file system, its content on the disk; whether it could."""
    try:
        os.link(video, partial)
    except OSError as error:
        if error.errno in NO_LINKS:
            return False
        raise
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    return True


def _copy(
    video: Path,
    partial: Path,
    *,
    on_progress: Callable[[int], None] | None,
    cancelled: Callable[[], bool],
) -> None:
    done = 0
    with video.open("rb") as source, partial.open("xb") as file:
        while chunk := source.read(CHUNK_BYTES):
            if cancelled():
                raise Cancelled
            file.write(chunk)
            done += len(chunk)
            if on_progress is not None:
                on_progress(done)
        file.flush()
        os.fsync(file.fileno())  # a full network volume may raise only here


def _rename(partial: Path, target: Path) -> Path:
    """Rename a file to the first free name."""
    name, number = target, 1
    while not _rename_new(partial, name):
        number += 1
        name = target.with_stem(f"{target.stem}-{number}")
    return name


def _rename_new(partial: Path, name: Path) -> bool:
    """Rename a file atomically, unless the new name exists; whether it did."""
    try:
        os.link(partial, name)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if name.exists():
            return False
        partial.replace(name)
    return True
