"""Questions answered by real processes: what ends them, and that the next is answered."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from multitalk.confinement.kernel import forbid_files
from multitalk.errors import (
    LimitExceeded,
    MediaUndecodable,
    RequestError,
    ServerStopping,
)
from multitalk.serving.sandbox.fork_server import Fork
from multitalk.serving.sandbox.ipc import encode_frame
from multitalk.serving.sandbox.pool import (
    SandboxPool,
    TaskLimits,
    _reply_in_time,
    _result_of,
    memory_for,
)
from patience import PATIENCE_SECONDS

pytest.importorskip("espeakng_loader")

AMPLE = TaskLimits(memory_for(50_000_000), int(PATIENCE_SECONDS), PATIENCE_SECONDS, 2**26)


async def ask(readers: SandboxPool, name: str, given: dict, *, limits: TaskLimits = AMPLE, **more):
    with readers.scheduler.admit("somebody") as turn, readers.directory() as directory:
        return await readers.run(
            turn, name, given, limits=limits, directory=directory, field="body", **more
        )


async def say_hello(readers: SandboxPool) -> float:
    given = {"speakers": {"a": [{"text": "Hello."}]}, "outside": [], "max_speech_seconds": 60.0}
    return (await ask(readers, "lengths", given))["a"]["seconds"]


def picture(path: Path, side: int) -> dict:
    Image.new("L", (side, side), 99).save(path, compress_level=1)
    return {"path": str(path), "field": "image_path", "max_pixels": side**2, "speakers": 1}


def kernel_has_landlock() -> bool:
    """Tried out in a process that can be spoilt."""
    child = os.fork()
    if child == 0:
        os._exit(not forbid_files([], []))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def until(happened: Callable[[], object]) -> None:
    async def wait() -> None:
        while not happened():
            await asyncio.sleep(0.02)

    await asyncio.wait_for(wait(), PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def readers(loop, tmp_path_factory) -> Iterator[SandboxPool]:
    """One for these tests: to load the libraries takes seconds."""
    directory = tmp_path_factory.mktemp("work")
    readers = SandboxPool(directory)
    yield readers
    loop.run_until_complete(readers.close())
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(
            TaskLimits(AMPLE.memory_bytes, 1, PATIENCE_SECONDS, 2**20), id="computing time"
        ),
        pytest.param(TaskLimits(400 * 2**20, 500, PATIENCE_SECONDS, 2**20), id="memory"),
        pytest.param(TaskLimits(AMPLE.memory_bytes, 500, 0.01, 2**20), id="time"),
    ],
)
def test_what_a_picture_costs_too_much_of_ends_it_alone(loop, readers, tmp_path, limits):
    given = picture(tmp_path / "large.png", 7000)
    asked = ask(readers, "faces", given, limits=limits, readable=[tmp_path / "large.png"])
    with pytest.raises(RequestError) as refused:
        loop.run_until_complete(asked)
    assert refused.value.field == "image_path"
    assert isinstance(refused.value, LimitExceeded | MediaUndecodable)


def test_the_next_question_is_answered(loop, readers):
    assert loop.run_until_complete(say_hello(readers)) > 0.3


def test_a_file_that_was_not_named_is_not_there_for_the_process(loop, readers, tmp_path):
    if not kernel_has_landlock():
        pytest.skip("this kernel has no Landlock")
    small = picture(tmp_path / "small.png", 64)
    asked = ask(readers, "small_picture", small, readable=[tmp_path / "small.png"])
    assert loop.run_until_complete(asked) is None
    with pytest.raises(MediaUndecodable, match="image_path"):
        loop.run_until_complete(ask(readers, "small_picture", small))


def test_who_hangs_up_ends_the_process_that_worked_for_him(loop, readers, tmp_path):
    async def scene() -> None:
        large = picture(tmp_path / "large.png", 7000)
        for _ in range(5):  # a machine that is busy elsewhere may show the process too late
            asking = ask(readers, "faces", large, readable=[tmp_path / "large.png"])
            asked = asyncio.ensure_future(asking)
            await until(lambda task=asked: task.done() or (readers.pid and children(readers.pid)))
            for fork in children(readers.pid):
                os.kill(fork, signal.SIGSTOP)  # so that it cannot answer before it is cancelled
            if not asked.done():
                break
        (fork,) = children(readers.pid)
        asked.cancel()
        await asyncio.wait({asked})
        assert asked.cancelled()
        await until(lambda: not Path(f"/proc/{fork}").exists())

    loop.run_until_complete(scene())


def test_where_the_process_with_the_libraries_was_killed_there_is_another(loop, readers):
    before = readers.pid
    os.kill(before, 9)
    assert loop.run_until_complete(say_hello(readers)) > 0.3
    assert readers.pid != before


def test_the_libraries_are_let_go_when_nobody_asks(loop, tmp_path):
    async def scene() -> None:
        readers = SandboxPool(tmp_path, idle_seconds=0.01)
        readers.warm()
        pid = readers.pid
        await until(lambda: readers.pid is None and not Path(f"/proc/{pid}").exists())
        await readers.close()

    loop.run_until_complete(scene())


def test_who_waits_for_an_answer_is_told_that_the_server_ends(loop, tmp_path):
    async def scene() -> None:
        readers = SandboxPool(tmp_path)
        asked = [asyncio.ensure_future(say_hello(readers)) for _ in range(3)]
        await until(lambda: readers.pid)
        pid = readers.pid
        await readers.close()
        for task in asked:
            with pytest.raises(ServerStopping):
                await task
        assert not Path(f"/proc/{pid}").exists()
        with pytest.raises(ServerStopping):
            await say_hello(readers)

    loop.run_until_complete(scene())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("turns", range(1, 6))  # of the event loop, in which the message is read
def test_who_hangs_up_just_as_a_message_comes_ends_the_wait(loop, turns):
    async def scene() -> None:
        server_end, its_end = socket.socketpair()
        with its_end:
            reader, writer = await asyncio.open_unix_connection(sock=server_end)
            waiting = asyncio.ensure_future(_reply_in_time(Fork(0, reader, writer), {}, AMPLE, ""))
            await asyncio.sleep(0.05)
            reader.feed_data(encode_frame({"begun": True}))
            for _ in range(turns):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait({waiting}, timeout=2.0)
            assert waiting.cancelled()
            writer.close()

    loop.run_until_complete(scene())


def test_a_process_that_a_file_has_taken_over_gains_no_time_by_beginning_again(loop):
    async def scene() -> None:
        server_end, its_end = socket.socketpair()
        with its_end:
            fork = Fork(0, *await asyncio.open_unix_connection(sock=server_end))
            its_end.sendall(2 * encode_frame({"begun": True}))
            reply = await _reply_in_time(fork, {}, AMPLE, "body")
            fork.close_connection()
        with pytest.raises(LimitExceeded):
            _result_of(reply, -signal.SIGKILL, AMPLE)

    loop.run_until_complete(asyncio.wait_for(scene(), PATIENCE_SECONDS / 2))
