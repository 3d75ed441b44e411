"""The output of commands: results on stdout, everything else on stderr; exit codes."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from typer import Context
from typer.core import TyperCommand, TyperGroup

from multitalk.disk import translate_local_disk_errors
from multitalk.errors import Cancelled, InvalidRequest, MultiTalkError, RequestError
from multitalk.messages import Locale, sentence
from multitalk.paths import as_meant
from multitalk.settings import SettingError

if TYPE_CHECKING:
    from multitalk.job import Progress


EXIT_WORKER_ERROR = 1
EXIT_REQUEST_ERROR = 2
EXIT_VERDICT_FAILED = 3
EXIT_INTERRUPTED = 130  # 128 + SIGINT

LogFormatOption = Annotated[
    Literal["auto", "plain", "json"] | None,
    typer.Option(
        help="How to log: plain lines, or a JSON object a line; auto is plain on a terminal. "
        "MULTITALK_LOG_FORMAT if left out.",
        metavar="auto|plain|json",
    ),
]


Options = TypeVar("Options")


def takes(kind: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Make a command of a function whose argument is a dataclass, each field an option.

    typer reads a command's options from its parameters; the command gets one for each field.
    """
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=field.type,
        )
        for field in fields(kind)  # type: ignore[arg-type]
    ]

    def command_of(function: Callable[[Options], None]) -> Callable[..., None]:
        @functools.wraps(function)
        def command(**given: Any) -> None:
            function(kind(**given))

        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return command

    return command_of


@dataclass
class Answers:
    """Language and form of errors; attributes may be set later.

    Attributes:
        locale: Language of the sentence.
        locate: Sets a problem's place to what was typed (`TypedOptions.locate`).
    """

    locale: Locale = "en"
    locate: Callable[[MultiTalkError], None] | None = None


@contextmanager
def answering(locale: Locale = "en", *, as_json: bool = False) -> Iterator[Answers]:
    """Say errors as a sentence and leave with the exit code of their family.

    Args:
        locale: Of the sentence.
        as_json: Also print the error as the contract has it, for the program that reads stdout.
    """
    say: Callable[[object], None] = print_json if as_json else lambda _: None
    answers = Answers(locale)
    try:
        with translate_local_disk_errors():
            yield answers
    except MultiTalkError as error:
        for problem in error.problems:
            if answers.locate is not None:
                answers.locate(problem)
        from multitalk.schema import ErrorReply

        with suppress(OSError):  # standard output may be full
            say(ErrorReply.of(error, answers.locale).reply())
        print_error(error.text(answers.locale))
        is_request_error = isinstance(error, RequestError)
        raise typer.Exit(EXIT_REQUEST_ERROR if is_request_error else EXIT_WORKER_ERROR) from error
    except SettingError as error:
        say(_refusal(str(error), "setting_refused", InvalidRequest.code))
        print_error(str(error))
        raise typer.Exit(EXIT_REQUEST_ERROR) from error
    except typer.BadParameter as error:
        say(_refusal(error.message, "option_refused", InvalidRequest.code))
        raise  # typer complains
    except KeyboardInterrupt as error:
        say(_refusal("stopped", "cancelled", Cancelled.code))
        print_error("stopped")
        raise typer.Exit(EXIT_INTERRUPTED) from error


def _refusal(message: str, reason: str, code: str) -> dict[str, object]:
    """The contract's error for what only a command can refuse."""
    problems = [{"reason": reason, "message": message}]
    return {"error": message, "details": {"problems": problems}, "code": code}


def print_error(text: str) -> None:
    """An error, in red where there are colours."""
    typer.secho(text, fg="red", err=True)


def note(text: str, locale: Locale = "en") -> None:
    """A warning about a success."""
    typer.secho(sentence("note", locale, text=text), fg="yellow", err=True)


def print_json(record: object) -> None:
    """A record for a program to read."""
    from multitalk.schema.json_document import to_json

    typer.echo(to_json(record))


@contextmanager
def progress_bar() -> Iterator[Callable[["Progress"], None]]:
    """A bar on stderr that follows a job; silent where nobody watches."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(progress: "Progress") -> None:
            bar.update(
                task, description=progress.stage, completed=progress.done, total=progress.total
            )

        yield show


class Command(TyperCommand):
    """A command whose switches have no type in the help, and whose paths are read as meant."""

    def get_params(self, ctx: Any) -> Any:
        """Every option, `--help` included; one that takes no value shows none."""
        return _without_types_of_switches(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run the command with `~` expanded, and file names spelled as the disk spells them."""
        ctx.params = {name: _with_disk_spelling(value) for name, value in ctx.params.items()}
        return super().invoke(ctx)


class Group(TyperGroup):
    """Commands under one name, whose own switches look like theirs."""

    def get_params(self, ctx: Context) -> Any:  # type: ignore[override]
        """Every option, `--help` included; one that takes no value shows none."""
        return _without_types_of_switches(super().get_params(ctx))


def _with_disk_spelling(value: object) -> object:
    if isinstance(value, list):
        return [_with_disk_spelling(each) for each in value]
    return as_meant(value) if isinstance(value, Path) else value


def _without_types_of_switches(params: Any) -> Any:
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    return params
