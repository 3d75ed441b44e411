"""`multitalk serve`: the HTTP API with its workers; `multitalk keys`: who may ask it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multitalk.cli.console import (
    EXIT_REQUEST_ERROR,
    Command,
    Group,
    LogFormatOption,
    answering,
    note,
    print_error,
    takes,
)
from multitalk.cli.options import (
    MAX_DRAIN_SECONDS,
    MAX_PRICE,
    MAX_QUOTA,
    MAX_RATE_FACTOR,
    MAX_RETENTION_SECONDS,
    is_number,
)
from multitalk.serving.api.access.keys import open_keys
from multitalk.serving.api.data_directory import KEYS_FILE, QUEUE_FILE, former_directories
from multitalk.settings import ENGINE_CHOICES, Settings

if TYPE_CHECKING:
    from multitalk.serving.api.config import ServeConfig

WEEK_SECONDS = 7 * 86_400.0
DataOption = Annotated[
    Path | None,
    typer.Option(
        help="Where keys, jobs and videos are kept: the same for `serve` and `keys`.",
        metavar="DIRECTORY",
        show_default="server in MULTITALK_STATE_DIRECTORY, ~/.local/state/multitalk",
    ),
]

keys = typer.Typer(
    cls=Group,
    help="Keys of the HTTP API: make, list and revoke them, also while it runs.",
    no_args_is_help=True,
)


JOB_DRAIN_SECONDS = 25.0  # below the 30 s that containers are given to end


@dataclass(frozen=True)
class ServeCommandOptions:
    """The options of `multitalk serve`."""

    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at: 127.0.0.1 is for this machine only; 0.0.0.0 is for others, "
            "too, and needs a key.",
            metavar="ADDRESS",
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        typer.Option(
            help="To listen at; 0 lets the system choose.", metavar="NUMBER", min=0, max=65535
        ),
    ] = 8000
    data: Annotated[
        Path | None,
        typer.Option(
            help="Where keys, jobs and videos are kept: the same for `serve` and `keys`.",
            metavar="DIRECTORY",
            show_default="server in MULTITALK_STATE_DIRECTORY, ~/.local/state/multitalk",
        ),
    ] = None
    queue: Annotated[
        str | None,
        typer.Option(
            help="Where jobs are; a file in --data if left out.",
            metavar="sqlite:///PATH|nats://HOST:4222",
        ),
    ] = None
    workers: Annotated[
        int,
        typer.Option(
            help="To start here; 0 where others do the work.", metavar="NUMBER", min=0, max=64
        ),
    ] = 1
    engine: Annotated[
        str | None,
        typer.Option(
            help="What they render with; MULTITALK_ENGINE if left out.",
            metavar="|".join(ENGINE_CHOICES),
        ),
    ] = None
    base_url: Annotated[
        str | None, typer.Option(help="How the server is reached from outside.", metavar="URL")
    ] = None
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="A page elsewhere that may use the server.", metavar="ORIGIN"),
    ] = None
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            help="A proxy whose X-Forwarded-For and X-Forwarded-Proto are believed.",
            metavar="ADDRESS",
        ),
    ] = None
    retention: Annotated[
        float,
        typer.Option(
            help="Seconds that a job is kept after its end; a week if left out.",
            metavar="NUMBER",
            min=1.0,
            max=MAX_RETENTION_SECONDS,
            callback=is_number,
        ),
    ] = WEEK_SECONDS
    rate: Annotated[
        float,
        typer.Option(
            help="Multiplies RunPod's rate limits; 0: no limits.",
            metavar="FACTOR",
            min=0.0,
            max=MAX_RATE_FACTOR,
            callback=is_number,
        ),
    ] = 1.0
    quota: Annotated[
        float,
        typer.Option(
            help="Gigabytes that a key may have stored in uploads, jobs and videos; 0: no limit.",
            metavar="GIGABYTES",
            min=0.0,
            max=MAX_QUOTA,
            callback=is_number,
        ),
    ] = 20.0
    price_per_hour: Annotated[
        float | None,
        typer.Option(
            help="Of a worker, for estimates.",
            metavar="AMOUNT",
            min=0.0,
            max=MAX_PRICE,
            callback=is_number,
        ),
    ] = None
    currency: Annotated[str, typer.Option(help="Of the price.", metavar="NAME")] = "USD"
    live_sessions: Annotated[
        int | None,
        typer.Option(
            help="Live sessions at once; what the processor carries if left out.",
            metavar="NUMBER",
            min=0,
        ),
    ] = None
    health_port: Annotated[
        int | None,
        typer.Option(
            help="To listen at, too, for a load balancer that asks for /ping elsewhere.",
            metavar="NUMBER",
            min=1,
            max=65535,
        ),
    ] = None
    log_format: LogFormatOption = None


@takes(ServeCommandOptions)
def serve(options: ServeCommandOptions) -> None:
    """Serve a web page and an HTTP API, with a worker that renders.

    The page is at http://127.0.0.1:8000. The API is RunPod's endpoint protocol,
    at http://127.0.0.1:8000/v2/multitalk; /docs there lists the routes.

    Ctrl-C lets the job at hand end, for 25 seconds at most; what takes longer
    goes back to the queue. A second Ctrl-C ends at once.

    [bold]Examples[/bold]

    For this machine only: multitalk serve

    For others, too: multitalk keys add laptop && multitalk serve --host 0.0.0.0

    At another place: multitalk serve --port 8080 --data /srv/talks

    Workers elsewhere: multitalk serve --queue nats://queue:4222 --workers 0
    """
    with answering():
        settings = Settings.from_env()
        _serve(_config(options, settings), settings, options)


def _config(options: ServeCommandOptions, settings: Settings) -> "ServeConfig":
    from multitalk.serving.api.config import ServeConfig

    return ServeConfig(
        data=_directory(options.data, settings),
        host=options.host,
        base_url=None if options.base_url is None else options.base_url.removesuffix("/"),
        cors_origins=tuple(options.cors_origin or ()),
        trusted_proxies=tuple(options.trusted_proxy or ()),
        rate_factor=options.rate,
        retention_seconds=options.retention,
        quota_bytes=round(options.quota * 10**9) or None,
        max_upload_bytes=max(
            settings.max_audio_bytes, settings.max_image_bytes, settings.max_video_bytes
        ),
        price_per_hour=options.price_per_hour,
        currency=options.currency,
        workers=options.workers,
        live_sessions=options.live_sessions,
    )


def _serve(config: "ServeConfig", settings: Settings, options: ServeCommandOptions) -> None:
    """Run the server and its workers."""
    try:
        from multitalk.serving.api.serve import serve as run
    except ModuleNotFoundError as error:
        print_error(f"{error.name} is not installed: pip install '.[serve]'")
        raise typer.Exit(1) from error
    from multitalk.serving.logs import is_plain, start_log

    log_format = options.log_format or settings.log_format
    start_log(settings.log_level, log_format)
    name = settings.engine if options.engine is None else options.engine
    engine = _resolve_engine(name, settings, is_loaded=config.workers > 0)
    queue_url = options.queue or f"sqlite://{(config.data / QUEUE_FILE).absolute()}"
    run(
        config,
        settings,
        ports=[options.port, *([options.health_port] if options.health_port else [])],
        queue_url=queue_url,
        engine=engine,
        worker_command=_worker_command(queue_url, engine, log_format),
        drain_seconds=JOB_DRAIN_SECONDS,
        on_ready=lambda address: typer.secho(
            f"MultiTalk on {address} (engine {engine}, workers {config.workers}); Ctrl-C ends it",
            bold=True,
        ),
        waits_for_workers=is_plain(log_format),
    )


def _resolve_engine(name: str, settings: Settings, *, is_loaded: bool) -> str:
    """The engine of a name, checked if workers of this server load it."""
    from multitalk.engines.registry import check_loadable, checked_name, resolve_engine

    chosen, weights = resolve_engine(checked_name(name), settings)
    if is_loaded:  # else each worker would end at its start, again and again
        check_loadable(chosen, weights)
    return chosen


def _worker_command(queue_url: str, engine: str, log_format: str) -> list[str]:
    options = ["--queue", queue_url, "--engine", engine, "--log-format", log_format]
    options += ["--drain", str(JOB_DRAIN_SECONDS)]
    return [sys.executable, "-m", "multitalk", "work", *options]


@keys.command("add", cls=Command)
def add_key(
    name: Annotated[str, typer.Argument(help="Whose it is, for your own list.")],
    data: DataOption = None,
) -> None:
    """Make a key, and print it: only now, for only its hash is kept.

    From the first key on the server answers nobody without one. Only the key is on stdout.

    [bold]Example[/bold]

    multitalk keys add laptop
    """
    with _answering_keys():
        place = _directory(data, Settings.from_env())
        key, token = open_keys(place).add(name)
        typer.echo(f"{key.id} ({name}), kept in {place / KEYS_FILE}", err=True)
        typer.echo(token)


@keys.command("list", cls=Command)
def list_keys(data: DataOption = None) -> None:
    """List keys: id, when made, name."""
    with _answering_keys():
        place = _directory(data, Settings.from_env())
        listed = open_keys(place).records()
        for key in listed:
            typer.echo(f"{key.id}  {key.created}  {_printable(key.name)}")
        if not listed:
            typer.echo(f"there are no keys in {place}", err=True)


@keys.command("revoke", cls=Command)
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="Its id, as the list has it.", metavar="ID")],
    data: DataOption = None,
) -> None:
    """Revoke a key: from now on it opens nothing."""
    with _answering_keys():
        place = _directory(data, Settings.from_env())
        if not open_keys(place).revoke(key_id):
            print_error(f"there is no key {key_id} in {place}; `multitalk keys list` lists them")
            raise typer.Exit(1)


def _printable(name: str) -> str:
    """A name in one row; earlier versions took any."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in name)


