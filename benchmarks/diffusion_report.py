"""A report that is shown and written row by row, so that no failure takes what came before."""

import gc
import json
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from diffusion_tables import SECTIONS

Row = dict[str, object]


class Report:
    """Rows of figures by section.

    Attributes:
        rows: Unrounded, by section.
    """

    def __init__(
        self, machine: Mapping[str, object], *, out: Path | None, seconds: float = float("inf")
    ) -> None:
        """Begin a report.

        Args:
            machine: What is measured on.
            out: Folder of report.json and report.md, written anew after each row; None for none.
            seconds: After which no row is begun.
        """
        self.machine = dict(machine)
        self.rows: dict[str, list[Row]] = {}
        self._out = out
        self._ends = time.monotonic() + seconds
        self._lines: list[str] = []
        self._section = ""
        self._say(", ".join(f"{name} {value}" for name, value in machine.items()))

    def attempt(
        self, section: str, about: Mapping[str, object], measure: Callable[[], Mapping]
    ) -> Row | None:
        """Measure a row, show and write it; None if it fails, which is a row that says why.

        Args:
            section: Of `diffusion_tables.SECTIONS`.
            about: What tells the row from the others.
            measure: Gives the rest of the row.
        """
        began = time.monotonic()
        if began > self._ends:
            return self._fail(section, about, "not begun: the time is up")
        gc.collect()  # what earlier rows left
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            row = {**about, **measure()}
        except torch.OutOfMemoryError:
            return self._fail(section, about, "out of memory")
        except Exception as error:  # whatever it is, the other rows are still to be measured
            where = traceback.extract_tb(error.__traceback__)[-1]
            reason = str(error).strip().partition("\n")[0]
            place = f"{Path(where.filename).name}:{where.lineno}"
            return self._fail(section, about, f"{type(error).__name__} at {place}: {reason}")
        return self._add(section, row | {"took_seconds": time.monotonic() - began})

    def _fail(self, section: str, about: Mapping[str, object], reason: str) -> None:
        self._add(section, {**about, "failed": reason})

    def _add(self, section: str, row: Row) -> Row:
        self.rows.setdefault(section, []).append(row)
        headings, lines = SECTIONS[section]
        if section != self._section:
            self._section = section
            self._say("", _line(headings), _line(["---"] * len(headings)))
        if "failed" in row:
            named = [str(value) for value in row.values()]
            self._say(_line([*named, *[""] * (len(headings) - len(named))]))
        else:
            self._say(*map(_line, lines(row)))
        return row

    def _say(self, *lines: str) -> None:
        for line in lines:
            print(line, flush=True)
        self._lines += lines
        if self._out is None:
            return
        self._out.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"machine": self.machine, **self.rows}, indent=2, default=str)
        _write(self._out / "report.json", text)
        _write(self._out / "report.md", "\n".join(self._lines) + "\n")


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _write(file: Path, text: str) -> None:
    """Whole or not at all."""
    beside = file.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)
