"""LoRA files of every naming against the weights and outputs which the reference makes of one."""

import json
import re

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")
safetensors = pytest.importorskip("safetensors.torch")

from merged_lora import attached_loras, merge_lora
from multitalk.engines.diffusion.convert_transformer import (
    load_transformer,
    load_transformer_file,
    to_diffusers,
)
from multitalk.engines.diffusion.lora import (
    AttachedLoras,
    LoraMismatch,
    read_lora,
)
from multitalk.engines.diffusion.quantized import QuantizedLinear

PAIRS_ONLY = ["peft", "transformer", "pipe_dit", "lora_unet"]
STACKED = [("lightx2v", 0.7), ("second", 1.2)]  # in `merged_stacked`
CLOSE = {"atol": 5e-5, "rtol": 1e-4}


@pytest.fixture
def model(goldens):
    return load_transformer(goldens / "transformer" / "checkpoint", torch_dtype=torch.float32)


@pytest.fixture
def plain(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def lora_file(goldens, name):
    return goldens / "lora" / f"{name}.safetensors"


def merged(goldens, name):
    tensors = safetensors.load_file(lora_file(goldens, name))
    return {to_diffusers(key): tensor for key, tensor in tensors.items()}


def expect_weights(model, plain, expected):
    """The weights recorded are the model's, and every other is as it was."""
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected.get(name, plain[name]), atol=1e-6, rtol=0)


@torch.no_grad()
def predict(goldens, model, case, timestep):
    tensors = safetensors.load_file(goldens / "transformer" / "inputs.safetensors")
    return model(
        hidden_states=torch.cat([tensors["x"][None], tensors["y"]], dim=1),
        timestep=torch.tensor([timestep]),
        encoder_hidden_states=tensors["context"][None],
        encoder_hidden_states_image=tensors["clip_fea"],
        audio_hidden_states=tensors[f"audio_{case}"],
        speaker_masks=tensors[f"masks_{case}"],
    ).sample[0]


@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_a_merge_makes_the_weights_of_the_reference(goldens, model, plain, scale):
    merge_lora(model, read_lora(lora_file(goldens, "lightx2v"), model), scale=scale)
    expect_weights(model, plain, merged(goldens, f"merged_{scale}"))


def test_merges_add_up(goldens, model, plain):
    for name, scale in STACKED:
        merge_lora(model, read_lora(lora_file(goldens, name), model), scale=scale)
    first = merged(goldens, f"merged_{STACKED[0][1]}")
    expect_weights(model, plain, {**first, **merged(goldens, "merged_stacked")})


@pytest.mark.parametrize("naming", PAIRS_ONLY)
@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_every_naming_of_the_pairs_makes_the_same_weights(goldens, model, plain, naming, scale):
    merge_lora(model, read_lora(lora_file(goldens, naming), model), scale=scale)
    pairs = read_lora(lora_file(goldens, "lightx2v"), model)
    expected = {
        f"{name}.weight": plain[f"{name}.weight"] + scale * (change.up @ change.down)
        for name, change in pairs.items()
        if change.up is not None
    }
    expect_weights(model, plain, expected)
    recorded = merged(goldens, f"merged_{scale}")
    for name, weight in expected.items():
        if (
            "weight" not in pairs[name.removesuffix(".weight")].differences
        ):  # the recordings have both
            torch.testing.assert_close(weight, recorded[name], atol=1e-6, rtol=0)


def test_alpha_is_honoured(goldens, model, plain):
    with_alpha = read_lora(lora_file(goldens, "lightx2v_alpha"), model)
    without = read_lora(lora_file(goldens, "lightx2v"), model)
    for name, change in with_alpha.items():
        if change.up is not None:
            factor = float(change.alpha) / change.down.shape[0]
            torch.testing.assert_close(change.scaled_up, without[name].up * factor)
            assert factor != 1
    merge_lora(model, with_alpha, scale=1.0)
    recorded = merged(goldens, "merged_1.0")
    for name, change in with_alpha.items():
        if change.up is not None and "weight" not in change.differences:
            factor = float(change.alpha) / change.down.shape[0]
            weight = f"{name}.weight"
            expected = plain[weight] + (recorded[weight] - plain[weight]) * factor
            torch.testing.assert_close(model.state_dict()[weight], expected, atol=1e-6, rtol=0)


def test_half_precision_takes_pairs(goldens, model):
    half = load_transformer(goldens / "transformer" / "checkpoint", torch_dtype=torch.bfloat16)
    lora = read_lora(lora_file(goldens, "peft"), half)
    with attached_loras(half, [(lora, 1.0)]):
        attached = {
            name: half.get_submodule(name)(torch.ones(2, change.down.shape[1]).bfloat16())
            for name, change in lora.items()
        }
    merge_lora(model, lora, scale=1.0)
    for name, result in attached.items():
        in_float = model.get_submodule(name)(torch.ones(2, lora[name].down.shape[1]))
        assert result.dtype == torch.bfloat16
        torch.testing.assert_close(result.float(), in_float, atol=0.05, rtol=0.05)


