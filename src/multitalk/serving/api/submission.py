"""RunPod's body of `/run`, validated, and its way into the queue with uploads and webhooks."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from urllib.parse import urlsplit

from pydantic import ValidationError

from multitalk.errors import (
    InvalidRequest,
    MultiTalkError,
    NotFound,
    QueueUnavailable,
    SourceRefused,
)
from multitalk.schema import parse_s3_config
from multitalk.schema.sources import is_upload, named_sources
from multitalk.schema.validation import brief, one_error
from multitalk.serving.api.dependencies import Server
from multitalk.serving.api.models import (
    MAX_BATCH,
    MAX_KEY_CHARACTERS,
    MAX_WEBHOOK_CHARACTERS,
    PolicyBody,
    RunBody,
)
from multitalk.serving.queue import Job, new_job_id
from multitalk.serving.queue.records import (
    EXECUTION_SECONDS,
    TTL_SECONDS,
    Policy,
    Submission,
    windows_of,
)
from multitalk.settings import Settings

_FIELDS = ("input", "webhook", "policy", "s3Config")
_POLICY_FIELDS = ("executionTimeout", "ttl", "lowPriority")


def parse_run_body(
    given: object,
    *,
    settings: Settings,
    owner: str,
    retention_seconds: float,
    idempotency_key: str | None = None,
) -> Submission:
    """Validate a body of `/run`.

    The content of `input` is validated by the worker, as on RunPod; it must not be null.

    Args:
        given: The body, parsed from JSON.
        settings: Whether loopback may be reached.
        owner: Id of the caller's key.
        retention_seconds: How long the job is kept after its end.
        idempotency_key: The header, if given.

    Raises:
        InvalidRequest: Every problem, by field.
        SourceRefused: The webhook is not an http(s) URL.
    """
    if not isinstance(given, dict):
        raise InvalidRequest("input_not_an_object", value=brief(given))
    if given.get("input") is None:
        raise InvalidRequest("field_missing", field="input")
    try:
        body = RunBody.model_validate(given)
    except ValidationError as error:
        raise one_error(
            error.errors(include_url=False),
            known_fields=lambda parent: _POLICY_FIELDS if parent == "policy" else _FIELDS,
        ) from error
    parse_s3_config(body.s3_config, settings=settings)
    if body.webhook is not None:
        check_webhook(body.webhook)
    check_idempotency_key(idempotency_key)
    policy = body.policy or PolicyBody.model_validate({})
    return Submission(
        input=body.input,
        webhook=body.webhook,
        policy=Policy(
            execution_seconds=_seconds(policy.execution_timeout, EXECUTION_SECONDS),
            ttl_seconds=_seconds(policy.ttl, TTL_SECONDS),
            low_priority=policy.low_priority,
        ),
        s3_config=body.s3_config or None,
        stream=True,
        owner=owner,
        idempotency_key=idempotency_key,
        retention_seconds=retention_seconds,
        digest=digest_of(given),
    )


def parse_batch(given: object) -> list[object]:
    """The jobs of a batch, `{"jobs": [...]}`, each still to be read by `parse_run_body`."""
    if not isinstance(given, dict) or set(given) != {"jobs"} or not isinstance(given["jobs"], list):
        raise InvalidRequest("expected_list", field="jobs", limit=MAX_BATCH)
    jobs: list[object] = given["jobs"]
    if not 1 <= len(jobs) <= MAX_BATCH:
        raise InvalidRequest("expected_list", field="jobs", limit=MAX_BATCH)
    return jobs


def check_idempotency_key(key: str | None) -> None:
    """Refuse a key that is empty or too long."""
    if key is not None and not 0 < len(key) <= MAX_KEY_CHARACTERS:
        raise InvalidRequest(
            "text_too_long", field="Idempotency-Key", length=len(key), limit=MAX_KEY_CHARACTERS
        )


def check_webhook(url: str) -> None:
    """Refuse a malformed webhook URL; its host is checked at each delivery."""
    if len(url) > MAX_WEBHOOK_CHARACTERS:
        raise InvalidRequest(
            "text_too_long", field="webhook", length=len(url), limit=MAX_WEBHOOK_CHARACTERS
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidRequest("url_malformed", field="webhook") from error
    if parts.scheme not in ("http", "https"):
        raise SourceRefused("scheme_refused", field="webhook", scheme=parts.scheme[:16])
    if parts.username is not None or parts.password is not None:
        raise SourceRefused("credentials_in_url", field="webhook")
    printable = url.isascii() and url.isprintable() and " " not in url
    if not parts.hostname or port == 0 or not printable:
        raise InvalidRequest("url_malformed", field="webhook")


def digest_of(given: object) -> str:
    """Digest of a body that does not depend on the order of its fields."""
    text = json.dumps(given, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _seconds(milliseconds: int | None, default: float) -> float:
    return default if milliseconds is None else milliseconds / 1000


async def submit(
    server: Server, submissions: Sequence[Submission], *, base_url: str, is_batch: bool = False
) -> list[Job]:
    """Submit jobs of one owner. No file is copied before all references are resolved.

    Args:
        server: The server.
        submissions: From `parse_run_body`.
        base_url: By which the caller reached this server.
        is_batch: Errors name the job's position, as in `jobs[2].image_path`.

    Returns:
        The jobs; for an Idempotency-Key that was used before, the existing ones.

    Raises:
        NotFound: An upload or an earlier job is not this owner's.
        InvalidRequest: `continue_from` keeps more windows than the earlier job has.
        Conflict: An Idempotency-Key was used with another body.
        TooManyRequests: Too many jobs of this owner are waiting.
        QueueUnavailable: The queue cannot take them.
    """
    for number, submission in enumerate(submissions):
        with in_batch(number) if is_batch else nullcontext():
            _check_uploads(server, submission)
            await _check_earlier(server, submission)
    ids = [new_job_id() for _ in submissions]
    kept: set[str] = set()
    try:
        resolved = []
        for number, (submission, job_id) in enumerate(zip(submissions, ids, strict=True)):
            with in_batch(number) if is_batch else nullcontext():
                resolved.append(await _with_uploads(server, submission, job_id))
        for submission, job_id in zip(submissions, ids, strict=True):
            if submission.webhook is not None:  # first: a crash in between loses no webhook
                server.database.expect_webhook(job_id, base_url, now=server.clock())
        jobs = await server.queue.submit_all(resolved, max_waiting=server.limits.max_waiting)
        kept = {job.id for job in jobs}
    except MultiTalkError:
        await _forget(server, ids)
        raise
    await _forget(server, [job_id for job_id in ids if job_id not in kept])  # were sent before
    return jobs


@contextmanager
def in_batch(number: int) -> Iterator[None]:
    """Prefix the fields of errors by the job's position in its batch."""
    try:
        yield
    except MultiTalkError as error:
        place = f"jobs[{number}]"
        error.field = f"{place}.{error.field}" if error.field else place
        raise


