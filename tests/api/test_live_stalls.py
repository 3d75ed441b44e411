"""A live session over a network that stalls: real bytes, held back by a proxy between.

A microphone's packets say by their samples which they are, so each frame tells how late it is:
how many packets had been sent when it came, beyond the last that it carries.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
import pytest
from running import Running, running

websockets = pytest.importorskip("websockets", reason="the extra `serve` is needed")
from live_client import END, SMALL, SPEAKING, Frame  # noqa: E402

from loopback_proxy import LoopbackProxy, proxied  # noqa: E402
from patience import PATIENCE_SECONDS, Attempts, wait_until  # noqa: E402

Result = TypeVar("Result")

CATCHING_UP = 8
PACKET = 320  # samples: 20 ms at 16 kHz
FIRST = 1_000  # the value of the first packet's samples: low, and not silence
STALL_SECONDS = 2.0
SECOND = 50  # packets
USUAL_PACKETS = 8  # by which a frame is late: look-ahead, and some for the way
# By which sound may be later than before the stall, in packets: the test machine may be busy. What
# is never caught up with would be 100.
MARGIN = 15
# Share of the frames that a busy machine may leave without a picture of their own: also the client
# may be held up, and send at once what it should have sent in time.
BUSY = 0.15


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("stalls"), works=False, live_sessions=2) as started:
        yield started


@dataclass(frozen=True)
class Heard:
    """A frame with sound, as it came.

    Attributes:
        frame: The frame.
        sent: Packets that had been sent.
        last: Number of the last packet that it carries.
    """

    frame: Frame
    sent: int
    last: int

    @property
    def late(self) -> int:
        return self.sent - self.last

    @property
    def is_catching_up(self) -> bool:
        return bool(self.frame.flags & CATCHING_UP)


class Microphone:
    """A client that speaks in packets of 20 ms, and keeps what comes back."""

    def __init__(self, socket: "websockets.ClientConnection") -> None:
        self.sent = 0
        self.frames: list[Frame] = []
        self.heard: list[Heard] = []
        self._socket = socket

    async def speak(self, seconds: float) -> None:
        """Send packets in real time; those that are due on a busy machine, at once."""
        loop = asyncio.get_running_loop()
        begins, first = loop.time(), self.sent
        for number in range(round(50 * seconds)):
            await asyncio.sleep(max(0.0, begins + 0.02 * number - loop.time()))
            packet = np.full(PACKET, FIRST + first + number, "<i2")
            await self._socket.send(packet.tobytes())
            self.sent = first + number + 1

    async def listen(self) -> None:
        """Keep frames, up to one that ends the speech."""
        async for message in self._socket:
            if isinstance(message, str):
                assert json.loads(message)["type"] in ("ready", "stats"), message
                continue
            frame = Frame.of(message)
            self.frames.append(frame)
            if frame.flags & SPEAKING:
                self.heard.append(Heard(frame, self.sent, int(frame.pcm[-1]) - FIRST + 1))
            if frame.flags & END:
                return

    def packets(self) -> list[int]:
        """Numbers of the packets that came back, in order."""
        pcm = np.concatenate([each.frame.pcm for each in self.heard]).reshape(-1, PACKET)
        assert (pcm == pcm[:, :1]).all()
        return [int(value) - FIRST for value in pcm[:, 0] if value]


def in_time(work: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(asyncio.wait_for(work, PATIENCE_SECONDS))


def usual(heard: list[Heard]) -> float:
    return float(np.median([each.late for each in heard]))


def share_catching_up(heard: list[Heard]) -> float:
    return float(np.mean([each.is_catching_up for each in heard]))


def assert_whole(microphone: Microphone) -> None:
    """No sound was lost, and no frame: that holds on a busy machine too, so it is not repeated."""
    lost = set(range(microphone.sent)) ^ set(microphone.packets())
    numbers = [each.number for each in microphone.frames]
    is_in_order = microphone.packets() == sorted(microphone.packets())
    if lost or not is_in_order or numbers != list(range(len(numbers))):
        pytest.fail(f"lost or repeated packets: {sorted(lost)}; frames: {numbers}")


@asynccontextmanager
async def talking(proxy: LoopbackProxy) -> AsyncIterator[Microphone]:
    """A session that has begun; its frames are kept until its speech ends."""
    async with websockets.connect(f"ws://127.0.0.1:{proxy.port}/v1/live", max_size=None) as socket:
        await socket.send(json.dumps(SMALL))
        microphone = Microphone(socket)
        listening = asyncio.create_task(microphone.listen())
        while not microphone.frames and not listening.done():
            await asyncio.sleep(0.02)
        yield microphone
        await socket.send('{"type": "flush"}')
        await listening


@asynccontextmanager
async def speaking(server: Running) -> AsyncIterator[tuple[LoopbackProxy, Microphone]]:
    """A session through a proxy of its own."""
    async with proxied(urlsplit(server.url).port) as proxy, talking(proxy) as microphone:
        yield proxy, microphone


@dataclass(frozen=True)
class Stall:
    """What a microphone heard of itself; packets sent before the stall, and up to its end."""

    microphone: Microphone
    began: int
    ended: int


async def stalled(server: Running, way: str) -> Stall:
    async with speaking(server) as (proxy, microphone):
        await microphone.speak(2.0)
        began = microphone.sent
        getattr(proxy, way).hold()
        await microphone.speak(STALL_SECONDS)
        getattr(proxy, way).release()
        ended = microphone.sent
        await microphone.speak(2.5)
    return Stall(microphone, began, ended)


async def shaken(server: Running, way: str) -> Microphone:
    """3 % of what passes comes 200 ms late, and holds back what is behind it; then none."""
    luck = random.Random(5)
    async with speaking(server) as (proxy, microphone):
        getattr(proxy, way).delay = lambda: 0.2 * (luck.random() < 0.03)
        await microphone.speak(5.0)
        getattr(proxy, way).delay = lambda: 0.0
        await microphone.speak(2.0)
    return microphone


async def both_ways(happens: Callable[[Running, str], Awaitable[Result]], server: Running) -> dict:
    """Two sessions at once, for each way what happens there."""
    results = await asyncio.gather(*(happens(server, way) for way in ("up", "down")))
    return dict(zip(("up", "down"), results, strict=True))


@pytest.fixture(scope="module")
def stalls(server) -> Attempts[dict[str, Stall]]:
    return Attempts(lambda: in_time(both_ways(stalled, server)))


@pytest.fixture(scope="module")
def shakes(server) -> Attempts[dict[str, Microphone]]:
    return Attempts(lambda: in_time(both_ways(shaken, server)))


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_second_after_a_stall_nothing_is_late_and_no_sound_was_lost(stalls, way):
    @stalls.judge
    def _(stalls: dict[str, Stall]) -> None:
        stall = stalls[way]
        microphone, heard = stall.microphone, stall.microphone.heard
        before = [each for each in heard if 25 < each.sent <= stall.began]
        after = [each for each in heard if stall.ended + SECOND < each.sent < microphone.sent]
        assert_whole(microphone)
        assert usual(after) <= usual(before) + MARGIN
        assert share_catching_up(after) < BUSY


def test_a_stall_on_the_way_up_leaves_an_idle_face_and_what_piled_up_comes_at_once(stalls):
    @stalls.judge
    def _(stalls: dict[str, Stall]) -> None:
        microphone = stalls["up"].microphone
        assert sum(not each.flags & SPEAKING for each in microphone.frames) >= 35
        assert sum(each.is_catching_up for each in microphone.heard) >= 35


def test_a_stall_on_the_way_down_keeps_the_pictures_of_its_sound(stalls):
    """Of a stall on the other way a third would come without a picture of its own."""

    @stalls.judge
    def _(stalls: dict[str, Stall]) -> None:
        heard = stalls["down"].microphone.heard
        assert np.mean([bool(each.frame.video) for each in heard]) > 1 - BUSY
        assert share_catching_up(heard) < BUSY


@pytest.mark.parametrize("way", ["up", "down"])
def test_packets_that_come_late_now_and_then_make_it_no_later_for_good(shakes, way):
    @shakes.judge
    def _(shakes: dict[str, Microphone]) -> None:
        microphone = shakes[way]
        assert_whole(microphone)
        last = [each for each in microphone.heard if each.sent > microphone.sent - SECOND]
        assert usual(last) <= USUAL_PACKETS + MARGIN
        holes = sum(not each.flags & SPEAKING for each in microphone.frames[10:])
        assert holes <= 0.1 * len(microphone.frames)


def test_a_connection_that_is_gone_is_opened_again_at_once(server):
    """The process in reserve is the new session; the old one is freed."""

    async def run() -> Microphone:
        async with proxied(urlsplit(server.url).port) as proxy:
            with pytest.raises(websockets.ConnectionClosed):
                await talk_until_cut(proxy)
            async with talking(proxy) as second:
                await second.speak(1.0)
        return second

    second = in_time(run())
    assert second.frames[0].number == 0
    assert second.packets() == list(range(second.sent))
    wait_until(lambda: server.services.live.count == 0)


async def talk_until_cut(proxy: LoopbackProxy) -> None:
    async with talking(proxy) as first:
        await first.speak(1.0)
        proxy.cut()
