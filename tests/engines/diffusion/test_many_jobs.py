"""One process, many jobs: nothing of a job outlives it, but for what is remembered on purpose."""

import gc
import itertools
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("cv2")

from toy import toy_pipeline

from multitalk.engines.base import RenderOptions, Scene, Speaker, ignore_progress
from multitalk.engines.diffusion.encoders import LruCache
from multitalk.engines.diffusion.engine import DiffusionEngine
from multitalk.engines.diffusion.memory_plan import PLANS
from multitalk.engines.diffusion.profiles import LoraProfiles
from multitalk.engines.diffusion.step_cache import StepCache
from multitalk.engines.diffusion.talk import TalkModel

SIDES = (0.0, 0.0, 30.0, 50.0), (30.0, 0.0, 60.0, 50.0)
PROMPTS, PICTURES = 2, 2  # that are remembered here
ONE_WINDOW = 6  # number of a short job


class EndError(Exception):
    """How a job of these tests is ended."""


@pytest.fixture(scope="module")
def engine():
    pipeline = toy_pipeline()
    pipeline._prompt_cache, pipeline._picture_cache = LruCache(PROMPTS), LruCache(PICTURES)
    loras = LoraProfiles(pipeline.transformer, Path("network"))
    return DiffusionEngine(pipeline, PLANS, loras, step_cache_threshold=0.3)


def talk(engine, number, *, watch=ignore_progress):
    """The chunks of a job that is like no other."""
    draw = np.random.default_rng(number)
    num_frames = int(draw.integers(1, 14))
    size = (50, 60, 3) if number % 2 else (60, 60, 3)
    speakers = tuple(
        Speaker(f"person{i}", draw.normal(size=num_frames * 640).astype(np.float32), box)
        for i, box in enumerate(SIDES[: 1 + number % 2])
    )
    portrait = draw.integers(0, 256, size, dtype=np.uint8)
    scene = Scene(portrait, speakers, f"{'talks ' * (number % 5)} a man", num_frames)
    resolution = "720p" if number % 3 == 0 else "480p"
    options = RenderOptions(
        seed=number, resolution=resolution, num_inference_steps=1, text_guidance_scale=1.0
    )
    return engine.render(scene, options, watch)


def end(done):
    if done > 0:
        raise EndError


def whole(engine, number):
    for _ in talk(engine, number):
        pass


def ended_by_its_watch(engine, number):
    with pytest.raises(EndError):
        for _ in talk(engine, number, watch=end):
            pass


def closed_after_a_chunk(engine, number):
    chunks = talk(engine, number)
    next(chunks)
    chunks.close()


def crashed(engine, number):
    def crash(*_):
        raise EndError

    decoder = engine.loaded[0].pipeline.vae.decoder
    hook = decoder.register_forward_pre_hook(crash)
    with pytest.raises(EndError):
        next(talk(engine, number))
    hook.remove()


@pytest.fixture
def from_here(engine):
    """What is in memory before is not looked at, in later tests neither."""
    gc.collect()
    gc.freeze()


def held():
    """How many there are: tensors, bytes in them, and what belongs to one job."""
    gc.collect()
    things = gc.get_objects()
    tensors = [thing for thing in things if issubclass(type(thing), torch.Tensor)]
    of_a_job = [thing for thing in things if type(thing) in (StepCache, TalkModel)]
    return len(tensors), sum(tensor.nbytes for tensor in tensors), len(of_a_job)


def test_nothing_of_a_job_outlives_it(engine, from_here):
    pipeline, counts, numbers = engine.loaded[0].pipeline, [], itertools.count()
    for _ in range(3):
        for job in (whole, closed_after_a_chunk, crashed, ended_by_its_watch):
            job(engine, next(numbers))
        of_a_job = held()[-1]
        for number in (1001, 1002):  # so that the same is remembered each time
            whole(engine, number)
        counts.append((*held(), of_a_job))
        assert len(pipeline._prompt_cache._entries) == PROMPTS
        assert len(pipeline._picture_cache._entries) == PICTURES
    assert counts[1] == counts[2]
    assert counts[-1][2:] == (0, 0)


def test_what_jobs_share_is_encoded_once(engine):
    calls, pipeline = [], engine.loaded[0].pipeline
    pipeline._prompt_cache._entries.clear()  # of earlier jobs
    hooks = [
        encoder.register_forward_hook(lambda module, *_: calls.append(type(module).__name__))
        for encoder in (pipeline.text_encoder, pipeline.image_encoder)
    ]
    whole(engine, ONE_WINDOW)
    assert "CLIPVisionModel" in calls
    assert "UMT5EncoderModel" in calls
    calls.clear()
    whole(engine, ONE_WINDOW)
    for hook in hooks:
        hook.remove()
    assert calls == []
