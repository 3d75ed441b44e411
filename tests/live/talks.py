"""What live tests push, and the frames that come of it."""

import asyncio
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from clocks import TestClock
from multitalk.live import Avatar, LiveFrame
from multitalk.live.playout import samples_of
from multitalk.speech.synthesis import synthesize

PORTRAIT = Path(__file__).parents[2] / "examples" / "portrait.jpg"
FRAME = 640
AHEAD = 4  # frames: 160 ms


@cache
def voice() -> NDArray[np.int16]:
    """Some four seconds of speech at 16 kHz, whole frames."""
    pytest.importorskip("espeakng_loader")
    text = "Maybe my brother bought five purple umbrellas."
    spoken = samples_of(synthesize(text, language="en", voice="Michael").resampled(16_000))
    return spoken[: len(spoken) // FRAME * FRAME]


@cache
def small_portrait() -> NDArray[np.uint8]:
    whole = np.asarray(Image.open(PORTRAIT).convert("RGB"))
    return cv2.resize(whole, (320, 320), interpolation=cv2.INTER_AREA).astype(np.uint8)


def frames_until(avatar: Avatar, ready: Callable[[list[LiveFrame]], bool]) -> list[LiveFrame]:
    async def collect() -> list[LiveFrame]:
        frames: list[LiveFrame] = []
        async for frame in avatar:
            frames.append(frame)
            if ready(frames):
                break
        return frames

    return asyncio.run(collect())


def frames_for(avatar: Avatar, clock: TestClock, seconds: float) -> list[LiveFrame]:
    return frames_until(avatar, lambda _: clock.time >= seconds)


def ends(frames: list[LiveFrame]) -> bool:
    return frames[-1].end_of_speech


def push_in_time(
    avatar: Avatar, clock: TestClock, sound: NDArray[np.int16], *, ms: int, speed: float = 1.0
) -> None:
    """Schedule what a microphone does: pieces of so many ms, each pushed when it is complete."""
    size = 16 * ms
    start = clock.time
    for first in range(0, len(sound), size):
        part = sound[first : first + size]
        when = start + (first + len(part)) / 16_000 / speed
        clock.at(when, lambda part=part: avatar.push_audio(part, 16_000))
