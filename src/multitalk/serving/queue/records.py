"""What a queue keeps: a job as it was sent, a job as it stands, and who works.

Times are seconds since 1970 by the clock of the machine that wrote them; durations are seconds.
"""

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from multitalk.messages import Locale
from multitalk.schema import JobStatus
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

JOB_ID = r"^[A-Za-z0-9-]{1,64}$"

Seconds = Annotated[float, Field(gt=0)]
Stop = Literal["cancelled", "timed_out", "lost"]  # why a worker's job is no longer its own

Kind = TypeVar("Kind", bound="Stored")


class Stored(BaseModel):
    """What is written as JSON; a newer release's further fields are read over."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    def to_json(self) -> str:
        """As JSON in ASCII, which carries even half a surrogate pair.

        Raises:
            ValueError: It has a number that JSON cannot say.
        """
        return json.dumps(self.model_dump(mode="json"), allow_nan=False)

    @classmethod
    def from_json(cls: type[Kind], text: str | bytes) -> Kind:
        """What `to_json` was made of."""
        return cls.model_validate(json.loads(text))


class Policy(Stored):
    """How long a job may take, and whether others go first.

    Attributes:
        execution_seconds: For one attempt at it, once a worker has begun.
        ttl_seconds: From being sent (or sent again) to its end, whatever happens.
        low_priority: Jobs without this are claimed first.
    """

    execution_seconds: Seconds = EXECUTION_SECONDS
    ttl_seconds: Seconds = TTL_SECONDS
    low_priority: bool = False


class Submission(Stored):
    """A job as it was sent. It is kept, unchanged, until the job is forgotten.

    Attributes:
        input: What `parse_request` will read. A source `upload:NAME` is media of this job.
        webhook: Where the one that serves it tells its end.
        policy: Limits in time.
        s3_config: The job's own bucket, as `parse_s3_config` reads it; it has secrets.
        stream: Whether the video is wanted piece by piece while it is rendered.
        owner: Who sent it: the id of an API key, never the key.
        idempotency_key: The same owner's same key is the same job.
        retention_seconds: How long the job is remembered after its end.
        job_id: From `new_job_id`, for one whose uploads were stored before it was sent.
        digest: Of the request as its sender wrote it, where `input` differs from that: uploads are
            stored anew, under new names, for a request that is sent again.
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
        """Equal for equal requests: what an idempotency key is compared with."""
        if self.digest is not None:
            return self.digest
        told = self.model_dump(mode="json", exclude={"job_id", "idempotency_key"})
        text = json.dumps(told, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


class Job(Stored):
    """A job as it stands: small, without its input.

    Attributes:
        id: Ours.
        status: Where it is.
        version: Counts its changes.
        owner: As submitted; so are `webhook`, `policy`, `stream`, `idempotency_key` and
            `retention_seconds`.
        fingerprint: Of the submission.
        locale: Of the sentences that the queue itself writes.
        title: The first words that are said in it; empty where all voices are recordings.
        portrait: Name in the media store of its picture, if that came as an upload.
        input_bytes: Of what was sent, without uploads.
        created_at: When it was sent.
        queued_at: When it was sent or, later, sent again (`retry`).
        started_at: When the last attempt at it began.
        finished_at: When it came to its final state.
        worker_id: Who has it, or had it last.
        attempts: Deliveries to workers since it was queued; drained ones do not count.
        redeliveries: Deliveries that were needed because a worker was lost, and retries, in all.
        progress: `{"stage", "done", "total"}` of `multitalk.job.Progress`, or None.
        output: Once it is COMPLETED, or FAILED with more to tell; see `Outcome`.
        error: The sentence for a job that FAILED or TIMED_OUT.
        token: Names the last lease.
        lease_until: When a job IN_PROGRESS goes back to the queue unless its worker is heard of.
        first_piece: Number of the first piece of the last attempt.
        next_piece: Number that the next piece will have.
        turn: Number of its last claim, over all jobs of the queue: owners take turns by it.
        batch: Id of the job that completes the batch which this one belongs to, until that job is
            known to be stored. Only a queue that stores jobs one by one needs it.
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
    first_piece: int = 1
    next_piece: int = 1
    turn: int = 0
    batch: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing but `retry` changes it any more."""
        return self.status in FINAL

    def delay_seconds(self, now: float) -> float:
        """How long it waited, or has waited, in the queue: RunPod's `delayTime`."""
        began = self.started_at if self.started_at is not None else self.finished_at
        return max(0.0, (now if began is None else began) - self.queued_at)

    def execution_seconds(self, now: float) -> float | None:
        """How long the last attempt took, or has taken: `executionTime`; None if none began."""
        if self.started_at is None:
            return None
        ended = now if self.finished_at is None else self.finished_at
        return max(0.0, ended - self.started_at)


def windows_of(job: Job) -> list[int]:
    """Where the windows end that a later job of the owner's can begin with; empty where none is."""
    output = job.output if isinstance(job.output, Mapping) else {}
    if job.status is not JobStatus.COMPLETED or not isinstance(output.get("windows"), str):
        return []
    return list(output.get("window_ends") or ())


class Outcome(Stored):
    """What a worker found.

    Attributes:
        status: COMPLETED, FAILED or TIMED_OUT.
        output: For COMPLETED, `TalkResult`'s reply without its `video_` fields and with names in
            the media store: `video` of the mp4, `frame` of its first picture (JPEG), and
            `captions` and `windows` (with `window_ends`), where there are any; or with `video_url`
            or `video_path` where the worker has handed it over itself. For a failure, the
            `ErrorReply` without `error`.
        error: For a failure, the sentence.
    """

    status: Literal[JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.TIMED_OUT]
    output: Any = None
    error: str | None = None


class Lease(Stored):
    """The right to work on a job, which ends unless it is renewed.

    Attributes:
        job: As it was when it was claimed.
        submission: What is to be done.
        token: Proves the lease.
        seconds: How long it lasts from each renewal on; renew it at a third of that.
    """

    job: Job
    submission: Submission
    token: str
    seconds: float


class PieceRecord(Stored):
    """A piece of a video that is being made.

    Attributes:
        number: Grows by one within an attempt, and over all attempts.
        output: `{"segment", "start", "frames", "video"}`: its place among the attempt's pieces from
            0 on, its first second, its frames, and the name of its bytes in the media store.
    """

    number: int
    output: dict[str, Any]


class Counts(Stored):
    """Jobs that are remembered, by what became of them; `failed` has those that timed out."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    in_progress: int = 0
    in_queue: int = 0
    retried: int = 0


class WorkerRecord(Stored):
    """Somebody who takes jobs.

    Attributes:
        id: Its own, new at each start.
        engine: What it renders with.
        host: Where it runs.
        job_id: What it is at, or None while it waits.
        started_at: Since when.
        seen_at: When it last said so; the queue writes this.
        draining: It will take no further job.
    """

    id: str
    engine: str
    host: str = ""
    job_id: str | None = None
    started_at: float
    seen_at: float = 0.0
    draining: bool = False


def new_job_id() -> str:
    """An id that nobody can guess."""
    return str(uuid.uuid4())


def title_of(given: object) -> str:
    """The first words that an input has somebody say; empty where all voices are recordings."""
    for text in _texts(given):
        words = " ".join(text[: 4 * MAX_TITLE_CHARACTERS].split())
        if words:
            return words[:MAX_TITLE_CHARACTERS].rstrip()
    return ""


def portrait_of(given: object) -> str | None:
    """Name in the media store of an input's picture, if it came as an upload."""
    source = given.get("image_path") if isinstance(given, Mapping) else None
    if isinstance(source, str) and source.startswith(UPLOAD_SCHEME):
        return source.removeprefix(UPLOAD_SCHEME)
    return None


def _texts(given: object) -> Iterator[str]:
    """Every text to be spoken, in order, of an input that nobody has checked yet."""
    voices: Any = given.get("audio_paths") if isinstance(given, Mapping) else None
    for voice in voices.values() if isinstance(voices, Mapping) else ():
        for text in voice if isinstance(voice, list) else [voice]:
            if isinstance(text, Mapping) and isinstance(text.get("text"), str):
                yield text["text"]
