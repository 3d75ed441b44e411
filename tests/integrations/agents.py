"""What tests of voice agents share: the examples as modules, and how pictures move."""

import importlib.util
import itertools
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

STALL_SECONDS = 1.6
# A picture may be repeated where the machine is busy; a face that stands still for all that piled
# up in a stall would be some 35 frames.
STILL_FRAMES = 20
DIRECTORY = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    """The example of this name."""
    spec = importlib.util.spec_from_file_location(name, DIRECTORY / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def longest_still(pictures: Iterable[bytes]) -> int:
    """The most pictures in a row that are the same."""
    return max(len(list(same)) for _, same in itertools.groupby(pictures))


def seconds_before(packet: int) -> float:
    """How long to wait before a packet of 20 ms: a stall after 65, then a pile of 75."""
    if packet == 65:
        return STALL_SECONDS
    return 0.0 if 65 < packet < 140 else 0.02
