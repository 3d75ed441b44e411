"""Client of the operator's speech service: sends a text, receives a sound file.

The protocol is OpenAI's: https://platform.openai.com/docs/api-reference/audio/createSpeech. The
address is the operator's and trusted, private networks included; the responses are not: bytes and
time are bounded, redirects are not followed, since they would receive the key, and the service's
error message is shown shortened and without the key.
"""

import email.utils
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from multitalk.errors import (
    InvalidRequest,
    LimitExceeded,
    MediaUndecodable,
    SourceUnreachable,
    SpeechFailed,
    SpeechUnavailable,
)
from multitalk.inputs.source_file import SourceFile
from multitalk.net.address import Resolver, system_resolver
from multitalk.net.client import (
    CertificateInvalid,
    Client,
    ConnectFailed,
    Response,
    TransportError,
    decimal,
)
from multitalk.net.deadline import Deadline, DeadlinePassed, never
from multitalk.settings import Settings

SPEECH_PATH, VOICES_PATH = "/v1/audio/speech", "/v1/audio/voices"
MAX_VOICES_BYTES = 2**20
MAX_REASON_BYTES = 2**13
SHOWN_REASON = 160  # characters of the service's error message
MAX_RETRY_SECONDS = 86_400.0
LISTING_SECONDS = 5.0  # time limit of the list of voices
MAX_VOICES, MAX_NAME_CHARACTERS = 1000, 60  # `tts:` and the name are a voice of 64 characters

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServiceVoice:
    """A voice that the service lists; `gender` and `languages` are unchecked."""

    name: str
    gender: object = None
    languages: object = None


