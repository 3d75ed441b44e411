"""The face models are the files that tools/face_models makes, and their licences go with them."""

import hashlib
from importlib.resources import files

import cv2
import numpy as np
import pytest

MODELS = files("multitalk.face") / "models"
SUMS = {
    "detector.onnx": "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    "mesh.onnx": "cf7e3d6d392b6c6686640244dce3c77069fbc57e48a57cf28939c4ab803cdea5",
    "segmentation.onnx": "c81ecbb42e925621674aa6ff0a3fd13f48abc6431c697253de405cdcae3cb538",
}


@pytest.mark.parametrize("name", SUMS)
def test_a_model_is_the_file_that_the_tool_makes(name: str) -> None:
    assert hashlib.sha256((MODELS / name).read_bytes()).hexdigest() == SUMS[name]


def test_the_models_are_small_and_there_is_no_other() -> None:
    sizes = {
        path.name: len(path.read_bytes())
        for path in MODELS.iterdir()
        if path.name.endswith(".onnx")
    }
    assert sizes.keys() == SUMS.keys()
    assert sum(sizes.values()) < 6_000_000


def test_the_notices_of_the_models_are_beside_them() -> None:
    notice = (MODELS / "LICENSE").read_text("utf-8")
    for said in ("Copyright (c) 2020 Shiqi Yu", "Permission is hereby granted", *SUMS):
        assert said in notice
    assert "Apache License, Version 2.0" in notice


@pytest.mark.parametrize(
    ("name", "shape", "outputs"),
    [
        ("mesh.onnx", (1, 3, 256, 256), {"points": 3 * 478, "presence": 1}),
        ("segmentation.onnx", (1, 3, 256, 256), {"person": 256 * 256}),
        ("detector.onnx", (1, 3, 192, 320), {"cls_8": 960, "kps_32": 600}),
    ],
)
def test_opencv_runs_a_model(name: str, shape: tuple[int, ...], outputs: dict[str, int]) -> None:
    network = cv2.dnn.readNetFromONNX(np.frombuffer((MODELS / name).read_bytes(), np.uint8))
    network.setInput(np.zeros(shape, np.float32))
    names = network.getUnconnectedOutLayersNames()
    made = dict(zip(names, network.forward(names), strict=True))
    assert {name: made[name].size for name in outputs} == outputs
