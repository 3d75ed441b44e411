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
from multitalk.serving.api.database import PendingWebhook
from multitalk.serving.api.dependencies import Server
from multitalk.serving.api.job_json import job_reply
from multitalk.serving.api.metrics import Metrics
from multitalk.serving.queue import Job
from multitalk.settings import Settings

TRIES = 3
DELAY_SECONDS = 10.0
POST_SECONDS = 20.0
PER_OWNER = 2  # posts that are under way at once
IN_ALL = 16  # each may hold a video of 10 MB
# A job that is not in the queue so long after it was expected there was never sent, or is purged.
UNSENT_SECONDS = 60.0

# Posts a body to an address, in a thread: the status of the answer, or None without one.
Poster: TypeAlias = Callable[[str, Mapping[str, str], bytes], int | None]
SECRET_PREFIX = "whsec_"  # noqa: S105 - it only says what follows

logger = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class Delivery:
    """A webhook that is to be posted.

    Attributes:
        due: When, at the earliest: seconds of a clock that only goes forward.
        job_id: Whose end it tells.
        owner: Whose job it is.
        host: Where it goes.
    """

    due: float
    job_id: str
    owner: str = field(compare=False)
    host: str = field(compare=False)


class DeliveryQueue:
    """Posts that wait. Owners take turns, and so do the hosts of one owner.

    Args:
        per_owner: How many of one owner's may be under way at once.
        in_all: How many of all.
    """

    def __init__(self, *, per_owner: int, in_all: int) -> None:
        self._per_owner = per_owner
        self._in_all = in_all
        self._under_way: Counter[str] = Counter()
        # By owner and host, those that were served last at the end; each is a heap, never empty.
        self._lines: dict[str, dict[str, list[Delivery]]] = {}

    def add(self, post: Delivery) -> None:
        """Put a post into its line."""
        line = self._lines.setdefault(post.owner, {}).setdefault(post.host, [])
        heapq.heappush(line, post)

    def take(self, now: float) -> Delivery | None:
        """The next post, which is under way until `done`; None where none is due or may be."""
        if self._under_way.total() >= self._in_all:
            return None
        for owner, hosts in self._lines.items():
            if self._under_way[owner] < self._per_owner:
                for host, line in hosts.items():
                    if line[0].due <= now:
                        return self._taken(owner, host)
        return None

    def done(self, post: Delivery) -> None:
        """A post that was taken has come to its end, whatever that is."""
        self._under_way[post.owner] -= 1
        if not self._under_way[post.owner]:
            del self._under_way[post.owner]

    def _taken(self, owner: str, host: str) -> Delivery:
        hosts = self._lines.pop(owner)
        line = hosts.pop(host)
        post = heapq.heappop(line)
        if line:
            hosts[host] = line
        if hosts:
            self._lines[owner] = hosts
        self._under_way[owner] += 1
        return post


