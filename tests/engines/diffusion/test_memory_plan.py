"""Memory plans: what they take, counted on networks of the real size, and which one is chosen."""

from dataclasses import replace
from pathlib import Path

import pytest

from multitalk.engines.diffusion.host_memory import available_bytes
from multitalk.engines.diffusion.memory_plan import (
    DECODE_BYTES,
    ENCODE_BYTES,
    GIB,
    PLANS,
    STEP_BYTES,
    MemoryBudget,
)
from multitalk.engines.diffusion.network_sizes import NetworkBytes

ROOT = Path(__file__).parents[3]
RESIDENT, VISIT, STREAMED = PLANS
SMALL = {
    "image_encoder": NetworkBytes(2_523_064_320),
    "vae": NetworkBytes(253_785_062),
    "audio_encoder": NetworkBytes(377_486_848),
}
# Of the published weights on a GPU; `network_sizes` of benchmarks/count_memory.py.
IN_8_BITS = {
    "transformer": NetworkBytes(19_278_005_888, streamed=1_615_810_176),
    "text_encoder": NetworkBytes(6_735_241_216),
    **SMALL,
}
IN_16_BITS = {
    "transformer": NetworkBytes(37_823_301_248, streamed=2_543_074_944),
    "text_encoder": NetworkBytes(11_361_820_672),
    **SMALL,
}


@pytest.mark.parametrize(
    ("free", "sizes", "at_480p", "at_720p"),
    [
        (15.5, IN_8_BITS, STREAMED, STREAMED),
        (15.5, IN_16_BITS, STREAMED, STREAMED),
        (23.5, IN_8_BITS, STREAMED, STREAMED),
        (27.0, IN_8_BITS, VISIT, STREAMED),
        (31.4, IN_8_BITS, VISIT, VISIT),
        (31.4, IN_16_BITS, STREAMED, STREAMED),
        (36.0, IN_8_BITS, RESIDENT, VISIT),
        (44.5, IN_8_BITS, RESIDENT, RESIDENT),
        (44.5, IN_16_BITS, STREAMED, STREAMED),
        (56.0, IN_16_BITS, RESIDENT, VISIT),
        (79.0, IN_16_BITS, RESIDENT, RESIDENT),
    ],
)
def test_the_plan_follows_from_the_card_the_weights_and_the_resolution(
    free, sizes, at_480p, at_720p
):
    budget = MemoryBudget(sizes, free * GIB)
    assert budget.plan_for("480p") == at_480p
    assert budget.plan_for("720p") == at_720p
    assert budget.fits(at_480p, "480p")
    assert budget.fits(at_720p, "720p")
    assert not budget.in_tiles(at_720p, "720p")


def test_a_worker_begins_with_the_plan_for_both_resolutions_unless_that_streams():
    assert MemoryBudget(IN_8_BITS, 36 * GIB).plans() == (VISIT, STREAMED)
    assert MemoryBudget(IN_8_BITS, 79 * GIB).plans() == PLANS
    between = MemoryBudget(IN_8_BITS, 27 * GIB)
    assert between.plans() == (VISIT, STREAMED)
    assert "480p: encoders-visit, 25.8 GiB; 720p: streamed, 11.3 GiB" in between.summary()
    assert "begins with encoders-visit, which the first talk at 720p changes" in between.summary()
    assert "begins" not in MemoryBudget(IN_8_BITS, 36 * GIB).summary()


def test_a_resolution_that_no_plan_holds_changes_none():
    budget = MemoryBudget(dict.fromkeys(IN_8_BITS, NetworkBytes(0)), 9 * GIB)
    assert budget.plans() == PLANS
    assert budget.summary().endswith("720p: streamed, 9.6 GiB, more than is free")


def test_where_nothing_fits_the_smallest_plan_is_tried():
    budget = MemoryBudget(IN_8_BITS, 10 * GIB)
    assert budget.plans() == (STREAMED,)
    assert "720p: streamed, 11.3 GiB, more than is free" in budget.summary()
    assert "480p: streamed, 7.5 GiB;" in budget.summary()


