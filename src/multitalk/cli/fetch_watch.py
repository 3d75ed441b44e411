"""What `multitalk fetch` shows while it works, on stderr: a bar on a terminal, else a few lines."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from multitalk.cli.console import note

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from multitalk.weights.download import News

GIGABYTE = 1e9
LINES = 10  # for a whole download where nobody watches
DRAW_SECONDS = 0.1


class Meter:
    """Bytes of one kind of work, shown now and then; called from several threads."""

    def __init__(self, label: str, total: int, bar: "Bar | None") -> None:
        self._label, self._total, self._bar = label, total, bar
        self._lock = threading.Lock()
        self._done = self._lines = 0
        self._drawn = 0.0
        self._task = bar.add_task(label, total=total) if bar else None

    def add(self, count: int) -> None:
        """Bytes more; below 0 where some were dropped."""
        with self._lock:
            self._done += count
            if self._bar is None or self._task is None:
                self._say()
            elif time.monotonic() - self._drawn > DRAW_SECONDS or self._done >= self._total:
                self._drawn = time.monotonic()
                self._bar.update(self._task, completed=self._done)

    def _say(self) -> None:
        lines = self._done * LINES // max(self._total, 1)
        if lines > self._lines:
            self._lines = lines
            done, total = self._done / GIGABYTE, self._total / GIGABYTE
            typer.echo(f"{self._label} {done:.3f} of {total:.3f} GB", err=True)


class Watch:
    """Shows the news of a fetch."""

    def __init__(self, bar: "Bar | None", *, reading: int) -> None:
        self._bar, self._reading = bar, reading
        self._lock = threading.Lock()
        self._meters: dict[str, Meter] = {}

    def read(self, count: int) -> None:
        """Bytes of files that are there were compared."""
        self._meter("read", self._reading).add(count)

    def tell(self, news: "News") -> None:
        """Show what happened."""
        if news.kind == "plan":
            self._meter("fetched", news.bytes)
        elif news.kind in {"bytes", "resumed"}:
            self._meter("fetched", 0).add(news.bytes)
        elif news.kind == "read":
            self.read(news.bytes)
        elif news.kind == "damaged":
            if news.bytes:
                self._meter("fetched", 0).add(news.bytes)
            note(f"{news.file} is damaged: fetching it again")
        elif news.kind == "retry":
            note(f"{news.file}: {news.reason}; next try in {news.seconds:.0f} s")
        elif news.kind == "busy":
            note(
                f"another process fetches into this directory: waiting, {news.seconds:.0f} s so far"
            )
        elif news.kind == "done" and self._bar is None:
            typer.echo(f"whole: {news.file}", err=True)

    def _meter(self, label: str, total: int) -> Meter:
        with self._lock:
            if label not in self._meters:
                self._meters[label] = Meter(label, total, self._bar)
            return self._meters[label]


@contextmanager
def watching(*, reading: int) -> Iterator[Watch]:
    """A watch for one fetch.

    Args:
        reading: Bytes that are there, and would be read to be compared.
    """
    if not sys.stderr.isatty():
        yield Watch(None, reading=reading)
        return
    from rich.console import Console  # noqa: PLC0415 - only where it is seen
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield Watch(bar, reading=reading)
