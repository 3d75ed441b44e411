"""`multitalk evaluate`: does the mouth follow the voice, and is it still the same picture?"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from multitalk.cli.console import answering, print_json
from multitalk.cli.speakers import boxes_of, named
from multitalk.cli.verdicts import Verdict, existing, judged, videos_in, worst


def evaluate(  # noqa: PLR0917 - typer's way to say options
    videos: Annotated[
        list[Path],
        typer.Argument(
            help="The video to judge; or several, or folders of them.",
            metavar="VIDEO...",
            show_default=False,
        ),
    ],
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
    """Judge talking videos: lips, timing, likeness, background.

    Exit code 0 when all pass, 3 when one does not, 2 when one cannot be judged.

    [bold]Examples[/bold]

    multitalk evaluate talk.mp4

    multitalk evaluate talk.mp4 --audio voice.wav --portrait me.jpg --plot lips.png

    multitalk evaluate talks/ --json
    """
    with answering():
        found = videos_in(videos)
        alone = found == videos and len(found) == 1
        if plot is not None and not alone:
            raise typer.BadParameter("--plot draws one video; give it one file")
        from multitalk import evaluation  # noqa: PLC0415 - takes a while to load
        from multitalk.cli.figures import print_report, print_verdicts, watched  # noqa: PLC0415
        from multitalk.serving.local import make_place  # noqa: PLC0415

        if plot is not None:
            make_place(plot)
        judge = partial(
            evaluation.evaluate,
            voices=_files("--audio", audio),
            phonemes=_files("--phonemes", phonemes),
            boxes=boxes_of(box or []),
            portrait=existing("--portrait", portrait) if portrait else None,
            plot=plot,
        )
        if alone:
            report = judge(found[0])
            verdicts = [Verdict(found[0], report)]
            if as_json:
                print_json(verdicts[0].to_dict())
            else:
                print_report(report)
        else:
            verdicts = list(judged(watched(found), judge))
            if as_json:
                print_json([verdict.to_dict() for verdict in verdicts])
            else:
                print_verdicts(verdicts)
    if code := worst(verdicts):
        raise typer.Exit(code)


def _files(option: str, given: list[str] | None) -> dict[str, Path] | None:
    """The file of each speaker, or None if there is none."""
    files = {}
    for index, value in enumerate(given or [], start=1):
        name, path = named(value, default=f"person{index}")
        files[name] = existing(f"{option} {name}", Path(path))
    return files or None
