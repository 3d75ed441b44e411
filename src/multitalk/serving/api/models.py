"""Models of the request bodies and of the answers: `/openapi.json` is made from them.

Bodies are validated by these models. Answers are dictionaries that mypy holds to their TypedDict;
nothing is validated at run time.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import NotRequired, TypedDict

from multitalk.media.audio_encoder import SoundFormatName
from multitalk.schema import ErrorDetails, JobStatus, SpokenText, TalkRequest
from multitalk.schema.request import NotBlank
from multitalk.schema.s3_config import S3Config
from multitalk.schema.validation import WireModel

DAY = 86_400_000  # ms
MAX_WEBHOOK_CHARACTERS = 2048
MAX_BATCH = 100
MAX_KEY_CHARACTERS = 256  # of an Idempotency-Key
MAX_OFFER_CHARACTERS = 100_000
# What level 3.1 of H.264 holds, which is all that peers are sure to decode (RFC 7742, 6.2):
# 3600 macroblocks, 960 x 960.
MAX_PEER_PIXELS = 960

Milliseconds = Annotated[int, Field(description="milliseconds")]
BoxCorners = Annotated[
    list[float], Field(description="x_min, y_min, x_max, y_max in pixels of the picture")
]


class DocumentedAs:
    """Documents a field by a model that validates it elsewhere: in the worker, or by itself."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """A reference to the model."""
        return handler(self._model.__pydantic_core_schema__)


# Bodies -------------------------------------------------------------------------------------------


class PolicyBody(WireModel):
    """RunPod's `policy`: times in milliseconds."""

    execution_timeout: Annotated[int, Field(ge=5000, le=7 * DAY)] | None = Field(
        None, alias="executionTimeout"
    )
    ttl: Annotated[int, Field(ge=10_000, le=7 * DAY)] | None = None
    low_priority: bool = Field(False, alias="lowPriority")


class RunBody(WireModel):
    """RunPod's body of `/run`."""

    input: Annotated[Any, DocumentedAs(TalkRequest)]
    webhook: (
        Annotated[
            str,
            WithJsonSchema(
                {"type": "string", "format": "uri", "maxLength": MAX_WEBHOOK_CHARACTERS}
            ),
        ]
        | None
    ) = None
    policy: PolicyBody | None = None
    s3_config: Annotated[dict[str, Any], DocumentedAs(S3Config)] | None = Field(
        None, alias="s3Config"
    )


class BatchBody(WireModel):
    """The body of `/batch`."""

    jobs: Annotated[list[RunBody], Field(min_length=1, max_length=MAX_BATCH)]


class FacesBody(BaseModel):
    """The JSON body of `/faces`; other fields are ignored."""

    image_path: str = Field(pattern="^upload://", description="an upload")


class InspectBody(BaseModel):
    """The JSON body of `/v1/inspect`; other fields are ignored."""

    video: str = Field(pattern="^upload://", description="an upload")


class SpeechBody(SpokenText):
    """The body of `/v1/audio/speech`: a text to be spoken, by OpenAI's names."""

    text: NotBlank = Field(alias="input", description="what the voice says")
    model: Any = Field(None, description="ignored")
    response_format: SoundFormatName = "wav"


class LiveOptions(WireModel):
    """The options of a live session, whatever carries it."""

    portrait: str | None = Field(None, description="`upload://ID`; the example if left out")
    size: int = Field(512, ge=64, le=1280, description="of the longer side, in pixels")
    ahead_ms: int = Field(120, ge=0, le=400, multiple_of=40)
    seed: int = Field(0, ge=0, lt=2**32)
    motion: float = Field(1.0, ge=0.0, le=1.5)
    quality: Literal["draft", "standard", "fine"] = "standard"

    def of_avatar(self) -> dict[str, Any]:
        """As arguments of `Avatar`, without the portrait."""
        return self.model_dump(include={"size", "ahead_ms", "seed", "motion", "quality"})


class WebRtcOffer(LiveOptions):
    """The body of an offer: `RTCSessionDescription`, and the options of the session."""

    type: Literal["offer"]
    sdp: str = Field(
        min_length=1, max_length=MAX_OFFER_CHARACTERS, description="with all candidates"
    )
    size: int = Field(512, ge=64, le=MAX_PEER_PIXELS, description="of the longer side, in pixels")


BODY_MODELS: tuple[type[BaseModel], ...] = (
    RunBody,
    BatchBody,
    FacesBody,
    InspectBody,
    SpeechBody,
    WebRtcOffer,
)


# Answers ------------------------------------------------------------------------------------------


class SubmittedJob(TypedDict):
    """A job's id and status."""

    id: str
    status: JobStatus


class SubmittedJobs(TypedDict):
    """The jobs of a batch, in its order."""

    jobs: list[SubmittedJob]


class JobReply(TypedDict):
    """A job as RunPod's `/status` describes it."""

    id: str
    status: JobStatus
    delayTime: NotRequired[Milliseconds]
    executionTime: NotRequired[Milliseconds]
    workerId: NotRequired[str]
    output: NotRequired[Any]
    error: NotRequired[str]
    jobsAhead: NotRequired[int]
    workers: NotRequired[int]


class StreamChunk(TypedDict):
    """A fragment of a video that is being made."""

    output: dict[str, Any]


class StreamReply(TypedDict):
    """The new fragments of a job's video."""

    id: str
    status: JobStatus
    stream: list[StreamChunk]
    error: NotRequired[str]


