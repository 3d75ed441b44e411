"""From an engine's name to the engine: the only module that names them all, and loads them late."""

import logging
import time
from typing import Literal

from multitalk.engines.base import Engine
from multitalk.errors import EngineUnavailable

EngineName = Literal["warp", "diffusion"]

logger = logging.getLogger(__name__)


def load_engine(name: Literal["auto", "warp", "diffusion"]) -> Engine:
    """Load an engine, ready to render; the choice is made here and nowhere later.

    Raises:
        EngineUnavailable: The engine asked for cannot run on this machine. Another one is never
            taken in its place.
    """
    chosen = choose_engine() if name == "auto" else name
    if chosen == "diffusion":
        raise EngineUnavailable("diffusion_not_included", field="engine")
    started = time.monotonic()
    from multitalk.engines.warp.engine import WarpEngine  # noqa: PLC0415 - loads the face models

    engine = WarpEngine()
    logger.info("engine %s loaded in %.2f s", engine.name, time.monotonic() - started)
    return engine


def choose_engine() -> EngineName:
    """The engine that `auto` takes: the best one that can run on this machine."""
    return "warp"
