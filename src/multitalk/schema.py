"""The wire contract: what a job may ask for, and what it answers.

The wire names are public and never change. Inside they become the field's own words, here and
nowhere else: see the properties of `TalkRequest`. `docs/api.md` says the same as tables, and
`docs/request.schema.json` and `docs/result.schema.json` as JSON Schema (`tools/write_schemas.py`).
"""

import json
import unicodedata
from collections.abc import Mapping
from difflib import get_close_matches
from enum import Enum
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from multitalk.errors import InvalidRequest, MultiTalkError
from multitalk.messages import SENTENCES, Locale
from multitalk.settings import Settings

MAX_PROMPT_CHARACTERS = 10_000
MAX_SPEAKER_NAME_CHARACTERS = 64
MAX_TEXTS = 32  # of one speaker
MAX_SEED = 2**53 - 1  # the largest integer that every JSON reader keeps exactly
MAX_GUIDANCE = 20.0
MAX_STEPS = 100
MAX_SHIFT = 100.0
MAX_COORDINATE = 100_000.0  # pixels
SHOWN_CHARACTERS = 32  # of a wrong value, in a message

REQUIRED = ("prompt", "image_path", "audio_paths")


class JobStatus(str, Enum):
    """Where a job is; the words are RunPod's."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"


# Fields -----------------------------------------------------------------------------------------


def _speaker_name(name: str) -> str:
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise PydanticCustomError("speaker_name_refused", "not a speaker's name")
    if len(name) > MAX_SPEAKER_NAME_CHARACTERS:
        raise PydanticCustomError(
            "speaker_name_too_long",
            "too long",
            {"length": len(name), "limit": MAX_SPEAKER_NAME_CHARACTERS},
        )
    return name


def _sayable(text: str) -> str:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise PydanticCustomError("text_broken", "broken")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("text_blank", "blank")
    return _sayable(text)


def _whole(value: object) -> object:
    """JSON has one kind of number: 8.0 is as whole as 8."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _box_order(box: "Box") -> "Box":
    x_min, y_min, x_max, y_max = box
    if x_min >= x_max or y_min >= y_max:
        raise PydanticCustomError("box_reversed", "reversed")
    return box


Coordinate = Annotated[float, Field(ge=0.0, le=MAX_COORDINATE)]
Box: TypeAlias = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max in pixels
SpeakerName = Annotated[str, AfterValidator(_speaker_name)]
Guidance = Annotated[float, Field(ge=0.0, le=MAX_GUIDANCE)]
NotBlank = Annotated[str, AfterValidator(_not_blank)]
BoxField = Annotated[
    tuple[Coordinate, Coordinate, Coordinate, Coordinate],
    Field(strict=False),  # JSON has lists, not tuples; the numbers stay strict
    AfterValidator(_box_order),
]


