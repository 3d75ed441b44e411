"""Calls of the Python API that a type checker must pass, and wrong ones that it must refuse.

`make check` reads this file and nothing runs it: a wrong call that is not refused leaves its
`type: ignore` unused, which is an error, too.
"""

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
multitalk.render(Path("a.png").open("rb"), [{"text": "Hi"}], output="t.mp4")  # noqa: SIM115
multitalk.render(Image.new("RGB", (9, 9)), (samples, 16_000), output="t.mp4")
multitalk.render(pixels, (16_000, pcm), output="t.mp4", engine="warp")
multitalk.render("a.png", {"a": "b.wav", "b": {"text": "Hi", "speed": 1.5}}, output="t.mp4")
multitalk.render("a.png", {"a": (samples, 16_000)}, output="t.mp4", bbox={"a": (0, 0, 9, 9)})
with multitalk.Studio("warp") as studio:
    path: Path = studio.render("a.png", "b.wav", output="t.mp4").path
report = multitalk.evaluate("t.mp4", voices={"a": "a.wav"}, portrait=path)
passed: bool = report.passed
error: type[Exception] = multitalk.errors.InvalidRequest

multitalk.render(5, "b.wav", output="t.mp4")  # type: ignore
multitalk.render(samples, "b.wav", output="t.mp4")  # type: ignore
multitalk.render("a.png", 5, output="t.mp4")  # type: ignore
multitalk.render("a.png", samples, output="t.mp4")  # type: ignore
multitalk.render("a.png", "b.wav", output="t.mp4", engine="wrap")  # type: ignore
multitalk.render("a.png", "b.wav", output="t.mp4", quality="best")  # type: ignore
multitalk.render("a.png", "b.wav", output="t.mp4", seed="1")  # type: ignore
multitalk.render("a.png", "b.wav", output="t.mp4", sede=1)  # type: ignore
multitalk.render("a.png", "b.wav", output=5)  # type: ignore
multitalk.Studio("gpu")  # type: ignore
studio.render("a.png", "b.wav", output="t.mp4", mode="film")  # type: ignore
studio.render("a.png", "b.wav", output="t.mp4", bbox={"a": "1,2,3,4"})  # type: ignore
