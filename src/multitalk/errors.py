"""Errors of talks, servers and workers as one tree, in two families for two reactions of a caller.

    MultiTalkError
    |-- RequestError            the caller fixes it: 4xx, never retried
    |   |-- InvalidRequest      a field is missing, unknown, of the wrong kind or out of range
    |   |-- SourceRefused       the source is of a kind or at an address that is not allowed
    |   |-- SourceUnreachable   the source could not be downloaded
    |   |-- MediaUndecodable    the bytes are not a picture, sound or video that can be read
    |   |-- LimitExceeded       too many bytes, pixels, seconds or speakers
    |   |-- NoFaceFound         no face, fewer faces than speakers, or a face too small
    |   |-- Unauthorized        no key, or not one that this server knows
    |   |-- Forbidden           a page or a host without access to this server
    |   |-- NotFound            no such job, video, upload or address
    |   |-- Conflict            not in this state, or not with this content
    |   `-- TooManyRequests     more than one key may ask for in a while
    |-- WorkerError             the worker's or the server's fault: 5xx
    |   |-- DiskUnusable        its disk is full, read-only or broken; another try may help
    |   |-- EngineUnavailable   the requested engine cannot run on this machine
    |   |-- EngineFailed        the engine's result is no video; another try may help
    |   |-- WeightsUnavailable  weights could not be fetched, or are not whole
    |   |-- SpeechUnavailable   the speech service is misconfigured
    |   |-- SpeechFailed        the speech service did not speak; another try may help
    |   |-- EngineBroken        nothing can be rendered here any more; another worker can
    |   |-- DeliveryFailed      the result could not be handed over
    |   |-- DeadlineExceeded    the job took longer than it may
    |   |-- QueueUnavailable    the jobs' queue cannot be reached or takes nothing; later it may
    |   |-- ServerStopping      the server was asked to end; ask again when it is back
    |   |-- ServerUnavailable   the server cannot take a request now: connections, keys
    |   `-- InternalError       a crash, turned into an answer
    `-- Cancelled               the caller took the job back

An error is raised with the key of its sentence in `messages/*.json` and its parameters:
`raise LimitExceeded("speech_too_long", field="audio_paths.person1", limit=60.0)`.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, ClassVar, Literal

from multitalk.messages import Locale, sentence, visible

Stage = Literal["collect", "speak", "load", "render", "deliver"]  # of a job, in order


class MultiTalkError(Exception):
    """One failure, with the sentence for the caller.

    Attributes:
        key: Name of the sentence in `messages.SENTENCES`.
        field: The request field to blame, such as `audio_paths.person1`, or None.
        parameters: What fills the sentence's placeholders.
        place: Where the caller wrote it, such as `--image me.jpg`; None where a caller writes the
            field itself.
        stage: Of the job that failed, or None outside of one.
        job_id: That job, as its worker's log names it.
        retryable: Whether the same request may succeed later, or on another worker.
    """

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, key: str, *, field: str | None = None, **parameters: object) -> None:
        self.key = key
        self.field = field
        self.parameters = parameters
        self.place: str | None = None
        self.stage: Stage | None = None
        self.job_id: str | None = None
        super().__init__(self.text())

    def __str__(self) -> str:
        return self.text()

    @property
    def problems(self) -> tuple["MultiTalkError", ...]:
        """Everything that is wrong, one error each: this one and those that it carries."""
        return (self,)

    @property
    def missing(self) -> tuple[str, ...]:
        """Required fields that the request lacks, where this error says so."""
        missing = self.parameters.get("missing")
        return missing if isinstance(missing, tuple) else ()

    def restate(self, key: str, **parameters: object) -> None:
        """Say the same in another sentence, such as one that names options in place of fields."""
        self.key, self.parameters = key, parameters

    def text(self, locale: Locale = "en") -> str:
        """The sentence for the caller: `place: problem, limit, way out`."""
        message = self.message(locale)
        place = self.place or self.field
        return f"{visible(place)}: {message}" if place else message

    def message(self, locale: Locale = "en") -> str:
        """The sentence of this one problem, without its place."""
        return sentence(self.key, locale, **self.parameters)

    def set_context(self, stage: Stage | None, job_id: str) -> None:
        """Record where it happened, unless that is known already."""
        self.stage = self.stage or stage
        self.job_id = self.job_id or job_id


class RequestError(MultiTalkError):
    """The caller can fix it. Never retried."""

    code = "invalid_request"
    http_status = 400


class InvalidRequest(RequestError):
    """A field is missing, unknown, of the wrong kind or out of range.

    Attributes:
        others: The same request's further problems; `text` has them all, one a line.
    """

    def __init__(
        self,
        key: str,
        *,
        field: str | None = None,
        others: tuple["InvalidRequest", ...] = (),
        **parameters: object,
    ) -> None:
        self.others = others
        super().__init__(key, field=field, **parameters)

    @property
    def problems(self) -> tuple[MultiTalkError, ...]:
        """This problem and the request's others."""
        return (self, *self.others)

    def text(self, locale: Locale = "en") -> str:
        """Every problem's sentence, one a line."""
        return "\n".join([super().text(locale), *(other.text(locale) for other in self.others)])


