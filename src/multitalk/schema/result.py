"""The answer of a job: its status, its result or its error."""

from collections.abc import Iterator
from enum import Enum
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from multitalk.errors import InvalidRequest, MultiTalkError, Stage
from multitalk.messages import Locale, visible
from multitalk.schema.validation import WireModel

FILENAME = "generated_video.mp4"


class JobStatus(str, Enum):
    """The status of a job; the words are RunPod's."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"


class TalkResult(WireModel):
    """One job's success. The video is in exactly one of the three `video_` fields."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["video_base64"]},
                {"required": ["video_url"]},
                {"required": ["video_path"]},
            ]
        }
    )

    status: Literal["success"] = Field("success", description="always `success`")
    video_base64: str | None = Field(None, description="the mp4 itself, base64")
    video_url: str | None = Field(None, description="where to download the mp4 (bucket, signed)")
    video_path: str | None = Field(None, description="the mp4 on the operator's volume")
    filename: str = Field(FILENAME, description="a name to save the video under")
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
    window_ends: list[int] | None = Field(
        None,
        description="the frame after each window that `continue_from` can keep, if any",
    )

    @model_validator(mode="after")
    def _one_video(self) -> "TalkResult":
        given = [self.video_base64, self.video_url, self.video_path]
        if sum(video is not None for video in given) != 1:
            raise ValueError("exactly one of video_base64, video_url and video_path")
        return self

    def reply(self) -> dict[str, object]:
        """The answer as JSON can carry it, without the fields that say nothing."""
        return self.model_dump(mode="json", exclude_none=True)


class Problem(WireModel):
    """One problem of a request."""

    field: str | None = Field(None, description="the request's field to blame")
    reason: str = Field(description="what is wrong, as a word for programs; finer than `code`")
    message: str = Field(description="the same as a sentence, in the request's locale")
    value: str | None = Field(None, description="what was given, as JSON, cut short")

    @classmethod
    def of(cls, error: MultiTalkError, locale: Locale) -> "Problem":
        """The model of one problem."""
        value = error.parameters.get("value")
        return cls(
            field=_escape(error.field),
            reason=error.key,
            message=error.message(locale),
            value=value if isinstance(value, str) else None,
        )


class ErrorDetails(WireModel):
    """A failure for programs: its problems by field, and the job's stage."""

    problems: list[Problem] = Field(description="each thing that is wrong, at least one")
    stage: Stage | None = Field(None, description="what the job was doing when it failed")
    job_id: str | None = Field(None, description="the job's name in the worker's log")


class ErrorReply(WireModel):
    """One job's failure."""

    error: str = Field(description="what is wrong, one line for each problem")
    details: ErrorDetails | None = Field(None, description="the same for programs, and more")
    code: str = Field(description="the kind of failure; see the table of codes")
    field: str | None = Field(None, description="the request's field to blame")

    @classmethod
    def of(cls, error: MultiTalkError, locale: Locale) -> "ErrorReply":
        """The reply to `error`."""
        return cls(
            error=error.text(locale),
            details=ErrorDetails(
                problems=[Problem.of(problem, locale) for problem in _split(error)],
                stage=error.stage,
                job_id=error.job_id,
            ),
            code=error.code,
            field=_escape(error.field),
        )

    def reply(self) -> dict[str, object]:
        """The answer as JSON can carry it, without the fields that say nothing."""
        return self.model_dump(mode="json", exclude_none=True)


def _escape(field: str | None) -> str | None:
    """A field's path with invisible characters escaped: a speaker's name is the caller's text."""
    return None if field is None else visible(field)


def _split(error: MultiTalkError) -> Iterator[MultiTalkError]:
    """All problems by field; `missing_required` is split into one for each field."""
    for problem in error.problems:
        if problem.key != "missing_required":
            yield problem
            continue
        for name in problem.missing:
            yield InvalidRequest("field_missing", field=name)
