"""A video on the operator's volume: whole or not there, and never in another's place."""

import errno
import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from multitalk.disk import DISK_FULL
from multitalk.errors import Cancelled, DeliveryFailed

logger = logging.getLogger(__name__)

CHUNK_BYTES = 2**20
# What file systems without hard links answer (FAT, some network and object stores).
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


def keep(
    video: Path,
    target: Path,
    *,
    on_bytes: Callable[[int], None],
    cancelled: Callable[[], bool],
) -> Path:
    """Copy `video` to `target`, or beside it where that name is taken.

    Args:
        video: A finished mp4.
        target: On the volume; its directory is made if need be.
        on_bytes: Told how many bytes have been written.
        cancelled: Whether the job was taken back.

    Returns:
        Where it is: `target`, or with `-2`, `-3` ... before the suffix.

    Raises:
        DeliveryFailed: The volume is full, or does not take it.
        Cancelled: The job was taken back.
    """
    # Two workers in two containers often have the same process id.
    partial = target.with_name(f".{target.stem}.{secrets.token_hex(8)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _copy(video, partial, on_bytes=on_bytes, cancelled=cancelled)
            return _name(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        logger.error("the volume did not take %s: %s", target, error)
        if error.errno in DISK_FULL:
            raise DeliveryFailed("volume_full", size=video.stat().st_size) from error
        raise DeliveryFailed("volume_failed", reason=os.strerror(error.errno or 0)) from error


def _copy(
    video: Path, partial: Path, *, on_bytes: Callable[[int], None], cancelled: Callable[[], bool]
) -> None:
    done = 0
    with video.open("rb") as source, partial.open("xb") as file:
        while chunk := source.read(CHUNK_BYTES):
            if cancelled():
                raise Cancelled
            file.write(chunk)
            done += len(chunk)
            on_bytes(done)
        file.flush()
        os.fsync(file.fileno())  # a network volume may say only now that it is full


def _name(partial: Path, target: Path) -> Path:
    """Give a whole file the first name that is free."""
    name, number = target, 1
    while not _takes(name, partial):
        number += 1
        name = target.with_stem(f"{target.stem}-{number}")
    return name


def _takes(name: Path, partial: Path) -> bool:
    """Give a whole file a name in one step, unless it is taken."""
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
