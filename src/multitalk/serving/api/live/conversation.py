"""One client of a live session: its messages to the session, the session's frames to it."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Protocol

from multitalk.errors import (
    InvalidRequest,
    LimitExceeded,
    MultiTalkError,
    TooManyRequests,
    not_a_choice,
)
from multitalk.job import translate_crashes
from multitalk.messages import Locale
from multitalk.schema import ErrorReply
from multitalk.schema.validation import brief
from multitalk.serving.api.access.rate_limits import RateLimits
from multitalk.serving.api.live.recorder import LiveRecorder
from multitalk.serving.api.text_to_speech import TextToSpeech
from multitalk.serving.api.transport.uvicorn_server import ShutdownState
from multitalk.serving.live.messages import Message, MessageKind, is_key_frame, without_video
from multitalk.serving.live.piped_process import ProcessEnded
from multitalk.serving.live.sessions import LiveSession, refusal
from multitalk.timebase import FPS

# Frames that a client may be behind: from here on it gets no pictures but all sound, until it has
# caught up; and from there on it is given up.
MAX_WAITING, CAUGHT_UP, GIVEN_UP = 25, 3, 250
MAX_TEXTS, RETRY_SECONDS = 16, 5.0  # that wait to be spoken; after which there may be room


class ClientLink(Protocol):
    """A client's connection: text is JSON, bytes are sound that comes and frames that go."""

    async def receive(self) -> str | bytes:
        """The next message; raises what ends the conversation when the client has left."""
        ...

    async def send(self, message: str | bytes) -> None:
        """Send a message; may wait for a slow client."""
        ...


