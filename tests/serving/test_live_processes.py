"""Processes of live sessions: messages are not lost, and no process is left behind."""

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from multitalk.errors import InternalError
from multitalk.live import LiveFrame
from multitalk.serving.live import piped_process
from multitalk.serving.live.messages import HEAD, Message, MessageKind, MessageReader
from multitalk.serving.live.piped_process import PipedProcess, ProcessEnded, ProcessHangs
from multitalk.serving.live.process_forks import ProcessForks
from multitalk.serving.live.session_process import SessionProcess
from multitalk.serving.live.sessions import SESSION_MODULE
from patience import PATIENCE_SECONDS

# A process that forks once: a machine that has no room for another process.
NO_SECOND_FORK = """
import os
fork, forked = os.fork, []

def fork_once():
    if forked:
        raise OSError(11, "Resource temporarily unavailable")
    forked.append(1)
    return fork()

os.fork = fork_once
"""
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


@asynccontextmanager
async def forking() -> AsyncIterator[ProcessForks]:
    forks = ProcessForks(SESSION_MODULE)
    try:
        yield forks
    finally:
        await forks.close()


@pytest.mark.parametrize("waiting", [[300, 200, 100, 0], [300, 200, 200]], ids=["slow", "hanging"])
def test_only_a_process_that_takes_nothing_is_killed(monkeypatch, waiting):
    monkeypatch.setattr(piped_process, "HANGING_SECONDS", 0.01)
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pid, _: killed.append(pid))
    monkeypatch.setattr(os, "kill", lambda *_: None)
    process = PipedProcess(7, FullPipe(waiting), None, None)
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
        async with forking() as forks:
            process = await forks.start()
            os.kill(process.pid, signal.SIGSTOP)
            with pytest.raises(ProcessHangs):
                await fill(process)
            with pytest.raises(ProcessHangs):
                await process.receive()
            await process.end()
        return process.returncode

    assert asyncio.run(asyncio.wait_for(run(), PATIENCE_SECONDS)) == -signal.SIGKILL


@pytest.fixture
def check():
    """Runs a coroutine function with forks, which end with it."""

    def run(checked: Callable[[ProcessForks], Awaitable[None]]) -> None:
        async def bounded() -> None:
            async with forking() as forks:
                await asyncio.wait_for(checked(forks), PATIENCE_SECONDS)

        asyncio.run(bounded())

    return run


def test_processes_that_start_together_are_forks_of_one_and_end_apart(check):
    async def checked(forks: ProcessForks) -> None:
        first, second = await asyncio.gather(forks.start(), forks.start())
        assert parent_of(first.pid) == parent_of(second.pid) != os.getpid()
        await first.end()
        assert not is_there(first.pid)
        assert parent_of(second.pid) == forks._server.pid
        await second.end()
        assert not is_there(second.pid)

    check(checked)


def test_what_processes_are_forked_from_is_replaced_once_it_has_ended(check):
    async def checked(forks: ProcessForks) -> None:
        lost = await forks.start()
        os.kill(forks._server.pid, signal.SIGKILL)
        with pytest.raises(ProcessEnded):
            await lost.receive()
        await lost.end()
        await asyncio.gather(*[(await forks.start()).end() for _ in range(2)])

    check(checked)


def test_where_no_process_can_be_forked_those_that_run_go_on(check, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(NO_SECOND_FORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    async def checked(forks: ProcessForks) -> None:
        first = await forks.start()
        with pytest.raises(InternalError):
            await forks.start()
        assert parent_of(first.pid) == forks._server.pid
        await first.end()

    check(checked)


def test_a_process_that_starts_while_the_server_ends_is_ended(check):
    async def checked(forks: ProcessForks) -> None:
        starting = asyncio.create_task(forks.start())
        await asyncio.sleep(0)
        forked_from = forks._server.pid
        await forks.close()
        for start in (starting, forks.start()):
            with pytest.raises(InternalError):
                await start
        assert not is_there(forked_from)

    check(checked)


def test_a_process_whose_client_leaves_while_it_starts_is_ended(check):
    async def checked(forks: ProcessForks) -> None:
        await (await forks.start()).end()
        starting = asyncio.create_task(forks.start())
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait({starting})
        assert children_of(forks._server.pid) == []

    check(checked)


def is_there(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def parent_of(process: int) -> int:
    stat = Path(f"/proc/{process}/stat").read_text()
    return int(stat[stat.rindex(")") :].split()[2])


def children_of(process: int) -> list[int]:
    return [
        int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


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
