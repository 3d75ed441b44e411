"""A video in a bucket is whole, is had by its signed URL, and leaves nothing when it fails."""

import hashlib
import logging
import re
import socket
import threading
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from s3_service import Request, S3Service, serving

from multitalk.bucket import Bucket
from multitalk.delivery import s3 as s3_module
from multitalk.delivery.s3 import S3Object, check_reachable, upload
from multitalk.errors import (
    Cancelled,
    DeadlineExceeded,
    DeliveryFailed,
    SourceRefused,
)
from multitalk.net.client import Client
from multitalk.net.deadline import Deadline
from multitalk.settings import Settings
from patience import PATIENCE_SECONDS

PART_BYTES = 5 * 2**20  # the smallest that S3 takes
LARGE_BYTES = 9_000_000  # two parts


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(s3_module, "PART_BYTES", PART_BYTES)
    path = tmp_path / "large.mp4"
    block = hashlib.sha512(b"talk").digest() * 1000
    path.write_bytes((block * (LARGE_BYTES // len(block) + 1))[:LARGE_BYTES])
    return path


def send(video: Path, bucket: Bucket, *, waits=(0.01, 0.01), seconds=20.0, **given) -> str:
    return upload(
        video,
        bucket=bucket,
        name="job-1.mp4",
        settings=Settings(upload_seconds=seconds, allow_loopback=given.pop("loopback", False)),
        waits=waits,
        **given,
    )


def fails(video: Path, bucket: Bucket, **given) -> str:
    with pytest.raises(DeliveryFailed) as caught:
        send(video, bucket, **given)
    for locale in ("en", "ko"):
        assert "the-secret" not in caught.value.text(locale)
    return str(caught.value)


def get(url: str, **headers: str):
    """What anybody gets who has the URL and nothing else."""
    with urllib.request.urlopen(
        urllib.request.Request(url, headers=headers), timeout=PATIENCE_SECONDS
    ) as answer:
        return answer.status, answer.headers, answer.read()


def refused(url: str) -> int:
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(url)
    with caught.value as error:
        return error.code


def first(times: int, operation: str, answer):
    """A fault in the first requests of a kind; `answer` is a status and code, or `Request.drop`."""
    left = [times]

    def fault(request: Request):
        if request.operation != operation or left[0] == 0:
            return None
        left[0] -= 1
        if callable(answer):
            answer(request)
            return 500, b"Dropped"
        return answer

    return fault


# The signed URL ---------------------------------------------------------------------------------


def test_the_url_gives_the_video_to_anybody(video, s3: S3Service):
    url = send(video, s3.bucket(prefix="a/b", url_seconds=60))
    status, headers, content = get(url)
    assert (status, content) == (200, video.read_bytes())
    assert headers["Content-Type"] == "video/mp4"
    assert headers["Content-Disposition"] == 'inline; filename="job-1.mp4"'
    assert "/talks/a/b/job-1.mp4?" in url
    assert "the-secret" not in url


def test_a_tampered_url_gives_nothing(video, s3: S3Service):
    url = send(video, s3.bucket())
    last = url[-1]
    assert refused(url[:-1] + ("0" if last != "0" else "1")) == 403
    assert refused(url.replace("job-1.mp4", "job-2.mp4")) == 403
    assert refused(url.replace("X-Amz-Expires=604800", "X-Amz-Expires=604801")) == 403
    assert refused(url.split("?")[0]) == 403


def test_the_url_ends_when_it_says(video, s3: S3Service):
    url = send(video, s3.bucket(url_seconds=60))
    s3.clock = lambda: datetime.now(timezone.utc) + timedelta(seconds=58)
    assert get(url)[0] == 200
    s3.clock = lambda: datetime.now(timezone.utc) + timedelta(seconds=62)
    assert refused(url) == 403


def test_a_service_that_honours_no_signed_urls_is_reported(video, s3: S3Service):
    s3.fault = first(-1, "GET object", (403, b"AccessDenied"))
    assert "does not give it out" in fails(video, s3.bucket())


def test_a_url_that_gives_less_than_the_video_is_reported(video, s3: S3Service):
    def shorten(request: Request):
        if request.operation == "GET object":
            request.environ["HTTP_RANGE"] = "bytes=0-0"
            s3.client().put_object(Bucket="talks", Key="job-1.mp4", Body=b"half")

    s3.fault = shorten
    assert "does not give it out" in fails(video, s3.bucket())


def test_the_bucket_s_name_is_in_the_host_where_the_service_wants_it():
    bucket = Bucket.at(
        "https://talks.s3.eu-west-1.amazonaws.com",
        access_key_id="key",
        secret_access_key="the-secret",
    )
    client, deadline = Client(networks=None), Deadline(1.0)
    url = S3Object(bucket, "a.mp4", client=client, deadline=deadline).signed_url()
    assert url.startswith("https://talks.s3.eu-west-1.amazonaws.com/a.mp4?")
    assert "%2Feu-west-1%2Fs3%2Faws4_request" in url


# What is wrong for good --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"secret_access_key": "another"}, "SignatureDoesNotMatch"),
        ({"access_key_id": "nobody"}, "InvalidAccessKeyId"),
        ({"name": "no-such-bucket"}, "NoSuchBucket"),
    ],
)
def test_a_refusal_is_reported_by_its_code_at_once(video, s3: S3Service, changed, reason):
    said = fails(video, s3.bucket(**changed))
    assert said.startswith(f"the bucket did not take the video ({reason})")
    assert len(s3.operations) == 1


def test_an_endpoint_that_is_down_is_reported(video):
    bucket = Bucket.at(
        "http://127.0.0.1:9", access_key_id="key", secret_access_key="the-secret", name="talks"
    )
    assert "3 times there was no answer" in fails(video, bucket)


def test_a_host_that_does_not_exist_is_reported(video):
    bucket = Bucket.at(
        "http://no-such-host.invalid",
        access_key_id="key",
        secret_access_key="the-secret",
        name="talks",
    )
    assert "there was no answer" in fails(video, bucket, waits=())


def test_a_service_without_a_valid_certificate_is_reported_and_gets_nothing(video):
    with serving(tls=True) as service:
        assert "(certificate)" in fails(video, service.bucket())
    assert service.operations == []


def test_a_bucket_in_another_region_is_found(large, s3: S3Service):
    def only_in_seoul(request: Request):
        signed = request.environ.get("HTTP_AUTHORIZATION", "")
        if request.operation == "POST upload" and "/ap-northeast-2/" not in signed:
            return 400, b"AuthorizationHeaderMalformed</Code><Region>ap-northeast-2</Region><Code>"
        return None

    s3.fault = only_in_seoul
    url = send(large, s3.bucket())
    assert "%2Fap-northeast-2%2Fs3%2F" in url
    assert get(url)[2] == large.read_bytes()


def test_a_service_that_stays_busy_is_reported(video, s3: S3Service):
    s3.fault = first(-1, "PUT object", (503, b"SlowDown"))
    assert "(SlowDown)" in fails(video, s3.bucket())


def test_the_whole_upload_has_an_end(video, s3: S3Service):
    s3.fault = first(-1, "PUT object", (503, b"SlowDown"))
    said = fails(video, s3.bucket(), waits=(60.0,), seconds=0.3)
    assert "within 0.3 s (MULTITALK_UPLOAD_SECONDS)" in said


def test_no_secret_and_no_signed_query_is_logged(video, large, s3: S3Service, caplog):
    caplog.set_level(logging.DEBUG)
    s3.fault = first(1, "PUT part", (500, b"InternalError"))
    url = send(large, s3.bucket())
    s3.fault = first(-1, "GET object", (403, b"AccessDenied"))
    fails(video, s3.bucket())
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert "InternalError" in logged
    assert "the-secret" not in logged
    assert "X-Amz-Signature" not in logged
    assert re.search(r"X-Amz-Signature=(\w+)", url)[1] not in logged


# What passes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [(503, b"SlowDown"), (500, b"InternalError"), (429, b"Busy"), (400, b"RequestTimeout")],
)
def test_a_busy_service_is_tried_again(video, s3: S3Service, answer):
    s3.fault = first(2, "PUT object", answer)
    assert get(send(video, s3.bucket()))[2] == video.read_bytes()