class SpeechService:
    """The service that the settings name.

    Args:
        settings: With a `speech_url`.
        cancelled: Whether the job was cancelled; polled while waiting.
        resolve: Looks up the service's host.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        cancelled: Callable[[], bool] = never,
        resolve: Resolver = system_resolver,
    ) -> None:
        if settings.speech_url is None:
            raise ValueError("no speech service is set up")
        self._settings = settings
        self._base = settings.speech_url
        self._cancelled = cancelled
        self._client = Client(networks=None, resolve=resolve)

    def speak(self, text: str, *, voice: str, speed: float, directory: Path) -> Path:
        """Synthesize a text into a new file of `directory`.

        Args:
            text: The text.
            voice: Name of a voice, without `tts:`.
            speed: Factor of the normal rate.
            directory: Exists and belongs to the job.

        Raises:
            InvalidRequest: The service refuses the text or has no such voice; `field` names the
                text's field.
            SpeechUnavailable: The address or the key is wrong, or the responses are not valid.
            SpeechFailed: A transient failure.
            Cancelled: The job was cancelled.
        """
        body = {
            "model": self._settings.speech_model,
            "input": text,
            "voice": voice,
            "response_format": "wav",
            "speed": speed,
        }
        try:
            with (
                SourceFile(directory, field="text", kind="speech", settings=self._settings) as file,
                self._request("POST", SPEECH_PATH, self._settings.speech_seconds, body) as response,
            ):
                if not 200 <= response.status < 300:
                    raise self._error(response, voice=voice)
                file.write_all(response.chunks, size=response.content_length)
                path = file.finish()
        except MediaUndecodable as error:
            is_page = error.key.startswith("web_page")
            key = "speech_service_page" if is_page else "speech_service_not_sound"
            raise SpeechUnavailable(key) from error
        except LimitExceeded as error:
            limit = self._settings.max_audio_bytes / 2**20
            raise LimitExceeded("speech_service_too_much", field="text", limit=limit) from error
        except InvalidRequest as error:
            if error.key != "source_empty":
                raise
            raise SpeechFailed("speech_service_cut") from error
        if _is_truncated(path):
            path.unlink()
            raise SpeechFailed("speech_service_cut")
        return path

    def voices(self) -> list[ServiceVoice] | None:
        """The voices that the service lists; None where it lists none.

        Raises:
            SpeechUnavailable, SpeechFailed, Cancelled: As `speak`.
        """
        with self._request("GET", VOICES_PATH, LISTING_SECONDS) as response:
            if response.status in (404, 405, 501):
                return None
            if not 200 <= response.status < 300:
                raise self._error(response, voice="")
            content = response.read(MAX_VOICES_BYTES)
        try:
            return _parse_voices(json.loads(content))
        except (ValueError, RecursionError):
            return None

    @contextmanager
    def _request(
        self, method: str, path: str, seconds: float, body: object = None
    ) -> Iterator[Response]:
        headers = {
            "User-Agent": "multitalk-serverless",
            "Accept": "audio/*, application/json",
            "Accept-Encoding": "identity",  # a compressed response could expand to any size
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._settings.speech_key is not None:
            headers["Authorization"] = f"Bearer {self._settings.speech_key}"
        try:
            with self._client.request(
                method,
                self._base + path,
                headers=headers,
                body=b"" if body is None else json.dumps(body).encode(),
                deadline=Deadline(seconds, self._cancelled),
            ) as response:
                yield response
        except DeadlinePassed as error:
            raise SpeechFailed("speech_service_slow", limit=seconds) from error
        except CertificateInvalid as error:
            raise SpeechUnavailable("speech_service_certificate") from error
        except (ConnectFailed, SourceUnreachable) as error:
            raise SpeechFailed("speech_service_unreachable") from error
        except TransportError as error:
            raise SpeechFailed("speech_service_cut") from error

    def _error(
        self, response: Response, *, voice: str
    ) -> InvalidRequest | SpeechUnavailable | SpeechFailed:
        """The error for a response that is no success."""
        status = response.status
        _log.info("the speech service at %s answered HTTP %d", urlsplit(self._base).netloc, status)
        if status in (401, 402, 403):
            return SpeechUnavailable("speech_service_key_refused", status=status)
        if 300 <= status < 400:
            return SpeechUnavailable("speech_service_redirects", status=status)
        if status in (408, 425, 429) or not 400 <= status < 500:
            return _transient_error(response)
        unknown = status in (404, 405)
        return InvalidRequest(
            "speech_service_not_found" if unknown else "speech_service_refuses",
            field="voice",
            name=voice,
            status=status,
            reason=_reason(response.read(MAX_REASON_BYTES), self._settings.speech_key),
        )


def _transient_error(response: Response) -> SpeechFailed:
    """The error of a service that is busy or broken."""
    status, seconds = response.status, _retry_after(response)
    if seconds is not None:
        return SpeechFailed("speech_service_busy_until", status=status, seconds=seconds)
    busy = status in (429, 503)
    return SpeechFailed("speech_service_busy" if busy else "speech_service_failed", status=status)


def _retry_after(response: Response) -> float | None:
    """Seconds to wait, from a number or a date (RFC 9110, 10.2.3)."""
    stated = response.headers.get("retry-after", "").strip()
    seconds: float | None = decimal(stated[:9])
    if seconds is None:
        try:
            seconds = email.utils.parsedate_to_datetime(stated).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(seconds, 1.0), MAX_RETRY_SECONDS)


def _reason(content: bytes, key: str | None) -> str:
    """The service's error message in one short line; a dash where it has none."""
    try:
        message: object = json.loads(content)
    except (ValueError, RecursionError):
        return "-"
    for name in ("error", "message", "detail"):
        if isinstance(message, dict):
            message = message.get(name) or message
    text = message if isinstance(message, str) else json.dumps(message)
    shown = "".join(filter(str.isprintable, " ".join(text.split())))
    if key:
        shown = shown.replace(key, "[key]")
    return shown if len(shown) <= SHOWN_REASON else shown[:SHOWN_REASON] + "…"


def _parse_voices(content: object) -> list[ServiceVoice]:
    """Voices of a list of names or of objects."""
    if isinstance(content, dict):
        content = content.get("voices", content.get("data"))
    items = content if isinstance(content, list) else []
    return list(filter(None, map(_parse_voice, items)))[:MAX_VOICES]


def _parse_voice(item: object) -> ServiceVoice | None:
    voice = item if isinstance(item, dict) else {"id": item}
    name = voice.get("id") or voice.get("voice_id") or voice.get("name")
    if isinstance(name, str) and name.isprintable() and 0 < len(name) <= MAX_NAME_CHARACTERS:
        return ServiceVoice(name, voice.get("gender"), voice.get("languages"))
    return None


def _is_truncated(path: Path) -> bool:
    """Whether a WAV file is shorter than its header says.

    A file that was streamed has no true length in its header: 0, or nearly 2 or 4 GiB.
    """
    with path.open("rb") as file:
        head = file.read(12)
    size = int.from_bytes(head[4:8], "little")
    return head[:4] == b"RIFF" and path.stat().st_size < size + 8 < 0x7FFF_0000
