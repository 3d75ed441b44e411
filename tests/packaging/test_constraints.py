"""What is installed is what `constraints.txt` says, so what is tested is what others install."""

import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = "multitalk-serverless"
ITSELF = {PROJECT, "pip", "setuptools"}  # what installs is there before


def pinned(python: str | None = None) -> dict[str, Version]:
    """The versions for a Python ("3.12"), this one if none is named, by name."""
    where = {"python_version": python, "python_full_version": f"{python}.0"} if python else {}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    given = [Requirement(line) for line in lines if line and not line.startswith("#")]
    found: dict[str, Version] = {}
    for one in given:
        if one.marker is None or one.marker.evaluate(where):
            (only,) = one.specifier
            assert only.operator == "==", one
            assert canonicalize_name(one.name) not in found, one
            found[canonicalize_name(one.name)] = Version(only.version)
    return found


def environments() -> list[Path]:
    """Where packages are installed for this Python: `.venv` and `.venv-diffusion`, if made."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    places = [
        ROOT / name / "lib" / version / "site-packages" for name in (".venv", ".venv-diffusion")
    ]
    return [place for place in places if place.is_dir()]


def brought(installed: dict[str, Distribution]) -> Iterator[str]:
    """Whatever our extras ask for, and what that asks for, as far as it is there."""
    seen: set[str] = set()
    waiting = [PROJECT]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in installed:
            continue
        seen.add(name)
        if name not in ITSELF:
            yield name
        wanted = (Requirement(line) for line in installed[name].requires or ())
        waiting += [canonicalize_name(one.name) for one in wanted]


@pytest.mark.parametrize("place", environments(), ids=lambda place: place.parts[-4])
def test_each_installed_package_has_the_version_of_the_constraints(place):
    installed = {
        canonicalize_name(one.name): one for one in distributions(path=[str(place)]) if one.name
    }
    known = pinned()
    names = list(brought(installed))
    assert len(names) > 30
    wrong = {
        name: (installed[name].version, str(known.get(name)))
        for name in names
        if name not in known or Version(installed[name].version).public != str(known[name])
    }
    assert not wrong


def test_each_package_of_every_extra_is_pinned():
    (project,) = {
        one.version: one for one in distributions() if canonicalize_name(one.name) == PROJECT
    }.values()
    wanted = {canonicalize_name(Requirement(line).name) for line in project.requires or ()}
    assert {"torch", "diffusers", "peft", "fastapi"} <= wanted
    assert wanted - ITSELF <= pinned().keys()


@pytest.mark.parametrize("python", ["3.12", "3.13", "3.14", "3.15"])
def test_what_is_pinned_for_a_python_is_pinned_for_later_ones(python: str) -> None:
    assert pinned(python).keys() == pinned("3.11").keys()


def test_an_older_python_lacks_no_package_but_those_that_it_cannot_have() -> None:
    assert pinned("3.11").keys() - pinned("3.10").keys() == {"setuptools"}
    assert pinned("3.10").keys() - pinned("3.11").keys() == {"async-timeout", "exceptiongroup"}
