"""Write docs/images/results.jpg: frames of the demo, by their sounds.

python tools/draw_results.py

It renders examples/request.json again and shows, for each kind of sound, the middle of the longest
one, as decoded from the finished file. Nothing is chosen by eye.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from multitalk.face.detector import FaceDetector
from multitalk.face.landmarks import FaceLandmarks
from multitalk.local.studio import Studio
from multitalk.media.video import read_frames
from multitalk.schema import parse_request
from multitalk.speech.phonemes import VISEMES, visemes_of_ipa
from multitalk.timebase import FPS

ROOT = Path(__file__).resolve().parent.parent
REQUEST = ROOT / "examples" / "request.json"
PICTURE = ROOT / "docs" / "images" / "results.jpg"
# The label: the viseme
SHOWN = {"pause": "", "a": "A", "i": "I", "u": "U", "m, p, b": "PBM", "s": "S"}
COLUMNS, SIDE = 3, 300  # tiles in a row, pixels of one
AROUND = 0.9  # face heights from its centre that are seen


def main() -> None:
    """Render, pick, draw."""
    given = json.loads(REQUEST.read_text(encoding="utf-8"))["input"]
    given["image_path"] = str(REQUEST.with_name(given["image_path"]))
    studio = Studio("warp")
    with tempfile.TemporaryDirectory() as directory:
        video = Path(directory) / "demo.mp4"
        talk = studio.render_request(parse_request(given, settings=studio.settings), video)
        frames = list(read_frames(video))
    (said,) = talk.phonemes.values()
    with FaceDetector() as detector:
        (face,) = detector.detect(frames[0], expected=1)
    tiles = []
    for written, viseme in SHOWN.items():
        heard = (VISEMES.index(viseme),) if viseme else ()
        sounds = [sound for sound in said if visemes_of_ipa(sound.ipa) == heard]
        sound = max(sounds, key=lambda sound: sound.end_seconds - sound.start_seconds)
        middle = (sound.start_seconds + sound.end_seconds) / 2
        tiles.append(_tile(_cut(frames[round(middle * FPS)], face), written))
    rows = [np.hstack(tiles[at : at + COLUMNS]) for at in range(0, len(tiles), COLUMNS)]
    Image.fromarray(np.vstack(rows)).save(PICTURE, quality=88)


def _cut(frame: np.ndarray, face: FaceLandmarks) -> np.ndarray:
    """The square around a face: uint8 [S, S, 3]."""
    (x, y), half = face.center, round(AROUND * face.height)
    left, top = max(0, round(x) - half), max(0, round(y) - half)
    return frame[top : top + 2 * half, left : left + 2 * half]


def _tile(frame: np.ndarray, written: str) -> np.ndarray:
    """A frame made small, with its sound as a label: uint8 [SIDE, SIDE, 3]."""
    tile = Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    ImageDraw.Draw(tile).text(
        (10, SIDE - 32), written, "white", ImageFont.load_default(20), stroke_width=2,
        stroke_fill="black",
    )  # fmt: skip
    return np.asarray(tile)


if __name__ == "__main__":
    main()
