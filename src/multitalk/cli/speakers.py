"""Options that say something of a speaker: `NAME=VALUE`."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import typer

from multitalk.paths import as_meant

_NAMED = re.compile(r"([\w-]{1,64})=(.*[^=].*)", re.DOTALL)  # not the padding of a bare base64
_NUMBERED = re.compile(r"person\d+")


def named(option: str, *, default: str) -> tuple[str, str]:
    """A speaker's name, or the default one, and what is said of the speaker."""
    match = _NAMED.fullmatch(option)
    return (match[1], match[2]) if match else (default, option)


def boxes_of(options: list[str]) -> dict[str, tuple[float, float, float, float]] | None:
    """Where each speaker's face is, or None if there was no option."""
    boxes = {}
    for option in options:
        name, numbers = named(option, default="")
        try:
            x_min, y_min, x_max, y_max = (float(number) for number in numbers.split(","))
        except ValueError as error:
            raise typer.BadParameter(
                f"--box {option}: write NAME=X0,Y0,X1,Y1, in pixels"
            ) from error
        if not name:
            raise typer.BadParameter(f"--box {option}: name the speaker, NAME=X0,Y0,X1,Y1")
        boxes[name] = (x_min, y_min, x_max, y_max)
    return boxes or None


def named_file(option: str, wanted: str, *, default: str) -> tuple[str, str]:
    """As `named`, for a file that is there: one may have a `=` in its own name."""
    name, file = named(wanted, default=default)
    if file == wanted or not _is_file(wanted):
        return name, file
    if _is_file(file):
        raise typer.BadParameter(
            f"{option} {wanted}: there are files {wanted} and {file}; "
            f"write ./{wanted}, or {name}=./{file} for a speaker's"
        )
    return default, wanted


def _is_file(source: str) -> bool:
    try:
        return as_meant(Path(source)).is_file()
    except OSError:  # no path is so long: base64
        return False


def voices_of(
    recordings: list[str],
    texts: list[str],
    language: str | None,
    manners: Mapping[str, list[str]],
    known: Collection[str] = (),
) -> dict[str, object] | None:
    """`audio_paths` of a request, or None if there was no voice on the command line.

    Args:
        recordings: `--audio`, each `[NAME=]SOURCE`.
        texts: `--text`, each `[NAME=]TEXT`.
        language: Of the texts, or None to tell it from them.
        manners: How texts are spoken, by their field: the values of `--voice`, `--speed` and
            `--pitch`, each `[NAME=]VALUE`.
        known: Speakers who are named elsewhere, so that a text may begin with their names.
    """
    given: dict[str, object] = {}
    for index, option in enumerate(recordings, start=1):
        name, source = named_file("--audio", option, default=f"person{index}")
        if name in given:
            raise typer.BadParameter(f"two recordings for {name}: name the speakers, NAME=SOURCE")
        given[name] = source
    said_of = [
        (manner, *named(option, default=""))
        for manner, values in manners.items()
        for option in values
    ]
    known = {*known, *given, *(name for _, name, _ in said_of)}
    named_texts = [(option, *named(option, default="person1")) for option in texts]
    names = {*given, *(name for option, name, text in named_texts if text != option)}
    spoken: dict[str, list[dict[str, object]]] = {}
    for option, name, text in named_texts:
        if text != option and not (name in known or _NUMBERED.fullmatch(name) or names - {name}):
            raise typer.BadParameter(
                f"--text {name}=...: is {name} the speaker, or said? Somebody who speaks alone "
                f"needs no name: leave {name}= out; to have it said, write person1={name}=..."
            )
        if name in given:
            raise typer.BadParameter(f"a recording and a text for {name}: give one of them")
        said: dict[str, object] = {"text": text}
        if language:
            said["language"] = language
        spoken.setdefault(name, []).append(said)
    for manner, name, value in said_of:
        if name and name not in spoken:
            raise typer.BadParameter(f"--{manner} for {name}, who has no --text")
        for said in spoken[name] if name else [each for many in spoken.values() for each in many]:
            said[manner] = value if manner == "voice" else _number(manner, value)
    return given | spoken or None


def _number(option: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise typer.BadParameter(f"--{option} {value}: write a number") from error
