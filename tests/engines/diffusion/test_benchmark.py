"""`make bench-gpu` at toy size, and what its report does when something fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from patience import PATIENCE_SECONDS

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
# Not a part of PyTorch's CPU build, or not installed.
ELSEWHERE = {"_native_cudnn", "_native_efficient", "flash", "_flash_3", "flash_hub", "_flash_3_hub"}


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.slow
def test_the_gpu_benchmark_measures_every_row_at_toy_size(tmp_path):
    script = str(BENCHMARKS / "diffusion.py")
    command = [sys.executable, script, "--gpu", "--toy", "--out", str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert (tmp_path / "report.md").read_text() == done.stdout
    failed = [row for rows in list(report.values())[1:] for row in rows if "failed" in row]
    assert {row.get("attention") for row in failed} <= ELSEWHERE | {"sage"}, failed
    assert {row["plan"] for row in report["talk"]} == {"resident", "encoders-visit", "streamed"}
    assert {row["weights"] for row in report["forward"]} == {
        "bf16",
        "int8",
        "float8_e4m3fn",
        "bf16, compiled",
    }
    branches = {row["profile"]: row["branches"] for row in report["profile"]}
    assert branches == {"quality": 3, "fusionx": 2, "lightx2v": 2, "realtime": 1}
    assert len(report["stage"]) == 5
    for row in report["cost"]:
        assert row["flops"] == pytest.approx(row["flops_counted"], rel=1e-9)


def test_the_plain_network_is_the_same_network():
    from diffusion_cpu import SMALL
    from diffusion_models import Size, forward, make_inputs, make_transformer
    from plain_transformer import PlainTransformer

    model = make_transformer({**SMALL, "num_layers": 2}, "cpu", torch.float32)
    for speakers in (1, 2):
        inputs = make_inputs(model, Size(3, 16, 24), speakers)
        expected = forward(model, inputs)
        for class_by_class in (True, False):
            plain = PlainTransformer(model, class_by_class=class_by_class)
            torch.testing.assert_close(plain(**inputs), expected, atol=2e-5, rtol=1e-4)


def test_the_cost_model_gives_the_operations_of_the_published_network():
    from diffusion_cost import cost_model
    from diffusion_models import REAL
    from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel

    with torch.device("meta"):
        config = MultiTalkTransformer3DModel().config
    assert REAL.size.tokens == 30_576
    one, two = (cost_model(config, REAL.size, speakers, 2) for speakers in (1, 2))
    tokens, dim, ffn_dim, layers = 30_576, 5120, 13_824, 40
    linear = 2 * tokens * layers * (8 * dim**2 + 2 * dim * ffn_dim)
    attention = 4 * tokens**2 * dim * layers
    assert round(linear / 1e15, 2) == 0.86
    assert round(attention / 1e15, 2) == 0.77
    rest = sum(part.flops for part in one.values()) - linear - attention
    assert 0 < rest < 0.02 * (linear + attention)
    speaker_map = two["self attention"].flops - one["self attention"].flops
    assert speaker_map == pytest.approx(attention / 21)


def test_a_row_that_fails_leaves_the_others(tmp_path, capsys):
    from diffusion_report import Report

    def fail():
        raise RuntimeError("no such kernel\nand much more")

    def run_out():
        raise torch.OutOfMemoryError

    report = Report({"device": "none"}, out=tmp_path)
    measured = {"rate": 2e12}
    assert report.attempt("device", {"what": "first"}, fail) is None
    assert report.attempt("device", {"what": "second"}, run_out) is None
    assert report.attempt("device", {"what": "third"}, lambda: measured)["rate"] == 2e12
    shown = capsys.readouterr().out
    assert "| first | RuntimeError at test_benchmark.py" in shown
    assert ": no such kernel | " in shown
    assert "| second | out of memory | " in shown
    assert "| third | 2 TFLOP/s | " in shown
    written = json.loads((tmp_path / "report.json").read_text())
    assert [row["what"] for row in written["device"]] == ["first", "second", "third"]


def test_no_row_is_begun_when_the_time_is_up(tmp_path):
    from diffusion_report import Report

    report = Report({"device": "none"}, out=tmp_path, seconds=-1.0)
    assert report.attempt("device", {"what": "late"}, pytest.fail) is None
    assert "the time is up" in (tmp_path / "report.md").read_text()
