"""Files of the worker that a request may name: regular files under an allowed root.

What a server keeps there (keys, uploads, videos of all keys) is as good as outside.
"""

import os
import stat
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from multitalk.errors import Cancelled, InvalidRequest
from multitalk.inputs.intake import Intake
from multitalk.paths import PRIVATE_MARK, on_disk

CHUNK_BYTES = 2**20


def read_into(
    intake: Intake,
    text: str,
    *,
    field: str,
    roots: Sequence[Path],
    cancelled: Callable[[], bool],
) -> None:
    """Copy the file that `text` names, absolute or relative to a root, in any Unicode spelling.

    The answer is the same for every path outside the roots, whether something is there or not.

    Raises:
        InvalidRequest: Outside the roots (symbolic links followed), no regular file, or a server's.
        Cancelled: The job was taken back.
    """
    with _open(text, field=field, roots=roots) as file:
        intake.expect(os.fstat(file.fileno()).st_size)
        while chunk := file.read(CHUNK_BYTES):
            if cancelled():
                raise Cancelled
            intake.write(chunk)


def _open(text: str, *, field: str, roots: Sequence[Path]) -> BinaryIO:
    real_roots = [Path(os.path.realpath(on_disk(root))) for root in roots]
    written = [root / text for root in real_roots]  # absolute text wins
    spelled = [on_disk(path, may_list=partial(_leads_to, real_roots)) for path in written]
    as_written = [path for path in spelled if path in written]
    candidates = dict.fromkeys(Path(os.path.realpath(path)) for path in (*as_written, *spelled))
    inside = [path for path in candidates if _is_under(path, real_roots)]
    if not inside:
        raise InvalidRequest("path_refused", field=field)
    for path in inside:
        try:
            # Without O_NONBLOCK, opening a FIFO would wait for a writer.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        # What was opened, not what was named: a directory may have become a link in between.
        opened = Path(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        if is_file and any(_is_free(opened, root) for root in real_roots):
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
    raise InvalidRequest("file_missing", field=field)


def _leads_to(roots: Sequence[Path], directory: Path) -> bool:
    """Whether a directory is under a root, or on the way there."""
    real = Path(os.path.realpath(directory))
    return _is_under(real, roots) or any(root.is_relative_to(real) for root in roots)


def _is_free(path: Path, root: Path) -> bool:
    """Whether a file is under a root, and on the way there is no directory of a server's."""
    if not path.is_relative_to(root):
        return False
    depth = len(path.relative_to(root).parts)
    return not any((folder / PRIVATE_MARK).exists() for folder in path.parents[:depth])


def _is_under(path: Path, roots: Sequence[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)
