"""Due times of a live avatar's frames: by a microphone's samples, otherwise by the clock."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from multitalk.timebase import FPS

FRAME_SECONDS = 1 / FPS
CATCH_UP_SECONDS = 0.9 * FRAME_SECONDS  # frame interval while a microphone runs ahead of the clock
# A microphone's audio that waits for more frames than these and a piece's has piled up, as on a
# busy machine: all of it is played out with the previous picture, as fast as that goes.
BACKLOG_FRAMES = 8
LATE_AUDIO_SECONDS = 0.15  # how long a late audio packet is waited for
# Audio this far ahead of real time, allowing for a clock drift, comes from a synthesizer.
BURST_SECONDS = 0.25
CLOCK_DRIFT = 0.05
PAUSE_SECONDS = 1.0  # without audio, after which the drift is measured from zero again
# A source is a microphone once so many pieces have come in real time, each within this of its time,
# over so long; or after so much audio that came no faster.
STEADY_PIECES, STEADY_SECONDS, STEADY_JITTER_SECONDS = 5, 0.2, 0.06
PACED_SECONDS = 1.0
STALL_SECONDS = 5.0  # without a microphone's audio, after which it is not expected any more
# A microphone's audio waits for its frame no longer than jitter needs: if it has waited for this
# long before each of so many frames, frames come sooner.
AGE_SECONDS = 0.005
AGES_FRAMES = 2 * FPS
ONSET_SECONDS = 0.16  # of a microphone's audio, during which frames move to when it arrives
SHORTEST_FRAME_SECONDS = 0.02  # from a frame to one that is due at once
REPEAT_SECONDS = 0.08  # lateness from which the previous picture is repeated
RESYNC_SECONDS = 0.2  # lateness from which the schedule restarts at the current time
TIME_TOLERANCE = 1e-6  # seconds


class Clock(Protocol):
    """A source of time."""

    def now(self) -> float:
        """Seconds since any fixed instant; monotonic."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Return once the event is set or the seconds have passed; earlier does no harm."""
        ...


class MonotonicClock:
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


