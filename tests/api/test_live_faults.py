"""Faults of a live session: its client is told, and learns whether to connect again."""

import asyncio
import os
import signal
import struct
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest
from running import Running, running

pytest.importorskip("websockets", reason="the extra `serve` is needed")
from live_client import END, KEY, RATE, SMALL, SPEAKING, Live, connected, session, tone
from websockets.exceptions import ConnectionClosed

from multitalk.errors import (
    DiskUnusable,
    InvalidRequest,
    MultiTalkError,
    QueueUnavailable,
    TooManyRequests,
)
from multitalk.serving.api.live import conversation, recorder
from multitalk.serving.api.live.session import open_session
from multitalk.serving.api.models import LiveOptions
from multitalk.serving.live import piped_process
from multitalk.serving.live.messages import Message, MessageKind
from multitalk.serving.live.piped_process import ProcessEnded
from multitalk.serving.live.process_forks import ProcessForks
from patience import PATIENCE_SECONDS, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("faults"), works=False, live_sessions=2) as started:
        yield started


def crash(*_: object, **__: object) -> None:
    raise RuntimeError("a fault in the program")


def closing_code(live: Live) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        live.find(lambda _: False)
    return closed.value.rcvd.code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (QueueUnavailable("queue_full"), 1011),
        (DiskUnusable("work_directory_full", reason="no space"), 1011),
        (TooManyRequests("live_sessions_full", seconds=1, limit=1), 1013),
        (InvalidRequest("avatar_closed"), 1008),
    ],
    ids=lambda given: type(given).__name__ if isinstance(given, MultiTalkError) else str(given),
)
def test_only_what_the_client_must_change_is_final(server, monkeypatch, error, code):
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(server.services.live, "check_room", refuse)
    with connected(server) as live:
        live.send(**SMALL)
        assert live.message("error")["code"] == error.code
        assert closing_code(live) == code


def test_a_process_that_cannot_be_started_is_told(server, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(server.services.live, "_forks", ProcessForks("none"))
    monkeypatch.setattr(subprocess, "Popen", refuse)
    with connected(server) as live:
        live.send(**SMALL)
        assert live.message("error")["code"] == "internal_error"
        assert closing_code(live) == 1011


def test_a_crash_for_one_message_is_told_and_the_session_goes_on(server, monkeypatch):
    monkeypatch.setattr(server.services.speech, "pcm", crash)
    monkeypatch.setattr(recorder, "load_credential", crash)
    with session(server) as live:
        for message in ({"type": "say", "text": "Hello."}, {"type": "record", "action": "start"}):
            live.send(**message)
            assert live.message("error")["code"] == "internal_error"
        live.frame()


def test_a_crash_with_the_sessions_messages_ends_it_with_an_error(server, monkeypatch):
    monkeypatch.setattr(conversation, "is_key_frame", crash)
    monkeypatch.setattr(conversation, "MAX_WAITING", -1)  # every client is behind
    with session(server) as live:
        assert live.message("error")["code"] == "internal_error"
        assert closing_code(live) == 1011


def test_a_recording_whose_end_crashes_has_failed_and_another_one_begins(server, monkeypatch):
    with session(server) as live:
        monkeypatch.setattr(recorder, "append_xmp", crash)
        assert recorded(live) == ["started", "failed"]
        assert live.message("error")["code"] == "internal_error"
        monkeypatch.undo()
        assert recorded(live) == ["started", "finished"]


def recorded(live: Live) -> list[str]:
    live.send(type="record", action="start")
    states = [live.message("recording")["state"]]
    live.frame(KEY)
    live.send(type="record", action="stop")
    return [*states, live.message("recording")["state"]]


def test_a_process_that_crashes_while_it_takes_a_message_ends(server):
    async def run() -> None:
        options = LiveOptions(size=192, quality="draft")
        async with open_session(server.services, options, "") as opened:
            await opened._process.send(Message(MessageKind.AUDIO, struct.pack("<H", 1)))
            while True:
                await asyncio.wait_for(opened.receive(), PATIENCE_SECONDS)

    with pytest.raises(ProcessEnded):
        server.do(run())


@pytest.mark.parametrize("sent", [0, 8], ids=["idle", "speaking"])
def test_a_process_that_hangs_ends_its_session_only(server, monkeypatch, sent):
    monkeypatch.setattr(piped_process, "HANGING_SECONDS", 4)
    with session(server) as other, session(server) as live:
        pid = server.services.live.pids[-1]
        os.kill(pid, signal.SIGSTOP)
        for _ in range(sent):  # more than a pipe holds
            live.socket.send(tone(2.0))
        error = live.message("error")
        assert error["code"] == "internal_error"
        assert "not responded" in error["error"]
        assert closing_code(live) == 1011
        wait_until(lambda: server.services.live.count == 1)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        other.socket.send(tone(0.2))
        other.frame(SPEAKING)


def test_texts_are_spoken_in_their_order(server, monkeypatch):
    sounds = {"slow": tone(0.2), "quick": tone(0.4), "last": tone(0.6)}
    is_slow = asyncio.Event()

    async def pcm(_: str, text) -> tuple[bytes, int]:
        if text.text == "slow":
            await is_slow.wait()
        return sounds[text.text], RATE

    async def go_on() -> None:
        is_slow.set()

    monkeypatch.setattr(server.services.speech, "pcm", pcm)
    with session(server) as live:
        for text in ("slow", "quick", "last"):
            live.send(type="say", text=text)
        live.send(type="key_frame")  # the texts have been taken
        live.frame(KEY)
        server.do(go_on())
        for sound in sounds.values():
            frames = [live.frame(SPEAKING)]
            while not frames[-1].flags & END:
                frames.append(live.frame())
            heard = np.concatenate([frame.pcm for frame in frames]).tobytes()
            assert heard == sound


def test_an_interruption_drops_texts_that_wait_and_too_many_are_refused(server, monkeypatch):
    begun: list[str] = []

    async def pcm(_: str, text) -> tuple[bytes, int]:
        begun.append(text.text)
        if text.text == "after":
            return tone(0.2), RATE
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(server.services.speech, "pcm", pcm)
    with session(server) as live:
        for _ in range(conversation.MAX_TEXTS + 1):
            live.send(type="say", text="before")
        assert live.message("error")["code"] == "too_many_requests"
        live.send(type="interrupt")
        live.send(type="say", text="after")
        live.frame(SPEAKING)
    assert begun == ["before", "after"]
