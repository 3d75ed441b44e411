"""`multitalk evaluate`: does the mouth follow the voice, and is it still the same picture?"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from multitalk.cli.console import answering, print_error, print_json, takes
from multitalk.cli.evaluate_report import Judge, JudgedVideo, existing, judge_all, videos_in, worst
from multitalk.cli.options import TypedOptions, boxes_of, option_text, split_file_name
from multitalk.paths import as_meant


@dataclass(frozen=True)
class EvaluateCommandOptions:
    """The options of `multitalk evaluate`."""

    videos: Annotated[
        list[Path],
        typer.Argument(
            help="The video to judge; or several, or folders of them.",
            metavar="VIDEO...",
            show_default=False,
        ),
    ]
    audio: Annotated[
        list[str] | None,
        typer.Option(
            help="A speaker's own voice; the video's sound if left out.", metavar="[NAME=]FILE"
        ),
    ] = None
    phonemes: Annotated[
        list[str] | None,
        typer.Option(
            help="What a speaker says, as `multitalk render --phonemes` wrote it.",
            metavar="[NAME=]JSON",
        ),
    ] = None
    box: Annotated[
        list[str] | None,
        typer.Option(help="Where a speaker's face is in the video.", metavar="NAME=X0,Y0,X1,Y1"),
    ] = None
    portrait: Annotated[
        Path | None, typer.Option(help="The picture it was made from; the first frame if left out.")
    ] = None
    plot: Annotated[
        Path | None,
        typer.Option(help="Also draw the lips against the voice (extra `plot`).", metavar="PNG"),
    ] = None
    against: Annotated[
        Path | None,
        typer.Option(help="Judge this video, too, and say which is better.", metavar="VIDEO"),
    ] = None
    side_by_side: Annotated[
        Path | None,
        typer.Option(help="Also write the two beside each other.", metavar="MP4"),
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False


@takes(EvaluateCommandOptions)
def evaluate(options: EvaluateCommandOptions) -> None:
    """Judge talking videos: lips, timing, likeness, background.

    Exit code 0 when all pass, 3 when one does not, 2 when one cannot be judged.

    [bold]Examples[/bold]

    multitalk evaluate talk.mp4

    multitalk evaluate talk.mp4 --audio voice.wav --portrait me.jpg --plot lips.png

    multitalk evaluate talks/ --json

    multitalk evaluate new.mp4 --against old.mp4 --side-by-side both.mp4
    """
    with answering(as_json=options.as_json) as answers:
        answers.locate = _typed_values(options).locate
        found = videos_in(options.videos)
        alone = found == options.videos and len(found) == 1
        _check_outputs(found[0] if alone else None, options)
        judge = _judge(options)
        if options.against is not None:
            code = _two(found[0], options.against, judge, options)
        elif alone:
            code = _judge_one(found[0], judge, as_json=options.as_json)
        else:
            code = _many(found, judge, as_json=options.as_json)
    if code:
        raise typer.Exit(code)


def _judge(options: EvaluateCommandOptions) -> Judge:
    from multitalk.evaluation import evaluate as judge

    portrait = options.portrait
    return partial(
        judge,
        voices=_files("--audio", options.audio),
        phonemes=_files("--phonemes", options.phonemes),
        boxes=boxes_of(options.box or []),
        portrait=existing("--portrait", portrait) if portrait else None,
        plot=options.plot,
    )


def _judge_one(video: Path, judge: Judge, *, as_json: bool) -> int:
    """Judge one video; the exit code."""
    from multitalk.cli.evaluate_report import print_report, watching

    with watching(1, judge) as watched:
        report = watched(video)
    verdict = JudgedVideo(video, report)
    if as_json:
        print_json(verdict.to_dict())
    else:
        print_report(report)
    return verdict.exit_code


def _many(videos: list[Path], judge: Judge, *, as_json: bool) -> int:
    """Judge one after the other; the exit code."""
    from multitalk.cli.evaluate_report import print_verdicts, watching

    with watching(len(videos), judge) as watched:
        verdicts = list(judge_all(videos, watched))
    if as_json:
        print_json([verdict.to_dict() for verdict in verdicts])
    else:
        print_verdicts(verdicts)
    return worst(verdicts)


def _two(video: Path, against: Path, judge: Judge, options: EvaluateCommandOptions) -> int:
    """Judge a video and another one, and compare them; the exit code."""
    from multitalk.cli.evaluate_report import print_pair, watching
    from multitalk.evaluation import compare_figures, write_side_by_side

    with watching(2, judge) as watched:
        verdicts = list(judge_all([video, against], watched))
    reports = [verdict.report for verdict in verdicts if verdict.report]
    whole = len(reports) == len(verdicts)
    compared = compare_figures(reports[0].figures, reports[1].figures) if whole else ()
    if whole and options.side_by_side is not None:
        write_side_by_side(video, against, options.side_by_side)
    for failed in [verdict for verdict in verdicts if verdict.error]:
        print_error(f"{failed.video}: {failed.reason}")
    if options.as_json:
        records = dict(zip(("first", "second"), map(JudgedVideo.to_dict, verdicts), strict=True))
        print_json(records | {"figures": list(map(asdict, compared))})
    elif whole:
        print_pair(verdicts, compared)
    return worst(verdicts)


def _typed_values(options: EvaluateCommandOptions) -> TypedOptions:
    """The typed value of each argument of `multitalk.evaluation.evaluate`."""
    places = {"video": str(options.videos[0])}
    for argument, file in (("portrait", options.portrait), ("plot", options.plot)):
        if file is not None:
            places[argument] = option_text(f"--{argument}", file)
    named = (
        ("voices", "--audio", options.audio or []),
        ("phonemes", "--phonemes", options.phonemes or []),
    )
    for argument, option, values in named:
        for index, value in enumerate(values, start=1):
            name, _ = split_file_name(option, value, default=f"person{index}")
            places[f"{argument}.{name}"] = option_text(option, value)
    return TypedOptions(places, is_whole=False)


def _check_outputs(video: Path | None, options: EvaluateCommandOptions) -> None:
    """Refuse options that do not fit, and make the directories of files to write.

    Args:
        video: The one video; None if there are several.
        options: Of the command.
    """
    from multitalk.disk import prepare_output_file

    plot, against, side_by_side = options.plot, options.against, options.side_by_side
    if plot is not None and (against is not None or video is None):
        raise typer.BadParameter("--plot draws one video; give it one file")
    if against is not None:
        _check_pair(video, existing("--against", against), side_by_side)
    elif side_by_side is not None:
        raise typer.BadParameter("--side-by-side shows two videos; add --against VIDEO")
    for option, place in (("--plot", plot), ("--side-by-side", side_by_side)):
        if place is not None:
            prepare_output_file(place, field=option_text(option, place))


def _check_pair(video: Path | None, against: Path, side_by_side: Path | None) -> None:
    if video is None:
        raise typer.BadParameter("--against is for one video; give it one file")
    if side_by_side is not None and side_by_side.resolve() in {video.resolve(), against.resolve()}:
        raise typer.BadParameter("--side-by-side would overwrite a video that it shows")


def _files(option: str, given: list[str] | None) -> dict[str, Path] | None:
    """The file of each speaker, or None if there is none."""
    files = {}
    for index, value in enumerate(given or [], start=1):
        name, path = split_file_name(option, value, default=f"person{index}")
        files[name] = existing(f"{option} {name}", as_meant(Path(path)))
    return files or None
