"""The request of a job: its `input`."""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from multitalk.boxes import Box
from multitalk.choices import Quality, SpeakerOrder
from multitalk.errors import InvalidRequest
from multitalk.messages import Locale, locale_named
from multitalk.schema.json_document import check_value, is_broken
from multitalk.schema.validation import WireModel, brief, one_error
from multitalk.settings import EngineChoice, Settings
from multitalk.timebase import CLIP_FRAMES

MAX_PROMPT_CHARACTERS = 10_000
MAX_NAME_CHARACTERS = 64
MAX_LABEL_CHARACTERS = 24
MAX_TEXTS = 32  # of one speaker
MAX_SEED = 2**53 - 1  # the largest integer that every JSON reader keeps exactly
MAX_GUIDANCE = 20.0
MAX_STEPS = 100
MAX_SHIFT = 100.0
MAX_MOTION = 1.5
MAX_COORDINATE = 100_000.0  # pixels
SLOWEST, FASTEST = 0.5, 2.0  # times a voice's normal rate
MAX_SEMITONES = 12.0  # an octave
SERVICE_PREFIX = "tts:"  # of the voices of the operator's speech service

REQUIRED = ("prompt", "image_path", "audio_paths")


def _speaker_name(name: str) -> str:
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise PydanticCustomError("speaker_name_refused", "not a speaker's name")
    if len(name) > MAX_NAME_CHARACTERS:
        raise PydanticCustomError(
            "speaker_name_too_long",
            "too long",
            {"length": len(name), "limit": MAX_NAME_CHARACTERS},
        )
    return name


def _check_unicode(text: str) -> str:
    if "\0" in text or is_broken(text):
        raise PydanticCustomError("text_broken", "broken")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("text_blank", "blank")
    return _check_unicode(text)


