"""`.runpod/` is what the Hub accepts, names settings that exist, and asks for talks that render."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hub_schemas import HUB, TESTS

from multitalk.delivery.deliver import ENVELOPE_BYTES
from multitalk.engines.registry import load_engine
from multitalk.settings import Settings
from multitalk.weights.sets import load_manifest
from run_jobs import deliver_job

ROOT = Path(__file__).parents[2]
IN_THE_IMAGE = "/opt/multitalk/"


def read(name: str) -> Any:
    return json.loads((ROOT / ".runpod" / name).read_text("utf-8"))


HUB_FILE, TESTS_FILE = read("hub.json"), read("tests.json")
CONFIG = HUB_FILE["config"]


def variables() -> dict[str, str]:
    """Every variable of the Hub's form with its default."""
    return {
        item["key"]: str(item.get("value", item.get("input", {}).get("default")))
        for item in CONFIG["env"]
    }


def read_by(variable: str) -> str | None:
    """Who reads a variable: the settings, the entrypoint, or a library that settings.md names."""
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    if f"`{variable}`" not in page:
        return None
    if variable.startswith(("MULTITALK_", "BUCKET_")):
        return "settings"  # which refuse what they do not know
    if f"${{{variable}:-" in (ROOT / "entrypoint.sh").read_text("utf-8"):
        return "entrypoint"
    return "library" if variable in ("HF_TOKEN", "RUNPOD_INIT_TIMEOUT") else None


@pytest.mark.parametrize(("given", "schema"), [(HUB_FILE, HUB), (TESTS_FILE, TESTS)])
def test_the_hub_accepts_the_file(given: Any, schema: Any) -> None:
    jsonschema.validate(given, schema, cls=jsonschema.Draft202012Validator)


def test_every_variable_is_documented_and_read() -> None:
    named = {*variables(), *(item["key"] for item in TESTS_FILE["config"]["env"])}
    assert [name for name in sorted(named) if not read_by(name)] == []


def test_the_form_as_it_stands_is_a_worker_s_default() -> None:
    assert Settings.from_env(variables()) == Settings()


@pytest.mark.parametrize("preset", CONFIG["presets"], ids=lambda preset: preset["name"])
def test_a_preset_changes_variables_of_the_form_to_what_they_may_be(preset: Any) -> None:
    assert preset["defaults"].keys() <= variables().keys()
    Settings.from_env({name: str(value) for name, value in preset["defaults"].items()})
    weight_set = preset["defaults"]["FETCH_WEIGHTS"]
    assert weight_set == "" or weight_set in load_manifest().fetchable


def test_limits_of_the_form_keep_the_default_in_range() -> None:
    for item in CONFIG["env"]:
        given = item.get("input", {})
        if given.get("type") == "number":
            assert given["min"] <= given["default"] <= given["max"]
        if "options" in given:
            assert given["default"] in [option["value"] for option in given["options"]]


@pytest.mark.parametrize("case", TESTS_FILE["tests"], ids=lambda case: case["name"])
def test_the_hub_s_tests_render(case: Any, tmp_path: Path) -> None:
    """With the image's files and settings, as near as this machine comes to it."""
    source = case["input"]["image_path"]
    if source.startswith(IN_THE_IMAGE):
        copied = (ROOT / "Dockerfile").read_text("utf-8")
        assert source.removeprefix(IN_THE_IMAGE) in copied
        assert "MULTITALK_ALLOWED_ROOTS=/runpod-volume:/opt/multitalk/examples" in copied
        source = str(ROOT / source.removeprefix(IN_THE_IMAGE))
    settings = Settings(allowed_roots=(ROOT / "examples",), work_directory=tmp_path)
    given = case["input"] | {"image_path": source}
    result = deliver_job(given, load_engine("warp", settings=settings), settings)
    assert result.num_frames > 25
    assert result.video_base64 is not None
    assert len(json.dumps(case["input"])) < 10_000_000 - ENVELOPE_BYTES
