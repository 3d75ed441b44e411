"""Every layout opens to the same network; files that do not hold it are refused, all at once."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
safetensors = pytest.importorskip("safetensors.torch")

from toy import SIZES, predict, toy_transformer

from multitalk.engines.diffusion.convert_transformer import (
    load_transformer,
    load_transformer_file,
    to_diffusers,
    to_published,
)
from multitalk.weights.component_files import AUDIO_NAME, CheckpointMismatch

WAN_CONFIG = {"_class_name": "WanModel", "num_heads": 2, "text_len": 8, "eps": 1e-6}


def load(folder, **options):
    return load_transformer(folder, torch_dtype=torch.float32, **options)


@pytest.fixture(scope="module")
def model():
    return toy_transformer()


def is_audio(name):
    return "audio" in name


def split(state, rename=lambda name: name):
    base = {rename(name): tensor for name, tensor in state.items() if not is_audio(name)}
    audio = {to_published(name): tensor for name, tensor in state.items() if is_audio(name)}
    return base, audio


@pytest.fixture
def published(tmp_path, model):
    """A folder in the published layout: two shards, the audio part, an index of all three."""
    base, audio = split(model.state_dict(), to_published)
    names = sorted(base)
    files = {
        "diffusion_pytorch_model-00001-of-00002.safetensors": names[::2],
        "diffusion_pytorch_model-00002-of-00002.safetensors": names[1::2],
    }
    index = dict.fromkeys(audio, AUDIO_NAME)
    for file, members in files.items():
        safetensors.save_file({name: base[name] for name in members}, tmp_path / file)
        index |= dict.fromkeys(members, file)
    safetensors.save_file(audio, tmp_path / AUDIO_NAME)
    (tmp_path / "diffusion_pytorch_model.safetensors.index.json").write_text(
        json.dumps({"weight_map": index})
    )
    (tmp_path / "config.json").write_text(json.dumps(WAN_CONFIG))
    return tmp_path


def same(model, other):
    ours, theirs = model.state_dict(), other.state_dict()
    assert list(ours) == list(theirs)
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name
    return torch.allclose(predict(model), predict(other), atol=1e-5)  # not all is in the state


def test_the_published_layout_opens(published, model):
    opened = load(published)
    assert same(model, opened)
    assert {name: opened.config[name] for name in SIZES} == SIZES


def test_the_audio_part_may_lie_elsewhere(published, model, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "infinitetalk.safetensors"
    (published / AUDIO_NAME).rename(elsewhere)
    assert same(model, load(published, audio=elsewhere))


def test_the_layout_of_diffusers_opens(tmp_path, model):
    base, audio = split(model.state_dict())
    safetensors.save_file(base, tmp_path / "diffusion_pytorch_model.safetensors")
    safetensors.save_file(audio, tmp_path / AUDIO_NAME)
    config = {"_class_name": "WanTransformer3DModel", "num_attention_heads": 2, "text_len": 8}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert same(model, load(tmp_path))


def test_the_base_of_diffusers_has_the_names_we_give_it(model):
    from diffusers import WanTransformer3DModel

    wan = WanTransformer3DModel(
        **{name: SIZES[name] for name in SIZES if "audio" not in name and name != "text_len"},
        in_channels=36,
        added_kv_proj_dim=32,
    )
    shapes = {name: tensor.shape for name, tensor in wan.state_dict().items()}
    ours = model.state_dict()
    assert shapes == {name: ours[name].shape for name in ours if not is_audio(name)}


@pytest.mark.parametrize("shard_size", ["10GB", "20KB"])
def test_what_was_saved_opens(tmp_path, model, shard_size):
    model.save_pretrained(tmp_path, max_shard_size=shard_size)
    assert same(model, load(tmp_path))


def test_weights_go_to_the_dtype_asked_for_but_for_those_that_need_float32(published):
    opened = load_transformer(published, torch_dtype=torch.bfloat16)
    dtypes = {name: tensor.dtype for name, tensor in opened.named_parameters()}
    assert dtypes["blocks.0.attn1.to_q.weight"] == torch.bfloat16
    assert dtypes["blocks.0.scale_shift_table"] == torch.float32
    assert opened.rope.freqs_cos.dtype == torch.float32


def test_names_translate_both_ways(model):
    published = [to_published(name) for name in model.state_dict()]
    assert [to_diffusers(name) for name in published] == list(model.state_dict())
    assert len(set(published)) == len(published)


def rewrite(file, change):
    tensors = safetensors.load_file(file)
    change(tensors)
    safetensors.save_file(tensors, file)


def test_all_that_is_wrong_is_said_at_once(published):
    def spoil(tensors):
        del tensors["blocks.1.norm_x.weight"]
        tensors["blocks.0.norm_x.bias"] = torch.zeros(3)
        tensors["blocks.0.nose.weight"] = torch.zeros(1)
        tensors["blocks.1.norm_x.bias"] = torch.zeros(32, dtype=torch.int32)

    rewrite(published / AUDIO_NAME, spoil)
    with pytest.raises(CheckpointMismatch) as caught:
        load(published)
    assert set(caught.value.problems) == {
        "blocks.1.norm_audio.weight: missing tensor",
        f"{AUDIO_NAME}: blocks.0.norm_x.bias: shape [3], not [32]",
        f"{AUDIO_NAME}: blocks.0.nose.weight: unknown tensor",
        f"{AUDIO_NAME}: blocks.1.norm_x.bias: torch.int32 for torch.float32",
    }


def test_missing_and_cut_files_are_named(published):
    (published / AUDIO_NAME).unlink()
    shard = published / "diffusion_pytorch_model-00001-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(CheckpointMismatch) as caught:
        load(published)
    cut, missing = caught.value.problems
    assert cut.startswith(f"{shard.name}: cannot be read")
    assert missing == f"{AUDIO_NAME}: missing file"


def test_a_saved_model_that_lacks_a_tensor_is_refused(tmp_path, model):
    model.save_pretrained(tmp_path)
    rewrite(
        tmp_path / "diffusion_pytorch_model.safetensors",
        lambda tensors: tensors.pop("proj_out.bias"),
    )
    with pytest.raises(CheckpointMismatch, match=r"proj_out.bias: missing tensor"):
        load(tmp_path)


@pytest.mark.parametrize("absent", ["patch_embedding.weight", "audio_proj.proj1.weight"])
def test_a_file_without_what_tells_the_sizes_is_refused(tmp_path, model, absent):
    state = dict(model.state_dict())
    del state[absent]
    safetensors.save_file(state, tmp_path / "all.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(WAN_CONFIG))
    with pytest.raises(CheckpointMismatch, match=f"{absent}: missing tensor"):
        load_transformer_file(tmp_path / "all.safetensors", config=tmp_path / "config.json")


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_a_folder_without_a_config_is_refused(published, content):
    (published / "config.json").unlink()
    if content is not None:
        (published / "config.json").write_text(content)
    with pytest.raises(CheckpointMismatch, match=r"config\.json"):
        load(published)


def test_an_index_without_a_map_is_refused(published):
    (published / "diffusion_pytorch_model.safetensors.index.json").write_text("{}")
    with pytest.raises(CheckpointMismatch, match="no weight_map"):
        load(published)
