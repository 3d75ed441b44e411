"""A mouth's movement as text that other programs read: tables, captions, cues, blend shapes."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from multitalk.speech.mouth_shapes import MouthCue
    from multitalk.speech.viseme_track import VisemeTrack

JSON_COLUMNS = ("opening", "width", "closure")
CSV_COLUMNS = (*JSON_COLUMNS, "rounding", "labiodental", "teeth", "tongue", "activity", "loudness")
DECIMALS = 4
PLOT_OPENING = 0.1  # face heights: a wide A fills the line
PLOT_CHARACTERS = 40
# What OpenToonz and others call Rhubarb's shapes (its README, --datUsePrestonBlair).
PRESTON_BLAIR = {
    "A": "MBP", "B": "etc", "C": "E", "D": "AI", "E": "O", "F": "U", "G": "FV", "H": "L",
    "X": "rest",
}  # fmt: skip
ROTATIONS = (
    "HeadYaw", "HeadPitch", "HeadRoll", "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll",
    "RightEyeYaw", "RightEyePitch", "RightEyeRoll",
)  # fmt: skip


@dataclass(frozen=True)
class Movement:
    """What is to be written.

    Attributes:
        track: The movement.
        fps: Its frames a second.
        sound_file: The whole path of the sound, or empty.
        extended: Which of the shapes G, H and X may be used.
    """

    track: "VisemeTrack"
    fps: float
    sound_file: str
    extended: str

    @property
    def seconds(self) -> float:
        """The length."""
        return len(self.track) / self.fps

    @property
    def cues(self) -> "tuple[MouthCue, ...]":
        """The mouth shapes."""
        from multitalk.speech.mouth_shapes import mouth_cues  # noqa: PLC0415 - takes a while to load

        return mouth_cues(self.track, fps=self.fps, extended=self.extended)

    @property
    def rest(self) -> str:
        """The shape of a mouth that is closed at the end."""
        return "X" if "X" in self.extended else "A"

    def curve(self, name: str) -> list[float]:
        """One value a frame."""
        return [round(value, DECIMALS) for value in getattr(self.track, name).tolist()]

    def rows(self, columns: tuple[str, ...]) -> Iterator[tuple[float, ...]]:
        """The values of each frame."""
        return zip(*(self.curve(name) for name in columns), strict=True)


def table(movement: Movement) -> Iterator[str]:
    """Lines to be looked at, with a bar as long as the mouth is open."""
    yield f"{'second':>8} {'opening':>8} {'width':>6} {'closure':>7}"
    for index, (opening, width, closure) in enumerate(movement.rows(JSON_COLUMNS)):
        gap = opening * (1 - closure)
        bar = "#" * round(min(gap / PLOT_OPENING, 1) * PLOT_CHARACTERS)
        second = index / movement.fps
        yield f"{second:8.2f} {opening:8.3f} {width:6.2f} {closure:7.2f} {bar}".rstrip()


def as_json(movement: Movement) -> Iterator[str]:
    """One object, one value a frame in each list."""
    whole = movement.fps == int(movement.fps)
    record: dict[str, object] = {"fps": int(movement.fps) if whole else movement.fps}
    yield json.dumps(record | {name: movement.curve(name) for name in JSON_COLUMNS})


def as_csv(movement: Movement) -> Iterator[str]:
    """RFC 4180: a header, then one row a frame, of the instant in its middle."""
    yield ",".join(["second", *CSV_COLUMNS])
    for index, values in enumerate(movement.rows(CSV_COLUMNS)):
        yield ",".join(map(str, [round((index + 0.5) / movement.fps, DECIMALS), *values]))


def as_vtt(movement: Movement) -> Iterator[str]:
    """WebVTT, for a track of kind metadata: the mouth's shape as each cue's text."""
    yield "WEBVTT"
    for cue in movement.cues:
        start, end = (_clock(frame / movement.fps) for frame in (cue.start, cue.end))
        if start != end:
            yield f"\n{start} --> {end}\n{cue.shape}"


def rhubarb_tsv(movement: Movement) -> Iterator[str]:
    """Rhubarb Lip Sync's TSV: when each shape begins, and a closed mouth at the end."""
    for start, _, shape in _timed(movement):
        yield f"{start}\t{shape}"
    yield f"{_hundredths(movement.seconds)}\t{movement.rest}"


def rhubarb_xml(movement: Movement) -> Iterator[str]:
    """Rhubarb Lip Sync's XML."""
    yield '<?xml version="1.0" encoding="utf-8"?>\n<rhubarbResult>\n  <metadata>'
    yield f"    <soundFile>{escape(movement.sound_file)}</soundFile>"
    yield f"    <duration>{_hundredths(movement.seconds)}</duration>\n  </metadata>\n  <mouthCues>"
    for start, end, shape in _timed(movement):
        yield f'    <mouthCue start="{start}" end="{end}">{shape}</mouthCue>'
    yield "  </mouthCues>\n</rhubarbResult>"


