"""The operator's speech service: a text goes out, a file of sound comes in.

It is asked as OpenAI's is: https://platform.openai.com/docs/api-reference/audio/createSpeech. Its
address is the operator's and therefore trusted, private networks included; nothing that it answers
is: bytes and time are bounded, redirects are not followed, since the key would go along, and
its words reach a message only cut short and without the key.
"""

import email.utils
import ipaddress
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpcore
import httpx

from multitalk.errors import (
    InvalidRequest,
    LimitExceeded,
    MediaUndecodable,
    SpeechFailed,
    SpeechUnavailable,
)
from multitalk.inputs.intake import Intake
from multitalk.outbound.address import Resolver
from multitalk.outbound.connection import (
    CertificateInvalid,
    DeadlinePassed,
    Patience,
    PinnedTransport,
)
from multitalk.outbound.lookup import patiently, system_resolver
from multitalk.settings import Settings

SPEECH_PATH, VOICES_PATH = "/v1/audio/speech", "/v1/audio/voices"
CHUNK_BYTES = 2**16
MAX_VOICES_BYTES = 2**20
MAX_REASON_BYTES = 2**13
SHOWN_REASON = 160  # characters of what the service says
MAX_RETRY_SECONDS = 86_400.0
LISTING_SECONDS = 5.0  # for the list of its voices
MAX_VOICES, MAX_NAME_CHARACTERS = 1000, 60  # `tts:` and the name are a voice of 64 characters

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServiceVoice:
    """A voice that the service lists: its name, and what else is said of it, as it is said."""

    name: str
    gender: object = None
    languages: object = None


class SpeechService:
    """The service that the settings name.

    Args:
        settings: With a `speech_url`.
        cancelled: Asked again and again while waiting.
        resolve: Looks up the addresses of its host.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        resolve: Resolver = system_resolver,
    ) -> None:
        if settings.speech_url is None:
            raise ValueError("no speech service is set up")
        self._settings = settings
        self._base = settings.speech_url
        self._cancelled = cancelled
        self._resolve = resolve

    def speak(self, text: str, *, voice: str, speed: float, directory: Path) -> Path:
        """Have a text spoken into a new file of `directory`.

        Args:
            text: What is said.
            voice: Name of a voice, without `tts:`.
            speed: Times the normal rate.
            directory: Exists and belongs to the job.

        Raises:
            InvalidRequest: The service refuses the text or knows no such voice; `field` says which
                of a text's fields is meant.
            SpeechUnavailable: Its address, its key or its answers are not as they should be.
            SpeechFailed: Later it may work.
            Cancelled: As asked.
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
                Intake(directory, field="text", kind="speech", settings=self._settings) as intake,
                self._asked("POST", SPEECH_PATH, self._settings.speech_seconds, body) as answer,
            ):
                if not answer.is_success:
                    raise _refusal(answer, voice=voice, key=self._settings.speech_key)
                length = answer.headers.get("content-length", "")
                if length.isascii() and length.isdigit() and len(length) < 20:
                    intake.expect(int(length))
                for chunk in answer.iter_raw(CHUNK_BYTES):
                    intake.write(chunk)
                path = intake.keep()
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
        if _is_cut(path):
            path.unlink()
            raise SpeechFailed("speech_service_cut")
        return path

    def voices(self) -> list[ServiceVoice] | None:
        """The voices that the service lists; None where it lists none.

        Raises:
            SpeechUnavailable, SpeechFailed, Cancelled: As `speak`.
        """
        with self._asked("GET", VOICES_PATH, LISTING_SECONDS) as answer:
            if answer.status_code in (404, 405, 501):
                return None
            if not answer.is_success:
                raise _refusal(answer, voice="", key=self._settings.speech_key)
            content = _beginning(answer, MAX_VOICES_BYTES)
        try:
            return _listed(json.loads(content))
        except (ValueError, RecursionError):
            return None

    @contextmanager
    def _asked(
        self, method: str, path: str, seconds: float, body: object = None
    ) -> Iterator[httpx.Response]:
        """The answer to one request, its body still to be read within the time."""
        patience = Patience(time.monotonic() + seconds, self._cancelled)
        url = httpx.URL(self._base + path)
        headers = {
            "User-Agent": "multitalk-serverless",
            "Accept": "audio/*, application/json",
            "Accept-Encoding": "identity",  # what is compressed could unpack to any size
        }
        if self._settings.speech_key is not None:
            headers["Authorization"] = f"Bearer {self._settings.speech_key}"
        try:
            transport = self._transport(url, patience)
            client = httpx.Client(transport=transport, trust_env=False, headers=headers)
            with client, client.stream(method, url, json=body, follow_redirects=False) as answer:
                yield answer
        except DeadlinePassed as error:
            raise SpeechFailed("speech_service_slow", limit=seconds) from error
        except CertificateInvalid as error:
            raise SpeechUnavailable("speech_service_certificate") from error
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise SpeechFailed("speech_service_unreachable") from error
        except (
            httpcore.NetworkError,
            httpcore.TimeoutException,
            httpcore.ProtocolError,
            httpx.HTTPError,
        ) as error:
            raise SpeechFailed("speech_service_cut") from error

    def _transport(self, url: httpx.URL, patience: Patience) -> PinnedTransport:
        port = url.port or (443 if url.scheme == "https" else 80)
        host = url.raw_host.decode("ascii").strip("[]")
        try:
            found = patiently(self._resolve, patience)(host, port)
            addresses = [ipaddress.ip_address(text) for text in found]
        except (OSError, ValueError) as error:  # UnicodeError is a ValueError
            raise SpeechFailed("speech_service_unreachable") from error
        context = httpx.create_ssl_context() if url.scheme == "https" else None
        return PinnedTransport(addresses, patience=patience, ssl_context=context)


