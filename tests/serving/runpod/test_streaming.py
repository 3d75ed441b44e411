"""MULTITALK_STREAM: the video goes out piece by piece while it is rendered."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance import check_all
from control_plane import ControlPlane
from job_inputs import job_input
from platform_job import PlatformJob
from worker_process import RunPodWorker, running_worker

from multitalk.media.video import probe


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as plane:
        yield plane


@pytest.fixture(scope="module", autouse=True)
def worker(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunPodWorker]:
    settings = {"MULTITALK_STREAM": "1", "STUB_SECONDS": "0.05"}
    with running_worker(plane, tmp_path_factory.mktemp("w"), **settings) as worker:
        yield worker
    check_all(plane.jobs.values())


def outputs(job: PlatformJob) -> list[dict[str, Any]]:
    return [chunk["output"] for chunk in job.chunks]  # type: ignore[misc]


def bytes_of(pieces: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(piece["video_base64"]) for piece in pieces)


def test_joined_pieces_are_the_video_and_a_closing_record_follows(
    plane: ControlPlane, tmp_path: Path
) -> None:
    job = plane.submit(job_input(seconds=3.0, seed=5)).wait()
    *pieces, closing = outputs(job)
    assert len(pieces) == 4
    video = tmp_path / "talk.mp4"
    video.write_bytes(bytes_of(pieces))
    assert probe(video).num_frames == sum(piece["frames"] for piece in pieces) == 75
    assert [piece["start"] for piece in pieces] == [0.0, 0.36, 1.0, 2.0]
    assert (closing["status"], closing["num_frames"], closing["seed"]) == ("success", 75, 5)
    assert not any(name.startswith("video_") for name in closing)
    (result,) = job.results
    assert result == {"output": []}
    assert job.posts[-1].is_stream


def test_pieces_come_while_the_rest_is_rendered(plane: ControlPlane) -> None:
    job = plane.submit(job_input(seconds=8.0))
    while not job.chunks:
        assert not job.finished.wait(0.01)
    assert job.status == "IN_PROGRESS"
    plane.cancel(job)
    assert plane.submit(job_input()).wait().status == "COMPLETED"
    assert len(job.chunks) < 8


def test_a_second_that_is_too_large_for_one_piece_comes_in_several(
    plane: ControlPlane, tmp_path: Path
) -> None:
    job = plane.submit(job_input(seconds=2.0, prompt="noise")).wait()
    *pieces, _ = outputs(job)
    first, rest, *second = (piece["frames"] for piece in pieces)
    assert (first, rest) == (9, 16)
    assert second == [0] * (len(second) - 1) + [25]
    assert len(second) > 1
    video = tmp_path / "talk.mp4"
    video.write_bytes(bytes_of(pieces))
    assert probe(video).num_frames == 50


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "invalid_request"),
        (job_input(prompt="crash"), "internal_error"),
        (job_input(seconds=2.0, prompt="falter"), "internal_error"),  # after its first second
    ],
)
def test_a_failure_is_the_job_s_end(plane: ControlPlane, given: object, code: str) -> None:
    job = plane.submit(given).wait()
    assert job.status == "FAILED"
    assert isinstance(job.error, str)
    assert job.output["code"] == code  # type: ignore[index]


def test_a_piece_that_is_refused_at_first_gets_there_in_its_place(plane: ControlPlane) -> None:
    plane.faults.fail_stream = 2
    job = plane.submit(job_input(seconds=3.0)).wait()
    assert [piece.get("segment") for piece in outputs(job)] == [0, 1, 2, 3, None]


def test_a_piece_that_nobody_takes_is_a_failure_and_no_hole(plane: ControlPlane) -> None:
    plane.faults.refuse_stream = True
    try:
        job = plane.submit(job_input(seconds=2.0)).wait()
    finally:
        plane.faults.refuse_stream = False
    assert job.status == "FAILED"
    assert isinstance(job.output, dict)
    assert (job.output["code"], job.output["message"]) == ("delivery_failed", job.error)


def test_a_client_reads_the_pieces_where_the_platform_offers_them(plane: ControlPlane) -> None:
    import runpod

    runpod.endpoint_url_base = plane.url
    runpod.api_key = "client-key"
    request = runpod.Endpoint("endpoint").run(job_input(seconds=2.0))
    *pieces, closing = list(request.stream())
    assert [piece["segment"] for piece in pieces] == [0, 1, 2]
    assert closing["status"] == "success"