class WireModel(BaseModel):
    """What all the contract's objects share: nothing unknown, nothing converted, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class SpokenText(WireModel):
    """A text to be spoken, in place of a recording."""

    text: NotBlank = Field(description="what the speaker says")
    voice: Annotated[NotBlank, Field(max_length=64)] | None = Field(
        None, description="name of a voice; the language's own voice when left out"
    )
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")] | None = (
        Field(None, description="language tag such as `ko` or `en-us`; told from the text if not")
    )

    @field_validator("text")
    @classmethod
    def _short_enough(cls, text: str, info: ValidationInfo) -> str:
        limit = _limit(info, "max_text_characters")
        if limit is not None and len(text) > limit:
            raise PydanticCustomError(
                "text_too_long", "too long", {"length": len(text), "limit": limit}
            )
        return text


class Delivery(WireModel):
    """How the caller wants the video handed over."""

    type: Literal["auto", "base64", "bucket", "volume"] = Field(
        "auto",
        description="auto takes the reply if the video fits, else the bucket, else the volume",
    )


def _voice_kind(value: object) -> str:
    if isinstance(value, list):
        return "spoken_in_turn"
    return "spoken" if isinstance(value, Mapping | SpokenText) else "source"


def _some_texts(texts: list[SpokenText]) -> list[SpokenText]:
    if not 1 <= len(texts) <= MAX_TEXTS:
        raise PydanticCustomError(
            "number_of_texts", "too few or too many", {"count": len(texts), "limit": MAX_TEXTS}
        )
    return texts


Voice = Annotated[
    Annotated[NotBlank, Tag("source")]
    | Annotated[SpokenText, Tag("spoken")]
    | Annotated[list[SpokenText], AfterValidator(_some_texts), Tag("spoken_in_turn")],
    Discriminator(_voice_kind),
]


def _limit(info: ValidationInfo, name: str) -> int | None:
    return info.context.get(name) if isinstance(info.context, dict) else None


# Request ----------------------------------------------------------------------------------------


class TalkRequest(WireModel):
    """One job's input. Immutable once it is valid."""

    prompt: NotBlank = Field(max_length=MAX_PROMPT_CHARACTERS, description="what the video shows")
    image_path: NotBlank = Field(
        description="the portrait: http(s) URL, data URI, bare base64, or a path under an "
        "allowed root"
    )
    audio_paths: dict[SpeakerName, Voice] = Field(
        min_length=1,
        description="each speaker's voice, in order: a source of sound or video as in "
        "`image_path`, or a text to be spoken, or a list of such texts, spoken one after the other",
    )
    audio_type: Literal["para", "add", "speech", "singing"] | None = Field(
        None,
        description="`para` together, `add` in turn; `speech` and `singing` are together too",
    )
    sample_text_guide_scale: Guidance = Field(1.0, description="how closely to follow the prompt")
    sample_audio_guide_scale: Guidance = Field(2.0, description="how closely to follow the voice")
    sample_steps: Annotated[int, BeforeValidator(_whole, json_schema_input_type=int)] = Field(
        8, ge=1, le=MAX_STEPS, description="denoising steps"
    )
    mode: Literal["streaming", "clip"] = Field(
        "streaming", description="`streaming` the whole speech; `clip` one window of 81 frames"
    )
    seed: Annotated[
        Annotated[int, Field(ge=0, le=MAX_SEED)] | None,
        BeforeValidator(_whole, json_schema_input_type=int | None),
    ] = Field(None, description="makes a result repeatable; drawn at random when left out")
    negative_prompt: Annotated[str, AfterValidator(_sayable)] = Field(
        "", max_length=MAX_PROMPT_CHARACTERS, description="what the video must not show"
    )
    sample_shift: Annotated[float, Field(gt=0.0, le=MAX_SHIFT)] | None = Field(
        None, description="timestep shift; the resolution's own when left out"
    )
    resolution: Literal["480p", "720p"] = Field("720p", description="size class of the video")
    bbox: dict[SpeakerName, BoxField] | None = Field(
        None,
        description="where each speaker's face is, `[x_min, y_min, x_max, y_max]` in pixels of "
        "the portrait; faces are taken left to right when left out",
    )
    engine: Literal["auto", "warp", "diffusion"] = Field(
        "auto", description="`auto` leaves the choice to the worker"
    )
    profile: Annotated[NotBlank, Field(max_length=64)] | None = Field(
        None, description="named set of weights and schedule of the diffusion engine"
    )
    color_correction: float = Field(
        0.0, ge=0.0, le=1.0, description="how far each window's colours are pulled to the portrait"
    )
    locale: Locale = Field("en", description="language of messages")
    delivery: Delivery = Field(
        default_factory=lambda: Delivery(type="auto"), description="how the video is handed over"
    )

    @field_validator("audio_paths")
    @classmethod
    def _speakers(cls, voices: dict[str, Voice], info: ValidationInfo) -> dict[str, Voice]:
        limit = _limit(info, "max_speakers")
        if limit is not None and len(voices) > limit:
            raise PydanticCustomError(
                "too_many_speakers", "too many", {"count": len(voices), "limit": limit}
            )
        if len({unicodedata.normalize("NFC", name) for name in voices}) < len(voices):
            raise PydanticCustomError("speaker_twice", "the same name twice")
        return voices

    @field_validator("bbox")
    @classmethod
    def _boxes_of_speakers(
        cls, boxes: dict[str, Box] | None, info: ValidationInfo
    ) -> dict[str, Box] | None:
        if boxes is None or "audio_paths" not in info.data:  # absent where it is itself wrong
            return boxes
        voices: dict[str, Voice] = info.data["audio_paths"]
        strangers = [name for name in boxes if name not in voices]
        if strangers:
            raise PydanticCustomError(
                "box_of_stranger",
                "no such speaker",
                {"names": ", ".join(strangers), "speakers": ", ".join(voices)},
            )
        return boxes

    @classmethod
    def parse(
        cls, given: object, *, max_speakers: int, max_text_characters: int | None = None
    ) -> "TalkRequest":
        """Validate a whole input at once.

        Args:
            given: A job's `input`, as it came.
            max_speakers: Voices that this worker takes in one request.
            max_text_characters: Length of one text to be spoken, or None for no limit.

        Raises:
            InvalidRequest: Every problem of the request, the missing fields first; say it in
                `wanted_locale(given)`.
        """
        if not isinstance(given, Mapping):
            raise InvalidRequest("input_not_an_object", value=brief(given))
        given = {name: value for name, value in given.items() if not _is_missing(name, value)}
        limits = {"max_speakers": max_speakers, "max_text_characters": max_text_characters}
        try:
            return cls.model_validate(given, context=limits)
        except ValidationError as error:
            raise _one_error(error.errors(include_url=False)) from error

    # The wire's names, in the words that are used inside.

    @property
    def speaker_order(self) -> Literal["parallel", "sequential"]:
        """Whether the voices sound together or in turn."""
        return "sequential" if self.audio_type == "add" else "parallel"

    @property
    def num_inference_steps(self) -> int:
        """Denoising steps."""
        return self.sample_steps

    @property
    def text_guidance_scale(self) -> float:
        """Weight of the prompt in classifier-free guidance; 1 is off."""
        return self.sample_text_guide_scale

    @property
    def audio_guidance_scale(self) -> float:
        """Weight of the voices in classifier-free guidance; 1 is off."""
        return self.sample_audio_guide_scale

    @property
    def shift(self) -> float | None:
        """Timestep shift, or None for the resolution's own."""
        return self.sample_shift

    @property
    def boxes(self) -> Mapping[str, Box]:
        """Each placed speaker's face as (x_min, y_min, x_max, y_max) in pixels of the portrait."""
        return self.bbox or {}


