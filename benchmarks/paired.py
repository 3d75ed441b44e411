"""Two states of the program, measured in turn: CPU time of set-up, frames and whole talks.

    python benchmarks/paired.py OLD/src [NEW/src] [--runs 7] [--people 1]

A process for each state does the same work, one after the other and in alternating order, so that
whatever else loads the machine loads both. CPU times of a process, all threads together: medians,
and the median of the pairs' ratios. The talks are those of `warp.py`, at 720 lines.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from live import FreeTime, frame_costs
from multitalk.engines.base import RenderOptions, Scene, Speaker, ignore_progress
from multitalk.engines.warp.engine import WarpEngine
from multitalk.engines.warp.poses import PoseAnimator
from multitalk.engines.warp.quality import QUALITIES
from multitalk.engines.warp.rigged_scene import RiggedScene, rig_scene
from multitalk.face.detector import FaceDetector
from multitalk.live import Avatar
from multitalk.local.studio import Studio
from multitalk.media.image import load_picture
from multitalk.media.video import VideoWriter
from multitalk.settings import Settings
from multitalk.speech.viseme_track import VisemeTrack
from multitalk.speech.visemes import analyse_speech
from multitalk.timebase import FPS, SAMPLES_PER_FRAME
from talks import make_talk
from visemes import read_audio

SECONDS = 4
NUM_FRAMES = SECONDS * FPS
SHORT, LONG = 720, 1280  # pixels
WIDTHS = {1: 720, 2: 1280}  # of the picture, by people
MAX_PIXELS = 50_000_000


def drawn(rigged: RiggedScene, track: VisemeTrack) -> Iterator[NDArray[np.uint8]]:
    """Frames of people who all speak or rest alike."""
    animators = [
        PoseAnimator(rig, seed=1, person=person, num_frames=len(track)).poses(track)
        for person, rig in enumerate(rigged.rigs)
    ]
    for poses in zip(*animators, strict=True):
        frame = rigged.backdrop.copy()
        for renderer, pose in zip(rigged.renderers, poses, strict=True):
            renderer.draw(frame, pose)
        yield frame


def works(directory: Path, people: int) -> Mapping[str, Callable[[], object]]:
    """What is measured, by name."""
    name = f"{people} people"
    talk = make_talk(
        directory, people=people, height=SHORT, width=WIDTHS[people], seconds=SECONDS, name=name
    )
    asked = json.loads(talk.request.read_text())
    voices = [read_audio(Path(path)) for path in asked["audio"].values()]
    picture = load_picture(Path(asked["image"]), field="image", max_pixels=MAX_PIXELS).pixels
    speakers = tuple(Speaker(str(index), voice) for index, voice in enumerate(voices))
    scene = Scene(picture, speakers, "", NUM_FRAMES)
    detector, engine, studio = FaceDetector(), WarpEngine(), Studio("warp", settings=Settings())

    def rig() -> RiggedScene:
        return rig_scene(scene, detector, short=SHORT, long=LONG, quality=QUALITIES["standard"])

    def encode(frames: NDArray[np.uint8]) -> None:
        height, width = frames.shape[1:3]
        with VideoWriter(directory / "b.mp4", width=width, height=height, soundtrack=None) as file:
            file.append(frames)

    rigged, track = rig(), analyse_speech(voices[0])[:NUM_FRAMES]
    frames = np.stack(list(drawn(rigged, track)))
    avatar = Avatar(picture, size=SHORT, clock=FreeTime())
    loop = asyncio.new_event_loop()
    sound = voices[0][: NUM_FRAMES * SAMPLES_PER_FRAME]
    return {
        "set-up": rig,
        "first chunk of frames": lambda: next(
            engine.render(scene, RenderOptions(seed=1), ignore_progress)
        ),
        "drawing, speaking": lambda: list(drawn(rigged, track)),
        "drawing, idle": lambda: list(drawn(rigged, VisemeTrack.silent(NUM_FRAMES))),
        "encoding": lambda: encode(frames),
        "whole job": lambda: studio.render(**asked, output=directory / "a.mp4"),
        "live, idle": lambda: loop.run_until_complete(frame_costs(avatar, NUM_FRAMES)),
        "live, speaking": lambda: loop.run_until_complete(frame_costs(avatar, NUM_FRAMES, sound)),
    }


def serve(people: int) -> None:
    """Do each work that is named on stdin, and print its CPU seconds."""
    with tempfile.TemporaryDirectory() as directory:
        every = works(Path(directory), people)
        for work in every.values():
            work()
        print(json.dumps(list(every)), flush=True)
        for line in sys.stdin:
            started = time.process_time()
            every[line.strip()]()
            print(time.process_time() - started, flush=True)


class State:
    """A process that has imported one state of the program."""

    def __init__(self, source: Path, people: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(source), "--people", str(people), "--serve"],
            env=os.environ | {"PYTHONPATH": str(source.resolve()), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.works: list[str] = json.loads(self._answer())

    def cost(self, work: str) -> float:
        """CPU seconds of a work."""
        print(work, file=self._process.stdin, flush=True)
        return float(self._answer())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _answer(self) -> str:
        return self._process.stdout.readline() if self._process.stdout else ""


def main() -> None:
    """Print a row for each work."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, help="folder that holds the package")
    here = Path(__file__).parent.parent / "src"
    parser.add_argument("new", type=Path, nargs="?", default=here)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--people", type=int, choices=sorted(WIDTHS), default=1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.people)
        return
    states = [State(source, asked.people) for source in (asked.old, asked.new)]
    print(f"load {os.getloadavg()[0]:.1f}\n\n| {SECONDS} s, CPU ms | old | new | ratio |")
    print("| --- | --- | --- | --- |")
    for work in states[0].works:
        costs: list[list[float]] = [[], []]
        for run in range(asked.runs):
            for place in (0, 1) if run % 2 else (1, 0):
                costs[place].append(1000 * states[place].cost(work))
        ratio = median(new / old for old, new in zip(*costs, strict=True))
        print(f"| {work} | {median(costs[0]):.0f} | {median(costs[1]):.0f} | {ratio:.2f} |")
    for state in states:
        state.close()


if __name__ == "__main__":
    main()
