"""The agent's side of an avatar that runs in a process of its own: requests it, sends it audio."""

import asyncio
import os
from collections.abc import Mapping

import aiohttp
from livekit import api, rtc
from livekit.agents import AgentSession, APIConnectionError, APIStatusError
from livekit.agents.voice.avatar import AvatarSession, DataStreamAudioOutput
from livekit.agents.voice.room_io import ATTRIBUTE_PUBLISH_ON_BEHALF
from typing_extensions import override

LAUNCH_SECONDS = 10.0
DEFAULT_IDENTITY = "multitalk-avatar"
DEFAULT_SAMPLE_RATE = 24_000  # Hz


class RemoteAvatarSession(AvatarSession):
    """An avatar that a dispatcher starts elsewhere, for the audio of an `AgentSession`.

    Its metrics are LiveKit's `AvatarMetrics`, by the event `metrics_collected`: when it joined, and
    from the first audio frame sent to the start of playback.

    Args:
        dispatcher: URL of a dispatcher's `/launch`.
        key: That the dispatcher wants, if any.
        identity: Of the avatar's participant.
        sample_rate: Of the audio, Hz; the worker must have the same.
        livekit_url: Of the LiveKit server, as the worker reaches it; `LIVEKIT_URL` if None.
        api_key: Of that server; `LIVEKIT_API_KEY` if None.
        api_secret: Of that server; `LIVEKIT_API_SECRET` if None.
    """

    def __init__(
        self,
        dispatcher: str,
        *,
        key: str | None = None,
        identity: str = DEFAULT_IDENTITY,
        sample_rate: int = DEFAULT_SAMPLE_RATE,
        livekit_url: str | None = None,
        api_key: str | None = None,
        api_secret: str | None = None,
    ) -> None:
        super().__init__()
        self._dispatcher = dispatcher
        self._key = key
        self._identity = identity
        self._sample_rate = sample_rate
        self._url = livekit_url or os.environ.get("LIVEKIT_URL", "")
        if not self._url:
            raise ValueError("livekit_url is needed where LIVEKIT_URL is not set")
        self._credentials = (api_key, api_secret)

    @property
    @override
    def avatar_identity(self) -> str:
        return self._identity

    @property
    @override
    def provider(self) -> str:
        return "multitalk"

    @override
    async def start(self, agent_session: AgentSession, room: rtc.Room) -> None:
        """Have the avatar started, and send it what the agent says.

        Raises:
            APIStatusError: The dispatcher refuses, as when it is full.
            APIConnectionError: It does not answer.
        """
        await super().start(agent_session, room)
        await self._launch({"room_name": room.name, "url": self._url, "token": self._token(room)})
        agent_session.output.replace_audio_tail(
            DataStreamAudioOutput(
                room,
                destination_identity=self._identity,
                sample_rate=self._sample_rate,
                wait_remote_track=rtc.TrackKind.KIND_VIDEO,
                wait_playback_start=True,
            )
        )

    def _token(self, room: rtc.Room) -> str:
        """The token with which the avatar joins this room only, and publishes for this agent."""
        token: str = (
            api.AccessToken(*self._credentials)
            .with_identity(self._identity)
            .with_kind("agent")
            .with_grants(api.VideoGrants(room_join=True, room=room.name))
            .with_attributes({ATTRIBUTE_PUBLISH_ON_BEHALF: room.local_participant.identity})
            .to_jwt()
        )
        return token

    async def _launch(self, request: Mapping[str, str]) -> None:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        timeout = aiohttp.ClientTimeout(total=LAUNCH_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as client,
                client.post(self._dispatcher, json=request, headers=headers) as response,
            ):
                text = await response.text()
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            raise APIConnectionError(f"no dispatcher answers at {self._dispatcher}") from error
        if response.status >= 400:
            raise APIStatusError(
                f"the dispatcher starts no avatar: {text[:200]}", status_code=response.status
            )