def test_a_vae_in_float32_works_in_tiles_where_less_is_free():
    budget = MemoryBudget(IN_8_BITS, 44.5 * GIB, "float32")
    assert budget.plans() == PLANS
    assert budget.in_tiles(RESIDENT, "720p")
    assert not budget.in_tiles(RESIDENT, "480p")
    strips = replace(budget, in_strips=True)
    assert not strips.in_tiles(RESIDENT, "720p")
    assert budget.needed(RESIDENT, "720p") < strips.needed(RESIDENT, "720p") < 38.1 * GIB
    assert "720p: resident, 36.8 GiB, VAE in tiles" in budget.summary()


@pytest.mark.parametrize(
    ("host", "sizes", "pinned", "said"),
    [
        (16, IN_8_BITS, False, "or 4.5 and is slow"),
        (32, IN_8_BITS, True, "takes 21.0 beside mapped files"),
        (32, IN_16_BITS, False, "or 5.4 and is slow"),
        (64, IN_16_BITS, True, "takes 38.2 beside mapped files"),
        (4, IN_8_BITS, False, "more than is free"),
    ],
)
def test_what_is_streamed_is_page_locked_where_the_host_has_room(host, sizes, pinned, said):
    budget = MemoryBudget(sizes, 15.5 * GIB, host_bytes=host * GIB)
    assert budget.has_pinned(STREAMED) == pinned
    assert said in budget.host(STREAMED)
    assert budget.host(RESIDENT).endswith("takes 3.0 beside mapped files")


def test_what_is_converted_takes_memory_of_the_host_while_it_visits():
    half = {**IN_16_BITS, "text_encoder": NetworkBytes(11 * GIB, converted=11 * GIB)}
    assert VISIT.host_bytes(half) - VISIT.host_bytes(IN_16_BITS) == 11 * GIB
    assert RESIDENT.host_bytes(half) == RESIDENT.host_bytes(IN_16_BITS)


@pytest.mark.parametrize(
    ("files", "gib"),
    [
        ({}, float("inf")),
        ({"proc/meminfo": "MemTotal: 99 kB\nMemAvailable:    8388608 kB\n"}, 8),
        (
            {
                "proc/meminfo": "MemAvailable:   67108864 kB\n",
                "sys/fs/cgroup/memory.max": f"{16 * GIB}\n",
                "sys/fs/cgroup/memory.current": f"{7 * GIB}\n",
                "sys/fs/cgroup/memory.stat": f"active_file {GIB}\ninactive_file {2 * GIB}\n",
            },
            12,
        ),
        (
            {"sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.current": "1\n"},
            float("inf"),
        ),
        (
            {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{4 * GIB}",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB}",
            },
            3,
        ),
    ],
)
def test_what_the_host_has_left_is_the_systems_or_the_containers(tmp_path, files, gib):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_bytes(tmp_path) == gib * GIB


@pytest.fixture
def counting(monkeypatch):
    pytest.importorskip("torch")
    pytest.importorskip("diffusers")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import count_memory

    return count_memory


def test_what_a_step_takes_is_what_is_counted(counting):
    for height, width in ((448, 896), (704, 1280)):
        for speakers, storage in ((1, None), (2, None), (1, "int8")):
            peak = counting.step_peak(height, width, speakers=speakers, storage=storage)
            assert peak == pytest.approx(STEP_BYTES * height * width, rel=0.05)


def test_what_decoding_takes_is_what_is_counted(counting):
    import torch

    decoding = counting.decode_peak(704, 1280, torch.bfloat16)
    assert decoding == pytest.approx(DECODE_BYTES["bfloat16"] * 704 * 1280, rel=0.05)
    assert decoding < 9.5 * GIB
    for dtype, decoding in DECODE_BYTES.items():  # the step and decoding say what is reserved
        assert ENCODE_BYTES[dtype] < decoding


def test_the_documents_table_is_that_of_the_code(counting):
    assert counting.network_sizes("int8") == IN_8_BITS
    assert counting.network_sizes(None) == IN_16_BITS
    document = (ROOT / "docs" / "diffusion.md").read_text(encoding="utf-8")
    assert "\n".join(counting.plans_table()) in document
