"""A WebRTC session over a network that stalls: real datagrams, held back by a relay between."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import pytest
from running import Running, running

aiortc = pytest.importorskip("aiortc", reason="the extra `live-webrtc` is not installed")
from webrtc_client import (  # noqa: E402
    RATE,
    Tone,
    WebRtcClient,
    connected,
    only_loopback,  # noqa: F401
    until,
)

from patience import PATIENCE_SECONDS  # noqa: E402

STALL_SECONDS = 2.0
# The tone rises by a step each half second, so that its pitch says when it was spoken.
LOWEST_HZ, STEP_HZ, STEP_SECONDS = 200, 50, 0.5
NOWHERE = 9  # a port at which nobody answers
CANDIDATE = re.compile(r"(a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1) (\d+) ")


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("stalls"), works=False, live_sessions=2) as started:
        yield started


class RisingTone(Tone):
    """A microphone that hears a tone which says what time it is.

    Attributes:
        step: Of the tone that is spoken now.
    """

    @property
    def step(self) -> int:
        return int(self.number * 0.02 / STEP_SECONDS)

    def hertz(self) -> float:
        return LOWEST_HZ + STEP_HZ * self.step


class Way(asyncio.DatagramProtocol):
    """One end of a relay: what comes here leaves at the other end.

    Attributes:
        peer: To whom this end sends.
        delay: Seconds by which a datagram is late.
    """

    def __init__(self) -> None:
        self.peer: tuple[str, int] | None = None
        self.other: Way | None = None
        self.delay: Callable[[], float] = lambda: 0.0
        self._held: list[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.peer = address
        if self._held is not None:
            self._held.append(data)
        else:
            asyncio.get_running_loop().call_later(self.delay(), self.other.send, data)

    def send(self, data: bytes) -> None:
        if self.peer is not None and not self.transport.is_closing():
            self.transport.sendto(data, self.peer)

    def hold(self) -> None:
        """Let nothing that comes here pass from now on."""
        self._held = []

    def release(self) -> None:
        """Let pass what was held back, at once."""
        held, self._held = self._held or [], None
        for data in held:
            self.other.send(data)


@dataclass(frozen=True)
class Relay:
    """Between a client and a server; `up` receives from the client, `down` from the server."""

    up: Way
    down: Way

    def port(self) -> int:
        return self.up.transport.get_extra_info("sockname")[1]


@asynccontextmanager
async def relayed() -> AsyncIterator[Relay]:
    loop = asyncio.get_running_loop()
    ends = [Way(), Way()]
    ends[0].other, ends[1].other = ends[1], ends[0]
    for end in ends:
        await loop.create_datagram_endpoint(lambda end=end: end, local_addr=("127.0.0.1", 0))
    try:
        yield Relay(*ends)
    finally:
        for end in ends:
            end.transport.close()


class RelayedClient(WebRtcClient):
    """A client that reaches the server through a relay only."""

    def __init__(self, microphone: Tone, relay: Relay) -> None:
        super().__init__(microphone)
        self.microphone, self._relay = microphone, relay

    async def offer(self) -> dict:
        offer = await super().offer()
        return {**offer, "sdp": CANDIDATE.sub(rf"\1 {NOWHERE} ", offer["sdp"])}

    def take_answer(self, answer: dict) -> dict:
        self._relay.down.peer = ("127.0.0.1", int(CANDIDATE.search(answer["sdp"])[2]))
        return {**answer, "sdp": CANDIDATE.sub(rf"\1 {self._relay.port()} ", answer["sdp"])}

    def heard_step(self) -> float:
        """The step of the tone in the last tenth of a second that was heard."""
        sound = self.heard()[-RATE // 10 :]
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 8 * len(sound)))
        hertz = np.argmax(spectrum) * RATE / (8 * len(sound))
        return (hertz - LOWEST_HZ) / STEP_HZ

    def late(self) -> float:
        """By how many seconds what is heard is older than what is spoken."""
        return (self.microphone.step - self.heard_step()) * STEP_SECONDS

    def offset(self) -> float:
        """Picture after sound, by their times; each has a zero of its own."""
        picture, sound = self.times()
        return picture - sound

    async def in_time_again(self, late: float) -> None:
        """Return once sound is no later than it was, within what the tone's steps tell."""
        while await self.over(1, self.late) > late + STEP_SECONDS:
            pass

    async def over(self, seconds: float, figure: Callable[[], float]) -> float:
        """The median of a figure over some seconds."""
        found = []
        for _ in range(round(seconds / 0.05)):
            await asyncio.sleep(0.05)
            found.append(figure())
        return float(np.median(found))


@asynccontextmanager
async def speaking(server: Running) -> AsyncIterator[tuple[Relay, RelayedClient]]:
    """A session through a relay whose microphone has been heard for two seconds."""
    async with relayed() as relay:
        client = RelayedClient(RisingTone(60), relay)
        async with connected(server, client=client):
            await until(lambda: len(client.heard()) and np.abs(client.heard()).max() > 2_500)
            await asyncio.sleep(2)
            yield relay, client


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_stall_is_caught_up_with_and_picture_and_sound_are_in_step(server, way):
    async def run() -> None:
        async with speaking(server) as (relay, client):
            late = await client.over(1, client.late)
            offset = await client.over(1, client.offset)
            getattr(relay, way).hold()
            await asyncio.sleep(STALL_SECONDS)
            getattr(relay, way).release()
            await asyncio.sleep(1)
            pictures = len(client.pictures)
            await client.in_time_again(late)
            assert abs(await client.over(1, client.offset) - offset) <= 0.25 * STALL_SECONDS
            assert len(client.pictures) > pictures + 10

    asyncio.run(asyncio.wait_for(run(), PATIENCE_SECONDS))


@pytest.mark.parametrize("way", ["up", "down"])
def test_datagrams_that_come_late_now_and_then_make_it_no_later_for_good(server, way):
    """3 % of them by 200 ms, so that they overtake each other."""
    luck = random.Random(5)

    async def run() -> None:
        async with speaking(server) as (relay, client):
            late = await client.over(1, client.late)
            getattr(relay, way).delay = lambda: 0.2 * (luck.random() < 0.03)
            await asyncio.sleep(4)
            getattr(relay, way).delay = lambda: 0.0
            await asyncio.sleep(1)
            pictures = len(client.pictures)
            await client.in_time_again(late)
            assert len(client.pictures) > pictures + 5

    asyncio.run(asyncio.wait_for(run(), PATIENCE_SECONDS))