class LiveConversation:
    """Passes a client's messages to the session, and the session's frames to the client.

    Args:
        link: To the client.
        session: Ready.
        speech: Speaks texts.
        limits: Of texts.
        shutdown: Its request ends the conversation.
        rate: Of the sound that comes, samples per second.
        caller: Whose requests are counted together.
        locale: Of errors.
        recorder: Of the session.
    """

    def __init__(
        self,
        link: ClientLink,
        session: LiveSession,
        *,
        speech: TextToSpeech,
        limits: RateLimits,
        shutdown: ShutdownState,
        rate: int,
        caller: str,
        locale: Locale,
        recorder: LiveRecorder,
    ) -> None:
        self._link = link
        self._session = session
        self._speech = speech
        self._limits = limits
        self._shutdown = shutdown
        self._rate = rate
        self._caller = caller
        self._locale = locale
        self._outgoing: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._texts: set[asyncio.Task[None]] = set()  # that wait, or are being spoken
        self._turn = asyncio.Lock()  # of texts, in their order
        self._awaits_key_frame = False
        self._recorder = recorder
        recorder.notify = self._notify

    async def run(self) -> None:
        """Until the client leaves, the process ends or the server does.

        Raises:
            ProcessEnded: The process has ended, or hangs.
            WorkerError: The server has failed.
            LimitExceeded: The client reads nothing any more.
        """
        ready = {"type": "ready", "fps": FPS, **self._session.ready}
        self._notify(ready)
        tasks = [
            asyncio.create_task(work)
            for work in (
                self._from_client(),
                self._from_session(),
                self._to_client(),
                self._session.watch(),
                self._shutdown.requested.wait(),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            ending = [*tasks, *self._texts]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            await self._recorder.close()

    async def _from_client(self) -> None:
        while True:
            message = await self._link.receive()
            try:
                with translate_crashes(self._session.name):
                    if isinstance(message, bytes):
                        await self._push(message)
                    else:
                        await self._handle(parsed_message(message))
            except ProcessEnded:
                raise
            except MultiTalkError as error:
                self._notify(error)

    def _notify(self, message: dict[str, Any] | MultiTalkError) -> None:
        """Queue a message, or an error as one."""
        if isinstance(message, MultiTalkError):
            self._outgoing.put_nowait(error_message(message, self._locale))
        else:
            self._outgoing.put_nowait(json.dumps(message, ensure_ascii=False))

    async def _push(self, pcm: bytes) -> None:
        if len(pcm) % 2:
            raise InvalidRequest("avatar_pcm", field="audio", kind="an odd number of bytes")
        await self._session.push_audio(pcm, self._rate)

    async def _handle(self, message: Mapping[str, Any]) -> None:
        match message.get("type"):
            case "flush":
                await self._session.flush()
            case "interrupt":
                await self._interrupt()
            case "key_frame":
                await self._session.ask_for_key_frame()
            case "record":
                await self._record(message.get("action"))
            case "say":
                text = {name: value for name, value in message.items() if name != "type"}
                text.setdefault("input", text.pop("text", None))
                body = self._speech.parse({**text, "response_format": "pcm"})
                if len(self._texts) >= MAX_TEXTS:
                    raise TooManyRequests(
                        "reader_busy_with_yours", seconds=RETRY_SECONDS, count=MAX_TEXTS
                    )
                self._limits.admit(self._caller, "speech")
                task = asyncio.create_task(self._say(body))
                self._texts.add(task)
                task.add_done_callback(self._texts.discard)
            case other:
                raise InvalidRequest("live_message_unknown", field="type", value=brief(other))

    async def _record(self, action: object) -> None:
        match action:
            case "start":
                await self._recorder.start()
            case "stop":
                await self._recorder.stop()
            case other:
                raise not_a_choice("action", brief(other), ("start", "stop"))

    async def _say(self, body: Any) -> None:
        """Speak a text after those before it; what goes wrong is an `error` message."""
        try:
            async with self._turn:
                with translate_crashes(self._session.name):
                    pcm, rate = await self._speech.pcm(self._caller, body)
                    await self._session.push_audio(pcm, rate)
                    await self._session.flush()
        except MultiTalkError as error:
            self._notify(error)

    async def _interrupt(self) -> None:
        texts = tuple(self._texts)
        for task in texts:
            task.cancel()
        await self._session.interrupt()
        await asyncio.gather(*texts, return_exceptions=True)

    async def _from_session(self) -> None:
        while True:
            with translate_crashes(self._session.name):
                await self._take(await self._session.receive())

    async def _take(self, message: Message) -> None:
        if message.kind is MessageKind.FRAME:
            await self._pass_on(message.content)
        elif message.kind is MessageKind.STATS:
            waiting = self._outgoing.qsize()
            self._notify({"type": "stats", **message.json(), "waiting": waiting})
        elif message.kind is MessageKind.REFUSED:
            self._notify(refusal(message))
        elif message.kind in (MessageKind.RECORDED_PART, MessageKind.RECORDED):
            await self._recorder.take(message)

    async def _pass_on(self, frame: bytes) -> None:
        """Queue a frame; for a client that is behind, pictures are left out up to a key frame.

        Raises:
            LimitExceeded: The client reads nothing any more.
        """
        waiting = self._outgoing.qsize()
        if waiting > GIVEN_UP:
            raise LimitExceeded("live_client_too_slow", seconds=GIVEN_UP / FPS)
        if self._awaits_key_frame:
            if is_key_frame(frame) and waiting <= CAUGHT_UP:
                self._awaits_key_frame = False
            elif waiting <= CAUGHT_UP:
                await self._session.ask_for_key_frame()
        elif waiting > MAX_WAITING:
            self._awaits_key_frame = True
        self._outgoing.put_nowait(without_video(frame) if self._awaits_key_frame else frame)

    async def _to_client(self) -> None:
        """Send in order."""
        while True:
            await self._link.send(await self._outgoing.get())


def parsed_message(text: str) -> Mapping[str, Any]:
    """A client's message.

    Raises:
        InvalidRequest: It is no JSON object.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("json_broken", reason=str(error)[:100]) from error
    if not isinstance(given, dict):
        raise InvalidRequest("body_not_an_object", value=brief(given))
    return given


def error_message(error: MultiTalkError, locale: Locale) -> str:
    """An error as the client gets it."""
    return json.dumps({"type": "error", **ErrorReply.of(error, locale).reply()}, ensure_ascii=False)
