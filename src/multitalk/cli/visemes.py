"""`multitalk visemes`: a mouth's movement as tables, captions, cues or blend shapes."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from xml.sax.saxutils import escape

import typer

from multitalk.cli.console import answering, note, takes
from multitalk.cli.options import option_text
from multitalk.cli.streams import STREAM, StandardInput
from multitalk.disk import write_atomically
from multitalk.timebase import FPS

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

# The format for a file's suffix.
FORMAT_OF_SUFFIX = {
    ".json": "json",
    ".csv": "csv",
    ".vtt": "vtt",
    ".tsv": "rhubarb-tsv",
    ".xml": "rhubarb-xml",
    ".dat": "moho",
    ".txt": "table",
}
MIN_FPS, MAX_FPS = 1.0, 240.0
EXTENDED = "GHX"


@dataclass(frozen=True)
class MouthMovement:
    """The movement to write.

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
        from multitalk.speech.mouth_shapes import mouth_cues

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


def table(movement: MouthMovement) -> Iterator[str]:
    """Lines to be looked at, with a bar as long as the mouth is open."""
    yield f"{'second':>8} {'opening':>8} {'width':>6} {'closure':>7}"
    for index, (opening, width, closure) in enumerate(movement.rows(JSON_COLUMNS)):
        gap = opening * (1 - closure)
        bar = "#" * round(min(gap / PLOT_OPENING, 1) * PLOT_CHARACTERS)
        second = index / movement.fps
        yield f"{second:8.2f} {opening:8.3f} {width:6.2f} {closure:7.2f} {bar}".rstrip()


def as_json(movement: MouthMovement) -> Iterator[str]:
    """One object, one value a frame in each list."""
    whole = movement.fps == int(movement.fps)
    record: dict[str, object] = {"fps": int(movement.fps) if whole else movement.fps}
    yield json.dumps(record | {name: movement.curve(name) for name in JSON_COLUMNS})


def as_csv(movement: MouthMovement) -> Iterator[str]:
    """RFC 4180: a header, then one row a frame, of the instant in its middle."""
    yield ",".join(["second", *CSV_COLUMNS])
    for index, values in enumerate(movement.rows(CSV_COLUMNS)):
        yield ",".join(map(str, [round((index + 0.5) / movement.fps, DECIMALS), *values]))


def as_vtt(movement: MouthMovement) -> Iterator[str]:
    """WebVTT, for a track of kind metadata: the mouth's shape as each cue's text."""
    yield "WEBVTT"
    for cue in movement.cues:
        start, end = (_clock(frame / movement.fps) for frame in (cue.start, cue.end))
        if start != end:
            yield f"\n{start} --> {end}\n{cue.shape}"


def rhubarb_tsv(movement: MouthMovement) -> Iterator[str]:
    """Rhubarb Lip Sync's TSV: when each shape begins, and a closed mouth at the end."""
    for start, _, shape in _cue_rows(movement):
        yield f"{start}\t{shape}"
    yield f"{_hundredths(movement.seconds)}\t{movement.rest}"


def rhubarb_xml(movement: MouthMovement) -> Iterator[str]:
    """Rhubarb Lip Sync's XML."""
    yield '<?xml version="1.0" encoding="utf-8"?>\n<rhubarbResult>\n  <metadata>'
    yield f"    <soundFile>{escape(movement.sound_file)}</soundFile>"
    yield f"    <duration>{_hundredths(movement.seconds)}</duration>\n  </metadata>\n  <mouthCues>"
    for start, end, shape in _cue_rows(movement):
        yield f'    <mouthCue start="{start}" end="{end}">{shape}</mouthCue>'
    yield "  </mouthCues>\n</rhubarbResult>"


def rhubarb_json(movement: MouthMovement) -> Iterator[str]:
    """Rhubarb Lip Sync's JSON."""
    duration = float(_hundredths(movement.seconds))
    record = {
        "metadata": {"soundFile": movement.sound_file, "duration": duration},
        "mouthCues": [
            {"start": float(start), "end": float(end), "value": shape}
            for start, end, shape in _cue_rows(movement)
        ],
    }
    yield json.dumps(record, indent=2, ensure_ascii=False)


def moho(movement: MouthMovement) -> Iterator[str]:
    """A switch file of Moho: the frame, from 1 on, at which each shape begins."""
    yield from _switches(movement, {})


def opentoonz(movement: MouthMovement) -> Iterator[str]:
    """The same with Preston Blair's names, which OpenToonz knows."""
    yield from _switches(movement, PRESTON_BLAIR)


def arkit_csv(movement: MouthMovement) -> Iterator[str]:
    """ARKit's blend shapes in the columns of Live Link Face, head and eyes at rest."""
    from multitalk.speech.mouth_shapes import ARKIT_SHAPES

    names = [name[0].upper() + name[1:] for name in ARKIT_SHAPES]
    rotations = ["0"] * len(ROTATIONS)
    yield _csv_line(["Timecode", "BlendShapeCount", *names, *ROTATIONS])
    for index, weights in enumerate(_weights(movement)):
        count = str(len(names) + len(ROTATIONS))
        yield _csv_line([_timecode(index, movement.fps), count, *map(str, weights), *rotations])


def arkit_json(movement: MouthMovement) -> Iterator[str]:
    """ARKit's blend shapes as Audio2Face exports them: a row of weights a frame."""
    from multitalk.speech.mouth_shapes import ARKIT_SHAPES

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


