"""The diffusion engine on toy weights: from a directory to a video file."""

import itertools
import json
import logging
import shutil
import wave
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("cv2")

from toy import toy_pipeline

from multitalk.engines.base import RenderOptions, Scene, Speaker, ignore_progress
from multitalk.engines.diffusion import placement
from multitalk.engines.diffusion.engine import DiffusionEngine
from multitalk.engines.diffusion.loading import load_pipeline
from multitalk.engines.diffusion.memory_plan import PLANS
from multitalk.engines.diffusion.profiles import LoraProfiles
from multitalk.engines.diffusion.speakers import detect_and_turn, place_speakers
from multitalk.engines.registry import load_engine, resolve_engine
from multitalk.errors import (
    EngineBroken,
    EngineFailed,
    EngineUnavailable,
    NoFaceFound,
)
from multitalk.face.landmarks import FaceLandmarks
from multitalk.face.search import SearchResult
from multitalk.messages import Notice
from multitalk.settings import Settings
from multitalk.weights.component_files import CheckpointMismatch

PORTRAIT = np.random.default_rng(0).integers(0, 256, (100, 140, 3), dtype=np.uint8)
OPTIONS = RenderOptions(seed=5, resolution="480p", num_inference_steps=2, text_guidance_scale=1.0)


def speech(num_frames, pitch=20):
    return np.sin(np.arange(num_frames * 640, dtype=np.float32) / pitch)


def scene(num_frames=13, *, boxes=(None,)):
    speakers = tuple(
        Speaker(f"person{number}", speech(num_frames, pitch=10 * number), box)
        for number, box in enumerate(boxes, start=1)
    )
    return Scene(PORTRAIT, speakers, "a man talks", num_frames)


def face(left, *, top=20, size=60):
    x, y = np.meshgrid(np.linspace(left, left + size, 22), np.linspace(top, top + size, 22))
    points = np.stack([x.ravel(), y.ravel(), np.zeros(22 * 22)], axis=1)[:478]
    points[[10, 152]] = [[left, top, 0], [left, top + size, 0]]  # forehead and chin
    return FaceLandmarks(points.astype(np.float32))


def frames_of(engine, *, num_frames=13, options=OPTIONS, watch=ignore_progress, **boxes):
    chunks = list(engine.render(scene(num_frames, **boxes), options, watch))
    assert [chunk.first for chunk in chunks] == np.cumsum(
        [0, *(len(chunk.frames) for chunk in chunks[:-1])]
    ).tolist()
    return np.concatenate([chunk.frames for chunk in chunks])


def engine_of(pipeline, plans):
    """An engine of weights as they were trained, without LoRAs."""
    return DiffusionEngine(pipeline, plans, LoraProfiles(pipeline.transformer, Path("network")))


def difference(first, second):
    return np.abs(first.astype(int) - second.astype(int)).max()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    directory = tmp_path_factory.mktemp("weights")
    toy_pipeline().save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def engine(weights):
    return load_engine("diffusion", settings=Settings(weights=weights))


def test_a_directory_of_weights_becomes_an_engine(engine):
    assert engine.name == "diffusion"
    for num_frames in (1, 9, 10, 25):
        frames = frames_of(engine, num_frames=num_frames)
        assert frames.shape == (num_frames, 32, 48, 3)
        assert frames.dtype == np.uint8
        assert frames.std() > 1


def test_the_resolution_is_one_that_the_weights_have(engine):
    stated = RenderOptions(seed=5, resolution="720p", num_inference_steps=1)
    assert frames_of(engine, num_frames=1, options=stated).shape == (1, 48, 64, 3)


def test_a_request_that_states_no_resolution_gets_480p(engine):
    left_out = RenderOptions(seed=5, num_inference_steps=1)
    assert frames_of(engine, num_frames=1, options=left_out).shape == (1, 32, 48, 3)


def test_the_first_frames_come_before_the_last_are_computed(engine):
    calls = []
    hook = engine.loaded[0].pipeline.transformer.register_forward_hook(lambda *_: calls.append(1))
    chunks = engine.render(scene(25), OPTIONS, ignore_progress)
    assert len(next(chunks).frames) == 9
    of_one_window = len(calls)
    list(chunks)
    hook.remove()
    assert len(calls) == 5 * of_one_window


