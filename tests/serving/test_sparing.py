"""Warnings that come again and again."""

import logging

import pytest

from multitalk.serving.sparing import AGAIN_SECONDS, SparingLog


def test_a_warning_is_logged_at_once_and_then_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 100.0
    log = SparingLog(logging.getLogger("disks"), clock=lambda: now)
    for _ in range(240):  # two a second
        log.say("room", f"{now:g} MiB left")
        now += AGAIN_SECONDS / 120
    log.say("claim", "another kind")
    log.over("claim")  # without a word
    log.over("room", "there is room")
    log.over("room", "there is room")
    for _ in range(3):  # it comes and goes
        log.say("room", "little room")
        log.over("room", "there is room")
    now += AGAIN_SECONDS
    log.say("room", "little room")
    assert caplog.messages == [
        "100 MiB left",
        "160 MiB left (and 119 times before)",
        "another kind",
        "there is room",
        "little room (and 119 times before)",
        "there is room",
        "little room (and 2 times before)",
    ]
