"""`multitalk visemes`: how a mouth moves to a voice, as numbers for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multitalk.cli.console import answering, print_json

if TYPE_CHECKING:
    from multitalk.speech.track import VisemeTrack

COLUMNS = ("opening", "width", "closure")
PLOT_OPENING = 0.1  # face heights: a wide A fills the line
PLOT_CHARACTERS = 40
DECIMALS = 4


def visemes(
    audio: Annotated[Path, typer.Argument(help="Any sound or video file.", show_default=False)],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, one value a frame.")
    ] = False,
) -> None:
    """Say how the mouth moves to a voice, at 25 frames a second.

    opening is the gap between the lips in face heights (0 closed, 0.1 a wide A), width runs from
    -1 (rounded) to 1 (spread), closure is 1 where the lips are sealed for p, b or m.

    [bold]Examples[/bold]

    multitalk visemes voice.wav

    multitalk visemes voice.wav --json > voice.json
    """
    with answering(as_json=as_json):
        track = _track_of(audio)
        if as_json:
            print_json(
                {"fps": 25}
                | {
                    name: [round(float(value), DECIMALS) for value in getattr(track, name)]
                    for name in COLUMNS
                }
            )
            return
        typer.echo(f"{'second':>8} {'opening':>8} {'width':>6} {'closure':>7}")
        for index in range(len(track)):
            opening, width, closure = (float(getattr(track, name)[index]) for name in COLUMNS)
            gap = opening * (1 - closure)
            bar = "#" * round(min(gap / PLOT_OPENING, 1) * PLOT_CHARACTERS)
            typer.echo(
                f"{index / 25:8.2f} {opening:8.3f} {width:6.2f} {closure:7.2f} {bar}".rstrip()
            )


def _track_of(audio: Path) -> "VisemeTrack":
    import tempfile  # noqa: PLC0415 - the rest takes a while to load

    from multitalk.errors import InvalidRequest  # noqa: PLC0415
    from multitalk.media.audio import load_speech  # noqa: PLC0415
    from multitalk.settings import Settings  # noqa: PLC0415
    from multitalk.speech.visemes import analyse_speech  # noqa: PLC0415

    if not audio.is_file():
        raise InvalidRequest("file_missing", field=str(audio))
    with tempfile.TemporaryDirectory(prefix="multitalk-") as directory:
        limit = Settings.from_env().max_speech_seconds
        speech = load_speech(audio, field=str(audio), directory=Path(directory), max_seconds=limit)
        return analyse_speech(speech)
