"""`multitalk fetch`: the diffusion engine's weights, from the hub to a directory."""

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multitalk.cli.console import answering, note, print_error, takes

if TYPE_CHECKING:
    from multitalk.weights.sets import RemoteFile


TRUE = {"1", "on", "yes", "true"}  # as the hub's library reads its variables


GIGABYTE = 1e9
NOTES = {  # of events
    "damaged": "{event.file} is damaged: fetching it again",
    "retry": "{event.file}: {event.reason}; next try in {event.seconds:.0f} s",
    "busy": "another process fetches into this directory: waiting, {event.seconds:.0f} s so far",
}
LINES = 10  # for a whole download where nobody watches
DRAW_SECONDS = 0.1


@dataclass(frozen=True)
class FetchCommandOptions:
    """The options of `multitalk fetch`."""

    weight_set: Annotated[
        str | None,
        typer.Argument(
            help="Which weights; int8-fusionx if left out.", metavar="SET", show_default=False
        ),
    ] = None
    to: Annotated[
        Path | None,
        typer.Option(help="The directory; MULTITALK_WEIGHTS if left out.", metavar="DIRECTORY"),
    ] = None
    lora: Annotated[
        list[str] | None,
        typer.Option(help="Fetch a LoRA too: fusionx or lightx2v.", metavar="NAME"),
    ] = None
    lock: Annotated[
        bool, typer.Option("--lock", help="Have later fetches accept just these files.")
    ] = False
    verify: Annotated[
        bool, typer.Option("--verify", help="Read and compare what is there, too.")
    ] = False
    offline: Annotated[bool, typer.Option("--offline", help="Only say whether all is there.")] = (
        False
    )
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the files and where they would go.")
    ] = False


@takes(FetchCommandOptions)
def fetch(options: FetchCommandOptions) -> None:
    """Fetch the diffusion engine's weights.

    Files that exist are kept, partial ones are resumed, each one is compared with its hash.

    The hub's own variables apply: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE.

    [bold]Examples[/bold]

    multitalk fetch --to /runpod-volume/multitalk/weights

    multitalk fetch bf16 --to weights --lock --dry-run
    """
    with answering():
        from multitalk.weights.sets import load_manifest
        from multitalk.weights.verify import status_of_files

        directory = options.to or _usual_directory()
        name = options.weight_set or load_manifest().default
        loras = tuple(options.lora or ())
        files = status_of_files(directory, name, loras=loras)
        _list(name, directory, files)
        if options.dry_run:
            return
        there = _whole_bytes(files)
        if options.offline or os.environ.get("HF_HUB_OFFLINE", "").lower() in TRUE:
            _check(directory, name, loras, deep=options.verify, there=there)
        else:
            _fetch(directory, name, loras, lock=options.lock, verify=options.verify, there=there)
        typer.echo(f"{directory}: {name} is whole")


def _usual_directory() -> Path:
    from multitalk.errors import InvalidRequest
    from multitalk.settings import Settings

    directory = Settings.from_env().weights
    if directory is None:
        raise InvalidRequest("weights_without_place", field="--to")
    return directory


def _list(name: str, directory: Path, files: "dict[RemoteFile, bool]") -> None:
    """List a set: its size, its directory, and the files that are there."""
    for file, whole in files.items():
        sign = " " if file.size else "~"
        state = "here" if whole else "to fetch"
        typer.echo(f"{state:<9}{sign}{file.about / GIGABYTE:7.3f} GB  {file.key}")
    everything = sum(file.about for file in files)
    missing = everything - _whole_bytes(files)
    whole_path = directory.absolute()
    place = next(filter(Path.is_dir, (whole_path, *whole_path.parents)))
    free = shutil.disk_usage(place).free
    typer.echo(
        f"{name}: about {everything / GIGABYTE:.1f} GB, {missing / GIGABYTE:.1f} GB to fetch "
        f"to {directory}, where {free / GIGABYTE:.1f} GB are free"
    )


def _whole_bytes(files: "dict[RemoteFile, bool]") -> int:
    return sum(file.about for file, whole in files.items() if whole)


def _check(directory: Path, name: str, loras: tuple[str, ...], *, deep: bool, there: int) -> None:
    from multitalk.errors import WeightsUnavailable
    from multitalk.weights.verify import verify_weights

    with fetch_display(reading=there) as watch:
        problems = verify_weights(directory, name, loras=loras, deep=deep, on_bytes=watch.read)
    if problems:
        listed = "; ".join(problem.text() for problem in problems)
        raise WeightsUnavailable("weights_not_whole", problems=listed)


def _fetch(
    directory: Path, name: str, loras: tuple[str, ...], *, lock: bool, verify: bool, there: int
) -> None:
    from multitalk.errors import WeightsUnavailable

    try:
        from multitalk.weights.fetch import FetchOptions, fetch_weights
        from multitalk.weights.hub import Hub
    except ModuleNotFoundError as error:
        raise WeightsUnavailable("weights_without_library") from error
    options = FetchOptions(name, loras=loras, lock=lock, verify=verify)
    try:
        with fetch_display(reading=there) as watch:
            fetch_weights(directory, options, hub=Hub(), on_event=watch.on_event)
    except (KeyboardInterrupt, SystemExit):
        print_error("what has come is kept: the same command resumes")
        raise


if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from multitalk.weights.download import FetchEvent


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
                self._print_line()
            elif time.monotonic() - self._drawn > DRAW_SECONDS or self._done >= self._total:
                self._drawn = time.monotonic()
                self._bar.update(self._task, completed=self._done)

    def _print_line(self) -> None:
        lines = self._done * LINES // max(self._total, 1)
        if lines > self._lines:
            self._lines = lines
            done, total = self._done / GIGABYTE, self._total / GIGABYTE
            typer.echo(f"{self._label} {done:.3f} of {total:.3f} GB", err=True)


class FetchDisplay:
    """Shows the events of a fetch."""

    def __init__(self, bar: "Bar | None", *, reading: int) -> None:
        self._bar, self._reading = bar, reading
        self._lock = threading.Lock()
        self._meters: dict[str, Meter] = {}

    def read(self, count: int) -> None:
        """Bytes of files that are there were compared."""
        self._meter("read", self._reading).add(count)

    def on_event(self, event: "FetchEvent") -> None:
        """Show an event of the fetch."""
        if event.kind == "plan":
            self._meter("fetched", event.bytes)
        elif event.kind == "read":
            self.read(event.bytes)
        elif event.kind == "done":
            if self._bar is None:
                typer.echo(f"whole: {event.file}", err=True)
        elif event.bytes:
            self._meter("fetched", 0).add(event.bytes)
        if event.kind in NOTES:
            note(NOTES[event.kind].format(event=event))

    def _meter(self, label: str, total: int) -> Meter:
        with self._lock:
            if label not in self._meters:
                self._meters[label] = Meter(label, total, self._bar)
            return self._meters[label]


@contextmanager
def fetch_display(*, reading: int) -> Iterator[FetchDisplay]:
    """A watch for one fetch.

    Args:
        reading: Bytes that are there, and would be read to be compared.
    """
    if not sys.stderr.isatty():
        yield FetchDisplay(None, reading=reading)
        return
    from rich.console import Console
    from rich.progress import (
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
        yield FetchDisplay(bar, reading=reading)
