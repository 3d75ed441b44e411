"""`-` in place of a file: standard input, read by one option, and standard output."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import typer

from multitalk.cli.console import note
from multitalk.cli.options import split_name

STREAM = "-"


class StandardInput:
    """The content of standard input, for the one option whose value is `-`.

    Args:
        stack: Removes the file that it was kept in.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._reader: str | None = None

    def file(self, option: str, value: Path) -> Path:
        """The value of an option, or a file with what came in for it."""
        if str(value) != STREAM:
            return value
        directory = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="multitalk-"))
        file = Path(directory, "standard-input")
        file.write_bytes(self.read(option))
        return file

    def source(self, option: str, value: str) -> str:
        """As `file`, of a value that need not be a path."""
        return str(self.file(option, Path(STREAM))) if value == STREAM else value

    def named_source(self, option: str, value: str) -> str:
        """As `source`, of a value that may begin with a speaker's `NAME=`."""
        name, source = split_name(value, default="")
        if source != STREAM:
            return value
        return (f"{name}=" if name else "") + self.source(option, source)

    def named_text(self, option: str, value: str) -> str:
        """As `named_source`, of a text."""
        name, text = split_name(value, default="person1")
        if text != STREAM:
            return value
        try:
            content = self.read(option).decode("utf-8-sig").rstrip()
        except UnicodeDecodeError as error:
            raise typer.BadParameter(f"{option} {value}: what came in is not UTF-8 text") from error
        if not content:
            raise typer.BadParameter(f"{option} {value}: no text came in")
        return f"{name}={content}"

    def read(self, option: str) -> bytes:
        """All of it.

        Raises:
            BadParameter: Another option has read it.
        """
        if self._reader is not None:
            raise typer.BadParameter(
                f"{option} {STREAM}: {self._reader} reads standard input already"
            )
        self._reader = option
        if sys.stdin.isatty():
            note(f"{option} is read from this terminal; Ctrl-D ends it")
        return sys.stdin.buffer.read()


def is_standard_output(output: Path, *, as_json: bool) -> bool:
    """Whether the video goes to standard output, which then carries nothing else.

    Raises:
        BadParameter: A terminal is there, or the record of the result should go there, too.
    """
    if str(output) != STREAM:
        return False
    if as_json:
        raise typer.BadParameter("-o -: standard output takes the video or the record of --json")
    if sys.stdout.isatty():
        raise typer.BadParameter("-o -: no terminal shows a video; add > talk.mp4 or | a player")
    return True


@contextmanager
def streamed_video() -> Iterator[Path]:
    """A file for a video, which goes to standard output once it is written."""
    with tempfile.TemporaryDirectory(prefix="multitalk-") as directory:
        video = Path(directory, "talk.mp4")
        yield video
        with video.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
