"""Work beside the event loop: in its own thread, and cancelled when the client disconnects."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from starlette.requests import Request

from multitalk.errors import Cancelled

LOOK_SECONDS = 0.5  # how often a client that waits is looked after

Answer = TypeVar("Answer")
Result = TypeVar("Result")


async def cancel_on_disconnect(request: Request, work: Awaitable[Answer]) -> Answer:
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


async def run_in_new_thread(work: Callable[[], Result]) -> Result:
    """What `work` returns or raises. If this is cancelled, the thread goes on for nobody."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def finish(result: Result | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:  # it is for whoever waits
            error = raised
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(finish, result, error)

    threading.Thread(target=run, daemon=True, name="waiting").start()
    return await done
