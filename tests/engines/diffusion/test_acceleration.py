"""What makes a forward faster changes how it is computed, and what it gives by rounding only."""

import logging
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from toy import SIZES, predict, toy_inputs, toy_transformer

from multitalk.engines.diffusion import acceleration
from multitalk.engines.diffusion.acceleration import accelerate, choose_attention
from multitalk.engines.diffusion.quantized import (
    QuantizedLinear,
    multiply_in_fp8,
)
from multitalk.errors import EngineUnavailable
from multitalk.settings import Settings

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

from count_operations import count_forward, networks
from diffusion_cost import Size

CPU = torch.device("cpu")
WIDE = {"num_attention_heads": 2, "attention_head_dim": 16, "ffn_dim": 64, "audio_dim": 16}


def share_of_spread(found, expected):
    return float((found - expected).float().std() / expected.float().std())


def layer_of(storage, *, bias=True):
    """A layer and what it means: its weight in float64."""
    generator = torch.Generator().manual_seed(0)
    layer = QuantizedLinear(64, 48, storage=storage, bias=bias)
    values = 40 * torch.randn(48, 64, generator=generator)
    if storage == "int8":
        layer.weight.copy_(values.clamp(-127, 127))
    else:
        layer.weight.copy_(values.to(torch.float8_e4m3fn).view(torch.int8))
    layer.weight_scale.copy_(0.003 * (1 + torch.rand(48, 1, generator=generator)))
    if bias:
        layer.bias.copy_(torch.randn(48, generator=generator))
    dtype = torch.int8 if storage == "int8" else torch.float8_e4m3fn
    return layer, layer.weight.view(dtype).double() * layer.weight_scale.double()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("storage", ["int8", "float8_e4m3fn"])
def test_weights_in_8_bits_are_rounded_to_16_once(storage, bias):
    layer, weight = layer_of(storage, bias=bias)
    states = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(1))
    added = layer.bias if bias else torch.zeros(48)
    exact = states.double() @ weight.T + added.double()
    torch.testing.assert_close(layer(states), exact.float(), atol=1e-5, rtol=1e-5)
    half = states.bfloat16()
    expected = torch.nn.functional.linear(half, weight.bfloat16(), added.bfloat16())
    assert torch.equal(layer(half), expected)


def test_products_in_fp8_are_those_of_what_was_rounded():
    layer, weight = layer_of("float8_e4m3fn")
    assert multiply_in_fp8(layer) == 1
    generator = torch.Generator().manual_seed(1)
    # Rows as unlike as a network's: an outlier, a row of zeros, one a million times the other.
    states = torch.randn(2, 5, 64, generator=generator) * 10.0 ** torch.arange(-3, 2)[:, None]
    states[0, 1, 3] = 50
    states[1, 2] = 0
    states = states.bfloat16()
    largest = states.abs().amax(-1, keepdim=True).clamp(min=1e-12)
    scale = largest / 448
    held = (states / scale).to(torch.float8_e4m3fn).double() * scale.double()
    expected = held @ weight.T + layer.bias.double()
    found = layer(states)
    assert found.shape == (2, 5, 48)
    assert found.isfinite().all()
    torch.testing.assert_close(found.double(), expected, atol=1e-2, rtol=1e-2)
    exact = states.double() @ weight.T + layer.bias.double()
    assert 0 < share_of_spread(found.double(), exact) < 0.05


def test_a_network_multiplies_in_fp8_where_weights_are_fp8_and_fit(tmp_path):
    model = toy_transformer(
        weight_storage="float8_e4m3fn", full_precision_modules=("proj_out",), **WIDE
    )
    model.save_pretrained(tmp_path)
    half = type(model).from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    inputs = {
        name: tensor if name in ("timestep", "speaker_masks") else tensor.bfloat16()
        for name, tensor in toy_inputs(voices=1).items()
    }
    expected = predict(half, **inputs)
    # The four of each attention, those of the picture's keys and values, two of the feed-forward.
    of_a_block = 4 + 6 + 3 + 2
    assert multiply_in_fp8(half.blocks) == SIZES["num_layers"] * of_a_block
    assert 0 < share_of_spread(predict(half, **inputs), expected) < 0.1
    assert multiply_in_fp8(toy_transformer(weight_storage="int8", **WIDE)) == 0


@pytest.mark.parametrize(
    ("capability", "usual"),
    [((9, 0), "_native_cudnn"), ((8, 9), "native"), ((10, 0), "native"), (None, "native")],
)
def test_auto_takes_cudnn_on_hopper(monkeypatch, capability, usual):
    monkeypatch.setattr(acceleration, "_problem_of", lambda *_, **__: None)
    assert choose_attention("auto", CPU, capability, head_dim=16, is_shared=False) == usual


def test_auto_goes_on_where_cudnn_does_not_work(caplog):
    with caplog.at_level(logging.WARNING):
        found = choose_attention("auto", CPU, (9, 0), head_dim=16, is_shared=False)
    assert found == "native"
    assert "_native_cudnn does not work here" in caplog.text


