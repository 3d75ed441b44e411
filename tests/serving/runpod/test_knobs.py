"""Every check of `conformance` can fail: each fault of the stand-in turns one of them red."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from conformance import (
    check_all,
    check_every_job_has_ended,
    check_no_job_is_answered_twice,
    check_pieces_are_in_order,
    check_posts_are_as_the_platform_reads_them,
    check_progress_comes_before_the_end,
)
from control_plane import ControlPlane
from job_inputs import job_input
from platform_job import PlatformJob
from worker_process import RunPodWorker, running_worker


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as plane:
        yield plane


@pytest.fixture(scope="module", autouse=True)
def worker(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunPodWorker]:
    settings = {"MULTITALK_STREAM": "1", "STUB_SECONDS": "0.05"}
    with running_worker(plane, tmp_path_factory.mktemp("w"), **settings) as worker:
        yield worker


def done(plane: ControlPlane) -> PlatformJob:
    """A job of three pieces that is done, and the worker idle again."""
    job = plane.submit(job_input(seconds=3.0))
    plane.submit(job_input()).wait()
    return job


def test_without_a_fault_nothing_fails(plane: ControlPlane) -> None:
    check_all([done(plane)])


def test_a_result_that_is_dropped_is_a_lost_job(plane: ControlPlane) -> None:
    plane.faults.drop_final = 1
    with pytest.raises(AssertionError, match="still IN_PROGRESS"):
        check_every_job_has_ended([done(plane)])


def test_a_job_that_is_given_out_twice_is_answered_twice(plane: ControlPlane) -> None:
    plane.faults.duplicate_take = 1
    job = done(plane)
    plane.submit(job_input()).wait()
    with pytest.raises(AssertionError, match="2 results"):
        check_no_job_is_answered_twice([job])


def test_pieces_in_another_order_are_seen(plane: ControlPlane) -> None:
    plane.faults.reorder_chunks = True
    try:
        job = done(plane)
    finally:
        plane.faults.reorder_chunks = False
    with pytest.raises(AssertionError, match=r"pieces \[1, 0"):
        check_pieces_are_in_order([job])


def test_progress_after_the_end_is_seen(plane: ControlPlane) -> None:
    plane.faults.late_progress = True
    try:
        job = done(plane)
    finally:
        plane.faults.late_progress = False
    with pytest.raises(AssertionError, match="progress after its result"):
        check_progress_comes_before_the_end([job])


@pytest.mark.parametrize(
    "wrong",
    [
        {"request_id": None},
        {"content_type": "application/json"},
        {"worker": "another"},
        {"body": {"status": "IN_PROGRESS", "output": {}}, "is_stream": True},
    ],
)
def test_a_post_of_another_form_is_seen(plane: ControlPlane, wrong: dict[str, object]) -> None:
    job = done(plane)
    job.posts[-1] = replace(job.posts[-1], **wrong)  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        check_posts_are_as_the_platform_reads_them([job])