@pytest.mark.parametrize("operation", ["PUT object", "GET object"])
def test_a_dropped_connection_is_tried_again(video, s3: S3Service, operation):
    s3.fault = first(1, operation, Request.drop)
    assert get(send(video, s3.bucket()))[2] == video.read_bytes()


def test_a_service_that_never_answers_is_left(video, s3: S3Service, monkeypatch):
    monkeypatch.setattr(s3_module, "TRY_SECONDS", 0.2)
    done = threading.Event()
    s3.fault = first(1, "PUT object", lambda _: done.wait(PATIENCE_SECONDS))
    try:
        assert get(send(video, s3.bucket()))[2] == video.read_bytes()
    finally:
        done.set()


# In parts ---------------------------------------------------------------------------------------


def test_a_large_video_goes_in_parts_and_is_the_same_afterwards(large, s3: S3Service):
    told = []
    url = send(large, s3.bucket(), on_progress=told.append)
    content = get(url)[2]
    assert hashlib.md5(content).digest() == hashlib.md5(large.read_bytes()).digest()
    status, headers, middle = get(url, Range="bytes=5242800-5242900")
    assert status == 206
    assert middle == large.read_bytes()[5242800:5242901]
    assert headers["Content-Type"] == "video/mp4"
    assert max(s3.body_sizes) == PART_BYTES  # never more than a part in memory
    assert s3.operations.count("PUT part") == 2
    assert told == sorted(told)
    assert told[-1] == LARGE_BYTES
    assert s3.unfinished() == []


def test_a_part_that_is_refused_for_good_leaves_nothing(large, s3: S3Service):
    parts = []

    def second_part_is_refused(request: Request):
        if request.operation == "PUT part":
            parts.append(request)
        return (403, b"AccessDenied") if len(parts) == 2 and request is parts[1] else None

    s3.fault = second_part_is_refused
    assert "(AccessDenied)" in fails(large, s3.bucket())
    assert s3.unfinished() == []
    assert s3.client().list_objects_v2(Bucket="talks")["KeyCount"] == 0


