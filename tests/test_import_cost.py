"""What an import loads. Told by `sys.modules` of a fresh process, not by a clock."""

import json
import subprocess
import sys

import pytest

import multitalk
from patience import PATIENCE_SECONDS

HEAVY = {"numpy", "av", "cv2", "httpx", "pydantic", "PIL", "matplotlib", "rich"}
NEVER = {"torch", "diffusers", "transformers", "runpod", "fastapi", "botocore"}


def loaded_by(statement: str) -> set[str]:
    code = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    return {name.split(".")[0] for name in json.loads(done.stdout)}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_by("import multitalk") & (HEAVY | NEVER)


def test_the_command_line_starts_without_the_heavy_parts() -> None:
    heavy = HEAVY - {"rich"}  # typer draws with it
    assert not loaded_by("import multitalk.cli.app") & (heavy | NEVER)


def test_the_python_api_never_loads_what_only_servers_and_engines_need() -> None:
    assert not loaded_by("from multitalk import render") & NEVER


def test_the_public_names_are_listed_and_listing_them_loads_nothing() -> None:
    assert set(multitalk.__all__) <= set(dir(multitalk))
    assert {"Studio", "errors", "evaluate", "render"} <= set(multitalk.__all__)
    assert not loaded_by("import multitalk; dir(multitalk)") & (HEAVY | NEVER)
    assert not loaded_by("import multitalk; multitalk.errors.NoFaceFound") & (HEAVY | NEVER)


@pytest.mark.parametrize("name", multitalk.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(multitalk, name)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'rendr'"):
        multitalk.rendr  # noqa: B018


def test_a_live_session_does_without_what_checks_requests() -> None:
    assert "pydantic" not in loaded_by("import multitalk.serving.live.session_process")
