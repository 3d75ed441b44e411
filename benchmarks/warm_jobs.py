"""A process that has rendered before: what a whole job costs, and its two halves alone.

    python benchmarks/warm_jobs.py REQUEST NUM_RUNS       # prints one JSON object

In every run the same talk is made three ways, one right after the other so that whatever else
loads the machine loads all three: by a whole job; by the engine alone, its frames thrown away; and
by the encoder alone, from frames that are in memory already.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

from multitalk.engines.base import (
    Engine,
    FrameChunk,
    ProgressCallback,
    Quality,
    RenderOptions,
    Scene,
    ignore_progress,
)
from multitalk.local.studio import Studio
from multitalk.media.soundtrack import Soundtrack, SoundtrackVoice
from multitalk.media.video import VideoWriter
from multitalk.settings import Settings


class RememberingEngine:
    """Another engine, whose last scene and options are kept to be rendered again."""

    name: ClassVar[str] = "warp"
    takes_footage: ClassVar[bool] = False
    takes_quality: ClassVar[bool] = True

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def check(self, options: RenderOptions) -> None:
        """As the other engine does."""
        self.engine.check(options)

    def render(
        self, scene: Scene, options: RenderOptions, watch: ProgressCallback
    ) -> Iterator[FrameChunk]:
        """As the other engine does."""
        self.scene, self.options = scene, options
        return self.engine.render(scene, options, watch)

    def close(self) -> None:
        """As the other engine does."""
        self.engine.close()


def cost(work: Callable[[], object]) -> dict[str, float]:
    """Seconds by the clock (`wall`) and of all cores together (`cpu`)."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def seconds_to_first_chunk(engine: RememberingEngine) -> float:
    """From the call of `render` until frames are there, detection and rigging included."""
    started = time.perf_counter()
    chunks = engine.engine.render(engine.scene, engine.options, ignore_progress)
    next(chunks)
    return time.perf_counter() - started


def render_only(engine: RememberingEngine) -> None:
    """The engine's part of the job; each chunk is let go at once."""
    for _ in engine.engine.render(engine.scene, engine.options, ignore_progress):
        pass


def encode_only(
    chunks: list[FrameChunk], voices: list[Path], output: Path, quality: Quality
) -> None:
    """The encoder's part of the job: colour conversion, picture, sound, file."""
    height, width = chunks[0].frames.shape[1:3]
    soundtrack = Soundtrack(
        [SoundtrackVoice(path) for path in voices],
        num_frames=sum(len(chunk.frames) for chunk in chunks),
    )
    with VideoWriter(
        output, width=width, height=height, soundtrack=soundtrack, quality=quality
    ) as writer:
        for chunk in chunks:
            writer.append(chunk.frames)


def measure(talk: dict[str, object], num_runs: int, output: Path) -> dict[str, object]:
    """Warm up with one job, then measure."""
    studio = Studio("warp", settings=Settings())
    studio.engine = engine = RememberingEngine(studio.engine)
    studio.render(**talk, output=output)
    chunks = list(engine.engine.render(engine.scene, engine.options, ignore_progress))
    voices = [Path(path) for path in talk["audio"].values()]
    stages: list[dict[str, float]] = []
    runs: dict[str, list[dict[str, float]]] = {"job": [], "render": [], "encode": []}
    firsts = []
    for _ in range(num_runs):
        runs["job"].append(
            cost(lambda: stages.append(studio.render(**talk, output=output).timings))
        )
        runs["render"].append(cost(lambda: render_only(engine)))
        runs["encode"].append(
            cost(lambda: encode_only(chunks, voices, output, engine.options.quality))
        )
        firsts.append(seconds_to_first_chunk(engine))
    return {
        "num_frames": sum(len(chunk.frames) for chunk in chunks),
        "file_bytes": output.stat().st_size,
        "runs": runs,
        "stages": stages,
        "first_chunk": firsts,
    }


def main() -> None:
    """Measure the talk that is named."""
    talk = json.loads(Path(sys.argv[1]).read_text())
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(measure(talk, int(sys.argv[2]), Path(name) / "talk.mp4")))


if __name__ == "__main__":
    main()
