"""A job's input from this machine: relative paths have a base, and a prompt may be left out."""

from collections.abc import Mapping
from pathlib import Path

from multitalk.inputs.source import LocalPath, parse_source
from multitalk.paths import at_home
from multitalk.schema.sources import map_sources


def with_paths_from(base: Path, given: Mapping[str, object]) -> dict[str, object]:
    """The same input with its relative paths taken from `base`; other sources stay."""

    def placed(field: str, source: str) -> str:
        if not source.strip():
            return source  # refused later
        parsed = parse_source(source, field=field)
        if not isinstance(parsed, LocalPath):
            return source
        return str(base.absolute() / at_home(Path(parsed.text)))

    return map_sources(given, placed)


def with_prompt(given: Mapping[str, object]) -> dict[str, object]:
    """The same input, with a prompt that only says that somebody talks if it has none."""
    prompt, voices = given.get("prompt"), given.get("audio_paths")
    if prompt is not None and not (isinstance(prompt, str) and not prompt.strip()):
        return dict(given)
    are_several = isinstance(voices, Mapping) and len(voices) > 1
    return {**given, "prompt": "people talk" if are_several else "a person talks"}
