"""`multitalk fetch`: the diffusion engine's weights, from the hub to a directory."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multitalk.cli.console import answering, complain
from multitalk.cli.fetch_watch import GIGABYTE, watching

if TYPE_CHECKING:
    from multitalk.weights.sets import Wanted

TRUE = {"1", "on", "yes", "true"}  # as the hub's library reads its variables


def fetch(  # noqa: PLR0917 - typer's way to say options
    weight_set: Annotated[
        str | None,
        typer.Argument(
            help="Which weights; int8-fusionx if left out.", metavar="SET", show_default=False
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="The directory; MULTITALK_WEIGHTS if left out.", metavar="DIRECTORY"),
    ] = None,
    lora: Annotated[
        list[str] | None,
        typer.Option(help="Fetch a LoRA too: fusionx or lightx2v.", metavar="NAME"),
    ] = None,
    lock: Annotated[
        bool, typer.Option("--lock", help="Have later fetches accept just these files.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read and compare what is there, too.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only say whether all is there.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the files and where they would go.")
    ] = False,
) -> None:
    """Fetch the diffusion engine's weights.

    What is there stays, what broke off is resumed, every file is compared with its hash.

    The hub's own variables apply: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE.

    [bold]Examples[/bold]

    multitalk fetch --to /runpod-volume/multitalk/weights

    multitalk fetch bf16 --to weights --lock --dry-run
    """
    with answering():
        from multitalk.errors import InvalidRequest  # noqa: PLC0415 - takes a while to load
        from multitalk.settings import Settings  # noqa: PLC0415
        from multitalk.weights.sets import load_manifest  # noqa: PLC0415
        from multitalk.weights.verify import survey  # noqa: PLC0415

        directory = to or Settings.from_env().weights
        if directory is None:
            raise InvalidRequest("weights_without_place", field="--to")
        name = weight_set or load_manifest().default
        loras = tuple(lora or ())
        files = survey(directory, name, loras=loras)
        _list(name, directory, files)
        if dry_run:
            return
        there = sum(wanted.about for wanted, whole in files.items() if whole)
        if offline or os.environ.get("HF_HUB_OFFLINE", "").lower() in TRUE:
            _check(directory, name, loras, deep=verify, there=there)
        else:
            _fetch(directory, name, loras, lock=lock, verify=verify, there=there)
        typer.echo(f"{directory}: {name} is whole")


def _list(name: str, directory: Path, files: "dict[Wanted, bool]") -> None:
    """What the set is, how big, where it goes, and what of it is there."""
    for wanted, whole in files.items():
        sign = " " if wanted.size else "~"
        state = "here" if whole else "to fetch"
        typer.echo(f"{state:<9}{sign}{wanted.about / GIGABYTE:7.3f} GB  {wanted.key}")
    everything = sum(wanted.about for wanted in files)
    missing = sum(wanted.about for wanted, whole in files.items() if not whole)
    place = next(
        path for path in (directory.absolute(), *directory.absolute().parents) if path.is_dir()
    )
    free = shutil.disk_usage(place).free
    typer.echo(
        f"{name}: about {everything / GIGABYTE:.1f} GB, {missing / GIGABYTE:.1f} GB to fetch "
        f"to {directory}, where {free / GIGABYTE:.1f} GB are free"
    )


def _check(directory: Path, name: str, loras: tuple[str, ...], *, deep: bool, there: int) -> None:
    from multitalk.errors import WeightsUnavailable  # noqa: PLC0415
    from multitalk.weights.verify import verify_weights  # noqa: PLC0415

    with watching(reading=there) as watch:
        problems = verify_weights(directory, name, loras=loras, deep=deep, on_bytes=watch.read)
    if problems:
        said = "; ".join(problem.text() for problem in problems)
        raise WeightsUnavailable("weights_not_whole", problems=said)


def _fetch(
    directory: Path, name: str, loras: tuple[str, ...], *, lock: bool, verify: bool, there: int
) -> None:
    from multitalk.errors import WeightsUnavailable  # noqa: PLC0415

    try:
        from multitalk.weights.fetch import Order, fetch_weights  # noqa: PLC0415
        from multitalk.weights.hub import Hub  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise WeightsUnavailable("weights_without_library") from error
    order = Order(name, loras=loras, lock=lock, verify=verify)
    try:
        with watching(reading=there) as watch:
            fetch_weights(directory, order, hub=Hub(), on_news=watch.tell)
    except (KeyboardInterrupt, SystemExit):
        complain("what has come is kept: the same command resumes")
        raise
