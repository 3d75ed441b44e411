"""Texts spoken for clients, by the synthesizer or by the operator's speech service."""

import asyncio
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from multitalk.errors import InvalidRequest, RequestError
from multitalk.media.audio_encoder import encode_sound
from multitalk.messages import Locale, Notice
from multitalk.net.deadline import run_in_daemon_thread
from multitalk.schema import SpokenText
from multitalk.schema.request import has_service_voice
from multitalk.schema.validation import brief, one_error
from multitalk.serving.api.models import SpeechBody
from multitalk.serving.sandbox.fair_scheduler import FairScheduler, Ticket
from multitalk.serving.sandbox.ipc import SPEECH, notices_from_json, read_output
from multitalk.serving.sandbox.pool import SPEECH_CPU_SECONDS, SandboxPool, limits_for
from multitalk.settings import Settings
from multitalk.speech.narration import narrate
from multitalk.speech.service_synthesis import service_synthesizer
from multitalk.speech.voice_catalogue import catalogue

SERVICE_TEXTS_AT_ONCE = 2
LISTED_SECONDS = 60.0  # for which a list of voices is used again
PLACE = "speech"  # the field of a text's errors, until they become those of the body
PCM_RATE = 24_000  # samples per second of the format `pcm`, as OpenAI has it


@dataclass(frozen=True)
class SpeechFile:
    """A spoken text.

    Attributes:
        directory: Has the sound, `SPEECH`.
        notices: What the caller should know.
    """

    directory: Path
    notices: Sequence[Notice]


class TextToSpeech:
    """Speaks texts and lists the voices.

    Args:
        sandbox: Its processes synthesize.
        settings: Name the speech service.
        clock: In seconds.
    """

    def __init__(
        self, sandbox: SandboxPool, settings: Settings, *, clock: Callable[[], float]
    ) -> None:
        self._sandbox = sandbox
        self._settings = settings
        self._clock = clock
        self._service_slots = FairScheduler(slots=SERVICE_TEXTS_AT_ONCE)
        self._voices: dict[Locale, tuple[float, dict[str, Any]]] = {}  # when it was listed
        self._listing = asyncio.Lock()

    async def voices(self, locale: Locale) -> dict[str, Any]:
        """The catalogue; the speech service is not called for it at every look at the page."""
        async with self._listing:
            when, listed = self._voices.get(locale, (-math.inf, {}))
            if self._clock() - when > LISTED_SECONDS:
                listed = await asyncio.wrap_future(
                    run_in_daemon_thread(lambda: catalogue(self._settings, locale), name="voices")
                )
                self._voices[locale] = (self._clock(), listed)
            return listed

    def parse(self, given: object) -> SpeechBody:
        """The text to be spoken, and the format of its file.

        Raises:
            InvalidRequest: Every problem of it.
        """
        if not isinstance(given, dict):
            raise InvalidRequest("body_not_an_object", value=brief(given))
        if given.get("input") is None:
            raise InvalidRequest("field_missing", field="input")
        try:
            return SpeechBody.model_validate(given, context=self._settings)
        except ValidationError as error:
            names = [field.alias or name for name, field in SpeechBody.model_fields.items()]
            raise one_error(
                error.errors(include_url=False), known_fields=lambda _: names
            ) from error

    async def speak(self, caller: str, text: SpeechBody, stack: ExitStack) -> SpeechFile:
        """Speak a text into a file.

        Args:
            caller: Whose texts wait for each other.
            text: From `parse`.
            stack: Removes the file when it is closed; until then the text counts for its caller.

        Raises:
            TooManyRequests: Too many texts of this caller wait.
            RequestError: The text cannot be spoken; it names the body's field.
        """
        by_service = has_service_voice(text)
        scheduler = self._service_slots if by_service else self._sandbox.scheduler
        speak = self._by_service if by_service else self._in_sandbox
        ticket = stack.enter_context(scheduler.admit(caller))
        directory = stack.enter_context(self._sandbox.directory())
        with _errors_of_body():
            return SpeechFile(directory, await speak(ticket, text, directory))

    async def pcm(self, caller: str, text: SpeechBody) -> tuple[bytes, int]:
        """A text in the format `pcm`: int16, little-endian, and its samples per second.

        Raises:
            RequestError, TooManyRequests: As `speak`.
        """
        with ExitStack() as stack:
            spoken = await self.speak(caller, text, stack)
            return read_output(spoken.directory, SPEECH), PCM_RATE

    async def _in_sandbox(
        self, ticket: Ticket, text: SpeechBody, directory: Path
    ) -> Sequence[Notice]:
        """Have the synthesizer speak a text into a file of the directory."""
        fields = text.model_dump(include=set(SpokenText.model_fields), exclude_unset=True)
        return notices_from_json(
            await self._sandbox.run(
                ticket,
                "speech",
                {"text": fields, "format": text.response_format, "field": PLACE},
                limits=limits_for(self._settings, SPEECH_CPU_SECONDS),
                directory=directory,
                field=PLACE,
            )
        )

    async def _by_service(
        self, ticket: Ticket, text: SpeechBody, directory: Path
    ) -> Sequence[Notice]:
        """Have the operator's speech service do so; cancelled, its answer is not waited for."""
        cancelled = threading.Event()

        def speak() -> Sequence[Notice]:
            outside = service_synthesizer(self._settings, directory, cancelled.is_set)
            spoken = narrate([text], field=PLACE, outside=outside, for_face=False)
            sound = encode_sound(spoken.samples, spoken.sample_rate, text.response_format)
            (directory / SPEECH).write_bytes(sound)
            return spoken.notices

        async with self._service_slots.slot(ticket):
            try:
                return await asyncio.wrap_future(run_in_daemon_thread(speak, name="speech"))
            finally:
                cancelled.set()


@contextmanager
def _errors_of_body() -> Iterator[None]:
    """Have errors name the body's fields in place of the text's."""
    try:
        yield
    except RequestError as error:
        if error.field is not None:
            of_text = error.field.removeprefix(f"{PLACE}.")
            error.field = "input" if of_text in ("text", PLACE) else of_text
        raise
