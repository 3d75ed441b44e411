"""`multitalk inspect`: what a video says of where it comes from."""

import os
import re
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated
from unicodedata import east_asian_width

import typer

from multitalk.cli.console import EXIT_VERDICT_FAILED, answering, print_json
from multitalk.cli.streams import StandardInput
from multitalk.messages import LOCALES, Locale, Translated, locale_named
from multitalk.paths import as_meant

if TYPE_CHECKING:
    from multitalk.provenance import Inspection
    from multitalk.provenance.inspection import ManifestReport

COLUMN = 24  # where the findings begin
NONE = Translated("none", ko="없음")
ROWS = {
    "picture": Translated("picture watermark", ko="화면 워터마크"),
    "sound": Translated("sound watermark", ko="소리 워터마크"),
    "manifest": Translated("C2PA manifest", ko="C2PA 매니페스트"),
    "problems": Translated("  problems", ko="  문제"),
    "generator": Translated("  made by", ko="  만든 프로그램"),
    "actions": Translated("  actions", ko="  작업"),
    "claimed_source_type": Translated("  digital source type", ko="  디지털 소스 유형"),
    "ingredients": Translated("  made from", ko="  재료"),
    "signer": Translated("  signed by", ko="  서명자"),
    "issuer": Translated("  organisation", ko="  기관"),
    "label": Translated("label", ko="라벨"),
    "source_type": Translated("digital source type", ko="디지털 소스 유형"),
}
COLORS = {"valid": "green", "invalid": "red", "absent": "yellow", "unread": "yellow"}


def inspect(
    video: Annotated[
        str,
        typer.Argument(
            help="Any video, sound or picture: a file or a URL; - is standard input.",
            metavar="VIDEO",
            show_default=False,
        ),
    ],
    locale: Annotated[
        str | None, typer.Option(help="Language of the findings.", metavar="|".join(LOCALES))
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Show where a video comes from: its watermark, its signed manifest (C2PA) and its label.

    The watermark is this program's own; it is in picture and sound, and survives cutting, scaling
    and encoding again. Exit code 3 if there is a manifest and it is invalid: the video was changed,
    or the manifest is another file's. Who signed is shown, not judged.

    [bold]Example[/bold]

    multitalk inspect talk.mp4

    multitalk inspect https://example.com/film.mp4 --json
    """
    language = locale_named(locale)
    with answering(language, as_json=as_json), ExitStack() as stack:
        from multitalk.provenance import inspect_video

        found = inspect_video(_file(video, stack), field=video)
    if as_json:
        print_json(found.reply(language))
    else:
        _print(found, language)
    if found.manifest.verdict == "invalid":
        raise typer.Exit(EXIT_VERDICT_FAILED)


def _file(video: str, stack: ExitStack) -> Path:
    """The video as a file; one with a URL is fetched, within the limits of the settings.

    Raises:
        RequestError: There is no such file, or it cannot be fetched.
    """
    from multitalk.errors import InvalidRequest
    from multitalk.inputs.collect import collect
    from multitalk.settings import Settings

    if re.match("https?://", video):
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="multitalk-")))
        settings = Settings.from_env(os.environ)
        return collect(video, field="VIDEO", kind="media", directory=directory, settings=settings)
    file = StandardInput(stack).file("VIDEO", as_meant(Path(video)))
    if not file.is_file():
        raise InvalidRequest("file_missing", field=video)
    return file


def _print(found: "Inspection", locale: Locale) -> None:
    reply = found.reply(locale)
    nothing = NONE.words.get(locale, NONE)
    for mark in reply["marks"]:
        _line(ROWS[mark["where"]], mark["text"], locale, "green" if mark["is_marked"] else "yellow")
    verdict = found.manifest.verdict
    _line(ROWS["manifest"], reply["manifest"]["text"], locale, COLORS[verdict])
    for name, value in _claims(found.manifest).items():
        if value:
            _line(ROWS[name], value, locale)
    _line(ROWS["label"], found.label.comment or nothing, locale)
    _line(ROWS["source_type"], found.label.digital_source_type or nothing, locale)
    typer.echo(f"\n{reply['conclusion']}")


def _claims(manifest: "ManifestReport") -> dict[str, str | None]:
    return {
        "problems": ", ".join(manifest.problems),
        "generator": manifest.generator,
        "actions": ", ".join(manifest.actions),
        "claimed_source_type": manifest.digital_source_type,
        "ingredients": ", ".join(manifest.ingredients),
        "signer": manifest.signer,
        "issuer": manifest.issuer,
    }


def _line(name: Translated, text: str, locale: Locale, color: str | None = None) -> None:
    word = name.words.get(locale, name)
    width = sum(2 if east_asian_width(letter) in "WF" else 1 for letter in word)
    typer.echo(word + " " * max(1, COLUMN - width), nl=False)
    typer.secho(text, fg=color)
