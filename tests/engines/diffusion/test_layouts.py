"""One toy network, published in every layout, comes out of each as the same network."""

import logging
from functools import cache
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from publish import (
    CLIP,
    SHARDS,
    T5,
    VAE,
    Publisher,
    network_names,
    publishable_pipeline,
    quantize,
    wan_text_names,
    write_index,
)
from safetensors.torch import load_file, save_file
from toy import SIZES, predict, toy_inputs

from multitalk.engines.diffusion.convert_transformer import to_diffusers
from multitalk.engines.diffusion.loading import load_pipeline
from multitalk.engines.diffusion.pipeline import MultiTalkPipeline
from multitalk.engines.diffusion.quantized import QuantizedLinear
from multitalk.weights.component_files import CheckpointMismatch
from multitalk.weights.sets import load_manifest

WAN = "Wan2.1-I2V-14B-480P"
STORAGES = {"int8": torch.int8, "fp8": torch.int8}


@pytest.fixture(scope="module")
def pipeline():
    return publishable_pipeline()


@pytest.fixture
def publisher(pipeline, tmp_path):
    return Publisher(pipeline, tmp_path)


def load(directory, **options):
    return load_pipeline(directory, **{"torch_dtype": torch.float32, **options})


@torch.no_grad()
def seen(pipeline):
    """What every network makes of the same input."""
    noise = torch.Generator().manual_seed(3)
    inputs = toy_inputs() | {
        "encoder_hidden_states_image": torch.randn(1, 257, 80, generator=noise),
        "audio_hidden_states": torch.randn(2, 9, 5, 2, 14, generator=noise),
    }
    latents = pipeline.vae.encode(torch.rand(1, 3, 5, 16, 24, generator=noise)).latent_dist.mode()
    picture = torch.rand(3, 28, 28, generator=noise) * 2 - 1
    return {
        "transformer": predict(pipeline.transformer, **inputs),
        "text": pipeline.encode_prompt("a woman talks calmly"),
        "picture": pipeline.encode_picture(picture),
        "latents": latents,
        "frames": pipeline.vae.decode(latents).sample,
        "speech": pipeline.audio_encoder(torch.rand(1, 900, generator=noise)).last_hidden_state,
    }


def meant(pipeline, storage):
    """The pipeline with the weights that its 8-bit files stand for."""
    other = publishable_pipeline()
    _, network = quantize(network_names(pipeline.transformer.state_dict()), storage)
    other.transformer.load_state_dict(
        {to_diffusers(key): values for key, values in network.items()}
    )
    text = wan_text_names(pipeline.text_encoder.state_dict())
    _, dequantized = quantize(text, storage)
    ours = wan_text_names({key: key for key in pipeline.text_encoder.state_dict()})
    state = {ours[key]: values for key, values in dequantized.items()}
    state["encoder.embed_tokens.weight"] = state["shared.weight"]
    other.text_encoder.load_state_dict(state)
    return other


@pytest.fixture(scope="module")
def expected(pipeline):
    """What the networks make of an input, by how the weights are stored."""
    return cache(lambda storage: seen(meant(pipeline, storage) if storage else pipeline))


@pytest.mark.parametrize("name", load_manifest().sets)
def test_every_published_set_opens_to_the_same_networks(name, pipeline, expected, publisher):
    publisher.weight_set(name)
    opened = load(publisher.directory)
    storage = next((word for word in STORAGES if word in name), None)
    for output, values in seen(opened).items():
        torch.testing.assert_close(
            values, expected(storage)[output], atol=2e-5, rtol=1e-4, msg=output
        )
    is_infinitetalk = name.startswith("infinitetalk")
    assert opened.config.kind == ("infinitetalk" if is_infinitetalk else "multitalk")
    assert opened.lengths.conditioning_frames == (9 if is_infinitetalk else 25)
    assert {size: opened.transformer.config[size] for size in SIZES if size[:5] != "audio"} == {
        size: pipeline.transformer.config[size] for size in SIZES if size[:5] != "audio"
    }
    for network in (opened.transformer, opened.text_encoder):
        layers = [layer for layer in network.modules() if isinstance(layer, QuantizedLinear)]
        assert bool(layers) == (storage is not None)
        assert all(layer.weight.dtype == torch.int8 for layer in layers)


