"""What must be true of every job, whatever happened; each check names what is wrong.

The checks read what the stand-in recorded. `test_knobs.py` shows that each can fail.
"""

from collections.abc import Iterable

from platform_job import FINAL, PlatformJob


def check_every_job_has_ended(jobs: Iterable[PlatformJob]) -> None:
    """None is lost."""
    for job in jobs:
        assert job.status in FINAL, f"{job.id} is still {job.status}"


def check_no_job_is_answered_twice(jobs: Iterable[PlatformJob]) -> None:
    """One result at most, and none after the end."""
    for job in jobs:
        assert len(job.results) <= 1, f"{job.id} has {len(job.results)} results"
        for post in job.posts:
            if not post.is_progress:  # the worker and the platform may see its time end at once
                assert post.status_before in ("IN_PROGRESS", "TIMED_OUT"), post


def check_progress_comes_before_the_end(jobs: Iterable[PlatformJob]) -> None:
    """Progress never follows a result, and never goes back at one worker."""
    for job in jobs:
        kinds = [post.is_progress for post in job.posts]
        assert kinds == sorted(kinds, reverse=True), f"{job.id}: progress after its result"
        for worker in job.deliveries:
            done = [
                post.body["output"]["done"]  # type: ignore[index]
                for post in job.posts
                if post.is_progress
                and post.worker == worker
                and post.body["output"]["stage"] == "render"  # type: ignore[index]
            ]
            assert done == sorted(done), f"{job.id}: progress went back: {done}"


def check_pieces_are_in_order(jobs: Iterable[PlatformJob]) -> None:
    """Streamed pieces are numbered as they came, and their times join."""
    for job in jobs:
        pieces = [chunk["output"] for chunk in job.chunks]
        numbers = [piece["segment"] for piece in pieces if "segment" in piece]  # type: ignore[index,operator]
        assert numbers == list(range(len(numbers))), f"{job.id}: pieces {numbers}"


def check_posts_are_as_the_platform_reads_them(jobs: Iterable[PlatformJob]) -> None:
    """The headers and the query of each post."""
    for job in jobs:
        for post in job.posts:
            assert post.request_id == job.id
            assert post.content_type == "application/x-www-form-urlencoded"
            assert not (post.is_progress and post.is_stream)
            assert post.worker in job.deliveries


CHECKS = (
    check_every_job_has_ended,
    check_no_job_is_answered_twice,
    check_progress_comes_before_the_end,
    check_pieces_are_in_order,
    check_posts_are_as_the_platform_reads_them,
)


def check_all(jobs: Iterable[PlatformJob]) -> None:
    """Everything that holds for every job."""
    jobs = list(jobs)
    assert jobs
    for check in CHECKS:
        check(jobs)
