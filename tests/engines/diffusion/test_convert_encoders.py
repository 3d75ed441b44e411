"""Wan's UMT5 and CLIP, computed here from Wan's own files, are what the library's classes give."""

import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from publish import (
    publishable_pipeline,
    quantize,
    wan_image_names,
    wan_text_names,
    write_quantized,
)
from torch.nn import functional

from multitalk.engines.diffusion.convert_encoders import (
    load_image_encoder,
    load_text_encoder,
)
from multitalk.weights.component_files import CheckpointMismatch

NUM_BUCKETS, MAX_DISTANCE = 32, 128
IDS = torch.randint(3, 200, (300,), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def text():
    return wan_text_names(publishable_pipeline().text_encoder.state_dict())


@pytest.fixture(scope="module")
def image():
    return wan_image_names(publishable_pipeline().image_encoder.state_dict())


def bucket(distance):
    """Of key minus query: exact up to 7, logarithmic to 127, past and future apart.

    Raffel et al., arXiv:1910.10683, section 2.1, as T5's code has it.
    """
    half = NUM_BUCKETS // 2
    exact = half // 2
    size = abs(distance)
    if size >= exact:
        share = math.log(size / exact) / math.log(MAX_DISTANCE / exact)
        size = min(exact + int(share * (half - exact)), half - 1)
    return size + (half if distance > 0 else 0)


def rms_norm(states, weight):
    return states / (states.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * weight


def gelu(states):
    """In its tanh form: Hendrycks and Gimpel, arXiv:1606.08415, section 2."""
    inner = math.sqrt(2 / math.pi) * (states + 0.044715 * states**3)
    return 0.5 * states * (1 + torch.tanh(inner))


def heads_of(states, heads):
    """[L, heads * C] -> [heads, L, C]."""
    return states.reshape(len(states), heads, -1).transpose(0, 1)


def umt5(tensors, ids):
    """The text encoder by its definition, for a prompt without padding: ids [L] -> [L, dim]."""
    states = tensors["token_embedding.weight"][ids]
    places = range(len(ids))
    buckets = torch.tensor([[bucket(key - query) for key in places] for query in places])
    for block in range(2):
        part = {
            key.removeprefix(f"blocks.{block}."): values
            for key, values in tensors.items()
            if key.startswith(f"blocks.{block}.")
        }
        normed = rms_norm(states, part["norm1.weight"])
        query, key, value = (
            heads_of(normed @ part[f"attn.{role}.weight"].T, heads=2) for role in "qkv"
        )
        bias = part["pos_embedding.embedding.weight"][buckets].permute(2, 0, 1)
        seen = (query @ key.transpose(1, 2) + bias).softmax(-1) @ value
        states = states + seen.transpose(0, 1).flatten(1) @ part["attn.o.weight"].T
        normed = rms_norm(states, part["norm2.weight"])
        gate = gelu(normed @ part["ffn.gate.0.weight"].T)
        gated = gate * (normed @ part["ffn.fc1.weight"].T)
        states = states + gated @ part["ffn.fc2.weight"].T
    return rms_norm(states, tensors["norm.weight"])


@torch.no_grad()
def states_of(model):
    return model(IDS[None]).last_hidden_state[0]


def test_umt5_is_computed_as_wan_defines_it(text, tmp_path):
    torch.save(text, tmp_path / "t5.pth")
    model = load_text_encoder(tmp_path / "t5.pth", torch_dtype=torch.float32)
    torch.testing.assert_close(states_of(model), umt5(text, IDS), atol=2e-5, rtol=1e-4)
    assert model.shared.weight is model.encoder.embed_tokens.weight


@pytest.mark.parametrize("storage", ["int8", "fp8"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_umt5_in_8_bits_is_the_one_its_numbers_stand_for(storage, dtype, text, tmp_path):
    write_quantized(tmp_path / "t5.safetensors", text, storage)
    model = load_text_encoder(tmp_path / "t5.safetensors", torch_dtype=dtype)
    _, meant = quantize(text, storage)
    expected = umt5(meant, IDS)
    error = (states_of(model).float() - expected).abs().max() / expected.abs().max()
    assert error < (1e-5 if dtype == torch.float32 else 0.05)
    assert states_of(model).dtype == dtype
    assert model.encoder.block[0].layer[1].DenseReluDense.wo.weight.dtype == torch.int8
    assert model.encoder.block[0].layer[1].DenseReluDense.wo.weight_scale.dtype == torch.float32


def test_8_bits_of_two_kinds_are_refused(text, tmp_path):
    from safetensors.torch import save_file

    stored, _ = quantize(text, "int8")
    other, _ = quantize(text, "fp8", names=r".*attn\.q.*")
    mixed = stored | {key: values for key, values in other.items() if "attn.q" in key}
    save_file({key: values.contiguous() for key, values in mixed.items()}, tmp_path / "t.st")
    with pytest.raises(CheckpointMismatch, match="several kinds"):
        load_text_encoder(tmp_path / "t.st", torch_dtype=torch.float32)


def layer_norm(states, tensors, name):
    weight, bias = (tensors[f"visual.{name}.{part}"] for part in ("weight", "bias"))
    return functional.layer_norm(states, weight.shape, weight, bias, eps=1e-5)


def linear(states, tensors, name):
    return states @ tensors[f"visual.{name}.weight"].T + tensors[f"visual.{name}.bias"]


def clip_but_for_the_last_layer(tensors, pixels):
    """What Wan reads of CLIP, by its definition: pixels [3, H, W] -> [1 + patches, dim]."""
    patches = functional.conv2d(pixels[None], tensors["visual.patch_embedding.weight"], stride=14)
    states = torch.cat([tensors["visual.cls_embedding"][0], patches[0].flatten(1).T])
    states = layer_norm(states + tensors["visual.pos_embedding"][0], tensors, "pre_norm")
    for layer in range(2):
        inside = f"transformer.{layer}"
        normed = layer_norm(states, tensors, f"{inside}.norm1")
        query, key, value = (
            heads_of(part, heads=1)
            for part in linear(normed, tensors, f"{inside}.attn.to_qkv").chunk(3, dim=-1)
        )
        seen = (query @ key.transpose(1, 2) / math.sqrt(80)).softmax(-1) @ value
        seen = seen.transpose(0, 1).flatten(1)
        states = states + linear(seen, tensors, f"{inside}.attn.proj")
        normed = layer_norm(states, tensors, f"{inside}.norm2")
        hidden = linear(normed, tensors, f"{inside}.mlp.0")
        hidden = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2  # the exact GELU
        states = states + linear(hidden, tensors, f"{inside}.mlp.2")
    return states


@torch.no_grad()
def test_clip_is_computed_as_wan_defines_it(image, tmp_path):
    torch.save(image, tmp_path / "clip.pth")
    model = load_image_encoder(tmp_path / "clip.pth")
    pixels = torch.randn(3, 28, 28, generator=torch.Generator().manual_seed(5))
    read = model(pixels[None], output_hidden_states=True).hidden_states[-2][0]
    expected = clip_but_for_the_last_layer(image, pixels)
    torch.testing.assert_close(read, expected, atol=2e-5, rtol=1e-4)


def test_a_clip_of_another_head_size_is_refused(image, tmp_path):
    def narrow(values):
        return values[..., :60] if values.shape and values.shape[-1] == 80 else values

    tensors = {key: narrow(values) for key, values in image.items()}
    tensors["visual.patch_embedding.weight"] = image["visual.patch_embedding.weight"][:60]
    torch.save(tensors, tmp_path / "clip.pth")
    with pytest.raises(CheckpointMismatch, match="width 60"):
        load_image_encoder(tmp_path / "clip.pth")
