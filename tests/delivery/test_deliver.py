"""A video is handed over whole, where the caller asked, or not at all."""

import base64
import json
import re
import sys
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitalk.bucket import Bucket
from multitalk.delivery.deliver import ENVELOPE_BYTES, check_set_up, deliver, reply_bytes, safe_name
from multitalk.delivery.s3 import upload
from multitalk.errors import DeliveryFailed, SourceRefused
from multitalk.schema import Delivery, TalkResult
from multitalk.settings import Settings

NOWHERE = Bucket("http://127.0.0.1:9", "key", "the-secret", "talks")


@pytest.fixture(autouse=True)
def one_try(monkeypatch):
    """Failing buckets fail at once."""
    monkeypatch.setattr("multitalk.delivery.deliver.upload", partial(upload, waits=()))


def hand_over(video, *, how="auto", job_id="job-1", locale="en", own=None, **settings):
    return deliver(
        video,
        delivery=Delivery(type=how),
        settings=Settings(**settings),
        job_id=job_id,
        bucket=own,
        locale=locale,
    )


def fails(video, **options):
    with pytest.raises(DeliveryFailed) as caught:
        hand_over(video, **options)
    return caught.value


# Inside the reply -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["auto", "base64"])
def test_a_small_video_is_in_the_reply(video, tmp_path, how):
    delivered = hand_over(video, how=how, volume=tmp_path / "volume", bucket=NOWHERE)
    assert list(delivered.location) == ["video_base64"]
    assert base64.b64decode(delivered.location["video_base64"], validate=True) == video.read_bytes()
    assert delivered.warnings == ()


def test_the_reply_as_sent_never_passes_the_limit(video):
    result = TalkResult(
        width=1280,
        height=720,
        fps=25.0,
        num_frames=90_000,
        duration_seconds=3600.0,
        seed=2**53 - 1,
        engine="diffusion",
        warnings=["warning " * 20] * 20,
        timings={f"stage {n}": 123.456789 for n in range(20)},
        **hand_over(video).location,
    )
    envelope = {"id": "x" * 64, "status": "COMPLETED", "workerId": "y" * 64, "output": None}
    sent = json.dumps(envelope | {"output": result.reply()}).encode()
    assert len(sent) <= reply_bytes(video)


def test_the_limit_is_exact(video):
    size = reply_bytes(video)
    assert size - ENVELOPE_BYTES == len(base64.b64encode(video.read_bytes()))
    assert "video_base64" in hand_over(video, max_reply_bytes=size).location
    fails(video, max_reply_bytes=size - 1)


@pytest.mark.parametrize("limit", [50_519, 30_000, 0])
def test_with_nowhere_to_go_size_limit_and_three_ways_out_are_named(video, limit):
    error = fails(video, max_reply_bytes=limit)
    for locale in ("en", "ko"):
        said = error.text(locale)
        ways = ("BUCKET_ENDPOINT_URL", "MULTITALK_VOLUME", "480p")
        for part in ("50,520", f"{limit:,}", *ways):
            assert part in said


def test_base64_that_does_not_fit_is_refused_even_with_a_volume(video, tmp_path):
    error = fails(video, how="base64", max_reply_bytes=30_000, volume=tmp_path)
    assert str(error).startswith("delivery.type: the video is 50,520 bytes as a reply")
    assert video.exists()


# To the bucket, else to the volume --------------------------------------------------------------


@pytest.mark.parametrize(("how", "limit"), [("auto", 1), ("bucket", 10_000_000)])
def test_the_bucket_takes_a_large_or_wanted_video(video, s3, tmp_path, how, limit):
    volume = tmp_path / "volume"
    delivered = hand_over(
        video, how=how, max_reply_bytes=limit, bucket=s3.bucket(prefix="a"), volume=volume
    )
    assert list(delivered.location) == ["video_url"]
    kept = s3.client().get_object(Bucket="talks", Key="a/job-1.mp4")
    assert kept["Body"].read() == video.read_bytes()
    assert not volume.exists()