def _check_drawable(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise PydanticCustomError("label_not_ascii", "not ASCII")
    return text


def _integral(value: object) -> object:
    """JSON has one kind of number: 8.0 is as whole as 8."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _box_order(box: "Box") -> "Box":
    x_min, y_min, x_max, y_max = box
    if x_min >= x_max or y_min >= y_max:
        raise PydanticCustomError("box_reversed", "reversed")
    return box


Coordinate = Annotated[float, Field(ge=0.0, le=MAX_COORDINATE)]
SpeakerName = Annotated[str, AfterValidator(_speaker_name)]
GuidanceScale = Annotated[float, Field(ge=0.0, le=MAX_GUIDANCE)]
NotBlank = Annotated[str, AfterValidator(_not_blank)]
Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS), AfterValidator(_not_blank)]
BoxField = Annotated[
    tuple[Coordinate, Coordinate, Coordinate, Coordinate],
    Field(strict=False),  # JSON has lists, not tuples; the numbers stay strict
    AfterValidator(_box_order),
]


ProfileName: TypeAlias = Literal["fusionx", "lightx2v", "realtime", "quality"]
AudioType: TypeAlias = Literal["para", "add", "speech", "singing"]


class SpokenText(WireModel):
    """A text to be spoken, in place of a recording."""

    text: NotBlank = Field(description="what the speaker says")
    voice: Name | None = Field(
        None,
        description="name of a voice, `female`, `male`, or `tts:NAME` for one of the worker's "
        "speech service; the language's own voice when left out",
    )
    language: Name | None = Field(
        None,
        description="a language by its tag, country or name, such as `ko`, `en-us`, `KR` or "
        "`korean`; detected when left out",
    )
    speed: float = Field(
        1.0, ge=SLOWEST, le=FASTEST, description="how fast, as a multiple of the normal rate"
    )
    pitch: float = Field(
        0.0,
        ge=-MAX_SEMITONES,
        le=MAX_SEMITONES,
        description="how much higher, in semitones; lower where negative; not with `tts:` voices",
    )

    @field_validator("text")
    @classmethod
    def _check_length(cls, text: str, info: ValidationInfo) -> str:
        limit = info.context.max_text_characters if info.context else None
        if limit is not None and len(text) > limit:
            raise PydanticCustomError(
                "text_too_long", "too long", {"length": len(text), "limit": limit}
            )
        return text

    @field_validator("voice")
    @classmethod
    def _check_voice(cls, voice: str | None, info: ValidationInfo) -> str | None:
        settings: Settings | None = info.context
        if voice is None or not is_service_voice(voice):
            return voice
        if settings is not None and settings.speech_url is None:
            raise PydanticCustomError("speech_service_missing", "no service", {"name": voice})
        if not service_name(voice):
            raise PydanticCustomError("voice_nameless", "no name", {"prefix": SERVICE_PREFIX})
        return voice

    @field_validator("pitch")
    @classmethod
    def _check_pitch(cls, pitch: float, info: ValidationInfo) -> float:
        voice: str | None = info.data.get("voice")
        if pitch and voice is not None and is_service_voice(voice):
            raise PydanticCustomError("pitch_not_taken", "not taken", {"name": voice})
        return pitch


def is_service_voice(voice: str) -> bool:
    """Whether the name is that of a voice of the operator's speech service."""
    return voice[: len(SERVICE_PREFIX)].lower() == SERVICE_PREFIX


def service_name(voice: str) -> str:
    """The speech service's own name of one of its voices."""
    return voice[len(SERVICE_PREFIX) :].strip()


def has_service_voice(voice: object) -> bool:
    """Whether a speaker's voice, as in `audio_paths`, needs the speech service for any text."""
    texts = voice if isinstance(voice, list) else [voice]
    return any(
        isinstance(text, SpokenText) and text.voice is not None and is_service_voice(text.voice)
        for text in texts
    )


class Delivery(WireModel):
    """The caller's choice of delivery."""

    type: Literal["auto", "base64", "bucket", "volume"] = Field(
        "auto",
        description="auto takes the reply if the video fits, else the bucket, else the volume",
    )


class ContinueFrom(WireModel):
    """An earlier job, whose first windows a new one begins with."""

    job: Name = Field(description="id of the earlier job")
    windows: Annotated[int, BeforeValidator(_integral)] = Field(
        ge=1, description="how many of its windows are kept, counted from the start"
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


VoiceInput = Annotated[
    Annotated[NotBlank, Tag("source")]
    | Annotated[SpokenText, Tag("spoken")]
    | Annotated[
        list[SpokenText],
        AfterValidator(_some_texts),
        Field(json_schema_extra={"minItems": 1, "maxItems": MAX_TEXTS}),
        Tag("spoken_in_turn"),
    ],
    Discriminator(_voice_kind),
]


class TalkRequest(WireModel):
    """One job's input."""

    prompt: NotBlank = Field(max_length=MAX_PROMPT_CHARACTERS, description="what the video shows")
    image_path: NotBlank = Field(
        description="the portrait, or a video where the engine has InfiniteTalk's weights: "
        "http(s) URL, data URI, bare base64, or a path under an allowed root"
    )
    audio_paths: dict[SpeakerName, VoiceInput] = Field(
        min_length=1,
        description="each speaker's voice, in order: a source of sound or video as in "
        "`image_path`, or a text to be spoken, or a list of such texts, spoken one after the other",
    )
    audio_type: AudioType | None = Field(
        None,
        description="`para` together, `add` in turn; `speech` and `singing` are together too",
    )
    sample_text_guide_scale: GuidanceScale = Field(
        1.0, description="how closely to follow the prompt; the profile's own when left out"
    )
    sample_audio_guide_scale: GuidanceScale = Field(
        2.0, description="how closely to follow the voice; the profile's own when left out"
    )
    sample_steps: Annotated[int, BeforeValidator(_integral)] = Field(
        8, ge=1, le=MAX_STEPS, description="denoising steps; the profile's own when left out"
    )
    mode: Literal["streaming", "clip"] = Field(
        "streaming",
        description=f"`streaming` the whole speech; `clip` one window of {CLIP_FRAMES} frames",
    )
    seed: Annotated[
        Annotated[int, Field(ge=0, le=MAX_SEED)] | None,
        BeforeValidator(_integral),
    ] = Field(None, description="makes a result repeatable; drawn at random when left out")
    negative_prompt: (
        Annotated[str, AfterValidator(_check_unicode), Field(max_length=MAX_PROMPT_CHARACTERS)]
        | None
    ) = Field(None, description="what the video must not show; the profile's own when left out")
    sample_shift: Annotated[float, Field(gt=0.0, le=MAX_SHIFT)] | None = Field(
        None, description="timestep shift; the profile's own when left out"
    )
    resolution: Literal["480p", "720p"] | None = Field(
        None,
        description="size class of the video; when left out, 720p with the warp engine and 480p "
        "with the diffusion engine",
    )
    quality: Quality = Field(
        "standard",
        description="of the warp engine: `draft` is faster, `fine` sharper; the diffusion engine "
        "has `profile`",
    )
    motion: float = Field(
        1.0,
        ge=0.0,
        le=MAX_MOTION,
        description="of the warp engine: how lively head, eyes and brows move; 1 as filmed "
        "speakers do, 0.25 calm, 0 only lips, lids and breath",
    )
    bbox: dict[SpeakerName, BoxField] | None = Field(
        None,
        description="where each speaker's face is, `[x_min, y_min, x_max, y_max]` in pixels of "
        "the portrait; faces are taken left to right when left out",
    )
    engine: EngineChoice = Field("auto", description="`auto` leaves the choice to the worker")
    profile: ProfileName | None = Field(
        None, description="named schedule of the diffusion engine; the worker's own when left out"
    )
    color_correction: float = Field(
        0.0, ge=0.0, le=1.0, description="how far each window's colours are pulled to the portrait"
    )
    label: (
        Annotated[
            str,
            AfterValidator(_not_blank),
            AfterValidator(_check_drawable),
            Field(max_length=MAX_LABEL_CHARACTERS),
        ]
        | None
    ) = Field(
        None,
        description="a short text in the top left corner of every frame, such as `AI`; letters "
        "and signs of ASCII",
    )
    continue_from: ContinueFrom | None = Field(
        None,
        description="an earlier job of the same picture, voices and size, whose first windows are "
        "kept; only with the diffusion engine",
    )
    locale: Locale = Field("en", description="language of messages")
    delivery: Delivery = Field(
        default_factory=lambda: Delivery(type="auto"), description="how the video is handed over"
    )

    @field_validator("audio_paths")
    @classmethod
    def _speakers(
        cls, voices: dict[str, VoiceInput], info: ValidationInfo
    ) -> dict[str, VoiceInput]:
        limit = info.context.max_speakers if info.context else None
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
        voices: dict[str, VoiceInput] = info.data["audio_paths"]
        strangers = [name for name in boxes if name not in voices]
        if strangers:
            raise PydanticCustomError(
                "box_of_stranger",
                "no such speaker",
                {"names": ", ".join(strangers), "speakers": ", ".join(voices)},
            )
        return boxes

    @property
    def recordings(self) -> dict[str, str]:
        """The source of each voice that is a recording, by speaker."""
        voices = self.audio_paths.items()
        return {name: voice for name, voice in voices if isinstance(voice, str)}

    @property
    def texts(self) -> dict[str, list[SpokenText]]:
        """The texts of each voice that is synthesized, by speaker."""
        return {
            name: [voice] if isinstance(voice, SpokenText) else voice
            for name, voice in self.audio_paths.items()
            if not isinstance(voice, str)
        }

    # The wire's names in internal terms.

    @property
    def speaker_order(self) -> SpeakerOrder:
        """Whether the voices sound together or in turn."""
        return "sequential" if self.audio_type == "add" else "parallel"

    @property
    def num_inference_steps(self) -> int | None:
        """Denoising steps, or None for the profile's."""
        return self.sample_steps if "sample_steps" in self.model_fields_set else None

    @property
    def text_guidance_scale(self) -> float | None:
        """Weight of the prompt in classifier-free guidance, 1 is off; None for the profile's."""
        stated = "sample_text_guide_scale" in self.model_fields_set
        return self.sample_text_guide_scale if stated else None

    @property
    def audio_guidance_scale(self) -> float | None:
        """Weight of the voices in classifier-free guidance, 1 is off; None for the profile's."""
        stated = "sample_audio_guide_scale" in self.model_fields_set
        return self.sample_audio_guide_scale if stated else None

    @property
    def shift(self) -> float | None:
        """Timestep shift, or None for the profile's."""
        return self.sample_shift

    @property
    def boxes(self) -> Mapping[str, Box]:
        """Each placed speaker's face as (x_min, y_min, x_max, y_max) in pixels of the portrait."""
        return self.bbox or {}


def parse_request(given: object, *, settings: Settings) -> TalkRequest:
    """Validate a whole input at once.

    Args:
        given: A job's `input`.
        settings: Limits of speakers and of texts.

    Raises:
        InvalidRequest: Every problem of the request, the missing fields first, or the first limit
            that it exceeds (see `json_document`); report it in `wanted_locale(given)`.
    """
    if not isinstance(given, Mapping):
        raise InvalidRequest("input_not_an_object", value=brief(given))
    check_value(given)
    stated = {name: value for name, value in given.items() if not _is_missing(name, value)}
    try:
        return TalkRequest.model_validate(stated, context=settings)
    except ValidationError as error:
        raise one_error(error.errors(include_url=False), known_fields=_known_fields) from error


def wanted_locale(given: object) -> Locale:
    """The locale of the answer, also to an invalid input."""
    return locale_named(given.get("locale") if isinstance(given, Mapping) else None)


def _is_missing(name: object, value: object) -> bool:
    """A required field that is null or empty counts as absent."""
    if isinstance(value, str):
        return name in REQUIRED and not value.strip()
    return name in REQUIRED and (value is None or value in ({}, []))


def _known_fields(parent: str | None) -> Iterable[str]:
    """The fields of the request itself (None), or of the objects inside one of its fields."""
    models: dict[str | None, type[WireModel]] = {
        "audio_paths": SpokenText,
        "delivery": Delivery,
        "continue_from": ContinueFrom,
    }
    return models.get(parent, TalkRequest).model_fields
