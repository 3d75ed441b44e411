"""A job's own bucket: what RunPod calls `s3Config`, beside a job's `input`."""

from collections.abc import Mapping

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from multitalk.bucket import Bucket, BucketMisaddressed
from multitalk.errors import InvalidRequest
from multitalk.schema.validation import WireModel, brief
from multitalk.settings import Settings

FIELD = "s3Config"
_BLAMED = {
    "endpoint": ("bucket_address_refused", f"{FIELD}.endpointUrl"),
    "name": ("bucket_name_refused", f"{FIELD}.bucketName"),
}


class S3Config(WireModel):
    """An S3-compatible bucket and its access key."""

    endpoint_url: str = Field(alias="endpointUrl", description="https address of the service")
    access_id: str = Field(alias="accessId")
    access_secret: str = Field(alias="accessSecret")
    bucket_name: str = Field(
        "", alias="bucketName", description="left out where it is a part of the address"
    )


FIELDS = tuple(str(field.alias) for field in S3Config.model_fields.values())


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
        raise InvalidRequest("expected_object", field=FIELD, value=brief(given))
    stated = {name: value for name, value in given.items() if value not in (None, "")}
    bucket = _bucket_of(_validated(stated))
    # The parsed address: what precedes the scheme in the given text may be overlooked.
    if not bucket.endpoint_url.startswith("https://") and not settings.reachable_networks:
        raise InvalidRequest("bucket_needs_https", field=f"{FIELD}.endpointUrl")
    return bucket


def _bucket_of(config: S3Config) -> Bucket:
    try:
        return Bucket.at(
            config.endpoint_url,
            access_key_id=config.access_id,
            secret_access_key=config.access_secret,
            name=config.bucket_name,
            public_only=True,
        )
    except BucketMisaddressed as error:
        key, field = _BLAMED[error.part]
        raise InvalidRequest(key, field=field) from error


def _validated(stated: Mapping[str, object]) -> S3Config:
    try:
        return S3Config.model_validate(stated)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        first, *others = map(_problem, sorted(found, key=_is_of_a_field))
        raise InvalidRequest(
            first.key, field=first.field, others=tuple(others), **first.parameters
        ) from None  # pydantic's has the secrets in it


def _is_of_a_field(item: ErrorDetails) -> bool:
    return item["type"] != "extra_forbidden"


def _problem(item: ErrorDetails) -> InvalidRequest:
    """One of pydantic's errors as the package's, without the value."""
    field = f"{FIELD}.{item['loc'][0]}"
    if item["type"] == "extra_forbidden":
        return InvalidRequest("unknown_field", field=FIELD, known=", ".join(FIELDS))
    if item["type"] == "missing":
        return InvalidRequest("field_missing", field=field)
    return InvalidRequest("expected_text", field=field, value="…")