@pytest.mark.parametrize(
    ("wanted", "is_shared", "why"),
    [
        ("sage", False, "sageattention"),
        ("flash", False, "flash-attn"),
        ("_flash_3", False, "FA3"),
        ("_native_cudnn", False, "."),
        ("_native_math", True, "several processes"),
    ],
)
def test_a_kernel_that_does_not_work_is_named_with_the_way_out(wanted, is_shared, why):
    said = f"MULTITALK_ATTENTION={wanted} does not work here: .*{why}.*; set auto, or install"
    with pytest.raises(EngineUnavailable, match=said):
        choose_attention(wanted, CPU, None, head_dim=16, is_shared=is_shared)


def test_a_kernel_that_gives_something_else_is_refused(monkeypatch):
    really = acceleration.dispatch_attention_fn

    def wrong(query, key, value, *, backend):
        return really(query, key, value if backend == acceleration.NATIVE else value.flip(1))

    monkeypatch.setattr(acceleration, "dispatch_attention_fn", wrong)
    with pytest.raises(EngineUnavailable, match=r"differs by 1\d\d% from PyTorch's"):
        choose_attention("_native_math", CPU, None, head_dim=16, is_shared=False)


@pytest.mark.parametrize("voices", [1, 2])
def test_another_kernel_gives_what_the_usual_one_gives(voices, caplog):
    model, inputs = toy_transformer(), toy_inputs(voices=voices)
    expected = predict(model, **inputs)
    asked = []
    with caplog.at_level(logging.INFO, "multitalk"):
        accelerate(model, Settings(attention="_native_math"), is_shared=False)
    assert "attention: _native_math; products of 32 bits; blocks not compiled" in caplog.text
    for block in model.blocks:
        for attention in (block.attn1, block.attn2, block.audio_attn):
            asked.append(attention.processor._attention_backend.value)
    assert asked == ["_native_math", "native", "native"] * len(model.blocks)
    torch.testing.assert_close(predict(model, **inputs), expected, atol=2e-5, rtol=1e-4)
    model.enable_group_offload(
        onload_device=CPU, offload_device=CPU, offload_type="block_level", num_blocks_per_group=1
    )
    torch.testing.assert_close(predict(model, **inputs), expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "is_shared", "said"),
    [
        ({"fp8_products": True}, False, "MULTITALK_FP8_PRODUCTS .* capability 8.9 or more"),
        ({"compile": True}, True, "MULTITALK_COMPILE .* set it to false, or start one process"),
    ],
)
def test_what_cannot_be_is_named_with_the_way_out(settings, is_shared, said):
    with pytest.raises(EngineUnavailable, match=said):
        accelerate(toy_transformer(), Settings(**settings), is_shared=is_shared)


def test_fp8_products_need_weights_in_fp8(monkeypatch):
    with pytest.raises(EngineUnavailable, match="it needs a weight set in fp8, such as"):
        acceleration._use_fp8_products(toy_transformer(weight_storage="int8"), (9, 0))
    on = acceleration.problem_of_fp8
    monkeypatch.setattr(acceleration, "problem_of_fp8", lambda _: on(CPU))
    model = toy_transformer(weight_storage="float8_e4m3fn", **WIDE)
    acceleration._use_fp8_products(model, (9, 0))
    assert model.blocks[0].ffn.net[2].multiplies_in_fp8


def test_a_block_at_its_real_size_does_no_more_than_it_must():
    size, found = Size(21, 56, 112), networks({"num_layers": 1})
    operations, costs = {}, {}
    for name, make in found.items():
        operations[name], costs[name] = count_forward(make(), size)
    layers, weights = 15, 464e6  # of a block
    # A weight is read in 8 bits and written in 16; nothing more is done to the tokens.
    assert operations["int8"] == operations["16 bits"] + layers
    assert costs["int8"].bytes - costs["16 bits"].bytes < 3.1 * weights
    assert operations["fp8"] == operations["16 bits"] + 2 * layers
    assert len({cost.flops for cost in costs.values()}) == 1


@pytest.mark.filterwarnings("default")  # of the compiler, about its own parts
def test_blocks_are_compiled_once_for_all_sizes(monkeypatch):
    graphs = []

    def counting(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    really = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self, **named: really(self, backend=counting, **named)
    )
    model, small = toy_transformer(), toy_inputs(voices=1)
    scenes = [small, {**small, "hidden_states": torch.randn(1, 36, 3, 6, 8)}]
    expected = [predict(model, **scene) for scene in scenes]
    accelerate(model, Settings(compile=True), is_shared=False)
    for scene, plain in zip(scenes, expected, strict=True):
        torch.testing.assert_close(predict(model, **scene), plain, atol=2e-5, rtol=1e-4)
    assert len(graphs) == 1
