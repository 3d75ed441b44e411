"""`multitalk work`: do the jobs of a queue."""

from typing import Annotated

import typer

from multitalk.cli.console import LogFormatOption, answering
from multitalk.cli.numbers import MAX_DRAIN_SECONDS, is_number
from multitalk.settings import ENGINE_CHOICES

DRAIN_SECONDS = 25.0  # below the 30 s that containers are given to end


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
    ] = DRAIN_SECONDS,
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
        from multitalk.registry import checked_name  # noqa: PLC0415
        from multitalk.serving.logs import start_log  # noqa: PLC0415
        from multitalk.serving.worker.process import work as run  # noqa: PLC0415 - takes a while
        from multitalk.settings import Settings  # noqa: PLC0415

        settings = Settings.from_env()
        start_log(settings.log_level, log_format or settings.log_format)
        wanted = checked_name(settings.engine if engine is None else engine)
        raise typer.Exit(
            run(
                queue,
                settings,
                engine=wanted,
                drain_seconds=drain,
                worker_id=worker_id,
            )
        )
