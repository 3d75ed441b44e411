"""Weights in 8 bits against the reference's, number for number and in the output."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
safetensors = pytest.importorskip("safetensors.torch")

from multitalk.engines.diffusion.convert_transformer import (
    load_transformer,
    load_transformer_file,
    to_diffusers,
)
from multitalk.engines.diffusion.quantized import QuantizedLinear
from multitalk.weights.component_files import CheckpointMismatch

KINDS = ["int8", "fp8"]


def quantized_file(goldens, kind):
    return goldens / "quant" / "quant_models" / f"dit_model_{kind}.safetensors"


def load(goldens, kind, dtype=torch.float32):
    return load_transformer_file(
        quantized_file(goldens, kind),
        config=goldens / "transformer" / "checkpoint" / "config.json",
        torch_dtype=dtype,
    )


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def model(goldens, kind):
    return load(goldens, kind)


@torch.no_grad()
def predict(goldens, model, case, timestep):
    tensors = safetensors.load_file(goldens / "transformer" / "inputs.safetensors")
    dtype = model.patch_embedding.weight.dtype
    return model(
        hidden_states=torch.cat([tensors["x"][None], tensors["y"]], dim=1).to(dtype),
        timestep=torch.tensor([timestep]),
        encoder_hidden_states=tensors["context"][None].to(dtype),
        encoder_hidden_states_image=tensors["clip_fea"].to(dtype),
        audio_hidden_states=tensors[f"audio_{case}"].to(dtype),
        speaker_masks=tensors[f"masks_{case}"],
    ).sample[0]


def test_the_output_is_that_of_the_reference(goldens, kind, model):
    recorded = safetensors.load_file(goldens / "quant" / f"output_{kind}.safetensors")
    assert recorded
    for name, expected in recorded.items():
        case, timestep = name.split("/t")
        predicted = predict(goldens, model, case, float(timestep))
        torch.testing.assert_close(predicted, expected, atol=1e-4, rtol=0)


def test_every_stored_number_is_the_files(goldens, kind, model):
    stored = safetensors.load_file(quantized_file(goldens, kind))
    state = model.state_dict()
    for key, values in stored.items():
        if key.endswith("._data"):
            held = state[to_diffusers(key.removesuffix("._data"))]
            assert torch.equal(held.view(values.dtype).float(), values.float()), key
        elif key.endswith("._scale"):
            assert torch.equal(
                state[to_diffusers(key.removesuffix("._scale")) + "_scale"], values
            ), key


def test_the_layers_of_the_map_are_held_in_8_bits_and_no_others(goldens, kind, model):
    file = goldens / "quant" / "quant_models" / f"dit_model_map_{kind}.json"
    mapped = {to_diffusers(name) for name in json.loads(file.read_text())}
    held = {name for name, layer in model.named_modules() if isinstance(layer, QuantizedLinear)}
    assert held == mapped
    facts = json.loads((goldens / "quant" / "meta.json").read_text())[kind]
    assert len(held) == facts["n_quantized"]
    plain = {to_diffusers(name) for name in facts["not_quantized"]}
    in_layers = {f"{name}.{part}" for name in held for part in ("weight", "weight_scale", "bias")}
    assert plain == set(model.state_dict()) - in_layers
    assert all(model.get_submodule(name).weight.element_size() == 1 for name in held)


def test_half_precision_leaves_the_stored_numbers_alone(goldens, kind, model):
    half = load(goldens, kind, torch.bfloat16)
    name = "blocks.0.attn1.to_q"
    assert half.get_submodule(name).bias.dtype == torch.bfloat16
    assert half.get_submodule(name).weight_scale.dtype == torch.float32
    cast = load(goldens, kind).to(torch.bfloat16)
    for other in (half, cast):
        for layer in held_layers(model):
            stored = model.get_submodule(layer).weight
            assert torch.equal(other.get_submodule(layer).weight, stored)
    plain = predict(goldens, model, "one", 500.0)
    error = (predict(goldens, half, "one", 500.0) - plain).pow(2).mean().sqrt()
    assert error < 0.05 * plain.std()


def held_layers(model):
    return [name for name, layer in model.named_modules() if isinstance(layer, QuantizedLinear)]


def test_it_is_as_far_from_the_network_that_was_quantised_as_the_reference_is(goldens, kind, model):
    exact = load_transformer(goldens / "transformer" / "checkpoint", torch_dtype=torch.float32)
    facts = json.loads((goldens / "quant" / "meta.json").read_text())[kind]
    errors = []
    for name in safetensors.load_file(goldens / "quant" / f"output_{kind}.safetensors"):
        case, timestep = name.split("/t")
        plain = predict(goldens, exact, case, float(timestep))
        stored = predict(goldens, model, case, float(timestep))
        errors.append(float((stored - plain).norm() / plain.norm()))
    assert any(error == pytest.approx(facts["rel_err_vs_float"], rel=1e-3) for error in errors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_was_saved_opens_still_in_8_bits(goldens, kind, model, tmp_path, dtype):
    model.save_pretrained(tmp_path)
    for opened in (
        load_transformer(tmp_path, torch_dtype=dtype),
        type(model).from_pretrained(tmp_path, torch_dtype=dtype),
    ):
        assert held_layers(opened) == held_layers(model)
        for name, tensor in opened.state_dict().items():
            expected = model.state_dict()[name]
            exact = dtype == torch.float32 or not tensor.is_floating_point()
            assert (
                torch.equal(tensor, expected) if exact else tensor.dtype in (dtype, torch.float32)
            )
        assert opened.get_submodule("blocks.0.ffn.net.2").weight_scale.dtype == torch.float32


def test_a_layer_without_its_scales_is_refused(goldens, kind, tmp_path):
    tensors = safetensors.load_file(quantized_file(goldens, kind))
    del tensors["blocks.0.ffn.0.weight._scale"]
    tensors["head.head.weight._scale"] = torch.ones(3, 1)
    safetensors.save_file(tensors, tmp_path / "odd.safetensors")
    config = goldens / "transformer" / "checkpoint" / "config.json"
    with pytest.raises(CheckpointMismatch, match=r"head\.head\.weight\._scale: shape") as caught:
        load_transformer_file(tmp_path / "odd.safetensors", config=config)
    missing = "blocks.0.ffn.net.0.proj.weight_scale: missing tensor"
    assert missing in caught.value.problems
