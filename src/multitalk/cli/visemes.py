"""`multitalk visemes`: how a mouth moves to a voice, for animation tools and other programs."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multitalk.cli.console import answering, note
from multitalk.cli.mouth_files import FORMAT_OF_SUFFIX, FORMATS, Movement
from multitalk.cli.streams import STREAM, StandardInput
from multitalk.cli.typed import shown
from multitalk.disk import write_atomically
from multitalk.timebase import FPS

if TYPE_CHECKING:
    from multitalk.speech.viseme_track import VisemeTrack

MIN_FPS, MAX_FPS = 1.0, 240.0
EXTENDED = "GHX"


def visemes(  # noqa: PLR0917 - typer's way to say options
    audio: Annotated[
        Path,
        typer.Argument(help="Any sound or video file; - is standard input.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The file to write; standard output if left out.", metavar="FILE"
        ),
    ] = None,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            help="By the file's name if left out: .csv, .vtt, .json, .tsv and .xml "
            "(Rhubarb's), .dat (Moho's); a table where there is none.",
            metavar="|".join(FORMATS),
        ),
    ] = None,
    fps: Annotated[
        float, typer.Option(help="Frames a second.", min=MIN_FPS, max=MAX_FPS, metavar="NUMBER")
    ] = float(FPS),
    extended: Annotated[
        str,
        typer.Option(
            help="Which of the mouth shapes G, H and X are drawn, beside A to F.",
            metavar="LETTERS",
        ),
    ] = EXTENDED,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
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
    with answering(as_json=as_json), ExitStack() as stack:
        from multitalk.errors import not_a_choice  # noqa: PLC0415

        wanted = _format(file_format, output, as_json=as_json)
        if wanted not in FORMATS:
            raise not_a_choice(shown("--format", wanted), f'"{wanted}"', FORMATS)
        drawn = extended.upper()
        if not set(drawn) <= set(EXTENDED):
            raise typer.BadParameter(f"--extended {extended}: write letters of {EXTENDED}")
        if output is not None:
            from multitalk.serving.local import make_place  # noqa: PLC0415 - takes a while

            make_place(output, field=shown("-o", output))
        is_stream = str(audio) == STREAM
        file = StandardInput(stack).file("AUDIO", audio)
        track = _track_of(file, named=str(audio), fps=fps)
        sound_file = "" if is_stream else str(audio.absolute())
        lines = FORMATS[wanted](Movement(track, fps, sound_file, drawn))
        if output is None:
            for line in lines:
                typer.echo(line)
        else:
            write_atomically(output, ("\n".join(lines) + "\n").encode())


def _format(asked: str | None, output: Path | None, *, as_json: bool) -> str:
    if asked is not None and as_json and asked != "json":
        raise typer.BadParameter(f"--json or --format {asked}: choose one")
    if as_json:
        return "json"
    if asked is not None or output is None:
        return asked or "table"
    suffix = output.suffix.lower()
    if suffix not in FORMAT_OF_SUFFIX:
        known = ", ".join(FORMAT_OF_SUFFIX)
        raise typer.BadParameter(f"-o {output}: say --format, or give it a name in {known}")
    return FORMAT_OF_SUFFIX[suffix]


def _track_of(audio: Path, *, named: str, fps: float) -> "VisemeTrack":
    import tempfile  # noqa: PLC0415 - the rest takes a while to load

    from multitalk.errors import InvalidRequest  # noqa: PLC0415
    from multitalk.job.voices import voice_notices  # noqa: PLC0415
    from multitalk.media.audio import load_recording  # noqa: PLC0415
    from multitalk.messages import sentence  # noqa: PLC0415
    from multitalk.settings import Settings  # noqa: PLC0415
    from multitalk.speech.viseme_track import resample_track  # noqa: PLC0415
    from multitalk.speech.visemes import analyse_speech  # noqa: PLC0415

    if not audio.is_file():
        raise InvalidRequest("file_missing", field=named)
    with tempfile.TemporaryDirectory(prefix="multitalk-") as directory:
        limit = Settings.from_env().max_speech_seconds
        recording = load_recording(audio, field=named, directory=Path(directory), max_seconds=limit)
        for notice in voice_notices({named: recording}):
            note(sentence(notice.key, "en", **notice.parameters))
        return resample_track(analyse_speech(recording.speech), fps)
