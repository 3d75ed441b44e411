"""Profiles: named schedules, which weights have which, and the LoRAs that they switch on."""

import json
import re
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")
pytest.importorskip("cv2")
safetensors = pytest.importorskip("safetensors.torch")

from publish import Publisher, publishable_pipeline
from toy import toy_pipeline

from merged_lora import merge_lora
from multitalk.engines.base import RenderOptions, Scene, Speaker, ignore_progress
from multitalk.engines.diffusion.engine import DiffusionEngine
from multitalk.engines.diffusion.loading import load_for_plan, load_pipeline
from multitalk.engines.diffusion.lora import read_lora
from multitalk.engines.diffusion.memory_plan import PLANS, MemoryBudget
from multitalk.engines.diffusion.profiles import (
    PROFILES,
    LoraProfiles,
    available_profiles,
    choose_profile,
)
from multitalk.engines.registry import load_engine
from multitalk.errors import EngineUnavailable, InvalidRequest
from multitalk.schema import ProfileName
from multitalk.settings import LoraFile, Settings
from multitalk.weights.component_files import find_components

API = Path(__file__).parents[3] / "docs" / "api.md"
FUSIONX, LIGHTX2V, REALTIME, QUALITY = PROFILES
PORTRAIT = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
HUM = np.sin(np.arange(9 * 640, dtype=np.float32) / 20)
# The same in every profile, so that the LoRAs alone make the difference.
STATED = {
    "num_inference_steps": 2,
    "text_guidance_scale": 1.0,
    "audio_guidance_scale": 1.0,
    "shift": 3.0,
}
PAIRED = ["blocks.0.attn1.to_q", "blocks.1.ffn.net.2", "blocks.1.audio_attn.to_kv"]


def names(profiles):
    return [profile.name for profile in profiles]


def frames_of(engine, *, num_frames=9, **options):
    how = RenderOptions(seed=3, resolution="480p", **{**STATED, **options})
    scene = Scene(PORTRAIT, (Speaker("ann", HUM),), "a man talks", num_frames)
    return np.concatenate([chunk.frames for chunk in engine.render(scene, how, ignore_progress)])


def difference(first, second):
    return np.abs(first.astype(int) - second.astype(int)).max()


