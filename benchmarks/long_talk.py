"""Time and memory of each window of a long talk, through the diffusion engine with random weights.

    .venv-diffusion/bin/python benchmarks/long_talk.py [--windows 40] [--speakers 2]

The networks are toys, the lengths are the published ones: windows of 81 frames, 25 of them shared.
"""

import argparse
import os
import resource
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from multitalk.engines.base import RenderOptions, Scene, Speaker, ignore_progress
from multitalk.engines.diffusion.engine import DiffusionEngine
from multitalk.engines.diffusion.memory_plan import PLANS
from multitalk.engines.diffusion.profiles import LoraProfiles
from multitalk.engines.diffusion.windows import WindowLengths

sys.path.append(str(Path(__file__).parents[1] / "tests" / "engines" / "diffusion"))
from toy import TOY_SIZES, toy_pipeline

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes
MB = 1e6
COMPARED = 5  # windows at the start, and at the end
HEIGHT, WIDTH = TOY_SIZES["480p"][1]


def make_scene(num_frames: int, speakers: int) -> Scene:
    """Speakers side by side who take turns, two seconds each."""
    seconds = np.arange(num_frames * 640) / 16_000
    noise = np.random.default_rng(0).normal(0, 0.2, len(seconds))
    return Scene(
        np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        tuple(
            Speaker(
                f"person{number}",
                np.where(seconds // 2 % speakers == number, noise, 0).astype(np.float32),
                (16.0 * number, 0.0, 16.0 * number + 14, 40.0) if speakers > 1 else None,
            )
            for number in range(speakers)
        ),
        "a man talks",
        num_frames,
    )


def main() -> None:
    """Render a talk and print time and memory of each window."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--speakers", type=int, choices=(1, 2), default=2)
    parser.add_argument("--steps", type=int, default=2)
    options = parser.parse_args()

    torch.set_num_threads(1)
    lengths = WindowLengths(window_frames=81, conditioning_frames=25)
    num_frames = lengths.window_frames + (options.windows - 1) * lengths.stride
    pipeline = toy_pipeline(segment_frames=81, conditioning_frames=25)
    engine = DiffusionEngine(
        pipeline, PLANS[:1], LoraProfiles(pipeline.transformer, Path("network"))
    )
    how = RenderOptions(seed=0, resolution="480p", num_inference_steps=options.steps)

    seconds, peaks = [], []
    before = time.process_time()
    for chunk in engine.render(make_scene(num_frames, options.speakers), how, ignore_progress):
        now = time.process_time()
        seconds.append(now - before)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT)
        peak = f"{peaks[-1] / MB:.0f} MB"
        print(f"{len(seconds):3}  {len(chunk.frames)} frames  {seconds[-1]:.2f} s  {peak}")
        before = time.process_time()
    first, last = seconds[1 : 1 + COMPARED], seconds[-COMPARED:]
    talk = f"{num_frames / 25:.0f} s of talk, {options.speakers} speakers"
    print(f"{talk}, load {os.getloadavg()[0]:.1f}")
    print(f"CPU, last window / second: {last[-1] / first[0]:.2f}")
    print(f"CPU, medians of {COMPARED} windows: {median(last) / median(first):.2f}")
    grown = (peaks[-1] - peaks[COMPARED]) / MB
    print(f"peak after the last - after window {COMPARED + 1}: {grown:+.0f} MB")


if __name__ == "__main__":
    main()
