"""What is loaded is what was reckoned from headers, lies where its plan says, and moves in time."""

import logging
import math
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("cv2")

from publish import Publisher, publishable_pipeline
from test_memory_plan import IN_8_BITS
from toy import toy_pipeline, toy_transformer

from multitalk.engines.base import RenderOptions, Scene, Speaker, ignore_progress
from multitalk.engines.diffusion import engine as engine_module
from multitalk.engines.diffusion import loading, offload
from multitalk.engines.diffusion import placement as placement_module
from multitalk.engines.diffusion.engine import DiffusionEngine
from multitalk.engines.diffusion.loading import load_pipeline
from multitalk.engines.diffusion.memory_plan import GIB, PLANS, MemoryBudget, working_bytes
from multitalk.engines.diffusion.network_sizes import NetworkBytes, network_bytes
from multitalk.engines.diffusion.offload import ALIGNMENT, devices_of, pack, place
from multitalk.engines.diffusion.placement import Placement
from multitalk.engines.diffusion.profiles import LoraProfiles
from multitalk.engines.diffusion.vae import (
    VaeCodec,
    use_channels_last,
)
from multitalk.engines.registry import load_engine
from multitalk.errors import EngineUnavailable
from multitalk.settings import Settings
from multitalk.weights.component_files import find_components
from multitalk.weights.tensor_headers import tensors_of

RESIDENT, VISIT, STREAMED = PLANS
CPU = torch.device("cpu")
NETWORKS = ("transformer", "text_encoder", "image_encoder", "vae", "audio_encoder")
SIZES = dict.fromkeys(NETWORKS, NetworkBytes(1000, streamed=100))


def bytes_of(network):
    return sum(parameter.nbytes for parameter in network.parameters())


def budget_for(plan, *resolutions, host_bytes=math.inf):
    """MemoryBudget for a plan at some resolutions, and no more."""
    needed = max(MemoryBudget(SIZES, 0).needed(plan, resolution) for resolution in resolutions)
    return MemoryBudget(SIZES, needed, host_bytes=host_bytes)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    directory, pipeline = tmp_path_factory.mktemp("weights"), toy_pipeline()
    width = pipeline.transformer.config.audio_feature_dim
    # Of three blocks, two are on the GPU while they are streamed.
    transformer = toy_transformer(num_layers=3, audio_feature_dim=width)
    pipeline.register_modules(transformer=transformer)
    pipeline.save_pretrained(directory)
    return directory


