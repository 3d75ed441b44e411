"""Toy pictures are noise without faces; searching them for faces takes a third of a talk's time."""

import gc
from collections.abc import Iterator

import pytest

from multitalk.engines.base import Scene
from multitalk.engines.faces import SceneFaces
from multitalk.face.search import SearchResult


def no_faces(scene: Scene) -> SceneFaces:
    return SceneFaces(scene, SearchResult(()), ())


@pytest.fixture(scope="session", autouse=True)
def pictures_without_faces() -> Iterator[None]:
    """The engine's face finder finds none; a test that needs the real one puts it back."""
    patch = pytest.MonkeyPatch()
    try:
        from multitalk.engines.diffusion import engine
    except ModuleNotFoundError:  # no torch here
        yield
        return
    patch.setattr(engine, "detect_and_turn", no_faces)
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def collector_leaves_libraries_out(pictures_without_faces: None) -> None:
    """The libraries have half a million objects: a full collection takes 0.3 s with them."""
    gc.collect()
    gc.freeze()
