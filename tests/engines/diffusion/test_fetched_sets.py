"""The sets that are fetched are those that are opened."""

from multitalk.engines.diffusion.published import WEIGHT_SETS
from multitalk.engines.diffusion.weight_files import find_weight_files
from multitalk.weights.layout import written_path
from multitalk.weights.sets import load_manifest


def test_what_fetch_writes_is_found(tmp_path):
    manifest = load_manifest()
    assert set(manifest.sets) == {name for name, each in WEIGHT_SETS.items() if each.fetched}
    for name in manifest.sets:
        directory = tmp_path / name
        for wanted in manifest.wanted(name):
            file = written_path(directory, wanted)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text('{"weight_map": {}}')
        assert find_weight_files(directory).weight_set == name
