"""The avatar as a participant of its own, by LiveKit's audio streams, without a media server."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import numpy as np
import pytest

rtc = pytest.importorskip("livekit.rtc", reason="the extra `livekit` is not installed")
agents = pytest.importorskip("livekit.agents", reason="the extra `livekit` is not installed")
from agents import load  # noqa: E402
from aiohttp import web  # noqa: E402
from livekit import api  # noqa: E402
from livekit_rooms import Meeting  # noqa: E402

from multitalk.integrations.livekit import RemoteAvatarSession  # noqa: E402
from multitalk.integrations.livekit.dispatcher import Dispatcher  # noqa: E402
from multitalk.integrations.livekit.worker import run_avatar  # noqa: E402
from multitalk.live import Avatar  # noqa: E402
from patience import PATIENCE_SECONDS  # noqa: E402

PORTRAIT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
RATE = 24_000
SECRET = "of a server that is not asked, 32 characters"
# In place of a worker: keeps what it is given, and lives until it is asked to end.
STAND_IN = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1]).joinpath(os.environ["LIVEKIT_TOKEN"][-8:]).write_text(
    os.environ["LIVEKIT_URL"] + " " + os.environ.get("MULTITALK_DISPATCH_KEY", "no key")
)
time.sleep(600)
"""


def speech(seconds: float, rate: int = RATE) -> "rtc.AudioFrame":
    times = np.arange(round(seconds * rate)) / rate
    samples = (8000 * np.sin(2 * np.pi * 150 * times)).astype(np.int16)
    return rtc.AudioFrame(samples.tobytes(), rate, 1, len(samples))


async def until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not happened():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def listening(application: web.Application) -> AsyncIterator[str]:
    """An application on loopback; its address."""
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/launch"
    finally:
        await runner.cleanup()


def remote_session(url: str, **options) -> RemoteAvatarSession:
    return RemoteAvatarSession(
        url,
        sample_rate=RATE,
        livekit_url="ws://127.0.0.1:1",
        api_key="key",
        api_secret=SECRET,
        **options,
    )


@asynccontextmanager
async def dispatching(launched: list[dict]) -> AsyncIterator[str]:
    """A dispatcher that only keeps what it is asked for."""

    async def launch(request: web.Request) -> web.Response:
        launched.append(await request.json())
        return web.json_response({})

    application = web.Application()
    application.router.add_post("/launch", launch)
    async with listening(application) as url:
        yield url


async def talk(output: object) -> list:
    """Speech, two interrupted in a row, and speech; what the agent hears of its playback."""
    finished: list = []
    output.on("playback_finished", finished.append)
    await output.capture_frame(speech(0.6))
    output.flush()
    await until(lambda: len(finished) == 1)
    for _ in range(2):
        started = asyncio.Event()
        output.once("playback_started", lambda _, started=started: started.set())
        await output.capture_frame(speech(20.0))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await started.wait()
        output.flush()
        output.clear_buffer()
        await output.wait_for_playout()
    await output.capture_frame(speech(0.4, rate=16_000))
    output.flush()
    await until(lambda: len(finished) == 4)
    return finished


def test_an_agent_hears_of_playback_and_interruptions_and_the_avatar_leaves_with_it(monkeypatch):
    for name, value in (("URL", "ws://127.0.0.1:1"), ("API_KEY", "key"), ("API_SECRET", SECRET)):
        monkeypatch.setenv(f"LIVEKIT_{name}", value)

    async def run() -> tuple[list, list, dict]:
        meeting, launched, metrics = Meeting(), [], []
        room, session = meeting.join("agent"), agents.AgentSession()
        session.on("metrics_collected", lambda event: metrics.append(event.metrics))
        async with dispatching(launched) as url:
            monkeypatch.setenv("AVATAR_DISPATCHER_URL", url)
            remote = await load("livekit_remote").add_face(session, room)
        with Avatar(PORTRAIT, size=192, quality="draft") as avatar:
            avatars_room = meeting.join(remote.avatar_identity)
            worker = asyncio.create_task(run_avatar(avatars_room, avatar, sample_rate=RATE))
            await until(lambda: metrics)
            finished = await talk(session.output.audio)
            meeting.leave("agent")
            async with asyncio.timeout(PATIENCE_SECONDS):
                await worker
        await remote.aclose()
        return finished, metrics, launched[0]

    (first, *cut, last), metrics, request = asyncio.run(run())
    assert not first.interrupted
    assert first.playback_position == pytest.approx(0.6, abs=0.05)
    assert all(each.interrupted and each.playback_position < 10 for each in cut)
    assert not last.interrupted
    assert last.playback_position == pytest.approx(0.4, abs=0.05)
    assert metrics[0].type == "avatar_metrics"
    assert metrics[0].metadata.model_provider == "multitalk"
    assert metrics[0].avatar_joined_time >= metrics[0].session_started_time
    claims = api.TokenVerifier("key", SECRET).verify(request["token"])
    assert (claims.identity, claims.video.room) == ("multitalk-avatar", "meeting")
    assert claims.attributes["lk.publish_on_behalf"] == "agent"
    assert (request["room_name"], request["url"]) == ("meeting", "ws://127.0.0.1:1")


def test_a_dispatcher_starts_one_worker_for_a_room_and_ends_all_at_its_end(tmp_path):
    command = [sys.executable, "-c", STAND_IN, str(tmp_path)]

    async def run() -> None:
        dispatcher = Dispatcher(command, limit=2, key="secret")
        async with listening(dispatcher.application()) as url, aiohttp.ClientSession() as client:

            async def launch(token: str, room: str = "meeting", key: str = "secret") -> int:
                body = {"room_name": room, "url": "ws://there", "token": token}
                headers = {"Authorization": f"Bearer {key}"}
                async with client.post(url, json=body, headers=headers) as answer:
                    return answer.status

            assert await launch("token--1", key="guess") == 401
            assert await launch("") == 400
            assert dispatcher.rooms == []
            assert await launch("token--1") == 200
            first = dispatcher._workers["meeting"]
            await until((tmp_path / "token--1").exists)
            assert (tmp_path / "token--1").read_text() in ("", "ws://there no key")
            assert await launch("token--2") == 200  # the agent was started again
            assert first.returncode is not None
            assert await launch("token--3", room="another") == 200
            assert await launch("token--4", room="a third") == 503
            assert sorted(dispatcher.rooms) == ["another", "meeting"]
            running = list(dispatcher._workers.values())
        assert all(worker.returncode is not None for worker in running)

    asyncio.run(run())


def test_an_agent_gets_the_dispatchers_refusal():
    async def run() -> None:
        room = Meeting().join("agent")
        async with listening(Dispatcher(["true"], limit=0).application()) as url:
            with pytest.raises(agents.APIStatusError, match="as many as this machine carries"):
                await remote_session(url).start(agents.AgentSession(), room)
        with pytest.raises(agents.APIConnectionError, match="no dispatcher answers"):
            await remote_session(url).start(agents.AgentSession(), room)

    asyncio.run(run())
