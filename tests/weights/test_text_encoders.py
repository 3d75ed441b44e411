"""Where weights are looked for, any text encoder serves any network."""

from pathlib import Path

import pytest

from multitalk.settings import Settings
from multitalk.weights.component_files import written_path
from multitalk.weights.directory_search import search_directories
from multitalk.weights.sets import load_manifest


def hold(directory: Path, weight_set: str, *, text: str | None) -> None:
    """The files of a set, without contents, and the text encoder of another one."""
    manifest = load_manifest()
    files = [one for one in manifest.files(weight_set) if one.key not in manifest.text_encoders]
    if text is not None:
        files += [one for one in manifest.files(text) if one.key in manifest.text_encoders]
    for file in files:
        path = written_path(directory, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as opened:
            opened.truncate(file.about)


@pytest.mark.parametrize("text", ["int8", "fp8-fusionx", "bf16", None])
@pytest.mark.parametrize("weight_set", ["int8", "infinitetalk-multi-fp8-fusionx", "bf16"])
def test_a_place_holds_a_set_with_any_text_encoder(
    weight_set: str, text: str | None, tmp_path: Path
) -> None:
    hold(tmp_path, weight_set, text=text)
    places = {"environ": {"HF_HOME": str(tmp_path / "hf")}, "well_known": (tmp_path,)}
    found = search_directories(Settings(), **places)[0]  # type: ignore[arg-type]
    if text is None:
        assert (found.usable, found.missing) == (False, 1)
    else:
        assert (found.usable, found.weight_set) == (True, weight_set)
