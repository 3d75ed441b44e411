"""`multitalk voices`: who can speak a text."""

from typing import Annotated, Any

import typer

from multitalk.cli.console import answering, note, print_json


def voices(
    language: Annotated[
        str | None, typer.Option(help="Only those that speak it, such as ko.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, as the server's /voices.")
    ] = False,
) -> None:
    """List the voices that can speak a text, the plain ones first.

    The names are for --voice, and for `voice` of a request's text.

    [bold]Examples[/bold]

    multitalk voices

    multitalk voices --language ko --json
    """
    with answering(as_json=as_json):
        from multitalk.settings import Settings
        from multitalk.speech.voice_catalogue import catalogue, speaking

        found = catalogue(Settings.from_env())
        if language is not None:
            found["voices"] = speaking(found["voices"], language)
        if as_json:
            print_json(found)
            return
        for warning in found["warnings"]:
            note(warning)
        _print_table(found["voices"])


def _print_table(voices: list[dict[str, Any]]) -> None:
    width = max((len(voice["name"]) for voice in voices), default=0) + 2
    typer.echo(f"{'voice':<{width}}{'gender':<8}languages")
    for index, voice in enumerate(voices):
        if index and voices[index - 1]["recommended"] and not voice["recommended"]:
            typer.echo("")  # the plain ones end here
        languages = voice["languages"]
        shown = "every language" if languages is None else ", ".join(languages)
        typer.echo(f"{voice['name']:<{width}}{voice['gender'] or '-':<8}{shown}")
