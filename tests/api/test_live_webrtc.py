"""`/v1/live/webrtc`: a portrait speaks to an aiortc client, on loopback."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from fractions import Fraction

import httpx
import numpy as np
import pytest
from running import Running, running

from multitalk.serving.live.session_pool import LiveSession
from multitalk.settings import Settings
from patience import PATIENCE_SECONDS, wait_until

aiortc = pytest.importorskip("aiortc", reason="the extra `live-webrtc` is not installed")
import aioice.ice  # noqa: E402
import av  # noqa: E402

PATH = "/v1/live/webrtc"
RATE = 48_000
SMALL = {"size": 192, "quality": "draft"}


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("webrtc"), works=False, live_sessions=2) as started:
        yield started


class Tone(aiortc.MediaStreamTrack):
    """A microphone that hears a tone for some seconds, then nothing."""

    kind = "audio"

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._number = 0
        self._began: float | None = None

    async def recv(self) -> av.AudioFrame:
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        await asyncio.sleep(max(0.0, self._began + self._number * 0.02 - now))
        times = np.arange(self._number * 960, self._number * 960 + 960) / RATE
        loudness = 9_000 if self._number * 0.02 < self._seconds else 0
        wave = (loudness * np.sin(2 * np.pi * 200 * times)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._number * 960, Fraction(1, RATE)
        self._number += 1
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
            await self.peer.setRemoteDescription(aiortc.RTCSessionDescription(**answer.json()))
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
async def connected(server: Running, microphone=None, **options) -> AsyncIterator[WebRtcClient]:
    client = WebRtcClient(microphone)
    try:
        answer = await client.connect(server, **options)
        assert answer.status_code == 201, answer.text
        await until(lambda: client.of("ready"))
        yield client
    finally:
        await client.close()


def test_a_microphone_is_spoken_and_picture_and_sound_go_on(server):
    async def run() -> WebRtcClient:
        async with connected(server, Tone(1.5)) as client:
            await until(lambda: np.abs(client.heard()).max(initial=0) > 5_000)
            await until(lambda: {"type": "speech", "speaking": True} in client.of("speech"))
            began = client.times()
            await until(lambda: min(np.subtract(client.times(), began)) > 1)
        return client

    client = asyncio.run(run())
    assert {(one.width, one.height) for one in client.pictures} == {(192, 192)}
    spectrum = np.abs(np.fft.rfft(client.heard()))
    assert np.argmax(spectrum) * RATE / len(client.heard()) == pytest.approx(200, abs=5)
    wait_until(lambda: server.services.live.count == 0)


def test_sender_reports_relate_both_tracks_to_one_clock(server):
    """However late the last packet before a report was sent, on a machine that is busy."""
    reports: dict[str, list[float]] = {"audio": [], "video": []}

    def note(receiver: aiortc.RTCRtpReceiver, rate: int) -> None:
        handle, kind = receiver._handle_rtcp_packet, receiver.track.kind

        async def handle_and_note(packet: object) -> None:
            if isinstance(packet, aiortc.rtp.RtcpSrPacket):
                info = packet.sender_info
                zero = info.ntp_timestamp / 2**32 - info.rtp_timestamp / rate
                reports[kind].append(zero % (2**32 / rate))
            await handle(packet)

        receiver._handle_rtcp_packet = handle_and_note

    async def run() -> None:
        async with connected(server, Tone(30)) as client:
            await until(lambda: len(client.pictures) > 5 and client.sounds)
            for transceiver, rate in zip(
                client.peer.getTransceivers(), (90_000, RATE), strict=True
            ):
                note(transceiver.receiver, rate)
            await until(lambda: min(map(len, reports.values())) >= 4)

    asyncio.run(run())
    for zeros in reports.values():
        assert (
            np.ptp(sorted(zeros)[1:]) < 0.002
        )  # seconds; one may be of a moment in which time jumped


def test_messages_are_those_of_the_websocket(server):
    pytest.importorskip("espeakng_loader", reason="no synthesizer is installed")

    async def run() -> WebRtcClient:
        async with connected(server) as client:
            await until(lambda: len(client.pictures) > 5)  # idle, it is there
            client.channel.send(json.dumps({"type": "say", "text": "Hello. " * 40}))
            await until(lambda: np.abs(client.heard()).max(initial=0) > 1_000)
            client.channel.send(json.dumps({"type": "interrupt"}))
            await until(lambda: {"type": "speech", "speaking": False} in client.of("speech"))
            client.channel.send(json.dumps({"type": "sing"}))
            client.channel.send(b"\0\0")
            await until(lambda: len(client.of("error")) == 2)
            await until(lambda: client.of("stats"))
        return client

    client = asyncio.run(run())
    assert client.of("ready")[0]["width"] == 192
    assert '"sing" is no type of message' in client.of("error")[0]["error"]
    assert len(client.heard()) < 20 * RATE


def test_a_client_that_lost_a_picture_gets_a_key_frame(server, monkeypatch):
    asked: list[LiveSession] = []
    ask = LiveSession.ask_for_key_frame

    async def ask_for_key_frame(session: LiveSession) -> None:
        asked.append(session)
        await ask(session)

    monkeypatch.setattr(LiveSession, "ask_for_key_frame", ask_for_key_frame)

    async def run() -> None:
        async with connected(server) as client:
            await until(lambda: len(client.pictures) > 15)
            before = len(asked)
            receiver = client.peer.getTransceivers()[0].receiver
            (source,) = receiver.getSynchronizationSources()
            await receiver._send_rtcp_pli(source.source)
            await until(lambda: len(asked) > before)

    asyncio.run(run())


def test_a_client_that_leaves_frees_its_session_at_once_and_delete_ends_one(server):
    async def run() -> None:
        async with connected(server), connected(server) as second:
            full = await WebRtcClient().connect(server)
            assert full.status_code == 429
            assert "2 live sessions" in full.json()["error"]["message"]
            with server.client() as http:
                assert http.delete(f"{PATH}/{'0' * 32}").status_code == 404
                assert http.delete(second.location).status_code == 204
                assert http.delete(second.location).status_code == 404
            assert server.services.live.count == 1
            await until(lambda: second.peer.connectionState == "closed")
        await until(lambda: server.services.live.count == 0)

    asyncio.run(run())


def test_a_killed_session_ends_its_connection(server):
    async def run() -> None:
        async with connected(server) as client:
            os.kill(server.services.live.pids[-1], 9)
            await until(lambda: client.peer.connectionState == "closed")
        await until(lambda: server.services.live.count == 0)

    asyncio.run(run())


def test_a_wrong_offer_is_refused_by_name(server):
    async def run() -> None:
        client = WebRtcClient()
        sdp = (await client.offer())["sdp"]
        await client.close()
        without_h264 = sdp.replace("H264/90000", "H265/90000")
        data_only = sdp[: sdp.index("m=")] + sdp[sdp.index("m=application") :]
        with server.client() as http:
            for given, sentence in (
                ({"sdp": "v=0"}, "sdp"),
                ({"sdp": without_h264}, "no H.264"),
                ({"sdp": data_only}, "application"),
                ({"sdp": sdp, "size": 1280}, "size"),
                ({"sdp": sdp, "portrait": "/etc/passwd"}, "no upload"),
                ({"sdp": sdp, "type": "answer"}, "type"),
                ({}, "sdp"),
            ):
                answer = http.post(PATH, json={"type": "offer", **SMALL, **given})
                assert answer.status_code == 400, answer.text
                assert sentence in answer.json()["error"]["message"]
        assert server.services.live.count == 0

    asyncio.run(run())


def test_another_sites_page_is_refused(server):
    with server.client() as http:
        answer = http.post(PATH, json={}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


def test_a_server_for_this_machine_has_candidates_of_it_only_and_names_its_ice_servers(tmp_path):
    settings = Settings.from_env(
        {"MULTITALK_ICE_SERVERS": "turn:me:se%20cret@127.0.0.1:9?transport=udp stun:127.0.0.1:9"}
    )

    async def run(server: Running) -> httpx.Response:
        client = WebRtcClient()
        answer = await client.connect(server)
        await client.close()
        return answer

    with running(tmp_path, works=False, settings=settings) as server:
        answer = asyncio.run(run(server))
    lines = answer.json()["sdp"].splitlines()
    hosts = {line.split()[4] for line in lines if line.startswith("a=candidate")}
    assert hosts == {"127.0.0.1"}
    assert answer.headers["link"] == (
        '<turn:127.0.0.1:9?transport=udp>; rel="ice-server"; username="me"; '
        'credential="se cret"; credential-type="password", <stun:127.0.0.1:9>; rel="ice-server"'
    )


def test_frames_are_played_one_after_the_other_without_the_time_in_which_none_came():
    from multitalk.serving.live.peer_tracks import FrameClock

    clock = FrameClock()
    assert clock.next(100.0) == 100.0
    assert clock.next(100.19) == pytest.approx(100.04)  # late, but not lost
    assert clock.next(103.0) == pytest.approx(103.0)  # the machine was too slow
    times = [clock.next(103.01, is_played=False) for _ in range(3)]  # decoded, not shown
    assert [*times, clock.next(103.02)] == pytest.approx([103.001, 103.002, 103.003, 103.04])


def test_sound_of_any_rate_is_played_in_time_with_its_frames():
    from multitalk.serving.live.messages import ClientFrame
    from multitalk.serving.live.peer_tracks import EncodedVideo, PacedAudio

    async def run() -> tuple[list[av.AudioFrame], list[av.Packet]]:
        audio, video = PacedAudio(), EncodedVideo()
        for number, rate in enumerate((16_000, 22_050, 48_000)):
            pcm = np.full(rate // 25, 5_000, "<i2").tobytes()
            frame = ClientFrame(number, 1, rate, b"picture", pcm)
            audio.put(frame, number / 25)
            video.put(frame, number / 25)
        packets = [await audio.recv() for _ in range(6)]
        return packets, [await video.recv() for _ in range(3)]

    packets, pictures = asyncio.run(run())
    assert [picture.pts for picture in pictures] == [0, 3600, 7200]
    assert [(packet.pts, packet.samples) for packet in packets] == [
        (start, 960) for start in range(0, 5760, 960)
    ]
    level = np.concatenate([packet.to_ndarray()[0] for packet in packets])
    assert np.median(level) == pytest.approx(5_000, abs=50)