def test_without_a_gpu_auto_leaves_it(weights):
    if not torch.cuda.is_available():
        assert resolve_engine("auto", Settings(weights=weights)) == ("warp", None)


def test_a_gpu_and_weights_make_it_what_auto_takes(weights, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_engine("auto", Settings(weights=weights)) == ("diffusion", weights)
    assert resolve_engine("auto", Settings()) == ("warp", None)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("text_encoder", "text_encoder: missing folder"),
        ("transformer/diffusion_pytorch_model.safetensors", "missing file"),
        ("vae/diffusion_pytorch_model.safetensors", "vae: cannot be opened"),
        ("tokenizer/tokenizer.json", "tokenizer: tokenizer.json: missing file"),
    ],
)
def test_what_is_missing_of_the_weights_is_said(weights, tmp_path, broken, said):
    copy = tmp_path / "copy"
    shutil.copytree(weights, copy)
    place = copy / broken
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    with pytest.raises(EngineUnavailable) as caught:
        load_engine("diffusion", settings=Settings(weights=copy))
    assert caught.value.key == "diffusion_weights_unusable"
    assert said in caught.value.text()
    assert str(tmp_path) not in caught.value.text("ko")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"segment_frames": 10}, "window_frames: 10 is not 1, 5, 9"),
        ({"conditioning_frames": 9}, "nothing of a window would be new"),
        ({"sizes": {"480p": [[30, 48]], "720p": [[48, 64]]}}, "30x48 is not a multiple of 16"),
        ({"sizes": {"480p": [[0, 48]], "720p": [[48, 64]]}}, "0x48 is not a multiple of 16"),
        ({"sizes": {"480p": [[32, 48]]}}, "sizes: none for 720p"),
    ],
)
def test_a_pipeline_s_index_that_fits_no_video_is_refused(weights, tmp_path, change, said):
    copy = tmp_path / "copy"
    shutil.copytree(weights, copy)
    index = copy / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | change))
    with pytest.raises(CheckpointMismatch, match=f"model_index.json: .*{said}"):
        load_pipeline(copy, torch_dtype=torch.float32)


def test_weights_of_something_else_are_no_random_network(weights, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = tmp_path / "copy"
    shutil.copytree(weights, copy)
    file = copy / "image_encoder" / "model.safetensors"
    tensors = load_file(file)
    tensors.pop(next(key for key in tensors if "layers.1" in key))
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointMismatch, match=r"layers\.1.*missing tensor"):
        load_pipeline(copy, torch_dtype=torch.float32)


def test_the_published_layout_of_the_transformer_is_opened_too(weights, tmp_path):
    from safetensors.torch import load_file, save_file

    from multitalk.engines.diffusion.convert_transformer import to_published

    copy = tmp_path / "copy"
    shutil.copytree(weights, copy)
    folder = copy / "transformer"
    shards = folder / "diffusion_pytorch_model.safetensors"
    tensors = {to_published(key): values for key, values in load_file(shards).items()}
    audio = {key for key in tensors if "audio" in key or "norm_x" in key}
    save_file({key: tensors[key] for key in audio}, folder / "multitalk.safetensors")
    save_file({key: tensors[key] for key in tensors.keys() - audio}, shards)
    config = {"num_heads": 2, "text_len": 8, "eps": 1e-6}
    (folder / "config.json").write_text(json.dumps(config))
    opened = load_pipeline(copy, torch_dtype=torch.float32).transformer.state_dict()
    for key, values in (
        load_pipeline(weights, torch_dtype=torch.float32).transformer.state_dict().items()
    ):
        assert torch.equal(values, opened[key]), key


