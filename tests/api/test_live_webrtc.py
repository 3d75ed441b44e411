"""`/v1/live/webrtc`: a portrait speaks to an aiortc client, on loopback."""

import asyncio
import json
import os
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from running import Running, running

from multitalk.serving.live.sessions import LiveSession
from multitalk.settings import Settings
from patience import wait_until

aiortc = pytest.importorskip("aiortc", reason="the extra `live-webrtc` is not installed")
import av  # noqa: E402
from webrtc_client import (  # noqa: E402
    PATH,
    RATE,
    SMALL,
    Tone,
    WebRtcClient,
    connected,
    only_loopback,  # noqa: F401
    until,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("webrtc"), works=False, live_sessions=2) as started:
        yield started


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


def test_what_waits_behind_a_late_packet_of_the_microphone_leaves_with_it():
    """Else a connection's sound would be later with each packet that was late."""
    from aiortc.rtp import RtpPacket

    from multitalk.serving.live.peer_microphone import pass_on_at_once

    class Receiver:
        """What a receiver has of the two."""

    receiver = Receiver()
    pass_on_at_once(receiver)
    buffer = receiver._RTCRtpReceiver__jitter_buffer
    decoding = receiver._RTCRtpReceiver__decoder_queue
    waiting = []
    for number in (0, 1, 2, 4, 5, 6, 7, 8, 3, 9):  # 3 comes late
        packet = RtpPacket(sequence_number=number, timestamp=960 * number)
        packet._data = bytes([number])
        _, frame = buffer.add(packet)
        if frame is not None:
            decoding.put(("opus", frame))
        waiting.append(decoding.qsize())
    assert waiting == [0, 1, 2, 2, 2, 2, 2, 2, 8, 9]  # all but the last, which may go on
    assert [decoding.get()[1].data[0] for _ in range(9)] == list(range(9))


class HurriedLoop(asyncio.SelectorEventLoop):
    """An event loop in which time passes at once where nothing is to be done."""

    now = 1_000.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0].when())
        super()._run_once()


def test_four_minutes_of_tracks_need_what_one_needs_and_end_in_time():
    from multitalk.serving.live.messages import ClientFrame
    from multitalk.serving.live.peer_tracks import EncodedVideo, FrameClock, PacedAudio

    minutes, sizes, late = 4, [], []

    async def receive(track: aiortc.MediaStreamTrack, pts: list[int]) -> None:
        while True:
            packet = await track.recv()
            pts[:] = [packet.pts * packet.time_base]

    async def run() -> None:
        loop = asyncio.get_running_loop()
        clock, audio, video = FrameClock(), PacedAudio(), EncodedVideo()
        heard, seen = [], []
        tasks = [loop.create_task(receive(audio, heard)), loop.create_task(receive(video, seen))]
        for number in range(minutes * 60 * 25):
            rate = (16_000, 48_000)[number // 250 % 2]
            pcm = bytes(2 * (rate // 25))
            frame = ClientFrame(number, number % 250 == 0, rate, b"picture", pcm)
            is_stalled = number % 2_000 < 40
            seconds = clock.next(loop.time(), is_played=not is_stalled)
            video.put(frame, seconds)
            if not is_stalled:
                audio.put(frame, seconds)
            await asyncio.sleep(2.0 if number % 2_000 == 1_999 else 0.04)
            if number % 1_500 == 1_100:
                sizes.append((audio._packets.qsize(), video._packets.qsize()))
                late.append(loop.time() - float(max(heard[0], seen[0])))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    loop = HurriedLoop()
    try:
        loop.run_until_complete(run())
    finally:
        loop.close()
    assert len(sizes) == minutes
    assert max(max(pair) for pair in sizes) <= 2
    assert max(late) - min(late) < 0.1


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
    level = np.concatenate([packet.to_ndarray()[0, ::2] for packet in packets])
    assert np.median(level) == pytest.approx(5_000, abs=50)
