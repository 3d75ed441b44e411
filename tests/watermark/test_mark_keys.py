"""The key is published, so it never changes: marks of today must be found in years to come."""

import hashlib

import numpy as np
import pytest

from multitalk.watermark.keys import Payload, random_order, random_phases, random_signs


@pytest.mark.parametrize(
    "payload", [Payload(0, 1, 0), Payload(3, 63, 2**20 - 1), Payload(0, 2, 0x12345)]
)
def test_a_payload_is_what_its_symbols_say(payload: Payload) -> None:
    assert len(payload.symbols) == 4
    assert Payload.from_symbols(payload.symbols) == payload


def test_symbols_of_another_scheme_are_no_payload() -> None:
    assert Payload.from_symbols((0x20, 0, 0, 0)) is None


def test_a_talks_number_comes_from_its_jobs_id() -> None:
    first, again, other = (Payload.of("0.2.0", job_id) for job_id in ("one", "one", "two"))
    assert first == again
    assert first.talk != other.talk
    assert (first.major, first.minor) == (0, 2)


def test_the_sequences_of_scheme_1_are_fixed() -> None:
    parts = (
        random_signs("picture, pilot", 64).tobytes(),
        random_order("picture, cells", 32 * 32).astype("<i8").tobytes(),
        np.round(random_phases("sound, pilot", 16) * 1000).astype("<c8").tobytes(),
    )
    digests = [hashlib.sha256(part).hexdigest()[:8] for part in parts]
    assert digests == ["ec5ed894", "5be8e91f", "35801212"]
