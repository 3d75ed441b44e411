"""The commands. Each one's module says what it does; here they get their names."""

from typing import Annotated

import typer

from multitalk.cli.console import Command, Group
from multitalk.cli.doctor import doctor
from multitalk.cli.evaluate import evaluate
from multitalk.cli.faces import faces
from multitalk.cli.fetch import fetch
from multitalk.cli.inspect import inspect
from multitalk.cli.render import render
from multitalk.cli.serve import keys, serve, work
from multitalk.cli.visemes import visemes
from multitalk.cli.voices import voices
from multitalk.version import __version__

app = typer.Typer(
    help="Make the people in a picture speak. Start with: multitalk doctor",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (render, faces, voices, visemes, evaluate, inspect, fetch, serve, work):
    app.command(cls=Command)(command)
app.add_typer(keys, name="keys")
app.command(cls=Command)(doctor)


def _version(requested: bool) -> None:
    if requested:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _common_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of all commands."""
