"""A live session with what its client chose, and its client, whatever carries the session."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from starlette.requests import HTTPConnection

from multitalk.errors import InvalidRequest
from multitalk.messages import Locale
from multitalk.schema.sources import is_upload
from multitalk.schema.validation import brief
from multitalk.serving.api.dependencies import base_url_of, caller_of
from multitalk.serving.api.live.conversation import ClientLink, LiveConversation
from multitalk.serving.api.live.recorder import LiveRecorder
from multitalk.serving.api.models import LiveOptions
from multitalk.serving.api.responses import locale_of
from multitalk.serving.api.services import Services
from multitalk.serving.api.uploads import UploadStore
from multitalk.serving.api.web_page import DIRECTORY
from multitalk.serving.live.sessions import LiveSession
from multitalk.version import __version__
from multitalk.watermark.keys import Payload

FrameForm = Literal["frames", "mp4"]  # H.264 and PCM, or pieces of a fragmented MP4

EXAMPLE = DIRECTORY / "example.jpg"


@asynccontextmanager
async def open_session(
    services: Services,
    options: LiveOptions,
    owner: str,
    *,
    profile: Literal["Baseline", "High"] = "High",
    form: FrameForm = "frames",
    locale: Locale = "en",
) -> AsyncIterator[LiveSession]:
    """A session with these options; meanwhile a process is started for the next one.

    Args:
        services: Of the server.
        options: What the client chose.
        owner: Of the portrait.
        profile: Of the video, see `LiveEncoder`.
        form: Of the frames.
        locale: Of warnings.

    Raises:
        InvalidRequest: The portrait is no upload.
        NotFound: The upload is unknown, or another owner's.
        TooManyRequests: There is no room for another session.
        RequestError: What `Avatar` refuses.
    """
    given = {
        "portrait": str(portrait_of(services.uploads, options, owner)),
        "watermark": _mark() if services.settings.watermark else None,
        "profile": profile,
        "format": form,
        "locale": locale,
        **options.of_avatar(),
    }
    async with services.live.open(given) as session:
        services.sandbox.warm()  # for texts
        yield session


def portrait_of(uploads: UploadStore, options: LiveOptions, owner: str) -> Path:
    """The file of a session's picture.

    Raises:
        InvalidRequest: It is no upload.
        NotFound: The upload is unknown, or another owner's.
    """
    source = options.portrait
    if source is None:
        return EXAMPLE
    if not is_upload(source):
        raise InvalidRequest("live_portrait_refused", field="portrait", value=brief(source))
    return uploads.path(source, field="portrait", owner=owner)


def _mark() -> list[int]:
    """The fields of a session's watermark, with a number of its own."""
    payload = Payload.of(__version__, secrets.token_hex(8))
    return [payload.major, payload.minor, payload.talk]


@dataclass(frozen=True)
class LiveClient:
    """The client that opened a session.

    Attributes:
        owner: Id of their key; empty where none is needed.
        caller: Whose requests are counted together.
        base_url: How they reach this server.
        locale: Of errors.
    """

    owner: str
    caller: str
    base_url: str
    locale: Locale

    @classmethod
    def of(cls, connection: HTTPConnection) -> "LiveClient":
        """The client of a request or a WebSocket."""
        return cls(
            connection.scope["state"]["owner"],
            caller_of(connection),
            base_url_of(connection),
            locale_of(connection.headers.get("accept-language", "")),
        )

    async def converse(
        self,
        services: Services,
        session: LiveSession,
        link: ClientLink,
        options: LiveOptions,
        *,
        rate: int,
    ) -> None:
        """See `LiveConversation.run`.

        Args:
            services: Of the server.
            session: Ready.
            link: To the client.
            options: With which the session was opened.
            rate: Of the sound that comes, samples per second.
        """
        recorder = LiveRecorder(
            session,
            uploads=services.uploads,
            quota=services.quota,
            url_signer=services.url_signer,
            settings=services.settings,
            clock=services.clock,
            owner=self.owner,
            portrait=portrait_of(services.uploads, options, self.owner),
            base_url=self.base_url,
            locale=self.locale,
        )
        await LiveConversation(
            link,
            session,
            speech=services.speech,
            limits=services.limits,
            shutdown=services.shutdown,
            rate=rate,
            caller=self.caller,
            locale=self.locale,
            recorder=recorder,
        ).run()
