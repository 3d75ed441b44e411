"""A client of `WebSocket /v1/live`."""

import json
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from running import Running
from websockets.sync import client

from patience import PATIENCE_SECONDS

HEAD = struct.Struct("<BBHIII")
KEY, SPEAKING, END = 1, 2, 4
RATE = 16_000
SMALL = {"type": "start", "size": 192, "quality": "draft"}


@dataclass
class Frame:
    """A frame as a client receives it."""

    flags: int
    number: int
    rate: int
    video: bytes
    pcm: np.ndarray

    @classmethod
    def of(cls, data: bytes) -> "Frame":
        version, flags, _, number, rate, length = HEAD.unpack_from(data)
        assert version == 1
        start = HEAD.size + length
        return cls(flags, number, rate, data[HEAD.size : start], np.frombuffer(data[start:], "<i2"))


class Live:
    """One connection."""

    def __init__(self, socket) -> None:
        self.socket = socket

    def send(self, **message) -> None:
        self.socket.send(json.dumps(message))

    def next(self) -> dict | Frame:
        received = self.socket.recv(PATIENCE_SECONDS)
        return json.loads(received) if isinstance(received, str) else Frame.of(received)

    def message(self, kind: str) -> dict:
        """The next message of this type."""
        return self.find(lambda each: isinstance(each, dict) and each["type"] == kind)

    def find(self, matches: Callable[[dict | Frame], bool]) -> dict | Frame:
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            if matches(each := self.next()):
                return each
        raise AssertionError("it did not come")

    def frame(self, flags: int = 0) -> Frame:
        """The next frame with these flags."""
        return self.find(lambda each: isinstance(each, Frame) and each.flags & flags == flags)


@contextmanager
def connected(server: Running, **options) -> Iterator[Live]:
    url = server.url.replace("http", "ws") + "/v1/live"
    with client.connect(url, max_size=None, open_timeout=PATIENCE_SECONDS, **options) as socket:
        yield Live(socket)


@contextmanager
def session(server: Running, **options) -> Iterator[Live]:
    with connected(server) as live:
        live.send(**{**SMALL, **options})
        live.ready = live.message("ready")
        yield live


def tone(seconds: float) -> bytes:
    times = np.arange(round(seconds * RATE)) / RATE
    wave = np.sin(2 * np.pi * 160 * times) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * times))
    return (9_000 * wave).astype("<i2").tobytes()