# Answers ----------------------------------------------------------------------------------------


class TalkResult(WireModel):
    """One job's success. The video is in exactly one of the three `video_` fields."""

    status: Literal["success"] = Field("success", description="always `success`")
    video_base64: str | None = Field(None, description="the mp4 itself, base64")
    video_url: str | None = Field(None, description="where to download the mp4 (bucket, signed)")
    video_path: str | None = Field(None, description="the mp4 on the operator's volume")
    filename: str = Field("generated_video.mp4", description="a name to save the video under")
    width: int = Field(gt=0, description="pixels")
    height: int = Field(gt=0, description="pixels")
    fps: float = Field(gt=0, description="frames a second")
    num_frames: int = Field(gt=0, description="frames in the video")
    duration_seconds: float = Field(gt=0, description="`num_frames / fps`")
    seed: int = Field(ge=0, description="repeats this result when it is sent as `seed`")
    engine: str = Field(description="the engine that rendered")
    warnings: list[str] = Field(
        default_factory=list, description="what the caller should know, in the request's locale"
    )
    timings: dict[str, float] = Field(default_factory=dict, description="seconds for each stage")

    @model_validator(mode="after")
    def _one_video(self) -> "TalkResult":
        given = [self.video_base64, self.video_url, self.video_path]
        if sum(video is not None for video in given) != 1:
            raise ValueError("exactly one of video_base64, video_url and video_path")
        return self

    def reply(self) -> dict[str, object]:
        """The answer as JSON can carry it, without the fields that say nothing."""
        return self.model_dump(mode="json", exclude_none=True)


class ErrorReply(WireModel):
    """One job's failure."""

    error: str = Field(description="what is wrong, one line for each problem")
    details: str | None = Field(None, description="more than that, where there is more")
    code: str = Field(description="the kind of failure; see the table of codes")
    field: str | None = Field(None, description="the request's field to blame")

    @classmethod
    def of(cls, error: MultiTalkError, locale: Locale) -> "ErrorReply":
        """What the caller is told about `error`."""
        return cls(
            error=error.text(locale),
            details=error.details(locale),
            code=error.code,
            field=error.field,
        )

    def reply(self) -> dict[str, object]:
        """The answer as JSON can carry it, without the fields that say nothing."""
        return self.model_dump(mode="json", exclude_none=True)


def wanted_locale(given: object) -> Locale:
    """The language to answer in, even to an input that is not valid."""
    asked = given.get("locale") if isinstance(given, Mapping) else None
    return "ko" if asked == "ko" else "en"


# Problems ---------------------------------------------------------------------------------------

