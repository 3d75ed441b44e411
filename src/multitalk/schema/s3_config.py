"""A job's own bucket: what RunPod calls `s3Config`, beside a job's `input`."""

from collections.abc import Iterator, Mapping

from multitalk.bucket import Bucket, BucketMisaddressed
from multitalk.errors import InvalidRequest
from multitalk.schema.validation import brief
from multitalk.settings import Settings

NEEDED = ("endpointUrl", "accessId", "accessSecret")
FIELDS = (*NEEDED, "bucketName")  # which may be part of the address instead
_BLAMED = {
    "endpoint": ("bucket_address_refused", "s3Config.endpointUrl"),
    "name": ("bucket_name_refused", "s3Config.bucketName"),
}


def parse_s3_config(given: object, *, settings: Settings) -> Bucket | None:
    """The bucket that a job brings along.

    Whoever sends a job chooses the address, so only a public host will be reached there.

    Args:
        given: The job's `s3Config`; nothing and an empty object are no bucket.
        settings: Whether more than the public internet may be reached, and http used.

    Raises:
        InvalidRequest: Every problem of it; no value of it is repeated.
    """
    if given is None or given == {}:
        return None
    if not isinstance(given, Mapping):
        raise InvalidRequest("expected_object", field="s3Config", value=brief(given))
    problems = list(_problems(given))
    if problems:
        first, *others = problems
        raise InvalidRequest(first.key, field=first.field, others=tuple(others), **first.parameters)
    try:
        bucket = Bucket.at(
            given["endpointUrl"],
            access_key_id=given["accessId"],
            secret_access_key=given["accessSecret"],
            name=given.get("bucketName") or "",
            public_only=True,
        )
    except BucketMisaddressed as error:
        key, field = _BLAMED[error.part]
        raise InvalidRequest(key, field=field) from error
    # as it was understood: what stands before or in an address may be read over
    if not bucket.endpoint_url.startswith("https://") and not settings.reachable_networks:
        raise InvalidRequest("bucket_needs_https", field="s3Config.endpointUrl")
    return bucket


def _problems(given: Mapping[str, object]) -> Iterator[InvalidRequest]:
    for name in given:
        if name not in FIELDS:
            yield InvalidRequest("unknown_field", field="s3Config", known=", ".join(FIELDS))
    for name in FIELDS:
        value = given.get(name)
        if value is None or value == "":
            if name in NEEDED:
                yield InvalidRequest("field_missing", field=f"s3Config.{name}")
        elif not isinstance(value, str):
            yield InvalidRequest("expected_text", field=f"s3Config.{name}", value="…")
