"""`multitalk evaluate`: does the mouth follow the voice, and is it still the same picture?"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from multitalk.cli.console import answering, print_error, print_json
from multitalk.cli.evaluate_report import Judge, JudgedVideo, existing, judge_all, videos_in, worst
from multitalk.cli.options import TypedOptions, boxes_of, option_text, split_file_name
from multitalk.paths import as_meant

VideosArgument = Annotated[
    list[Path],
    typer.Argument(
        help="The video to judge; or several, or folders of them.",
        metavar="VIDEO...",
        show_default=False,
    ),
]
AudioOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A speaker's own voice; the video's sound if left out.", metavar="[NAME=]FILE"
    ),
]
PhonemesOption = Annotated[
    list[str] | None,
    typer.Option(
        help="What a speaker says, as `multitalk render --phonemes` wrote it.",
        metavar="[NAME=]JSON",
    ),
]
BoxOption = Annotated[
    list[str] | None,
    typer.Option(help="Where a speaker's face is in the video.", metavar="NAME=X0,Y0,X1,Y1"),
]
PortraitOption = Annotated[
    Path | None, typer.Option(help="The picture it was made from; the first frame if left out.")
]
PlotOption = Annotated[
    Path | None,
    typer.Option(help="Also draw the lips against the voice (extra `plot`).", metavar="PNG"),
]
AgainstOption = Annotated[
    Path | None,
    typer.Option(help="Judge this video, too, and say which is better.", metavar="VIDEO"),
]
SideBySideOption = Annotated[
    Path | None,
    typer.Option(help="Also write the two beside each other.", metavar="MP4"),
]
AsJsonOption = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def evaluate(  # noqa: PLR0917 - typer's way to say options
    videos: VideosArgument,
    audio: AudioOption = None,
    phonemes: PhonemesOption = None,
    box: BoxOption = None,
    portrait: PortraitOption = None,
    plot: PlotOption = None,
    against: AgainstOption = None,
    side_by_side: SideBySideOption = None,
    as_json: AsJsonOption = False,
) -> None:
    """Judge talking videos: lips, timing, likeness, background.

    Exit code 0 when all pass, 3 when one does not, 2 when one cannot be judged.

    [bold]Examples[/bold]

    multitalk evaluate talk.mp4

    multitalk evaluate talk.mp4 --audio voice.wav --portrait me.jpg --plot lips.png

    multitalk evaluate talks/ --json

    multitalk evaluate new.mp4 --against old.mp4 --side-by-side both.mp4
    """
    with answering(as_json=as_json) as answers:
        typed = _typed_values(
            videos, portrait, plot, {"voices": audio or [], "phonemes": phonemes or []}
        )
        answers.locate = typed.locate
        found = videos_in(videos)
        alone = found == videos and len(found) == 1
        _check_outputs(found[0] if alone else None, plot, against, side_by_side)
        from multitalk import evaluation

        judge = partial(
            evaluation.evaluate,
            voices=_files("--audio", audio),
            phonemes=_files("--phonemes", phonemes),
            boxes=boxes_of(box or []),
            portrait=existing("--portrait", portrait) if portrait else None,
            plot=plot,
        )
        if against is not None:
            code = _two(found[0], against, judge, side_by_side, as_json=as_json)
        elif alone:
            code = _judge_one(found[0], judge, as_json=as_json)
        else:
            code = _many(found, judge, as_json=as_json)
    if code:
        raise typer.Exit(code)


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


def _two(
    video: Path, against: Path, judge: Judge, side_by_side: Path | None, *, as_json: bool
) -> int:
    """Judge a video and another one, and compare them; the exit code."""
    from multitalk.cli.evaluate_report import print_pair, watching
    from multitalk.evaluation import compare_figures, write_side_by_side

    with watching(2, judge) as watched:
        verdicts = list(judge_all([video, against], watched))
    reports = [verdict.report for verdict in verdicts if verdict.report]
    whole = len(reports) == len(verdicts)
    compared = compare_figures(reports[0].figures, reports[1].figures) if whole else ()
    if whole and side_by_side is not None:
        write_side_by_side(video, against, side_by_side)
    for verdict in verdicts:
        if verdict.error:
            print_error(f"{verdict.video}: {verdict.reason}")
    if as_json:
        first, second = (verdict.to_dict() for verdict in verdicts)
        figures = [asdict(figure) for figure in compared]
        print_json({"first": first, "second": second, "figures": figures})
    elif whole:
        print_pair(verdicts, compared)
    return worst(verdicts)


def _typed_values(
    videos: list[Path],
    portrait: Path | None,
    plot: Path | None,
    files: Mapping[str, Sequence[str]],
) -> TypedOptions:
    """The typed value of each argument of `multitalk.evaluation.evaluate`."""
    places = {"video": str(videos[0])}
    for argument, file in (("portrait", portrait), ("plot", plot)):
        if file is not None:
            places[argument] = option_text(f"--{argument}", file)
    for argument, option in (("voices", "--audio"), ("phonemes", "--phonemes")):
        for index, value in enumerate(files[argument], start=1):
            name, _ = split_file_name(option, value, default=f"person{index}")
            places[f"{argument}.{name}"] = option_text(option, value)
    return TypedOptions(places, is_whole=False)


def _check_outputs(
    video: Path | None, plot: Path | None, against: Path | None, side_by_side: Path | None
) -> None:
    """Refuse options that do not fit, and make the directories of files to write.

    Args:
        video: The one video; None if there are several.
        plot: `--plot`.
        against: `--against`.
        side_by_side: `--side-by-side`.
    """
    from multitalk.disk import prepare_output_file

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
