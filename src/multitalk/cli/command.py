"""What every command has in common: how its options look in `--help`, and how paths are read."""

from pathlib import Path
from typing import Any

from typer import Context
from typer.core import TyperCommand, TyperGroup

from multitalk.paths import as_meant


class Command(TyperCommand):
    """A command whose switches have no type in the help, and whose paths are read as meant."""

    def get_params(self, ctx: Any) -> Any:
        """Every option, `--help` included; one that takes no value shows none."""
        return _without_types_of_switches(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run the command with `~` expanded, and file names spelled as the disk spells them."""
        ctx.params = {name: _meant(value) for name, value in ctx.params.items()}
        return super().invoke(ctx)


class Group(TyperGroup):
    """Commands under one name, whose own switches look like theirs."""

    def get_params(self, ctx: Context) -> Any:  # type: ignore[override]
        """Every option, `--help` included; one that takes no value shows none."""
        return _without_types_of_switches(super().get_params(ctx))


def _meant(value: object) -> object:
    if isinstance(value, list):
        return [_meant(each) for each in value]
    return as_meant(value) if isinstance(value, Path) else value


def _without_types_of_switches(params: Any) -> Any:
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    return params
