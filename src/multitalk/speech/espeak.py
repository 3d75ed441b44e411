"""Questions to espeak-ng, which answers in a process of its own.

The process keeps espeak-ng's licence (GPL-3) away from ours and a crash of it away from the job.
"""

import difflib
import json
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from multitalk.errors import DeadlineExceeded, EngineUnavailable, InvalidRequest

TIMEOUT_SECONDS = 120.0


@cache
def list_languages() -> tuple[str, ...]:
    """Codes of all languages that `synthesize` speaks, besides common other names of them."""
    return tuple(inventory()["languages"])


@cache
def list_voices() -> tuple[str, ...]:
    """Names of the speakers; each can speak every language."""
    return tuple(inventory()["variants"])


@cache
def inventory() -> dict[str, Any]:
    """What the synthesizer has, as `espeak_process` answers.

    `languages`: its name of each language's voice; `language_speakers` and `variants`: what its
    data say of those voices and of the speakers.
    """
    answer, _ = ask_espeak({}, TIMEOUT_SECONDS)
    return answer


def known(name: str, names: tuple[str, ...], *, key: str, field: str) -> str:
    """The one of `names` that is meant, whatever its capitals.

    Raises:
        InvalidRequest: There is none; the message shows the nearest ones.
    """
    by_lower = {known.lower(): known for known in names}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.4) or list(by_lower)[:5]
    raise InvalidRequest(
        key, field=field, value=name[:40], near=", ".join(by_lower[match] for match in near)
    )


def ask_espeak(request: dict[str, Any], timeout_seconds: float) -> tuple[dict[str, Any], bytes]:
    """Run the synthesizer's process once: its JSON answer, and the bytes behind it."""
    if find_spec("espeakng_loader") is None:
        raise EngineUnavailable(
            "engine_unavailable",
            engine="espeak-ng",
            reason="it is not installed: pip install espeakng-loader==0.2.4",
        )
    try:
        process = subprocess.run(  # noqa: S603 - our own file; the text goes in by stdin
            [sys.executable, str(Path(__file__).with_name("espeak_process.py"))],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=timeout_seconds,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise DeadlineExceeded("synthesis_slow", limit=timeout_seconds) from error
    except (subprocess.CalledProcessError, OSError) as error:
        raise EngineUnavailable(
            "engine_unavailable", engine="espeak-ng", reason="its process failed"
        ) from error
    head, _, sound = process.stdout.partition(b"\n")
    return json.loads(head), sound
