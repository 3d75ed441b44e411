"""MultiTalk Serverless: a portrait, one or more voices and a prompt become a talking video.

The public names are loaded when they are first used, so that `import multitalk` costs nothing.
"""

from importlib import import_module

from multitalk.version import __version__

TYPE_CHECKING = False  # as in `typing`, whose import takes longer than everything here
if TYPE_CHECKING:
    from multitalk import errors
    from multitalk.evaluation import evaluate
    from multitalk.live import Avatar
    from multitalk.local.studio import Studio, render
    from multitalk.schema import TalkRequest, TalkResult

__all__ = [
    "Avatar",
    "Studio",
    "TalkRequest",
    "TalkResult",
    "__version__",
    "errors",
    "evaluate",
    "render",
]

_HOME = {
    "Avatar": "multitalk.live",
    "Studio": "multitalk.local.studio",
    "TalkRequest": "multitalk.schema",
    "TalkResult": "multitalk.schema",
    "evaluate": "multitalk.evaluation",
    "render": "multitalk.local.studio",
}


def __getattr__(name: str) -> object:
    """Load a public name from the module that defines it (PEP 562)."""
    if name == "errors":
        return import_module("multitalk.errors")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
