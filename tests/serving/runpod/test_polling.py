"""A platform that is down, hasty or mad costs neither jobs nor a flood of requests and log."""

import time
from collections.abc import Iterator

import pytest
from conformance import check_all
from control_plane import ControlPlane
from job_inputs import job_input
from worker_process import RunPodWorker, running_worker

from patience import PATIENCE_SECONDS


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as plane:
        yield plane


@pytest.fixture(scope="module", autouse=True)
def worker(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunPodWorker]:
    with running_worker(plane, tmp_path_factory.mktemp("w"), STUB_SECONDS="0") as worker:
        yield worker
    check_all(plane.jobs.values())


@pytest.fixture(autouse=True)
def it_serves_on(plane: ControlPlane, worker: RunPodWorker) -> Iterator[None]:
    """However a test ends, the next job is done."""
    yield
    assert plane.submit(job_input()).wait().status == "COMPLETED", worker.said()


def wait_until_used_up(plane: ControlPlane) -> None:
    """The worker has had all the answers that were prepared for its polls."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while plane.faults.take_answers or plane.faults.drop_polls:
        assert time.monotonic() < deadline, plane.faults
        time.sleep(0.02)


def test_no_job_is_asked_for_while_its_files_could_not_be_kept(
    plane: ControlPlane, worker: RunPodWorker
) -> None:
    worker.work_directory.rmdir()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "no job is taken" not in worker.said():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    job = plane.submit(job_input())
    time.sleep(1.5)  # some looks at the disk
    assert job.status == "IN_QUEUE"
    assert worker.said().count("no job is taken") == 1
    worker.work_directory.mkdir()
    assert job.wait().status == "COMPLETED"
    assert "jobs are taken" in worker.said()


def test_an_empty_answer_at_once_is_not_asked_for_at_once(plane: ControlPlane) -> None:
    plane.faults.instant_empty = True
    started = time.monotonic()
    time.sleep(3)
    plane.faults.instant_empty = False
    for route in ("job-take", "job-stop"):
        assert 1 <= len(plane.calls_of(route, since=started)) <= 10


def test_a_platform_that_is_down_is_not_complained_about_at_length(
    plane: ControlPlane, worker: RunPodWorker
) -> None:
    lines = worker.said().count("\n")
    plane.go_down()
    time.sleep(4)
    plane.come_up()
    job = plane.submit(job_input())
    assert job.wait().status == "COMPLETED"
    assert worker.said().count("\n") - lines < 60


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (200, "{}"),
        (200, '{"id": "x"}'),
        (200, '{"input": {}}'),
        (200, '["junk"]'),
        (200, "not json"),
        (200, '{"id": "half'),
        (200, ""),
        (400, ""),
        (404, ""),
        (500, "<html>"),
    ],
)
def test_an_answer_that_is_no_job_harms_nobody(plane: ControlPlane, status: int, text: str) -> None:
    plane.faults.take_answers.extend([(status, text)] * 2)
    wait_until_used_up(plane)


def test_too_many_requests_are_answered_by_fewer(plane: ControlPlane) -> None:
    plane.faults.take_answers.append((429, ""))
    wait_until_used_up(plane)


def test_a_poll_that_breaks_off_is_asked_again(plane: ControlPlane) -> None:
    plane.faults.drop_polls = 3
    wait_until_used_up(plane)


def test_a_job_that_is_given_twice_in_one_answer_runs_once(plane: ControlPlane) -> None:
    plane.faults.duplicate_in_batch = 1
    job = plane.submit(job_input())
    job.wait()
    plane.submit(job_input()).wait()
    assert len(job.results) == 1


def test_a_job_beside_things_that_are_none_is_done(plane: ControlPlane) -> None:
    plane.faults.junk_beside = 1
    assert plane.submit(job_input()).wait().status == "COMPLETED"
    assert not plane.faults.junk_beside


def test_a_stop_signal_for_a_job_that_is_not_there_harms_nobody(plane: ControlPlane) -> None:
    job = plane.submit(job_input()).wait()
    job.status = "IN_PROGRESS"
    plane.cancel(job)
    job.status = "COMPLETED"
    plane.wait_for("job-stop")
