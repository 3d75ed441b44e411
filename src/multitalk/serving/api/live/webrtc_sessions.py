"""The WebRTC sessions of a server, which outlive the requests that opened them."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from multitalk.errors import InternalError, NotFound
from multitalk.schema.validation import brief

logger = logging.getLogger(__name__)

# Talks until the client leaves; sets the future to the answer for the client.
Conversation = Callable[[asyncio.Future[str]], Awaitable[None]]


@dataclass(frozen=True)
class _Session:
    owner: str
    task: asyncio.Task[None]


class WebRtcSessions:
    """Sessions by their ids."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}

    async def open(self, owner: str, converse: Conversation) -> tuple[str, str]:
        """Start a conversation in the background; its id, and the answer for the client.

        Raises:
            MultiTalkError: The conversation ended with it before there was an answer.
        """
        session_id = secrets.token_hex(16)
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(_run(converse, answered))
        self._sessions[session_id] = _Session(owner, task)
        task.add_done_callback(lambda _: self._sessions.pop(session_id, None))
        try:
            return session_id, await answered
        except asyncio.CancelledError:  # the client has gone before its answer
            task.cancel()
            raise

    async def end(self, session_id: str, owner: str) -> None:
        """End a session.

        Raises:
            NotFound: There is none, or it is another's: whoever asks learns nothing.
        """
        session = self._sessions.get(session_id)
        if session is None or session.owner != owner:
            raise NotFound("live_session_unknown", value=brief(session_id))
        session.task.cancel()
        await asyncio.wait({session.task})

    async def close(self) -> None:
        """End all."""
        tasks = [session.task for session in self._sessions.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(converse: Conversation, answered: asyncio.Future[str]) -> None:
    try:
        await converse(answered)
    except Exception as error:
        if answered.done():
            logger.exception("a WebRTC session crashed")
        else:
            answered.set_exception(error)
    finally:
        if not answered.done():
            answered.set_exception(InternalError("live_session_ended"))
