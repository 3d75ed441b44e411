"""Talks that begin with the windows of an earlier one."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("cv2")

from toy import toy_pipeline

from multitalk.engines.base import (
    RenderOptions,
    Scene,
    Speaker,
    WindowFiles,
    ignore_progress,
)
from multitalk.engines.diffusion.saved_windows import SavedWindows
from multitalk.engines.registry import load_engine
from multitalk.errors import InvalidRequest
from multitalk.settings import Settings

NUM_FRAMES = 23  # windows of 9 frames, 4 of which are new in later ones: 9, 13, 17, 21, 23
ENDS = [9, 13, 17, 21]
ONE_LEVEL = 1  # what two runs of the same numbers may differ by
SCENE = Scene(
    np.random.default_rng(0).integers(0, 256, (100, 140, 3), dtype=np.uint8),
    (Speaker("ann", np.sin(np.arange(NUM_FRAMES * 640, dtype=np.float32) / 20)),),
    "a man talks",
    NUM_FRAMES,
    picture_digest="a picture",
    voices_digest="a voice",
)
OPTIONS = RenderOptions(seed=5, num_inference_steps=2, text_guidance_scale=1.0)
MAX_BYTES = 2**20


@pytest.fixture(scope="module", params=["multitalk", "infinitetalk"])
def engine(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("weights")
    toy_pipeline(kind=request.param).save_pretrained(directory)
    return load_engine("diffusion", settings=Settings(weights=directory))


def continuing(earlier, windows, **options):
    """Options of a talk that begins with so many windows of an earlier one."""
    files = WindowFiles(earlier=earlier)
    return replace(OPTIONS, window_files=files, kept_windows=windows, **options)


def rendered(engine, how, scene=SCENE):
    """A talk's frames, and where the windows end that were saved."""
    chunks = list(engine.render(scene, how, ignore_progress))
    ends = [chunk.first + len(chunk.frames) for chunk in chunks if chunk.is_saved]
    return np.concatenate([chunk.frames for chunk in chunks]), ends


@pytest.fixture(scope="module")
def earlier(engine, tmp_path_factory):
    """A talk's frames, and the file of its windows."""
    file = tmp_path_factory.mktemp("earlier") / "windows.npz"
    how = replace(OPTIONS, window_files=WindowFiles(file, MAX_BYTES))
    frames, ends = rendered(engine, how)
    assert ends == ENDS
    return frames, file


def difference(first, second):
    return np.abs(first.astype(int) - second.astype(int)).max()


def test_with_the_same_prompt_and_seed_a_talk_goes_on_as_the_earlier_one_did(
    engine, earlier, tmp_path
):
    frames, file = earlier
    told, calls = [], []
    handle = engine.loaded[0].pipeline.transformer.register_forward_pre_hook(
        lambda *_: calls.append(1)
    )
    again = tmp_path / "again.npz"
    files = WindowFiles(again, MAX_BYTES, earlier=file)
    how = replace(OPTIONS, window_files=files, kept_windows=2)
    chunks = list(engine.render(SCENE, how, told.append))
    handle.remove()
    assert len(calls) == 3 * 2 * 2  # windows that are sampled, steps, branches
    continued = np.concatenate([chunk.frames for chunk in chunks])
    assert difference(continued, frames) <= ONE_LEVEL
    assert (continued == frames).mean() > 0.999
    assert told == sorted(told)
    # What was kept is saved again, as it was, and so is what followed.
    origin = engine._origin(SCENE, how)
    for number in range(len(ENDS)):
        ours, theirs = (SavedWindows(path, len(ENDS), origin)[number] for path in (again, file))
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("scene", "options"),
    [
        (SCENE, {"seed": 6}),
        (replace(SCENE, prompt="a woman"), {"text_guidance_scale": 20.0}),
        (SCENE, {"profile": "quality", "num_inference_steps": 1, "text_guidance_scale": None}),
    ],
    ids=["seed", "prompt", "profile"],
)
def test_what_follows_the_kept_windows_may_be_another(engine, earlier, scene, options):
    frames, file = earlier
    continued, _ = rendered(engine, continuing(file, 3, **options), scene)
    assert difference(continued[:17], frames[:17]) <= ONE_LEVEL
    assert difference(continued[17:], frames[17:]) > ONE_LEVEL


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"picture_digest": "another"}, "image_path"),
        ({"voices_digest": "another"}, "audio_paths"),
        ({"num_frames": 22}, "audio_paths"),
        ({"resolution": "720p"}, "resolution"),
        ({"color_correction": 0.5}, "color_correction"),
    ],
)
def test_a_talk_of_something_else_is_refused_before_the_work(engine, earlier, changed, field):
    scene, options = SCENE, {}
    if hasattr(scene, next(iter(changed))):
        scene = replace(SCENE, **changed)
    else:
        options = changed
    with pytest.raises(InvalidRequest, match=f"made with another {field};") as caught:
        rendered(engine, continuing(earlier[1], 1, **options), scene)
    assert caught.value.field == "continue_from"


def test_a_talk_of_another_network_is_refused(engine, earlier):
    origin = {**engine._origin(SCENE, OPTIONS), "engine": "another"}
    with pytest.raises(InvalidRequest, match="made with another engine;"):
        SavedWindows(earlier[1], 1, origin)


def test_more_windows_than_there_are_cannot_be_kept(engine, earlier):
    with pytest.raises(InvalidRequest, match="5 windows are more than are kept"):
        rendered(engine, continuing(earlier[1], 5))


@pytest.mark.parametrize("kept", [0, 100, -100, None])
def test_a_file_that_is_damaged_is_refused(engine, earlier, tmp_path, kept):
    damaged = tmp_path / "damaged.npz"
    content = bytearray(earlier[1].read_bytes())
    if kept is None:  # in the numbers of the first window
        content[len(content) // 8] ^= 0xFF
    damaged.write_bytes(content[:kept])
    with pytest.raises(InvalidRequest, match="damaged"):
        rendered(engine, continuing(damaged, 4))


def test_windows_are_saved_up_to_a_limit(engine, tmp_path):
    one = 16 * 3 * 4 * 6 * 4  # bytes of float32 latents
    file = tmp_path / "windows.npz"
    _, ends = rendered(engine, replace(OPTIONS, window_files=WindowFiles(file, 2 * one)))
    assert ends == ENDS[:2]
    assert file.stat().st_size < 2 * one + 2000
