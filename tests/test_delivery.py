"""A video is handed over whole, where the caller asked, or not at all."""

import base64
import errno
import json
import re
import shutil
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitalk.delivery import ENVELOPE_BYTES, deliver, reply_bytes, safe_name
from multitalk.errors import DeliveryFailed
from multitalk.schema import Delivery, TalkResult
from multitalk.settings import Bucket, Settings

VIDEO = bytes(range(256)) * 100


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "talk.mp4"
    path.write_bytes(VIDEO)
    return path


def hand_over(video, *, how="auto", job_id="job-1", **settings):
    return deliver(video, delivery=Delivery(type=how), settings=Settings(**settings), job_id=job_id)


def fails(video, **options):
    with pytest.raises(DeliveryFailed) as caught:
        hand_over(video, **options)
    return caught.value


# Inside the reply -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["auto", "base64"])
def test_a_small_video_is_in_the_reply(video, tmp_path, how):
    delivered = hand_over(video, how=how, volume=tmp_path / "volume")
    assert list(delivered) == ["video_base64"]
    assert base64.b64decode(delivered["video_base64"], validate=True) == VIDEO


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
        **hand_over(video),
    )
    envelope = {"id": "x" * 64, "status": "COMPLETED", "workerId": "y" * 64, "output": None}
    sent = json.dumps(envelope | {"output": result.reply()}).encode()
    assert len(sent) <= reply_bytes(video)


def test_the_limit_is_exact(video):
    size = reply_bytes(video)
    assert size - ENVELOPE_BYTES == len(base64.b64encode(VIDEO))
    assert "video_base64" in hand_over(video, max_reply_bytes=size)
    fails(video, max_reply_bytes=size - 1)


def test_with_nowhere_to_go_size_limit_and_three_ways_out_are_named(video):
    error = fails(video, max_reply_bytes=30_000)
    for locale in ("en", "ko"):
        said = error.text(locale)
        for part in ("0.1 MB", "0.0 MB", "BUCKET_ENDPOINT_URL", "MULTITALK_VOLUME", "480p"):
            assert part in said


def test_base64_that_does_not_fit_is_refused_even_with_a_volume(video, tmp_path):
    error = fails(video, how="base64", max_reply_bytes=30_000, volume=tmp_path)
    assert str(error).startswith("delivery.type: the video is 0.1 MB as a reply")
    assert video.exists()


# On the volume ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "limit"), [("auto", 1), ("volume", 10_000_000)])
def test_the_volume_takes_a_large_or_wanted_video(video, tmp_path, how, limit):
    volume = tmp_path / "volume" / "results"
    delivered = hand_over(video, how=how, max_reply_bytes=limit, volume=volume)
    assert delivered == {"video_path": str(volume / "job-1.mp4")}
    assert (volume / "job-1.mp4").read_bytes() == VIDEO
    assert [path.name for path in volume.iterdir()] == ["job-1.mp4"]


def test_a_full_volume_keeps_no_half_of_a_video(video, tmp_path, monkeypatch):
    def copyfile(source, target):
        target.write_bytes(VIDEO[:100])
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    error = fails(video, how="volume", volume=tmp_path / "volume")
    assert "(No space left on device)" in str(error)
    assert list((tmp_path / "volume").iterdir()) == []


def test_a_volume_that_cannot_be_written_is_told_without_its_path(video, tmp_path):
    (tmp_path / "file").touch()
    error = fails(video, how="volume", volume=tmp_path / "file")
    assert "the volume did not take the video" in str(error)
    assert str(tmp_path) not in str(error)


def test_a_volume_that_is_not_set_up_is_told(video):
    assert "MULTITALK_VOLUME" in str(fails(video, how="volume"))


@given(st.text(max_size=200))
def test_any_job_id_is_a_plain_file_name(job_id):
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,120}\.mp4", safe_name(job_id))


@given(st.lists(st.text(max_size=5), unique=True, min_size=2, max_size=2))
def test_two_jobs_never_share_a_file(job_ids):
    assert safe_name(job_ids[0]) != safe_name(job_ids[1])


def test_platforms_ids_are_kept():
    assert safe_name("3f1a0c2e-99aa-u1") == "3f1a0c2e-99aa-u1.mp4"


# In the bucket ----------------------------------------------------------------------------------


class Store(ThreadingHTTPServer):
    """An S3 that takes whatever is put, or answers everything with one error."""

    def __init__(self, *, status=200, reply=b""):
        super().__init__(("127.0.0.1", 0), StoreHandler)
        self.status, self.reply = status, reply
        self.puts = []

    @property
    def bucket(self):
        return Bucket(f"http://127.0.0.1:{self.server_port}", "key", "the-secret", "talks")


class StoreHandler(BaseHTTPRequestHandler):
    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.puts.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.reply)))
        self.end_headers()
        self.wfile.write(self.server.reply)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with Store() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("how", "limit"), [("auto", 1), ("bucket", 10_000_000)])
def test_the_bucket_takes_a_large_or_wanted_video(video, store, tmp_path, how, limit):
    delivered = hand_over(
        video, how=how, max_reply_bytes=limit, bucket=store.bucket, volume=tmp_path / "volume"
    )
    ((path, headers, body),) = store.puts
    assert (path, body) == ("/talks/job-1.mp4", VIDEO)
    assert headers["Content-Type"] == "video/mp4"
    url = urlsplit(delivered["video_url"])
    assert url.path == "/talks/job-1.mp4"
    query = parse_qs(url.query)
    assert query["X-Amz-Expires"] == [str(int(timedelta(days=7).total_seconds()))]
    assert "the-secret" not in delivered["video_url"]
    assert list(delivered) == ["video_url"]


def test_a_small_video_does_not_go_to_the_bucket_by_itself(video, store):
    assert "video_base64" in hand_over(video, bucket=store.bucket)
    assert store.puts == []


def test_the_volume_may_be_chosen_over_the_bucket(video, store, tmp_path):
    delivered = hand_over(video, how="volume", bucket=store.bucket, volume=tmp_path)
    assert "video_path" in delivered


def test_a_bucket_s_refusal_is_told_by_its_code(video, store):
    store.status = 404
    store.reply = b"<Error><Code>NoSuchBucket</Code><Message>the-secret</Message></Error>"
    error = fails(video, how="bucket", bucket=store.bucket)
    assert str(error).startswith("the bucket did not take the video (NoSuchBucket)")
    assert video.exists()


def test_a_bucket_that_is_not_there_is_told(video, store):
    bucket = Bucket("http://127.0.0.1:9", "key", "the-secret", "talks")
    error = fails(video, how="bucket", bucket=bucket)
    assert "EndpointConnectionError" in str(error)
    assert "the-secret" not in error.text("ko")


def test_a_bucket_that_is_not_set_up_is_told(video, tmp_path):
    said = str(fails(video, how="bucket", volume=tmp_path))
    assert "BUCKET_ENDPOINT_URL" in said
