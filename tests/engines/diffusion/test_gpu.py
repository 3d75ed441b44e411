"""What only a GPU can show, on toy weights: the CPU's results, memory plans, memory given back."""

import gc
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("cv2")

from toy import predict, toy_inputs, toy_pipeline, toy_transformer

from multitalk.engines.base import RenderOptions, Scene, Speaker, ignore_progress
from multitalk.engines.diffusion import engine as engine_module
from multitalk.engines.diffusion import loading
from multitalk.engines.diffusion.acceleration import (
    FP8_CAPABILITY,
    choose_attention,
    problem_of_fp8,
)
from multitalk.engines.diffusion.engine import DiffusionEngine
from multitalk.engines.diffusion.loading import load_pipeline
from multitalk.engines.diffusion.memory_plan import PLANS
from multitalk.engines.diffusion.offload import place
from multitalk.engines.diffusion.profiles import LoraProfiles
from multitalk.engines.diffusion.speaker_binding import speaker_map
from multitalk.engines.diffusion.vae import (
    VaeCodec,
    use_channels_last,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

GPU = torch.device("cuda")
PORTRAIT = np.random.default_rng(0).integers(0, 256, (100, 140, 3), dtype=np.uint8)
OPTIONS = RenderOptions(seed=5, resolution="480p", num_inference_steps=2)
MIB = 2**20


def on_gpu(inputs, dtype=torch.float32):
    exact = ("timestep", "speaker_masks")
    return {
        name: tensor.to(GPU, torch.float32 if name in exact else dtype)
        for name, tensor in inputs.items()
    }


def scene(num_frames=13):
    speech = np.sin(np.arange(num_frames * 640, dtype=np.float32) / 20)
    boxes = [(10.0, 10.0, 60.0, 90.0), (80.0, 10.0, 130.0, 90.0)]
    speakers = tuple(Speaker(f"person{i}", speech, box) for i, box in enumerate(boxes, 1))
    return Scene(PORTRAIT, speakers, "a man talks", num_frames)


def frames_of(engine):
    chunks = list(engine.render(scene(), OPTIONS, ignore_progress))
    return np.concatenate([chunk.frames for chunk in chunks]).astype(int)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    directory = tmp_path_factory.mktemp("weights")
    toy_pipeline().save_pretrained(directory)
    return directory


def engine_of(weights, dtype, plan=PLANS[0]):
    pipeline = load_pipeline(weights, torch_dtype=dtype)
    return DiffusionEngine(pipeline, [plan], LoraProfiles(pipeline.transformer, weights))


@pytest.fixture(scope="module")
def on_the_cpu(weights):
    """Frames in float32 from the CPU."""
    patch = pytest.MonkeyPatch()
    for module in (engine_module, loading):
        patch.setattr(module, "has_gpu", lambda: False)
    try:
        return frames_of(engine_of(weights, torch.float32))
    finally:
        patch.undo()


@pytest.mark.parametrize("voices", [1, 2])
def test_a_forward_is_the_cpus(voices):
    model, inputs = toy_transformer(), toy_inputs(voices=voices)
    expected = predict(model, **inputs)
    found = predict(model.to(GPU), **on_gpu(inputs)).cpu()
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_a_forward_in_16_bits_is_close(tmp_path):
    model, inputs = toy_transformer(), toy_inputs(voices=1)
    expected = predict(model, **inputs)
    model.save_pretrained(tmp_path)
    half = type(model).from_pretrained(tmp_path, torch_dtype=torch.bfloat16).to(GPU)
    found = predict(half, **on_gpu(inputs, torch.bfloat16)).cpu()
    assert (found - expected).pow(2).mean().sqrt() < 0.05 * expected.std()


@pytest.mark.parametrize("backend", ["_native_flash", "_native_cudnn", "_native_efficient"])
def test_backends_agree_in_16_bits(tmp_path, backend):
    model = toy_transformer(attention_head_dim=64)
    model.save_pretrained(tmp_path)
    half = type(model).from_pretrained(tmp_path, torch_dtype=torch.bfloat16).to(GPU)
    inputs = on_gpu(toy_inputs(voices=1), torch.bfloat16)
    half.set_attention_backend("_native_math")
    expected = predict(half, **inputs)
    half.set_attention_backend(backend)
    error = (predict(half, **inputs) - expected).pow(2).mean().sqrt()
    assert error < 0.05 * expected.std()


def test_what_auto_takes_works_here():
    capability = torch.cuda.get_device_capability()
    found = choose_attention("auto", GPU, capability, head_dim=128, is_shared=False)
    assert found == ("_native_cudnn" if capability == (9, 0) else "native")


@pytest.mark.skipif(
    torch.cuda.is_available() and torch.cuda.get_device_capability() < FP8_CAPABILITY,
    reason="needs a GPU that multiplies in float8",
)
def test_products_in_fp8_are_close():
    assert problem_of_fp8(GPU) is None


def test_the_speaker_map_in_16_bits_names_the_same_speaker():
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(1, 4096, 8, 128, generator=generator)
    key = torch.randn(1, 1024, 8, 128, generator=generator)
    masks = torch.arange(1024) % 3 == torch.arange(3)[:, None]
    # Each token looks at one of the classes, as trained networks do.
    pull = torch.arange(4096) % 3
    key[..., :3] += 8 * masks.T[None, :, None].float()
    query[..., :3] += 8 * (pull[:, None] == torch.arange(3)).float()[None, :, None]
    expected = speaker_map(query, key, masks).argmax(0)
    half = speaker_map(query.bfloat16().to(GPU), key.bfloat16().to(GPU), masks.to(GPU))
    assert (half.argmax(0).cpu() == expected).float().mean() > 0.99


def test_streamed_blocks_give_what_resident_ones_give():
    model, inputs = toy_transformer().to(GPU), on_gpu(toy_inputs())
    expected = predict(model, **inputs)
    model.to("cpu").enable_group_offload(
        onload_device=GPU,
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
        use_stream=True,
    )
    for _ in range(2):
        torch.testing.assert_close(predict(model, **inputs), expected, atol=2e-5, rtol=1e-4)


def test_a_streamed_transformer_lies_in_pieces_of_page_locked_memory():
    pipeline, inputs = toy_pipeline(), on_gpu(toy_inputs())
    transformer = toy_transformer()
    expected = predict(transformer.to(GPU), **inputs)
    pipeline.register_modules(transformer=transformer)
    place(pipeline, PLANS[-1], GPU)  # from the GPU
    parameters = list(transformer.blocks.parameters())
    assert all(parameter.is_pinned() for parameter in parameters)
    pieces = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    assert len(pieces) < len(parameters) / 4
    for _ in range(2):
        torch.testing.assert_close(predict(transformer, **inputs), expected, atol=2e-5, rtol=1e-4)
        found = {parameter.untyped_storage().data_ptr() for parameter in parameters}
        assert found == pieces


def test_encoders_that_leave_the_gpu_are_mapped_again(weights):
    engine = engine_of(weights, torch.bfloat16)
    placement, _ = engine.loaded
    pipeline, offloaded = placement.pipeline, placement._offloaded
    assert pipeline.text_encoder.device.type == "cuda"
    at_home = {values.data_ptr() for _, values in offloaded["text_encoder"]._tensors}
    place(pipeline, PLANS[1], GPU, offloaded=offloaded)
    assert {tensor.data_ptr() for tensor in pipeline.text_encoder.parameters()} <= at_home
    assert frames_of(engine).std() > 1


def test_a_vae_in_16_bits_with_its_channels_last_decodes_as_in_32(weights):
    pipeline = load_pipeline(weights, torch_dtype=torch.bfloat16, vae_dtype=torch.bfloat16)
    exact = load_pipeline(weights, torch_dtype=torch.bfloat16).vae.to(GPU)
    use_channels_last(pipeline.vae.to(GPU))
    latents = torch.randn(16, 3, 4, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = VaeCodec(exact, GPU).decode(latents)
        found = VaeCodec(pipeline.vae, GPU).decode(latents)
    assert (found - expected).abs().mean() * 127.5 < 1


@pytest.mark.filterwarnings("default")  # of the compiler, about its own parts
@pytest.mark.timeout(300)
def test_compiled_blocks_give_what_the_others_give():
    model, inputs = toy_transformer().to(GPU), on_gpu(toy_inputs())
    expected = predict(model, **inputs)
    model.compile_repeated_blocks(fullgraph=True)
    torch.testing.assert_close(predict(model, **inputs), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_every_plan_gives_the_cpus_frames(weights, on_the_cpu, plan):
    frames = frames_of(engine_of(weights, torch.float32, plan))
    assert frames.shape == on_the_cpu.shape
    assert np.abs(frames - on_the_cpu).mean() < 0.5


def test_frames_in_16_bits_are_close_to_the_cpus(weights, on_the_cpu):
    assert np.abs(frames_of(engine_of(weights, torch.bfloat16)) - on_the_cpu).mean() < 3


def test_where_memory_does_not_suffice_blocks_are_streamed():
    deep = {"num_attention_heads": 16, "attention_head_dim": 32, "ffn_dim": 2048, "num_layers": 24}
    pipeline = toy_pipeline()
    width = pipeline.transformer.config.audio_feature_dim
    pipeline.register_modules(transformer=toy_transformer(audio_feature_dim=width, **deep))
    held = sum(tensor.nbytes for tensor in pipeline.transformer.state_dict().values())
    assert held > 400 * MIB
    gc.collect()
    torch.cuda.empty_cache()
    allowed = torch.cuda.memory_reserved() + 300 * MIB
    total = torch.cuda.get_device_properties(GPU).total_memory
    torch.cuda.set_per_process_memory_fraction(allowed / total)
    try:
        engine = DiffusionEngine(
            pipeline, PLANS, LoraProfiles(pipeline.transformer, Path("network"))
        )
        frames = frames_of(engine)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert engine.loaded[0].plan == PLANS[-1]
    assert len(frames) == 13
    assert frames.std() > 1


def test_a_talk_that_is_left_gives_its_memory_back(weights):
    engine = engine_of(weights, torch.float32)
    list(engine.render(scene(), OPTIONS, ignore_progress))  # what is remembered stays
    gc.collect()
    before = torch.cuda.memory_allocated()
    talk = engine.render(scene(49), OPTIONS, ignore_progress)
    next(talk)
    assert torch.cuda.memory_allocated() > before
    talk.close()
    del talk
    gc.collect()
    assert torch.cuda.memory_allocated() <= before + MIB
