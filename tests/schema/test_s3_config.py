"""A job's own bucket: all its problems at once, none of its values repeated, https only."""

import re
from ipaddress import ip_network

import pytest

from multitalk.errors import InvalidRequest
from multitalk.schema import parse_s3_config
from multitalk.settings import Settings

CONFIG = {
    "endpointUrl": "https://s3.eu-west-1.amazonaws.com",
    "bucketName": "talks",
    "accessId": "key",
    "accessSecret": "the-secret",
}


def refused(given: object) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse_s3_config(given, settings=Settings())
    for locale in ("en", "ko"):
        assert "the-secret" not in caught.value.text(locale)
    return str(caught.value)


def test_a_job_s_bucket_is_read_and_held_to_public_hosts():
    bucket = parse_s3_config(CONFIG, settings=Settings())
    assert bucket is not None
    assert (bucket.name, bucket.region, bucket.secret_access_key) == (
        "talks",
        "eu-west-1",
        "the-secret",
    )
    assert bucket.public_only


@pytest.mark.parametrize("nothing", [None, {}])
def test_a_job_may_bring_no_bucket(nothing):
    assert parse_s3_config(nothing, settings=Settings()) is None


def test_the_address_may_say_the_bucket():
    given = CONFIG | {"endpointUrl": "https://talks.s3.amazonaws.com", "bucketName": None}
    bucket = parse_s3_config(given, settings=Settings())
    assert bucket is not None
    assert bucket.name == "talks"


def test_http_is_for_networks_of_the_operator_s_own_only():
    given = CONFIG | {"endpointUrl": "http://127.0.0.1:9000"}
    assert re.match(r"s3Config.endpointUrl: .*MULTITALK_ALLOWED_NETWORKS", refused(given))
    assert parse_s3_config(given, settings=Settings(allow_loopback=True)) is not None
    own = Settings(allowed_networks=(ip_network("10.0.0.0/8"),))
    assert parse_s3_config(given, settings=own) is not None


def test_all_problems_are_told_at_once():
    said = refused({"accessSecret": ["the-secret"], "accessId": "", "region": "the-secret"})
    assert said.splitlines() == [
        "s3Config: not a field; the fields are endpointUrl, accessId, accessSecret, bucketName",
        "s3Config.endpointUrl: missing; it must be given here",
        "s3Config.accessId: missing; it must be given here",
        "s3Config.accessSecret: must be text; got …",
    ]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"endpointUrl": "https://user:the-secret@s3.example.com"}, "s3Config.endpointUrl"),
        ({"endpointUrl": "s3.example.com"}, "s3Config.endpointUrl"),
        ({"endpointUrl": "ftp://s3.example.com"}, "s3Config.endpointUrl"),
        ({"bucketName": "a/the-secret"}, "s3Config.bucketName"),
        ({"bucketName": ""}, "s3Config.bucketName"),
    ],
)
def test_what_is_no_bucket_is_blamed_by_field(changed, field):
    assert refused(CONFIG | changed).startswith(f"{field}: ")


@pytest.mark.parametrize("given", [[], "talks", 7])
def test_only_an_object_is_a_config(given):
    assert refused(given).startswith("s3Config: must be an object")


@pytest.mark.parametrize(
    "address",
    [
        " http://s3.example.com",
        "\thttp://s3.example.com",
        "\nhttp://s3.example.com",
        "ht\ntp://s3.example.com",
        "\u00a0http://s3.example.com",
        "\u3000HTTP://s3.example.com",
        "\x1fhttp://s3.example.com",
    ],
)
def test_http_is_not_let_in_by_what_stands_before_or_in_it(address):
    assert "https" in refused(CONFIG | {"endpointUrl": address})
