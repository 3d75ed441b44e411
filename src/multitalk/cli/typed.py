"""What was typed for each field of a request, so that an error can name the option, not the field.

--image nope.jpg: no such file that can be read; check the path
--order sideways: "sideways" is not a choice; choose one of together, in-turn
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from multitalk.cli.speakers import named, named_file
from multitalk.errors import InvalidRequest, MultiTalkError, not_a_choice

REQUIRED = {"image_path": "--image", "audio_paths": "--audio or --text", "prompt": "--prompt"}
ORDERS = {"together": "para", "in-turn": "add"}
SHOWN_CHARACTERS = 60  # of a value; a longer one is cut to the first of them


@dataclass(frozen=True)
class Typed:
    """The options of one command line.

    Attributes:
        places: From a field, such as `audio_paths.anna`, to the option and its value.
        whole: Whether they are the whole request, rather than on top of a job's JSON.
    """

    places: Mapping[str, str]
    whole: bool

    def spell(self, problem: MultiTalkError) -> None:
        """Have a problem say what was typed; one of a field that was not typed stays as it is."""
        if self.whole and problem.key == "missing_required":
            fields = str(problem.parameters["missing"]).split(", ")
            missing = ", ".join(REQUIRED[field] for field in fields)
            _become(problem, InvalidRequest("options_missing", missing=missing))
            return
        problem.place = self._place(problem.field) or problem.place
        if problem.field == "audio_type" and problem.place and "choices" in problem.parameters:
            shown = str(problem.parameters["value"])
            _become(problem, not_a_choice("audio_type", shown, ORDERS))

    def _place(self, field: str | None) -> str | None:
        """Of a field or of what it is a part of: of `bbox.anna.0` that of `bbox.anna`."""
        while field:
            if field in self.places:
                return self.places[field]
            field = field.rpartition(".")[0]
        return None


def _become(problem: MultiTalkError, other: MultiTalkError) -> None:
    problem.key, problem.parameters = other.key, other.parameters


def typed(
    *,
    values: Mapping[str, tuple[str, object]],
    audio: Sequence[str],
    text: Sequence[str],
    of_texts: Mapping[str, Sequence[str]],
    box: Sequence[str],
    whole: bool,
) -> Typed:
    """Collect what was typed.

    Args:
        values: From a field to the option that sets it alone and its value, None if it was not
            typed.
        audio: `--audio`, each `[NAME=]SOURCE`.
        text: `--text`, each `[NAME=]TEXT`.
        of_texts: From a field of a text, such as `voice`, to its options, each `[NAME=]VALUE`.
        box: `--box`, each `NAME=X0,Y0,X1,Y1`.
        whole: As for `Typed`.
    """
    places = {
        field: shown(option, value)
        for field, (option, value) in values.items()
        if value is not None
    }
    for index, option in enumerate(audio, start=1):
        name, _ = named_file("--audio", option, default=f"person{index}")
        places[f"audio_paths.{name}"] = shown("--audio", option)
    texts: dict[str, list[str]] = {}
    for option in text:
        texts.setdefault(named(option, default="person1")[0], []).append(option)
    for name, options in texts.items():
        places |= _places_of_texts(name, options, of_texts)
    if audio or text:
        used = [option for option, values in (("--audio", audio), ("--text", text)) if values]
        places["audio_paths"] = ", ".join(used)
    for option in box:
        places[f"bbox.{named(option, default='')[0]}"] = shown("--box", option)
    if box:
        places["bbox"] = "--box"
    return Typed(places, whole)


def _places_of_texts(
    name: str, texts: Sequence[str], of_texts: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """The places of one speaker's texts and of what was typed about them."""
    speaker = f"audio_paths.{name}"
    places = {speaker: shown("--text", texts[0]) if len(texts) == 1 else "--text"}
    for index, option in enumerate(texts):
        fields = [f"{speaker}.{index}"] + ([speaker] if len(texts) == 1 else [])
        for field in fields:
            places[field] = shown("--text", option)
            for part, options in of_texts.items():
                said = [(named(each, default="")[0], each) for each in options]
                mine = [each for whose, each in said if whose in ("", name)]
                if mine:
                    places[f"{field}.{part}"] = shown(f"--{part}", mine[-1])
    return places


def shown(option: str, value: object) -> str:
    """An option with its value as it was typed, in one line and not too long."""
    text = str(value)
    if len(text) > SHOWN_CHARACTERS:
        text = text[:SHOWN_CHARACTERS] + "…"
    if not text or any(character.isspace() or not character.isprintable() for character in text):
        text = json.dumps(text, ensure_ascii=False)
    return f"{option} {text}"
