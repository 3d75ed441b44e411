"""What is used of RunPod's SDK is there, in the pinned version and in the next one."""

import inspect
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import runpod
from control_plane import ControlPlane
from job_inputs import job_input
from runpod.serverless.modules import rp_fitness, rp_ping
from worker_process import ROOT, running_worker

NEXT = "2.0.0rc2"  # whose own loop differs from the pinned version's


def test_the_version_is_the_pinned_one() -> None:
    assert version("runpod") == "1.12.0"


def test_the_options_that_make_a_local_test_are_there() -> None:
    options, _ = runpod.serverless.parser.parse_known_args([])
    assert (options.test_input, options.rp_serve_api, options.rp_log_level) == (None, None, None)


def test_fitness_checks_are_run_by_a_coroutine() -> None:
    assert inspect.iscoroutinefunction(rp_fitness.run_fitness_checks)


def test_the_heartbeat_is_forked_from_the_main_thread() -> None:
    assert "Process(target=" in inspect.getsource(rp_ping.Heartbeat.start_ping)


def test_the_worker_s_import_of_the_sdk_does_not_look_at_the_processor() -> None:
    shown = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import cpuinfo; ask = cpuinfo.get_cpu_info; import multitalk.serving.runpod; "
            "from runpod.serverless.utils import rp_debugger; "
            "print(rp_debugger.PROCESSOR, cpuinfo.get_cpu_info is ask, sep='|')",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == "Unable to get processor info.|True"


@pytest.fixture(scope="module")
def next_sdk() -> Path:
    """The next SDK in a directory of its own, without what it depends on."""
    installer = shutil.which("uv")
    if installer is None:
        pytest.skip("no uv to get the next SDK with")
    directory = ROOT / "out" / f"runpod-{NEXT}"
    if not (directory / "runpod").is_dir():
        command = [installer, "pip", "install", "--quiet", "--no-deps", "--target", str(directory)]
        environment = {"UV_HTTP_TIMEOUT": "10", "UV_HTTP_RETRIES": "0", **os.environ}
        done = subprocess.run(
            [*command, "--python", sys.executable, f"runpod=={NEXT}"], check=False, env=environment
        )
        if done.returncode:
            shutil.rmtree(directory, ignore_errors=True)
            pytest.skip(f"runpod {NEXT} could not be got")
    return directory


def test_the_worker_serves_with_the_next_sdk(next_sdk: Path, tmp_path: Path) -> None:
    path = os.pathsep.join(filter(None, [str(next_sdk), os.environ.get("PYTHONPATH")]))
    with (
        ControlPlane() as plane,
        running_worker(plane, tmp_path, PYTHONPATH=path, STUB_SECONDS="0") as worker,
    ):
        assert plane.submit(job_input()).wait().status == "COMPLETED", worker.said()
        worker.stop()
        assert worker.exit_code() == 0
        assert NEXT in {ping.query.get("runpod_version") for ping in plane.calls_of("ping")}
