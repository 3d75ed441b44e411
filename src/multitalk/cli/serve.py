"""`multitalk serve`: the HTTP API with its workers; `multitalk keys`: who may ask it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from multitalk.cli.command import Command, Group
from multitalk.cli.console import answering, complain
from multitalk.serving.api.keys import KeyRing

DATA = Path("multitalk-data")
WEEK_SECONDS = 7 * 86_400.0
DataOption = Annotated[
    Path, typer.Option(help="Where keys, jobs and videos are kept.", metavar="DIRECTORY")
]

keys = typer.Typer(
    cls=Group, help="Keys of the HTTP API: make, list and revoke them, also while it runs."
)


def serve(  # noqa: PLR0917 - typer's way to say options
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than this machine's need a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 lets the system choose.", min=0, max=65535)] = 8000,
    data: DataOption = DATA,
    queue: Annotated[
        str | None,
        typer.Option(
            help="Where jobs are; a file in --data if left out.",
            metavar="sqlite:///PATH|nats://HOST:4222",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="To start here; 0 where others do the work.", min=0, max=64)
    ] = 1,
    engine: Annotated[
        str | None,
        typer.Option(
            help="What they render with; MULTITALK_ENGINE if left out.",
            metavar="auto|warp|diffusion",
        ),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="How the server is reached from outside.", metavar="URL")
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="A page elsewhere that may use the server.", metavar="ORIGIN"),
    ] = None,
    retention: Annotated[
        float,
        typer.Option(help="Seconds that a job is kept after its end; a week if left out.", min=1.0),
    ] = WEEK_SECONDS,
    rate: Annotated[
        float, typer.Option(help="Multiplies RunPod's rate limits; 0: no limits.", min=0.0)
    ] = 1.0,
    price_per_hour: Annotated[
        float | None, typer.Option(help="Of a worker, for estimates.", min=0.0)
    ] = None,
    currency: Annotated[str, typer.Option(help="Of the price.")] = "USD",
) -> None:
    """Serve the HTTP API and its web page, with a worker.

    RunPod's endpoint protocol, at http://127.0.0.1:8000/v2/multitalk where nothing else is said.

    [bold]Examples[/bold]

    multitalk serve

    multitalk keys add laptop && multitalk serve --host 0.0.0.0

    multitalk serve --queue nats://queue:4222 --workers 0
    """
    with answering():
        try:
            from multitalk.serving.api.run import serve as run  # noqa: PLC0415 - takes a while
        except ModuleNotFoundError as error:
            complain(f"{error.name} is not installed: pip install '.[serve]'")
            raise typer.Exit(1) from error
        from multitalk.registry import checked_name, choose_engine  # noqa: PLC0415
        from multitalk.serving.api.config import ServeConfig  # noqa: PLC0415
        from multitalk.serving.logs import log_as_json  # noqa: PLC0415
        from multitalk.settings import Settings  # noqa: PLC0415

        settings = Settings.from_env()
        log_as_json(settings.log_level)
        wanted = checked_name(settings.engine if engine is None else engine)
        chosen = choose_engine(weights=settings.weights) if wanted == "auto" else wanted
        queue_url = queue or f"sqlite://{(data / 'queue.db').absolute()}"
        run(
            ServeConfig(
                data=data,
                host=host,
                base_url=base_url.rstrip("/") if base_url else None,
                cors_origins=tuple(cors_origin or ()),
                rate_factor=rate,
                retention_seconds=retention,
                max_upload_bytes=max(
                    settings.max_audio_bytes, settings.max_image_bytes, settings.max_video_bytes
                ),
                price_per_hour=price_per_hour,
                currency=currency,
            ),
            settings,
            port=port,
            queue_url=queue_url,
            engine=chosen,
            worker_command=_worker_command(queue_url, chosen),
            workers=workers,
            on_ready=lambda address: typer.echo(
                f"MultiTalk on {address} (engine {chosen}, workers {workers}); Ctrl-C ends it"
            ),
        )


def _worker_command(queue_url: str, engine: str) -> list[str]:
    code = "from multitalk.cli import main; main()"
    return [sys.executable, "-c", code, "work", "--queue", queue_url, "--engine", engine]


@keys.command("add", cls=Command)
def add_key(
    name: Annotated[str, typer.Argument(help="Whose it is, for your own list.")],
    data: DataOption = DATA,
) -> None:
    """Make a key, and print it: only now, for only its hash is kept."""
    key, token = _ring(data).add(name)
    typer.echo(f"{key.id} ({name})", err=True)
    typer.echo(token)


@keys.command("list", cls=Command)
def list_keys(data: DataOption = DATA) -> None:
    """List keys: id, when made, name."""
    for key in _ring(data).listed():
        typer.echo(f"{key.id}  {key.created}  {key.name}")


@keys.command("revoke", cls=Command)
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="Its id, as the list has it.", metavar="ID")],
    data: DataOption = DATA,
) -> None:
    """Revoke a key: from now on it opens nothing."""
    if not _ring(data).revoke(key_id):
        complain(f"there is no key {key_id}; `multitalk keys list` lists them")
        raise typer.Exit(1)


def _ring(data: Path) -> KeyRing:
    return KeyRing(data / "keys.json")
