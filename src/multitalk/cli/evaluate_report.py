"""The results of `multitalk evaluate`: verdicts with exit codes, tables of figures."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import typer

from multitalk.cli.console import EXIT_REQUEST_ERROR, EXIT_VERDICT_FAILED, EXIT_WORKER_ERROR
from multitalk.errors import MultiTalkError, WorkerError

if TYPE_CHECKING:
    from rich.table import Table

    from multitalk.evaluation import Comparison, Figure, Report


SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")  # of videos in a folder

Judge: TypeAlias = "Callable[[Path], Report]"

WHOLE = ("lag_ms", "teeth_share")  # figures without a digit after the point; most have one
FINE = ("opening_correlation", "width_correlation", "confidence", "flicker", "gaze_against_yaw")
DIGITS = dict.fromkeys(WHOLE, 0) | dict.fromkeys(FINE, 2) | {"interactivity": 2}
WIDE = 240  # columns
# Figures that begin another table of many videos, so that each fits 80 columns.
BREAKS = ("yaw_deviation", "place_x_deviation", "opening_deviation")
SPELLED = {"higher": "higher is better", "lower": "nearer to 0 is better", "neither": ""}
CHECKED = {True: ("ok", "green"), False: ("FAILED", "red"), None: ("-", "yellow")}
COLORS = {"passed": "green", "failed": "red", "not judged": "yellow"}


@dataclass(frozen=True)
class JudgedVideo:
    """One video, and either its report or why there is none."""

    video: Path
    report: "Report | None" = None
    error: MultiTalkError | None = None

    @property
    def name(self) -> str:
        """The word for it."""
        return self.report.verdict if self.report else "not judged"

    @property
    def exit_code(self) -> int:
        """0 where it passes."""
        if self.report is None:
            ours = isinstance(self.error, WorkerError)
            return EXIT_WORKER_ERROR if ours else EXIT_REQUEST_ERROR
        return 0 if self.report.passed else EXIT_VERDICT_FAILED

    @property
    def reason(self) -> str:
        """The checks that failed, or the error; empty where it passes."""
        if self.report is None:
            return self.error.text() if self.error else ""
        failed = [check.name for check in self.report.checks if check.passed is False]
        return ", ".join(dict.fromkeys(failed))

    def mean_figures(self) -> "tuple[Figure, ...]":
        """The means over its speakers; none where it could not be judged."""
        from multitalk.evaluation import mean_figures

        return mean_figures(self.report.figures) if self.report else ()

    def to_dict(self) -> dict[str, object]:
        """A record for JSON."""
        record: dict[str, object] = {"video": str(self.video)}
        if self.report is not None:
            return record | self.report.to_dict()
        error = {"code": self.error.code, "message": self.error.text()} if self.error else None
        return record | {"passed": False, "verdict": self.name, "error": error}


def judge_all(videos: Iterable[Path], judge: Judge) -> Iterator[JudgedVideo]:
    """Judge one after the other; one that cannot be judged does not stop the others."""
    for video in videos:
        try:
            yield JudgedVideo(video, report=judge(video))
        except MultiTalkError as error:
            yield JudgedVideo(video, error=error)


def worst(verdicts: Iterable[JudgedVideo]) -> int:
    """The exit code: what could not be judged is worse than what did not pass."""
    codes = {verdict.exit_code for verdict in verdicts}
    order = (EXIT_WORKER_ERROR, EXIT_REQUEST_ERROR, EXIT_VERDICT_FAILED)
    return next((code for code in order if code in codes), 0)


def videos_in(given: Sequence[Path]) -> list[Path]:
    """The files among what was given, and the videos in its folders, by name."""
    found = []
    for path in given:
        if not path.is_dir():
            found.append(existing("VIDEO", path))
            continue
        inside = sorted(file for file in path.iterdir() if _is_video(file))
        if not inside:
            raise typer.BadParameter(f"VIDEO: no {', '.join(SUFFIXES)} in the folder {path}")
        found += inside
    return found


def existing(what: str, path: Path) -> Path:
    """The path, if a file is there."""
    if not path.is_file():
        raise typer.BadParameter(f"{what}: there is no file {path}")
    return path


def _is_video(path: Path) -> bool:
    hidden = path.name.startswith(".")  # unfinished, or another system's shadow of a file
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()


@contextmanager
def watching(num_videos: int, judge: Callable[..., "Report"]) -> Iterator[Judge]:
    """The judge, with a bar on stderr that follows it; silent where nobody watches."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    console = Console(stderr=True, quiet=not sys.stderr.isatty())
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("", total=num_videos)
        numbers = count()

        def watched(video: Path) -> "Report":
            number = next(numbers)
            bar.update(task, description=escape(video.name), completed=number)
            return judge(
                video, on_progress=lambda share: bar.update(task, completed=number + share)
            )

        yield watched


def print_report(report: "Report") -> None:
    """One line for each check, one row for each figure of each speaker, the verdict."""
    for check in report.checks:
        verdict, color = CHECKED[check.passed]
        typer.secho(f"{verdict:>6}  ", fg=color, nl=False)
        about = f"{check.speaker}: " if check.speaker else ""
        typer.echo(f"{check.name:<20}  {about}{check.reason}")
    _print_figures(report)
    typer.secho(
        "passed" if report.passed else "did not pass", fg="green" if report.passed else "red"
    )