def test_weights_in_8_bits_are_opened_and_stay_so(weights, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = tmp_path / "copy"
    shutil.copytree(weights, copy)
    folder = copy / "transformer"
    shards = folder / "diffusion_pytorch_model.safetensors"
    stored = {}
    for key, values in load_file(shards).items():
        if key.startswith("blocks.") and key.endswith(".weight") and values.dim() == 2:
            scale = values.abs().amax(1, keepdim=True) / 127
            stored[f"{key}._data"] = (values / scale).round().to(torch.int8)
            stored[f"{key}._scale"] = scale
        else:
            stored[key] = values
    save_file(stored, folder / "quant_model_int8.safetensors")
    shards.unlink()
    (folder / "config.json").write_text(json.dumps({"num_heads": 2, "text_len": 8}))
    engine = load_engine("diffusion", settings=Settings(weights=copy))
    transformer = engine.loaded[0].pipeline.transformer
    assert transformer.blocks[0].ffn.net[2].weight.dtype == torch.int8
    assert frames_of(engine).shape == (13, 32, 48, 3)
    shutil.copy(folder / "quant_model_int8.safetensors", folder / "quant_model_2.safetensors")
    with pytest.raises(CheckpointMismatch, match="2 files"):
        load_pipeline(copy, torch_dtype=torch.float32)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_every_plan_gives_the_same_frames(engine, weights, plan):
    other = engine_of(load_pipeline(weights, torch_dtype=torch.float32), [plan])
    assert difference(frames_of(other), frames_of(engine)) <= 1


def test_a_streamed_transformer_is_hooked_block_by_block(weights):
    pipeline = load_pipeline(weights, torch_dtype=torch.float32)
    placement.place(pipeline, PLANS[-1], torch.device("cpu"))
    for block in pipeline.transformer.blocks:
        assert block._diffusers_hook.get_hook("group_offloading") is not None


def test_in_16_bits_as_on_a_gpu_it_renders_too(weights, engine):
    pipeline = load_pipeline(weights, torch_dtype=torch.bfloat16)
    assert pipeline.transformer.dtype == pipeline.text_encoder.dtype == torch.bfloat16
    assert pipeline.vae.dtype == pipeline.image_encoder.dtype == torch.float32
    assert pipeline.transformer.blocks[0].norm2.weight.dtype == torch.float32
    sides = [(10.0, 10.0, 60.0, 90.0), (80.0, 10.0, 130.0, 90.0)]
    half = frames_of(engine_of(pipeline, PLANS), boxes=sides)
    full = frames_of(engine, boxes=sides)
    assert 0 < np.abs(half.astype(int) - full.astype(int)).mean() < 3


STAGES = {  # of an engine's work, and the call in a talk of three windows that fails
    "text_encoder": 1,  # at a text scale of 1 there is one prompt
    "audio_encoder.encoder": 1,
    "vae.encoder.conv_out": 4,
    "image_encoder": 1,
    "transformer": 6,
}


@pytest.fixture(scope="module")
def expected(engine):
    """Frames of a talk of four windows."""
    return frames_of(engine, num_frames=21)


@pytest.mark.parametrize("stage", STAGES)
def test_out_of_memory_leads_to_the_next_plan_and_no_frame_twice(expected, caplog, stage):
    pipeline = toy_pipeline()
    component, _, inner = stage.partition(".")
    calls, told = itertools.count(1), []

    def fail_once(*_):
        if next(calls) == STAGES[stage]:
            raise torch.OutOfMemoryError

    getattr(pipeline, component).get_submodule(inner).register_forward_pre_hook(fail_once)
    other = engine_of(pipeline, PLANS)
    with caplog.at_level(logging.WARNING):
        frames = frames_of(other, num_frames=21, watch=told.append)
    assert next(calls) > STAGES[stage]
    assert "out of memory with the plan: resident" in caplog.text
    assert difference(frames, expected) <= 1
    assert told == sorted(told)
    assert other.loaded[0].plan.name == "encoders-visit"
    frames_of(other, num_frames=1)
    assert other.loaded[0].plan.name == "encoders-visit"  # later talks begin with it


def test_out_of_memory_while_decoding_costs_no_step_and_no_plan(expected, caplog):
    pipeline = toy_pipeline()
    decodings, steps = itertools.count(1), []

    def fail_once(*_):
        if next(decodings) == 4:
            raise torch.OutOfMemoryError

    pipeline.vae.decoder.conv_out.register_forward_pre_hook(fail_once)
    pipeline.transformer.register_forward_pre_hook(lambda *_: steps.append(1))
    other = engine_of(pipeline, PLANS)
    with caplog.at_level(logging.WARNING):
        frames = frames_of(other, num_frames=21)
    taken = len(steps)
    assert caplog.text.count("now in tiles") == 1
    assert other.loaded[0].plan.name == "resident"
    assert difference(frames, expected) <= 1
    assert difference(frames_of(other, num_frames=21), frames) <= 1
    assert len(steps) == 2 * taken


def test_out_of_memory_with_the_smallest_plan_is_said_and_smaller_talks_go_on():
    pipeline = toy_pipeline()

    def fail_at_720p(_module, _arguments, given):
        if given["hidden_states"].shape[-1] > 6:
            raise torch.OutOfMemoryError

    pipeline.transformer.register_forward_pre_hook(fail_at_720p, with_kwargs=True)
    engine = engine_of(pipeline, PLANS[:2])
    large = RenderOptions(seed=5, resolution="720p", num_inference_steps=1)
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="480p"):
            frames_of(engine, num_frames=1, options=large)
    assert len(frames_of(engine)) == 13


