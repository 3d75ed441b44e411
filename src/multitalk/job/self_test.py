"""What must work before the first job is claimed, whatever the queue.

The engine renders a talk of some frames of a drawn face.
"""

import tempfile

import numpy as np

from multitalk.array_types import Speech
from multitalk.disk import free_bytes
from multitalk.engines.base import Engine, RenderOptions, Scene, Speaker, ignore_progress
from multitalk.errors import DiskUnusable, EngineUnavailable, WeightsUnavailable
from multitalk.face.synthetic_face import draw_face
from multitalk.job.workdir import work_directory_error
from multitalk.settings import Settings
from multitalk.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from multitalk.weights.directory_search import find_weights_directory
from multitalk.weights.sets import load_manifest
from multitalk.weights.verify import SENTENCE_KEYS, verify_weights

PORTRAIT_PIXELS = 480
NUM_FRAMES = 10
HUM_HERTZ = 125
PROMPT = "a drawn face hums"
RESULT_BYTES = 256 * 2**20  # of disk for results, beside sources
PROBE_BYTES = 2**20  # written and removed again: a quota shows only when something is written


def check_work_directory(settings: Settings) -> None:
    """Check that a job's files can be stored; takes about a millisecond.

    Raises:
        DiskUnusable: They cannot be written, or too little disk is free: `disk_needed`.
    """
    directory = settings.work_directory
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(bytes(PROBE_BYTES))
        free = free_bytes(directory)
    except OSError as error:
        raise work_directory_error(error) from error
    needed = disk_needed(settings)
    if free < needed:
        raise DiskUnusable("work_directory_low", free=free / 2**20, needed=needed / 2**20)


def disk_needed(settings: Settings) -> int:
    """Bytes of free disk for a job with the largest picture, or video in its place, and voice."""
    visual = max(settings.max_image_bytes, settings.max_video_bytes)
    return visual + settings.max_audio_bytes + RESULT_BYTES


def check_weights(settings: Settings) -> None:
    """Check that the weights' files have their published, or locked, sizes; takes milliseconds.

    Raises:
        WeightsUnavailable: One has not. Missing files are reported by the engine.
    """
    directory = find_weights_directory(settings)
    if directory is None:
        return
    for weight_set in load_manifest().fetchable:
        for problem in verify_weights(directory, weight_set):
            if problem.kind != "missing":
                raise WeightsUnavailable(SENTENCE_KEYS[problem.kind], file=problem.file)


def hum(num_frames: int) -> Speech:
    """A voice for a test: a low tone of so many video frames."""
    seconds = np.arange(num_frames * SAMPLES_PER_FRAME) / SAMPLE_RATE
    tone: Speech = (0.3 * np.sin(2 * np.pi * HUM_HERTZ * seconds)).astype(np.float32)
    return tone


def check_engine(engine: Engine) -> None:
    """Check that it renders: ten frames of a drawn face that hums, in the fewest steps.

    Raises:
        EngineUnavailable: Frames are missing.
        MultiTalkError: The engine's own.
    """
    scene = Scene(
        portrait=draw_face(PORTRAIT_PIXELS),
        speakers=(Speaker("person1", hum(NUM_FRAMES)),),
        prompt=PROMPT,
        num_frames=NUM_FRAMES,
    )
    options = RenderOptions(seed=0, resolution="480p", num_inference_steps=1)
    rendered = sum(len(chunk.frames) for chunk in engine.render(scene, options, ignore_progress))
    if rendered != NUM_FRAMES:
        reason = f"{rendered} frames of {NUM_FRAMES}"
        raise EngineUnavailable("engine_unavailable", engine=engine.name, reason=reason)