FORMATS: dict[str, Callable[[MouthMovement], Iterator[str]]] = {
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


def _cue_rows(movement: MouthMovement) -> Iterator[tuple[str, str, str]]:
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


def _switches(movement: MouthMovement, names: dict[str, str]) -> Iterator[str]:
    yield "MohoSwitch1"
    for cue in movement.cues:
        yield f"{cue.start + 1} {names.get(cue.shape, cue.shape)}"
    yield f"{len(movement.track) + 1} {names.get(movement.rest, movement.rest)}"


def _weights(movement: MouthMovement) -> Iterator[list[float]]:
    """All 52 coefficients of each frame."""
    from multitalk.speech.mouth_shapes import ARKIT_SHAPES, blend_shapes

    curves = {name: curve.tolist() for name, curve in blend_shapes(movement.track).items()}
    still = [0.0] * len(movement.track)
    for weights in zip(*(curves.get(name, still) for name in ARKIT_SHAPES), strict=True):
        yield [round(weight, DECIMALS) for weight in weights]


def _csv_line(values: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()


if TYPE_CHECKING:
    from multitalk.speech.viseme_track import VisemeTrack


@dataclass(frozen=True)
class VisemesCommandOptions:
    """The options of `multitalk visemes`."""

    audio: Annotated[
        Path,
        typer.Argument(help="Any sound or video file; - is standard input.", show_default=False),
    ]
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The file to write; standard output if left out.", metavar="FILE"
        ),
    ] = None
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            help="By the file's name if left out: .csv, .vtt, .json, .tsv and .xml "
            "(Rhubarb's), .dat (Moho's); a table where there is none.",
            metavar="|".join(FORMATS),
        ),
    ] = None
    fps: Annotated[
        float, typer.Option(help="Frames a second.", min=MIN_FPS, max=MAX_FPS, metavar="NUMBER")
    ] = float(FPS)
    extended: Annotated[
        str,
        typer.Option(
            help="Which of the mouth shapes G, H and X are drawn, beside A to F.",
            metavar="LETTERS",
        ),
    ] = EXTENDED
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False


@takes(VisemesCommandOptions)
def visemes(options: VisemesCommandOptions) -> None:
    """Say how the mouth moves to a voice.

    opening is the gap between the lips in face heights (0 closed, 0.1 a wide A), width runs from
    -1 (rounded) to 1 (spread), closure is 1 where the lips are sealed for p, b or m.

    Mouth shapes are those of Rhubarb Lip Sync, A to H and X; blend shapes those of ARKit.

    [bold]Examples[/bold]

    multitalk visemes voice.wav

    multitalk visemes voice.wav --json > voice.json

    multitalk visemes voice.wav --fps 24 -o mouth.tsv

    multitalk visemes voice.wav --format arkit-csv --fps 60 -o face.csv
    """
    audio, output, fps = options.audio, options.output, options.fps
    with answering(as_json=options.as_json), ExitStack() as stack:
        from multitalk.errors import not_a_choice

        format_name = _format(options.file_format, output, as_json=options.as_json)
        if format_name not in FORMATS:
            raise not_a_choice(option_text("--format", format_name), f'"{format_name}"', FORMATS)
        drawn = options.extended.upper()
        if not set(drawn) <= set(EXTENDED):
            raise typer.BadParameter(f"--extended {options.extended}: write letters of {EXTENDED}")
        if output is not None:
            from multitalk.disk import prepare_output_file

            prepare_output_file(output, field=option_text("-o", output))
        is_stream = str(audio) == STREAM
        file = StandardInput(stack).file("AUDIO", audio)
        track = _track_of(file, named=str(audio), fps=fps)
        sound_file = "" if is_stream else str(audio.absolute())
        lines = FORMATS[format_name](MouthMovement(track, fps, sound_file, drawn))
        if output is None:
            for line in lines:
                typer.echo(line)
        else:
            write_atomically(output, ("\n".join(lines) + "\n").encode())


def _format(requested: str | None, output: Path | None, *, as_json: bool) -> str:
    if requested is not None and as_json and requested != "json":
        raise typer.BadParameter(f"--json or --format {requested}: choose one")
    if as_json:
        return "json"
    if requested is not None or output is None:
        return requested or "table"
    suffix = output.suffix.lower()
    if suffix not in FORMAT_OF_SUFFIX:
        known = ", ".join(FORMAT_OF_SUFFIX)
        raise typer.BadParameter(f"-o {output}: say --format, or give it a name in {known}")
    return FORMAT_OF_SUFFIX[suffix]


def _track_of(audio: Path, *, named: str, fps: float) -> "VisemeTrack":
    import tempfile

    from multitalk.errors import InvalidRequest
    from multitalk.job.voice_checks import voice_notices
    from multitalk.media.audio import load_recording
    from multitalk.messages import sentence
    from multitalk.settings import Settings
    from multitalk.speech.viseme_track import resample_track
    from multitalk.speech.visemes import analyse_speech

    if not audio.is_file():
        raise InvalidRequest("file_missing", field=named)
    with tempfile.TemporaryDirectory(prefix="multitalk-") as directory:
        limit = Settings.from_env().max_speech_seconds
        recording = load_recording(audio, field=named, directory=Path(directory), max_seconds=limit)
        for notice in voice_notices({named: recording}):
            note(sentence(notice.key, "en", **notice.parameters))
        return resample_track(analyse_speech(recording.speech), fps)
