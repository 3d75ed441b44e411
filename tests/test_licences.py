"""docs/licences.md lists what a base install contains, under the licences it is installed with."""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # which pytest brings along

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"

# A word of the licence as the page has it -> what a package's metadata may say for it.
SAID = {
    "Apache-2.0": "apache",
    "BSD-2-Clause": "bsd",
    "BSD-3-Clause": "bsd",
    "ISC": "isc",
    "MIT": r"\bmit\b",
    "MIT-CMU": "mit-cmu|hpnd",
    "MPL-2.0": "mpl|mozilla",
    "PSF-2.0": "psf|python software foundation",
    "PSF-based": "psf|python software foundation",
}


class LicencedPart(NamedTuple):
    """A row of the page."""

    package: str
    licence: str
    when: str


def rows() -> list[LicencedPart]:
    section = PAGE.read_text("utf-8").split("## A base install")[1].split("\n## ")[0]
    (_, table) = section.split("| --- | --- | --- |\n")
    found = re.findall(r"^\| (.+?) \| (.+?) \|(.*)\|$", table, re.MULTILINE)
    return [LicencedPart(name, licence, when.strip()) for name, licence, when in found]


def listed_parts() -> dict[str, LicencedPart]:
    return {part.package: part for part in rows()}


def named(requirements: list[str]) -> Iterator[str]:
    """Names of the packages that are required on this Python and this system, extras aside."""
    for line in requirements:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def base_install() -> set[str]:
    """What `make demo` installs: our own requirements and what those require in turn."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found: set[str] = set()
    waiting = [*named(project["dependencies"] + project["optional-dependencies"]["speech"])]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(named(distribution(name).requires or []))
    return found


def stated_licence(package: Distribution) -> str:
    """What a package's metadata says of its licence, in small letters; some say nothing."""
    fields = [
        *package.metadata.get_all("License-Expression", []),
        *(text[:300] for text in package.metadata.get_all("License", [])),
        *(
            classifier
            for classifier in package.metadata.get_all("Classifier", [])
            if classifier.startswith("License ::")
        ),
    ]
    return " ".join(fields).lower()


def test_every_part_of_a_base_install_is_listed() -> None:
    assert base_install() <= set(listed_parts())


def test_what_is_listed_is_part_of_a_base_install() -> None:
    always = {name for name, part in listed_parts().items() if not part.when}
    assert always <= base_install()


def test_parts_are_listed_once_by_their_canonical_names_in_order() -> None:
    names = [part.package for part in rows()]
    assert names == sorted({canonicalize_name(name) for name in names})


@pytest.mark.parametrize("part", listed_parts().values(), ids=lambda part: part.package)
def test_a_part_has_the_licence_that_is_listed(part: LicencedPart) -> None:
    try:
        stated = stated_licence(distribution(part.package))
    except PackageNotFoundError:
        assert part.when, "listed as a part of every install"
        return
    if not stated:
        assert part.package in {"espeakng-loader"}, f"{part.package} states no licence"
        return
    (*_, name) = (word for word in SAID if part.licence.startswith(word))
    assert re.search(SAID[name], stated), stated
