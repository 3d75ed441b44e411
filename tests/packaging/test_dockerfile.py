"""The image: pinned, without secrets, not run as root, and made of files that exist."""

import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from multitalk.settings import Settings

ROOT = Path(__file__).parents[2]
TARGETS = ("cpu", "gpu")
SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|API_?KEY")


def instructions() -> list[tuple[str, str, str]]:
    """Stage, instruction and its value, in order; what comes before the first stage has none."""
    parsed = DockerfileParser(str(ROOT / "Dockerfile")).structure
    stage, found = "", []
    for item in parsed:
        if item["instruction"] == "FROM":
            stage = item["value"].split()[-1]
        if item["instruction"] != "COMMENT":
            found.append((stage, item["instruction"], item["value"]))
    return found


INSTRUCTIONS = instructions()


def of(name: str) -> list[tuple[str, str]]:
    return [(stage, value) for stage, instruction, value in INSTRUCTIONS if instruction == name]


def lineage(stage: str) -> list[str]:
    """A stage and those that it stands on."""
    parents = {value.split()[-1]: value.split()[0] for _, value in of("FROM")}
    found = [stage]
    while (parent := parents[found[-1]]) in parents:
        found.append(parent)
    return found


def last(stage: str, instruction: str) -> str:
    """What an instruction says in the end for a stage."""
    for name in lineage(stage):
        said = [value for where, value in of(instruction) if where == name]
        if said:
            return said[-1]
    raise AssertionError(f"{stage} has no {instruction}")


def test_there_are_the_targets_and_the_last_is_for_runpod() -> None:
    stages = [value.split()[-1] for _, value in of("FROM")]
    assert set(TARGETS) <= set(stages)
    assert stages[-1] == "gpu"


def test_every_stage_stands_on_the_pinned_base() -> None:
    ((_, base),) = ((stage, value) for stage, value in of("ARG") if stage == "")
    assert re.fullmatch(r"BASE=python:3\.11\.\d+-slim-\w+", base)
    stages: list[str] = []
    for _, value in of("FROM"):
        parent, _, name = value.split()
        assert parent == "${BASE}" or parent in stages
        stages.append(name)
    for _, value in of("COPY"):
        for source in re.findall(r"--from=(\S+)", value):
            assert source in stages


@pytest.mark.parametrize("target", TARGETS)
def test_a_container_starts_by_an_entrypoint_that_takes_signals(target: str) -> None:
    assert json.loads(last(target, "ENTRYPOINT")) == [
        "/usr/bin/tini",
        "--",
        "/opt/multitalk/entrypoint.sh",
    ]
    assert json.loads(last(target, "CMD")) == ["worker"]
    check = last(target, "HEALTHCHECK")
    assert json.loads(check[check.index("[") :]) == ["/opt/multitalk/entrypoint.sh", "health"]


@pytest.mark.parametrize("target", TARGETS)
def test_a_container_is_not_run_as_root(target: str) -> None:
    user = last(target, "USER")
    defaults = dict(value.split("=", 1) for stage, value in of("ARG") if stage == target)
    user = defaults.get(user.strip("${}"), user)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_the_driver_is_let_into_the_gpu_image_only() -> None:
    environment = {stage: value for stage, value in of("ENV") if "IMAGE_TARGET" in value}
    assert "NVIDIA_VISIBLE_DEVICES=all" in environment["gpu"]
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in environment["gpu"]
    assert "NVIDIA" not in environment["cpu"]


def test_the_gpu_s_memory_is_taken_in_segments_that_grow() -> None:
    environment = {stage: value for stage, value in of("ENV") if "IMAGE_TARGET" in value}
    assert "PYTORCH_ALLOC_CONF=expandable_segments:True" in environment["gpu"]
    assert "PYTORCH" not in environment["cpu"]


def test_no_secret_is_an_argument_or_in_the_environment() -> None:
    given = [value for name in ("ARG", "ENV", "LABEL") for _, value in of(name)]
    assert [value for value in given if SECRET.search(value)] == []
    for _, value in of("RUN"):
        if SECRET.search(value):
            assert "--mount=type=secret,id=HF_TOKEN" in value


def test_weights_are_baked_only_if_asked_for() -> None:
    assert ("weights", "BAKE_WEIGHTS=0") in of("ARG")
    assert any("--from=weights" in value for stage, value in of("COPY") if stage == "gpu")
    assert not any("--from=weights" in value for stage, value in of("COPY") if stage == "cpu")


def allowed_into_the_context() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines
    return [line[1:] for line in lines if line.startswith("!")]


def test_what_is_copied_exists_and_nothing_else_is_sent_to_the_builder() -> None:
    allowed = allowed_into_the_context()
    sources = set()
    for _, value in of("COPY"):
        if "--from=" not in value:
            words = [word for word in value.split() if not word.startswith("--")]
            sources.update(words[:-1])
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(source == name or fnmatch(source, f"{name}/*") for name in allowed), source
    assert {name for name in allowed if name not in sources} == set()


def test_the_job_to_try_is_not_in_the_image() -> None:
    assert (ROOT / "test_input.json").exists()
    assert not any("test_input" in value for _, value in of("COPY"))
    assert not any(fnmatch("test_input.json", name) for name in allowed_into_the_context())


def test_the_versions_are_those_of_the_project() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    ((_, torch),) = ((stage, value) for stage, value in of("ARG") if value.startswith("TORCH="))
    assert f"TORCH ?= {torch.removeprefix('TORCH=')}\n" in makefile
    for extra in re.findall(r"'\.\[([\w,]+)\]'", text):
        for name in extra.split(","):
            assert re.search(rf"^{name} = \[", project, re.MULTILINE), name


def test_the_environment_holds_settings_that_exist() -> None:
    environment = dict(re.findall(r"(\w+)=(\S+)", " ".join(value for _, value in of("ENV"))))
    settings = Settings.from_env(environment)
    assert settings.allowed_roots == (Path("/runpod-volume"), Path("/opt/multitalk/examples"))