def test_differences_of_the_modulation_reach_the_blocks_and_the_head(
    goldens, model, plain, tmp_path
):
    last = model.config.num_layers - 1
    tables = {
        f"blocks.{last}.diff_m": f"blocks.{last}.scale_shift_table",
        "head.diff_m": "scale_shift_table",
        "blocks.0.modulation.diff": "blocks.0.scale_shift_table",
    }
    tensors = {
        f"diffusion_model.{key}": torch.full(plain[name].shape, 0.25)
        for key, name in tables.items()
    }
    safetensors.save_file(tensors, tmp_path / "tables.safetensors")
    merge_lora(model, read_lora(tmp_path / "tables.safetensors", model), scale=2.0)
    expect_weights(model, plain, {name: plain[name] + 0.5 for name in tables.values()})


def test_attached_or_merged_the_output_is_that_of_the_reference(goldens, model):
    file = next((goldens / "lora").glob("output_merged_*.safetensors"))
    scale = float(file.stem.removeprefix("output_merged_"))
    recorded = safetensors.load_file(file)
    lora = read_lora(lora_file(goldens, "lightx2v"), model)
    cases = [(name, *name.split("/t")) for name in recorded]
    assert cases
    with attached_loras(model, [(lora, scale)]):
        for name, case, timestep in cases:
            attached = predict(goldens, model, case, float(timestep))
            torch.testing.assert_close(attached, recorded[name], **CLOSE)
    merge_lora(model, lora, scale=scale)
    for name, case, timestep in cases:
        result = predict(goldens, model, case, float(timestep))
        torch.testing.assert_close(result, recorded[name], **CLOSE)


def test_several_attached_are_the_several_merged(goldens, model, plain):
    scales = {"lightx2v_alpha": 0.7, "second": 1.2}
    loras = [(read_lora(lora_file(goldens, name), model), s) for name, s in scales.items()]
    with attached_loras(model, loras):
        attached = predict(goldens, model, "two", 500.0)
    expect_weights(model, plain, {})
    for lora, scale in loras:
        merge_lora(model, lora, scale=scale)
    torch.testing.assert_close(attached, predict(goldens, model, "two", 500.0), **CLOSE)


def test_detached_nothing_is_left(goldens, model, plain):
    before = predict(goldens, model, "one", 500.0)
    with attached_loras(model, [(read_lora(lora_file(goldens, "lightx2v"), model), 1.0)]):
        assert not torch.allclose(predict(goldens, model, "one", 500.0), before, atol=1e-3)
    assert all(torch.equal(tensor, plain[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(predict(goldens, model, "one", 500.0), before)


@pytest.mark.parametrize("naming", ["lightx2v", *PAIRS_ONLY])
def test_what_has_no_place_is_listed_whole(goldens, model, tmp_path, naming):
    tensors = safetensors.load_file(lora_file(goldens, naming))
    known = next(key for key in tensors if "attn" in key and ("down" in key or "_A." in key))
    unknown = [re.sub(r"(blocks[._])\d+", rf"\g<1>{model.config.num_layers}", known)]
    unknown.append(known.replace("attn", "nosuch"))
    for key in unknown:
        tensors[key] = tensors[known].clone()
    tensors["mystery"] = torch.zeros(1)
    safetensors.save_file(tensors, tmp_path / "odd.safetensors")
    with pytest.raises(LoraMismatch) as caught:
        read_lora(tmp_path / "odd.safetensors", model)
    assert {f"{key}: unknown" for key in [*unknown, "mystery"]} == set(caught.value.problems)


def test_what_is_of_another_model_is_left_out_and_told(goldens, model, plain, tmp_path, caplog):
    weight = model.patch_embedding.weight
    channels = weight.shape[1] * 16 // 36  # as the text-to-video model has
    foreign = {
        "diffusion_model.patch_embedding.diff": torch.ones(len(weight), channels, 1, 2, 2),
        "diffusion_model.blocks.0.cross_attn.norm_added_q.diff": torch.ones(4),
    }
    own = {"diffusion_model.blocks.0.diff_m": torch.ones_like(model.blocks[0].scale_shift_table)}
    file = tmp_path / "t2v.safetensors"
    safetensors.save_file({**foreign, **own}, file)
    merge_lora(model, read_lora(file, model), scale=1.0)
    name = "blocks.0.scale_shift_table"
    expect_weights(model, plain, {name: plain[name] + 1})
    for key, values in foreign.items():
        assert f"{key} {list(values.shape)}" in caplog.text
    safetensors.save_file(foreign, file)
    with pytest.raises(LoraMismatch, match=r"t2v\.safetensors: nothing in it has a place"):
        read_lora(file, model)


def spoiled(goldens, tmp_path, change):
    tensors = safetensors.load_file(lora_file(goldens, "lightx2v_alpha"))
    change(tensors)
    safetensors.save_file(tensors, tmp_path / "spoiled.safetensors")
    return tmp_path / "spoiled.safetensors"


def first_up(tensors):
    return next(key for key in tensors if key.endswith(".lora_up.weight"))


QUERY = "diffusion_model.blocks.0.self_attn.q"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: t.pop(first_up(t)), "one half of a pair"),
        (lambda t: t.update({first_up(t): torch.zeros(3, 4)}), "a pair"),
        (lambda t: t.update({"diffusion_model.head.head.diff_b": torch.zeros(3)}), "of its bias"),
        (lambda t: t.update({f"{QUERY}.diff_m": torch.zeros(3)}), "unknown"),
        (lambda t: t.update({f"{QUERY}.norm.diff": torch.zeros(3)}), "unknown"),
        (lambda t: t.update({"diffusion_model.head.diff_m": torch.zeros(3)}), "scale_shift_table"),
        (lambda t: t.update({"diffusion_model.patch_embedding.alpha": torch.ones(())}), "alpha"),
        (lambda t: t.clear(), "empty"),
    ],
)
def test_what_does_not_fit_is_refused(goldens, model, tmp_path, change, problem):
    with pytest.raises(LoraMismatch, match=problem):
        read_lora(spoiled(goldens, tmp_path, change), model)


