"""Records of a queue: submissions, jobs, leases, outcomes, fragments and workers.

Times are seconds since 1970 by the clock of the machine that wrote them; durations are seconds.
"""

import hashlib
import json
import sys
import uuid
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from multitalk.errors import DeadlineExceeded, MultiTalkError
from multitalk.messages import Locale
from multitalk.schema import ErrorReply, JobStatus
from multitalk.schema.sources import UPLOAD_SCHEME

# RunPod's defaults.
EXECUTION_SECONDS = 600.0
TTL_SECONDS = 86_400.0
RETENTION_SECONDS = 1_800.0

FINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.TIMED_OUT})
RETRYABLE = frozenset({JobStatus.FAILED, JobStatus.TIMED_OUT})
MEDIA_OF_OUTPUT = ("video", "frame", "captions", "windows")  # fields of `Outcome.output`, see there

WINDOWS_SUFFIX = ".npz"  # of the file of a talk's windows
MAX_TITLE_CHARACTERS = 80

IMMEDIATELY = sys.float_info.min  # seconds of retention; the smallest positive number

JOB_ID = r"^[A-Za-z0-9-]{1,64}$"

Seconds = Annotated[float, Field(gt=0)]
Stop = Literal["cancelled", "timed_out", "lost"]  # why a worker's job is no longer its own

StoredModel = TypeVar("StoredModel", bound="Stored")


class Stored(BaseModel):
    """A record that is stored as JSON; fields of a newer release are ignored."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", allow_inf_nan=False, populate_by_name=True
    )

    def to_json(self) -> str:
        """JSON in ASCII, which can carry half of a surrogate pair; ValueError for NaN."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), allow_nan=False)

    @classmethod
    def from_json(cls: type[StoredModel], text: str | bytes) -> StoredModel:
        """The record that `to_json` returned as text."""
        return cls.model_validate(json.loads(text))


class Policy(Stored):
    """Time limits and priority of a job.

    Attributes:
        execution_seconds: Limit of one attempt, from its claim.
        ttl_seconds: Limit from submission or `retry` to the end of the job.
        low_priority: Whether all other jobs are claimed first.
    """

    execution_seconds: Seconds = EXECUTION_SECONDS
    ttl_seconds: Seconds = TTL_SECONDS
    low_priority: bool = False


