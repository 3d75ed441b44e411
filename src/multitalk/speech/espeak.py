"""Questions to espeak-ng, which answers in a process of its own.

The process keeps espeak-ng's licence (GPL-3) away from ours, a crash of it away from the job, and
what a text may make it do away from everything else: see `multitalk.fence`.
"""

import difflib
import json
import logging
from functools import cache
from importlib.util import find_spec
from typing import Any

from multitalk.errors import DeadlineExceeded, EngineUnavailable, InvalidRequest
from multitalk.fence.running import run_fenced

_LOG = logging.getLogger(__name__)

TIMEOUT_SECONDS = 120.0
_MOST_ANSWER_BYTES = 256 << 20  # an hour of speech is 160 MB


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
    """Run the synthesizer's process once: its JSON answer, and the bytes behind it.

    Raises:
        InvalidRequest: The text ended the process: by a crash, or at its limit of memory or CPU.
        DeadlineExceeded: It took too long.
        EngineUnavailable: espeak-ng is not installed or does not work.
    """
    if find_spec("espeakng_loader") is None:
        raise EngineUnavailable(
            "engine_unavailable",
            engine="espeak-ng",
            reason="it is not installed: pip install espeakng-loader==0.2.4",
        )
    try:
        ended = run_fenced(
            "multitalk.speech.espeak_process",
            json.dumps(request).encode(),
            timeout_seconds=timeout_seconds,
            most_answer_bytes=_MOST_ANSWER_BYTES,
        )
    except TimeoutError as error:
        raise DeadlineExceeded("synthesis_slow", limit=timeout_seconds) from error
    except OSError as error:
        raise _unavailable() from error
    if ended.died:
        _LOG.warning("espeak-ng was ended by signal %d at a text", -ended.returncode)
        raise InvalidRequest("text_unspeakable_here", field="text")
    if ended.returncode != 0:
        _LOG.error("espeak-ng's process failed: %s", ended.complaint)
        raise _unavailable()
    head, _, sound = ended.answer.partition(b"\n")
    return json.loads(head), sound


def _unavailable() -> EngineUnavailable:
    return EngineUnavailable("engine_unavailable", engine="espeak-ng", reason="its process failed")
