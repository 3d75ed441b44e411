"""Whose question is next."""

import asyncio

import pytest

from multitalk.errors import TooManyRequests
from multitalk.serving.sandbox.fair_scheduler import FairScheduler


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """Questions that each hold their place until they are told to go."""

    def __init__(self, turns: FairScheduler) -> None:
        self.scheduler = turns
        self.begun: list[str] = []
        self._leave: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def comes(self, *names: str, last: bool = False) -> None:
        """Questions called such as `a1`, of the caller `a`."""
        for name in names:
            self._leave[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._ask(name, last))
            await settled()

    async def goes(self, name: str) -> None:
        self._leave[name].set()
        await self.tasks[name]
        await settled()

    async def _ask(self, name: str, last: bool) -> None:
        admitted = self.scheduler.admit_low_priority if last else self.scheduler.admit
        with admitted(name[0]) as turn:
            async with self.scheduler.slot(turn):
                self.begun.append(name)
                await self._leave[name].wait()


def test_a_caller_with_many_questions_has_one_place_and_another_key_finds_the_second_free():
    async def scene() -> None:
        crowd = Crowd(FairScheduler(slots=2))
        await crowd.comes("a1", "a2", "a3")
        assert crowd.begun == ["a1"]
        await crowd.comes("b1")
        assert crowd.begun == ["a1", "b1"]
        for name in ("a1", "a2", "a3", "b1"):
            await crowd.goes(name)
        assert crowd.begun == ["a1", "b1", "a2", "a3"]

    asyncio.run(scene())


def test_callers_take_turns_however_many_questions_one_has_waiting():
    async def scene() -> None:
        crowd = Crowd(FairScheduler(slots=1))
        await crowd.comes("a1", "a2", "a3", "c1", "c2", "b1")
        await crowd.goes("a1")
        await crowd.goes("c1")
        await crowd.goes("b1")
        assert crowd.begun == ["a1", "c1", "b1", "a2"]
        for name in ("a2", "c2", "a3"):
            await crowd.goes(name)

    asyncio.run(scene())


def test_one_question_too_many_is_refused_and_a_place_is_found_again_once_one_has_gone():
    async def scene() -> None:
        crowd = Crowd(FairScheduler(slots=1, per_caller=2, in_all=3))
        await crowd.comes("a1", "a2", "a3")
        with pytest.raises(TooManyRequests) as refused:
            await crowd.tasks["a3"]
        assert (refused.value.key, refused.value.seconds) == ("reader_busy_with_yours", 5)
        await crowd.comes("b1", "c1")
        with pytest.raises(TooManyRequests, match="the server is busy"):
            await crowd.tasks["c1"]
        await crowd.goes("a1")
        await crowd.comes("a4")
        for name in ("b1", "a2", "a4"):
            await crowd.goes(name)

    asyncio.run(scene())


def test_a_question_that_is_given_up_leaves_its_place_or_its_wait_to_others():
    async def scene() -> None:
        crowd = Crowd(FairScheduler(slots=1, per_caller=1))
        await crowd.comes("a1", "b1", "c1")
        for name in ("b1", "a1"):
            crowd.tasks[name].cancel()
            await asyncio.wait({crowd.tasks[name]})
        await settled()
        assert crowd.begun == ["a1", "c1"]
        await crowd.comes("a2", "b2")
        for name in ("c1", "a2", "b2"):
            await crowd.goes(name)

    asyncio.run(scene())


def test_what_holds_nothing_while_it_waits_is_never_refused_and_comes_after_the_callers_others():
    async def scene() -> None:
        crowd = Crowd(FairScheduler(slots=1, per_caller=1))
        await crowd.comes("a1")
        await crowd.comes("a2", "a3", last=True)
        await crowd.goes("a1")
        await crowd.comes("a4")
        for name in ("a2", "a4", "a3"):
            await crowd.goes(name)
        assert crowd.begun == ["a1", "a2", "a4", "a3"]

    asyncio.run(scene())
