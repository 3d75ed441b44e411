"""A worker with an engine that does what the prompt says; run as `stub_queue_worker.py URL`.

The prompt's first word: `crash`, `starve` (no memory), `full` (no disk), `hang` (deaf to
everything), `die` (the process is gone), `slow` (0.2 s for each 5 frames); else the engine
renders at once, after STUB_SECONDS. STUB_LEASE is the queue's lease in seconds.
"""

import errno
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from fake_engine import FakeEngine
from multitalk.engines.base import FrameChunk, Scene
from multitalk.serving.queue import QueueConfig
from multitalk.serving.worker.loop import EngineThread, WorkerLimits
from multitalk.serving.worker.process import open_queue_source, serve
from multitalk.settings import Settings


class QueueStubEngine(FakeEngine):
    """Does what the prompt says."""

    def render(self, scene: Scene, *more: Any) -> Iterator[FrameChunk]:
        word = scene.prompt.split()[0]
        if word == "crash":
            raise RuntimeError("a crash at /secret/place")
        if word == "starve":
            raise MemoryError
        if word == "full":
            raise OSError(errno.ENOSPC, "No space left on device", "/secret/place")
        if word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "hang":
            time.sleep(float(os.environ.get("STUB_HANG", "2")))
        time.sleep(float(os.environ.get("STUB_SECONDS", "0")))
        for chunk in super().render(scene, *more):
            if word == "slow":
                time.sleep(0.2)
            yield chunk


def main() -> None:
    logging.basicConfig(level="INFO")
    queue_config = QueueConfig(lease_seconds=float(os.environ.get("STUB_LEASE", "30")))
    code = serve(
        lambda: open_queue_source(sys.argv[1], queue_config),
        EngineThread(lambda: QueueStubEngine(chunk_frames=5)),
        Settings.from_env(),
        WorkerLimits(drain_seconds=float(os.environ.get("STUB_DRAIN", "25")), stuck_seconds=2.0),
    )
    raise SystemExit(code)


if __name__ == "__main__":
    main()
