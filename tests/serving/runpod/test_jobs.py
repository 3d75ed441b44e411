"""handler.py as RunPod runs it: a real process with RunPod's SDK against a stand-in of RunPod."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance import check_all
from control_plane import ControlPlane
from job_inputs import PORTRAIT, job_input
from platform_job import output_of
from worker_process import HANDLER, RunPodWorker, run_to_end, running_worker

from patience import PATIENCE_SECONDS


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as plane:
        yield plane


@pytest.fixture(scope="module")
def worker(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunPodWorker]:
    """The worker's code with a slow small engine: 0.2 s for each 5 frames."""
    with running_worker(plane, tmp_path_factory.mktemp("worker")) as worker:
        yield worker
    check_all(plane.jobs.values())


def test_a_job_is_answered_with_its_video(plane: ControlPlane, worker: RunPodWorker) -> None:
    job = plane.submit(job_input(seed=7))
    result = job.result(PATIENCE_SECONDS)
    assert "error" not in result
    output = output_of(result)
    assert base64.b64decode(str(output["video_base64"]))[4:8] == b"ftyp"
    facts = {name: output[name] for name in ("status", "num_frames", "seed", "engine", "fps")}
    assert facts == {"status": "success", "num_frames": 10, "seed": 7, "engine": "warp", "fps": 25}
    assert not worker.left_over()


def test_one_engine_serves_all_jobs(plane: ControlPlane, worker: RunPodWorker) -> None:
    for _ in range(2):
        assert "error" not in plane.submit(job_input()).result(PATIENCE_SECONDS)
    assert worker.said().count("engine ready") == 1


def test_every_problem_of_a_request_is_told_at_once(
    plane: ControlPlane, worker: RunPodWorker
) -> None:
    job = plane.submit({"prompt": "", "sample_steps": 0, "colour": "red", "locale": "en"})
    result = job.result(PATIENCE_SECONDS)
    told = str(result["error"])
    for problem in ("image_path", "audio_paths", "sample_steps", "colour"):
        assert problem in told
    assert output_of(result)["code"] == "invalid_request"
    assert "Traceback" not in json.dumps(result)


def test_problems_are_told_in_korean_where_asked(plane: ControlPlane, worker: RunPodWorker) -> None:
    result = plane.submit({"locale": "ko"}).result(PATIENCE_SECONDS)
    assert result["error"] == "필수 입력값(prompt, image_path, audio_paths)이 누락되었습니다."


@pytest.mark.parametrize("given", [None, [], "text", 5])
def test_an_input_that_is_no_object_is_refused(
    plane: ControlPlane, worker: RunPodWorker, given: object
) -> None:
    result = plane.submit(given).result(PATIENCE_SECONDS)
    assert output_of(result)["code"] == "invalid_request"


def test_sound_that_is_none_is_refused_by_field(plane: ControlPlane, worker: RunPodWorker) -> None:
    noise = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEjunk" + bytes(64)).decode()
    result = plane.submit(job_input(audio_paths={"person1": noise})).result(PATIENCE_SECONDS)
    output = output_of(result)
    assert (output["code"], output["field"]) == ("media_undecodable", "audio_paths.person1")
    assert not worker.left_over()


def test_text_without_an_encoding_is_answered_all_the_same(
    plane: ControlPlane, worker: RunPodWorker
) -> None:
    result = plane.submit(job_input(engine="\ud800")).result(PATIENCE_SECONDS)
    assert output_of(result)["field"] == "engine"


def test_progress_is_posted_at_most_once_a_second_and_never_after_the_result(
    plane: ControlPlane, worker: RunPodWorker
) -> None:
    job = plane.submit(job_input(seconds=2.0))  # 10 chunks, 2 s
    job.result(PATIENCE_SECONDS)
    time.sleep(0.5)
    assert len(job.results) == 1
    assert not job.posts[-1].is_progress
    assert 1 <= len(job.progress) <= 5
    done = [step["done"] for step in job.progress if step["stage"] == "render"]
    assert done == sorted(done)
    assert 0 < done[-1] <= 50


def test_progress_on_a_slow_way_does_not_follow_the_result(
    plane: ControlPlane, worker: RunPodWorker
) -> None:
    plane.faults.progress_delay = 1.5
    try:
        job = plane.submit(job_input())  # 0.4 s of work
        job.result(PATIENCE_SECONDS)
        time.sleep(1.6)
    finally:
        plane.faults.progress_delay = 0.0
    assert job.progress
    assert not job.posts[-1].is_progress


