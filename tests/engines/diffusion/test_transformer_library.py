"""What diffusers does to models works on ours and changes nothing but cost."""

import math

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from team import run_team
from torch import distributed
from toy import NUM_FRAMES, predict, toy_inputs, toy_transformer

from multitalk.engines.diffusion.quantized import store_weights_as
from multitalk.engines.diffusion.transformer import (
    CachedConditions,
    MultiTalkTransformer3DModel,
)

CPU = torch.device("cpu")


@pytest.fixture
def model():
    return toy_transformer()


@pytest.fixture(scope="module")
def plain():
    return predict(toy_transformer())


def close(result, expected):
    torch.testing.assert_close(result, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("storage", [None, "int8", "float8_e4m3fn"])
def test_a_saved_model_is_the_same_model(tmp_path, storage):
    model = toy_transformer(weight_storage=storage, full_precision_modules=("proj_out",))
    model.save_pretrained(tmp_path)
    opened = MultiTalkTransformer3DModel.from_pretrained(tmp_path)
    assert opened.config.weight_storage == storage
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, opened.state_dict()[name]), name
    close(predict(opened), predict(model))


@pytest.mark.parametrize("backend", ["native", "_native_math"])
def test_attention_backends(model, plain, backend):
    model.set_attention_backend(backend)
    assert model.blocks[0].audio_attn.processor._attention_backend == backend
    close(predict(model), plain)


@pytest.mark.parametrize(
    "how",
    [{"offload_type": "block_level", "num_blocks_per_group": 1}, {"offload_type": "leaf_level"}],
)
@pytest.mark.parametrize("storage", [None, "int8", "float8_e4m3fn"])
def test_group_offload(how, storage):
    model = toy_transformer(weight_storage=storage)
    expected = predict(model)
    model.enable_group_offload(onload_device=CPU, offload_device=CPU, **how)
    close(predict(model), expected)


def test_layerwise_casting_holds_the_blocks_in_8_bits(model, plain):
    model.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    assert model.blocks[0].ffn.net[2].weight.dtype == torch.float8_e4m3fn
    assert model.blocks[0].norm2.weight.dtype == torch.float32
    assert model.audio_proj.proj1.weight.dtype == torch.float32
    error = (predict(model) - plain).pow(2).mean().sqrt()
    assert error < 0.15 * plain.std()


def test_half_precision_is_close(tmp_path, model, plain):
    model.save_pretrained(tmp_path)
    half = MultiTalkTransformer3DModel.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    inputs = {
        name: tensor if name in ("timestep", "speaker_masks") else tensor.bfloat16()
        for name, tensor in toy_inputs(voices=1).items()
    }
    error = (predict(half, **inputs) - predict(model, **toy_inputs(voices=1))).pow(2).mean().sqrt()
    assert error < 0.05 * plain.std()


def test_the_first_block_cache_keeps_branches_apart(model):
    model.enable_cache(diffusers.FirstBlockCacheConfig(threshold=1e9))
    first = {}
    for branch, voices in [("voices", 2), ("voice", 1)]:
        with model.cache_context(branch):
            first[branch] = predict(model, **toy_inputs(voices=voices))
    for branch, voices in [("voices", 2), ("voice", 1)]:
        with model.cache_context(branch):
            again = predict(model, **toy_inputs(voices=voices))
        close(again, first[branch])  # the same step from the cache
    model.disable_cache()
    close(predict(model), first["voices"])


@pytest.mark.filterwarnings("default")  # of the compiler, about its own parts
def test_compiled_blocks(model, plain):
    # The graphs are taken and differentiated as for any backend; code is not generated from them,
    # which takes a minute and is another backend's on a GPU.
    model.compile_repeated_blocks(fullgraph=True, backend="aot_eager")
    close(predict(model), plain)


def test_gradients_reach_an_adapter(model):
    from peft import LoraConfig

    model.requires_grad_(False)
    model.add_adapter(LoraConfig(r=2, target_modules=["to_kv"], init_lora_weights=False))
    model(**toy_inputs()).sample.sum().backward()
    gradients = [p.grad for name, p in model.named_parameters() if "lora_B" in name]
    assert len(gradients) == len(model.blocks)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


