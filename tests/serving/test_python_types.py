"""What a type checker says of calls of the Python door: right ones pass, wrong ones do not."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

# Lines that end in `# wrong` must be errors, and no others may be.
CALLS = """
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import multitalk

pixels: NDArray[np.uint8] = np.zeros((9, 9, 3), np.uint8)
samples: NDArray[np.float32] = np.zeros(9, np.float32)
pcm: NDArray[np.int16] = np.zeros((9, 2), np.int16)

multitalk.render("a.png", "b.wav", "a man talks", "t.mp4")
multitalk.render(Path("a.png"), Path("b.wav"), output=Path("t.mp4"))
multitalk.render(b"", {"text": "Hi"}, output="t.mp4", seed=1, quality="fine", locale="ko")
multitalk.render(io.BytesIO(), io.BytesIO(), output="t.mp4")
multitalk.render(open("a.png", "rb"), [{"text": "Hi"}], output="t.mp4")
multitalk.render(Image.new("RGB", (9, 9)), (samples, 16_000), output="t.mp4")
multitalk.render(pixels, (16_000, pcm), output="t.mp4", engine="warp")
multitalk.render("a.png", {"a": "b.wav", "b": {"text": "Hi", "speed": 1.5}}, output="t.mp4")
multitalk.render("a.png", {"a": (samples, 16_000)}, output="t.mp4", bbox={"a": (0, 0, 9, 9)})
with multitalk.Studio("warp") as studio:
    path: Path = studio.render("a.png", "b.wav", output="t.mp4").path
report = multitalk.evaluate("t.mp4", voices={"a": "a.wav"}, portrait=path)
passed: bool = report.passed
error: type[Exception] = multitalk.errors.InvalidRequest

multitalk.render(5, "b.wav", output="t.mp4")  # wrong
multitalk.render(samples, "b.wav", output="t.mp4")  # wrong
multitalk.render("a.png", 5, output="t.mp4")  # wrong
multitalk.render("a.png", samples, output="t.mp4")  # wrong
multitalk.render("a.png", "b.wav", output="t.mp4", engine="wrap")  # wrong
multitalk.render("a.png", "b.wav", output="t.mp4", quality="best")  # wrong
multitalk.render("a.png", "b.wav", output="t.mp4", seed="1")  # wrong
multitalk.render("a.png", "b.wav", output="t.mp4", sede=1)  # wrong
multitalk.render("a.png", "b.wav", output=5)  # wrong
multitalk.Studio("gpu")  # wrong
studio.render("a.png", "b.wav", output="t.mp4", mode="film")  # wrong
studio.render("a.png", "b.wav", output="t.mp4", bbox={"a": "1,2,3,4"})  # wrong
"""


@pytest.mark.timeout(600)
def test_a_type_checker_passes_right_calls_and_refuses_wrong_ones(tmp_path: Path) -> None:
    (tmp_path / "calls.py").write_text(CALLS)
    source = Path(__file__).parents[2] / "src"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--follow-imports=silent", "--ignore-missing-imports"),
            *("--no-error-summary", "--config-file=", "--cache-dir", str(tmp_path), "calls.py"),
        ],
        cwd=tmp_path,
        env={"MYPYPATH": str(source), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    found = {int(line) for line in re.findall(r"^calls\.py:(\d+): error", done.stdout, re.M)}
    lines = CALLS.splitlines()
    expected = {number for number, line in enumerate(lines, start=1) if line.endswith("# wrong")}
    assert found == expected, done.stdout + done.stderr
