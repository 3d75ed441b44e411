"""How far a job is, told to the platform at most once a second and never after its result."""

import asyncio
import contextlib

from multitalk.job import Progress
from multitalk.serving.runpod.outbox import Outbox

INTERVAL_SECONDS = 1.0
# How long a result waits for progress that is on its way, so that progress never follows it.
DRAIN_SECONDS = 5.0


class ProgressReporter:
    """Posts a job's latest progress while its context is open."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._loop = asyncio.get_running_loop()
        self._latest: Progress | None = None
        self._something_new = asyncio.Event()
        self._silent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def update(self, progress: Progress) -> None:
        """Note how far the job is; from any thread."""
        self._latest = progress
        self._loop.call_soon_threadsafe(self._something_new.set)

    async def __aenter__(self) -> "ProgressReporter":
        self._task = asyncio.create_task(self._post())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._silent.set()
        self._something_new.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=DRAIN_SECONDS)
            self._task.cancel()

    async def _post(self) -> None:
        while True:
            await self._something_new.wait()
            self._something_new.clear()
            if self._latest is None or self._silent.is_set():
                return
            await self._outbox.post_progress(self._latest)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._silent.wait(), INTERVAL_SECONDS)