# pydantic's kind of error -> our sentence. Kinds of our own (PydanticCustomError) are named as
# their sentences and need no row; any other kind is told in pydantic's English words.
_SENTENCE_OF = {
    "dict_type": "expected_object",
    "finite_number": "expected_finite",
    "float_type": "expected_number",
    "greater_than": "too_low",
    "greater_than_equal": "too_low",
    "int_from_float": "expected_integer",
    "int_type": "expected_integer",
    "less_than_equal": "too_high",
    "literal_error": "expected_one_of",
    "missing": "field_missing",
    "model_type": "expected_object",
    "string_pattern_mismatch": "language_unknown",
    "string_too_long": "text_too_long",
    "string_type": "expected_text",
    "too_long": "expected_box",
    "tuple_type": "expected_box",
}
_LIMIT_NAMES = ("gt", "ge", "le", "max_length")  # in pydantic's context


def brief(value: object) -> str:
    """A wrong value for a message: as JSON, cut short, so that no base64 or query gets in."""
    if isinstance(value, str) and len(value) > SHOWN_CHARACTERS:
        return json.dumps(value[:12], ensure_ascii=False)[:-1] + '…"'
    if value is None or isinstance(value, bool | str | float):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**16 else "> 1e16" if value > 0 else "< -1e16"
    if isinstance(value, Mapping):
        return "{…}" if value else "{}"
    if isinstance(value, list | tuple):
        return "[…]" if value else "[]"
    return type(value).__name__


def _is_missing(name: object, value: object) -> bool:
    """A required field that says nothing is as good as absent."""
    if isinstance(value, str):
        return name in REQUIRED and not value.strip()
    return name in REQUIRED and (value is None or value in ({}, []))


def _one_error(found: list[ErrorDetails]) -> InvalidRequest:
    """All of pydantic's errors as one of ours, the missing fields first."""
    problems: dict[tuple[str | None, str], InvalidRequest] = {}
    absent = [item["loc"][0] for item in found if item["type"] == "missing" and _at_top(item)]
    if absent:
        said = InvalidRequest("missing_required", missing=", ".join(map(str, absent)))
        problems[None, said.key] = said
    for item in found:
        if not (item["type"] == "missing" and _at_top(item)):
            problem = _problem(item)
            problems.setdefault((problem.field, problem.key), problem)
    first, *others = problems.values()
    return InvalidRequest(first.key, field=first.field, others=tuple(others), **first.parameters)


def _at_top(item: ErrorDetails) -> bool:
    return len(item["loc"]) == 1


def _problem(item: ErrorDetails) -> InvalidRequest:
    """One of pydantic's errors as one of ours."""
    kind, place, value = item["type"], item["loc"], item["input"]
    context = item.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_field(place)
    if kind == "missing" and isinstance(place[-1], int):  # a number that a box lacks
        kind, place = "tuple_type", place[:-1]
    key = kind if kind in SENTENCES else _SENTENCE_OF.get(kind, "pydantic_said")
    parameters = {"value": brief(value), "said": item["msg"], **context}
    if isinstance(value, str):
        parameters.setdefault("length", len(value))
    if kind == "literal_error":
        parameters["choices"] = context["expected"].replace("'", "").replace(" or ", ", ")
    for name in _LIMIT_NAMES:
        if name in context:
            parameters["limit"] = context[name]
    return InvalidRequest(key, field=_path(place), **parameters)


def _unknown_field(place: tuple[int | str, ...]) -> InvalidRequest:
    parents: dict[str, type[WireModel]] = {"audio_paths": SpokenText, "delivery": Delivery}
    parent: type[WireModel] = parents[str(place[0])] if len(place) > 1 else TalkRequest
    known = parent.model_fields
    near = get_close_matches(str(place[-1]).lower(), known, n=1)
    if near:
        return InvalidRequest("unknown_field_near", field=_path(place), near=near[0])
    return InvalidRequest("unknown_field", field=_path(place), known=", ".join(known))


def _path(place: tuple[int | str, ...]) -> str:
    """`audio_paths.person1.text`, without pydantic's own steps on the way there."""
    parts = [str(part) for part in place]
    if parts[0] == "audio_paths" and len(parts) > 2:
        del parts[2]  # the kind of voice, or `[key]`
    elif parts[-1] == "[key]":
        parts.pop()
    return ".".join(
        part if part.isprintable() and len(part) <= MAX_SPEAKER_NAME_CHARACTERS else brief(part)
        for part in parts
    )


def parse_request(given: object, *, settings: Settings) -> TalkRequest:
    """Validate a whole input by this worker's limits.

    Raises:
        InvalidRequest: As `TalkRequest.parse`.
    """
    return TalkRequest.parse(
        given,
        max_speakers=settings.max_speakers,
        max_text_characters=settings.max_text_characters,
    )