@torch.no_grad()
def test_a_latent_frame_hears_its_own_speech_only(model):
    inputs = toy_inputs(voices=1)
    conditioning = CachedConditions()
    heard = []
    attention = model.blocks[0].audio_attn
    attention.register_forward_hook(lambda module, arguments, result: heard.append(result[0]))
    model(conditioning=conditioning, **inputs)
    conditioning.audio = conditioning.audio.clone()
    conditioning.audio[1] += 1
    model(conditioning=conditioning, **inputs)
    before, after = (result.unflatten(0, (NUM_FRAMES, -1)) for result in heard)
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.allclose(before[1], after[1])


def test_three_speakers_are_three(model):
    together = predict(model, **toy_inputs(voices=3))
    inputs = toy_inputs(voices=3)
    inputs["audio_hidden_states"] = inputs["audio_hidden_states"][[0, 2, 1]]
    assert together.isfinite().all()
    assert not torch.allclose(predict(model, **inputs), together, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"timestep": torch.tensor([620])}, "would be rounded"),
        ({"timestep": torch.tensor([620.0], dtype=torch.bfloat16)}, "would be rounded"),
        ({"hidden_states": torch.zeros(2, 36, 3, 4, 6)}, "one talk at a time"),
        ({"encoder_hidden_states": torch.zeros(1, 9, 10)}, "9 text tokens; at most 8"),
        ({"speaker_masks": None}, "2 voices need 3 masks; found none"),
        ({"speaker_masks": torch.ones(2, 4, 6)}, "2 voices need 3 masks; found 2"),
    ],
)
def test_what_would_be_silently_wrong_is_refused(model, change, problem):
    with pytest.raises(ValueError, match=problem):
        predict(model, **{**toy_inputs(), **change})


def share():
    """In each of several processes."""
    distributed.init_process_group("gloo")
    torch.accelerator.device_count = lambda: 1  # the library asks it even on a CPU
    expected = [predict(toy_transformer(), **toy_inputs(voices=voices)) for voices in (1, 2)]
    model = toy_transformer()
    model.set_attention_backend("native")
    degree = distributed.get_world_size()
    model.enable_parallelism(config=diffusers.ContextParallelConfig(ulysses_degree=degree))
    for voices, whole in zip((1, 2), expected, strict=True):
        close(predict(model, **toy_inputs(voices=voices)), whole)
    distributed.destroy_process_group()


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA cannot be used after a fork")
def test_two_processes_that_share_a_talk_give_what_one_gives(tmp_path):
    run_team(share, 2, tmp_path)
    for rank in range(2):
        said = (tmp_path / f"said-{rank}").read_text()
        assert (tmp_path / f"code-{rank}").read_text() == "0", said


def test_the_default_sizes_are_those_of_the_published_files():
    from accelerate import init_empty_weights

    with init_empty_weights():
        published = MultiTalkTransformer3DModel()
    sizes = {name: tensor.numel() for name, tensor in published.named_parameters()}
    audio = sum(size for name, size in sizes.items() if "audio" in name)
    gigabytes = [round(4 * numbers / 1e9, 2) for numbers in (audio, sum(sizes.values()) - audio)]
    assert gigabytes == [9.95, 65.58]  # in float32: multitalk.safetensors and Wan's shards


def test_a_layer_without_bias_may_be_held_in_8_bits():
    layers = torch.nn.Sequential(torch.nn.Linear(4, 3, bias=False), torch.nn.Linear(3, 2))
    store_weights_as("int8", layers, full_precision=["1"])
    assert type(layers[1]) is torch.nn.Linear
    layers[0].weight[0] = torch.tensor([1, -2, 3, 0], dtype=torch.int8)
    layers[0].weight_scale[0] = 0.5
    result = layers[0](torch.tensor([[1.0, 10.0, 100.0, 1000.0]]))
    assert result.tolist() == [[140.5, 0.0, 0.0]]


def test_the_timestep_is_not_blurred_by_float32(model):
    seen = []
    embedder = model.condition_embedder.time_embedder
    embedder.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0][0]))
    model.embed_time(torch.tensor([999.75]), torch.float32)
    half = model.config.freq_dim // 2
    angles = [999.75 * 10_000 ** (-index / half) for index in range(half)]
    expected = [math.cos(angle) for angle in angles] + [math.sin(angle) for angle in angles]
    torch.testing.assert_close(seen[0], torch.tensor(expected), atol=1e-7, rtol=0)
