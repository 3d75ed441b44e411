"""Work is called off when its client hangs up, and nothing of it is left for the log."""

import asyncio
import gc

import pytest

from multitalk.errors import Cancelled, LimitExceeded
from multitalk.serving.api.dependencies import cancel_on_disconnect


class Leaving:
    """A request whose client hangs up; the work ends in that moment, if it is told to."""

    def __init__(self) -> None:
        self.work_ends = asyncio.Event()

    async def is_disconnected(self) -> bool:
        self.work_ends.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return True


@pytest.mark.parametrize("fails", [True, False])
def test_work_that_ends_as_its_client_hangs_up_leaves_no_line_in_the_log(fails):
    async def scene() -> list[str]:
        said: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: said.append(context["message"]))
        request = Leaving()

        async def work() -> None:
            await request.work_ends.wait()
            if fails:
                raise LimitExceeded("body_too_slow", limit=1)

        with pytest.raises(Cancelled):
            await cancel_on_disconnect(request, work())
        gc.collect()
        return said

    assert asyncio.run(scene()) == []


def test_work_of_a_client_that_hung_up_is_called_off():
    async def scene() -> bool:
        ended = asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        with pytest.raises(Cancelled):
            await cancel_on_disconnect(Leaving(), work())
        return ended.is_set()

    assert asyncio.run(scene())
