"""Processes of live sessions: messages are not lost, and no process is left behind."""

import asyncio
import io
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest

from multitalk.live import LiveFrame
from multitalk.serving.live import piped_process
from multitalk.serving.live.messages import HEAD, Message, MessageKind, MessageReader
from multitalk.serving.live.piped_process import PipedProcess, ProcessHangs
from multitalk.serving.live.session_process import SessionProcess
from multitalk.serving.live.sessions import SESSION_MODULE, LiveSessions
from patience import PATIENCE_SECONDS

MESSAGE = Message(MessageKind.RECORDED_PART, bytes(range(200)))


@pytest.mark.parametrize("arrived", [0, 3, HEAD.size, HEAD.size + 100])
def test_a_receiver_that_is_cancelled_loses_no_message(arrived):
    async def run() -> list[Message]:
        stream = asyncio.StreamReader()
        messages = MessageReader(stream)
        encoded = MESSAGE.encode()
        stream.feed_data(encoded[:arrived])
        receiving = asyncio.create_task(messages.receive())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        stream.feed_data(encoded[arrived:] + encoded)
        return [await asyncio.wait_for(messages.receive(), PATIENCE_SECONDS) for _ in range(2)]

    assert asyncio.run(run()) == [MESSAGE, MESSAGE]


@pytest.mark.parametrize(
    "head", [HEAD.pack(200, 0), HEAD.pack(MessageKind.FRAME, 2**31)], ids=["kind", "length"]
)
def test_what_is_no_message_ends_the_pipe(head):
    async def run() -> None:
        stream = asyncio.StreamReader()
        stream.feed_data(head)
        with pytest.raises(EOFError):
            await MessageReader(stream).receive()

    asyncio.run(run())


class FullPipe:
    """A pipe to a process that takes some of what waits now and then; `waiting`: bytes, in turn."""

    def __init__(self, waiting: list[int]) -> None:
        self._waiting = waiting
        self.transport = self

    def write(self, _: bytes) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self._waiting.pop(0) if len(self._waiting) > 1 else self._waiting[0]

    async def drain(self) -> None:
        if len(self._waiting) > 1 or self._waiting[0]:
            await asyncio.Event().wait()


@pytest.mark.parametrize("waiting", [[300, 200, 100, 0], [300, 200, 200]], ids=["slow", "hanging"])
def test_only_a_process_that_takes_nothing_is_killed(monkeypatch, waiting):
    monkeypatch.setattr(piped_process, "HANGING_SECONDS", 0.01)
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pid, _: killed.append(pid))
    process = PipedProcess(SimpleNamespace(pid=7, returncode=None), FullPipe(waiting), None)
    try:
        asyncio.run(asyncio.wait_for(process.send(MESSAGE), PATIENCE_SECONDS))
    except ProcessHangs:
        assert waiting[-1]
    assert killed == ([7] if waiting[-1] else [])


def test_what_is_sent_to_a_process_that_is_stopped_is_bounded_and_it_is_killed(monkeypatch):
    monkeypatch.setattr(piped_process, "HANGING_SECONDS", 0.2)

    async def fill(process: PipedProcess) -> None:
        while True:
            await process.send(Message(MessageKind.AUDIO, bytes(2**16)))

    async def run() -> int | None:
        process = await PipedProcess.start(SESSION_MODULE)
        os.kill(process.process.pid, signal.SIGSTOP)
        with pytest.raises(ProcessHangs):
            await fill(process)
        with pytest.raises(ProcessHangs):
            await process.receive()
        await process.end()
        return process.process.returncode

    assert asyncio.run(asyncio.wait_for(run(), PATIENCE_SECONDS)) == -signal.SIGKILL


class HeldStarts:
    """In place of `PipedProcess.start`: starts that wait until they may go on.

    Attributes:
        may_go_on: Set it to let them.
        ended: How many of the processes were ended.
        fail: Whether they fail then.
    """

    def __init__(self) -> None:
        self.may_go_on = asyncio.Event()
        self.started = self.ended = 0
        self.fail = False

    async def __call__(self, _: str) -> "HeldStarts":
        self.started += 1
        await self.may_go_on.wait()
        if self.fail:
            raise OSError("no more processes")
        return self

    @property
    def process(self) -> SimpleNamespace:
        return SimpleNamespace(returncode=None, pid=0)

    async def end(self) -> None:
        self.ended += 1


@pytest.fixture
def check(monkeypatch):
    """Runs a coroutine function with sessions whose processes start when they may."""

    def run(checked) -> None:
        async def bounded() -> None:
            starts = HeldStarts()
            monkeypatch.setattr(PipedProcess, "start", starts)
            await asyncio.wait_for(checked(LiveSessions(2), starts), PATIENCE_SECONDS)

        asyncio.run(bounded())

    return run


def test_sessions_that_open_together_share_one_process_in_reserve(check):
    async def checked(sessions: LiveSessions, starts: HeldStarts) -> None:
        for _ in range(3):
            sessions.warm()
            await asyncio.sleep(0)
        starts.may_go_on.set()
        await sessions.close()
        assert (starts.started, starts.ended) == (1, 1)

    check(checked)


def test_a_process_that_starts_while_the_server_ends_is_ended(check):
    async def checked(sessions: LiveSessions, starts: HeldStarts) -> None:
        sessions.warm()
        await asyncio.sleep(0)
        closing = asyncio.create_task(sessions.close())
        await asyncio.sleep(0)
        sessions.warm()
        starts.may_go_on.set()
        await closing
        await asyncio.sleep(0)
        assert (starts.started, starts.ended) == (1, 1)

    check(checked)


def test_a_process_in_reserve_that_could_not_start_stops_no_session(check):
    async def checked(sessions: LiveSessions, starts: HeldStarts) -> None:
        starts.fail = True
        starts.may_go_on.set()
        sessions.warm()
        await asyncio.sleep(0.01)
        starts.fail = False
        assert await sessions._take() is starts
        assert starts.started == 2

    check(checked)


def test_a_key_frame_that_is_asked_for_while_a_frame_is_packed_comes_next(monkeypatch):
    runner = SessionProcess(
        SimpleNamespace(notices=()),
        io.BytesIO(),
        io.BytesIO(),
        None,
        profile="Baseline",
        form="frames",
    )
    encoded: list[bool] = []

    class Encoder:
        def encode(self, image: np.ndarray, number: int, *, is_key: bool) -> bytes:
            encoded.append(is_key)
            return b""

    def ask() -> bool:
        if len(encoded) == 1:
            runner._handle(Message(MessageKind.KEY_FRAME))
        return False

    monkeypatch.setattr(runner, "_encoder", Encoder())
    monkeypatch.setattr(runner._recorder, "begins", ask)
    frame = LiveFrame(np.zeros((2, 2, 3), np.uint8), np.zeros(640, np.int16), 16_000, False, False)
    for number in range(4):
        runner._packed(frame, number)
    assert encoded == [True, False, True, False]
