"""When each frame is due: a microphone's samples are the clock while it is heard, else time is."""

import asyncio
import time
from typing import Protocol

from multitalk.timebase import FPS

FRAME_SECONDS = 1 / FPS
# A microphone that is a little faster than this machine's clock is followed at this pace.
HURRIED_SECONDS = 0.9 * FRAME_SECONDS
PATIENCE_SECONDS = 0.15  # for which a microphone's next sound is waited for
# Sound that is so far ahead of the time that passed is a synthesizer's, not a microphone's, even
# if that one's clock is fast by a share.
BURST_SECONDS = 0.25
CLOCK_SHARE = 0.05
PAUSE_SECONDS = 1.0  # after which sound begins anew
LATE_SECONDS = 0.08  # from which on the picture before is shown again
LOST_SECONDS = 0.2  # from which on the time that passed is given up
SOON = 1e-6


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Seconds since any fixed instant; never goes back."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Return once the event is set or the seconds have passed; earlier does no harm."""
        ...


class RealTime:
    """This machine's clock."""

    def now(self) -> float:
        """Seconds since any fixed instant."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Return once the event is set or the seconds have passed."""
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except asyncio.TimeoutError:  # another class in Python 3.10
            return


class Pace:
    """The times of frames."""

    def __init__(self) -> None:
        self._due: float | None = None
        self._pushed_at = float("-inf")
        self._ahead = 0.0  # seconds of sound, less the time since it began
        self._is_burst = False
        self._was_awaited = False

    def pushed(self, now: float, seconds: float) -> None:
        """Note that so much sound came."""
        passed = now - self._pushed_at
        if passed < PAUSE_SECONDS:
            self._ahead = max(self._ahead - (1 + CLOCK_SHARE) * passed, -BURST_SECONDS)
        else:
            self._ahead = 0.0
        self._ahead += seconds
        self._is_burst = self._ahead > BURST_SECONDS or (self._is_burst and self._ahead > 0)
        self._pushed_at = now

    def ended(self) -> None:
        """Note that no more sound is to be waited for."""
        self._pushed_at, self._ahead = float("-inf"), 0.0

    def seconds_left(self, now: float, waiting: int) -> float:
        """Until the next frame at the latest, given how many blocks wait; 0 where it is due."""
        if self._due is None:
            return 0.0
        if self._due - now > SOON:
            return self._due - now
        patience = self._pushed_at + PATIENCE_SECONDS - now
        if waiting == 0 and not self._is_burst and patience > SOON:
            self._was_awaited = True
            return patience
        return 0.0

    def leave(self, now: float, waiting: int) -> bool:
        """Note that a frame leaves, of `waiting` blocks; whether it is too late to draw it."""
        late = 0.0 if self._due is None or self._was_awaited else now - self._due
        hurried = waiting > 1 and not self._is_burst
        start = now if self._due is None or self._was_awaited or late > LOST_SECONDS else self._due
        self._due = start + (HURRIED_SECONDS if hurried else FRAME_SECONDS)
        self._was_awaited = False
        return LATE_SECONDS < late <= LOST_SECONDS