def rhubarb_json(movement: Movement) -> Iterator[str]:
    """Rhubarb Lip Sync's JSON."""
    duration = float(_hundredths(movement.seconds))
    record = {
        "metadata": {"soundFile": movement.sound_file, "duration": duration},
        "mouthCues": [
            {"start": float(start), "end": float(end), "value": shape}
            for start, end, shape in _timed(movement)
        ],
    }
    yield json.dumps(record, indent=2, ensure_ascii=False)


def moho(movement: Movement) -> Iterator[str]:
    """A switch file of Moho: the frame, from 1 on, at which each shape begins."""
    yield from _switches(movement, {})


def opentoonz(movement: Movement) -> Iterator[str]:
    """The same with Preston Blair's names, which OpenToonz knows."""
    yield from _switches(movement, PRESTON_BLAIR)


def arkit_csv(movement: Movement) -> Iterator[str]:
    """ARKit's blend shapes in the columns of Live Link Face, head and eyes at rest."""
    from multitalk.speech.mouth_shapes import ARKIT_SHAPES  # noqa: PLC0415 - takes a while to load

    names = [name[0].upper() + name[1:] for name in ARKIT_SHAPES]
    rotations = ["0"] * len(ROTATIONS)
    yield _csv_line(["Timecode", "BlendShapeCount", *names, *ROTATIONS])
    for index, weights in enumerate(_weights(movement)):
        count = str(len(names) + len(ROTATIONS))
        yield _csv_line([_timecode(index, movement.fps), count, *map(str, weights), *rotations])


def arkit_json(movement: Movement) -> Iterator[str]:
    """ARKit's blend shapes as Audio2Face exports them: a row of weights a frame."""
    from multitalk.speech.mouth_shapes import ARKIT_SHAPES  # noqa: PLC0415 - takes a while to load

    weights = list(_weights(movement))
    record = {
        "exportFps": movement.fps,
        "trackPath": movement.sound_file,
        "numPoses": len(ARKIT_SHAPES),
        "numFrames": len(weights),
        "facsNames": ARKIT_SHAPES,
        "weightMat": weights,
    }
    yield json.dumps(record, ensure_ascii=False)


FORMATS: dict[str, Callable[[Movement], Iterator[str]]] = {
    "table": table,
    "json": as_json,
    "csv": as_csv,
    "vtt": as_vtt,
    "rhubarb-tsv": rhubarb_tsv,
    "rhubarb-xml": rhubarb_xml,
    "rhubarb-json": rhubarb_json,
    "moho": moho,
    "opentoonz": opentoonz,
    "arkit-csv": arkit_csv,
    "arkit-json": arkit_json,
}
# The format that a file's name asks for.
FORMAT_OF_SUFFIX = {
    ".json": "json",
    ".csv": "csv",
    ".vtt": "vtt",
    ".tsv": "rhubarb-tsv",
    ".xml": "rhubarb-xml",
    ".dat": "moho",
    ".txt": "table",
}


def _timed(movement: Movement) -> Iterator[tuple[str, str, str]]:
    """Start, end and shape of each cue in Rhubarb's hundredths of a second."""
    for cue in movement.cues:
        start, end = (_hundredths(frame / movement.fps) for frame in (cue.start, cue.end))
        if start != end:  # at more than a hundred frames a second
            yield start, end, cue.shape


def _hundredths(seconds: float) -> str:
    return f"{math.floor(seconds * 100 + 1e-6) / 100:.2f}"


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"


def _timecode(index: int, fps: float) -> str:
    """Hours, minutes, seconds and frames, counted without drops."""
    rate = math.ceil(fps)
    seconds, frames = divmod(index, rate)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}:{frames:02}.000"


def _switches(movement: Movement, names: dict[str, str]) -> Iterator[str]:
    yield "MohoSwitch1"
    for cue in movement.cues:
        yield f"{cue.start + 1} {names.get(cue.shape, cue.shape)}"
    yield f"{len(movement.track) + 1} {names.get(movement.rest, movement.rest)}"


def _weights(movement: Movement) -> Iterator[list[float]]:
    """All 52 coefficients of each frame."""
    from multitalk.speech.mouth_shapes import ARKIT_SHAPES, blend_shapes  # noqa: PLC0415

    curves = {name: curve.tolist() for name, curve in blend_shapes(movement.track).items()}
    still = [0.0] * len(movement.track)
    for weights in zip(*(curves.get(name, still) for name in ARKIT_SHAPES), strict=True):
        yield [round(weight, DECIMALS) for weight in weights]


def _csv_line(values: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()
