"""RunPod's HTTP interface for workers: job-take, job-stop, job-done and job-stream.

The SDK makes the same calls. But it polls a platform that is down 3,000 times a second, it tries a
result four times within 13 seconds, and it drops a result that is no JSON.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout

from multitalk.errors import QueueUnavailable

POLL_SECONDS = 90.0  # for which the platform may hold a poll
POST_SECONDS = 120.0  # 10 MB at 1 Mbit/s take 80 s
RETRIED = (408, 425, 429)  # of the 4xx; all 5xx are retried
NOTHING = (204, 400)  # of job-take: no job; 400 is what a worker that is being paused gets
TOO_MANY = 429

logger = logging.getLogger(__name__)


class PlatformBusy(QueueUnavailable):
    """The platform wants to be asked less often."""


class Refused(Exception):
    """The platform refuses a post for good.

    Attributes:
        status: Of HTTP.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"HTTP {status}")


@dataclass(frozen=True)
class Addresses:
    """URLs of the platform's calls, `$ID` in place of the job's id.

    Attributes:
        take: Of the next job.
        stop: Of jobs that are to be stopped; None if the platform has no such call.
        done: Of progress and results.
        stream: Of parts of a stream.
    """

    take: str
    stop: str | None
    done: str
    stream: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], worker_id: str) -> "Addresses":
        """Read the variables that RunPod sets."""
        take = environment["RUNPOD_WEBHOOK_GET_JOB"].replace("$ID", worker_id)
        has_stop = "/job-take/" in take
        return cls(
            take=f"{take}&job_in_progress=0",
            stop=take.replace("/job-take/", "/job-stop/") if has_stop else None,
            done=_with_worker(environment, "RUNPOD_WEBHOOK_POST_OUTPUT", worker_id),
            stream=_with_worker(environment, "RUNPOD_WEBHOOK_POST_STREAM", worker_id),
        )


class Platform:
    """Calls the platform. Every method raises QueueUnavailable where another try may succeed.

    Args:
        session: With the worker's credentials.
        addresses: Of the platform.
    """

    def __init__(self, session: ClientSession, addresses: Addresses) -> None:
        self._session = session
        self._addresses = addresses

    @property
    def has_stop_signals(self) -> bool:
        """Whether the platform tells which jobs are to be stopped."""
        return self._addresses.stop is not None

    async def take_jobs(self) -> list[Any]:
        """Wait for jobs; whatever the platform gives, or nothing after a while."""
        given = await self._poll(self._addresses.take)
        return given if isinstance(given, list) else [given] if given is not None else []

    async def stop_signals(self) -> list[str]:
        """Wait for ids of jobs that are to be stopped; none after a while."""
        given = await self._poll(self._addresses.stop or "")
        stops = given.get("jobsToStop") if isinstance(given, Mapping) else None
        return [job_id for job_id in stops or () if isinstance(job_id, str)]

    async def post(
        self,
        to: Literal["done", "stream"],
        job_id: str,
        body: bytes,
        *,
        is_stream: bool = False,
        seconds: float = POST_SECONDS,
    ) -> None:
        """Post once.

        Raises:
            Refused: For good.
        """
        address = self._addresses.done if to == "done" else self._addresses.stream
        headers = {  # as the SDK's own
            "charset": "utf-8",
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Request-ID": job_id,
        }
        try:
            async with self._session.post(
                f"{address.replace('$ID', job_id)}&isStream={str(is_stream).lower()}",
                data=body,
                headers=headers,
                timeout=ClientTimeout(total=seconds),
            ) as answer:
                if 400 <= answer.status < 500 and answer.status not in RETRIED:
                    raise Refused(answer.status)
                answer.raise_for_status()
        except (ClientError, asyncio.TimeoutError) as error:
            raise QueueUnavailable("queue_failed", reason=_reason(error)) from error

    async def _poll(self, address: str) -> Any:
        """The JSON of a long poll, or None."""
        try:
            async with self._session.get(
                address, timeout=ClientTimeout(total=POLL_SECONDS)
            ) as answer:
                if answer.status in NOTHING:
                    return None
                if answer.status == TOO_MANY:
                    raise PlatformBusy("queue_failed", reason="too many requests")
                answer.raise_for_status()
                return await _json_of(answer)
        except asyncio.TimeoutError:
            return None
        except ClientError as error:
            raise QueueUnavailable("queue_failed", reason=_reason(error)) from error


async def _json_of(answer: ClientResponse) -> Any:
    content = await answer.read()
    try:
        return json.loads(content)
    except ValueError:
        if content:
            logger.error("the platform's answer is no JSON: %.200r", content)
        return None


def _with_worker(environment: Mapping[str, str], name: str, worker_id: str) -> str:
    return environment.get(name, "").replace("$RUNPOD_POD_ID", worker_id)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
