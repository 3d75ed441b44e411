"""The proof on a GPU: its steps at toy size, and that none of them takes the others with it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("diffusers")

from multitalk.weights.component_files import CheckpointMismatch

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
UNRULY = """
import json, os, sys, time
for name in sys.argv[sys.argv.index("--end") + 1:]:
    print(json.dumps({"begins": name}), flush=True)
    print("a library's words")
    if name == "hangs":
        time.sleep(60)
    if name == "dies":
        os._exit(9)
    print(json.dumps({"step": name, "process": os.getpid()}), flush=True)
"""


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def rows_of(folder):
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


@pytest.fixture
def proof_of_unruly_steps(tmp_path, monkeypatch):
    import prove_gpu

    (tmp_path / "unruly.py").write_text(UNRULY)
    monkeypatch.setattr(prove_gpu, "STEPS", tmp_path / "unruly.py")
    return lambda seconds: prove_gpu.Proof(tmp_path, seconds, ["--end"])


def test_a_step_that_dies_or_hangs_leaves_the_others(proof_of_unruly_steps, tmp_path):
    proof = proof_of_unruly_steps(50)
    proof.take({"first": 9, "dies": 9, "second": 9, "hangs": 0.5, "third": 9})
    rows = rows_of(tmp_path)
    assert [row["step"] for row in rows] == ["first", "dies", "second", "hangs", "third"]
    assert [row.get("failed") for row in rows] == [None, "exit 9", None, "ended after 0 s", None]
    assert len({row["process"] for row in rows if "process" in row}) == 3
    assert proof.failed == ["dies", "hangs"]


def test_nothing_is_begun_when_the_time_is_up(proof_of_unruly_steps, tmp_path):
    proof_of_unruly_steps(0).take({"first": 9, "second": 9})
    reasons = {row["step"]: row["failed"] for row in rows_of(tmp_path)}
    assert reasons == dict.fromkeys(("first", "second"), "not begun: the time is up")


def test_every_step_is_known_and_those_of_the_engine_run_at_toy_size(tmp_path):
    import prove_gpu
    from proof_steps import Steps

    steps = Steps(tmp_path / "weights", tmp_path, toy=True)
    calls = [*prove_gpu.FIRST, *prove_gpu.SECOND, (prove_gpu.WEIGHTS, prove_gpu.WEIGHTS_FP8)]
    named = {name for parts in calls for part in parts for name in part}
    assert named == set(steps.by_name)
    assert named > prove_gpu.NEEDS_GPU
    taken = {name: steps.take(name) for name in ("weights", "load", "480p, two speakers")}
    assert not any("failed" in row for row in taken.values()), taken
    talk = taken["480p, two speakers"]
    assert talk["frames"] == [9, 32, 48, 3]
    assert talk["forwards"] == 2
    assert 0 < talk["decode_video_s"] < talk["whole_s"]
    assert "failed" in steps.take("no such step")


def test_the_rehearsal_tells_a_set_that_does_not_fit(tmp_path):
    from random_weights import TOY, write_set
    from rehearse import Rehearsal

    steps = Rehearsal(tmp_path, TOY).steps
    assert steps["open int8"]()["tensors"] > steps["open bf16"]()["tensors"]
    assert steps["one layer, fp8"]()["2 voices"]["spread"] > 0.01
    shallow = replace(TOY, layers=1)
    write_set(
        "infinitetalk", tmp_path / "empty", shallow, values=False, components=["audio_layers"]
    )
    with pytest.raises(CheckpointMismatch, match=r"blocks\.1\.audio_attn\.to_q\.weight: missing"):
        steps["open infinitetalk"]()
