"""What must work before the first job is claimed, whatever the queue.

The engine renders a talk of some frames of a drawn face.
"""

import tempfile

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Speech
from multitalk.disk import free_bytes
from multitalk.engines.base import Engine, RenderOptions, Scene, Speaker, ignore_progress
from multitalk.errors import DiskUnusable, EngineUnavailable, WeightsUnavailable
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

# Colours of the drawn face, RGB.
BACKGROUND = (150, 170, 190)
SKIN, SHADE, BROW = (224, 172, 140), (190, 132, 104), (70, 45, 30)
SHIRT, LIPS, MOUTH = (60, 70, 110), (185, 85, 85), (120, 50, 50)
WHITE, IRIS = (250, 250, 250), (60, 40, 25)


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


def draw_face(size: int) -> NDArray[np.uint8]:
    """Draw a frontal face with closed lips: enough shapes for the face models, and no file.

    Returns:
        RGB uint8 [size, size, 3]; the face is about half as high.
    """
    image = np.full((size, size, 3), BACKGROUND, np.uint8)

    def at(x: float, y: float) -> tuple[int, int]:
        return round(x * size), round(y * size)

    def ellipse(
        center: tuple[float, float],
        radii: tuple[float, float],
        color: tuple[int, int, int],
        *,
        arc: tuple[int, int] = (0, 360),
        line: float = 0.0,
    ) -> None:
        thickness = max(1, round(line * size)) if line else cv2.FILLED
        cv2.ellipse(image, at(*center), at(*radii), 0, *arc, color, thickness)

    cv2.rectangle(image, at(0.42, 0.7), at(0.58, 0.95), SKIN, cv2.FILLED)
    ellipse((0.5, 1.02), (0.33, 0.17), SHIRT, arc=(180, 360))
    ellipse((0.5, 0.42), (0.235, 0.33), BROW)  # hair
    ellipse((0.5, 0.5), (0.2, 0.285), SKIN)
    for x in (0.42, 0.58):
        ellipse((x, 0.46), (0.038, 0.018), WHITE)
        ellipse((x, 0.46), (0.017, 0.017), IRIS)
        ellipse((x, 0.46), (0.038, 0.018), BROW, arc=(180, 360), line=0.004)
        ellipse((x, 0.425), (0.05, 0.016), BROW, arc=(190, 350), line=0.012)
    ellipse((0.5, 0.58), (0.032, 0.016), SHADE, arc=(0, 180), line=0.008)  # nose
    ellipse((0.5, 0.665), (0.07, 0.02), LIPS)
    cv2.line(image, at(0.43, 0.665), at(0.57, 0.665), MOUTH, max(1, round(0.004 * size)))
    return cv2.GaussianBlur(image, (0, 0), size / 240).astype(np.uint8, copy=False)


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