class Submission(Stored):
    """A job as it was submitted; stored unchanged until the job is deleted.

    Attributes:
        input: The input of `parse_request`. A source `upload:NAME` is a file of this job.
        webhook: URL to which the server posts the job's end.
        policy: Time limits and priority.
        s3_config: The job's own bucket, as for `parse_s3_config`; it has secrets.
        stream: Whether the video is delivered in fragments while it is rendered.
        owner: Id of the API key, never the key itself.
        idempotency_key: Submissions of one owner with the same key are the same job.
        retention_seconds: How long the job is kept after its end.
        job_id: From `new_job_id`, for a job whose uploads were stored before its submission.
        digest: SHA-256 of the client's request, where `input` differs from it: a repeated request's
            uploads are stored again under new names.
    """

    input: Any
    webhook: str | None = None
    policy: Policy = Policy()
    s3_config: dict[str, Any] | None = None
    stream: bool = False
    owner: str = ""
    idempotency_key: str | None = None
    retention_seconds: Seconds = RETENTION_SECONDS
    job_id: Annotated[str, Field(pattern=JOB_ID)] | None = None
    digest: str | None = None

    def fingerprint(self) -> str:
        """A digest that is equal for equal requests."""
        if self.digest is not None:
            return self.digest
        request = self.model_dump(mode="json", exclude={"job_id", "idempotency_key"})
        text = json.dumps(request, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


class Job(Stored):
    """The current state of a job: small, without its input.

    Attributes:
        id: Its id.
        status: Its state.
        version: Number of its changes.
        owner: As submitted; so are `webhook`, `policy`, `stream`, `idempotency_key` and
            `retention_seconds`.
        fingerprint: The submission's.
        locale: Language of its error messages.
        title: First words of its texts; empty where all voices are recordings.
        portrait: Name in the media store of its picture, if that is an upload.
        input_bytes: Size of the submission, without uploads.
        created_at: Time of the submission.
        queued_at: Time of the submission or the last `retry`.
        started_at: Start of the last attempt.
        finished_at: Time of its final state.
        worker_id: Its current or last worker.
        attempts: Claims since `queued_at`, without those that were released uncounted.
        redeliveries: Repeated claims after lost workers, and retries, in all.
        progress: `{"stage", "done", "total"}` of `multitalk.job.Progress`, or None.
        output: See `Outcome`.
        error: The error message of a job that FAILED or TIMED_OUT.
        token: Token of the last lease.
        lease_until: Wall-clock end of the lease of a job IN_PROGRESS.
        first_fragment: Number of the first fragment of the last attempt.
        next_fragment: Number of the next fragment.
        turn: Number of its last claim over all jobs of the queue; owners take turns by it.
        batch: Id of the last job of its batch, until that job is known to be stored. Only for
            queues that store jobs one by one.
    """

    id: str
    status: JobStatus = JobStatus.IN_QUEUE
    version: int = 1
    owner: str = ""
    webhook: str | None = None
    policy: Policy = Policy()
    stream: bool = False
    idempotency_key: str | None = None
    retention_seconds: Seconds = RETENTION_SECONDS
    fingerprint: str = ""
    locale: Locale = "en"
    title: str = ""
    portrait: str | None = None
    input_bytes: int = 0
    created_at: float
    queued_at: float
    started_at: float | None = None
    finished_at: float | None = None
    worker_id: str | None = None
    attempts: int = 0
    redeliveries: int = 0
    progress: dict[str, Any] | None = None
    output: Any = None
    error: str | None = None
    token: str | None = None
    lease_until: float | None = None
    first_fragment: int = Field(default=1, alias="first_piece")  # the stored name
    next_fragment: int = Field(default=1, alias="next_piece")
    turn: int = 0
    batch: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether only `retry` can change it."""
        return self.status in FINAL

    @property
    def is_forgotten(self) -> bool:
        """Whether it is being deleted before its time: it was purged, or deleted on request."""
        return self.is_final and self.retention_seconds == IMMEDIATELY

    def delay_seconds(self, now: float) -> float:
        """Seconds in the queue so far: RunPod's `delayTime`."""
        began = self.started_at if self.started_at is not None else self.finished_at
        return max(0.0, (now if began is None else began) - self.queued_at)

    def execution_seconds(self, now: float) -> float | None:
        """Seconds of the last attempt so far: `executionTime`; None if there was none."""
        if self.started_at is None:
            return None
        ended = now if self.finished_at is None else self.finished_at
        return max(0.0, ended - self.started_at)


def windows_of(job: Job) -> list[int]:
    """Frames at which a later job of the owner can continue this one; empty: none."""
    output = job.output if isinstance(job.output, Mapping) else {}
    if job.status is not JobStatus.COMPLETED or not isinstance(output.get("windows"), str):
        return []
    return list(output.get("window_ends") or ())


class Outcome(Stored):
    """A worker's result.

    Attributes:
        status: COMPLETED, FAILED or TIMED_OUT.
        output: For COMPLETED, `TalkResult`'s reply without its `video_` fields and with names in
            the media store: `video` of the mp4, `frame` of its first picture (JPEG), and
            `captions` and `windows` (with `window_ends`), where there are any; or with `video_url`
            or `video_path` where the worker has handed it over itself. For a failure, the
            `ErrorReply` without `error`.
        error: For a failure, the error message.
    """

    status: Literal[JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.TIMED_OUT]
    output: Any = None
    error: str | None = None

    @classmethod
    def failed(cls, error: MultiTalkError, locale: Locale) -> "Outcome":
        """The outcome of a job that an error ended."""
        late = isinstance(error, DeadlineExceeded)
        reply = ErrorReply.of(error, locale).reply()
        return cls(
            status=JobStatus.TIMED_OUT if late else JobStatus.FAILED,
            error=str(reply.pop("error")),
            output=reply,
        )


class Lease(Stored):
    """A worker's exclusive right to a job, which expires unless it is renewed.

    Attributes:
        job: The job when it was claimed.
        submission: The job's submission.
        token: Identifies the lease.
        seconds: Duration from each renewal; renew after a third of it. Infinite where the source
            keeps it otherwise.
    """

    job: Job
    submission: Submission
    token: str
    seconds: float = Field(gt=0, allow_inf_nan=True)


class FragmentRecord(Stored):
    """A fragment of an unfinished video.

    Attributes:
        number: Consecutive, over all attempts.
        output: `{"segment", "start", "frames", "video"}`: index in the attempt, start in seconds,
            number of frames, and name in the media store.
    """

    number: int
    output: dict[str, Any]


class Counts(Stored):
    """Number of jobs by state; `failed` includes TIMED_OUT."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    in_progress: int = 0
    in_queue: int = 0
    retried: int = 0


class WorkerRecord(Stored):
    """A worker.

    Attributes:
        id: New at each start.
        engine: Its engine's name.
        host: Its host's name.
        job_id: Its current job, or None.
        started_at: Time of its start.
        seen_at: Time of its last `announce`, written by the queue.
        draining: Whether it takes no further job.
    """

    id: str
    engine: str
    host: str = ""
    job_id: str | None = None
    started_at: float
    seen_at: float = 0.0
    draining: bool = False


def new_job_id() -> str:
    """A new id, which cannot be guessed."""
    return str(uuid.uuid4())


def title_of(given: object) -> str:
    """First words of an input's texts; empty where all voices are recordings."""
    for text in _texts(given):
        words = " ".join(text[: 4 * MAX_TITLE_CHARACTERS].split())
        if words:
            return words[:MAX_TITLE_CHARACTERS].rstrip()
    return ""


def portrait_of(given: object) -> str | None:
    """Name in the media store of an input's picture, if it is an upload."""
    source = given.get("image_path") if isinstance(given, Mapping) else None
    if isinstance(source, str) and source.startswith(UPLOAD_SCHEME):
        return source.removeprefix(UPLOAD_SCHEME)
    return None


def _texts(given: object) -> Iterator[str]:
    """All texts of an unchecked input, in order."""
    voices: Any = given.get("audio_paths") if isinstance(given, Mapping) else None
    for voice in voices.values() if isinstance(voices, Mapping) else ():
        for text in voice if isinstance(voice, list) else [voice]:
            if isinstance(text, Mapping) and isinstance(text.get("text"), str):
                yield text["text"]
