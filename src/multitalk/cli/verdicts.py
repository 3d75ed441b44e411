"""What became of the videos that `multitalk evaluate` judged: record, row and exit code of each."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import typer

from multitalk.cli.console import EXIT_REQUEST_ERROR, EXIT_VERDICT_FAILED, EXIT_WORKER_ERROR
from multitalk.errors import MultiTalkError, WorkerError

if TYPE_CHECKING:
    from multitalk.evaluation import Report

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")  # what is judged in a folder

Judge: TypeAlias = "Callable[[Path], Report]"


@dataclass(frozen=True)
class Verdict:
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
        """What it did not pass, or why it could not be judged; empty where it passes."""
        if self.report is None:
            return self.error.text() if self.error else ""
        failed = [check.name for check in self.report.checks if check.passed is False]
        return ", ".join(dict.fromkeys(failed))

    def to_dict(self) -> dict[str, object]:
        """A record for JSON."""
        record: dict[str, object] = {"video": str(self.video)}
        if self.report is not None:
            return record | self.report.to_dict()
        error = {"code": self.error.code, "message": self.error.text()} if self.error else None
        return record | {"passed": False, "verdict": self.name, "error": error}


def judged(videos: Iterable[Path], judge: Judge) -> Iterator[Verdict]:
    """Judge one after the other; one that cannot be judged does not stop the others."""
    for video in videos:
        try:
            yield Verdict(video, report=judge(video))
        except MultiTalkError as error:
            yield Verdict(video, error=error)


def worst(verdicts: Iterable[Verdict]) -> int:
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
