"""Results get there, whatever the platform answers at first; or the job goes to another worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance import check_all
from control_plane import ControlPlane
from job_inputs import job_input
from worker_process import RunPodWorker, running_worker


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as plane:
        yield plane


@pytest.fixture(scope="module", autouse=True)
def worker(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunPodWorker]:
    with running_worker(plane, tmp_path_factory.mktemp("w"), STUB_SECONDS="0") as worker:
        yield worker
    check_all(plane.jobs.values())


def test_a_result_that_is_refused_more_often_than_the_sdk_tries_gets_there_once(
    plane: ControlPlane,
) -> None:
    plane.faults.fail_done = 4
    job = plane.submit(job_input()).wait()
    assert job.status == "COMPLETED"
    assert len(plane.calls_of("job-done", since=job.taken)) >= 5
    assert plane.submit(job_input()).wait().status == "COMPLETED"


def test_a_result_that_is_too_large_for_the_platform_becomes_a_failure(
    plane: ControlPlane,
) -> None:
    plane.faults.refuse_bytes = 1500
    try:
        job = plane.submit(job_input()).wait()
    finally:
        plane.faults.refuse_bytes = None
    assert job.status == "FAILED"
    assert "MB" in str(job.error)
    assert job.output["code"] == "delivery_failed"
    assert job.output["details"]["problems"][0]["reason"] == "result_refused"
    assert job.output["details"]["stage"] == "deliver"


def test_a_job_that_the_platform_has_forgotten_does_not_hold_the_next_one(
    plane: ControlPlane, worker: RunPodWorker
) -> None:
    forgotten = plane.submit(job_input(prompt="noise"))
    del plane.jobs[forgotten.id]  # job-done answers 404
    assert plane.submit(job_input()).wait().status == "COMPLETED"
    assert "refused its result: HTTP 404" in worker.said()


def test_an_oversize_video_is_refused_before_it_is_posted(
    tmp_path: Path,
) -> None:
    """No bucket, no volume: the sentence names the size, the limit and the ways out."""
    limit = {"MULTITALK_MAX_REPLY_BYTES": "100000"}
    with ControlPlane() as plane, running_worker(plane, tmp_path, **limit):
        job = plane.submit(job_input(prompt="noise")).wait()
    assert job.output["code"] == "delivery_failed"
    assert job.output["details"]["problems"][0]["reason"] == "reply_too_large"
    assert job.output["details"]["stage"] == "deliver"
    assert "MULTITALK_MAX_REPLY_BYTES" in str(job.error)
    assert "MULTITALK_VOLUME" in str(job.error)


def test_a_result_that_nobody_takes_ends_the_worker_and_another_one_does_the_job(
    tmp_path: Path,
) -> None:
    with ControlPlane(lease_seconds=3) as plane:
        with running_worker(plane, tmp_path, STUB_PATIENCE="1") as worker:
            plane.faults.fail_done = 1000
            job = plane.submit(job_input())
            assert worker.exit_code() == 1
            assert job.id in worker.said()
            assert not job.results
        plane.faults.fail_done = 0
        with running_worker(plane, tmp_path, name="worker-2"):
            assert job.wait().status == "COMPLETED"
        assert job.deliveries == ["worker-1", "worker-2"]
        check_all(plane.jobs.values())