@pytest.mark.parametrize("name", ["folder", "int8-fusionx", "bf16"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_headers_tell_is_what_is_loaded(name, dtype, weights, tmp_path):
    if name != "folder":
        weights = tmp_path
        Publisher(publishable_pipeline(), weights).weight_set(name)
    files = find_components(weights)
    width = dtype.itemsize
    sizes = network_bytes(files, float_bytes=width, vae_float_bytes=width)
    pipeline = load_pipeline(weights, torch_dtype=dtype, vae_dtype=dtype)
    for network in NETWORKS:
        loaded, size = getattr(pipeline, network), sizes[network]
        # Norms and tables of the transformer stay float32: a part in a thousand at real size.
        kept = 0 if dtype == torch.float32 else 0.1 * (network == "transformer")
        assert size.whole == pytest.approx(bytes_of(loaded), rel=kept), network
    blocks = pipeline.transformer.blocks
    outside = bytes_of(pipeline.transformer) - bytes_of(blocks)
    streamed = outside + 2 * bytes_of(blocks[0])
    assert sizes["transformer"].streamed == pytest.approx(streamed, rel=0.1)
    if dtype == torch.float32 and name in ("folder", "bf16"):
        assert sizes["transformer"].converted == 0
    if dtype == torch.bfloat16 and name == "bf16":  # published in float32, but UMT5
        assert sizes["transformer"].converted == sizes["transformer"].whole
        assert sizes["text_encoder"].converted == 0


def test_loras_lie_beside_the_transformer(weights, tmp_path):
    files, lora = find_components(weights), tmp_path / "lora.safetensors"
    lora.write_bytes(bytes(3000))
    without = network_bytes(files, float_bytes=4, vae_float_bytes=4)
    sizes = network_bytes(files, float_bytes=4, vae_float_bytes=4, loras=[lora])
    assert sizes["transformer"].whole - without["transformer"].whole == 3000
    assert 0 < sizes["transformer"].streamed - without["transformer"].streamed < 3000


def test_a_file_that_holds_no_tensors_has_no_header_of_them(tmp_path):
    for name, content in (("a.pth", b"PK"), ("a.safetensors", bytes(4)), ("b.pth", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            tensors_of(tmp_path / name)
    torch.save({"run": print}, tmp_path / "code.pth")
    with pytest.raises(ValueError, match="no header"):
        tensors_of(tmp_path / "code.pth")


def test_what_stays_on_the_device_is_loaded_there_and_what_may_visit_is_mapped():
    assert devices_of(RESIDENT, "cuda") == dict.fromkeys(["vae", "transformer"], "cuda")
    assert devices_of(VISIT, "cuda") == devices_of(RESIDENT, "cuda")
    assert devices_of(STREAMED, "cuda") == {"vae": "cuda"}


def test_tensors_are_packed_side_by_side_in_pieces_of_powers_of_two():
    network = toy_transformer(num_layers=8).blocks
    before = {name: values.clone() for name, values in network.state_dict().items()}
    packed = list(network.parameters())
    pieces = pack(packed, pinned=False, piece_bytes=2**14)
    for name, values in network.state_dict().items():
        assert torch.equal(values, before[name])
        assert values.storage_offset() * values.itemsize % ALIGNMENT == 0
    storages = {piece.untyped_storage().data_ptr() for piece in pieces}
    assert {tensor.untyped_storage().data_ptr() for tensor in packed} == storages
    assert all(len(piece).bit_count() == 1 for piece in pieces)
    padded = sum(-(-tensor.nbytes // ALIGNMENT) * ALIGNMENT for tensor in packed)
    assert sum(map(len, pieces)) < 1.1 * padded


def test_a_streamed_transformer_is_not_held_twice():
    pipeline = toy_pipeline()
    blocks = pipeline.transformer.blocks
    before = [weakref.ref(tensor.untyped_storage()) for tensor in blocks.parameters()]
    place(pipeline, STREAMED, CPU)
    assert [storage() for storage in before] == [None] * len(before)


def test_without_page_locked_memory_a_streamed_transformer_stays_where_it_was():
    pipeline = toy_pipeline()
    places = [parameter.data_ptr() for parameter in pipeline.transformer.parameters()]
    place(pipeline, STREAMED, CPU, pinned=False)
    assert [parameter.data_ptr() for parameter in pipeline.transformer.parameters()] == places


def test_a_system_that_locks_no_more_pages_streams_without(monkeypatch, caplog):
    def refuse(*_, **__):
        raise torch.AcceleratorError("CUDA error: out of memory")

    monkeypatch.setattr(offload, "pack", refuse)
    pipeline = toy_pipeline()
    place(pipeline, STREAMED, CPU)
    assert "no page-locked memory, steps are slow" in caplog.text
    assert pipeline.transformer.blocks[0]._diffusers_hook.get_hook("group_offloading") is not None


def talk(engine, resolution):
    speech = np.sin(np.arange(640, dtype=np.float32))
    scene = Scene(np.zeros((60, 90, 3), np.uint8), (Speaker("person1", speech),), "a man talks", 1)
    options = RenderOptions(seed=5, resolution=resolution, num_inference_steps=1)
    return np.concatenate(
        [chunk.frames for chunk in engine.render(scene, options, ignore_progress)]
    )


def engine_in(budget, pipeline=None):
    pipeline = pipeline or toy_pipeline()
    loras = LoraProfiles(pipeline.transformer, Path("network"))
    return DiffusionEngine(pipeline, budget.plans(), loras, budget=budget)


def test_the_first_talk_at_720p_takes_the_worker_to_a_plan_that_holds(caplog):
    large = {**SIZES, "transformer": NetworkBytes(20 * GIB, streamed=GIB)}
    engine = engine_in(MemoryBudget(large, MemoryBudget(large, 0).needed(VISIT, "480p")))
    placement, _ = engine.loaded
    assert placement.plan == VISIT
    assert not list(placement.windows(lambda _: iter(()), ignore_progress, "480p"))
    assert placement.plan == VISIT
    with caplog.at_level(logging.INFO):
        assert len(talk(engine, "720p")) == 1
    assert "720p does not fit the plan encoders-visit: now streamed" in caplog.text
    assert not list(placement.windows(lambda _: iter(()), ignore_progress, "480p"))
    assert placement.plan == STREAMED


def test_a_talk_that_no_plan_holds_is_tried_with_the_plan_in_force():
    placement = Placement(toy_pipeline(), PLANS[1:], "cpu", budget=MemoryBudget(SIZES, 1))
    begun = []
    list(placement.windows(lambda watch: begun.append(watch) or iter(()), ignore_progress, "720p"))
    assert len(begun) == 1
    assert placement.plan == VISIT


def test_where_the_vae_does_not_fit_it_works_in_tiles_from_the_start(monkeypatch):
    asked, really = [], VaeCodec.__init__

    def noted(codec, *given, in_tiles, **named):
        asked.append(in_tiles)
        really(codec, *given, in_tiles=in_tiles, **named)

    monkeypatch.setattr(VaeCodec, "__init__", noted)
    tight = replace(budget_for(RESIDENT, "720p"), vae_dtype="float32")
    engine = engine_in(tight)
    assert not engine.loaded[0].in_tiles("480p")
    talk(engine, "720p")
    assert engine.loaded[0].plan == RESIDENT
    assert asked == [True]


def test_in_tiles_both_ways_are_in_tiles(monkeypatch):
    vae = toy_pipeline().vae
    for side in ("height", "width"):
        monkeypatch.setattr(vae, f"tile_sample_min_{side}", 32)
        monkeypatch.setattr(vae, f"tile_sample_stride_{side}", 24)
    tiled = []
    for way in ("tiled_encode", "tiled_decode"):
        really = getattr(vae, way)
        monkeypatch.setattr(
            vae,
            way,
            lambda *given, way=way, really=really, **named: (
                tiled.append(way) or really(*given, **named)
            ),
        )
    codec = VaeCodec(vae, CPU, in_tiles=True)
    with torch.no_grad():
        codec.decode(codec.encode(torch.zeros(3, 5, 48, 64)))
    assert tiled == ["tiled_encode", "tiled_decode"]
    assert not vae.use_tiling


def test_no_room_while_loading_leads_to_the_next_plan(weights, monkeypatch, caplog):
    tried, really = [], loading.load_for_plan

    def opened(weights, files, plan, budget, settings):
        tried.append(plan)
        if plan != STREAMED:
            raise torch.OutOfMemoryError
        return really(weights, files, plan, budget, settings)

    monkeypatch.setattr(engine_module, "load_for_plan", opened)
    monkeypatch.setattr(loading.gc, "collect", lambda: None)  # slow, and nothing was loaded
    engine = load_engine("diffusion", settings=Settings(weights=weights))
    assert tried == list(PLANS)
    assert engine.loaded[0].plan == STREAMED
    assert "out of memory while loading for the plan: resident" in caplog.text
    named = Settings(weights=weights, memory_plan="resident")
    with pytest.raises(EngineUnavailable, match="memory"):
        load_engine("diffusion", settings=named)


def test_out_of_memory_on_the_device_is_no_damaged_file(weights, monkeypatch):
    def load(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr("multitalk.engines.diffusion.loading.load_transformer", load)
    with pytest.raises(torch.OutOfMemoryError):
        load_pipeline(weights, torch_dtype=torch.float32)


def test_a_host_without_memory_for_it_is_not_asked_to_take_the_transformer_back(monkeypatch):
    pipeline = toy_pipeline()
    budget = budget_for(STREAMED, "480p", host_bytes=1)
    placement = Placement(pipeline, PLANS[1:], "cpu", budget=budget)
    monkeypatch.setattr(
        placement_module,
        "networks",
        lambda _: [("transformer", torch.nn.Linear(1, 1, device="meta"))],
    )
    monkeypatch.setattr(torch.nn.Linear, "device", torch.device("meta"), raising=False)

    def begin(_):
        raise torch.OutOfMemoryError

    with pytest.raises(EngineUnavailable):
        list(placement.windows(begin, ignore_progress))


def test_frames_of_a_vae_in_16_bits_are_those_of_32_to_a_level_or_two():
    vae = toy_pipeline().vae
    frames = torch.rand(3, 9, 32, 48, generator=torch.Generator().manual_seed(3)) * 2 - 1
    exact = VaeCodec(vae, CPU)
    with torch.no_grad():
        latents = exact.encode(frames)
        expected = exact.decode(latents)
        half = VaeCodec(vae.to(torch.bfloat16), CPU)
        found, latents_found = half.decode(latents), half.encode(frames)
        use_channels_last(vae)
        last = half.decode(latents)
    assert found.dtype == latents_found.dtype == torch.float32
    assert (latents_found - latents).std() < 0.02 * latents.std()
    for decoded in (found, last):
        assert (decoded - expected).abs().mean() * 127.5 < 1  # levels of 8 bits
        assert (decoded - expected).std() < 0.02 * expected.std()


def test_channels_last_is_the_order_of_every_convolution():
    vae = toy_pipeline().vae
    use_channels_last(vae)
    for module in vae.modules():
        if isinstance(module, torch.nn.Conv3d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last_3d)
        elif isinstance(module, torch.nn.Conv2d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_vae_in_16_bits_takes_little_more_than_a_step_and_in_32_bits_twice_as_much():
    step = working_bytes(1000, "float32", in_tiles=True)
    assert step < working_bytes(1000, "bfloat16", in_tiles=False) < 1.2 * step
    assert working_bytes(1000, "float32", in_tiles=False) > 2 * step


@pytest.fixture
def card(weights, monkeypatch):
    """A GPU and a host of so many GiB, for weights of the published 8-bit set's size."""

    def fake(free, host, processes=1):
        for module in (engine_module, loading):
            monkeypatch.setattr(module, "has_gpu", lambda: True)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (int(free * GIB), 0))
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
        monkeypatch.setattr(loading, "available_bytes", lambda: host * GIB)
        monkeypatch.setattr(loading, "network_bytes", lambda *_, **__: IN_8_BITS)
        team = SimpleNamespace(world_size=processes, all_reduce_min=lambda value: value)
        return loading.measure_memory(find_components(weights), Settings(), team)

    return fake


@pytest.mark.parametrize(
    ("free", "host", "plan", "pinned"),
    [
        (15.5, 16, STREAMED, False),
        (23.5, 32, STREAMED, True),
        (31.4, 16, VISIT, True),
        (44.5, 64, RESIDENT, True),
        (79, 64, RESIDENT, True),
    ],
)
def test_an_engine_asks_the_gpu_and_the_host_what_they_have(card, free, host, plan, pinned):
    budget = card(free, host)
    assert budget.vae_dtype == "bfloat16"
    assert budget.plans()[0] == plan
    assert budget.has_pinned(plan) == pinned
    assert budget.fits(plan, "480p")
    assert budget.fits(plan, "720p")


def test_processes_that_share_a_talk_share_the_host(card):
    assert card(15.5, 64).has_pinned(STREAMED)
    assert not card(15.5, 64, processes=4).has_pinned(STREAMED)


def test_on_a_gpu_weights_go_straight_to_it_as_each_plan_wants(card, weights, monkeypatch):
    asked = []

    def load(_, **options):
        asked.append(options)
        raise torch.OutOfMemoryError

    card(79, 64)
    monkeypatch.setattr(loading, "load_pipeline", load)
    monkeypatch.setattr(loading.gc, "collect", lambda: None)
    with pytest.raises(EngineUnavailable, match="memory"):
        DiffusionEngine.load(weights, Settings())
    assert [options["devices"] for options in asked] == [
        {"vae": "cuda", "transformer": "cuda"},
        {"vae": "cuda", "transformer": "cuda"},
        {"vae": "cuda"},
    ]
    assert {options["vae_dtype"] for options in asked} == {torch.bfloat16}
    asked.clear()
    with pytest.raises(EngineUnavailable):
        DiffusionEngine.load(weights, Settings(memory_plan="streamed", vae_dtype="float32"))
    assert [options["vae_dtype"] for options in asked] == [torch.float32]