def test_a_cut_file_is_refused(goldens, model, tmp_path):
    content = lora_file(goldens, "peft").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[:-10])
    with pytest.raises(LoraMismatch, match=r"cut\.safetensors: cannot be read"):
        read_lora(tmp_path / "cut.safetensors", model)


def quantized(goldens, kind):
    return load_transformer_file(
        goldens / "quant" / "quant_models" / f"dit_model_{kind}.safetensors",
        config=goldens / "transformer" / "checkpoint" / "config.json",
        torch_dtype=torch.float32,
    )


@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_pairs_beside_weights_in_8_bits_are_those_merged_into_the_same_weights(
    goldens, model, kind
):
    stored = quantized(goldens, kind)
    lora = read_lora(lora_file(goldens, "peft"), stored)
    plain = predict(goldens, stored, "one", 500.0)
    with attached_loras(stored, [(lora, 0.7)]):
        changed = predict(goldens, stored, "one", 500.0)
    assert torch.equal(predict(goldens, stored, "one", 500.0), plain)
    for name, layer in stored.named_modules():
        if isinstance(layer, QuantizedLinear):
            columns = torch.eye(layer.in_features)  # what the layer does is its weights and bias
            same = model.get_submodule(name)
            same.bias.data = layer(torch.zeros(layer.in_features))
            same.weight.data = (layer(columns) - same.bias).T
    torch.testing.assert_close(predict(goldens, model, "one", 500.0), plain, atol=1e-4, rtol=0)
    merge_lora(model, lora, scale=0.7)
    torch.testing.assert_close(predict(goldens, model, "one", 500.0), changed, atol=1e-4, rtol=0)
    assert not torch.allclose(changed, plain, atol=1e-2)


def test_weights_in_8_bits_take_no_whole_differences(goldens):
    stored = quantized(goldens, "int8")
    lora = read_lora(lora_file(goldens, "lightx2v"), stored)
    before = {name: tensor.clone() for name, tensor in stored.state_dict().items()}
    with pytest.raises(LoraMismatch, match="held in 8 bits"):
        AttachedLoras(stored).add(lora, scale=1.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in stored.state_dict().items())


def test_the_recordings_are_what_they_say(goldens):
    files = json.loads((goldens / "lora" / "meta.json").read_text())["files"]
    assert set(files) == {"lightx2v", "lightx2v_alpha", *PAIRS_ONLY}
    for file, facts in files.items():
        for scale in (1.0, 0.7):
            changed = {to_diffusers(name) for name in facts[f"changed_at_{scale}"]}
            expected = set() if file in PAIRS_ONLY else set(merged(goldens, f"merged_{scale}"))
            assert changed == expected


def test_names_mean_the_modules_which_the_reference_would_rename_them_to(goldens, model):
    meta = json.loads((goldens / "lora" / "meta.json").read_text())
    for file, renamed in meta["upstream_standardize_keys"].items():
        lora = read_lora(lora_file(goldens, file), model)
        targets = {re.split(r"\.(?:lora_|alpha|diff)", target)[0] for _, target in renamed}
        modules = {to_diffusers(target.removeprefix("diffusion_model.")) for target in targets}
        assert modules == set(lora)