def _refusal(
    answer: httpx.Response, *, voice: str, key: str | None
) -> InvalidRequest | SpeechUnavailable | SpeechFailed:
    """What an answer other than 200 means."""
    status = answer.status_code
    _log.info("the speech service at %s answered HTTP %d", urlsplit(str(answer.url)).netloc, status)
    if status in (401, 402, 403):
        return SpeechUnavailable("speech_service_key_refused", status=status)
    if 300 <= status < 400:
        return SpeechUnavailable("speech_service_redirects", status=status)
    if status in (408, 425, 429) or not 400 <= status < 500:
        return _passing(answer)
    unknown = status in (404, 405)
    return InvalidRequest(
        "speech_service_not_found" if unknown else "speech_service_refuses",
        field="voice",
        name=voice,
        status=status,
        reason=_reason(_beginning(answer, MAX_REASON_BYTES), key),
    )


def _passing(answer: httpx.Response) -> SpeechFailed:
    """What will pass: the service is busy, or broken."""
    status, seconds = answer.status_code, _retry_after(answer)
    if seconds is not None:
        return SpeechFailed("speech_service_busy_until", status=status, seconds=seconds)
    busy = status in (429, 503)
    return SpeechFailed("speech_service_busy" if busy else "speech_service_failed", status=status)


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds that the service asks to wait, as a number or until a date (RFC 9110)."""
    stated = answer.headers.get("retry-after", "").strip()
    if stated.isascii() and stated.isdigit():
        seconds = float(stated[:9])
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(stated).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(seconds, 1.0), MAX_RETRY_SECONDS)


def _reason(content: bytes, key: str | None) -> str:
    """The service's own words, in one short line; a dash where it has none."""
    try:
        said: object = json.loads(content)
    except (ValueError, RecursionError):
        return "-"
    for name in ("error", "message", "detail"):
        if isinstance(said, dict) and said.get(name):
            said = said[name]
    words = " ".join((said if isinstance(said, str) else json.dumps(said)).split())
    shown = "".join(letter for letter in words if letter.isprintable())
    if key:
        shown = shown.replace(key, "[key]")
    return shown if len(shown) <= SHOWN_REASON else shown[:SHOWN_REASON] + "…"


def _listed(content: object) -> list[ServiceVoice]:
    """Voices as services write them: names, or objects that have one."""
    if isinstance(content, dict):
        content = content.get("voices", content.get("data"))
    found = []
    for item in content if isinstance(content, list) else []:
        said = item if isinstance(item, dict) else {"id": item}
        name = next((said[key] for key in ("id", "voice_id", "name") if said.get(key)), None)
        if isinstance(name, str) and name.isprintable() and len(name) <= MAX_NAME_CHARACTERS:
            found.append(ServiceVoice(name, said.get("gender"), said.get("languages")))
    return found[:MAX_VOICES]


def _beginning(answer: httpx.Response, limit: int) -> bytes:
    content = b""
    for chunk in answer.iter_raw(CHUNK_BYTES):
        content += chunk
        if len(content) >= limit:
            break
    return content[:limit]


def _is_cut(path: Path) -> bool:
    """Whether a WAV file says that it is longer than it is.

    One that was begun before its length was known has no true length: 0, or nearly 2 or 4 GiB.
    """
    with path.open("rb") as file:
        head = file.read(12)
    size = int.from_bytes(head[4:8], "little")
    return head[:4] == b"RIFF" and path.stat().st_size < size + 8 < 0x7FFF_0000
