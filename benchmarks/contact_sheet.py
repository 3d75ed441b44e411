"""Draw a face in every mouth shape, or two films unlabelled, to be looked at.

    python benchmarks/contact_sheet.py PICTURE ... [--to DIRECTORY] [--cell PIXELS] [--mouth]
    python benchmarks/contact_sheet.py --films OURS.mp4 THEIRS.mp4 [--films ...] [--seed N]

A cell is the `warp` engine's frame for one sound held until the lips have settled, for closed lids,
a turned head or a smile, before encoding. It shows the face, or with `--mouth` the lower face at
twice that scale. Sheets are PNG files beside which nothing is judged: look at them.

With `--films` a sheet has two rows: frames of two films at the same times, in an order that is
drawn by the seed. Show it to somebody who does not know which is which. `key.json` in the same
directory says which row the first film is.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.engines.base import Scene, Speaker
from multitalk.engines.warp.engine import DEFAULT_RESOLUTION, SIDES
from multitalk.engines.warp.head_motion import MOTIONS
from multitalk.engines.warp.poses import PoseAnimator
from multitalk.engines.warp.prompt_cues import MOODS, NEUTRAL_TIMELINE, MoodTimeline
from multitalk.engines.warp.quality import QUALITIES
from multitalk.engines.warp.renderer import Pose
from multitalk.engines.warp.rig import INDEX, Rig
from multitalk.engines.warp.rigged_scene import rig_scene
from multitalk.face import mesh
from multitalk.face.detector import FaceDetector
from multitalk.media.image import load_picture
from multitalk.media.video import read_frames
from multitalk.speech.phonemes import VISEMES, one_hot
from multitalk.speech.viseme_track import VisemeTrack, track_from_probabilities
from multitalk.timebase import FPS, SAMPLE_RATE

# Label of a cell, and the class of phones that is held in it.
SOUNDS = {
    "m": "PBM", "a": "A", "e": "E", "i": "I", "o": "O", "u": "U", "schwa": "schwa", "f": "FV",
    "s": "S", "sh": "SH", "th": "TH", "t": "TDNL", "r": "R",
}  # fmt: skip
HELD_STEPS = 60  # of 20 ms: longer than any smoothing of the lips
TURN_DEGREES = 8
COLUMNS = 6
MAX_PIXELS = 50_000_000
FACE_REACH = 0.62  # half side of a face's crop, face heights
MOUTH_REACH = FACE_REACH / 2


def main() -> None:
    """Write a sheet for each picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("pictures", nargs="*", type=Path)
    parser.add_argument("--films", nargs=2, type=Path, action="append", default=[])
    parser.add_argument("--every", type=float, default=0.32, help="seconds between two frames")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the films")
    parser.add_argument("--to", type=Path, default=Path("out/sheets"), help="directory")
    parser.add_argument("--cell", type=int, default=400, help="side of a cell, pixels")
    parser.add_argument("--mouth", action="store_true", help="the lower face only, twice as large")
    parser.add_argument("--quality", choices=list(QUALITIES), default="standard")
    parser.add_argument("--only", nargs="+", help="labels of the cells; all if none is named")
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    for path in arguments.pictures:
        cells = cells_of(
            path,
            quality=arguments.quality,
            side=arguments.cell,
            mouth=arguments.mouth,
            only=arguments.only,
        )
        target = arguments.to / f"{path.stem}{'-mouth' if arguments.mouth else ''}.png"
        cv2.imwrite(str(target), cv2.cvtColor(joined(cells), cv2.COLOR_RGB2BGR))
        print(target)
    if arguments.films:
        write_film_sheets(arguments)


