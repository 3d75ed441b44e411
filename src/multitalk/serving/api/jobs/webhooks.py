"""Webhooks: a job's end is posted to the address that its sender gave, signed, up to three times.

They are signed by the Standard Webhooks scheme, HMAC-SHA256:
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import asyncio
import base64
import heapq
import hmac
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias
from urllib.parse import urlsplit

from multitalk.errors import MultiTalkError, NotFound
from multitalk.job import translate_crashes
from multitalk.net.client import CertificateInvalid, Client, TransportError
from multitalk.net.deadline import Deadline, DeadlinePassed, run_in_daemon_thread
from multitalk.schema.json_document import to_json
from multitalk.serving.api.database import Database, PendingWebhook
from multitalk.serving.api.jobs.job_replies import JobReplies
from multitalk.serving.api.metrics import Metrics
from multitalk.serving.queue import Job, JobQueue
from multitalk.settings import Settings

TRIES = 3
TAKEN = range(200, 300)  # statuses of success, by Standard Webhooks
DELAY_SECONDS = 10.0
POST_SECONDS = 20.0
PER_OWNER = 2  # concurrent posts
IN_ALL = 16  # concurrent posts; each may hold a video of 10 MB
# A webhook whose job is not in the queue after this time is an orphan: not submitted, or purged.
ORPHAN_SECONDS = 60.0

# Posts a body to a URL, in a thread: the status of the response, or None without one.
Poster: TypeAlias = Callable[[str, Mapping[str, str], bytes], int | None]
SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix, no secret

logger = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class WebhookDelivery:
    """A webhook to be posted.

    Attributes:
        due: Earliest time, in seconds of the monotonic clock.
        job_id: Whose end it reports.
        owner: Of the job.
        host: Of the webhook's URL.
    """

    due: float
    job_id: str
    owner: str = field(compare=False)
    host: str = field(compare=False)


class DeliveryQueue:
    """Round-robin queue of webhooks over owners, and over the hosts of each owner.

    So no owner waits for another owner's slow host.

    Args:
        per_owner: Limit of running deliveries of one owner.
        in_all: Limit of running deliveries.
    """

    def __init__(self, *, per_owner: int, in_all: int) -> None:
        self._per_owner = per_owner
        self._in_all = in_all
        self._running: Counter[str] = Counter()
        # By owner and host, least recently served first; each heap is not empty.
        self._queue: dict[str, dict[str, list[WebhookDelivery]]] = {}

    def add(self, delivery: WebhookDelivery) -> None:
        """Add a delivery."""
        heap = self._queue.setdefault(delivery.owner, {}).setdefault(delivery.host, [])
        heapq.heappush(heap, delivery)

    def take(self, now: float) -> WebhookDelivery | None:
        """The next delivery, which runs until `done`; None where none is due or allowed."""
        if self._running.total() >= self._in_all:
            return None
        for owner, hosts in self._queue.items():
            if self._running[owner] < self._per_owner:
                for host, heap in hosts.items():
                    if heap[0].due <= now:
                        return self._pop(owner, host)
        return None

    def done(self, delivery: WebhookDelivery) -> None:
        """Note that a delivery has ended, delivered or not."""
        self._running[delivery.owner] -= 1
        if not self._running[delivery.owner]:
            del self._running[delivery.owner]

    def _pop(self, owner: str, host: str) -> WebhookDelivery:
        hosts = self._queue.pop(owner)
        heap = hosts.pop(host)
        delivery = heapq.heappop(heap)
        if heap:
            hosts[host] = heap
        if hosts:
            self._queue[owner] = hosts
        self._running[owner] += 1
        return delivery


class Webhooks:
    """Delivers webhooks of finished jobs, in daemon threads.

    The queue lists the jobs that have ended, after a restart from the beginning.

    Args:
        queue: Of the jobs.
        database: Records webhooks until they are delivered.
        replies: Their bodies.
        secret: From which the secret of each key's webhooks is derived.
        metrics: Counts tries.
        post: Posts a body.
        clock: Seconds since 1970.
        monotonic: Monotonic clock in seconds.
    """

    def __init__(
        self,
        queue: JobQueue,
        database: Database,
        replies: JobReplies,
        *,
        secret: bytes,
        metrics: Metrics,
        post: Poster,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._database = database
        self._replies = replies
        self._secret = secret
        self._clock = clock
        self._metrics = metrics
        self._post = post
        self._monotonic = monotonic
        self._deliveries = DeliveryQueue(per_owner=PER_OWNER, in_all=IN_ALL)
        self._last_end = 0  # number of the last end that was read
        self._next_cleanup = monotonic()
        self._running: set[asyncio.Task[None]] = set()
        # Messages that need no more tries, but are still in the database.
        self._finished: set[str] = set()

    async def deliver_due(self) -> None:
        """Start to deliver each webhook that is due."""
        if self._monotonic() >= self._next_cleanup:
            self._next_cleanup = self._monotonic() + ORPHAN_SECONDS
            await self._forget_orphans()
        while ended := await self._queue.ended_jobs(after=self._last_end):
            for number, job_id in ended:
                await self._enqueue(job_id)
                self._last_end = number
            self._start_due()
        self._start_due()

    async def close(self) -> None:
        """Cancel running deliveries; they are repeated after the next start."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _forget_orphans(self) -> None:
        """Delete webhooks of jobs that are not in the queue."""
        database = self._database
        for webhook in database.pending_webhooks(self._clock() - ORPHAN_SECONDS):
            try:
                await self._queue.get(webhook.job_id)
            except NotFound:
                database.forget_webhook(webhook.job_id)

    async def _enqueue(self, job_id: str) -> None:
        """Enqueue the webhook of a job that has ended."""
        webhook = self._database.pending_webhook(job_id)
        if webhook is None:
            return
        try:
            job = await self._queue.get(job_id)
        except NotFound:
            return
        delay = min(max(webhook.due - self._clock(), 0.0), DELAY_SECONDS)
        host = urlsplit(job.webhook or "").netloc
        self._deliveries.add(WebhookDelivery(self._monotonic() + delay, job_id, job.owner, host))

    def _start_due(self) -> None:
        """Start all deliveries that are due and allowed."""
        while (delivery := self._deliveries.take(self._monotonic())) is not None:
            task = asyncio.create_task(self._deliver(delivery))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _deliver(self, delivery: WebhookDelivery) -> None:
        """Try once; a failed delivery is enqueued again."""
        is_done = False
        try:
            with translate_crashes(delivery.job_id):
                is_done = await self._try_once(delivery.job_id)
        except MultiTalkError as error:
            logger.warning("job %s: webhook not posted: %s", delivery.job_id, error)
        self._deliveries.done(delivery)
        if not is_done:
            self._deliveries.add(replace(delivery, due=self._monotonic() + DELAY_SECONDS))
        self._start_due()

    async def _try_once(self, job_id: str) -> bool:
        """Try once; whether no further try is needed."""
        database, webhook = self._database, self._database.pending_webhook(job_id)
        job = await self._job(job_id)
        if job is None:
            database.forget_webhook(job_id)
            return True
        if webhook is None or job.webhook is None or not job.is_final:
            return True  # a retried job is listed again when it ends
        if _message_id(job) in self._finished:
            return self._forget(job)
        status = await self._post_job(job, job.webhook, webhook)
        if await self._was_retried(job):
            return True
        if status in TAKEN:
            self._metrics.webhook("delivered")
            return self._forget(job)
        return self._note_failure(job, status, webhook.tries + 1)

    async def _job(self, job_id: str) -> Job | None:
        """A job; None where there is none, or it is being deleted."""
        try:
            job = await self._queue.get(job_id)
        except NotFound:
            return None
        return None if job.is_forgotten else job

    def _note_failure(self, job: Job, status: int | None, tries: int) -> bool:
        """Note a post that was not taken; whether it was the last try."""
        answer = f"HTTP {status}" if status else "no answer"
        logger.warning(
            "job %s: webhook was not taken: %s, try %d of %d", job.id, answer, tries, TRIES
        )
        if tries < TRIES:
            self._database.postpone_webhook(job.id, due=self._clock() + DELAY_SECONDS)
            self._metrics.webhook("failed")
            return False
        self._metrics.webhook("given_up")
        return self._forget(job)

    def _forget(self, job: Job) -> bool:
        """Delete a webhook; on a full disk the deletion is retried, the post is not."""
        self._finished.add(_message_id(job))
        self._database.forget_webhook(job.id)
        self._finished.discard(_message_id(job))
        return True

    async def _was_retried(self, job: Job) -> bool:
        """Whether a job was retried while its end was posted; its next end is posted, too."""
        try:
            return (await self._queue.get(job.id)).redeliveries != job.redeliveries
        except NotFound:
            return False

    async def _post_job(self, job: Job, url: str, webhook: PendingWebhook) -> int | None:
        reply = await self._replies.at(webhook.base_url).reply(job)
        body = to_json(reply)
        headers = signed_headers(
            webhook_secret(self._secret, job.owner),
            message_id=_message_id(job),
            timestamp=int(self._clock()),
            body=body,
        )
        headers |= {"Content-Type": "application/json", "User-Agent": "multitalk-serverless"}
        posting = run_in_daemon_thread(lambda: self._post(url, headers, body), name="webhook")
        return await asyncio.wrap_future(posting)