def lora_file(path, transformer, *, seed):
    """A LoRA of three layers, and the difference of a bias and of a norm."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name in PAIRED:
        weight = transformer.get_submodule(name).weight
        tensors[f"transformer.{name}.lora_A.weight"] = torch.randn(
            2, weight.shape[1], generator=generator
        )
        tensors[f"transformer.{name}.lora_B.weight"] = torch.randn(
            weight.shape[0], 2, generator=generator
        )
    for name, ending in [("blocks.1.attn1.to_q", "diff_b"), ("blocks.0.norm2", "diff")]:
        parameter = "bias" if ending == "diff_b" else "weight"
        shape = getattr(transformer.get_submodule(name), parameter).shape
        tensors[f"transformer.{name}.{ending}"] = torch.randn(shape, generator=generator)
    safetensors.save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    directory = tmp_path_factory.mktemp("weights")
    toy_pipeline().save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def loras(tmp_path_factory):
    """Of two profiles, and of none."""
    directory, transformer = tmp_path_factory.mktemp("loras"), toy_pipeline().transformer
    files = ["Toy_FusionX_LoRA.safetensors", "toy-lightx2v-rank2.safetensors", "style.safetensors"]
    paths = [lora_file(directory / name, transformer, seed=seed) for seed, name in enumerate(files)]
    return tuple(LoraFile(path, scale) for path, scale in zip(paths, (1.0, 0.7, 0.5), strict=True))


def test_docs_give_every_profile():
    rows = re.findall(
        r"^\| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \| (\d+)(?: at 480p, (\d+) at 720p)? \|$",
        API.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert len(rows) == len(PROFILES)
    for (name, *figures), profile in zip(rows, PROFILES, strict=True):
        steps, text, audio, small, large = (float(figure or figures[3]) for figure in figures)
        assert (name, steps) == (profile.name, profile.num_inference_steps)
        assert (text, audio) == (profile.text_guidance_scale, profile.audio_guidance_scale)
        assert profile.shifts == {"480p": small, "720p": large}


def test_a_request_can_name_every_profile_and_no_other():
    assert sorted(names(PROFILES)) == sorted(get_args(ProfileName))


@pytest.mark.parametrize(
    ("network", "files", "expected"),
    [
        ("transformer", [], ["quality"]),
        ("transformer", ["style.safetensors"], ["quality"]),
        ("transformer", [FUSIONX.lora], ["fusionx", "quality"]),
        ("transformer", [LIGHTX2V.lora], ["lightx2v", "realtime", "quality"]),
        (
            "transformer",
            [LIGHTX2V.lora, FUSIONX.lora],
            ["fusionx", "lightx2v", "realtime", "quality"],
        ),
        ("quant_model_int8.safetensors", [], ["quality"]),
        ("quant_model_int8_FusionX.safetensors", ["style.safetensors"], ["fusionx"]),
    ],
)
def test_what_is_offered_follows_from_the_files(network, files, expected):
    assert names(available_profiles(Path(network), files)) == expected


def test_merged_weights_are_told_by_their_file_in_the_folder(tmp_path):
    (tmp_path / "quant_model_fp8_FusionX.safetensors").touch()
    assert names(available_profiles(tmp_path, [])) == ["fusionx"]
    with pytest.raises(EngineUnavailable, match=f"take {LIGHTX2V.lora} out of MULTITALK_LORAS"):
        available_profiles(tmp_path, [LIGHTX2V.lora])


def test_a_profile_is_picked_by_name_and_no_other_taken_in_its_place():
    offer = available_profiles(Path("transformer"), [FUSIONX.lora])
    assert choose_profile(None, offer) is FUSIONX
    assert choose_profile("quality", offer) is QUALITY
    for name in ("lightx2v", "Quality", "fast"):
        with pytest.raises(InvalidRequest, match="it has fusionx, quality") as caught:
            choose_profile(name, offer)
        assert caught.value.field == "profile"


def test_what_a_request_states_goes_before_its_profile():
    assert QUALITY.overridden_by(RenderOptions(seed=1)) == QUALITY
    stated = QUALITY.overridden_by(RenderOptions(seed=1, num_inference_steps=3, shift=4.0))
    assert (stated.num_inference_steps, stated.shifts) == (3, {"480p": 4.0, "720p": 4.0})
    assert (stated.text_guidance_scale, stated.audio_guidance_scale) == (5.0, 4.0)
    stated = FUSIONX.overridden_by(RenderOptions(seed=1, text_guidance_scale=0.0))
    assert stated.text_guidance_scale == 0.0


def test_a_profile_is_what_the_pipeline_is_asked_for(weights, loras):
    engine = load_engine("diffusion", settings=Settings(weights=weights, loras=loras))
    calls = []
    engine.loaded[0].pipeline.transformer.register_forward_pre_hook(lambda *_: calls.append(1))
    left = dict.fromkeys(STATED)
    for name, forwards in [(None, 8 * 2), ("lightx2v", 4 * 2), ("realtime", 4)]:
        calls.clear()
        frames_of(engine, profile=name, **left)
        assert len(calls) == forwards
    calls.clear()
    scene = Scene(PORTRAIT, (Speaker("ann", HUM),), "a man talks", 13)
    how = RenderOptions(seed=3, resolution="480p", profile=REALTIME.name)
    chunks = engine.render(scene, how, ignore_progress)
    for done in (1, 2):  # a window's frames are there before the next one's first forward
        assert next(chunks).first == (done - 1) * 9
        assert len(calls) == done * 4
    chunks.close()
    calls.clear()
    frames_of(engine, profile="quality", **left | {"num_inference_steps": 1})
    assert len(calls) == 3
    with pytest.raises(InvalidRequest, match="it has fusionx, lightx2v, realtime, quality"):
        frames_of(engine, profile="best")


def test_a_weight_set_says_what_its_network_was_distilled_for(loras, tmp_path):
    Publisher(publishable_pipeline(), tmp_path).weight_set("infinitetalk-int8-fusionx")
    files, budget = find_components(tmp_path), MemoryBudget({}, 0, "float32")

    def opened(loras):
        settings = Settings(loras=loras)
        return load_for_plan(tmp_path, files, PLANS[0], budget, settings)

    assert opened(loras[2:])[0].takes_footage
    assert names(opened(loras[2:])[1].profiles) == ["fusionx"]
    with pytest.raises(EngineUnavailable, match=f"take {loras[1].path.name} out of"):
        opened(loras[1:2])


def test_a_negative_prompt_is_the_profile_s_or_the_request_s_and_read_where_it_counts(
    weights, loras, monkeypatch
):
    engine = load_engine("diffusion", settings=Settings(weights=weights, loras=loras))
    pipeline, read = engine.loaded[0].pipeline, []
    really = pipeline.encode_prompt
    monkeypatch.setattr(pipeline, "encode_prompt", lambda text: read.append(text) or really(text))

    def texts(**options):
        read.clear()
        frames_of(engine, num_inference_steps=1, **{"text_guidance_scale": None, **options})
        return read[:]

    assert texts(profile="fusionx") == ["a man talks"]
    assert texts(profile="fusionx", negative_prompt="blurred") == ["a man talks"]
    assert texts(profile="fusionx", text_guidance_scale=2.0) == ["a man talks", ""]
    assert texts(profile="quality") == ["a man talks", QUALITY.negative_prompt]
    assert texts(profile="quality", negative_prompt="blurred") == ["a man talks", "blurred"]
    assert texts(profile="quality", negative_prompt="") == ["a man talks", ""]
    assert len(QUALITY.negative_prompt) > 100


def expected_frames(weights, merged):
    """What weights into which LoRAs are merged give."""
    pipeline = load_pipeline(weights, torch_dtype=torch.float32)
    for lora in merged:
        change = read_lora(lora.path, pipeline.transformer)
        merge_lora(pipeline.transformer, change, scale=lora.scale)
    loras = LoraProfiles(pipeline.transformer, Path("network"))
    return frames_of(DiffusionEngine(pipeline, PLANS, loras))


@pytest.fixture(scope="module")
def expected(weights, loras):
    """Frames of each profile with merged weights."""
    fusionx, lightx2v, style = loras
    merged = {"fusionx": (fusionx, style), "lightx2v": (lightx2v, style), "quality": (style,)}
    return {name: expected_frames(weights, these) for name, these in merged.items()}


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_each_profile_has_its_lora_and_every_profile_the_others(weights, loras, expected, plan):
    settings = Settings(weights=weights, loras=loras, memory_plan=plan.name)
    engine = load_engine("diffusion", settings=settings)
    assert engine.loaded[0].plan == plan
    for first, second in [("fusionx", "quality"), ("quality", "lightx2v")]:
        assert difference(expected[first], expected[second]) > 10
    for name in ("quality", "fusionx", "lightx2v", "quality"):
        assert difference(frames_of(engine, profile=name), expected[name]) <= 1


def in_8_bits(weights, directory):
    """A copy whose blocks are held in 8 bits."""
    shutil.copytree(weights, directory)
    folder = directory / "transformer"
    shards = folder / "diffusion_pytorch_model.safetensors"
    stored = {}
    for key, values in safetensors.load_file(shards).items():
        if key.startswith("blocks.") and key.endswith(".weight") and values.dim() == 2:
            scale = values.abs().amax(1, keepdim=True) / 127
            stored[f"{key}._data"] = (values / scale).round().to(torch.int8)
            stored[f"{key}._scale"] = scale
        else:
            stored[key] = values
    safetensors.save_file(stored, folder / "quant_model_int8.safetensors")
    shards.unlink()
    (folder / "config.json").write_text(json.dumps({"num_heads": 2, "text_len": 8}))
    return directory


def test_loras_work_beside_streamed_weights_in_8_bits(weights, loras, expected, tmp_path):
    settings = Settings(
        weights=in_8_bits(weights, tmp_path / "copy"), loras=loras, memory_plan="streamed"
    )
    engine = load_engine("diffusion", settings=settings)
    layer = engine.loaded[0].pipeline.transformer.blocks[0].attn1.to_q
    assert layer.base_layer.weight.dtype == torch.int8
    for name in ("fusionx", "quality", "fusionx"):
        frames = frames_of(engine, profile=name).astype(int)
        apart = {other: np.abs(frames - expected[other]).mean() for other in expected}
        assert min(apart, key=apart.__getitem__) == name
        assert apart[name] < 1


def test_in_16_bits_loras_are_in_16_bits_too(weights, loras, expected):
    pipeline = load_pipeline(weights, torch_dtype=torch.bfloat16)
    engine = DiffusionEngine(pipeline, PLANS, LoraProfiles(pipeline.transformer, Path("n"), loras))
    half = frames_of(engine, profile="fusionx")
    assert {
        parameter.dtype
        for name, parameter in pipeline.transformer.named_parameters()
        if "lora_" in name
    } == {torch.bfloat16}
    assert np.abs(half.astype(int) - expected["fusionx"]).mean() < 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(b"no tensors"), "cannot be read"),
        (lambda path: safetensors.save_file({"a.b": torch.ones(1)}, path), "a.b: unknown"),
        (lambda path: safetensors.save_file({}, path), "empty"),
    ],
)
def test_a_lora_that_does_not_fit_stops_the_start(weights, tmp_path, change, said):
    path = lora_file(tmp_path / "style.safetensors", toy_pipeline().transformer, seed=1)
    change(path)
    with pytest.raises(EngineUnavailable, match=said) as caught:
        load_engine("diffusion", settings=Settings(weights=weights, loras=(LoraFile(path),)))
    assert "style.safetensors in MULTITALK_LORAS" in caught.value.text("en")
    assert str(tmp_path) not in caught.value.text("ko")


def test_steps_are_skipped_only_where_the_operator_says_so(weights):
    calls = {}
    for threshold in (0.0, 1e9):  # five steps are computed in any case
        settings = Settings(weights=weights, step_cache_threshold=threshold)
        engine = load_engine("diffusion", settings=settings)
        calls[threshold] = []
        block = engine.loaded[0].pipeline.transformer.blocks[0]
        block.register_forward_pre_hook(lambda *_, seen=calls[threshold]: seen.append(1))
        frames_of(engine, num_inference_steps=8)
    assert {key: len(seen) for key, seen in calls.items()} == {0.0: 8, 1e9: 5}


@pytest.mark.parametrize("short", [True, False])
def test_the_last_window_is_short_unless_the_operator_says_otherwise(weights, short):
    settings = Settings(weights=weights, short_last_window=short)
    engine, frames = load_engine("diffusion", settings=settings), []
    engine.loaded[0].pipeline.transformer.register_forward_pre_hook(
        lambda _, __, given: frames.append(given["hidden_states"].shape[2]), with_kwargs=True
    )
    assert len(frames_of(engine, num_frames=2)) == 2
    assert set(frames) == {2 if short else 3}


def test_guidance_is_projected_only_where_the_operator_says_so(weights):
    plain, projected = (
        frames_of(
            load_engine("diffusion", settings=Settings(weights=weights, projected_guidance=on)),
            text_guidance_scale=5.0,
        )
        for on in (False, True)
    )
    assert difference(plain, projected) > 1


def test_a_pinned_plan_is_the_only_one(weights):
    settings = Settings(weights=weights, memory_plan="encoders-visit")
    engine = load_engine("diffusion", settings=settings)
    assert engine.loaded[0].plan.name == "encoders-visit"

    def fail(*_):
        raise torch.OutOfMemoryError

    engine.loaded[0].pipeline.transformer.register_forward_pre_hook(fail)
    with pytest.raises(EngineUnavailable, match="480p"):
        frames_of(engine)
    assert engine.loaded[0].plan.name == "encoders-visit"
