"""An avatar: sound goes in as it is spoken, frames with their sound come out in real time."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.quality import QUALITIES
from multitalk.errors import InvalidRequest, LimitExceeded, not_a_choice
from multitalk.live.head import Head, Portrait
from multitalk.live.pacing import Clock, Pace, RealTime
from multitalk.live.playout import Playout
from multitalk.live.sound import checked_rate, samples_of
from multitalk.messages import sentence
from multitalk.schema import Quality
from multitalk.speech.live_visemes import MOST_AHEAD
from multitalk.timebase import FPS

FRAME_MS = 1000 // FPS
SMALLEST, LARGEST = 64, 1920  # pixels of the picture's longer side
MOST_WAITING = 600  # seconds of sound that may wait


@dataclass(frozen=True)
class LiveFrame:
    """One frame, 40 ms long, and the sound that is heard with it.

    Attributes:
        image: RGB uint8 [H, W, 3], the caller's own.
        pcm: Sound as it was pushed: int16 [rate / 25], mono; silence where nothing is said.
        rate: Of `pcm`, samples a second: that of the last push, 16 000 before any.
        speaking: Whether the sound was pushed; between, the face is idle.
        end_of_speech: Speech ends with this frame: all sound before a `flush` is said, or it was
            interrupted.
    """

    image: NDArray[np.uint8]
    pcm: NDArray[np.int16]
    rate: int
    speaking: bool
    end_of_speech: bool


class Avatar:
    """A portrait that speaks what is pushed, and is idle in between: it blinks, breathes and sways.

    `async for frame in avatar` gives 25 frames a second for as long as the avatar is open. One
    consumer at a time; sound may be pushed from any thread. A context manager that closes itself.

    Attributes:
        warnings: What may look wrong with this portrait, in English.
        repeated: Frames so far that show the picture before, because the machine is too slow.
    """

    def __init__(
        self,
        portrait: Portrait,
        *,
        size: int = 512,
        ahead_ms: int = 160,
        seed: int = 0,
        quality: Quality = "standard",
        motion: float = 1.0,
        clock: Clock | None = None,
    ) -> None:
        """Find the face and get ready: a quarter of a second to a second.

        Args:
            portrait: A file's path, or pixels, RGB uint8 [H, W, 3]. Its largest face speaks.
            size: Pixels of the picture's longer side at most; it is never enlarged.
            ahead_ms: How much future the mouth needs, a multiple of 40 up to 400. A microphone's
                sound leaves so much later; with less than 80 the mouth is often wrong.
            seed: Of all that chance decides.
            quality: `draft`, `standard` or `fine`.
            motion: How lively the head moves, 0 to 1.5.
            clock: Where time comes from; None for this machine's.

        Raises:
            InvalidRequest: An option cannot be what it is.
            MediaUndecodable: The portrait cannot be read.
            LimitExceeded: It is too large.
            NoFaceFound: It shows no face, or one that is too small.
        """
        _check("size", size, SMALLEST, LARGEST, "pixels")
        _check("ahead_ms", ahead_ms, 0, MOST_AHEAD * FRAME_MS, "ms", step=FRAME_MS)
        if quality not in QUALITIES:
            raise not_a_choice("quality", repr(quality), QUALITIES)
        if not 0 <= motion <= 1.5:
            raise InvalidRequest("avatar_option", field="motion", value=motion, wanted="0 to 1.5")
        self._head: Head | None = Head(
            portrait, size=size, seed=seed, quality=quality, motion=motion
        )
        self.warnings = tuple(
            sentence(notice.key, "en", **notice.parameters) for notice in self._head.notices
        )
        self.repeated = 0
        self._playout = Playout(ahead_ms // FRAME_MS)
        self._ahead = ahead_ms // FRAME_MS
        self._pace = Pace()
        self._clock = clock or RealTime()
        self._image = self._head.picture
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="avatar")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stirred = asyncio.Event()
        self._is_closed = False

    def push_audio(self, pcm: NDArray[np.generic] | bytes, rate: int) -> None:
        """Add sound to what is to be said, in pieces of any length.

        Args:
            pcm: Mono: int16 [S], float [S] in [-1, 1], or bytes of int16.
            rate: Samples a second, a multiple of 25 from 8000 to 48 000. It may change.

        Raises:
            InvalidRequest: Of another kind, or the avatar is closed.
            LimitExceeded: More than ten minutes would wait; nothing is added.
        """
        self._check_open()
        samples, rate = samples_of(pcm), checked_rate(rate)
        waiting = self._playout.waiting / FPS
        if waiting + len(samples) / rate > MOST_WAITING:
            raise LimitExceeded(
                "avatar_too_far_ahead", field="pcm", seconds=waiting, limit=MOST_WAITING
            )
        self._playout.push(samples, rate)
        self._pace.pushed(self._clock.now(), len(samples) / rate)
        self._stir()

    def flush(self) -> None:
        """Say that speech ends with what was pushed: the last frame of it has `end_of_speech`.

        Raises:
            InvalidRequest: The avatar is closed.
        """
        self._check_open()
        self._playout.flush()
        self._pace.ended()
        self._stir()

    def interrupt(self) -> None:
        """Drop all sound that has not left; the mouth is shut 120 ms later. The head does not jump.

        Raises:
            InvalidRequest: The avatar is closed.
        """
        self._check_open()
        self._playout.interrupt()
        self._pace.ended()
        self._stir()

    def close(self) -> None:
        """End the frames and give the memory back; a closed avatar may be closed again."""
        self._is_closed = True
        self._stir()
        self._worker.shutdown()
        self._head = None
        self._playout = Playout(self._ahead)
        self._image = np.zeros((0, 0, 3), np.uint8)

    def __enter__(self) -> "Avatar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self) -> "Avatar":
        return self

    async def __anext__(self) -> LiveFrame:
        """The next frame, once it is due.

        Raises:
            StopAsyncIteration: The avatar is closed.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._stirred = loop, asyncio.Event()
        while not self._is_closed:
            left = self._pace.seconds_left(self._clock.now(), self._playout.waiting)
            if left <= 0:
                is_late = self._pace.leave(self._clock.now(), self._playout.waiting)
                return await loop.run_in_executor(self._worker, self._next, is_late)
            self._stirred.clear()
            await self._clock.wait(self._stirred, left)
        raise StopAsyncIteration

    def _next(self, is_late: bool) -> LiveFrame:
        said = self._playout.next()
        if is_late or self._head is None:
            self.repeated += 1
            image = self._image.copy()
        else:
            image = self._image = self._head.draw(said.track, said.pitch)
        block = said.block
        return LiveFrame(image, block.sound, block.rate, block.pushed, block.ends)

    def _stir(self) -> None:
        """Have a consumer that waits look again."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stirred.set)

    def _check_open(self) -> None:
        if self._is_closed:
            raise InvalidRequest("avatar_closed")


def _check(name: str, value: object, low: int, high: int, unit: str, *, step: int = 1) -> None:
    """Refuse what is no whole number in steps from `low` to `high`."""
    fits = isinstance(value, int) and low <= value <= high and value % step == 0
    if not fits:
        wanted = (
            f"{f'a multiple of {step}' if step > 1 else 'a whole number'}, {low} to {high} {unit}"
        )
        raise InvalidRequest("avatar_option", field=name, value=value, wanted=wanted)