class Webhooks:
    """Delivers what is due; two at once for each owner, in threads that nothing else needs.

    Only jobs that have ended are looked at: the queue lists them. After a start that list begins
    with those that ended before it.

    Args:
        server: Its queue, ledger, links and clock.
        metrics: Counts tries.
        post: How a body is posted.
        ticks: Seconds that only go forward.
    """

    def __init__(
        self,
        server: Server,
        metrics: Metrics,
        post: Poster,
        *,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._metrics = metrics
        self._post = post
        self._ticks = ticks
        self._lines = DeliveryQueue(per_owner=PER_OWNER, in_all=IN_ALL)
        self._seen = 0  # number of the last end that was looked at
        self._unsent_at = ticks()
        self._under_way: set[asyncio.Task[None]] = set()
        self._over: set[str] = (
            set()
        )  # ends that need no more tries, while the ledger has them still

    async def deliver_due(self) -> None:
        """Begin to try each webhook whose job has ended and whose time has come."""
        if self._ticks() >= self._unsent_at:
            self._unsent_at = self._ticks() + UNSENT_SECONDS
            await self._forget_unsent()
        while ended := await self._server.queue.ended(after=self._seen):
            for number, job_id in ended:
                await self._expect(job_id)
                self._seen = number
            self._begin()
        self._begin()

    async def close(self) -> None:
        """Let go of the posts that are under way; they are made again after the next start."""
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _forget_unsent(self) -> None:
        """Forget webhooks of jobs that are not in the queue."""
        database = self._server.database
        for webhook in database.pending_webhooks(self._server.clock() - UNSENT_SECONDS):
            try:
                await self._server.queue.get(webhook.job_id)
            except NotFound:
                database.forget_webhook(webhook.job_id)

    async def _expect(self, job_id: str) -> None:
        """Put the webhook of a job that has ended into its line."""
        webhook = self._server.database.pending_webhook(job_id)
        if webhook is None:
            return
        try:
            job = await self._server.queue.get(job_id)
        except NotFound:
            return
        left = min(max(webhook.due - self._server.clock(), 0.0), DELAY_SECONDS)
        host = urlsplit(job.webhook or "").netloc
        self._lines.add(Delivery(self._ticks() + left, job_id, job.owner, host))

    def _begin(self) -> None:
        """Begin what may be under way."""
        while (post := self._lines.take(self._ticks())) is not None:
            task = asyncio.create_task(self._deliver(post))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _deliver(self, post: Delivery) -> None:
        """Try once; what was not taken goes back into its line."""
        is_over = False
        try:
            with translate_crashes(post.job_id):
                is_over = await self._tell(post.job_id)
        except MultiTalkError as error:
            logger.warning("job %s: webhook not posted: %s", post.job_id, error)
        self._lines.done(post)
        if not is_over:
            self._lines.add(replace(post, due=self._ticks() + DELAY_SECONDS))
        self._begin()

    async def _tell(self, job_id: str) -> bool:
        """Try once; whether there is nothing more to be done."""
        database, webhook = self._server.database, self._server.database.pending_webhook(job_id)
        try:
            job = await self._server.queue.get(job_id)
        except NotFound:
            database.forget_webhook(job_id)
            return True
        if webhook is None or job.webhook is None or not job.is_final:
            return True  # one that was sent again comes again when it ends
        if _message_id(job) in self._over:
            return self._forget(job)
        status = await self._try(job, job.webhook, webhook)
        if await self._was_sent_again(job):
            return True
        if status != 200:
            logger.warning(
                "job %s: webhook was not taken: %s, try %d of %d",
                job.id,
                f"HTTP {status}" if status else "no answer",
                webhook.tries + 1,
                TRIES,
            )
            if webhook.tries + 1 < TRIES:
                database.postpone_webhook(job.id, due=self._server.clock() + DELAY_SECONDS)
                self._metrics.webhook("failed")
                return False
        self._metrics.webhook("delivered" if status == 200 else "given_up")
        return self._forget(job)

    def _forget(self, job: Job) -> bool:
        """Forget a webhook; on a full disk this is tried again, and the end is not posted again."""
        self._over.add(_message_id(job))
        self._server.database.forget_webhook(job.id)
        self._over.discard(_message_id(job))
        return True

    async def _was_sent_again(self, job: Job) -> bool:
        """Whether a job was retried while its end was posted; the next end is posted, too."""
        try:
            return (await self._server.queue.get(job.id)).redeliveries != job.redeliveries
        except NotFound:
            return False

    async def _try(self, job: Job, url: str, webhook: PendingWebhook) -> int | None:
        server = self._server
        now = server.clock()
        reply = await job_reply(
            job,
            media=server.queue.media,
            url_signer=server.url_signer,
            base_url=webhook.base_url,
            now=now,
            max_bytes=server.config.max_run_bytes,
        )
        body = to_json(reply)
        headers = signed_headers(
            webhook_secret(server.secret, job.owner),
            message_id=_message_id(job),
            timestamp=int(now),
            body=body,
        )
        headers |= {"Content-Type": "application/json", "User-Agent": "multitalk-serverless"}
        posting = run_in_daemon_thread(lambda: self._post(url, headers, body), name="webhook")
        return await asyncio.wrap_future(posting)


def _message_id(job: Job) -> str:
    """The same for each try at one end of a job."""
    return f"{job.id}-{job.redeliveries}"


def public_poster(settings: Settings) -> Poster:
    """A `Poster` that reaches public hosts only, the address checked at each try."""
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
    """What the owner of a key checks webhooks with: another for each key, as text."""
    derived = hmac.digest(secret, b"webhooks of " + owner.encode(), "sha256")
    return SECRET_PREFIX + base64.b64encode(derived).decode("ascii")


def signed_headers(secret: str, *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that a webhook carries.

    Args:
        secret: As `webhook_secret` gives it.
        message_id: The same for each try of one message.
        timestamp: Of this try, in seconds since 1970: a receiver refuses old ones.
        body: As it is sent.
    """
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    told = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, told, "sha256")).decode("ascii")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
