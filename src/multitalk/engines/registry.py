"""Loads an engine by its name; the only module that names them all."""

import logging
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from multitalk.engines.base import Engine
from multitalk.engines.diffusion.launch import Launch
from multitalk.errors import EngineUnavailable, not_a_choice
from multitalk.schema.validation import brief
from multitalk.settings import ENGINE_CHOICES, EngineChoice, EngineName, Settings
from multitalk.weights.directory_search import find_weights_directory

DIFFUSION_PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "peft", "safetensors")

logger = logging.getLogger(__name__)


def checked_name(name: object) -> EngineChoice:
    """The name of an engine, or `auto`, as somebody gave it.

    Raises:
        InvalidRequest: There is no such engine; the error names those that there are.
    """
    for choice in ENGINE_CHOICES:
        if name == choice:
            return choice
    raise not_a_choice("engine", brief(name), ENGINE_CHOICES)


def load_engine(name: EngineChoice, *, settings: Settings) -> Engine:
    """Load an engine, ready to render.

    Raises:
        InvalidRequest: There is no engine of this name.
        EngineUnavailable: The engine asked for cannot run on this machine. Another one is never
            taken in its place.
        SystemExit: This process was one of several that share each talk, but not the first, and the
            first one has closed its engine.
    """
    chosen, weights = resolve_engine(checked_name(name), settings)
    started = time.monotonic()
    engine = LOADERS[chosen](weights, settings)
    logger.info("engine %s loaded in %.2f s", engine.name, time.monotonic() - started)
    return engine


def resolve_engine(name: EngineChoice, settings: Settings) -> tuple[EngineName, Path | None]:
    """The engine of a name, and the directory of its weights; nothing else resolves `auto`.

    `auto` is diffusion where there are weights, its packages and a GPU, else warp. The weights are
    None where there are none, and for an engine that needs none.
    """
    weights = None
    if name in ("auto", "diffusion"):
        # A directory that the operator names is used in any case; its problems are errors later.
        weights = settings.weights or find_weights_directory(settings)
    if name != "auto":
        return name, weights
    return ("diffusion", weights) if _runs_diffusion(weights) else ("warp", None)


def check_loadable(name: EngineName, weights: Path | None) -> None:
    """Check that an engine of `resolve_engine` has what it needs, without loading it.

    Raises:
        EngineUnavailable: It lacks packages or weights.
    """
    if name == "diffusion":
        _checked_weights(weights)


def _load_warp(weights: Path | None, settings: Settings) -> Engine:  # noqa: ARG001 - of a loader
    if Launch.from_env(os.environ):
        raise EngineUnavailable("parallel_needs_diffusion", field="engine")
    from multitalk.engines.warp.engine import WarpEngine  # noqa: PLC0415 - loads the face models

    return WarpEngine()


def _load_diffusion(weights: Path | None, settings: Settings) -> Engine:
    weights = _checked_weights(weights)
    from multitalk.engines.diffusion.engine import DiffusionEngine  # noqa: PLC0415 - loads torch

    engine = DiffusionEngine.load(weights, settings)
    if engine.is_follower:
        engine.serve_rank()
        raise SystemExit(0)
    return engine


# Each imports its engine only when it is called, with the weights of `resolve_engine`.
LOADERS: dict[EngineName, Callable[[Path | None, Settings], Engine]] = {
    "warp": _load_warp,
    "diffusion": _load_diffusion,
}


def _runs_diffusion(weights: Path | None) -> bool:
    if weights is None or _absent_packages():
        return False
    from multitalk.engines.diffusion.offload import has_gpu  # noqa: PLC0415 - loads torch

    return has_gpu()


def _checked_weights(weights: Path | None) -> Path:
    """The weights, where there are any, and the packages that read them."""
    absent = _absent_packages()
    if absent:
        packages = ", ".join(absent)
        raise EngineUnavailable("diffusion_needs_packages", field="engine", packages=packages)
    if weights is None or not weights.is_dir():
        raise EngineUnavailable("diffusion_needs_weights", field="engine")
    return weights


def _absent_packages() -> list[str]:
    return [package for package in DIFFUSION_PACKAGES if find_spec(package) is None]
