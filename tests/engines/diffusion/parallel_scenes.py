"""What the processes of one team do in a test: `parallel_scenes.py SCENE WEIGHTS OUT PROCESSES`.

The first process plays the scene and writes down what came of it. The others follow, and in the
long scene something goes wrong there, too.
"""

import logging
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from team import run_team

from multitalk.engines.base import (
    RenderOptions,
    Scene,
    Speaker,
    WindowFiles,
    ignore_progress,
)
from multitalk.engines.diffusion.engine import DiffusionEngine
from multitalk.engines.registry import load_engine
from multitalk.errors import MultiTalkError
from multitalk.settings import Settings

PORTRAIT = np.random.default_rng(0).integers(0, 256, (100, 140, 3), dtype=np.uint8)
SIDES = ((10.0, 10.0, 60.0, 90.0), (80.0, 10.0, 130.0, 90.0))
CACHED_STEPS = 7  # of which the first five are always computed
CACHE_THRESHOLD = 1e9  # the others never
BETWEEN_EXCHANGES = "transformer.blocks.1.ffn"  # of tokens


def scene(boxes, *, num_frames=13):
    speakers = tuple(
        Speaker(
            f"person{number}",
            np.sin(np.arange(num_frames * 640, dtype=np.float32) / (10 * number)),
            box,
        )
        for number, box in enumerate(boxes, start=1)
    )
    return Scene(PORTRAIT, speakers, "a man talks", num_frames)


def talk(engine, boxes=(None,), *, steps=2, num_frames=13, watch=ignore_progress, **stated):
    """Two windows, three branches of the guidance in each step, if nothing else is stated."""
    options = RenderOptions(seed=5, resolution="480p", num_inference_steps=steps, **stated)
    return engine.render(scene(boxes, num_frames=num_frames), options, watch)


def frames_of(engine, *given, **named):
    return np.concatenate([chunk.frames for chunk in talk(engine, *given, **named)])


def outcome(engine):
    """The frames of a talk of one window and one step, or what went wrong."""
    try:
        return frames_of(engine, steps=1, num_frames=9)
    except MultiTalkError as error:
        return error.key


class EnoughError(Exception):
    pass


def enough(done):
    if done > 10:
        raise EnoughError


def goes_wrong(engine, part, wrong, *, call=1):
    """Have something happen at a call of a part of the pipeline, from now on and once."""
    calls = []
    component, _, inner = part.partition(".")

    def count(*_):
        calls.append(1)
        if len(calls) == call:
            wrong()

    component = getattr(engine.loaded[0].pipeline, component)
    component.get_submodule(inner).register_forward_pre_hook(count)


def raising(error):
    def wrong():
        raise error

    return wrong


def skip_a_step(engine):
    """This process skips the blocks that the others compute, once."""
    calls = []

    def skip(_module, arguments, named):
        calls.append(1)
        if len(calls) == 2:
            named["blocks_runner"] = lambda _modulation, tokens, _blocks: tokens
        return arguments, named

    network = engine.loaded[0].pipeline.transformer
    network.register_forward_pre_hook(skip, with_kwargs=True)


def short(engine):
    """Talks of one and of two, and one that begins with the first one's first window; one step."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "windows.npz")
        one = frames_of(engine, steps=1, window_files=WindowFiles(file, 2**20))
        continued = frames_of(
            engine, steps=1, window_files=WindowFiles(earlier=file), kept_windows=1
        )
    return {"one": one, "continued": continued, "two": frames_of(engine, SIDES, steps=1)}


def long(engine):
    """Talks that are whole, left, fail, find no memory, and the end of another process."""
    found = short(engine)
    found["cached"] = frames_of(engine, steps=CACHED_STEPS)
    try:
        frames_of(engine, watch=enough)
    except EnoughError:
        found["cancelled"] = True
    found["after_cancelled"] = frames_of(engine, SIDES, steps=1)
    left = talk(engine, steps=1)
    found["begun"] = next(left).frames
    found["after_begun"] = outcome(engine)  # nobody has closed the one before
    left.close()

    skip_a_step(engine)
    found["astray"], found["after_astray"] = outcome(engine), outcome(engine)

    goes_wrong(engine, "vae.decoder.conv_out", raising(torch.OutOfMemoryError("here")), call=2)
    found["no_memory_here"], found["plan_here"] = outcome(engine), engine.loaded[0].plan.name
    found["no_memory_there"], found["plan_there"] = outcome(engine), engine.loaded[0].plan.name

    found["failed"], found["after_failed"] = outcome(engine), outcome(engine)
    found["lost"], found["after_lost"] = outcome(engine), outcome(engine)
    return found


def halves(engine):
    """Talks of two halves whose branches have as many exchanges, have not, fail and break off."""
    found = short(engine)
    found["uneven"] = uneven(engine)
    found["failed"] = outcome(engine)
    found["no_memory"], found["plan"] = outcome(engine), engine.loaded[0].plan.name
    found["lost"], found["after_lost"] = outcome(engine), outcome(engine)
    return found


def uneven(engine):
    """A talk of two, of which a step's second branch hears nobody: it has fewer exchanges."""
    return frames_of(engine, SIDES, steps=1, text_guidance_scale=1.0)


# Where, and at which call of a talk. Of a step, the first two branches are asked in halves, the
# third by all together; strips of the frame are joined for each latent frame.
IN_HALVES, ALL_TOGETHER = (BETWEEN_EXCHANGES, 1), (BETWEEN_EXCHANGES, 2)
BETWEEN_STRIPS = "vae.encoder.mid_block", 2
# What goes wrong in which other process, during which talk of a scene, counted from 1.
ELSEWHERE = {
    ("long", 1, 12): (IN_HALVES, raising(torch.OutOfMemoryError("there"))),
    ("long", 1, 13): (BETWEEN_STRIPS, raising(RuntimeError("there"))),
    ("long", 1, 15): (ALL_TOGETHER, lambda: os._exit(3)),
    ("halves", 3, 5): (IN_HALVES, raising(RuntimeError("there"))),
    ("halves", 1, 6): (IN_HALVES, raising(torch.OutOfMemoryError("there"))),
    ("halves", 2, 7): (IN_HALVES, lambda: os._exit(3)),
}


def following(scene, rank):
    """`DiffusionEngine._render_shared`, with what goes wrong in a process that follows."""
    really, talks = DiffusionEngine._render_shared, []

    def followed(engine, *given):
        talks.append(1)
        if fault := ELSEWHERE.get((scene, rank, len(talks))):
            (part, call), wrong = fault
            goes_wrong(engine, part, wrong, call=call)
        return really(engine, *given)

    return followed


def play(name, weights, out):
    processes, rank = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
    if not torch.cuda.is_available():
        torch.accelerator.device_count = lambda: processes  # PyTorch counts no CPUs
    logging.basicConfig(level=logging.WARNING, force=True)  # over the test's own
    if rank:
        DiffusionEngine._render_shared = following(name, rank)
    settings = Settings(weights=Path(weights), step_cache_threshold=CACHE_THRESHOLD)
    engine = load_engine("diffusion", settings=settings)
    assert rank == 0, "the others have no door"
    np.savez(out, **{"short": short, "long": long, "halves": halves}[name](engine))
    engine.close()


if __name__ == "__main__":
    *scene_of, number = sys.argv[1:]
    run_team(lambda: play(*scene_of), int(number), Path(scene_of[-1]).parent)