def test_a_small_video_does_not_go_to_the_bucket_by_itself(video, s3):
    assert "video_base64" in hand_over(video, bucket=s3.bucket()).location
    assert s3.operations == []


def test_a_job_s_own_bucket_comes_before_the_operator_s(video, s3):
    s3.client().create_bucket(Bucket="others")
    own = s3.bucket("others", public_only=True)
    settings = {"bucket": s3.bucket(), "allow_loopback": True, "max_reply_bytes": 1}
    delivered = hand_over(video, own=own, **settings)
    assert "/others/job-1.mp4?" in delivered.location["video_url"]
    assert s3.client().list_objects_v2(Bucket="talks")["KeyCount"] == 0


@pytest.mark.parametrize(("how", "limit"), [("auto", 1), ("volume", 10_000_000)])
def test_the_volume_takes_a_large_or_wanted_video(video, tmp_path, how, limit):
    volume = tmp_path / "volume" / "results"
    delivered = hand_over(video, how=how, max_reply_bytes=limit, volume=volume)
    assert delivered.location == {"video_path": str(volume / "job-1.mp4")}
    assert (volume / "job-1.mp4").read_bytes() == video.read_bytes()
    assert delivered.warnings == ()


def test_the_volume_may_be_chosen_over_the_bucket(video, s3, tmp_path):
    delivered = hand_over(video, how="volume", bucket=s3.bucket(), volume=tmp_path)
    assert "video_path" in delivered.location
    assert s3.operations == []


@pytest.mark.parametrize(("locale", "said"), [("en", "on the volume, because"), ("ko", "볼륨에")])
def test_a_bucket_that_fails_gives_way_to_the_volume_with_a_warning(video, tmp_path, locale, said):
    delivered = hand_over(video, bucket=NOWHERE, volume=tmp_path, max_reply_bytes=1, locale=locale)
    assert delivered.location == {"video_path": str(tmp_path / "job-1.mp4")}
    (warning,) = delivered.warnings
    assert said in warning
    assert "the-secret" not in warning


def test_a_bucket_that_was_chosen_gives_way_to_nothing(video, tmp_path):
    error = fails(video, how="bucket", bucket=NOWHERE, volume=tmp_path / "volume")
    assert "1 times there was no answer" in str(error)
    assert not (tmp_path / "volume").exists()


def test_a_bucket_that_fails_without_a_volume_is_the_error(video):
    assert "there was no answer" in str(fails(video, bucket=NOWHERE, max_reply_bytes=1))


# What is not set up -----------------------------------------------------------------------------


def test_a_volume_that_is_not_set_up_is_reported(video):
    assert "MULTITALK_VOLUME" in str(fails(video, how="volume"))


def test_a_bucket_that_is_not_set_up_is_reported(video, tmp_path):
    said = str(fails(video, how="bucket", volume=tmp_path))
    assert "BUCKET_ENDPOINT_URL" in said


def test_a_bucket_without_botocore_is_reported_before_the_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(DeliveryFailed, match="botocore"):
        check_set_up(Delivery(type="bucket"), settings=Settings(bucket=NOWHERE))


def test_a_job_s_own_bucket_at_a_private_host_is_refused_before_the_work():
    own = Bucket("https://10.0.0.8", "key", "the-secret", "talks", public_only=True)
    with pytest.raises(SourceRefused):
        check_set_up(Delivery(type="auto"), settings=Settings(), bucket=own)
    check_set_up(Delivery(type="base64"), settings=Settings(), bucket=own)  # not needed


# Names ------------------------------------------------------------------------------------------


@given(st.text(max_size=200))
def test_any_job_id_is_a_plain_file_name(job_id):
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,120}\.mp4", safe_name(job_id))


@given(st.lists(st.text(max_size=5), unique=True, min_size=2, max_size=2))
def test_two_jobs_never_share_a_file(job_ids):
    assert safe_name(job_ids[0]) != safe_name(job_ids[1])


def test_platforms_ids_are_kept():
    assert safe_name("3f1a0c2e-99aa-u1") == "3f1a0c2e-99aa-u1.mp4"
