"""What must work before the first job is asked for; the SDK tells the platform what does not.

The SDK's own checks are left out unless the operator turns them on: they want 10 % of the disk at
`/` free, whoever owns it, and a connection to 8.8.8.8, and would try the GPU's memory when the
engine has filled it. The engine is tried out instead.
"""

import asyncio
import os
from typing import NoReturn

from runpod.serverless import register_fitness_check
from runpod.serverless.modules.rp_fitness import run_fitness_checks

from multitalk.job.self_test import check_engine, check_weights, check_work_directory
from multitalk.serving.runpod.worker import Worker
from multitalk.settings import Settings

SDK_SWITCHES = ("RUNPOD_SKIP_AUTO_SYSTEM_CHECKS", "RUNPOD_SKIP_GPU_CHECK")


def register(worker: Worker, settings: Settings) -> None:
    """Have the SDK check these at its start, before its own checks."""
    for switch in SDK_SWITCHES:
        os.environ.setdefault(switch, "true")

    def work_directory() -> None:
        check_work_directory(settings)

    def weights() -> None:
        if worker.engine_name == "diffusion":
            check_weights(settings)

    async def engine() -> None:
        await worker.try_out(check_engine)

    for check in (work_directory, weights, engine):
        register_fitness_check(check)


def end_unfit(check: str, error: Exception) -> NoReturn:
    """End a process that cannot become a worker, and tell the platform why.

    Args:
        check: What failed, in a word.
        error: Its message goes to the platform, or to the terminal.
    """
    if "RUNPOD_WEBHOOK_GET_JOB" in os.environ:

        def failed() -> None:
            raise error

        failed.__name__ = check
        register_fitness_check(failed)
        asyncio.run(run_fitness_checks())  # ends the process
    raise SystemExit(str(error)) from error
