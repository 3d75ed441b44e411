"""Recall, precision and speed of face detection.

    python benchmarks/faces.py PICTURES LABELS [--turned N] [--markdown | --json]

PICTURES is a directory; LABELS says what its pictures show, boxes in pixels (x_min, y_min, x_max,
y_max, about a square from the eyebrows to the chin):

    {"pictures": {"NAME": {"kind": "people" | "nobody" | "animals",
                           "faces": [{"box": [...], "profile": false}],
                           "ignored": [[...]]}}}

"profile" is a head turned by more than about 60 degrees; an "ignored" face may be found or not:
blurred, cut off or covered. No such set comes with the project, since the pictures are not its own;
docs/experiments.md lists the one that the figures there are of.

Pictures are searched as the project searches them, for as many faces as are labelled. CPU time is
of one thread; a busy machine slows it, too, so each is also given in readings of the mesh, timed in
between. Pictures of one upright face are also turned by 90, 180 and 270 degrees: "found" is a face
at its place, "set upright" is `find_upright` that turns the picture back.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.boxes import Box
from multitalk.face.detector import FaceDetector
from multitalk.face.landmarks import FaceLandmarks
from multitalk.face.networks import MESH_PIXELS, FaceMesh, MeshOutput
from multitalk.face.orientation import find_upright
from multitalk.face.transforms import rotate_box, rotate_picture

SMALL = 64  # pixels
NEAR = 0.5  # box sizes between a face and its label, at most
BOX: Box = (200.0, 120.0, 440.0, 360.0)
NOISE = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
COLD = """
import sys, cv2, numpy as np
from multitalk.face.detector import detect_faces
cv2.setNumThreads(1)
detect_faces(np.ascontiguousarray(cv2.imread(sys.argv[1])[:, :, ::-1]))
"""
PORTRAIT = Path(__file__).parents[1] / "examples" / "portrait.jpg"


@dataclass(frozen=True)
class FaceLabel:
    """A face of a picture.

    Attributes:
        box: In pixels.
        profile: Whether the head is turned by more than about 60 degrees.
    """

    box: Box
    profile: bool = False

    @property
    def size(self) -> float:
        """Longer side of the box, in pixels."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    def is_at(self, face: FaceLandmarks) -> bool:
        """True if a face that was found is this one."""
        x, y = (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2
        apart = float(np.hypot(face.center[0] - x, face.center[1] - y))
        return apart < NEAR * self.size and 0.5 < face.size / self.size < 2


@dataclass(frozen=True)
class LabelledPicture:
    """A picture and what it shows."""

    path: Path
    kind: str
    faces: tuple[FaceLabel, ...]
    ignored: tuple[FaceLabel, ...]

    def read(self) -> NDArray[np.uint8]:
        """RGB uint8 [H, W, 3]."""
        return np.ascontiguousarray(cv2.imread(str(self.path))[:, :, ::-1])


class PassClock:
    """CPU seconds of a run, and of readings of the mesh, timed in between."""

    def __init__(self, mesh: FaceMesh) -> None:
        self._mesh = mesh
        self._cut = NOISE[:MESH_PIXELS, :MESH_PIXELS].copy()
        self.readings: list[float] = []

    def seconds(self, run: Callable[[], object]) -> float:
        """CPU seconds of a run."""
        self.readings.append(_cpu(lambda: self._mesh.read(self._cut)))
        return _cpu(run)

    def figure(self, taken: Sequence[float]) -> dict[str, float]:
        """Their median in milliseconds, and in readings."""
        middle = median(taken)
        return {
            "ms": round(1000 * middle, 1),
            "mesh readings": round(middle / median(self.readings), 2),
        }


class CountingDetector:
    """A mesh that counts how often it is read."""

    def __init__(self) -> None:
        self._mesh = FaceMesh()
        self.reads = 0

    def read(self, pixels: NDArray[np.uint8]) -> MeshOutput:
        """See `FaceMesh.read`."""
        self.reads += 1
        return self._mesh.read(pixels)


def pictures_of(directory: Path, labels: Path) -> list[LabelledPicture]:
    """The pictures of a directory, in the order of their labels."""
    return [
        LabelledPicture(
            directory / name,
            one["kind"],
            tuple(FaceLabel(tuple(face["box"]), face["profile"]) for face in one.get("faces", ())),
            tuple(FaceLabel(tuple(box)) for box in one.get("ignored", ())),
        )
        for name, one in json.loads(labels.read_text())["pictures"].items()
    ]


def found_of(detector: FaceDetector, pictures: Sequence[LabelledPicture], clock: PassClock) -> dict:
    """The numbers of labelled faces that are found, and of others."""
    groups = {"all": [0, 0], "profiles": [0, 0], f"{SMALL} pixels or less": [0, 0]}
    false: dict[str, list[str]] = {kind: [] for kind in ("people", "nobody", "animals")}
    looked, alone, missed = dict.fromkeys(false, 0), [], []
    for picture in pictures:
        image, found = picture.read(), []
        expected = max(1, len(picture.faces))
        taken = clock.seconds(lambda: found.extend(detector.detect(image, expected=expected)))  # noqa: B023
        if picture.kind == "people" and expected == 1:
            alone.append(taken)
        looked[picture.kind] += 1
        for label in picture.faces:
            hit = any(map(label.is_at, found))
            if not hit:
                missed.append((picture.path.name, *map(round, label.box)))
            for name, counts in (
                ("all", True),
                ("profiles", label.profile),
                (f"{SMALL} pixels or less", label.size <= SMALL),
            ):
                if counts:
                    groups[name][0] += hit
                    groups[name][1] += 1
        known = (*picture.faces, *picture.ignored)
        for face in found:
            if not any(label.is_at(face) for label in known):
                false[picture.kind].append((picture.path.name, *map(round, face.box)))
    return {
        "found": groups,
        "pictures": looked,
        "false faces": {kind: len(those) for kind, those in false.items()},
        "pictures with one": {
            kind: len({one[0] for one in those}) for kind, those in false.items()
        },
        "one portrait": clock.figure(alone),
        "missed": missed,
        "false": false,
    }


def turned_of(detector: FaceDetector, pictures: Sequence[LabelledPicture], most: int) -> dict:
    """The numbers of faces found in turned pictures, and of pictures set upright."""
    fit = [one for one in pictures if len(one.faces) == 1 and not one.faces[0].profile]
    fit = fit[:: max(1, len(fit) // most)][:most] if most else []
    counts = {90 * quarters: [0, 0, 0] for quarters in (1, 2, 3)}
    for picture in fit:
        image = picture.read()
        for quarters in (1, 2, 3):
            label = FaceLabel(rotate_box(picture.faces[0].box, quarters, image.shape))
            turned = rotate_picture(image, quarters)
            count = counts[90 * quarters]
            count[0] += any(map(label.is_at, detector.detect(turned)))
            count[1] += find_upright(detector, turned).quarters == -quarters % 4
            count[2] += 1
    return counts


def followed_of(
    detector: FaceDetector, pictures: Sequence[LabelledPicture], clock: PassClock
) -> dict:
    """CPU time of a frame of a film: each of some portraits, as a still film."""
    taken = []
    fit = [one for one in pictures if len(one.faces) == 1 and not one.faces[0].profile]
    for picture in fit[::8]:
        image = picture.read()
        for face in detector.detect(image)[:1]:
            taken += [clock.seconds(lambda: detector.follow(image, face)) for _ in range(3)]  # noqa: B023
    return clock.figure(taken)


def cold_of(clock: PassClock) -> dict:
    """CPU time of a process that reads one portrait."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", COLD, str(PORTRAIT)], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return clock.figure([seconds() for _ in range(5)])


def readings_of(detector: FaceDetector, pictures: Sequence[LabelledPicture]) -> dict[str, float]:
    """Readings of the mesh per picture."""
    counted = CountingDetector()
    detector._mesh = counted
    means = {}
    for kind in ("people", "nobody", "animals"):
        those = [one for one in pictures if one.kind == kind][::4]
        counted.reads = 0
        for picture in those:
            detector.detect(picture.read(), expected=max(1, len(picture.faces)))
        means[kind] = round(counted.reads / max(1, len(those)), 1)
    for name, boxes in (("noise, set upright", ()), ("noise with a box, set upright", (BOX,))):
        counted.reads = 0
        find_upright(detector, NOISE, boxes=boxes)
        means[name] = counted.reads
    return means


def _cpu(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def _rows(report: dict) -> Iterator[tuple[str, str]]:
    for name, (hits, of) in report["found"].items():
        yield f"found: {name}", f"{hits} of {of} ({100 * hits / max(1, of):.1f} %)"
    for kind, number in report["false faces"].items():
        pictures, of = report["pictures with one"][kind], report["pictures"][kind]
        yield f"false faces: {kind}", f"{number}, in {pictures} of {of} pictures"
    for degrees, (found, upright, of) in report["turned"].items():
        yield f"turned by {degrees}", f"found {found}, set upright {upright} of {of}"
    for name in ("one portrait", "follow", "cold process"):
        figure = report[name]
        yield f"CPU: {name}", f"{figure['ms']} ms, {figure['mesh readings']} readings of the mesh"
    for name, number in report["readings"].items():
        yield f"readings of the mesh: {name}", str(number)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Benchmark of the search for faces.")
    parser.add_argument("pictures", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--turned", type=int, default=40, help="pictures that are turned, too")
    parser.add_argument("--json", action="store_true", help="everything, what was missed included")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pictures = pictures_of(options.pictures, options.labels)
    with FaceDetector() as detector:
        clock = PassClock(FaceMesh())
        detector.detect(pictures[0].read())
        report = found_of(detector, pictures, clock)
        report["turned"] = turned_of(detector, pictures, options.turned)
        report["follow"] = followed_of(detector, pictures, clock)
        report["cold process"] = cold_of(clock)
        report["readings"] = readings_of(detector, pictures)
    if options.json:
        print(json.dumps(report))
        return
    for name, value in _rows(report):
        print(f"| {name} | {value} |" if options.markdown else f"{name:36} {value}")


if __name__ == "__main__":
    main()
