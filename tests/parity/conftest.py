"""Where the recorded results of the reference implementation are."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def goldens() -> Path:
    """Directory of the recordings; MULTITALK_GOLDENS names another set, or the folder around it."""
    named = Path(os.environ.get("MULTITALK_GOLDENS", Path(__file__).parent / "goldens"))
    inner = named / "multitalk"
    return inner if inner.is_dir() else named
