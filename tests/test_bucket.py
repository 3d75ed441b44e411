"""Where a bucket is, and how its service is spoken to, follows from what people write."""

import pytest

from multitalk.bucket import Bucket, BucketMisaddressed

ACCOUNT = "0123456789abcdef0123456789abcdef"


def bucket(endpoint_url: str, **given: str) -> Bucket:
    return Bucket.at(endpoint_url, access_key_id="key", secret_access_key="secret", **given)


@pytest.mark.parametrize(
    ("endpoint_url", "region", "name_in_host"),
    [
        ("https://s3.amazonaws.com", "us-east-1", True),
        ("https://s3.eu-west-1.amazonaws.com", "eu-west-1", True),
        ("https://s3-eu-west-1.amazonaws.com", "eu-west-1", True),
        ("https://s3.dualstack.ap-northeast-2.amazonaws.com", "ap-northeast-2", True),
        ("https://s3-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", True),
        ("https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1", True),
        (f"https://{ACCOUNT}.r2.cloudflarestorage.com", "auto", False),
        (f"https://{ACCOUNT}.eu.r2.cloudflarestorage.com", "auto", False),
        ("https://s3api-eu-ro-1.runpod.io/", "EU-RO-1", False),
        ("https://nyc3.digitaloceanspaces.com", "us-east-1", False),
        ("https://storage.googleapis.com", "auto", False),
        ("https://s3.us-west-004.backblazeb2.com", "us-west-004", False),
        ("https://s3.eu-central-1.wasabisys.com", "eu-central-1", False),
        ("https://s3.fr-par.scw.cloud", "fr-par", False),
        ("https://s3.example.com", "us-east-1", False),
        ("http://minio:9000", "us-east-1", False),
        ("http://127.0.0.1:9000", "us-east-1", False),
        ("http://[::1]:9000", "us-east-1", False),
        ("HTTPS://S3.EU-WEST-1.AMAZONAWS.COM", "eu-west-1", True),
    ],
)
def test_a_service_s_region_and_style_follow_from_its_address(endpoint_url, region, name_in_host):
    found = bucket(endpoint_url, name="talks")
    assert (found.region, found.name_in_host) == (region, name_in_host)
    assert found.endpoint_url == endpoint_url.rstrip("/").lower()
    assert bucket(endpoint_url, name="talks", region="other").region == "other"


@pytest.mark.parametrize(
    ("endpoint_url", "service"),
    [
        ("https://talks.s3.eu-west-1.amazonaws.com", "https://s3.eu-west-1.amazonaws.com"),
        ("https://talks.s3.amazonaws.com/", "https://s3.amazonaws.com"),
        ("https://s3.eu-west-1.amazonaws.com/talks", "https://s3.eu-west-1.amazonaws.com"),
        ("https://talks.nyc3.digitaloceanspaces.com", "https://nyc3.digitaloceanspaces.com"),
        (
            f"https://{ACCOUNT}.r2.cloudflarestorage.com/talks",
            f"https://{ACCOUNT}.r2.cloudflarestorage.com",
        ),
        ("https://s3api-eu-ro-1.runpod.io/talks", "https://s3api-eu-ro-1.runpod.io"),
        ("http://minio:9000/talks/", "http://minio:9000"),
    ],
)
@pytest.mark.parametrize("name", ["", "talks"])
def test_the_address_may_say_the_bucket(endpoint_url, service, name):
    found = bucket(endpoint_url, name=name)
    assert (found.endpoint_url, found.name) == (service, "talks")


def test_a_name_with_dots_stays_out_of_the_host():
    found = bucket("https://my.talks.s3.eu-west-1.amazonaws.com")
    assert (found.name, found.name_in_host) == ("my.talks", False)


@pytest.mark.parametrize(
    ("endpoint_url", "name"),
    [
        ("https://talks.s3.amazonaws.com", "others"),
        ("http://minio:9000/talks", "others"),
        ("https://s3.example.com", ""),
        ("https://s3.example.com", "../up"),
        ("https://s3.example.com", "arn:aws:s3:::talks"),
    ],
)
def test_no_name_two_names_or_no_bucket_s_name_is_refused(endpoint_url, name):
    with pytest.raises(BucketMisaddressed) as caught:
        bucket(endpoint_url, name=name)
    assert caught.value.part == "name"
