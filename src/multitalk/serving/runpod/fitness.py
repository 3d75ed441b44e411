"""What must work before the first job is asked for; the SDK tells the platform what does not.

The SDK's own checks are left out unless the operator turns them on: they want 10 % of the disk at
`/` free, whoever owns it, and a connection to 8.8.8.8, and would try the GPU's memory when the
engine has filled it. The engine is tried out instead.
"""

import asyncio
import os
import shutil
import tempfile
from typing import NoReturn

import numpy as np
from runpod.serverless import register_fitness_check
from runpod.serverless.modules.rp_fitness import run_fitness_checks

from multitalk.engines.base import Engine, RenderOptions, Scene, Speaker, unwatched
from multitalk.errors import EngineUnavailable, WeightsUnavailable, WorkerError
from multitalk.face.drawn_face import draw_face
from multitalk.serving.runpod.worker import Worker
from multitalk.settings import Settings
from multitalk.weights.manifest import load_manifest
from multitalk.weights.places import find_weights
from multitalk.weights.verify import SENTENCE_KEYS, verify_weights

SDK_SWITCHES = ("RUNPOD_SKIP_AUTO_SYSTEM_CHECKS", "RUNPOD_SKIP_GPU_CHECK")
PORTRAIT_PIXELS = 480
NUM_FRAMES = 10
HUM_HERTZ = 125
SAMPLES_PER_FRAME = 640  # 16 kHz at 25 frames a second
RESULT_BYTES = 256 * 2**20  # of disk for what is made, beside what is fetched


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


def check_work_directory(settings: Settings) -> None:
    """Can a job's files be kept?

    Raises:
        WorkerError: They cannot be written, or one job of the largest inputs would not fit.
    """
    directory = settings.work_directory
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"\0")
        free = shutil.disk_usage(directory).free
    except OSError as error:
        raise WorkerError("work_directory_unusable", reason=error.strerror) from error
    needed = settings.max_image_bytes + settings.max_audio_bytes + RESULT_BYTES
    if free < needed:
        raise WorkerError("work_directory_full", free=free / 2**20, needed=needed / 2**20)


def check_weights(settings: Settings) -> None:
    """Have the weights' files the sizes that are published, or that were locked? Takes milliseconds.

    Raises:
        WeightsUnavailable: One has not. Those that are missing are the engine's to ask for.
    """
    directory = find_weights(settings)
    if directory is None:
        return
    for weight_set in load_manifest().sets:
        for problem in verify_weights(directory, weight_set):
            if problem.kind != "missing":
                raise WeightsUnavailable(SENTENCE_KEYS[problem.kind], file=problem.file)


def check_engine(engine: Engine) -> None:
    """Does it render? Ten frames of a drawn face that hums, in as few steps as there can be.

    Raises:
        EngineUnavailable: Frames are missing.
        MultiTalkError: As the engine says.
    """
    seconds = np.arange(NUM_FRAMES * SAMPLES_PER_FRAME) / (25 * SAMPLES_PER_FRAME)
    hum = (0.3 * np.sin(2 * np.pi * HUM_HERTZ * seconds)).astype(np.float32)
    scene = Scene(
        portrait=draw_face(PORTRAIT_PIXELS),
        speakers=(Speaker("person1", hum),),
        prompt="a drawn face hums",
        num_frames=NUM_FRAMES,
    )
    options = RenderOptions(seed=0, resolution="480p", num_inference_steps=1)
    rendered = sum(len(chunk.frames) for chunk in engine.render(scene, options, unwatched))
    if rendered != NUM_FRAMES:
        reason = f"{rendered} frames of {NUM_FRAMES}"
        raise EngineUnavailable("engine_unavailable", engine=engine.name, reason=reason)


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
