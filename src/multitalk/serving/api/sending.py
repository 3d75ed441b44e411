"""Jobs on their way into the queue: with their uploads and webhooks, all of them or none."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress

from multitalk.errors import InvalidRequest, MultiTalkError, NotFound, QueueUnavailable
from multitalk.schema.problems import brief
from multitalk.serving.api.server import Server
from multitalk.serving.api.uploads import is_upload, named_sources
from multitalk.serving.queue import Job, Submission, new_job_id
from multitalk.serving.queue.records import windows_of


async def send(
    server: Server, orders: Sequence[Submission], *, base_url: str, is_batch: bool = False
) -> list[Job]:
    """Send jobs of one owner. Nothing is copied before all that they name was found.

    Args:
        server: The server.
        orders: As `parse_order` has read them.
        base_url: How their sender reached this server.
        is_batch: Errors name a job's place, as in `jobs[2].image_path`.

    Returns:
        The jobs; where an Idempotency-Key was used before, those that there are.

    Raises:
        NotFound: One names an upload or an earlier job that is not this owner's.
        InvalidRequest: One is to keep more of an earlier job than there is.
        Conflict: An Idempotency-Key was used with another body.
        TooManyRequests: Too many jobs of this owner would wait.
        QueueUnavailable: The queue cannot take them.
    """
    for number, order in enumerate(orders):
        with in_batch(number) if is_batch else nullcontext():
            _check_uploads(server, order)
            await _check_earlier(server, order)
    ids = [new_job_id() for _ in orders]
    kept: set[str] = set()
    try:
        submissions = []
        for number, (order, job_id) in enumerate(zip(orders, ids, strict=True)):
            with in_batch(number) if is_batch else nullcontext():
                submissions.append(await _with_uploads(server, order, job_id))
        for order, job_id in zip(orders, ids, strict=True):
            if order.webhook is not None:  # first, so that a crash in between forgets no webhook
                server.ledger.expect_webhook(job_id, base_url, now=server.clock())
        jobs = await server.queue.submit_all(submissions, max_waiting=server.limits.max_waiting)
        kept = {job.id for job in jobs}
    except MultiTalkError:
        await _forget(server, ids)
        raise
    await _forget(server, [job_id for job_id in ids if job_id not in kept])  # were sent before
    return jobs


@contextmanager
def in_batch(number: int) -> Iterator[None]:
    """Errors name the job's place in its batch."""
    try:
        yield
    except MultiTalkError as error:
        place = f"jobs[{number}]"
        error.field = f"{place}.{error.field}" if error.field else place
        raise


def _check_uploads(server: Server, order: Submission) -> None:
    if isinstance(order.input, dict):
        for field, source in named_sources(order.input):
            if is_upload(source):
                server.uploads.path(source, field=field, owner=order.owner, now=server.clock())


async def _check_earlier(server: Server, order: Submission) -> None:
    """Refuse at once what `continue_from` cannot name; the rest is judged by the worker."""
    said = order.input.get("continue_from") if isinstance(order.input, dict) else None
    if not isinstance(said, dict) or not isinstance(said.get("job"), str):
        return
    wanted = said.get("windows")
    await earlier_windows(
        server,
        said["job"],
        wanted if isinstance(wanted, int | float) else 0,
        owner=order.owner,
    )


async def earlier_windows(server: Server, job_id: str, wanted: float, *, owner: str) -> list[int]:
    """Where the windows of an earlier job end, at least `wanted` ones.

    Raises:
        NotFound: No such job of this owner's, or none of whose windows are kept.
        InvalidRequest: It has fewer.
    """
    try:
        ends = windows_of(await server.own_job(job_id, owner))
    except NotFound:
        ends = []
    if not ends:
        raise NotFound("earlier_job_gone", field="continue_from.job", value=brief(job_id))
    if wanted > len(ends):
        field = "continue_from.windows"
        raise InvalidRequest(
            "earlier_talk_shorter", field=field, count=len(ends), value=brief(wanted)
        )
    return ends


async def _with_uploads(server: Server, order: Submission, job_id: str) -> Submission:
    source = await server.uploads.resolved(
        order.input,
        job_id=job_id,
        owner=order.owner,
        now=server.clock(),
        media=server.queue.media,
    )
    return order.model_copy(update={"input": source, "job_id": job_id})


async def _forget(server: Server, job_ids: Sequence[str]) -> None:
    for job_id in job_ids:
        await server.queue.media.remove_job(job_id)
    with suppress(QueueUnavailable):  # on a full disk; later they are found to have no job
        for job_id in job_ids:
            server.ledger.forget_webhook(job_id)