def _check_uploads(server: Server, submission: Submission) -> None:
    if isinstance(submission.input, dict):
        for field, source in named_sources(submission.input):
            if is_upload(source):
                server.uploads.path(source, field=field, owner=submission.owner, now=server.clock())


async def _check_earlier(server: Server, submission: Submission) -> None:
    """Check that the job of `continue_from` exists; the worker validates the rest."""
    continued = (
        submission.input.get("continue_from") if isinstance(submission.input, dict) else None
    )
    if not isinstance(continued, dict) or not isinstance(continued.get("job"), str):
        return
    wanted = continued.get("windows")
    await earlier_windows(
        server,
        continued["job"],
        wanted if isinstance(wanted, int | float) else 0,
        owner=submission.owner,
    )


async def earlier_windows(server: Server, job_id: str, wanted: float, *, owner: str) -> list[int]:
    """The frames at which the windows of an earlier job end, at least `wanted` of them.

    Raises:
        NotFound: The owner has no such job, or its windows are not kept.
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


async def _with_uploads(server: Server, submission: Submission, job_id: str) -> Submission:
    source = await server.uploads.resolved(
        submission.input,
        job_id=job_id,
        owner=submission.owner,
        now=server.clock(),
        media=server.queue.media,
    )
    return submission.model_copy(update={"input": source, "job_id": job_id})


async def _forget(server: Server, job_ids: Sequence[str]) -> None:
    for job_id in job_ids:
        await server.queue.media.remove_job(job_id)
    with suppress(QueueUnavailable):  # on a full disk; later they are found to have no job
        for job_id in job_ids:
            server.database.forget_webhook(job_id)
