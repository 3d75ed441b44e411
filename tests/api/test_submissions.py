"""Jobs on their way into the queue: what is kept where nobody knows whether they got there."""

from pathlib import Path

import pytest
from running import running

from multitalk.errors import QueueUnavailable
from multitalk.schema import JobStatus
from multitalk.serving.queue import Outcome, OutcomeUnknown

TALK = "/v2/talk"
HOOK = "http://127.0.0.1/there"


def silent(change):
    """A change of a queue that is made and not answered."""

    async def call(*given, **options):
        await change(*given, **options)
        raise OutcomeUnknown("queue_silent")

    return call


def test_a_job_that_may_be_in_the_queue_keeps_its_files_and_its_webhook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, works=False) as served, served.client() as client:
        queue, database = served.services.queue, served.services.database
        portrait = Path(__file__).parents[2] / "examples" / "portrait.jpg"
        upload = client.post("/uploads", content=portrait.read_bytes()).json()
        monkeypatch.setattr(queue, "submit_all", silent(queue.submit_all))
        given = {"prompt": "x", "image_path": upload["source"]}
        refused = client.post(f"{TALK}/run", json={"input": given, "webhook": HOOK})
        assert (refused.status_code, refused.json()["code"]) == (503, "queue_unavailable")
        (job,) = served.do(queue.jobs())
        assert served.do(queue.media.job_bytes(job.id)) > 0
        assert database.pending_webhook(job.id) is not None


def test_what_became_of_a_job_is_told_though_its_files_cannot_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse_removal(job_id: str) -> None:
        raise QueueUnavailable("queue_failed", reason="silent")

    async def refuse(*_: object, **__: object) -> None:
        raise QueueUnavailable("queue_full")

    with running(tmp_path, works=False) as served, served.client() as client:
        queue, body = served.services.queue, {"input": {"prompt": "x"}}
        monkeypatch.setattr(queue.media, "remove_job", refuse_removal)
        headers = {"Idempotency-Key": "k"}
        first, again = [client.post(f"{TALK}/run", json=body, headers=headers) for _ in "12"]
        assert (first.status_code, again.status_code) == (200, 200)
        assert first.json()["id"] == again.json()["id"]
        monkeypatch.setattr(queue, "submit_all", refuse)
        refused = client.post(f"{TALK}/run", json=body)
        assert "disk is full" in refused.json()["error"]


def test_a_job_that_may_be_queued_again_keeps_its_webhook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, works=False, keeps_house=False) as served, served.client() as client:
        queue, database = served.services.queue, served.services.database
        body = {"input": {"prompt": "x"}, "webhook": HOOK}
        job = client.post(f"{TALK}/run", json=body).json()["id"]
        lease = served.do(queue.claim("worker", wait=5))
        served.do(queue.finish(lease, Outcome(status=JobStatus.FAILED, error="no")))
        database.forget_webhook(job)
        monkeypatch.setattr(queue, "retry", silent(queue.retry))
        assert client.post(f"{TALK}/retry/{job}").status_code == 503
        assert database.pending_webhook(job) is not None
