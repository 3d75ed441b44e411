"""The worker's process: settings, engine, then jobs until the platform says stop."""

import asyncio
import logging
import sys

from multitalk.engines.registry import load_engine
from multitalk.errors import MultiTalkError
from multitalk.job import sweep
from multitalk.provenance import load_credential
from multitalk.serving.runpod import sdk, sdk_local_modes
from multitalk.serving.worker.loop import EngineThread, WorkerLimits
from multitalk.serving.worker.process import serve as serve_source
from multitalk.settings import SettingError, Settings


def main() -> None:
    """Read the settings, load the engine, then serve until the platform says stop.

    Where RunPod is not, one job is done instead: see `sdk_local_modes`.
    """
    sdk.quiet_log()
    try:
        settings = Settings.from_env()
    except SettingError as error:
        sdk.end_unfit("settings", error)
    is_local = sdk.is_local()
    if is_local:
        sdk_local_modes.check_job()
        settings = sdk_local_modes.with_own_files(settings)
    # In place of the SDK's, which is there since it was imported
    form = "%(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=settings.log_level, format=form, force=True)
    try:
        load_credential(settings)
    except MultiTalkError as error:
        sdk.end_unfit("provenance", error)
    engine = EngineThread(lambda: load_engine(settings.engine, settings=settings))
    try:
        asyncio.run(engine.load())
    except MultiTalkError as error:
        sdk.end_unfit("engine_loads", error)
    if is_local:
        sdk_local_modes.run(sdk_local_modes.LocalHandler(engine, settings).handle)
    elif sdk.is_server():
        sdk.run_local(sdk_local_modes.LocalHandler(engine, settings).handle)
    else:
        sys.exit(serve(engine, settings, WorkerLimits()))


def serve(engine: EngineThread, settings: Settings, limits: WorkerLimits) -> int:
    """Serve RunPod's queue with an engine that is loaded; the exit code."""
    sdk.quiet_log()
    sweep(settings.work_directory)
    sdk.check_fitness(engine, settings)
    sdk.start_heartbeat()
    return serve_source(
        lambda: sdk.platform_source(is_streamed=settings.stream), engine, settings, limits
    )
