"""Questions about what clients sent, as routes ask them: `serving.reader` answers them."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request

from multitalk.errors import Cancelled
from multitalk.serving.api.server import Server
from multitalk.serving.reader.limits import FILE_SLACK_BYTES, Limits, memory_for
from multitalk.serving.reader.turns import Turn
from multitalk.settings import Settings

CPU_SECONDS = 10  # of a picture, of recordings or of texts
SPEECH_CPU_SECONDS = 30  # of a text that is to be heard
WAITING = 2.0  # times the CPU's: a busy machine takes longer
LOOK_SECONDS = 0.5  # how often a client that waits is looked after

Answer = TypeVar("Answer")


async def while_connected(request: Request, work: Awaitable[Answer]) -> Answer:
    """What comes of work that is called off when its client hangs up.

    Raises:
        Cancelled: It did.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
            if not task.done() and await request.is_disconnected():
                raise Cancelled
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # it may have failed just as the client left: nobody is to be told


async def ask_about_picture(
    server: Server, turn: Turn, name: str, path: Path, *, directory: Path, speakers: int = 1
) -> Any:
    """An answer of `reader.pictures` about a file."""
    field, max_pixels = "image_path", server.settings.max_image_pixels
    given = {"path": str(path), "field": field, "max_pixels": max_pixels, "speakers": speakers}
    return await server.readers.ask(
        turn,
        name,
        given,
        limits=limits(server.settings),
        directory=directory,
        field=field,
        readable=[path],
    )


def limits(settings: Settings, cpu_seconds: int = CPU_SECONDS) -> Limits:
    """What one question may cost."""
    return Limits(
        memory_bytes=memory_for(settings.max_image_pixels),
        cpu_seconds=cpu_seconds,
        wall_seconds=WAITING * cpu_seconds,
        file_bytes=settings.max_audio_bytes + FILE_SLACK_BYTES,
    )
