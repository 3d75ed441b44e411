"""Helpers of these tests are modules beside them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

for needed in ("fastapi", "uvicorn", "prometheus_client"):
    pytest.importorskip(needed, reason="the extra `serve` is not installed")
