"""Values of options: `NAME=VALUE` of a speaker, numbers, and how an error names what was typed.

--image nope.jpg: no such file that can be read; check the path
--order sideways: "sideways" is not a choice; choose one of together, in-turn
"""

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TypeVar

import typer

from multitalk.boxes import Box
from multitalk.errors import MultiTalkError, not_a_choice
from multitalk.paths import as_meant

MAX_RETENTION_SECONDS = 10 * 365 * 86_400.0
MAX_RATE_FACTOR = 1e6
MAX_PRICE = 1e9
MAX_QUOTA = 1e9  # gigabytes
MAX_DRAIN_SECONDS = 7 * 86_400.0

REQUIRED = {"image_path": "--image", "audio_paths": "--audio or --text", "prompt": "--prompt"}
ORDERS = {"together": "para", "in-turn": "add"}
SHOWN_CHARACTERS = 60  # of a value; a longer one is cut to the first of them

_NAMED = re.compile(r"([\w-]{1,64})=(.*[^=].*)", re.DOTALL)  # not the padding of a bare base64
_NUMBERED = re.compile(r"person\d+")

Number = TypeVar("Number", float, float | None)


def is_number(value: Number) -> Number:
    """An option's value, unless it is `nan`, which typer finds in every range.

    Raises:
        BadParameter: It is.
    """
    if value is not None and math.isnan(value):
        raise typer.BadParameter(f"{value} is not a number; write one such as 2.5")
    return value


def split_name(option: str, *, default: str) -> tuple[str, str]:
    """The speaker's name, or the default one, and the value."""
    match = _NAMED.fullmatch(option)
    return (match[1], match[2]) if match else (default, option)


def split_file_name(option: str, value: str, *, default: str) -> tuple[str, str]:
    """`split_name` for a file that exists: one may have a `=` in its own name."""
    name, file = split_name(value, default=default)
    if file == value or not _is_file(value):
        return name, file
    if _is_file(file):
        raise typer.BadParameter(
            f"{option} {value}: there are files {value} and {file}; "
            f"write ./{value}, or {name}=./{file} for a speaker's"
        )
    return default, value


def _is_file(source: str) -> bool:
    try:
        return as_meant(Path(source)).is_file()
    except OSError:  # no path is so long: base64
        return False


def boxes_of(options: Sequence[str]) -> dict[str, Box] | None:
    """The box of each speaker's face, or None without options."""
    boxes = {}
    for option in options:
        name, numbers = split_name(option, default="")
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


@dataclass(frozen=True)
class VoiceOptions:
    """The options that give speakers their voices.

    Attributes:
        audio: `--audio`, each `[NAME=]SOURCE`.
        text: `--text`, each `[NAME=]TEXT`.
        language: Of all texts, or None to detect it.
        delivery: How texts are spoken, by their field: the values of `--voice`, `--speed` and
            `--pitch`, each `[NAME=]VALUE`.
    """

    audio: Sequence[str] = ()
    text: Sequence[str] = ()
    language: str | None = None
    delivery: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def audio_paths(self, known: Collection[str] = ()) -> dict[str, object] | None:
        """`audio_paths` of a request, or None without voices.

        Args:
            known: Speakers in other options, so that a text may begin with their names.
        """
        recordings = self._recordings()
        delivery = [
            (part, *split_name(option, default=""))
            for part, options in self.delivery.items()
            for option in options
        ]
        texts = self._texts(recordings, {*known, *(name for _, name, _ in delivery)})
        for part, name, value in delivery:
            spoken = {"voice": value} if part == "voice" else {part: _number(part, value)}
            for text in _texts_of(name, texts, part):
                text.update(spoken)
        return recordings | texts or None

    def places(self) -> dict[str, str]:
        """The typed text, by the request field that it sets, such as `audio_paths.anna`."""
        places = {}
        for index, option in enumerate(self.audio, start=1):
            name, _ = split_file_name("--audio", option, default=f"person{index}")
            places[f"audio_paths.{name}"] = option_text("--audio", option)
        texts: dict[str, list[str]] = {}
        for option in self.text:
            texts.setdefault(split_name(option, default="person1")[0], []).append(option)
        for name, options in texts.items():
            places |= self._places_of_texts(name, options)
        given = [
            name for name, options in (("--audio", self.audio), ("--text", self.text)) if options
        ]
        return places | ({"audio_paths": ", ".join(given)} if given else {})

    def _recordings(self) -> dict[str, object]:
        recordings: dict[str, object] = {}
        for index, option in enumerate(self.audio, start=1):
            name, source = split_file_name("--audio", option, default=f"person{index}")
            if name in recordings:
                raise typer.BadParameter(
                    f"two recordings for {name}: name the speakers, NAME=SOURCE"
                )
            recordings[name] = source
        return recordings

    def _texts(
        self, recordings: Mapping[str, object], known: Collection[str]
    ) -> dict[str, list[dict[str, object]]]:
        """Each speaker's texts, as a request has them."""
        parsed = [(option, *split_name(option, default="person1")) for option in self.text]
        names = {*recordings, *(name for option, name, text in parsed if text != option)}
        known = {*known, *recordings}
        texts: dict[str, list[dict[str, object]]] = {}
        language = {"language": self.language} if self.language else {}
        for option, name, text in parsed:
            if text != option and not (name in known or names - {name}):
                _check_speaker(name)
            if name in recordings:
                raise typer.BadParameter(f"a recording and a text for {name}: give one of them")
            texts.setdefault(name, []).append({"text": text, **language})
        return texts

    def _places_of_texts(self, name: str, texts: Sequence[str]) -> dict[str, str]:
        """The places of one speaker's texts, and of the options that apply to them."""
        speaker = f"audio_paths.{name}"
        is_single = len(texts) == 1
        places = {speaker: option_text("--text", texts[0]) if is_single else "--text"}
        delivery = dict(self._delivery_of(name))
        for index, option in enumerate(texts):
            for place in [f"{speaker}.{index}", *([speaker] if is_single else [])]:
                places[place] = option_text("--text", option)
                places |= {f"{place}.{part}": value for part, value in delivery.items()}
        return places

    def _delivery_of(self, name: str) -> Iterator[tuple[str, str]]:
        """The last of each kind of option that applies to a speaker's texts, by field."""
        language = {"language": [self.language] if self.language else []}
        for part, options in (language | dict(self.delivery)).items():
            for option in options:
                if split_name(option, default="")[0] in ("", name):
                    yield part, option_text(f"--{part}", option)


