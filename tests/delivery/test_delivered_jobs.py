"""A job's video reaches the bucket through the job, and through the worker as RunPod starts it."""

import json
import os
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from s3_service import S3Service

from fake_engine import FakeEngine
from multitalk.bucket import Bucket
from multitalk.errors import Cancelled
from multitalk.job import Progress
from multitalk.media.video import probe
from multitalk.schema import TalkResult
from multitalk.settings import Settings
from patience import PATIENCE_SECONDS
from run_jobs import deliver_job

ROOT = Path(__file__).parents[2]
INPUT = {
    "prompt": "An astronaut talks.",
    "image_path": "astronaut.jpg",
    "audio_paths": {"person1": {"text": "Hi."}},
    "resolution": "480p",
    "engine": "warp",
}


def result_of(
    tmp_path: Path,
    *,
    bucket: Bucket,
    progress: list[Progress],
    cancelled: threading.Event | None = None,
    **settings: object,
) -> TalkResult:
    given = Settings(
        allowed_roots=(ROOT / "examples",),
        work_directory=tmp_path,
        allow_loopback=True,
        max_reply_bytes=1,
        **settings,
    )
    return deliver_job(
        INPUT | {"locale": "ko"},
        FakeEngine(),
        given,
        on_progress=progress.append,
        cancelled=cancelled,
        bucket=bucket,
    )


def test_a_job_s_own_bucket_has_its_video(tmp_path, s3: S3Service):
    progress: list[Progress] = []
    result = result_of(tmp_path, bucket=s3.bucket(public_only=True), progress=progress)
    saved, _ = urllib.request.urlretrieve(result.video_url, tmp_path / "talk.mp4")
    assert probe(Path(saved)).num_frames == result.num_frames
    size = Path(saved).stat().st_size
    assert progress[-1] == Progress("deliver", size, size)


def test_a_job_whose_bucket_fails_says_so_and_has_its_video_on_the_volume(tmp_path, s3: S3Service):
    bucket = s3.bucket("no-such-bucket", public_only=True)
    result = result_of(tmp_path, bucket=bucket, progress=[], volume=tmp_path / "volume")
    assert result.video_path is not None
    assert probe(Path(result.video_path)).num_frames == result.num_frames
    assert any("NoSuchBucket" in warning for warning in result.warnings)


def test_a_job_that_is_cancelled_while_it_uploads_ends(tmp_path, s3: S3Service):
    cancelled, done = threading.Event(), threading.Event()

    def never(request) -> None:
        if request.operation == "PUT object":
            cancelled.set()
            done.wait(PATIENCE_SECONDS)

    s3.fault = never
    with pytest.raises(Cancelled):
        result_of(tmp_path, bucket=s3.bucket(), progress=[], cancelled=cancelled)
    done.set()


def test_the_worker_passes_a_job_s_bucket_on(tmp_path, s3: S3Service):
    job = {
        "input": INPUT,
        "s3Config": {
            "endpointUrl": s3.url,
            "bucketName": "talks",
            "accessId": "key",
            "accessSecret": "the-secret",
        },
    }
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-u", str(ROOT / "handler.py"), "--test_input", json.dumps(job)],
        env=environment
        | {
            "HOME": str(tmp_path),
            "MULTITALK_ALLOWED_ROOTS": str(ROOT / "examples"),
            "MULTITALK_ALLOW_LOOPBACK": "true",
            "MULTITALK_MAX_REPLY_BYTES": "1",
            "MULTITALK_WORK_DIRECTORY": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"'video_url': '{s3.url}/talks/local_test.mp4?" in done.stdout
    assert s3.client().list_objects_v2(Bucket="talks")["KeyCount"] == 1
    assert "the-secret" not in done.stdout + done.stderr
