"""Who opened a live session, and the whole conversation with them, whatever carries it."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from multitalk.messages import Locale
from multitalk.serving.api.dependencies import base_url_of, caller_of
from multitalk.serving.api.live.conversation import ClientLink, LiveConversation
from multitalk.serving.api.live.models import LiveOptions
from multitalk.serving.api.live.recorder import LiveRecorder
from multitalk.serving.api.live.session import portrait_of
from multitalk.serving.api.responses import locale_of
from multitalk.serving.api.services import Services
from multitalk.serving.live.session_pool import LiveSession


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
            services,
            session,
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
