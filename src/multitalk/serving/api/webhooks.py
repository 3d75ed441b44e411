"""Webhooks: a job's end is told to the address that its sender gave, signed, up to three times."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

from multitalk.delivery.courier import Courier, Unanswered
from multitalk.errors import MultiTalkError, NotFound
from multitalk.outbound.connection import CertificateInvalid, DeadlinePassed, Patience
from multitalk.serving.api.ledger import PendingWebhook
from multitalk.serving.api.metrics import Metrics
from multitalk.serving.api.replies import job_reply
from multitalk.serving.api.server import Server
from multitalk.serving.api.signature import signed_headers, webhook_secret
from multitalk.serving.queue import Job
from multitalk.settings import Settings

TRIES = 3
DELAY_SECONDS = 10.0
POST_SECONDS = 20.0
AT_ONCE = 8  # deliveries
# A job that is not in the queue so long after it was expected there was never sent, or is purged.
UNSENT_SECONDS = 60.0

logger = logging.getLogger(__name__)


# Posts a body to an address, in a thread: the status of the answer, or None without one.
Poster: TypeAlias = Callable[[str, Mapping[str, str], bytes], int | None]


class Webhooks:
    """Delivers what is due.

    Args:
        server: Its queue, ledger, links and clock.
        metrics: Counts tries.
        post: How a body is posted.
    """

    def __init__(self, server: Server, metrics: Metrics, post: Poster) -> None:
        self._server = server
        self._metrics = metrics
        self._post = post
        self._places = asyncio.Semaphore(AT_ONCE)

    async def deliver_due(self) -> None:
        """Try each webhook once whose job has ended and whose time has come."""
        due = self._server.ledger.pending_webhooks(self._server.clock())
        await asyncio.gather(*(self._deliver(webhook) for webhook in due))

    async def _deliver(self, webhook: PendingWebhook) -> None:
        ledger = self._server.ledger
        try:
            job = await self._server.queue.get(webhook.job_id)
        except NotFound:
            if self._server.clock() > webhook.due + UNSENT_SECONDS:
                ledger.forget_webhook(webhook.job_id)
            return
        if not job.is_final or job.webhook is None:
            return
        async with self._places:
            status = await self._try(job, job.webhook, webhook)
        if status == 200:
            ledger.forget_webhook(job.id)
            self._metrics.webhook("delivered")
            return
        logger.warning(
            "job %s: webhook was not taken: %s, try %d of %d",
            job.id,
            f"HTTP {status}" if status else "no answer",
            webhook.tries + 1,
            TRIES,
        )
        if webhook.tries + 1 < TRIES:
            ledger.postpone_webhook(job.id, due=self._server.clock() + DELAY_SECONDS)
            self._metrics.webhook("failed")
        else:
            ledger.forget_webhook(job.id)
            self._metrics.webhook("given_up")

    async def _try(self, job: Job, url: str, webhook: PendingWebhook) -> int | None:
        server = self._server
        now = server.clock()
        reply = await job_reply(
            job,
            media=server.queue.media,
            links=server.links,
            base_url=webhook.base_url,
            now=now,
            max_bytes=server.config.max_run_bytes,
        )
        body = json.dumps(reply, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        headers = signed_headers(
            webhook_secret(server.secret, job.owner),
            message_id=f"{job.id}-{job.redeliveries}",
            timestamp=int(now),
            body=body,
        )
        headers |= {"Content-Type": "application/json", "User-Agent": "multitalk-serverless"}
        return await asyncio.to_thread(self._post, url, headers, body)


def public_poster(settings: Settings) -> Poster:
    """A `Poster` that reaches public hosts only, the address checked at each try."""
    courier = Courier(public_only=True, networks=settings.reachable_networks, field="webhook")

    def post(url: str, headers: Mapping[str, str], body: bytes) -> int | None:
        patience = Patience(time.monotonic() + POST_SECONDS, lambda: False)
        try:
            return courier.exchange(
                "POST", url, headers=headers, body=body, patience=patience
            ).status
        except (Unanswered, CertificateInvalid, DeadlinePassed) as error:
            logger.info("webhook: %s", error or type(error).__name__)
        except MultiTalkError as error:
            logger.info("webhook: %s", error)
        return None

    return post
