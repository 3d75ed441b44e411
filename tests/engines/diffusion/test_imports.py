"""What the engine needs to be imported: a bare GPU machine has PyTorch, but no codecs."""

import importlib
import sys

import pytest

pytest.importorskip("diffusers")

import multitalk.engines.diffusion.engine  # noqa: F401 - its libraries are not loaded anew


def ours():
    return {name for name in sys.modules if name.split(".")[0] == "multitalk"}


def test_the_engine_is_imported_without_the_codec_library(monkeypatch):
    loaded = {name: sys.modules[name] for name in ours()}
    monkeypatch.setitem(sys.modules, "av", None)  # as where it is not installed
    try:
        for name in loaded:
            del sys.modules[name]
        again = importlib.import_module("multitalk.engines.diffusion.engine")
        assert again is not loaded["multitalk.engines.diffusion.engine"]
        with pytest.raises(ImportError):
            importlib.import_module("multitalk.media.audio")
    finally:
        for name in ours():
            del sys.modules[name]
        sys.modules.update(loaded)
