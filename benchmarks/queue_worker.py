"""A worker of a queue whose engine only sleeps, a process of `queue_campaign.py`'s."""

import argparse
import logging
import time
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from multitalk.engines.base import FrameChunk, ProgressCallback, RenderOptions, Scene
from multitalk.serving.queue import QueueConfig
from multitalk.serving.worker.loop import EngineThread, WorkerLimits
from multitalk.serving.worker.process import open_queue_source, serve
from multitalk.settings import Settings


class SleepingEngine:
    """Sleeps as long as the prompt says, then shows a few grey frames."""

    name: ClassVar[str] = "warp"
    takes_footage: ClassVar[bool] = False
    takes_quality: ClassVar[bool] = True

    def check(self, options: RenderOptions) -> None:
        """Any options will do."""

    def render(
        self,
        scene: Scene,
        options: RenderOptions,  # noqa: ARG002
        watch: ProgressCallback,
    ) -> Iterator[FrameChunk]:
        """One chunk."""
        watch(0)
        time.sleep(float(scene.prompt.split()[-1]))
        yield FrameChunk(np.full((scene.num_frames, 48, 64, 3), 99, np.uint8), 0)

    def close(self) -> None:
        """There is nothing to give back."""


def main() -> None:
    """Do the queue's jobs until told to stop."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--queue", required=True, help="its address")
    parser.add_argument("--id", required=True, help="the worker's name in the queue")
    parser.add_argument("--lease", type=float, required=True, help="seconds")
    arguments = parser.parse_args()
    logging.basicConfig(level="INFO")
    config = QueueConfig(lease_seconds=arguments.lease)
    raise SystemExit(
        serve(
            lambda: open_queue_source(arguments.queue, config),
            EngineThread(SleepingEngine),
            Settings.from_env(),
            WorkerLimits(drain_seconds=5.0),
            worker_id=arguments.id,
        )
    )


if __name__ == "__main__":
    main()
