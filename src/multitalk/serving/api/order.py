"""A job as a client sends it: RunPod's body of `/run`, read strictly."""

import hashlib
import json
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from multitalk.errors import InvalidRequest, SourceRefused
from multitalk.schema import parse_s3_config
from multitalk.schema.problems import brief, one_error
from multitalk.schema.wire import WireModel
from multitalk.serving.queue.records import EXECUTION_SECONDS, TTL_SECONDS, Policy, Submission
from multitalk.settings import Settings

DAY = 86_400_000  # ms
MAX_WEBHOOK_CHARACTERS = 2048
MAX_BATCH = 100
MAX_KEY_CHARACTERS = 256


class PolicyBody(WireModel):
    """RunPod's `policy`: times in milliseconds."""

    execution_timeout: Annotated[int, Field(ge=5000, le=7 * DAY)] | None = Field(
        None, alias="executionTimeout"
    )
    ttl: Annotated[int, Field(ge=10_000, le=7 * DAY)] | None = None
    low_priority: bool = Field(False, alias="lowPriority")


class OrderBody(WireModel):
    """RunPod's body of `/run`."""

    input: Any
    webhook: str | None = None
    policy: PolicyBody | None = None
    s3_config: dict[str, Any] | None = Field(None, alias="s3Config")


_FIELDS = ("input", "webhook", "policy", "s3Config")
_POLICY_FIELDS = ("executionTimeout", "ttl", "lowPriority")


def parse_order(
    given: object,
    *,
    settings: Settings,
    owner: str,
    retention_seconds: float,
    idempotency_key: str | None = None,
) -> Submission:
    """What a client sent, as the queue takes it.

    What `input` holds is judged by the worker, as on RunPod; but something has to be there.

    Args:
        given: The body, parsed.
        settings: Whether loopback may be reached.
        owner: Id of the key that it came with.
        retention_seconds: For which the job is remembered after its end.
        idempotency_key: The header, if there was one.

    Raises:
        InvalidRequest: Every problem, by field.
        SourceRefused: A webhook that is no web address.
    """
    if not isinstance(given, dict):
        raise InvalidRequest("input_not_an_object", value=brief(given))
    if given.get("input") is None:
        raise InvalidRequest("field_missing", field="input")
    try:
        order = OrderBody.model_validate(given)
    except ValidationError as error:
        raise one_error(
            error.errors(include_url=False),
            known_fields=lambda parent: _POLICY_FIELDS if parent == "policy" else _FIELDS,
        ) from error
    parse_s3_config(order.s3_config, settings=settings)
    if order.webhook is not None:
        check_webhook(order.webhook)
    check_idempotency_key(idempotency_key)
    policy = order.policy or PolicyBody.model_validate({})
    return Submission(
        input=order.input,
        webhook=order.webhook,
        policy=Policy(
            execution_seconds=_seconds(policy.execution_timeout, EXECUTION_SECONDS),
            ttl_seconds=_seconds(policy.ttl, TTL_SECONDS),
            low_priority=policy.low_priority,
        ),
        s3_config=order.s3_config or None,
        stream=True,
        owner=owner,
        idempotency_key=idempotency_key,
        retention_seconds=retention_seconds,
        digest=digest_of(given),
    )


def parse_batch(given: object) -> list[object]:
    """The jobs of a batch, `{"jobs": [...]}`, each still to be read by `parse_order`."""
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
    """Refuse what a webhook's text alone gives away; its host is checked at each delivery."""
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
    """Equal for equal bodies, whatever the order of their fields."""
    text = json.dumps(given, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _seconds(milliseconds: int | None, default: float) -> float:
    return default if milliseconds is None else milliseconds / 1000
