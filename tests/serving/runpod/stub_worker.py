"""The worker with an engine that does what the prompt says, slow enough to be watched.

The prompt's first word: `crash`, `falter` (a crash after a second and a half), `starve` (no
memory), `full` (no disk), `hang` (deaf to everything), `die` (the process is gone), `slow`,
`noise` (a large video); else the engine renders, 0.2 s for each 5 frames, or as many as
STUB_SECONDS says.
"""

import asyncio
import errno
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from fake_engine import FakeEngine
from multitalk.engines.base import FrameChunk, Scene
from multitalk.serving.runpod.process import serve
from multitalk.serving.worker.loop import EngineThread, WorkerLimits
from multitalk.settings import Settings

SECRET = "/secret/place"


class StubEngine(FakeEngine):
    """Does what the prompt says."""

    def render(self, scene: Scene, *more: Any) -> Iterator[FrameChunk]:
        word = scene.prompt.split()[0]
        if word == "crash":
            raise RuntimeError(f"a crash at {SECRET}")
        if word == "starve":
            raise MemoryError
        if word == "full":
            raise OSError(errno.ENOSPC, "No space left on device", SECRET)
        if word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "hang":
            time.sleep(600)
        if frames := int(os.environ.get("STUB_FRAMES", "0")):  # fewer than were asked for
            scene = replace(scene, num_frames=frames)
        for chunk in super().render(scene, *more):
            if word == "falter" and chunk.first > 37:
                raise RuntimeError("enough")
            if word == "slow":
                time.sleep(0.2)
            yield noise_like(chunk) if word == "noise" else chunk


def noise_like(chunk: FrameChunk) -> FrameChunk:
    """Costly to encode, yet without cuts: most of the noise stays."""
    still = np.random.default_rng(0).integers(0, 176, (240, 320, 3), np.uint8)
    size = (len(chunk.frames), *still.shape)
    moving = np.random.default_rng(chunk.first).integers(0, 80, size, np.uint8)
    return FrameChunk(still + moving, chunk.first)


def main() -> None:
    logging.basicConfig(level="INFO")
    settings = Settings.from_env()
    seconds = float(os.environ.get("STUB_SECONDS", "0.2"))
    engine = EngineThread(lambda: StubEngine(chunk_frames=5, seconds_per_chunk=seconds))
    asyncio.run(engine.load())
    logging.info("engine ready")
    limits = WorkerLimits(
        stuck_seconds=float(os.environ.get("STUB_STUCK_SECONDS", "120")),
        result_seconds=float(os.environ.get("STUB_PATIENCE", "600")),
    )
    raise SystemExit(serve(engine, settings, limits))


if __name__ == "__main__":
    main()
