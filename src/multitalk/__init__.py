"""MultiTalk Serverless: a portrait, one or more voices and a prompt become a talking video.

The public names are loaded when they are first used, so that `import multitalk` costs nothing.
"""

from importlib import import_module

from multitalk.version import __version__

TYPE_CHECKING = False  # as in `typing`, whose import takes longer than everything here
if TYPE_CHECKING:
    from multitalk.schema import TalkRequest, TalkResult
    from multitalk.serving.local import render

__all__ = ["TalkRequest", "TalkResult", "__version__", "render"]

_HOME = {
    "TalkRequest": "multitalk.schema",
    "TalkResult": "multitalk.schema",
    "render": "multitalk.serving.local",
}


def __getattr__(name: str) -> object:
    """Load a public name from the module that defines it (PEP 562)."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
