"""How a picture is brought to its size and where its speakers are, to the last pixel."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from multitalk.engines.diffusion.resolution_buckets import (
    BUCKETS,
    choose_bucket,
    cover,
    fit_mask,
    fit_picture,
)
from multitalk.engines.diffusion.speakers import (
    PIXELS_PER_LATENT,
    SpeakerOutOfSight,
    speaker_masks,
    token_masks,
)

sides = st.integers(16, 1500)


@pytest.fixture(scope="module")
def recorded(goldens: Path) -> dict[str, NDArray[np.uint8]]:
    numpy_tensors = pytest.importorskip("safetensors.numpy")
    return numpy_tensors.load_file(goldens / "masks_and_buckets" / "masks.safetensors")


@pytest.fixture(scope="module")
def meta(goldens: Path) -> dict[str, Any]:
    return json.loads((goldens / "masks_and_buckets" / "meta.json").read_text())


def test_the_bucket_chosen_is_the_reference_s(goldens):
    rows = json.loads((goldens / "masks_and_buckets" / "bucket_choice.json").read_text())
    tables = json.loads((goldens / "masks_and_buckets" / "bucket_tables.json").read_text())
    assert rows
    assert tables
    for name, table in tables.items():
        buckets = {float(ratio): tuple(size) for ratio, size in table.items()}
        for row in rows:
            bucket = choose_bucket(row["height"], row["width"], buckets=buckets)
            assert list(bucket) == row[name]
            assert [side // PIXELS_PER_LATENT for side in bucket] == row[f"{name}_latent"]


def test_pictures_and_masks_are_resized_to_the_last_pixel(recorded, meta):
    assert meta["resize"]
    for case in meta["resize"]:
        image, bucket = f"img{case['index']}", tuple(case["target_hw"])
        fitted = fit_picture(recorded[f"{image}/in"], bucket)
        np.testing.assert_array_equal(fitted, to_picture(recorded[f"{image}/out"]))
        planes = to_picture(recorded[f"{image}/mask_in"])
        np.testing.assert_array_equal(
            fit_mask(planes, bucket), to_picture(recorded[f"{image}/mask_out"])
        )


def test_speaker_masks_are_the_reference_s(recorded, meta):
    assert meta["masks"]
    for case in meta["masks"]:
        latent = recorded[f"mask{case['index']}/latent"]
        masks = speaker_masks(
            tuple(case["source_hw"]),
            tuple(case["target_hw"]),
            num_speakers=len(latent) - 1,
            boxes=boxes_of(case["bbox"]),
        )
        np.testing.assert_array_equal(masks, latent)
        np.testing.assert_array_equal(token_masks(masks), recorded[f"mask{case['index']}/token"])


@settings(deadline=None)
@given(sides, sides, st.sampled_from(list(BUCKETS)))
def test_a_picture_covers_its_bucket_and_keeps_its_centre(height, width, resolution):
    bucket = choose_bucket(height, width, buckets=BUCKETS[resolution])
    placed = cover((height, width), bucket)
    for side, cut, target in zip(placed.resized, (placed.top, placed.left), bucket, strict=True):
        assert 0 <= cut <= side - target
        assert abs((side - target) / 2 - cut) <= 0.5
    # a size that floating point leaves just above a whole number is rounded up, as in the reference
    assert min(np.subtract(placed.resized, bucket)) <= 1


@settings(max_examples=20, deadline=None)
@given(sides, sides, st.integers(1, 4), st.data())
def test_every_place_belongs_to_a_speaker_or_to_the_background(height, width, num_speakers, data):
    bucket = choose_bucket(height, width, buckets=BUCKETS["480p"])
    boxes = [
        (*data.draw(corner(width, height), "start"), *data.draw(corner(width, height), "end"))
        for _ in range(num_speakers)
    ]
    for places in (None, boxes):
        try:
            masks = speaker_masks((height, width), bucket, num_speakers=num_speakers, boxes=places)
        except SpeakerOutOfSight:
            continue
        assert masks.shape == (num_speakers + 1, bucket[0] // 8, bucket[1] // 8)
        assert masks.max(axis=0).min() == 1
        assert token_masks(masks)[:-1].any(axis=(1, 2)).all()
        np.testing.assert_array_equal(masks[-1], 1 - masks[:-1].max(axis=0))


def test_a_box_that_the_crop_cuts_away_is_named():
    with pytest.raises(SpeakerOutOfSight) as caught:
        speaker_masks(
            (1000, 400), (640, 640), num_speakers=2, boxes=[(10, 400, 390, 600), (10, 0, 390, 90)]
        )
    assert caught.value.speaker == 1


def corner(width: int, height: int) -> st.SearchStrategy[tuple[float, float]]:
    return st.tuples(st.floats(0, width), st.floats(0, height))


def to_picture(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """From [1, 3, 1, H, W] or [3, H, W] to [H, W, 3]."""
    return np.moveaxis(planes.reshape(-1, *planes.shape[-2:]), 0, -1)


def boxes_of(recorded: dict[str, list[float]] | None) -> list[tuple[float, ...]] | None:
    """Boxes as x_min, y_min, x_max, y_max from the reference's rows-first order."""
    if recorded is None:
        return None
    return [(left, top, right, bottom) for top, left, bottom, right in recorded.values()]