class SourceRefused(RequestError):
    """The source is of a kind, or at an address, that is not allowed."""

    code = "source_refused"
    http_status = 403


class SourceUnreachable(RequestError):
    """The source could not be downloaded."""

    code = "source_unreachable"
    http_status = 424


class MediaUndecodable(RequestError):
    """The bytes are not a picture, sound or video that can be read."""

    code = "media_undecodable"
    http_status = 415


class LimitExceeded(RequestError):
    """Too many bytes, pixels, seconds or speakers."""

    code = "limit_exceeded"
    http_status = 413


class NoFaceFound(RequestError):
    """No face, fewer faces than speakers, or a face too small to speak."""

    code = "no_face_found"
    http_status = 422


class Unauthorized(RequestError):
    """The server requires a key, and got none or an unknown one."""

    code = "unauthorized"
    http_status = 401


class Forbidden(RequestError):
    """The request comes from a page, or names a host, without access to this server."""

    code = "forbidden"
    http_status = 403


class NotFound(RequestError):
    """There is no such thing, or it is somebody else's."""

    code = "not_found"
    http_status = 404


class Conflict(RequestError):
    """The thing is there, but its state or its content does not allow this."""

    code = "conflict"
    http_status = 409


class TooManyRequests(RequestError):
    """More requests than one key may make at once, or in a while.

    Attributes:
        seconds: After which the next request is accepted, or may be.
    """

    code = "too_many_requests"
    http_status = 429

    def __init__(self, key: str, *, seconds: float, **parameters: Any) -> None:
        self.seconds = seconds
        super().__init__(key, seconds=seconds, **parameters)


class WorkerError(MultiTalkError):
    """Not the caller's fault."""

    code = "worker_error"


class DiskUnusable(WorkerError):
    """A disk of the worker or the server is full, read-only or broken."""

    http_status = 507
    retryable = True


class EngineUnavailable(WorkerError):
    """The requested engine cannot run on this machine."""

    code = "engine_unavailable"
    http_status = 503


class EngineFailed(WorkerError):
    """The engine's result is no video; another try may help."""

    code = "engine_failed"
    retryable = True


class WeightsUnavailable(WorkerError):
    """The diffusion engine's weights could not be fetched, or are not whole."""

    code = "weights_unavailable"
    http_status = 503


class SpeechUnavailable(WorkerError):
    """The operator's speech service is misconfigured: its address, key or answers."""

    code = "speech_unavailable"
    http_status = 503


class SpeechFailed(WorkerError):
    """The operator's speech service did not speak: out of reach, busy, broken or too slow."""

    code = "speech_failed"
    http_status = 502
    retryable = True


class EngineBroken(WorkerError):
    """The process can render nothing any more (no memory, a lost GPU); another worker can.

    A server or worker ends its process after reporting this.
    """

    code = "engine_broken"
    http_status = 503
    retryable = True


class DeliveryFailed(WorkerError):
    """The result could not be handed over."""

    code = "delivery_failed"
    http_status = 507


class DeadlineExceeded(WorkerError):
    """The job took longer than it may."""

    code = "deadline_exceeded"
    http_status = 504


class QueueUnavailable(WorkerError):
    """The jobs' queue cannot be reached, or takes nothing more; nothing was changed."""

    code = "queue_unavailable"
    http_status = 503
    retryable = True


class ServerStopping(WorkerError):
    """The server was asked to end before it had an answer."""

    code = "server_stopping"
    http_status = 503
    retryable = True


class ServerUnavailable(WorkerError):
    """The server cannot take this request now; later it may."""

    code = "server_unavailable"
    http_status = 503
    retryable = True


class InternalError(WorkerError):
    """A crash, turned into an answer; the traceback is in the log only."""

    code = "internal_error"
    retryable = True


class Cancelled(MultiTalkError):
    """The caller took the job back."""

    code = "cancelled"
    http_status = 409

    def __init__(self) -> None:
        super().__init__("cancelled")


def not_a_choice(field: str, shown: str, choices: Iterable[str]) -> InvalidRequest:
    """A word that is not among the choices of a field, with the nearest choice.

    Args:
        field: The field of the word.
        shown: The word, as the sentence shows it: quoted or not, and cut short.
        choices: The allowed words.
    """
    choices = tuple(choices)
    listed = ", ".join(choices)
    near = get_close_matches(shown.strip('"').lower(), choices, n=1)
    if near:
        return InvalidRequest(
            "expected_one_of_near", field=field, value=shown, choices=listed, near=near[0]
        )
    return InvalidRequest("expected_one_of", field=field, value=shown, choices=listed)
