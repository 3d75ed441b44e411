"""A worker that could not do its jobs tells the platform so and asks for none."""

import signal
from pathlib import Path

import pytest
from control_plane import ControlPlane
from worker_process import HANDLER, STUB, running_worker

from multitalk.errors import WeightsUnavailable
from multitalk.job.self_test import check_weights
from multitalk.settings import Settings
from multitalk.weights.component_files import written_path
from multitalk.weights.sets import load_manifest


@pytest.mark.parametrize(
    ("script", "settings", "check", "said"),
    [
        (STUB, {"MULTITALK_WORK_DIRECTORY": "/nowhere"}, "work_directory", "cannot be used"),
        (STUB, {"MULTITALK_MAX_VIDEO_BYTES": str(2**49)}, "work_directory", "MiB left"),
        (STUB, {"STUB_FRAMES": "3"}, "engine", "3 frames of 10"),
        (HANDLER, {"MULTITALK_C2PA_KEY": "/nowhere"}, "provenance", "MULTITALK_C2PA_CERTIFICATE"),
        (HANDLER, {"MULTITALK_ENGINE": "diffusion"}, "engine_loads", "EngineUnavailable"),
        (HANDLER, {"MULTITALK_ENGIN": "warp"}, "settings", "MULTITALK_ENGINE"),
    ],
)
def test_what_does_not_work_is_told_and_no_job_is_asked_for(
    tmp_path: Path, script: Path, settings: dict[str, str], check: str, said: str
) -> None:
    with (
        ControlPlane() as plane,
        running_worker(plane, tmp_path, script=script, wait=False, **settings) as worker,
    ):
        assert worker.exit_code() == 1
        (ping,) = plane.calls_of("ping")
        assert (ping.query["status"], ping.query["check"]) == ("unhealthy", check)
        assert said in ping.query["reason"]
        assert not plane.calls_of("job-take")
        assert "Traceback" not in worker.said()


def test_a_worker_that_is_told_to_stop_before_it_is_ready_ends(tmp_path: Path) -> None:
    with ControlPlane() as plane, running_worker(plane, tmp_path, wait=False) as worker:
        worker.stop()
        assert worker.exit_code() == -signal.SIGTERM
        assert not plane.calls


def test_weights_of_another_size_than_the_published_are_told(tmp_path: Path) -> None:
    manifest = load_manifest()
    files = (file for name in manifest.sets for file in manifest.files(name))
    wanted = next(file for file in files if file.size)
    settings = Settings(weights=tmp_path)
    check_weights(settings)  # what is not there is the engine's to ask for
    path = written_path(tmp_path, wanted)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    with pytest.raises(WeightsUnavailable, match=path.name):
        check_weights(settings)
