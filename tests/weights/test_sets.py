"""The manifest of this release: what it names can be opened, and no set is larger than need be."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from multitalk.weights.component_files import find_components, written_path
from multitalk.weights.sets import MANIFEST, Manifest, load_manifest

SETS = load_manifest().fetchable
INDEX = "diffusion_pytorch_model.safetensors.index.json"


def test_the_default_set_is_small_enough_for_a_volume_of_40_gb():
    wanted = load_manifest().files(load_manifest().default)
    assert 30e9 < sum(file.about for file in wanted) <= 32e9


@pytest.mark.parametrize("weight_set", SETS)
def test_the_engine_finds_every_file_that_it_opens(weight_set, tmp_path):
    wanted = load_manifest().files(weight_set)
    for file in wanted:
        path = written_path(tmp_path, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if file.path == INDEX:
            shards = [other.path for other in wanted if "-of-" in other.path]
            path.write_text(json.dumps({"weight_map": {shard: shard for shard in shards}}))
    assert find_components(tmp_path).weight_set == weight_set


@pytest.mark.parametrize("weight_set", SETS)
def test_a_set_has_one_part_for_each_component(weight_set):
    manifest = load_manifest()
    components = [manifest.parts[name].component for name in manifest.sets[weight_set].parts]
    assert len(components) == len(set(components)) in (7, 8)


def changed(**parts: object) -> dict:
    return json.loads(MANIFEST.read_text()) | parts


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (changed(default="int9"), "no set int9"),
        (changed(sets={"int8-fusionx": {"purpose": "", "parts": ["vea"]}}), "vea"),
        (changed(loras={}), "FusionX_LoRA.safetensors"),
        (changed(more=1), "Extra inputs are not permitted"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(record, said):
    with pytest.raises(ValidationError, match=said):
        Manifest.model_validate(record)


@pytest.mark.parametrize("path", ["../x", "/x", "a/../b", "a//b", ".hidden", "a/", ""])
def test_no_file_can_be_written_outside_its_folder(path):
    record = json.loads(MANIFEST.read_text())
    record["loras"]["fusionx"]["path"] = path
    with pytest.raises(ValidationError, match="should match pattern"):
        Manifest.model_validate(record)


def test_documents_list_every_set_and_repository():
    page = (Path(__file__).parents[2] / "docs" / "weights.md").read_text("utf-8")
    for name in SETS:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        gigabytes = sum(file.about for file in load_manifest().files(name)) / 1e9
        assert f"| {gigabytes:.1f} GB |" in row
    for name, repository in load_manifest().repositories.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {name} |")]
        assert (repository.licence or "not stated") in row
    for name in load_manifest().loras:
        assert f"`--lora {name}`" in page
