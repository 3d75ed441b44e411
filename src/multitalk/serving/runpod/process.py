"""The worker's process: settings, engine, then the SDK until the platform says stop."""

import logging
import os
import sys

import runpod
from runpod.serverless.modules import rp_scale
from runpod.serverless.modules.rp_logger import RunPodLogger

from multitalk.errors import MultiTalkError
from multitalk.job import sweep
from multitalk.provenance import prepare
from multitalk.registry import load_engine
from multitalk.serving.runpod import fitness, trial
from multitalk.serving.runpod.heartbeat import tie_children_to_this_process
from multitalk.serving.runpod.scaler import PatientScaler
from multitalk.serving.runpod.worker import Worker
from multitalk.settings import SettingError, Settings


def main() -> None:
    """Read the settings, load the engine, then serve until the platform says stop.

    Where RunPod is not, one job is done instead: see `trial`.
    """
    _quiet_sdk()
    try:
        settings = Settings.from_env()
    except SettingError as error:
        fitness.end_unfit("settings", error)
    is_trial = trial.is_trial()
    if is_trial:
        trial.check_job()
    settings = trial.with_own_files(settings) if is_trial else settings
    # In place of the SDK's, which is there since it was imported
    form = "%(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=settings.log_level, format=form, force=True)
    try:
        prepare(settings)
    except MultiTalkError as error:
        fitness.end_unfit("provenance", error)
    try:
        engine = load_engine(settings.engine, settings=settings)
    except MultiTalkError as error:
        fitness.end_unfit("engine_loads", error)
    worker = Worker(engine, settings)
    if is_trial:
        _try(worker)
    else:
        serve(worker, settings)


def serve(worker: Worker, settings: Settings) -> None:
    """Serve RunPod's queue with a worker that is ready."""
    _quiet_sdk()
    sweep(settings.work_directory)
    tie_children_to_this_process()
    fitness.register(worker, settings)
    rp_scale.JobScaler = PatientScaler
    runpod.serverless.start({"handler": worker.handle, "worker": worker})


def _try(worker: Worker) -> None:
    """Do the one job that was given."""
    keeper = trial.Keeper(worker.handle)
    try:
        runpod.serverless.start({"handler": keeper.handle, "worker": worker})
    finally:  # the SDK ends the process
        if keeper.said:
            sys.stdout.write(f"{keeper.said}\n")


def _quiet_sdk() -> None:
    """The SDK's default level, DEBUG, logs whole videos; keep the operator's if there is one."""
    if not {"RUNPOD_LOG_LEVEL", "RUNPOD_DEBUG_LEVEL"} & os.environ.keys():
        RunPodLogger().set_level("INFO")
