"""A live session of the server, from its client's side: delays, frames a second, CPU.

    python benchmarks/live_server.py [--size 512] [--sessions 1 2 3] [--seconds 20]

It starts `multitalk serve` and opens WebSockets to it, on loopback. Three delays, in milliseconds:
from a burst of sound (as a synthesizer sends it) to the first frame that speaks; from the packet of
a microphone that completes 40 ms of sound to the frame that carries them; from `interrupt` to the
first silent frame. What a network, a decoder, a display and a sound card add is not in them.
"""

import argparse
import asyncio
import json
import os
import statistics
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import websockets

from live_serving import RATE, hum, served

HEAD = struct.Struct("<BBHIII")
SPEAKING, END = 2, 4
PACKET = RATE // 50  # 20 ms
FRAME = RATE // 25
SETTLE_SECONDS = 3.0


@dataclass
class TimedSession:
    """One connection, and what was measured on it."""

    socket: websockets.ClientConnection
    arrived: list[float] = field(default_factory=list)
    bursts: list[float] = field(default_factory=list)
    packets: list[float] = field(default_factory=list)
    interrupts: list[float] = field(default_factory=list)
    cpu: list[tuple[float, float]] = field(default_factory=list)
    repeated: int = 0
    repeated_before: int = 0  # in `settle`

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its flags and its sound."""
        while True:
            message = await self.socket.recv()
            if isinstance(message, str):
                told = json.loads(message)
                if told["type"] == "stats":
                    self.cpu.append((time.monotonic(), told["cpu"]))
                    self.repeated = told["repeated"]
                continue
            self.arrived.append(time.monotonic())
            _, flags, _, _, _, length = HEAD.unpack_from(message)
            return flags, message[HEAD.size + length :]

    async def settle(self) -> None:
        """Read what has come so far, and forget it: processes of other sessions were starting."""
        ends = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < ends:
            await self.frame()
        self.repeated_before = self.repeated
        self.arrived.clear()
        self.cpu.clear()

    async def measure(self, seconds: float) -> None:
        """Bursts and interruptions, then a microphone."""
        burst = hum(1.0)
        ends = time.monotonic() + seconds / 2
        while time.monotonic() < ends:
            for _ in range(10):
                await self.frame()
            began = time.monotonic()
            await self.socket.send(burst)
            while not (await self.frame())[0] & SPEAKING:
                pass
            self.bursts.append(time.monotonic() - began)
            for _ in range(5):
                await self.frame()
            began = time.monotonic()
            await self.socket.send('{"type": "interrupt"}')
            while (await self.frame())[0] & SPEAKING:
                pass
            self.interrupts.append(time.monotonic() - began)
        await self._microphone(seconds / 2)

    async def _microphone(self, seconds: float) -> None:
        sound = hum(seconds)
        sent: list[float] = []

        async def speak() -> None:
            began = time.monotonic()
            for number, start in enumerate(range(0, len(sound), 2 * PACKET)):
                await asyncio.sleep(max(0.0, began + number / 50 - time.monotonic()))
                await self.socket.send(sound[start : start + 2 * PACKET])
                if number % 2:
                    sent.append(time.monotonic())
            await self.socket.send('{"type": "flush"}')

        speaking = asyncio.create_task(speak())
        count = 0
        while True:
            flags, _ = await self.frame()
            if flags & SPEAKING:
                if count < len(sent):
                    self.packets.append(time.monotonic() - sent[count])
                count += 1
            if flags & END:
                break
        await speaking


@asynccontextmanager
async def opened(url: str, size: int) -> AsyncIterator[TimedSession]:
    """A session that has begun."""
    async with websockets.connect(f"{url}/v1/live", max_size=None) as socket:
        await socket.send(json.dumps({"type": "start", "size": size}))
        ready = json.loads(await socket.recv())
        if ready["type"] != "ready":
            raise SystemExit(ready["error"])
        yield TimedSession(socket)


async def measure(url: str, size: int, count: int, seconds: float) -> None:
    """Print a row for so many sessions at once."""
    async with _all_opened(url, size, count) as sessions:
        await asyncio.gather(*(session.settle() for session in sessions))
        await asyncio.gather(*(session.measure(seconds) for session in sessions))
    figures = [
        _spread([1000 * value for session in sessions for value in getattr(session, name)])
        for name in ("bursts", "packets", "interrupts")
    ]
    rates = [(len(each.arrived) - 1) / (each.arrived[-1] - each.arrived[0]) for each in sessions]
    cores = [
        (each.cpu[-1][1] - each.cpu[0][1]) / (each.cpu[-1][0] - each.cpu[0][0])
        for each in sessions
        if len(each.cpu) > 1
    ]
    repeated = sum(session.repeated - session.repeated_before for session in sessions)
    print(
        f"| {size} | {count} | {' | '.join(figures)} | {min(rates):.2f} | {repeated} "
        f"| {statistics.mean(cores):.2f} | {os.getloadavg()[0]:.1f} |",
        flush=True,
    )


@asynccontextmanager
async def _all_opened(url: str, size: int, count: int) -> AsyncIterator[list[TimedSession]]:
    if count == 0:
        yield []
        return
    async with opened(url, size) as first, _all_opened(url, size, count - 1) as others:
        yield [first, *others]


def _spread(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{statistics.median(ordered):.0f} ({ordered[int(0.95 * (len(ordered) - 1))]:.0f})"


def main() -> None:
    """Start a server, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    with served() as url:
        print(
            "| size | sessions | burst to frame, ms, median (p95) | packet to frame "
            "| interrupt to silence | frames/s, least | repeated | cores, each | load |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for count in arguments.sessions:
            address = url.replace("http", "ws", 1)
            asyncio.run(measure(address, arguments.size, count, arguments.seconds))


if __name__ == "__main__":
    main()
