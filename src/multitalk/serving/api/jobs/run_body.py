"""The bodies of `/run` and `/batch`, validated."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from pydantic import ValidationError

from multitalk.errors import InvalidRequest, MultiTalkError, SourceRefused
from multitalk.net.address import DEFAULT_PORTS
from multitalk.schema import parse_s3_config
from multitalk.schema.validation import brief, one_error
from multitalk.serving.api.models import (
    MAX_BATCH,
    MAX_KEY_CHARACTERS,
    MAX_WEBHOOK_CHARACTERS,
    PolicyBody,
    RunBody,
)
from multitalk.serving.queue.records import EXECUTION_SECONDS, TTL_SECONDS, Policy, Submission
from multitalk.settings import Settings

# All but visible ASCII (RFC 3986, 2)
_NOT_IN_URLS = re.compile(r"[^!-~]")
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


def with_batch_key(jobs: Sequence[Submission], key: str) -> list[Submission]:
    """The jobs of a batch with a key for each, of this whole batch only."""
    whole = digest_of([job.digest for job in jobs])
    return [
        # no header has a line break, so this is the key of no other request
        job.model_copy(
            update={"idempotency_key": f"{key}\n{number}", "digest": f"{job.digest} of {whole}"}
        )
        for number, job in enumerate(jobs)
    ]


def check_idempotency_key(key: str | None) -> None:
    """Refuse a key that is empty or too long."""
    field, limit = "Idempotency-Key", MAX_KEY_CHARACTERS
    if key == "":
        raise InvalidRequest("text_blank", field=field)
    if key is not None and len(key) > limit:
        raise InvalidRequest("text_too_long", field=field, length=len(key), limit=limit)


def check_webhook(url: str) -> None:
    """Refuse a malformed webhook URL; its host is checked at each delivery."""
    field, limit = "webhook", MAX_WEBHOOK_CHARACTERS
    if len(url) > limit:
        raise InvalidRequest("text_too_long", field=field, length=len(url), limit=limit)
    malformed = InvalidRequest("url_malformed", field=field)
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise malformed from error
    if parts.scheme not in DEFAULT_PORTS:
        raise SourceRefused("scheme_refused", field=field, scheme=parts.scheme[:16])
    if "@" in parts.netloc:
        raise SourceRefused("credentials_in_url", field=field)
    if not has_host or _NOT_IN_URLS.search(url):
        raise malformed


def digest_of(given: object) -> str:
    """Digest of a body that does not depend on the order of its fields."""
    text = json.dumps(given, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _seconds(milliseconds: int | None, default: float) -> float:
    return default if milliseconds is None else milliseconds / 1000


@contextmanager
def in_batch(number: int) -> Iterator[None]:
    """Prefix the fields of errors by the job's position in its batch."""
    try:
        yield
    except MultiTalkError as error:
        place = f"jobs[{number}]"
        error.field = f"{place}.{error.field}" if error.field else place
        raise