def write_film_sheets(arguments: argparse.Namespace) -> None:
    """Write an unlabelled sheet for each pair of films, and the key to them."""
    rng = np.random.default_rng(arguments.seed)
    key = {}
    for number, films in enumerate(arguments.films):
        rows = [
            film_cells(film, every=arguments.every, side=arguments.cell, mouth=arguments.mouth)
            for film in films
        ]
        first = int(rng.integers(2))
        sheet = np.vstack([np.hstack(row) for row in (rows[first], rows[1 - first])])
        target = arguments.to / f"films{number}{'-mouth' if arguments.mouth else ''}.png"
        cv2.imwrite(str(target), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
        key[target.name] = {"first film": str(films[0]), "in row": first + 1}
        print(target)
    (arguments.to / "key.json").write_text(json.dumps(key, indent=1), encoding="utf-8")


def film_cells(path: Path, *, every: float, side: int, mouth: bool) -> list[NDArray[np.uint8]]:
    """Cells of a film's frames, RGB uint8 [side, side, 3] each; black where no face is found."""
    step = max(1, round(every * FPS))
    frames = list(read_frames(path))[step : (COLUMNS + 1) * step : step]
    cells = []
    with FaceDetector() as detector:
        for frame in frames:
            found = detector.detect(frame, expected=2)
            if not found:
                cells.append(np.zeros((side, side, 3), np.uint8))
                continue
            largest = max(found, key=lambda face: face.height)  # not one in an inset
            points, height = largest.points, largest.height
            around = [mesh.INNER_UPPER_LIP, mesh.INNER_LOWER_LIP] if mouth else list(mesh.OVAL)
            reach = (MOUTH_REACH if mouth else FACE_REACH) * height
            cells.append(_cell(frame, "", points[around, :2].mean(0), reach, side))
    cells += [np.zeros((side, side, 3), np.uint8)] * (COLUMNS - len(cells))
    return cells


def cells_of(
    path: Path, *, quality: str, side: int, mouth: bool, only: Sequence[str] | None
) -> list[NDArray[np.uint8]]:
    """The labelled cells of a picture's leftmost face, RGB uint8 [side, side, 3] each."""
    portrait = load_picture(path, field="picture", max_pixels=MAX_PIXELS).pixels
    silence = Speaker("person1", np.zeros(SAMPLE_RATE, np.float32))
    scene = Scene(portrait, (silence,), prompt="", num_frames=1)
    short, long = SIDES[DEFAULT_RESOLUTION]
    with FaceDetector() as detector:
        rigged = rig_scene(scene, detector, short=short, long=long, quality=QUALITIES[quality])
    rig, renderer = rigged.rigs[0], rigged.renderers[0]
    frames = {"photograph": rigged.picture}
    for label, pose in poses_of(rig).items():
        if only is None or label in only:
            frames[label] = rigged.backdrop.copy()
            renderer.draw(frames[label], pose)
    lips = rig.points[[mesh.INNER_UPPER_LIP, mesh.INNER_LOWER_LIP], :2].mean(0)
    centre = lips if mouth else rig.points[list(mesh.OVAL), :2].mean(0)
    reach = (MOUTH_REACH if mouth else FACE_REACH) * rig.frame.height
    return [_cell(frame, label, centre, reach, side) for label, frame in frames.items()]


def poses_of(rig: Rig) -> dict[str, Pose]:
    """The pose of each cell by its label; gestures are left out."""
    poses = {"rest": _settled(rig, VisemeTrack.silent(1))}
    for label, viseme in SOUNDS.items():
        held = one_hot(np.full(HELD_STEPS, VISEMES.index(viseme)))
        track = track_from_probabilities(held, np.zeros(HELD_STEPS, np.float32))
        poses[label] = _settled(rig, track[len(track) // 2 : len(track) // 2 + 1])
    poses["blink"] = dataclasses.replace(poses["rest"], closed=1.0)
    for label, degrees in (("turned -8", -TURN_DEGREES), ("turned +8", TURN_DEGREES)):
        weights = poses["e"].weights.copy()
        weights[INDEX["yaw"]] = np.radians(degrees)
        poses[label] = dataclasses.replace(poses["e"], weights=weights)
    happy = MOODS["happy"]
    poses["smile"] = _settled(rig, VisemeTrack.silent(1), MoodTimeline(happy, happy, happy))
    return poses


def _settled(rig: Rig, track: VisemeTrack, moods: MoodTimeline = NEUTRAL_TIMELINE) -> Pose:
    """The pose of a track's only frame, the head as photographed and the lids open."""
    pose = next(PoseAnimator(rig, seed=0, person=0, moods=moods, motion=0).poses(track))
    weights = pose.weights.copy()
    for motion in MOTIONS:
        weights[INDEX[motion]] = 0
    return dataclasses.replace(pose, weights=weights, closed=0.0, look=(0.0, 0.0))


def _cell(
    frame: NDArray[np.uint8], label: str, centre: NDArray[np.floating], reach: float, side: int
) -> NDArray[np.uint8]:
    """A crop of 2 `reach` pixels around `centre`, enlarged to `side` and labelled."""
    scale = side / (2 * reach)
    start = (reach - centre) * scale
    moved = np.array([[scale, 0, start[0]], [0, scale, start[1]]])
    flags = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    cell = cv2.warpAffine(frame, moved, (side, side), flags=flags)
    for colour, thickness in (((0, 0, 0), 4), ((255, 255, 0), 1)):
        place = (6, side - 8)
        cv2.putText(cell, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, thickness)
    return cell.astype(np.uint8)


def joined(cells: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Cells in rows of `COLUMNS`, [rows * side, COLUMNS * side, 3]."""
    empty = np.zeros_like(cells[0])
    filled = [*cells, *[empty] * (-len(cells) % COLUMNS)]
    rows = [np.hstack(filled[first : first + COLUMNS]) for first in range(0, len(filled), COLUMNS)]
    return np.vstack(rows)


if __name__ == "__main__":
    main()
