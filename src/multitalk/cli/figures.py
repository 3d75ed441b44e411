"""Figures of videos as tables, for `multitalk evaluate`."""

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from multitalk.evaluation import Figure, Report

WIDE = 240  # columns
SPELLED = {"higher": "higher is better", "lower": "lower is better", "neither": ""}


def print_figures(report: "Report") -> None:
    """One row for each figure of each speaker."""
    table = Table()
    for heading in ("figure", "speaker"):
        table.add_column(heading)
    table.add_column("value", justify="right")
    for heading in ("unit", ""):
        table.add_column(heading)
    for figure in report.figures:
        said = (figure.name, figure.speaker, rounded(figure), figure.unit, SPELLED[figure.better])
        table.add_row(*said)
    print_table(table)


def print_table(table: Table) -> None:
    """On stdout; where that is no window, lines may be long."""
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def rounded(figure: "Figure") -> str:
    """A value as a table shows it, or - where there is none."""
    return shown(figure.name, figure.value)


def shown(name: str, value: float | None) -> str:
    """Whole milliseconds, tenths of blinks and frames, else hundredths."""
    if value is None:
        return "-"
    digits = {"lag_ms": 0, "offset_frames": 1, "blink_rate": 1}.get(name, 2)
    return f"{value:.{digits}f}"
