"""Calls are repeated after transient failures only, with growing delays."""

import itertools

import pytest

from multitalk.net.retry import backoff, retry, retry_async


class Busy(Exception):
    pass


def failing(times, error=Busy):
    """A function that fails so many times, then returns the number of its calls."""
    calls = itertools.count(1)

    def call():
        if (number := next(calls)) <= times:
            raise error
        return number

    return call


def test_a_delay_doubles_up_to_the_longest():
    assert list(itertools.islice(backoff(0.5, 3.0), 5)) == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_delays_go_on_for_ever_or_for_a_time():
    assert next(itertools.islice(backoff(0.5, 3.0), 5_000, None)) == 3.0
    assert list(backoff(1.0, 8.0, seconds=0.5)) == []
    assert list(itertools.islice(backoff(0.0, 8.0, seconds=0.5), 3)) == [0.0, 0.0, 0.0]


def test_a_call_is_repeated_until_it_succeeds():
    slept, seen = [], []
    result = retry(
        failing(2),
        on=Busy,
        delays=backoff(1.0, 8.0),
        sleep=slept.append,
        on_retry=lambda error, delay: seen.append((type(error), delay)),
    )
    assert result == 3
    assert slept == [1.0, 2.0]
    assert seen == [(Busy, 1.0), (Busy, 2.0)]


def test_the_last_error_is_raised_when_there_are_no_more_delays():
    call = failing(3)
    with pytest.raises(Busy):
        retry(call, on=Busy, delays=(0.0, 0.0))
    assert call() == 4


def test_another_error_is_raised_at_once():
    call = failing(1, KeyError)
    with pytest.raises(KeyError):
        retry(call, on=Busy, delays=(0.0,))
    assert call() == 2


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_coroutine_is_repeated_as_a_function_is():
    call, slept = failing(2), []

    async def sleep(seconds):
        slept.append(seconds)

    async def called():
        return call()

    assert await retry_async(called, on=Busy, delays=backoff(1.0, 8.0), sleep=sleep) == 3
    assert slept == [1.0, 2.0]
    with pytest.raises(Busy):
        await retry_async(lambda: called_once(failing(9)), on=Busy, delays=(0.0,))


async def called_once(call):
    return call()
