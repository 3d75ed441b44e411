"""Numbers that were published with the model, as the recordings of the published code have them."""

import json
from pathlib import Path

import pytest

from multitalk.engines.diffusion.resolution_buckets import BUCKETS

GOLDENS = Path(__file__).parents[2] / "parity" / "goldens"
NAMES = {"480p": "multitalk-480", "720p": "multitalk-720"}


@pytest.mark.parametrize("resolution", BUCKETS)
def test_the_bucket_tables_are_the_published_ones_in_their_order(resolution):
    tables = json.loads((GOLDENS / "masks_and_buckets" / "bucket_tables.json").read_text())
    published = {float(ratio): tuple(size) for ratio, size in tables[NAMES[resolution]].items()}
    assert list(BUCKETS[resolution].items()) == list(published.items())


def test_the_step_cache_s_polynomials_are_the_published_ones():
    pytest.importorskip("torch")
    from multitalk.engines.diffusion.step_cache import COEFFICIENTS

    recorded = json.loads((GOLDENS / "teacache" / "decisions.json").read_text())["coefficients"]
    published = {size: tuple(recorded[name]) for size, name in NAMES.items()}
    assert published == COEFFICIENTS
