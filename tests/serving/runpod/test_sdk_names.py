"""The SDK's private names that the worker builds on are where the pinned version has them."""

import inspect
import subprocess
import sys
from importlib.metadata import version

import runpod
from runpod.serverless.modules import rp_fitness, rp_http, rp_job, rp_ping, rp_scale
from runpod.serverless.modules.worker_state import JobsProgress

from multitalk.serving.runpod.scaler import PatientScaler

OVERRIDDEN = (
    "start",
    "run",
    "get_jobs",
    "run_jobs",
    "set_scale",
    "handle_job",
    "monitor_stop_signals",
)


def test_the_version_is_the_pinned_one() -> None:
    assert version("runpod") == "1.12.0"


def test_the_options_that_make_a_local_test_are_there() -> None:
    options, _ = runpod.serverless.parser.parse_known_args([])
    assert (options.test_input, options.rp_serve_api) == (None, None)


def test_what_the_scaler_overrides_and_uses_is_there() -> None:
    scaler = rp_scale.JobScaler({})
    for name in OVERRIDDEN:
        mine, theirs = getattr(PatientScaler, name), getattr(rp_scale.JobScaler, name)
        assert mine is not theirs
        assert list(inspect.signature(mine).parameters) == list(
            inspect.signature(theirs).parameters
        )
    for name in (
        "jobs_fetcher",
        "stop_signals_fetcher",
        "stop_signals_fetcher_timeout",
        "jobs_handler",
        "job_progress",
        "jobs_queue",
        "jobs_tasks",
        "current_concurrency",
        "_shutdown_event",
    ):
        assert hasattr(scaler, name)
    assert scaler.is_alive()
    scaler.kill_worker()
    assert not scaler.is_alive()
    assert scaler.current_occupancy() == 0
    assert JobsProgress().get("nobody") is None


def test_the_worker_s_loop_is_made_from_the_name_that_is_replaced() -> None:
    from runpod.serverless import worker

    assert "rp_scale.JobScaler(config)" in inspect.getsource(worker.run_worker)


def test_posts_go_where_the_sdk_s_go() -> None:
    for url in (rp_http.JOB_DONE_URL, rp_http.JOB_STREAM_URL):
        assert isinstance(url, str)
    assert inspect.iscoroutinefunction(rp_job.get_job)
    assert inspect.iscoroutinefunction(rp_job.get_stop_signals)
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
