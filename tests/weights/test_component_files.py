"""Files are found by their places alone: empty ones do, and torch is not needed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from multitalk.weights.component_files import CheckpointMismatch, find_components
from multitalk.weights.sets import load_manifest
from patience import PATIENCE_SECONDS

WAN = "Wan-AI/Wan2.1-I2V-14B-480P"
MULTITALK = "MeiGen-AI/MeiGen-MultiTalk"
INFINITETALK = "MeiGen-AI/InfiniteTalk"
WAV2VEC2 = "TencentGameMate/chinese-wav2vec2-base"
T5 = "models_t5_umt5-xxl-enc-bf16.pth"
CLIP = "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"
AUDIO = "multitalk.safetensors"
SHARD = "diffusion_pytorch_model-00001-of-00001.safetensors"
INDEX = "diffusion_pytorch_model.safetensors.index.json"

COMMON = [
    (WAN, "config.json"),
    (WAN, CLIP),
    (WAN, "Wan2.1_VAE.pth"),
    (WAN, "google/umt5-xxl/tokenizer.json"),
    (WAV2VEC2, "config.json"),
    (WAV2VEC2, "model.safetensors"),
]
INT8_FUSIONX = [
    *COMMON,
    (MULTITALK, "quant_models/quant_model_int8_FusionX.safetensors"),
    (MULTITALK, "quant_models/t5_int8.safetensors"),
]
BASE = [*COMMON, (WAN, INDEX), (WAN, SHARD), (WAN, T5)]
BF16 = [*BASE, (MULTITALK, AUDIO)]
INFINITETALK_INT8 = [
    *COMMON,
    (INFINITETALK, "quant_models/infinitetalk_single_int8.safetensors"),
    (INFINITETALK, "quant_models/t5_int8.safetensors"),
]


def by_name(repository):
    return repository.split("/")[1]


def in_cache(repository):
    return f"models--{repository.replace('/', '--')}/snapshots/abc"


def write(directory, files, place=by_name):
    for repository, path in files:
        file = directory / place(repository) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        content = {"weight_map": {"a": SHARD}} if path == INDEX else {}
        file.write_text(json.dumps(content))


@pytest.mark.parametrize("place", [by_name, str, in_cache])
@pytest.mark.parametrize(
    ("name", "files"),
    [("int8-fusionx", INT8_FUSIONX), ("bf16", BF16), ("infinitetalk-int8", INFINITETALK_INT8)],
)
def test_repositories_are_found_by_name_with_organisation_or_in_the_hub_s_cache(
    name, files, place, tmp_path
):
    write(tmp_path, files, place)
    found = find_components(tmp_path)
    assert found.weight_set == name
    assert found.kind == ("infinitetalk" if "infinitetalk" in name else "multitalk")
    assert found.vae == tmp_path / place(WAN) / "Wan2.1_VAE.pth"
    assert found.tokenizer == tmp_path / place(WAN) / "google/umt5-xxl"
    assert found.audio_encoder == tmp_path / place(WAV2VEC2)
    assert found.image_processor is None


def test_what_a_set_opens(tmp_path):
    write(tmp_path, [*INT8_FUSIONX, *BF16])
    wan, multitalk = tmp_path / by_name(WAN), tmp_path / by_name(MULTITALK)
    stored = find_components(tmp_path, "int8-fusionx")
    assert stored.transformer == multitalk / "quant_models/quant_model_int8_FusionX.safetensors"
    assert stored.transformer_config == wan / "config.json"
    assert stored.text_encoder == multitalk / "quant_models/t5_int8.safetensors"
    assert stored.audio_layers is None
    whole = find_components(tmp_path, "bf16")
    assert (whole.transformer, whole.transformer_config) == (wan, None)
    assert whole.audio_layers == multitalk / AUDIO
    assert whole.text_encoder == wan / T5
    assert find_components(tmp_path) == stored  # the first in the manifest's order
    assert next(iter(load_manifest().sets)) == "int8-fusionx"


def test_the_text_encoder_may_come_from_the_sister_repository(tmp_path):
    write(tmp_path, [*INFINITETALK_INT8[:-1], (MULTITALK, "quant_models/t5_int8.safetensors")])
    found = find_components(tmp_path)
    assert found.text_encoder.parts[-3] == by_name(MULTITALK)
    assert found.transformer.parts[-3] == by_name(INFINITETALK)


TEXT_ENCODERS = [
    (MULTITALK, "quant_models/t5_int8.safetensors"),
    (INFINITETALK, "quant_models/t5_fp8.safetensors"),
    (WAN, T5),
]
NETWORKS = {
    "int8-fusionx": [(MULTITALK, "quant_models/quant_model_int8_FusionX.safetensors")],
    "infinitetalk-int8": [(INFINITETALK, "quant_models/infinitetalk_single_int8.safetensors")],
    "infinitetalk-int8-fusionx": [
        (INFINITETALK, "quant_models/infinitetalk_single_int8_lora.safetensors")
    ],
    "infinitetalk-multi-int8-fusionx": [
        (INFINITETALK, "quant_models/infinitetalk_multi_int8_lora.safetensors")
    ],
    "infinitetalk-multi-fp8-fusionx": [
        (INFINITETALK, "quant_models/infinitetalk_multi_fp8_lora.safetensors")
    ],
    "bf16": [(WAN, INDEX), (WAN, SHARD), (MULTITALK, AUDIO)],
}


@pytest.mark.parametrize("text_encoder", TEXT_ENCODERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_any_text_encoder_serves_any_network(name, text_encoder, tmp_path):
    write(tmp_path, [*COMMON, *NETWORKS[name], text_encoder])
    found = find_components(tmp_path)
    assert found.weight_set == name
    assert found.text_encoder == tmp_path / by_name(text_encoder[0]) / text_encoder[1]
    assert found.profile == ("fusionx" if name.endswith("fusionx") else None)


def test_a_set_s_own_text_encoder_is_taken_first(tmp_path):
    write(tmp_path, [*COMMON, *NETWORKS["infinitetalk-multi-fp8-fusionx"], *TEXT_ENCODERS])
    assert find_components(tmp_path).text_encoder.name == "t5_fp8.safetensors"


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("others", [COMMON, [], [*COMMON, TEXT_ENCODERS[0]]])
def test_the_set_whose_network_is_there_is_the_one_that_lacks_files(name, others, tmp_path):
    write(tmp_path, [*others[1:], *NETWORKS[name]])
    with pytest.raises(CheckpointMismatch, match=f"multitalk fetch {name} completes it"):
        find_components(tmp_path)


@pytest.mark.parametrize("repository", [WAN, MULTITALK])
def test_with_the_authors_index_the_audio_layers_may_be_linked_into_wan_s_folder_or_not(
    repository, tmp_path
):
    write(tmp_path, [*BASE, (repository, AUDIO)])
    replaced = {"weight_map": {"a": SHARD, "b": AUDIO}}
    (tmp_path / by_name(WAN) / INDEX).write_text(json.dumps(replaced))
    assert find_components(tmp_path).audio_layers == tmp_path / by_name(repository) / AUDIO


def test_of_several_snapshots_the_referred_one_is_taken(tmp_path):
    write(tmp_path, INT8_FUSIONX, in_cache)
    for repository, reference in ((WAN, "main"), (WAV2VEC2, "refs/pr/1")):
        cache = (tmp_path / in_cache(repository)).parent.parent
        files = [(where, path) for where, path in INT8_FUSIONX if where == repository]
        write(tmp_path, files, lambda name: in_cache(name).replace("abc", "def"))
        with pytest.raises(CheckpointMismatch):
            find_components(tmp_path)
        (cache / "refs" / reference).parent.mkdir(parents=True)
        (cache / "refs" / reference).write_text("def\n")
        found = find_components(tmp_path)
    assert {found.vae.parts[-2], found.audio_encoder.parts[-1]} == {"def"}


def test_all_that_is_missing_of_the_closest_set_is_said_with_its_publisher(tmp_path):
    absent = [(WAV2VEC2, "model.safetensors"), (WAN, SHARD)]
    write(tmp_path, [file for file in BF16 if file not in absent])
    with pytest.raises(CheckpointMismatch) as caught:
        find_components(tmp_path)
    first, *missing = caught.value.problems
    assert first == "weight set bf16 is not whole: multitalk fetch bf16 completes it"
    assert set(missing) == {
        f"{WAN}: {SHARD}: missing",
        f"{WAV2VEC2} at refs/pr/1: model.safetensors: missing",
    }


def test_a_network_that_is_there_in_part_says_which_set_is_meant(tmp_path):
    write(tmp_path, [*COMMON, TEXT_ENCODERS[0], *NETWORKS["bf16"]])
    shards = {str(number): SHARD.replace("00001-", f"0000{number}-") for number in range(1, 8)}
    (tmp_path / by_name(WAN) / INDEX).write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(CheckpointMismatch, match="multitalk fetch bf16 completes it") as caught:
        find_components(tmp_path)
    assert len(caught.value.problems) == 1 + 6


def test_a_set_that_cannot_be_fetched_is_the_closest_where_its_network_is_there(tmp_path):
    write(tmp_path, [*COMMON[:-1], (MULTITALK, "quant_models/dit_model_fp8.safetensors")])
    with pytest.raises(CheckpointMismatch, match="set fp8 is not whole: put these files there"):
        find_components(tmp_path)
    other = tmp_path / "other"
    write(other, [file for file in BF16 if file != (WAN, SHARD)])
    two_shards = {"weight_map": {"a": SHARD, "b": SHARD.replace("00001-", "00002-")}}
    (other / by_name(WAN) / INDEX).write_text(json.dumps(two_shards))
    with pytest.raises(CheckpointMismatch, match="multitalk fetch"):  # not the .pth, one file less
        find_components(other)


def test_an_empty_directory_lacks_the_default_set(tmp_path):
    with pytest.raises(CheckpointMismatch, match="multitalk fetch int8-fusionx") as caught:
        find_components(tmp_path)
    missing = {tuple(problem.split(": ")[:2]) for problem in caught.value.problems[1:]}
    expected = {
        (where.replace(WAV2VEC2, f"{WAV2VEC2} at refs/pr/1"), path)
        for where, path in (INT8_FUSIONX)
    }
    assert missing == expected


def test_a_named_set_is_that_one_or_an_error(tmp_path):
    write(tmp_path, INT8_FUSIONX)
    with pytest.raises(CheckpointMismatch, match=f"{WAN}: {INDEX}: missing"):
        find_components(tmp_path, "bf16")
    with pytest.raises(CheckpointMismatch, match="no weight set int4: there are folder, int8-fus"):
        find_components(tmp_path, "int4")


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": []}'])
def test_an_index_that_names_no_files_is_missing(content, tmp_path):
    write(tmp_path, BF16)
    (tmp_path / by_name(WAN) / INDEX).write_text(content)
    with pytest.raises(CheckpointMismatch, match=f"{INDEX} as it was published"):
        find_components(tmp_path)


def test_a_file_of_the_whole_network_may_have_any_name(tmp_path):
    write(tmp_path, [*COMMON, (WAN, T5), (INFINITETALK, "my run.pth")])
    found = find_components(tmp_path)
    assert found.weight_set == "infinitetalk-pth"
    assert found.transformer == tmp_path / by_name(INFINITETALK) / "my run.pth"


@pytest.mark.parametrize(
    ("index", "said"),
    [("{", "not a JSON object"), ("[]", "not a JSON object"), ('{"kind": "x"}', "kind 'x', not")],
)
def test_an_index_of_components_that_makes_no_sense_is_refused(index, said, tmp_path):
    for name in ("transformer", "text_encoder", "tokenizer", "image_encoder", "vae"):
        (tmp_path / name).mkdir()
    with pytest.raises(CheckpointMismatch, match="audio_encoder: missing folder"):
        find_components(tmp_path)
    (tmp_path / "audio_encoder").mkdir()
    assert find_components(tmp_path).kind == "multitalk"
    (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(CheckpointMismatch, match=f"model_index.json: {said}"):
        find_components(tmp_path)


def test_torch_is_not_needed():
    code = (
        "import sys; from multitalk.weights import component_files;"
        "assert not {'torch', 'diffusers', 'transformers', 'numpy'} & set(sys.modules)"
    )
    source = Path(__file__).parents[2] / "src"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=source, timeout=PATIENCE_SECONDS)