def test_what_was_linked_into_wan_s_folder_as_the_authors_say_opens(pipeline, publisher):
    publisher.common()
    publisher.text()
    publisher.base()
    publisher.audio("Wan-AI/" + WAN, "multitalk.safetensors")
    wan = publisher.directory / WAN
    files = {file.name: load_file(file) for file in wan.glob("*.safetensors")}
    write_index(wan, {key: name for name, keys in files.items() for key in keys})
    state = load(publisher.directory).transformer.state_dict()
    for name, values in pipeline.transformer.state_dict().items():
        assert torch.equal(values, state[name]), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("storage", ["int8", "fp8"])
def test_weights_in_8_bits_are_saved_and_opened_again(storage, dtype, publisher, tmp_path):
    publisher.weight_set(f"{storage}-fusionx")
    opened = load(publisher.directory, torch_dtype=dtype)
    saved = tmp_path / "saved"
    opened.save_pretrained(saved)
    for again in (
        load(saved, torch_dtype=dtype),
        MultiTalkPipeline.from_pretrained(saved, dtype=dtype, local_files_only=True),
    ):
        for name in ("transformer", "text_encoder"):
            before = getattr(opened, name).state_dict()
            after = getattr(again, name).state_dict()
            assert list(before) == list(after)
            for key, values in before.items():
                assert values.dtype == after[key].dtype, key
                assert torch.equal(values, after[key]), key
        prompt = "a man talks"
        assert torch.equal(again.encode_prompt(prompt), opened.encode_prompt(prompt))
        assert again.tokenizer(prompt).input_ids == opened.tokenizer(prompt).input_ids


def test_the_set_can_be_chosen_and_the_choice_is_in_the_log(publisher, caplog):
    publisher.weight_set("bf16")
    publisher.audio("MeiGen-AI/InfiniteTalk", "single/infinitetalk.safetensors")
    with caplog.at_level(logging.INFO):
        assert load(publisher.directory).config.kind == "multitalk"
    assert "weight set bf16; also whole: infinitetalk" in caplog.text
    chosen = load(publisher.directory, weight_set="infinitetalk")
    assert chosen.config.kind == "infinitetalk"


def test_components_go_where_they_are_sent(publisher):
    publisher.weight_set("int8-fusionx")
    opened = load(publisher.directory, devices={"transformer": "meta", "text_encoder": "meta"})
    assert opened.transformer.device.type == opened.text_encoder.device.type == "meta"
    assert opened.vae.device.type == opened.image_encoder.device.type == "cpu"


