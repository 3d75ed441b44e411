"""`multitalk evaluate`: does the mouth follow the voice, and is it still the same picture?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multitalk.cli.console import EXIT_VERDICT_FAILED, answering, print_json
from multitalk.cli.speakers import boxes_of, named

if TYPE_CHECKING:
    from multitalk.evaluation import Check, Report

VERDICTS = {True: ("ok", "green"), False: ("FAILED", "red"), None: ("-", "yellow")}


def evaluate(  # noqa: PLR0917 - typer's way to say options
    video: Annotated[Path, typer.Argument(help="The video to judge.", show_default=False)],
    audio: Annotated[
        list[str] | None,
        typer.Option(
            help="A speaker's own voice; the video's sound if left out.", metavar="[NAME=]FILE"
        ),
    ] = None,
    phonemes: Annotated[
        list[str] | None,
        typer.Option(
            help="What a speaker says, as `multitalk render --phonemes` wrote it.",
            metavar="[NAME=]JSON",
        ),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(help="Where a speaker's face is in the video.", metavar="NAME=X0,Y0,X1,Y1"),
    ] = None,
    portrait: Annotated[
        Path | None, typer.Option(help="The picture it was made from; the first frame if left out.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw the lips against the voice.", metavar="PNG")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Judge a talking video: lips, timing, likeness, background.

    Exit code 0 when it passes and 3 when it does not.

    [bold]Examples[/bold]

    multitalk evaluate talk.mp4

    multitalk evaluate talk.mp4 --audio voice.wav --portrait me.jpg --plot lips.png
    """
    with answering():
        from multitalk import evaluation  # noqa: PLC0415 - takes a while to load
        from multitalk.serving.local import make_place  # noqa: PLC0415

        if plot is not None:
            make_place(plot)
        report = evaluation.evaluate(
            _existing("VIDEO", video),
            voices=_files("--audio", audio),
            phonemes=_files("--phonemes", phonemes),
            boxes=boxes_of(box or []),
            portrait=_existing("--portrait", portrait) if portrait else None,
            plot=plot,
        )
        if as_json:
            print_json(report.to_dict())
        else:
            _print(report)
    if not report.passed:
        raise typer.Exit(EXIT_VERDICT_FAILED)


def _files(option: str, given: list[str] | None) -> dict[str, Path] | None:
    """The file of each speaker, or None if there is none."""
    files = {}
    for index, value in enumerate(given or [], start=1):
        name, path = named(value, default=f"person{index}")
        files[name] = _existing(f"{option} {name}", Path(path))
    return files or None


def _existing(what: str, path: Path) -> Path:
    if not path.is_file():
        raise typer.BadParameter(f"{what}: there is no file {path}")
    return path


def _print(report: "Report") -> None:
    for check in report.checks:
        _print_check(check)
    from multitalk.cli.figures import print_figures  # noqa: PLC0415 - rich, only where it is seen

    print_figures(report)
    typer.secho(
        "passed" if report.passed else "did not pass", fg="green" if report.passed else "red"
    )


def _print_check(check: "Check") -> None:
    verdict, color = VERDICTS[check.passed]
    typer.secho(f"{verdict:>6}  ", fg=color, nl=False)
    about = f"{check.speaker}: " if check.speaker else ""
    typer.echo(f"{check.name:<20}  {about}{check.reason}")
