"""A slow client: it gets all sound at once, pictures when it has caught up, or is given up."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from running import Running, running

pytest.importorskip("websockets", reason="the extra `serve` is needed")
from live_client import KEY, Frame

from multitalk.errors import LimitExceeded
from multitalk.serving.api.live import conversation as conversations
from multitalk.serving.api.live.conversation import LiveConversation
from multitalk.serving.api.live.recorder import LiveRecorder
from multitalk.serving.api.live.session import EXAMPLE, open_session
from multitalk.serving.api.models import LiveOptions
from patience import PATIENCE_SECONDS

OPTIONS = LiveOptions(size=192, quality="draft")


class ClientLeft(Exception):
    """The client closes its connection."""


class SlowLink:
    """A client's end, which takes messages only while it is open.

    Attributes:
        is_open: Set while messages are taken.
        left: Set when the client leaves.
        frames: That were taken.
        stats: That were taken.
    """

    def __init__(self) -> None:
        self.is_open, self.left = asyncio.Event(), asyncio.Event()
        self.frames: list[Frame] = []
        self.stats: list[dict] = []

    async def receive(self) -> str | bytes:
        await self.left.wait()
        raise ClientLeft

    async def send(self, message: str | bytes) -> None:
        await self.is_open.wait()
        if isinstance(message, bytes):
            self.frames.append(Frame.of(message))
        elif (told := json.loads(message))["type"] == "stats":
            self.stats.append(told)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("slow"), works=False, live_sessions=2) as started:
        yield started


async def conversing(server: Running, link: SlowLink, while_it_talks) -> None:
    """A conversation over this link, until it or what is done meanwhile has ended."""
    services = server.services
    async with open_session(services, OPTIONS, "") as session:
        recorder = LiveRecorder(
            session,
            uploads=services.uploads,
            quota=services.quota,
            url_signer=services.url_signer,
            settings=services.settings,
            clock=services.clock,
            owner="",
            portrait=EXAMPLE,
            base_url=server.url,
            locale="en",
        )
        conversation = LiveConversation(
            link,
            session,
            speech=services.speech,
            limits=services.limits,
            shutdown=services.shutdown,
            rate=16_000,
            caller="",
            locale="en",
            recorder=recorder,
        )
        talking = asyncio.create_task(conversation.run())
        meanwhile = asyncio.create_task(while_it_talks(conversation))
        await asyncio.wait({talking, meanwhile}, return_when=asyncio.FIRST_COMPLETED)
        link.left.set()
        meanwhile.cancel()
        await talking


async def until(happened) -> None:
    async def look() -> None:
        while not happened():
            await asyncio.sleep(0.02)

    await asyncio.wait_for(look(), PATIENCE_SECONDS)


def test_a_client_that_is_behind_gets_all_sound_and_then_pictures_from_a_key_frame_on(server):
    frames: list[Frame] = []

    async def talk() -> None:
        link = SlowLink()

        async def stall(conversation: LiveConversation) -> None:
            link.is_open.set()
            await until(lambda: len(link.frames) > 3)
            link.is_open.clear()
            await until(lambda: conversation._outgoing.qsize() > 2 * conversations.MAX_WAITING)
            link.is_open.set()
            behind = len(link.frames) + 2 * conversations.MAX_WAITING
            await until(lambda: any(one.video for one in link.frames[behind:]))
            frames.extend(link.frames)

        with pytest.raises(ClientLeft):
            await conversing(server, link, stall)

    server.do(talk())
    assert [one.number for one in frames] == list(range(len(frames)))
    assert all(len(one.pcm) for one in frames)
    without = [one.number for one in frames if not one.video]
    assert len(without) > conversations.MAX_WAITING / 2
    assert without == list(range(without[0], without[-1] + 1))
    assert frames[without[-1] + 1].flags & KEY


def test_a_client_that_reads_nothing_is_given_up(server, monkeypatch):
    monkeypatch.setattr(conversations, "GIVEN_UP", 50)  # two seconds, to be shorter

    async def talk() -> None:
        with pytest.raises(LimitExceeded, match="2 s"):
            await conversing(server, SlowLink(), lambda _: asyncio.sleep(PATIENCE_SECONDS))

    server.do(talk())