class FrameStart(Enum):
    """The state in which a frame starts."""

    IN_TIME = auto()
    LATE = auto()  # too late to be drawn
    CATCHING_UP = auto()  # its audio is part of what has piled up


Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def _locked(
    method: Callable[Concatenate["FramePacer", Parameters], Result],
) -> Callable[Concatenate["FramePacer", Parameters], Result]:
    """A method that one thread at a time is in."""

    @wraps(method)
    def locked(
        self: "FramePacer", /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        with self._lock:
            return method(self, *args, **kwargs)

    return locked


class _SoundArrival:
    """What sends audio, as far as its pieces since speech began tell."""

    def __init__(self) -> None:
        self.paced_seconds = 0.0  # of audio that has arrived no faster than real time
        self.longest_piece = 0.0  # seconds
        self._is_steady = False
        self._began = float("-inf")  # the pieces that have come in real time
        self._seconds, self._pieces = 0.0, 0  # of these

    @property
    def is_microphone(self) -> bool:
        """Whether it records what it sends: then it sends no faster, but after a stall."""
        return self._is_steady or self.paced_seconds > PACED_SECONDS

    def add(self, now: float, seconds: float) -> None:
        """Take a piece's arrival into account."""
        self.paced_seconds += seconds
        self.longest_piece = max(self.longest_piece, seconds)
        passed = now - self._began
        if abs(self._seconds - passed) > STEADY_JITTER_SECONDS:
            self._began, self._seconds, self._pieces, passed = now, 0.0, 0, 0.0
        self._seconds += seconds
        self._pieces += 1
        self._is_steady |= self._pieces >= STEADY_PIECES and passed >= STEADY_SECONDS


class FramePacer:
    """Schedules frames: by a microphone's samples while they arrive, otherwise by the clock.

    A synthesizer's audio arrives faster than real time, a microphone's does not: after a stall it
    arrives at once, but no more than the stall was long. Its methods may be called from any thread.

    Attributes:
        keeps_late_audio: Whether frames whose audio has piled up are paced as others are.
    """

    def __init__(self) -> None:
        self.keeps_late_audio = False
        self._lock = threading.RLock()
        self._due: float | None = None
        self._started = float("-inf")  # the last frame
        self._pushed_at = float("-inf")
        self._ahead = 0.0  # seconds of audio minus the time since it began
        self._source = _SoundArrival()
        self._missing = 0.0  # seconds of a microphone's audio that a stall holds back
        self._resumed_at = float("-inf")
        self._is_burst = False
        self._expects_audio = False
        self._is_catching_up = False
        self._waited_for_audio = False
        self._ages: deque[float] = deque(maxlen=AGES_FRAMES)

    @_locked
    def audio_pushed(self, now: float, seconds: float, waiting: int) -> None:
        """Record the arrival of this much audio; `waiting` blocks are queued with it."""
        passed = now - self._pushed_at
        if passed > (STALL_SECONDS if self._source.is_microphone else PAUSE_SECONDS):
            self._ahead = self._missing = 0.0
            self._source = _SoundArrival()
        self._ahead = max(self._ahead - (1 + CLOCK_DRIFT) * passed, -BURST_SECONDS)
        self._ahead += seconds - self._from_stall(now, passed, seconds)
        was_burst = self._is_burst and passed < PAUSE_SECONDS
        self._is_burst = self._ahead > BURST_SECONDS or (self._is_burst and self._ahead > 0)
        if self._is_burst:
            self._source = _SoundArrival()
        else:
            self._source.add(now, seconds)
        self._pushed_at = now
        self._expects_audio = True
        begins = not was_burst if self._is_burst else self._source.paced_seconds < ONSET_SECONDS
        if begins and waiting > 0:
            self._start_soon(now)

    def _from_stall(self, now: float, passed: float, seconds: float) -> float:
        """Seconds of the arrived audio that a stall had held back."""
        if self._source.is_microphone and passed > LATE_AUDIO_SECONDS:
            self._missing, self._resumed_at = passed, now
        elif now - self._resumed_at > PAUSE_SECONDS:
            self._missing = 0.0
        held_back = min(self._missing, seconds)
        self._missing -= held_back
        return held_back

    @_locked
    def speech_ended(self) -> None:
        """Stop waiting for audio."""
        self._pushed_at, self._ahead, self._source = float("-inf"), 0.0, _SoundArrival()
        self._expects_audio = False

    @_locked
    def interrupted(self, now: float) -> None:
        """Stop waiting for audio; the next frame is due at once."""
        self.speech_ended()
        self._start_soon(now)

    @_locked
    def seconds_left(self, now: float, waiting: int) -> float:
        """Seconds until the next frame at the latest, with `waiting` blocks queued; 0 if due."""
        if self._due is None:
            return 0.0
        if self._due - now > TIME_TOLERANCE:
            return self._due - now
        grace = max(self._due, self._pushed_at) + LATE_AUDIO_SECONDS - now
        if waiting == 0 and self._expects_audio and not self._is_burst and grace > TIME_TOLERANCE:
            self._waited_for_audio = True
            return grace
        return 0.0

    @_locked
    def start_frame(self, now: float, waiting: int, age: float, unended: int) -> FrameStart:
        """Schedule the frame after this one.

        Args:
            now: When this one starts.
            waiting: Blocks that are queued.
            unended: As of `backlog`.
            age: Seconds since the first of them arrived.
        """
        late = 0.0 if self._due is None or self._waited_for_audio else now - self._due
        self._started = now
        is_microphone = waiting > 0 and not self._is_burst
        self._expects_audio &= waiting > 0 or not self._waited_for_audio
        self._is_catching_up = self.backlog(unended) > 0
        if self._is_catching_up and not self.keeps_late_audio:
            self._due, self._waited_for_audio = now, False
            return FrameStart.CATCHING_UP
        catches_up = is_microphone and self._is_later_than_needed(age)
        restarts = self._due is None or self._waited_for_audio or late > RESYNC_SECONDS
        start = now if restarts or self._due is None else self._due
        self._due = start + (CATCH_UP_SECONDS if catches_up else FRAME_SECONDS)
        self._waited_for_audio = False
        return FrameStart.LATE if REPEAT_SECONDS < late <= RESYNC_SECONDS else FrameStart.IN_TIME

    @_locked
    def backlog(self, unended: int) -> int:
        """The number of queued blocks of a microphone that have piled up.

        Args:
            unended: Queued blocks; 0 where speech ends among what was not played: a text, or what
                was said until the microphone went off, is played whole.
        """
        if self._is_burst or not self._source.is_microphone:
            return 0
        piece = int(self._source.longest_piece * FPS)
        enough = 1 if self._is_catching_up else BACKLOG_FRAMES + piece
        return unended - 1 if unended > enough else 0

    def _start_soon(self, now: float) -> None:
        if self._due is not None:
            self._due = min(self._due, max(now, self._started + SHORTEST_FRAME_SECONDS))

    def _is_later_than_needed(self, age: float) -> bool:
        """True if the audio of each recent frame had waited before the frame started."""
        self._ages.append(age)
        return len(self._ages) == AGES_FRAMES and min(self._ages) > AGE_SECONDS