def test_no_room_to_lie_in_leads_to_the_next_plan_too(monkeypatch):
    tried, really = [], placement.place

    def place(pipeline, plan, device, **named):
        tried.append(plan.name)
        if plan != PLANS[-1]:
            raise torch.OutOfMemoryError
        really(pipeline, plan, device, **named)

    monkeypatch.setattr(placement, "place", place)
    pipeline = toy_pipeline()
    assert len(frames_of(engine_of(pipeline, PLANS))) == 13
    assert tried == [plan.name for plan in PLANS]
    with pytest.raises(EngineUnavailable):
        engine_of(pipeline, PLANS[:2])


def test_what_a_watch_raises_ends_the_talk_and_the_next_one_is_whole():
    class EnoughError(Exception):
        pass

    def end(done):
        if done > 10:
            raise EnoughError

    engine = engine_of(toy_pipeline(), PLANS)
    with pytest.raises(EnoughError):
        frames_of(engine, watch=end)
    told = []
    assert len(frames_of(engine, watch=told.append)) == 13
    assert told[0] == 0
    assert told[-1] == pytest.approx(9 + 4 * 2 / 3)  # two steps of three pieces of the last window


def test_numbers_that_are_not_finite_are_an_error_to_be_tried_again(weights):
    pipeline = load_pipeline(weights, torch_dtype=torch.float32)
    with torch.no_grad():
        pipeline.transformer.proj_out.bias[0] = float("nan")
    with pytest.raises(EngineFailed, match="another seed") as caught:
        frames_of(engine_of(pipeline, PLANS))
    assert caught.value.retryable


def test_a_lost_gpu_breaks_the_engine(weights):
    def fail(*given: object, **named: object) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    pipeline = load_pipeline(weights, torch_dtype=torch.float32)
    pipeline.transformer.register_forward_pre_hook(fail)
    with pytest.raises(EngineBroken, match="send the job again") as caught:
        frames_of(engine_of(pipeline, PLANS))
    assert caught.value.retryable


def test_a_closed_engine_has_let_its_weights_go(weights):
    engine = load_engine("diffusion", settings=Settings(weights=weights))
    frames_of(engine, num_frames=1)
    transformer = weakref.ref(engine.loaded[0].pipeline.transformer)
    for _ in range(2):
        engine.close()
    assert transformer() is None
    with pytest.raises(ValueError, match="closed"):
        frames_of(engine)


def no_faces(scene):
    return scene, SearchResult(()), ()


def two_faces(scene):
    return scene, SearchResult((face(5), face(75))), ()


def test_faces_place_speakers_from_left_to_right():
    _, boxes, notices = place_speakers(scene(boxes=[None, None]), two_faces)
    assert not notices
    assert boxes[0] == pytest.approx((5 - 18, 20 - 18, 65 + 18, 80 + 18))
    assert boxes[1][0] == pytest.approx(75 - 18)


def test_a_box_goes_before_faces_and_another_takes_the_face_that_is_left():
    right = (70.0, 0.0, 140.0, 100.0)
    _, boxes, _ = place_speakers(scene(boxes=[right, None]), two_faces)
    assert boxes[0] == right
    assert boxes[1][2] < 100


def test_without_faces_the_speakers_share_the_picture_and_it_is_said():
    _, boxes, notices = place_speakers(scene(boxes=[None, None, None]), no_faces)
    assert boxes is None
    assert [notice.key for notice in notices] == ["many_speakers", "speakers_in_strips"]
    with pytest.raises(NoFaceFound):
        place_speakers(scene(boxes=[(0.0, 0.0, 9.0, 9.0), None]), no_faces)


