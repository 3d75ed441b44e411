"""A text into a file, whole or not at all."""

import secrets
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a text to a file; where that fails, what the file had before is still in it.

    Raises:
        OSError: It could not be written.
    """
    target = path.resolve()  # a link stays one
    partial = target.with_name(f".multitalk-{secrets.token_hex(4)}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
