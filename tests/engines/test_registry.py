"""Which engine a name loads."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest

from multitalk.engines import registry
from multitalk.engines.registry import LOADERS, load_engine, resolve_engine
from multitalk.errors import EngineUnavailable
from multitalk.messages import LOCALES, SENTENCES
from multitalk.settings import EngineName, Settings


@pytest.mark.parametrize("name", ["auto", "warp"])
def test_warp_is_what_runs_here(name: str) -> None:
    engine = load_engine(name, settings=Settings())  # type: ignore[arg-type]
    assert engine.name == "warp"
    engine.close()
    assert resolve_engine("auto", Settings()) == ("warp", None)


def test_each_engine_of_the_settings_has_a_loader() -> None:
    assert set(LOADERS) == set(get_args(EngineName))


@pytest.mark.parametrize(
    ("packages", "weights", "key"),
    [
        (("no_such_package",), Path(), "diffusion_needs_packages"),
        ((), None, "diffusion_needs_weights"),
        ((), Path("no-such-directory"), "diffusion_needs_weights"),
    ],
)
def test_an_engine_that_cannot_run_is_refused_and_not_replaced(
    monkeypatch: pytest.MonkeyPatch, packages: tuple[str, ...], weights: Path | None, key: str
) -> None:
    monkeypatch.setattr(registry, "DIFFUSION_PACKAGES", packages)
    with pytest.raises(EngineUnavailable) as caught:
        load_engine("diffusion", settings=Settings(weights=weights))
    error = caught.value
    assert (error.code, error.field, error.key) == ("engine_unavailable", "engine", key)
    assert "leave engine out" in error.text()
    assert set(SENTENCES[key]) == set(LOCALES)


def test_torch_is_not_asked_for_a_gpu_unless_there_are_weights() -> None:
    before = "torch" in sys.modules
    assert resolve_engine("auto", Settings()) == ("warp", None)
    assert ("torch" in sys.modules) == before


def test_auto_leaves_diffusion_where_its_packages_are_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(registry, "DIFFUSION_PACKAGES", ("no_such_package",))
    assert resolve_engine("auto", Settings(weights=tmp_path)) == ("warp", None)


def test_weights_are_looked_for_where_none_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened = []

    class Opened:
        name = "diffusion"
        is_follower = False

        @classmethod
        def load(cls, weights: Path, settings: Settings) -> "Opened":
            opened.append(weights)
            return cls()

    module = SimpleNamespace(DiffusionEngine=Opened)
    monkeypatch.setitem(sys.modules, "multitalk.engines.diffusion.engine", module)
    monkeypatch.setattr(registry, "DIFFUSION_PACKAGES", ())
    monkeypatch.setattr(registry, "find_weights_directory", lambda settings: tmp_path / "volume")
    for directory in ("volume", "named"):
        (tmp_path / directory).mkdir()
    load_engine("diffusion", settings=Settings())
    load_engine("diffusion", settings=Settings(weights=tmp_path / "named"))
    assert opened == [tmp_path / "volume", tmp_path / "named"]