class PurgeReply(TypedDict):
    """The number of waiting jobs that were removed."""

    removed: int
    status: Literal["completed"]


class JobCounts(TypedDict):
    """Jobs by status; RunPod's names."""

    completed: int
    failed: int
    inProgress: int
    inQueue: int
    retried: int


class WorkerCounts(TypedDict):
    """Workers by state; RunPod's names."""

    idle: int
    initializing: int
    ready: int
    running: int
    throttled: int
    unhealthy: int


class HealthReply(TypedDict):
    """RunPod's `/health`."""

    jobs: JobCounts
    workers: WorkerCounts


class ListedJob(TypedDict):
    """A row of the list of jobs."""

    id: str
    status: JobStatus
    createdAt: Annotated[int, Field(description="milliseconds since 1970")]
    delayTime: Milliseconds
    executionTime: Milliseconds
    error: str | None
    progress: Any
    title: Annotated[str, Field(description="the first words of the texts")]
    frameUrl: str | None


class JobList(TypedDict):
    """A page of the list of jobs."""

    requests: list[ListedJob]
    next: Annotated[str | None, Field(description="`before` of the next page")]


class InputReply(TypedDict):
    """The input of a job."""

    id: str
    input: dict[str, Any]
    files: Annotated[dict[str, str], Field(description="by field, where a file of it is")]


class DeletedJob(TypedDict):
    """A job that was deleted."""

    id: str
    deleted: Literal[True]


class UploadReply(TypedDict):
    """A file that was uploaded."""

    id: str
    source: Annotated[str, Field(description="what a job names it by")]
    bytes: int
    format: str
    medium: Literal["audio", "image", "video"]
    expires: Annotated[int, Field(description="seconds since 1970")]


class ListedFace(TypedDict):
    """A face that can speak."""

    box: BoxCorners
    height: Annotated[float, Field(description="from forehead to chin, pixels")]
    yaw: Annotated[float, Field(description="degrees; positive to the picture's right edge")]


class UnreadFace(TypedDict):
    """A face that cannot speak: turned away, covered, cut off or blurred."""

    box: BoxCorners


class FacesReply(TypedDict):
    """The faces of a picture, from left to right."""

    width: int
    height: int
    turned: Annotated[int, Field(description="degrees clockwise to an upright picture")]
    smallest: Annotated[float, Field(description="the least height of a face that can speak")]
    faces: list[ListedFace]
    unread: list[UnreadFace]


class MarkPayload(TypedDict):
    """The content of a watermark: the program's version, and a number of the talk."""

    major: int
    minor: int
    talk: int


class MarkFinding(TypedDict):
    """The result of a search for the watermark."""

    where: Literal["picture", "sound"]
    is_marked: bool
    chance: Annotated[
        float, Field(description="how probable so strong a sign is in a file without a mark")
    ]
    payload: Annotated[MarkPayload | None, Field(description="null: none, or it is unreadable")]
    text: str


class ManifestFinding(TypedDict):
    """The latest C2PA manifest. Whether its signer is to be trusted is not judged."""

    verdict: Literal["valid", "invalid", "absent", "unread"]
    problems: Annotated[list[str], Field(description="C2PA's codes")]
    generator: str | None
    actions: list[str]
    digital_source_type: str | None
    ingredients: list[str]
    signer: str | None
    issuer: str | None
    text: str


class LabelFinding(TypedDict):
    """Plain metadata, which anybody can write."""

    comment: str | None
    digital_source_type: str | None


class InspectReply(TypedDict):
    """The provenance of a file."""

    conclusion: Annotated[str, Field(description="in the language of Accept-Language")]
    basis: Annotated[
        Literal["watermark", "manifest", "label", "nothing"],
        Field(description="what the conclusion rests on; nothing does not mean that it is real"),
    ]
    marks: list[MarkFinding]
    manifest: ManifestFinding
    label: LabelFinding


class EstimateReply(TypedDict):
    """Time and cost of a job; null where they are not known."""

    engine: str
    talk_seconds: float | None
    work_seconds: float | None
    work_seconds_at_most: float | None
    waiting_seconds: float | None
    price: float | None
    currency: str | None
    past_talks: Annotated[int, Field(description="talks that the estimate is made from")]
    warnings: list[str]


class VoicesReply(TypedDict):
    """Languages and voices; docs/voices.md describes them."""

    languages: list[str]
    voices: list[dict[str, Any]]
    warnings: list[str]


class SpeechVoicesReply(TypedDict):
    """The voices as clients of speech services read them."""

    voices: list[dict[str, Any]]


class WebhookSecret(TypedDict):
    """The secret that verifies the signatures of webhooks."""

    secret: str


class ServerHealth(TypedDict):
    """Whether the server is well, and what a page must know before it has a key."""

    status: Literal["ok"]
    version: str
    engine: str
    engines: list[str]
    workers: int
    in_queue: int
    retention_seconds: float
    key_needed: bool


class WebRtcAnswer(TypedDict):
    """The answer to an offer: `RTCSessionDescription`."""

    type: Literal["answer"]
    sdp: str


class SpeechErrorDetail(TypedDict):
    """An error as OpenAI's clients read it."""

    message: str
    type: str
    param: str | None
    code: str


class SpeechError(BaseModel):
    """An error below `/v1`: `ErrorReply` with `error` as an object."""

    error: SpeechErrorDetail
    details: ErrorDetails | None = None
    code: str
    field: str | None = None
