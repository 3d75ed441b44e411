"""Where the recorded results of the reference implementation are."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def goldens() -> Path:
    """Directory of the recordings; MULTITALK_GOLDENS names another set of the same layout."""
    return Path(os.environ.get("MULTITALK_GOLDENS", Path(__file__).parent / "goldens"))
