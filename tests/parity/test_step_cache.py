"""Which steps are skipped, and talks with skipped steps, against the reference."""

import json
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
load_file = pytest.importorskip("safetensors.torch").load_file

import torch.nn.functional as F  # noqa: N812
from stand_ins import (
    RecordingModule,
    assert_same_talk,
    portrait,
    recordings,
    small_transformer,
)

from multitalk.engines.diffusion.continuation import continue_multitalk
from multitalk.engines.diffusion.sampler import schedule
from multitalk.engines.diffusion.step_cache import (
    WARM_UP_STEPS,
    StepCache,
    relative_change,
)

BRANCHES = ("full", "voice", "nothing")


@pytest.fixture(scope="module")
def recorded(goldens):
    return json.loads((goldens / "teacache" / "decisions.json").read_text())


def step_cache(recorded, size, threshold, kind=StepCache):
    """A cache with a polynomial of the recordings."""
    return kind(threshold=threshold, coefficients=tuple(recorded["coefficients"][size]))


@pytest.fixture(scope="module")
def modulations(goldens):
    """The time embedding of the recordings' network: (shift, steps) -> one tensor a step."""
    weights = {}
    for file in sorted((goldens / "transformer" / "checkpoint").glob("*.safetensors")):
        weights |= load_file(file)
    weights |= load_file(goldens / "teacache" / "time_projection_override.safetensors")

    def linear(name, values):
        return F.linear(values, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def of(shift, steps):
        half = weights["time_embedding.0.weight"].shape[1] // 2
        frequencies = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        for timestep in schedule(steps, shift=shift).timesteps:
            angles = timestep.double() * frequencies
            wave = torch.cat([angles.cos(), angles.sin()]).float()[None]
            embedding = linear("time_embedding.2", F.silu(linear("time_embedding.0", wave)))
            yield linear("time_projection.1", F.silu(embedding)).unflatten(1, (6, -1))

    return of


def test_as_many_steps_are_always_computed_as_in_the_reference(recorded):
    assert recorded["warmup_steps"] == WARM_UP_STEPS


def test_changes_of_the_time_embedding_are_the_reference_s(recorded, modulations):
    rows = recorded["relative_l1_of_e0_between_consecutive_steps"]
    assert rows
    for name, changes in rows.items():
        steps, shift = name.removeprefix("steps").split("_shift")
        seen = list(modulations(float(shift), int(steps)))
        ours = [relative_change(*pair) for pair in pairwise(seen)]
        assert ours == pytest.approx(changes, abs=1e-5)


def test_steps_are_skipped_where_the_reference_skips_them_in_every_branch(recorded, modulations):
    assert recorded["table"]
    for row in recorded["table"]:
        cache = step_cache(recorded, row["size"], row["thresh"])
        for _window in range(2):
            cache.reset()
            computed = {branch: [] for branch in BRANCHES}
            for step, modulation in enumerate(modulations(row["shift"], row["steps"])):
                for branch in BRANCHES:
                    if cache.recall(branch, modulation) is None:
                        computed[branch].append(step)
                        cache.keep(branch, torch.zeros(1))
                    wanted = row["accumulated_after_step"][step]
                    assert cache._states[branch].change == pytest.approx(wanted, abs=1e-4)
            assert list(computed.values()) == [row["computed_steps"]] * len(BRANCHES)
            skipped = set(range(row["steps"])) - set(row["computed_steps"])
            assert sorted(skipped) == row["skipped_steps"]


def test_with_two_branches_each_keeps_its_own_memory_unlike_the_reference(goldens, recorded):
    """The reference has three memories in turn, whatever the branches: they get mixed up."""
    calls = json.loads((goldens / "teacache" / "two_branch_defect.json").read_text())["calls"]
    assert any(call["residual_from"] != call["branch"] for call in calls)
    branches = sorted({call["branch"] for call in calls})
    cache = StepCache(threshold=1e9, coefficients=(1.0, 0.0))
    clip = None
    for call in calls:
        if call["clip"] != clip:
            clip = call["clip"]
            cache.reset()
        kept = cache.recall(call["branch"], torch.full((1, 6, 2), 1.0 + call["step"]))
        assert (kept is None) == (call["step"] < recorded["warmup_steps"])
        here = torch.tensor([clip, branches.index(call["branch"])])
        if kept is None:
            cache.keep(call["branch"], here)
        else:
            assert torch.equal(kept, here)


def test_a_skipped_step_gets_its_own_branch_s_contribution():
    cache = StepCache(threshold=1e9, coefficients=(1.0, 0.0))
    for step in range(10):
        for number, branch in enumerate(BRANCHES):
            kept = cache.recall(branch, torch.full((1, 6, 2), 1.0 + step))
            if step < WARM_UP_STEPS:
                assert kept is None
                cache.keep(branch, torch.tensor([step, number]))
            else:
                assert kept.tolist() == [WARM_UP_STEPS - 1, number]


def test_a_threshold_of_zero_computes_every_step():
    cache = StepCache(threshold=0.0, coefficients=(-1.0,))
    for step in range(10):
        assert cache.recall("full", torch.full((1,), 1.0 + step)) is None
        cache.keep("full", torch.zeros(1))


class CountingCache(StepCache):
    """Notes for every window which calls were computed, in order."""

    def __init__(self, **options):
        super().__init__(**options)
        self.computed = []

    def reset(self):
        super().reset()
        self.computed.append([])

    def recall(self, branch, modulation):
        kept = super().recall(branch, modulation)
        self.computed[-1].append(kept is None)
        return kept


@pytest.fixture(scope="module")
def slow_transformer(goldens):
    """The recordings' network with the slow time projection they replaced it by."""
    transformer = small_transformer(goldens)
    replaced = load_file(goldens / "teacache" / "time_projection_override.safetensors")
    projection = transformer.condition_embedder.time_proj
    projection.weight.data = replaced["time_projection.1.weight"]
    projection.bias.data = replaced["time_projection.1.bias"]
    return transformer


@pytest.fixture(scope="module")
def runs(goldens):
    """Recorded talks with a cache, and the calls that the reference computed."""
    shared = next(iter(recordings(goldens / "sampler").values()))
    found = []
    folder = goldens / "teacache"
    for name, run in json.loads((folder / "run_meta.json").read_text()).items():
        meta = {**shared.meta, **run, "stubs": shared.stubs}
        found.append((RecordingModule(folder, f"run_{name}", run["params"], meta), run))
    return found


def test_talks_with_a_cache_are_the_reference_s(goldens, recorded, runs, slow_transformer):
    assert runs
    for recording, run in runs:
        cache = step_cache(recorded, run["size"], run["params"]["tea"], CountingCache)
        source = recording.fitted(portrait(goldens / "sampler"))
        sampled = recording.sample(
            slow_transformer, lambda _, shown=source: shown, continue_multitalk, cache
        )
        assert_same_talk(recording, sampled)
        assert cache.computed == run["computed"]


def test_a_cache_with_a_threshold_of_zero_changes_nothing(
    goldens, recorded, runs, slow_transformer
):
    recording, run = runs[0]
    source = recording.fitted(portrait(goldens / "sampler"))
    caches = (None, step_cache(recorded, run["size"], 0.0))
    off, zero = (
        recording.sample(slow_transformer, lambda _: source, continue_multitalk, cache)
        for cache in caches
    )
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(off, zero, strict=True))
