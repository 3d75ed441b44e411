"""The parts of RunPod's SDK that are used: fitness checks, heartbeat, log and local modes.

The SDK's own loop is not used; `runpod_source` claims jobs and posts results itself.
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import runpod
from runpod.http_client import AsyncClientSession
from runpod.serverless import register_fitness_check
from runpod.serverless.modules.rp_fitness import run_fitness_checks
from runpod.serverless.modules.rp_logger import RunPodLogger
from runpod.serverless.modules.rp_ping import Heartbeat
from runpod.serverless.modules.worker_state import WORKER_ID, JobsProgress, PingJobMirror

from multitalk.confinement.kernel import parent_death_signal
from multitalk.job.self_test import check_engine, check_weights, check_work_directory
from multitalk.serving.runpod.platform import Addresses, Platform
from multitalk.serving.runpod.runpod_source import TRAITS, RunPodSource, open_source
from multitalk.serving.worker.job_source import SourceTraits
from multitalk.serving.worker.loop import EngineThread
from multitalk.settings import Settings

ON_RUNPOD = "RUNPOD_WEBHOOK_GET_JOB"  # where it is set, jobs come from the platform
AS_SERVER = "RUNPOD_REALTIME_PORT"
# The SDK's own checks want 10 % of the disk at `/` free, whoever owns it, and a connection to
# 8.8.8.8, and would try the GPU's memory when the engine has filled it.
SKIPPED_CHECKS = ("RUNPOD_SKIP_AUTO_SYSTEM_CHECKS", "RUNPOD_SKIP_GPU_CHECK")

Handler = Callable[[Any], Any]


def quiet_log() -> None:
    """The SDK's default level, DEBUG, logs whole videos; keep the operator's if there is one."""
    level = options().rp_log_level
    if level:
        RunPodLogger().set_level(level)
    elif not {"RUNPOD_LOG_LEVEL", "RUNPOD_DEBUG_LEVEL"} & os.environ.keys():
        RunPodLogger().set_level("INFO")


def options() -> Any:
    """The SDK's options on the command line."""
    return runpod.serverless.parser.parse_known_args()[0]


def is_server() -> bool:
    """Whether the SDK is to serve HTTP itself: `--rp_serve_api`, or realtime mode."""
    return bool(options().rp_serve_api) or bool(int(os.environ.get(AS_SERVER) or 0))


def is_local() -> bool:
    """Whether the SDK is to run one local job and end."""
    return not is_server() and (bool(options().test_input) or ON_RUNPOD not in os.environ)


def run_local(handler: Handler) -> None:
    """Have the SDK run a local job or its HTTP server."""
    runpod.serverless.start({"handler": handler})


def check_fitness(engine: EngineThread, settings: Settings) -> None:
    """Run the checks; one that fails is reported to the platform and ends the process."""
    for switch in SKIPPED_CHECKS:
        os.environ.setdefault(switch, "true")

    def work_directory() -> None:
        check_work_directory(settings)

    def weights() -> None:
        if engine.engine.name == "diffusion":
            check_weights(settings)

    async def renders() -> None:
        await engine.run(check_engine)

    renders.__name__ = "engine"
    for check in (work_directory, weights, renders):
        register_fitness_check(check)
    asyncio.run(run_fitness_checks())


def end_unfit(check: str, error: Exception) -> NoReturn:
    """End a process that cannot become a worker, and report why to the platform.

    Args:
        check: What failed, in a word.
        error: Its message goes to the platform, or to the terminal.
    """
    if ON_RUNPOD in os.environ:

        def failed() -> None:
            raise error

        failed.__name__ = check
        register_fitness_check(failed)
        asyncio.run(run_fitness_checks())  # ends the process
    raise SystemExit(str(error)) from error


def start_heartbeat() -> None:
    """Start the SDK's second process, which names the jobs in work to the platform.

    It must not outlive this one: a killed worker's orphan would keep its jobs' leases for ever.
    """
    _tie_children_to_this_process()
    mirror = PingJobMirror()
    JobsProgress().set_mirror(mirror)
    Heartbeat().start_ping(mirror)


@asynccontextmanager
async def platform_source(*, is_streamed: bool) -> AsyncIterator[tuple[RunPodSource, SourceTraits]]:
    """The platform that the environment names, as a source of jobs."""
    addresses = Addresses.from_environment(os.environ, WORKER_ID)
    async with (
        AsyncClientSession() as session,
        open_source(
            Platform(session, addresses), JobsProgress(), is_streamed=is_streamed
        ) as source,
    ):
        yield source, TRAITS


def _tie_children_to_this_process() -> None:
    """From now on, what this process forks is killed with it. Linux only; elsewhere nothing.

    The kernel sends the signal when the forking thread ends: the SDK forks in the main thread. From
    Python 3.14 on, `multiprocessing` would fork from a server process, which lives on.
    """
    set_signal = parent_death_signal(signal.SIGKILL)
    if set_signal is None:
        return
    multiprocessing.set_start_method("fork", force=True)
    parent = os.getpid()

    def tie() -> None:
        set_signal()
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    os.register_at_fork(after_in_child=tie)
