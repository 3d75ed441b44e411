"""A client of `/v1/live/webrtc`, by aiortc, on loopback; only imported where aiortc is."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction

import aioice.ice
import aiortc
import av
import httpx
import numpy as np
import pytest
from running import Running

from patience import PATIENCE_SECONDS

PATH = "/v1/live/webrtc"
RATE = 48_000
SMALL = {"size": 192, "quality": "draft"}


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])


class Tone(aiortc.MediaStreamTrack):
    """A microphone that hears a tone for some seconds, then nothing."""

    kind = "audio"

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._phase = 0.0
        self.number = 0  # of the next packet
        self._began: float | None = None

    def hertz(self) -> float:
        return 200.0

    async def recv(self) -> av.AudioFrame:
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        await asyncio.sleep(max(0.0, self._began + self.number * 0.02 - now))
        phases = self._phase + 2 * np.pi * self.hertz() / RATE * np.arange(1, 961)
        self._phase = phases[-1]
        loudness = 9_000 if self.number * 0.02 < self._seconds else 0
        wave = (loudness * np.sin(phases)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.number * 960, Fraction(1, RATE)
        self.number += 1
        return frame


class WebRtcClient:
    """A browser's part: a peer that receives both tracks, and messages."""

    def __init__(self, microphone: aiortc.MediaStreamTrack | None = None) -> None:
        self.peer = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self.pictures: list[av.VideoFrame] = []
        self.sounds: list[np.ndarray] = []
        self.messages: list[dict] = []
        self.location, self.played = "", 0.0
        self.peer.on("track", self._take)
        self.peer.addTransceiver("video", direction="recvonly")
        self.audio = self.peer.addTransceiver(
            microphone or "audio", direction="sendrecv" if microphone else "recvonly"
        )
        self.channel = self.peer.createDataChannel("messages")
        self.channel.on("message", lambda text: self.messages.append(json.loads(text)))
        self._tasks: list[asyncio.Task] = []

    def _take(self, track: aiortc.MediaStreamTrack) -> None:
        self._tasks.append(asyncio.ensure_future(self._receive(track)))

    async def _receive(self, track: aiortc.MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except aiortc.mediastreams.MediaStreamError:
                return
            if track.kind == "video":
                self.pictures.append(frame)
            else:
                self.sounds.append(frame.to_ndarray()[0, ::2])
                self.played = frame.pts / RATE

    async def offer(self) -> dict:
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return {"type": "offer", "sdp": self.peer.localDescription.sdp}

    async def connect(self, server: Running, **options) -> httpx.Response:
        body = {**await self.offer(), **SMALL, **options}
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS) as http:
            answer = await http.post(server.url + PATH, json=body)
        if answer.status_code == 201:
            self.location = answer.headers["location"]
            given = aiortc.RTCSessionDescription(**self.take_answer(answer.json()))
            await self.peer.setRemoteDescription(given)
        return answer

    def take_answer(self, answer: dict) -> dict:
        return answer

    def times(self) -> tuple[float, float]:
        """When the last picture and sound are played, seconds, each from a zero of its own."""
        return self.pictures[-1].pts / 90_000, self.played

    def heard(self) -> np.ndarray:
        return np.concatenate([np.zeros(0, np.int16), *self.sounds]).astype(float)

    def of(self, kind: str) -> list[dict]:
        return [message for message in self.messages if message["type"] == kind]

    async def close(self) -> None:
        await self.peer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not happened():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def connected(
    server: Running,
    microphone: Tone | None = None,
    client: WebRtcClient | None = None,
    **options,
) -> AsyncIterator[WebRtcClient]:
    client = client or WebRtcClient(microphone)
    try:
        answer = await client.connect(server, **options)
        assert answer.status_code == 201, answer.text
        await until(lambda: client.of("ready"))
        yield client
    finally:
        await client.close()
