"""A sound file as an answer, sent from the disk: a client that reads slowly takes no memory."""

import asyncio
import os
from contextlib import ExitStack
from typing import BinaryIO

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

CHUNK_BYTES = 2**18


class SoundAnswer(Response):
    """The answer.

    Args:
        file: An open file, sent from its beginning.
        holds: Closed when the answer is sent, or cannot be.
        media_type: Of the file.
        headers: Others.
    """

    def __init__(
        self, file: BinaryIO, holds: ExitStack, *, media_type: str, headers: dict[str, str]
    ) -> None:
        self._file = file
        self._holds = holds
        size = os.fstat(file.fileno()).st_size
        super().__init__(media_type=media_type, headers={**headers, "Content-Length": str(size)})

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it."""
        with self._holds, self._file:
            head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(head)
            has_more = True
            while has_more:
                chunk = await asyncio.to_thread(self._file.read, CHUNK_BYTES)
                has_more = len(chunk) == CHUNK_BYTES
                await send({"type": "http.response.body", "body": chunk, "more_body": has_more})
