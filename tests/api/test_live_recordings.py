"""Recordings of live sessions: finished, marked, signed and kept as long as an upload."""

import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from running import Running, running

pytest.importorskip("websockets", reason="the extra `serve` is needed")
from live_client import END, RATE, SPEAKING, Live, session, tone

from multitalk.media.label import read_label
from multitalk.provenance import inspect_video
from multitalk.provenance.marks import planes_to_look_at
from multitalk.serving.api.live import recorder
from multitalk.watermark.picture import PictureDetector
from multitalk.watermark.sound import DETECTION_RATE, SoundDetector
from patience import wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("recordings"), works=False, live_sessions=2) as started:
        yield started


def recorded(live: Live, speech: bytes) -> dict:
    """Record a speech, a little before it and after it."""
    live.send(type="record", action="start")
    started = live.message("recording")
    assert started["state"] == "started"
    live.socket.send(speech)
    live.send(type="flush")
    live.frame(END)
    live.send(type="record", action="stop")
    finished = live.message("recording")
    assert (finished["state"], finished["url"]) == ("finished", started["url"])
    return finished


def downloaded(server: Running, url: str, target: Path) -> Path:
    with server.client() as http:
        answer = http.get(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "video/mp4"
    target.write_bytes(answer.content)
    return target


def test_a_recording_is_a_finished_video_with_its_marks(server, tmp_path):
    speech = tone(2.5)
    with session(server, size=512) as live:
        finished = recorded(live, speech)
        live.frame()  # the session goes on
    path = downloaded(server, finished["url"], tmp_path / "live.mp4")
    assert path.stat().st_size == finished["bytes"]
    assert "AI-generated" in read_label(path).comment
    picture, sound = PictureDetector(), []
    with av.open(str(path)) as video:
        assert video.duration / 1e6 == pytest.approx(finished["seconds"], abs=0.05)
        for frame in video.decode(video=0):
            picture.add(*planes_to_look_at(frame))
    with av.open(str(path)) as video:
        resampler = av.AudioResampler("flt", "mono", DETECTION_RATE)
        for frame in video.decode(audio=0):
            sound += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    whole = np.concatenate(sound)
    assert len(whole) / DETECTION_RATE == pytest.approx(finished["seconds"], abs=0.05)
    assert picture.find().is_marked
    # The speech is in it, with a mark
    first = int(np.flatnonzero(np.abs(whole) > 0.05)[0])
    heard, wanted = whole[first : first + 2 * RATE], np.frombuffer(speech, "<i2") / 32768
    shifted = [np.corrcoef(heard, wanted[lag : lag + 2 * RATE])[0, 1] for lag in range(120)]
    assert max(shifted) > 0.97


def test_it_is_signed_as_every_video(server, tmp_path):
    pytest.importorskip("c2pa", reason="the extra `provenance` is needed")
    with session(server) as live:
        finished = recorded(live, tone(0.4))
    path = downloaded(server, finished["url"], tmp_path / "live.mp4")
    found = inspect_video(path)
    assert (found.manifest.verdict, found.manifest.problems) == ("valid", ())
    assert found.manifest.actions == ("c2pa.created",)


def test_its_address_needs_a_signature_and_answers_ranges(server):
    with session(server) as live:
        finished = recorded(live, tone(0.2))
    with server.client() as http:
        part = http.get(finished["url"], headers={"Range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, b"ftyp")
        wrong = finished["url"].replace("signature=", "signature=0")
        assert http.get(wrong).status_code == 401
        bare = finished["url"].partition("?")[0]
        assert http.get(bare).status_code == 200  # a server without keys
        assert http.get(bare.replace(bare[-8:], "0000.mp4")).status_code == 404


def test_a_session_that_ends_while_it_records_leaves_its_recording(server, tmp_path):
    with session(server) as live:
        live.send(type="record", action="start")
        url = live.message("recording")["url"]
        live.socket.send(tone(1))
        live.frame(SPEAKING)
        for _ in range(10):
            live.frame()
    with server.client() as http:
        wait_until(lambda: http.get(url).status_code == 200)
    with av.open(str(downloaded(server, url, tmp_path / "live.mp4"))) as video:
        assert 10 / 25 <= video.duration / 1e6 < 5


def test_a_recording_that_is_ended_at_once_has_a_frame(server):
    with session(server) as live:
        for _ in range(3):
            for action in ("start", "stop"):
                live.send(type="record", action=action)
            assert live.message("recording")["state"] == "started"
            finished = live.message("recording")
            assert finished["state"] == "finished"
            assert finished["seconds"] > 0


def test_what_cannot_be_recorded_is_refused(server):
    with session(server) as live:
        for action, sentence in (
            ("stop", "not being recorded"),
            ("pause", "pause"),
            ("start", None),
            ("start", "recorded already"),
        ):
            live.send(type="record", action=action)
            if sentence is None:
                live.message("recording")
            else:
                assert sentence in live.message("error")["error"]


def test_a_recording_ends_by_itself_and_one_that_is_too_large_is_lost(server, monkeypatch):
    monkeypatch.setattr(recorder, "MAX_SECONDS", 0.5)
    with session(server, size=512) as live:
        live.send(type="record", action="start")
        assert live.message("recording")["state"] == "started"
        assert live.message("recording")["state"] == "finished"
        monkeypatch.setattr(recorder, "MAX_BYTES", 10_000)
        before = {*server.services.uploads.directory.iterdir()}
        live.send(type="record", action="start")
        assert live.message("recording")["state"] == "started"
        assert live.message("recording")["state"] == "failed"
        assert live.message("error")["code"] == "limit_exceeded"
        live.frame()
        assert {*server.services.uploads.directory.iterdir()} == before


def test_a_recording_is_removed_with_the_uploads_of_its_day(server, monkeypatch):
    with session(server) as live:
        url = recorded(live, tone(0.2))["url"]
    expired = time.time() + server.services.config.upload_seconds + 1
    monkeypatch.setattr(server.services.uploads, "_clock", lambda: expired)
    server.services.uploads.sweep()
    monkeypatch.undo()
    with server.client() as http:
        assert http.get(url).status_code == 404


def test_the_sound_of_a_recording_is_marked(server, tmp_path):
    with session(server, size=192) as live:
        finished = recorded(live, noise(5))
    detector = SoundDetector()
    with av.open(str(downloaded(server, finished["url"], tmp_path / "live.mp4"))) as video:
        resampler = av.AudioResampler("flt", "mono", DETECTION_RATE)
        parts = [
            part.to_ndarray()[0]
            for frame in video.decode(audio=0)
            for part in resampler.resample(frame)
        ]
    detector.add(np.concatenate(parts))
    assert detector.find().is_marked


def noise(seconds: float) -> bytes:
    """A sound of all frequencies, which carries the mark well."""
    random = np.random.default_rng(2)
    return (3000 * random.standard_normal(round(seconds * RATE))).astype("<i2").tobytes()
