"""A video sent to the platform while it is rendered."""

import asyncio
import base64
import itertools
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Any

from typing_extensions import override

from multitalk.errors import Cancelled, DeliveryFailed
from multitalk.job import Talk, VideoSink
from multitalk.job.progress import JobProgress
from multitalk.job.sinks import MAX_FRAGMENT_BYTES
from multitalk.media.fragments import Fragment
from multitalk.serving.runpod.outbox import Outbox, Undelivered
from multitalk.timebase import FPS

WAKE_SECONDS = 0.2  # how soon waiting notices that the job was taken back


class StreamSink(VideoSink):
    """Posts fragments in order, one while the next is made. Made in the event loop's thread.

    Args:
        outbox: The job's.
        cancelled: Set when the job is taken back.
    """

    def __init__(self, outbox: Outbox, cancelled: threading.Event) -> None:
        self._outbox = outbox
        self._cancelled = cancelled
        self._loop = asyncio.get_running_loop()
        self._posting: Future[None] | None = None
        self._numbers = itertools.count()
        self.on_fragment = self._send

    @override
    def path(self, directory: Path) -> None:
        return None

    @override
    def deliver(self, talk: Talk, progress: JobProgress) -> Talk:
        """Post the record that follows the last fragment, and wait until all is posted.

        Raises:
            Cancelled: The job was taken back.
            DeliveryFailed: The platform does not take the fragments.
        """
        self._post({"status": "success", **talk.facts()})
        self._wait()
        return talk

    @override
    def close(self) -> None:
        if self._posting is not None:  # the job ended early
            self._posting.cancel()

    def _send(self, fragment: Fragment) -> None:
        """Post a fragment when the one before is posted; errors are those of `deliver`."""
        for part in fragment.split(MAX_FRAGMENT_BYTES):
            video = base64.b64encode(part.content).decode("ascii")
            place = {"start": part.first / FPS, "frames": part.num_frames}
            self._post({"segment": next(self._numbers), "video_base64": video, **place})

    def _post(self, output: Mapping[str, Any]) -> None:
        self._wait()
        self._posting = asyncio.run_coroutine_threadsafe(
            self._outbox.post_piece(output), self._loop
        )

    def _wait(self) -> None:
        while self._posting is not None:
            if self._cancelled.is_set():
                raise Cancelled
            try:
                self._posting.result(WAKE_SECONDS)
            except NotYet:
                continue
            except Undelivered as error:
                raise DeliveryFailed("stream_broken") from error
            self._posting = None
