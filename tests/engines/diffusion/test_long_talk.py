"""However far into a talk it is, a window costs the same: counts, not timings."""

import gc
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")

import toy

from multitalk.engines.diffusion.encoders import CACHED_PICTURES
from multitalk.engines.diffusion.guidance import Guidance
from multitalk.engines.diffusion.sampler import SampleOptions
from multitalk.engines.diffusion.windows import num_windows
from multitalk.speech import talk_features

NUM_WINDOWS = CACHED_PICTURES + 6
NUM_FRAMES = toy.TOY_WINDOW_FRAMES + (NUM_WINDOWS - 1) * (
    toy.TOY_WINDOW_FRAMES - toy.TOY_CONDITIONING_FRAMES
)
STEPS = 2
PICTURE = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)


def voice(pitch):
    return np.sin(np.arange(NUM_FRAMES * 640, dtype=np.float32) / pitch)


def held():
    """Tensors in memory that were made since the last `gc.freeze`: how many, and their bytes."""
    storages = {}
    for found in gc.get_objects():
        if issubclass(type(found), torch.Tensor):
            storage = found.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return len(storages), sum(storages.values())


def peak_bytes(run):
    """The result of a run, and the most bytes that PyTorch held in it beyond those before."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        result = run()
    events = profiler.profiler.kineto_results.events()
    changes = [event for event in events if event.name() == "[memory]"]
    in_order = sorted(changes, key=lambda event: event.start_ns())
    return result, int(np.cumsum([change.nbytes() for change in in_order]).max())


@pytest.fixture
def from_here():
    """What is in memory before is not looked at, in later tests neither."""
    gc.collect()
    gc.freeze()


@pytest.mark.parametrize("kind", ["multitalk", "infinitetalk"])
def test_the_last_window_of_many_costs_what_the_second_does(monkeypatch, from_here, kind):
    # The talk is heard in blocks, as one of hours is.
    monkeypatch.setattr(talk_features, "WHOLE_ROWS", 30)
    monkeypatch.setattr(talk_features, "BLOCK_ROWS", 20)
    monkeypatch.setattr(talk_features, "CONTEXT_ROWS", 5)
    pipeline, calls, rows = toy.toy_pipeline(kind=kind), Counter(), []
    for name in ("transformer", "text_encoder", "image_encoder"):
        component = getattr(pipeline, name)
        component.register_forward_hook(lambda *_, name=name: calls.update([name]))
    decoder = pipeline.vae.decoder
    decoder.register_forward_hook(lambda *_: calls.update(["decoder"]))
    pipeline.audio_encoder.encoder.register_forward_hook(
        lambda _, inputs, __: rows.append(inputs[0].shape[1])
    )
    options = SampleOptions(num_inference_steps=STEPS)
    windows = pipeline(PICTURE, "a man", [voice(20), voice(5)], options=options)
    called, after, peaks, shown = [], [], {}, 0
    for number in range(1, NUM_WINDOWS + 1):
        before = calls.copy()
        if number in (2, NUM_WINDOWS // 2, NUM_WINDOWS - 1):
            window, peaks[number] = peak_bytes(lambda: next(windows))
        else:
            window = next(windows)
        shown += len(window.frames)
        called.append(calls - before)
        gc.collect()
        after.append(held())
    assert next(windows, None) is None
    assert num_windows(NUM_FRAMES, pipeline.lengths) == NUM_WINDOWS
    assert shown == NUM_FRAMES

    assert all(one == other for one, other in pairwise(called[1:])), called
    assert called[1]["transformer"] == 2 * STEPS  # with the voices, without
    assert called[1]["text_encoder"] == 0
    assert max(rows) <= talk_features.WHOLE_ROWS
    settled = after[CACHED_PICTURES:]  # each window's last picture is cached
    assert set(settled) == {settled[0]}, after
    # The order of what several threads allocate makes it some percent more or less.
    assert max(peaks.values()) <= 1.05 * peaks[2], peaks


def heard_at_the_end(*voices):
    """What the network is given of each voice in the last window of a talk."""
    pipeline, heard = toy.toy_pipeline(), []
    pipeline.transformer.register_forward_pre_hook(
        lambda _, __, given: heard.append(given["audio_hidden_states"]), with_kwargs=True
    )
    options = SampleOptions(Guidance(1.0, 1.0), num_inference_steps=1)
    for _ in pipeline(PICTURE, "a man", voices, options=options):
        pass
    return heard[-1]


def test_a_listener_is_nobody_and_one_alone_rests():
    speaker, listener = voice(20)[: 50 * 640], voice(5)[: 50 * 640].copy()
    listener[10 * 640 :] = 0
    both = heard_at_the_end(speaker, listener)
    assert both[0].any()
    assert not both[1].any()
    assert heard_at_the_end(listener).any()