def test_nobody_looks_for_faces_in_a_video_whose_speakers_are_placed():
    everywhere = (0.0, 0.0, 140.0, 100.0)
    for boxes in ([None], [everywhere], [everywhere, everywhere]):
        place_speakers(replace(scene(boxes=boxes), footage=object()), None)


def test_a_picture_that_is_upside_down_is_rendered_upright_and_it_is_said(engine, monkeypatch):
    def set_upright(sent):
        turned = replace(sent, portrait=sent.portrait[::-1, ::-1].copy())
        return turned, SearchResult(()), (Notice("picture_turned", {"degrees": 180}),)

    upright = frames_of(engine)
    monkeypatch.setattr("multitalk.engines.diffusion.engine.detect_and_turn", set_upright)
    upside_down = replace(scene(), portrait=PORTRAIT[::-1, ::-1].copy())
    chunks = list(engine.render(upside_down, OPTIONS, ignore_progress))
    np.testing.assert_array_equal(np.concatenate([chunk.frames for chunk in chunks]), upright)
    assert [notice.key for notice in chunks[0].notices] == ["picture_turned"]


def test_two_speakers_are_rendered_and_one_out_of_sight_is_named(engine, monkeypatch):
    left, right = (10.0, 10.0, 60.0, 90.0), (80.0, 10.0, 130.0, 90.0)
    assert len(frames_of(engine, boxes=[left, right])) == 13
    with pytest.raises(NoFaceFound) as caught:
        frames_of(engine, boxes=[left, (50.0, 50.0, 51.0, 51.0)])
    assert caught.value.field == "bbox.person2"
    monkeypatch.setattr("multitalk.engines.diffusion.engine.detect_and_turn", no_faces)
    with pytest.raises(NoFaceFound, match="bbox") as caught:
        frames_of(engine, boxes=[None] * 60)
    assert caught.value.field == "audio_paths.person2"


def test_the_command_line_renders_a_video_of_it(weights, tmp_path, monkeypatch):
    pytest.importorskip("av")
    cv2 = pytest.importorskip("cv2")
    from typer.testing import CliRunner

    from multitalk.cli.app import app
    from multitalk.media.video import probe

    monkeypatch.setattr("multitalk.engines.diffusion.engine.detect_and_turn", detect_and_turn)
    monkeypatch.setenv("MULTITALK_WEIGHTS", str(weights))
    monkeypatch.setenv("MULTITALK_WORK_DIRECTORY", str(tmp_path))
    picture, voice, video = (tmp_path / name for name in ("a.png", "a.wav", "talk.mp4"))
    cv2.imwrite(str(picture), PORTRAIT)
    with wave.open(str(voice), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((speech(20)[:-100] * 9_000).astype("<i2").tobytes())
    said = {"image_path": "a.png", "audio_paths": {"person1": "a.wav"}, "prompt": "a man talks"}
    request = tmp_path / "request.json"
    request.write_text(json.dumps({**said, "resolution": "480p", "seed": 1, "sample_steps": 2}))
    typed = ["render", "--engine", "diffusion", "--request", request]

    def run(*more):
        return CliRunner().invoke(app, [str(word) for word in [*typed, "--json", *more]])

    windows, ends = tmp_path / "windows.npz", [9, 13, 17]
    result = run("-o", video, "--save-windows", windows)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["window_ends"] == ends
    before = windows.read_bytes()
    again = tmp_path / "again.mp4"
    kept = ("-o", again, "--continue-from", windows, "--keep-windows")
    result = run(*kept, 2, "--save-windows", windows)  # in the place of what it begins with
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["window_ends"] == ends
    assert len(windows.read_bytes()) == len(before)
    result = run(*kept, 4)
    assert "--keep-windows 4: 4 windows are more than are kept" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["a.png", "a.wav", "again.mp4", "request.json", "talk.mp4", "windows.npz"]
    )
    facts = probe(video)
    assert (facts.width, facts.height, facts.num_frames, facts.fps) == (48, 32, 20, 25.0)
    assert facts.sound is not None
    assert abs(facts.duration - 0.8) < 0.05
