"""`WebSocket /v1/live`: a portrait speaks what is sent, and a session troubles nobody else."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from live_client import END, KEY, RATE, SMALL, SPEAKING, Live, connected, session, tone
from running import Running, running

from multitalk.provenance.marks import planes_to_look_at
from multitalk.serving.live import webrtc_peer
from multitalk.watermark.picture import PictureDetector
from patience import wait_until

client = pytest.importorskip("websockets.sync.client")
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("live"), works=False, live_sessions=2) as started:
        yield started


@pytest.fixture
def live(server: Running) -> Iterator[Live]:
    with session(server) as opened:
        yield opened


def test_pictures_and_silence_come_before_anything_is_said(server):
    with session(server) as live:
        assert (live.ready["fps"], live.ready["width"], live.ready["height"]) == (25, 192, 192)
        frames = [live.frame() for _ in range(8)]
    assert [frame.number for frame in frames] == list(range(8))
    assert frames[0].flags & KEY
    assert not any(frame.flags & SPEAKING or frame.pcm.any() for frame in frames)
    decoder = av.CodecContext.create("h264", "r")
    pictures = [picture for frame in frames for picture in decoder.decode(av.Packet(frame.video))]
    assert {(picture.width, picture.height) for picture in pictures} == {(192, 192)}
    assert len(pictures) >= 7  # without delay


def test_pushed_sound_comes_back_as_it_was_with_its_frames(live):
    sound = tone(0.6)
    live.socket.send(sound)
    live.send(type="flush")
    frames = [live.frame(SPEAKING)]
    while not frames[-1].flags & END:
        frames.append(live.frame())
    heard = np.concatenate([frame.pcm for frame in frames])
    np.testing.assert_array_equal(heard, np.frombuffer(sound, "<i2"))
    assert {frame.rate for frame in frames} == {RATE}


def test_a_text_is_spoken(live):
    pytest.importorskip("espeakng_loader", reason="no synthesizer is installed")
    live.send(type="say", text="Hello.")
    frames = [live.frame(SPEAKING)]
    while not frames[-1].flags & END:
        frames.append(live.frame())
    assert np.concatenate([frame.pcm for frame in frames]).std() > 300


def test_an_interrupted_text_ends_at_once(live):
    live.socket.send(tone(20))
    live.frame(SPEAKING)
    live.send(type="interrupt")
    last = live.frame(END)
    after = [live.frame() for _ in range(5)]
    assert last.number < 20 * 25
    assert not any(frame.flags & SPEAKING or frame.pcm.any() for frame in after)


def test_a_key_frame_comes_when_it_is_asked_for(live):
    live.frame()
    live.send(type="key_frame")
    assert live.frame(KEY).number > 0


def test_a_wrong_message_is_refused_and_the_session_goes_on(live):
    for message, sentence in (
        ('{"type": "sing"}', '"sing" is no type of message'),
        ("{", "not JSON that can be read"),
        ("[]", "must be a JSON object"),
        ('{"type": "say"}', "input"),
        (b"\0\0\0", "odd number of bytes"),
    ):
        live.socket.send(message)
        assert sentence in live.message("error")["error"]
        live.frame()


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        ({"type": "begin"}, "type"),
        ({"type": "start", "size": 5}, "size"),
        ({"type": "start", "sample_rate": 16_001}, "sample_rate"),
        ({"type": "start", "portrait": "/etc/passwd"}, "no upload"),
        ({"type": "start", "portrait": f"upload://{'0' * 32}"}, "upload"),
    ],
)
def test_a_wrong_start_is_refused(server, start, sentence):
    with connected(server) as live:
        live.send(**start)
        refused = live.message("error")
        assert sentence in refused["error"]
        with pytest.raises(ConnectionClosed):
            live.next()


def test_errors_and_warnings_are_in_the_language_that_the_start_names(server):
    with session(server, locale="ko") as live:
        assert any("얼굴" in warning for warning in live.ready["warnings"])
        live.send(type="sing")
        assert "메시지" in live.message("error")["error"]


def test_an_uploaded_portrait_speaks_and_one_without_a_face_is_refused(server):
    picture = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
    with server.client() as http:
        uploaded = http.post("/uploads", content=picture.read_bytes()).json()["source"]
        nobody = http.post("/uploads", content=plain_png()).json()["source"]
    with session(server, portrait=uploaded) as live:
        assert live.frame().video
    with connected(server) as live:
        live.send(**SMALL, portrait=nobody)
        assert live.message("error")["code"] == "no_face_found"


def plain_png() -> bytes:
    import cv2

    return cv2.imencode(".png", np.full((200, 200, 3), 90, np.uint8))[1].tobytes()


def test_one_session_too_many_is_refused_with_a_sentence(server):
    with session(server), session(server), connected(server) as third:
        third.send(**SMALL)
        refused = third.message("error")
        assert refused["code"] == "too_many_requests"
        assert "2 live sessions" in refused["error"]
    wait_until(lambda: server.services.live.count == 0)
    with session(server) as live:  # a closed page frees its session
        live.frame()


def test_a_killed_session_ends_its_connection_only(server):
    with session(server) as live, session(server) as other:
        os.kill(server.services.live.pids[-1], signal.SIGKILL)
        assert other.message("error")["code"] == "internal_error"
        with pytest.raises(ConnectionClosed):
            other.next()
        live.frame()
    wait_until(lambda: server.services.live.count == 0)


def test_a_key_is_needed_where_there_are_keys(tmp_path):
    with running(tmp_path, works=False) as server:
        _, token = server.keys.add("laptop")
        with pytest.raises(InvalidStatus) as refused, connected(server):
            pass
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["code"] == "unauthorized"
        offered = ["multitalk.live.v1", f"multitalk.key.{token}"]
        with connected(server, subprotocols=offered) as live:
            assert live.socket.subprotocol == "multitalk.live.v1"


def test_webrtc_without_its_extra_says_how_to_install_it(server, monkeypatch):
    monkeypatch.setattr(webrtc_peer, "find_spec", lambda _: None)
    with server.client() as http:
        refused = http.post("/v1/live/webrtc", json={"type": "offer", "sdp": "v=0"})
    assert refused.status_code == 404
    assert "live-webrtc" in refused.json()["error"]["message"]


def test_another_sites_page_is_refused(server):
    with pytest.raises(InvalidStatus) as refused, connected(server, origin="https://evil.example"):
        pass
    assert refused.value.response.status_code == 403


def test_the_picture_carries_the_watermark(server):
    decoder, detector = av.CodecContext.create("h264", "r"), PictureDetector()
    with session(server, size=512) as live:
        for _ in range(8):
            for picture in decoder.decode(av.Packet(live.frame().video)):
                detector.add(*planes_to_look_at(picture))
    assert detector.find().is_marked