def _message_id(job: Job) -> str:
    """Id of the message, equal for all tries at one end of a job."""
    return f"{job.id}-{job.redeliveries}"


def public_poster(settings: Settings) -> Poster:
    """A `Poster` that reaches public hosts only; the address is checked at each try."""
    client = Client(networks=settings.reachable_networks, field="webhook")

    def post(url: str, headers: Mapping[str, str], body: bytes) -> int | None:
        try:
            with client.request(
                "POST", url, headers=headers, body=body, deadline=Deadline(POST_SECONDS)
            ) as response:
                return response.status
        except (TransportError, CertificateInvalid, DeadlinePassed) as error:
            logger.info("webhook: %s", error or type(error).__name__)
        except MultiTalkError as error:
            logger.info("webhook: %s", error)
        return None

    return post


def webhook_secret(secret: bytes, owner: str) -> str:
    """The secret with which the owner of a key verifies webhooks; another one for each key."""
    derived = hmac.digest(secret, b"webhooks of " + owner.encode(), "sha256")
    return SECRET_PREFIX + base64.b64encode(derived).decode("ascii")


def signed_headers(secret: str, *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The signature headers of a webhook.

    Args:
        secret: From `webhook_secret`.
        message_id: Equal for all tries of a message.
        timestamp: Of this try, in seconds since 1970; receivers refuse old ones.
        body: Of the request.
    """
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    message = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, message, "sha256")).decode("ascii")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