def test_a_cancelled_job_stops_and_the_next_one_runs(
    plane: ControlPlane, worker: RunPodWorker
) -> None:
    job = plane.submit(job_input(seconds=60.0))  # a minute of work, were it not stopped
    job.wait_for_progress("render")
    assert worker.left_over()
    plane.cancel(job)
    after = plane.submit(job_input()).result(PATIENCE_SECONDS)
    assert "error" not in after
    assert not job.results
    assert not worker.left_over()


def test_a_crash_is_told_without_its_traceback(plane: ControlPlane, worker: RunPodWorker) -> None:
    result = plane.submit(job_input(prompt="crash")).result()
    output = output_of(result)
    assert (output["code"], output["message"]) == ("internal_error", result["error"])
    for secret in ("Traceback", "/secret/place", ".py"):
        assert secret not in json.dumps(result)
    assert "a crash at /secret/place" in worker.said()
    assert not worker.left_over()


def test_a_job_s_own_time_is_kept(plane: ControlPlane, worker: RunPodWorker) -> None:
    """By the worker, should the platform forget."""
    plane.faults.forget_timeouts = True
    try:
        job = plane.submit(job_input(seconds=60.0), policy={"executionTimeout": 1500})
        result = job.result()
    finally:
        plane.faults.forget_timeouts = False
    assert output_of(result)["code"] == "deadline_exceeded"
    assert "1.5 s" in str(result["error"])


def test_a_job_that_the_platform_ends_for_its_time_is_left(
    plane: ControlPlane, worker: RunPodWorker
) -> None:
    job = plane.submit(job_input(seconds=60.0), policy={"executionTimeout": 1000}).wait()
    assert job.status in ("TIMED_OUT", "FAILED")  # by the platform, or by the worker
    assert plane.submit(job_input()).wait().status == "COMPLETED"
    assert not worker.left_over()


@pytest.mark.parametrize(
    "policy", [None, 5, {}, {"executionTimeout": "x"}, {"executionTimeout": -1}]
)
def test_a_policy_that_says_nothing_is_left_alone(
    plane: ControlPlane, worker: RunPodWorker, policy: object
) -> None:
    plane.faults.forget_timeouts = True
    try:
        assert plane.submit(job_input(), policy=policy).wait().status == "COMPLETED"
    finally:
        plane.faults.forget_timeouts = False


def test_a_job_that_is_cancelled_in_the_queue_is_never_begun(
    plane: ControlPlane, worker: RunPodWorker
) -> None:
    first = plane.submit(job_input(seconds=1.0))
    queued = plane.submit(job_input())
    plane.cancel(queued)
    assert first.wait().status == "COMPLETED"
    assert plane.submit(job_input()).wait().status == "COMPLETED"
    assert not queued.posts
    assert not queued.deliveries


def test_a_job_that_is_cancelled_after_its_end_stays_as_it_is(
    plane: ControlPlane, worker: RunPodWorker
) -> None:
    job = plane.submit(job_input()).wait()
    plane.cancel(job)
    assert job.status == "COMPLETED"


def test_the_heartbeat_beats(plane: ControlPlane, worker: RunPodWorker) -> None:
    assert plane.calls_of("ping")


def test_the_real_handler_renders(tmp_path: Path) -> None:
    with (
        ControlPlane() as plane,
        running_worker(plane, tmp_path, script=HANDLER, is_fresh=True) as worker,
    ):
        for _ in range(2):
            result = plane.submit(job_input(seconds=1.0, resolution="480p")).result()
            assert "error" not in result, worker.said()
            assert output_of(result)["num_frames"] == 25
        assert worker.said().count("engine warp loaded") == 1
        assert plane.calls_of("ping")
        assert "video_base64" not in worker.said()  # the SDK's debug log would show it all


def test_a_local_job_runs_without_runpod(tmp_path: Path) -> None:
    job = {
        "input": {
            "prompt": "p",
            "image_path": str(PORTRAIT),
            "audio_paths": {"person1": {"text": "Hi"}},
            "resolution": "480p",
        }
    }
    settings = {"MULTITALK_ALLOWED_ROOTS": str(PORTRAIT.parent)}
    arguments = ["--test_input", json.dumps(job)]
    done = run_to_end(arguments, tmp_path, **settings)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_setting_that_is_wrong_stops_the_worker_with_a_sentence(tmp_path: Path) -> None:
    done = run_to_end([], tmp_path, MULTITALK_ENGIN="warp")
    assert done.returncode == 1
    assert "MULTITALK_ENGINE" in done.stderr
    assert "Traceback" not in done.stderr
