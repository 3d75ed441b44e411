"""Paths as people write them."""

from pathlib import Path


def at_home(path: Path) -> Path:
    """A path whose `~` is the directory of a user; as it is where there is no such user."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path