def _directory(given: Path | None, settings: Settings) -> Path:
    """The directory in use; one of an earlier version beside it is named."""
    if given is not None:
        return given
    place = settings.server_directory
    for former in former_directories(place):
        note(
            f"{former} has keys and jobs of an earlier version, and is not used: the directory is "
            f"now {place}. To go on with the old one: --data {former}"
        )
    return place


@contextmanager
def _answering_keys() -> Iterator[None]:
    """Say as a sentence why keys cannot be read or written."""
    with answering():
        try:
            yield
        except OSError as error:
            print_error(f"{error.filename}: {error.strerror}; --data names another directory")
            raise typer.Exit(EXIT_REQUEST_ERROR) from error
        except (ValueError, TypeError) as error:
            print_error(f"the file of the keys is damaged ({error}); restore it, or remove it")
            raise typer.Exit(1) from error


def work(
    queue: Annotated[
        str,
        typer.Option(
            help="Where the jobs are.",
            metavar="sqlite:///PATH|nats://HOST:4222",
            show_default=False,
        ),
    ],
    engine: Annotated[
        str | None,
        typer.Option(
            help="What to render with; MULTITALK_ENGINE if left out.",
            metavar="|".join(ENGINE_CHOICES),
        ),
    ] = None,
    drain: Annotated[
        float,
        typer.Option(
            help="Seconds that the job at hand may still take when the worker is told to stop.",
            min=0.0,
            max=MAX_DRAIN_SECONDS,
            callback=is_number,
        ),
    ] = JOB_DRAIN_SECONDS,
    log_format: LogFormatOption = None,
    worker_id: Annotated[
        str | None, typer.Option(help="Its name in the queue.", hidden=True)
    ] = None,
) -> None:
    """Do the jobs of a queue, one at a time; start as many workers as there is room for.

    SIGTERM and Ctrl-C let the job at hand end; what takes longer goes back to the queue. A second
    one gives it back at once. Exit code 1: the engine broke, and a new worker should be started.

    [bold]Examples[/bold]

    multitalk work --queue sqlite:///var/lib/multitalk/queue.db

    multitalk work --queue nats://queue:4222 --engine diffusion
    """
    with answering():
        from multitalk.engines.registry import checked_name
        from multitalk.serving.logs import start_log
        from multitalk.serving.worker.process import work as run
        from multitalk.settings import Settings

        settings = Settings.from_env()
        start_log(settings.log_level, log_format or settings.log_format)
        requested = checked_name(settings.engine if engine is None else engine)
        raise typer.Exit(
            run(
                queue,
                settings,
                engine=requested,
                drain_seconds=drain,
                worker_id=worker_id,
            )
        )