def file_at(address):
    """The file that is mapped where a value lies, or an empty name."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, *_, name = line.split(maxsplit=5)
        first, end = (int(bound, 16) for bound in span.split("-"))
        if first <= address < end:
            return Path(name).name
    return ""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="asks Linux")
def test_values_in_their_own_dtype_stay_in_the_file(publisher):
    publisher.weight_set("bf16")
    half = load(publisher.directory, torch_dtype=torch.bfloat16)
    full = load(publisher.directory)
    assert file_at(half.text_encoder.shared.weight.data_ptr()) == T5
    assert file_at(full.text_encoder.shared.weight.data_ptr()) != T5
    assert file_at(full.transformer.blocks[1].ffn.net[2].weight.data_ptr()) in SHARDS
    assert file_at(half.transformer.blocks[1].ffn.net[2].weight.data_ptr()) not in SHARDS
    file = publisher.directory / WAN / T5
    published = file.read_bytes()
    half.text_encoder.shared.weight.data.add_(1)  # goes to a page of our own
    assert file.read_bytes() == published


def test_the_tokenizer_is_the_file_s_with_all_its_parts(publisher):
    """The library's T5 class rebuilds a tokenizer without the file's normaliser."""
    from tokenizers import Tokenizer, normalizers

    publisher.weight_set("int8-fusionx")
    file = publisher.directory / WAN / "google" / "umt5-xxl" / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save(str(file))
    opened = load(publisher.directory).tokenizer
    assert opened("A MAN talks").input_ids == tokenizer.encode("a man talks").ids
    assert opened.eos_token_id == opened("a man").input_ids[-1]


def spoil(file, change):
    """Change the tensors of a file."""
    if file.suffix == ".pth":
        tensors = torch.load(file, weights_only=True)
        change(tensors)
        torch.save(tensors, file)
    else:
        tensors = load_file(file)
        change(tensors)
        save_file(tensors, file, metadata={"format": "pt"})


SPEECH = "chinese-wav2vec2-base/model.safetensors"
SPOILED = [
    ("bf16", "vae", f"{WAN}/{VAE}", "decoder.head.2.bias", "encoder.conv1.bias"),
    ("bf16", "image_encoder", f"{WAN}/{CLIP}", "visual.post_norm.bias", "visual.pre_norm.weight"),
    ("bf16", "text_encoder", f"{WAN}/{T5}", "norm.weight", "blocks.1.attn.q.weight"),
    (
        "bf16",
        "audio_encoder",
        SPEECH,
        "wav2vec2.feature_projection.projection.bias",
        "wav2vec2.encoder.layer_norm.bias",
    ),
    (
        "bf16",
        "transformer",
        "MeiGen-MultiTalk/multitalk.safetensors",
        "blocks.1.norm_x.bias",
        "blocks.0.norm_x.bias",
    ),
    (
        "int8",
        "text_encoder",
        "MeiGen-MultiTalk/quant_models/t5_int8.safetensors",
        "blocks.0.attn.k.weight._scale",
        "blocks.1.attn.q.weight._data",
    ),
    (
        "bf16-diffusers",
        "vae",
        f"{WAN}-Diffusers/vae/diffusion_pytorch_model.safetensors",
        "decoder.conv_out.bias",
        "encoder.conv_in.bias",
    ),
    (
        "bf16-diffusers",
        "image_encoder",
        f"{WAN}-Diffusers/image_encoder/model.safetensors",
        "post_layernorm.bias",
        "pre_layrnorm.weight",
    ),
]


@pytest.mark.parametrize("spoiled", SPOILED, ids=lambda spoiled: "-".join(spoiled[:2]))
def test_all_that_is_wrong_with_a_component_is_said(spoiled, publisher):
    name, component, path, missing, odd = spoiled
    publisher.weight_set(name)

    def change(tensors):
        del tensors[missing]
        tensors[odd] = torch.zeros(*tensors[odd].shape, 2, dtype=tensors[odd].dtype)
        tensors["nose"] = torch.zeros(1)

    spoil(publisher.directory / path, change)
    with pytest.raises(CheckpointMismatch) as caught:
        load(publisher.directory)
    problems = caught.value.problems
    assert len(problems) == 3
    assert all(problem.startswith(f"{component}: ") for problem in problems)
    for word in ("missing tensor", "unknown tensor", ", 2], not ["):
        assert sum(word in problem for problem in problems) == 1


@pytest.mark.parametrize("path", [f"{WAN}/{VAE}", SPEECH])
def test_a_file_that_was_cut_is_named(path, publisher):
    publisher.weight_set("bf16")
    file = publisher.directory / path
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(CheckpointMismatch, match=f"{file.name}: cannot be read: cut short"):
        load(publisher.directory)


def test_a_pickle_that_could_run_code_is_not_opened(publisher):
    publisher.weight_set("bf16")
    torch.save({"weights": pytest.raises}, publisher.directory / WAN / VAE)
    with pytest.raises(CheckpointMismatch, match=f"{VAE}: not opened: it holds more than tensors"):
        load(publisher.directory)


def test_a_pickle_of_older_times_opens_too(publisher):
    publisher.weight_set("bf16")
    file = publisher.directory / WAN / VAE
    tensors = torch.load(file, weights_only=True)
    torch.save(tensors, file, _use_new_zipfile_serialization=False)
    assert torch.equal(load(publisher.directory).vae.quant_conv.bias, tensors["conv1.bias"])


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"epoch": 3}])
def test_what_are_no_named_tensors_is_refused(content, publisher):
    publisher.weight_set("bf16")
    torch.save(content, publisher.directory / WAN / VAE)
    with pytest.raises(CheckpointMismatch, match=r"no names of tensors|epoch: not a tensor"):
        load(publisher.directory)
