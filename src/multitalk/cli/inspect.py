"""`multitalk inspect`: what a video says of where it comes from."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multitalk.cli.console import EXIT_VERDICT_FAILED, answering, print_json
from multitalk.cli.streams import StandardInput

if TYPE_CHECKING:
    from multitalk.provenance import Inspection
    from multitalk.provenance.inspection import ManifestReport

VERDICTS = {
    "valid": ("signed, and unchanged since", "green"),
    "invalid": ("INVALID: do not believe it", "red"),
    "absent": ("none", "yellow"),
    "unread": ("not looked for; pip install c2pa-python", "yellow"),
}


def inspect(
    video: Annotated[
        Path, typer.Argument(help="Any video; - is standard input.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what a video tells of where it comes from: its label and its signed manifest (C2PA).

    Exit code 3 if there is a manifest and it is invalid: the video was changed, or the manifest is
    not its own. The signer is named, not judged.

    [bold]Example[/bold]

    multitalk inspect talk.mp4
    """
    with answering(as_json=as_json), ExitStack() as stack:
        from multitalk.errors import InvalidRequest
        from multitalk.provenance import inspect_video

        file = StandardInput(stack).file("VIDEO", video)
        if not file.is_file():
            raise InvalidRequest("file_missing", field=str(video))
        found = inspect_video(file, field=str(video))
    if as_json:
        print_json(asdict(found))
    else:
        _print(found)
    if found.manifest.verdict == "invalid":
        raise typer.Exit(EXIT_VERDICT_FAILED)


def _print(found: "Inspection") -> None:
    _line("label", found.label.comment or "none")
    _line("digital source type", found.label.digital_source_type or "none")
    verdict, color = VERDICTS[found.manifest.verdict]
    _line("C2PA manifest", verdict, color)
    for name, text in _claims(found.manifest).items():
        if text:
            _line(f"  {name}", text)


def _claims(manifest: "ManifestReport") -> dict[str, str | None]:
    return {
        "problems": ", ".join(manifest.problems),
        "made by": manifest.generator,
        "actions": ", ".join(manifest.actions),
        "digital source type": manifest.digital_source_type,
        "made from": ", ".join(manifest.ingredients),
        "signed by": manifest.signer,
        "organisation": manifest.issuer,
    }


def _line(name: str, text: str, color: str | None = None) -> None:
    typer.echo(f"{name:<24}", nl=False)
    typer.secho(text, fg=color)
