"""The examples of voice agents, as modules."""

import importlib.util
from pathlib import Path
from types import ModuleType

DIRECTORY = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    """The example of this name."""
    spec = importlib.util.spec_from_file_location(name, DIRECTORY / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
