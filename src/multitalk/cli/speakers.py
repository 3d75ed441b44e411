"""Options that say something of a speaker: `NAME=VALUE`."""

import re

import typer

_NAMED = re.compile(r"([\w-]{1,64})=(.*[^=].*)", re.DOTALL)  # not the padding of a bare base64


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


def voices_of(
    recordings: list[str], texts: list[str], language: str | None, voices: list[str]
) -> dict[str, object] | None:
    """`audio_paths` of a request, or None if there was no voice on the command line."""
    given: dict[str, object] = {}
    for index, option in enumerate(recordings, start=1):
        name, source = named(option, default=f"person{index}")
        if name in given:
            raise typer.BadParameter(f"two recordings for {name}: name the speakers, NAME=SOURCE")
        given[name] = source
    spoken: dict[str, list[dict[str, str]]] = {}
    for option in texts:
        name, text = named(option, default="person1")
        if name in given:
            raise typer.BadParameter(f"a recording and a text for {name}: give one of them")
        said = {"text": text} | ({"language": language} if language else {})
        spoken.setdefault(name, []).append(said)
    for option in voices:
        name, voice = named(option, default="")
        if name and name not in spoken:
            raise typer.BadParameter(f"--voice for {name}, who has no --text")
        for said in spoken[name] if name else [each for many in spoken.values() for each in many]:
            said["voice"] = voice
    return given | spoken or None
