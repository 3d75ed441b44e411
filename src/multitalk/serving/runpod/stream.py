"""A video on its way while it is rendered: pieces go from the engine's thread to the platform."""

import asyncio
import base64
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from types import TracebackType
from typing import Any

from multitalk.errors import Cancelled, DeliveryFailed
from multitalk.job import Fragment
from multitalk.serving.runpod.outbox import Outbox, Undelivered
from multitalk.timebase import FPS

# The platform takes 1 MB for each: these bytes as base64, and what is told beside them.
MAX_PIECE_BYTES = 720_000
WAKE_SECONDS = 0.2  # how soon waiting notices that the job was taken back


class PieceSender:
    """Posts pieces in order, one while the next is made. To be made in the event loop's thread.

    Args:
        outbox: The job's.
        cancelled: Set when the job is taken back.
    """

    def __init__(self, outbox: Outbox, cancelled: threading.Event) -> None:
        self._outbox = outbox
        self._cancelled = cancelled
        self._loop = asyncio.get_running_loop()
        self._posting: Future[None] | None = None
        self._number = 0

    def __enter__(self) -> "PieceSender":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._posting is not None:  # the job ended early
            self._posting.cancel()

    def send(self, piece: Fragment) -> None:
        """Post a piece, from the engine's thread, when the one before is posted.

        Raises:
            Cancelled: The job was taken back.
            DeliveryFailed: The platform does not take the pieces.
        """
        video = base64.b64encode(piece.content).decode("ascii")
        place = {"start": piece.first / FPS, "frames": piece.num_frames}
        self._post({"segment": self._number, "video_base64": video, **place})
        self._number += 1

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Post what is told after the last piece, and wait until all is posted; errors as above."""
        self._post({"status": "success", **facts})
        self._wait()

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