def _check_speaker(name: str) -> None:
    """Refuse a name before the only text that may be a word of it."""
    if not _NUMBERED.fullmatch(name):
        raise typer.BadParameter(
            f"--text {name}=...: is {name} the speaker, or said? Somebody who speaks alone "
            f"needs no name: leave {name}= out; to have it said, write person1={name}=..."
        )


def _texts_of(
    name: str, texts: Mapping[str, list[dict[str, object]]], part: str
) -> Iterable[dict[str, object]]:
    """A speaker's texts; without a name all texts."""
    if not name:
        return chain.from_iterable(texts.values())
    if name not in texts:
        raise typer.BadParameter(f"--{part} for {name}, who has no --text")
    return texts[name]


def _number(option: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise typer.BadParameter(f"--{option} {value}: write a number") from error


@dataclass(frozen=True)
class TypedOptions:
    """The options of one command line, so that an error names the option, not the field.

    Attributes:
        places: From a field, such as `audio_paths.anna`, to the option and its value.
        is_whole: Whether they are the whole request, rather than on top of a job's JSON.
    """

    places: Mapping[str, str]
    is_whole: bool

    @classmethod
    def of(
        cls,
        values: Mapping[str, tuple[str, object]],
        voices: VoiceOptions,
        boxes: Sequence[str],
        *,
        is_whole: bool,
    ) -> "TypedOptions":
        """Collect what was typed.

        Args:
            values: From a field to the option that sets it alone and its value, None if it was not
                typed.
            voices: The options of voices.
            boxes: `--box`, each `NAME=X0,Y0,X1,Y1`.
            is_whole: As the attribute.
        """
        places = {
            field: option_text(option, value)
            for field, (option, value) in values.items()
            if value is not None
        }
        places |= voices.places()
        for option in boxes:
            places[f"bbox.{split_name(option, default='')[0]}"] = option_text("--box", option)
        return cls(places | ({"bbox": "--box"} if boxes else {}), is_whole)

    def with_place(self, field: str, option: str, value: object) -> "TypedOptions":
        """These, and one more option."""
        return replace(self, places={**self.places, field: option_text(option, value)})

    def locate(self, problem: MultiTalkError) -> None:
        """Set a problem's place to what was typed; others keep the name of their field."""
        if self.is_whole and problem.key == "missing_required":
            missing = tuple(REQUIRED[field] for field in problem.missing)
            problem.restate("options_missing", missing=missing)
            return
        problem.place = self._place(problem.field) or problem.place
        if problem.field == "audio_type" and problem.place and "choices" in problem.parameters:
            value = str(problem.parameters["value"])
            by_options = not_a_choice("audio_type", value, ORDERS)
            problem.restate(by_options.key, **by_options.parameters)

    def _place(self, field: str | None) -> str | None:
        """Of a field or of what it is a part of: of `bbox.anna.0` that of `bbox.anna`."""
        while field:
            if field in self.places:
                return self.places[field]
            field = field.rpartition(".")[0]
        return None


def option_text(option: str, value: object) -> str:
    """An option with its value as it was typed, in one line and not too long."""
    text = str(value)
    if len(text) > SHOWN_CHARACTERS:
        text = text[:SHOWN_CHARACTERS] + "…"
    if not text or any(character.isspace() or not character.isprintable() for character in text):
        text = json.dumps(text, ensure_ascii=False)
    return f"{option} {text}"