def print_verdicts(verdicts: Sequence[JudgedVideo]) -> None:
    """One row for each video with its speakers' mean figures, a row of the means, the reasons."""
    from multitalk.evaluation import mean_figures

    rows = [one.mean_figures() for one in verdicts]
    means = mean_figures(chain.from_iterable(rows))
    names = _names([one.video for one in verdicts])
    for part in _parts([mean.name for mean in means]):
        shown = verdicts if part.start == 0 else None
        figures = [row[part] for row in rows]
        _print_table(_figures_table(shown, names, figures, means[part]))
    for one, name in zip(verdicts, names, strict=True):
        if one.reason:
            typer.echo(f"{name}: {one.name}: {one.reason}")


def _parts(columns: Sequence[str]) -> list[slice]:
    """The parts of a table that is too wide for a window."""
    breaks = [place for place, name in enumerate(columns) if name in BREAKS]
    return list(map(slice, [0, *breaks], [*breaks, len(columns)]))


def _figures_table(
    verdicts: Sequence[JudgedVideo] | None,
    names: Sequence[str],
    rows: Sequence[Sequence["Figure"]],
    means: Sequence["Figure"],
) -> "Table":
    """A row of figures for each video, and their means; the verdicts, if any, before them."""
    from rich.text import Text

    table = _empty_table()
    table.add_column("video", overflow="fold")
    columns: list[list[Text | str]] = [[] for _ in names]
    share: list[str] = []
    if verdicts is not None:
        table.add_column("verdict", no_wrap=True)
        columns = [[Text(one.name, COLORS[one.name])] for one in verdicts]
        share = [f"{sum(one.exit_code == 0 for one in verdicts)} of {len(verdicts)}"]
    for mean in means:
        heading = mean.name.replace("correlation", "r").replace("_", "\n")
        table.add_column(heading, justify="right", no_wrap=True)
    for name, column, row in zip(names, columns, rows, strict=True):
        table.add_row(Text(name), *column, *map(_format_figure, row))
    table.add_section()
    table.add_row("mean", *share, *map(_format_figure, means))
    if any(mean.range for mean in means):
        table.add_row("filmed people", *(_format_range(mean.name, mean.range) for mean in means))
    return table


def print_pair(verdicts: Sequence[JudgedVideo], figures: Sequence["Comparison"]) -> None:
    """One row for each figure, with both videos' values and which is better; the two verdicts."""
    from rich.text import Text

    names = _names([one.video for one in verdicts])
    table = _empty_table()
    table.add_column("figure", no_wrap=True)
    table.add_column("speaker")
    for name in names:
        table.add_column(Text(name), justify="right", overflow="fold")
    table.add_column("unit")
    table.add_column("filmed\npeople", justify="right", no_wrap=True)
    table.add_column("better", overflow="fold")
    for figure in figures:
        values = [_format_value(figure.name, value) for value in (figure.first, figure.second)]
        winner = {"first": names[0], "second": names[1], None: ""}[figure.winner]
        known = _format_range(figure.name, figure.range)
        better = Text(winner, "green")
        table.add_row(figure.name, figure.speaker, *values, figure.unit, known, better)
    _print_table(table)
    for one, name in zip(verdicts, names, strict=True):
        typer.secho(f"{name}: {one.name}", fg=COLORS[one.name], nl=not one.reason)
        if one.reason:
            typer.echo(f": {one.reason}")


def _print_figures(report: "Report") -> None:
    table = _empty_table()
    table.add_column("figure", no_wrap=True)
    table.add_column("speaker")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("unit")
    table.add_column("filmed\npeople", justify="right", no_wrap=True)
    table.add_column()
    for figure in report.figures:
        spelled = _position_in_range(figure.value, figure.range) or SPELLED[figure.better]
        known = _format_range(figure.name, figure.range)
        table.add_row(
            figure.name, figure.speaker, _format_figure(figure), figure.unit, known, spelled
        )
    _print_table(table)


def _names(videos: Sequence[Path]) -> list[str]:
    """Short ones, where they tell the videos apart."""
    short = [video.name for video in videos]
    return short if len(set(short)) == len(short) else [str(video) for video in videos]


def _empty_table() -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def _print_table(table: "Table") -> None:
    """On stdout; where that is no window, lines may be long."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def _format_figure(figure: "Figure") -> str:
    return _format_value(figure.name, figure.value)


def _format_range(name: str, known: tuple[float, float] | None) -> str:
    """A range of filmed people; nothing where it is not known."""
    if known is None:
        return ""
    low, high = (_format_value(name, end) for end in known)
    return f"{low} to {high}" if known[0] < 0 else f"{low}-{high}"


def _position_in_range(value: float | None, known: tuple[float, float] | None) -> str:
    """The place of a value relative to that range."""
    if value is None or known is None:
        return ""
    return "below" if value < known[0] else "above" if value > known[1] else "within"


def _format_value(name: str, value: float | None) -> str:
    """A value as a table shows it, or - where there is none."""
    if value is None:
        return "-"
    return f"{value:.{DIGITS.get(name, 1)}f}"