def test_parts_are_tried_again(large, s3: S3Service):
    s3.fault = first(2, "PUT part", Request.drop)
    assert get(send(large, s3.bucket()))[2] == large.read_bytes()


def test_a_completion_whose_answer_was_lost_is_no_failure(large, s3: S3Service):
    lost = []

    def answer_is_lost(request: Request):
        if request.operation != "POST upload" or not request.body:
            return None
        if lost:
            return 404, b"NoSuchUpload"
        lost.append(list(s3.moto(request.environ, lambda *_: None)))
        request.drop()
        return 500, b"Dropped"

    s3.fault = answer_is_lost
    assert get(send(large, s3.bucket()))[2] == large.read_bytes()
    assert lost
    assert s3.unfinished() == []


def test_a_completion_that_fails_with_status_200_is_tried_again(large, s3: S3Service):
    failed = []

    def fails_late(request: Request):
        if request.operation != "POST upload" or not request.body or failed:
            return None
        failed.append(request)
        return 200, b"InternalError"

    s3.fault = fails_late
    assert get(send(large, s3.bucket()))[2] == large.read_bytes()
    assert failed


@pytest.mark.parametrize("end", [Cancelled, DeadlineExceeded])
def test_a_job_that_ends_in_the_middle_leaves_nothing(large, s3: S3Service, end):
    def stop(done: int) -> None:
        if done > 6_000_000:
            raise end() if end is Cancelled else end("deadline_exceeded", limit=1.0)

    with pytest.raises(end):
        send(large, s3.bucket(), on_progress=stop)
    assert s3.unfinished() == []
    assert "DELETE upload" in s3.operations


def test_a_job_is_cancelled_while_it_waits_for_an_answer(large, s3: S3Service):
    cancelled, done = threading.Event(), threading.Event()

    def never(request: Request):
        if request.operation == "PUT part":
            cancelled.set()
            done.wait(PATIENCE_SECONDS)

    s3.fault = never
    with pytest.raises(Cancelled):
        send(large, s3.bucket(), cancelled=cancelled.is_set)
    assert "DELETE upload" in s3.operations
    done.set()
    assert s3.unfinished() == []


@pytest.mark.timeout(30)
def test_a_job_is_cancelled_while_nobody_reads_what_it_sends(tmp_path):
    path = tmp_path / "talk.mp4"
    path.write_bytes(bytes(15_000_000))
    cancelled = threading.Event()
    soon = threading.Timer(1.0, cancelled.set)  # when all buffers are long full
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        bucket = Bucket.at(url, access_key_id="key", secret_access_key="s", name="talks")
        soon.start()
        with pytest.raises(Cancelled):
            send(path, bucket, cancelled=cancelled.is_set, seconds=100.0)


def test_a_removal_that_fails_hides_nothing(large, s3: S3Service, caplog):
    def broken(request: Request):
        return (
            (403, b"AccessDenied") if request.operation in ("PUT part", "DELETE upload") else None
        )

    s3.fault = broken
    assert "(AccessDenied)" in fails(large, s3.bucket())
    assert "parts of job-1.mp4 may be left" in caplog.text


# A job's own bucket -----------------------------------------------------------------------------


def test_a_job_s_own_bucket_takes_the_video_where_loopback_is_allowed(video, s3: S3Service):
    url = send(video, s3.bucket(public_only=True), loopback=True)
    assert get(url)[2] == video.read_bytes()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.8", "169.254.169.254", "localhost", "[::1]", "0x7f.1"]
)
def test_a_job_s_own_bucket_is_at_a_public_host(video, s3: S3Service, host):
    bucket = Bucket.at(
        f"https://{host}",
        access_key_id="key",
        secret_access_key="the-secret",
        name="talks",
        public_only=True,
    )
    for attempt in (
        lambda: send(video, bucket),
        lambda: check_reachable(bucket, settings=Settings()),
    ):
        with pytest.raises(SourceRefused) as caught:
            attempt()
        assert str(caught.value).startswith("s3Config.endpointUrl: ")
    assert s3.operations == []


def test_a_host_that_moves_to_a_private_address_is_not_followed():
    answers = iter([["93.184.215.14"], ["10.0.0.8"]])
    client = Client(networks=(), resolve=lambda host, port: next(answers))
    deadline = Deadline(5.0)
    url = "https://s3.example.com/talks"
    assert [str(address) for address in client.addresses(url, deadline)] == ["93.184.215.14"]
    with pytest.raises(SourceRefused), client.request("GET", url, headers={}, deadline=deadline):
        pass


def test_the_failure_of_a_job_s_own_bucket_blames_it(video, s3: S3Service):
    bucket = s3.bucket("no-such-bucket", public_only=True)
    assert fails(video, bucket, loopback=True).startswith("s3Config: the bucket did not take")
