"""What is told to the platform about one job, and how long it is tried.

The SDK posts a result four times within 13 seconds, then forgets it; what is no JSON it only logs.
Here a result is posted until the platform takes it, refuses it for good, or patience ends.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout
from runpod.serverless.modules import rp_http

from multitalk.errors import DeliveryFailed
from multitalk.job import Progress
from multitalk.messages import Locale
from multitalk.schema import ErrorReply

RESULT_PATIENCE_SECONDS = 600.0  # a video has cost minutes: it is worth as many
PIECE_PATIENCE_SECONDS = 60.0
TRY_SECONDS = 120.0  # 10 MB at 1 Mbit/s take 80 s
PROGRESS_SECONDS = 5.0
FIRST_DELAY_SECONDS = 0.5
MAX_DELAY_SECONDS = 20.0
TRY_AGAIN = (408, 425, 429)  # of the 4xx; all 5xx are tried again
TOO_LARGE = (400, 413)  # what a platform may say of a body that is too large for it

logger = logging.getLogger(__name__)


class Undelivered(Exception):
    """The platform did not take a post; `status` is why, or None if patience ended."""

    def __init__(self, status: int | None) -> None:
        self.status = status
        super().__init__(f"HTTP {status}" if status else "patience ended")


class Outbox:
    """Posts what concerns one job.

    Args:
        session: The SDK's, with its headers.
        job_id: The job.
        locale: Of the sentences.
        result_patience: Seconds for which the result is tried.
    """

    def __init__(
        self,
        session: ClientSession,
        job_id: str,
        *,
        locale: Locale = "en",
        result_patience: float = RESULT_PATIENCE_SECONDS,
    ) -> None:
        self._session = session
        self._job_id = job_id
        self._locale = locale
        self._result_patience = result_patience

    async def post_progress(self, progress: Progress) -> None:
        """Try once: the next progress says more."""
        told = {"stage": progress.stage, "done": progress.done, "total": progress.total}
        body = as_json({"status": "IN_PROGRESS", "output": told})
        try:
            await self._try(rp_http.JOB_DONE_URL, body, False, PROGRESS_SECONDS)
        except (ClientError, asyncio.TimeoutError, Undelivered) as error:
            logger.info("job %s: progress was not taken: %r", self._job_id, error)

    async def post_piece(self, piece: Mapping[str, Any]) -> None:
        """Post a piece of a stream; the next one waits for it.

        Raises:
            Undelivered: The platform does not take it, so the stream has a hole.
        """
        body = as_json({"output": piece})
        await self._insist(rp_http.JOB_STREAM_URL, body, False, PIECE_PATIENCE_SECONDS)

    async def post_result(
        self, reply: Mapping[str, Any], *, is_stream: bool = False, stop_pod: bool = False
    ) -> None:
        """Post the job's end.

        Args:
            reply: As `schema` makes it, or for a stream that went well an empty one; with `error`
                the job has FAILED.
            is_stream: The pieces were the output.
            stop_pod: Ask for a fresh worker in this one's place.

        Raises:
            Undelivered: Patience ended. What the platform refuses for good is logged only, as no
                other worker could change it.
        """
        body = _result(reply, stop_pod=stop_pod, is_stream=is_stream)
        try:
            await self._insist(rp_http.JOB_DONE_URL, body, is_stream, self._result_patience)
        except Undelivered as error:
            if error.status is None:
                raise
            logger.error("job %s: the platform refused its result: %s", self._job_id, error)
            if error.status not in TOO_LARGE or "error" in reply:
                return
            refused = DeliveryFailed("result_refused", size=len(body) / 1e6)
            refused.happened("deliver", self._job_id)
            told = ErrorReply.of(refused, self._locale).reply()
            await self.post_result(told, is_stream=is_stream, stop_pod=stop_pod)

    async def _insist(self, url: str, body: bytes, is_stream: bool, patience: float) -> None:
        """Post until it is taken.

        Raises:
            Undelivered: It is refused for good, or patience ended.
        """
        loop = asyncio.get_running_loop()
        deadline, delay = loop.time() + patience, FIRST_DELAY_SECONDS
        while True:
            try:
                await self._try(url, body, is_stream, TRY_SECONDS)
            except (ClientError, asyncio.TimeoutError) as error:
                if loop.time() + delay > deadline:
                    raise Undelivered(None) from error
                logger.warning("job %s: posting again in %g s: %r", self._job_id, delay, error)
            else:
                return
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_DELAY_SECONDS)

    async def _try(self, url: str, body: bytes, is_stream: bool, seconds: float) -> None:
        """Post once.

        Raises:
            ClientError: It may be taken another time.
            asyncio.TimeoutError: As above.
            Undelivered: It is refused for good.
        """
        address = f"{url.replace('$ID', self._job_id)}&isStream={str(is_stream).lower()}"
        headers = {  # as the SDK's own
            "charset": "utf-8",
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Request-ID": self._job_id,
        }
        limit = ClientTimeout(total=seconds)
        async with self._session.post(address, data=body, headers=headers, timeout=limit) as answer:
            if 400 <= answer.status < 500 and answer.status not in TRY_AGAIN:
                raise Undelivered(answer.status)
            answer.raise_for_status()


def as_json(body: Mapping[str, Any]) -> bytes:
    """Bytes that every JSON parser reads.

    Text without an encoding (half of a surrogate pair) is replaced.

    Raises:
        ValueError: A number is not finite.
        TypeError: Something has no JSON form.
    """
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def with_message(reply: Mapping[str, Any]) -> dict[str, Any]:
    """A reply whose `error` is also its `message`.

    The platform and the SDK take `error` out of what becomes the job's `output`, and RunPod's
    Python client hands out the output only.
    """
    return {"message": reply["error"], **reply} if "error" in reply else dict(reply)


def _result(reply: Mapping[str, Any], *, stop_pod: bool, is_stream: bool) -> bytes:
    """A job-done body in the form that the SDK gives it: `error` beside the rest as `output`."""
    rest = {name: value for name, value in with_message(reply).items() if name != "error"}
    body: dict[str, Any] = {"output": [] if is_stream and not rest else rest}
    if "error" in reply:
        body["error"] = reply["error"]
    if stop_pod:
        body["stopPod"] = True
    return as_json(body)
