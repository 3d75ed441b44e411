"""`multitalk voices`: who can speak a text."""

from typing import TYPE_CHECKING, Annotated

import typer

from multitalk.cli.console import answering, print_json

if TYPE_CHECKING:
    from multitalk.speech.catalogue import VoiceRecord


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
        from multitalk.speech.catalogue import own_voices, speaking  # noqa: PLC0415 - takes a while
        from multitalk.speech.espeak import list_languages  # noqa: PLC0415

        found = own_voices()
        if language is not None:
            found = speaking(found, language)
        if as_json:
            records = [record.reply() for record in found]
            print_json({"languages": list_languages(), "voices": records})
            return
        _print_table(found)


def _print_table(found: "tuple[VoiceRecord, ...]") -> None:
    width = max(len(voice.name) for voice in found) + 2
    typer.echo(f"{'voice':<{width}}{'gender':<8}languages")
    previous = True
    for voice in found:
        if previous and not voice.recommended:
            typer.echo("")  # the plain ones end here
        previous = voice.recommended
        languages = "every language" if voice.languages is None else ", ".join(voice.languages)
        typer.echo(f"{voice.name:<{width}}{voice.gender or '-':<8}{languages}")
