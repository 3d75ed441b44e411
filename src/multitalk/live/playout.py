"""What is said when: pushed sound becomes blocks of a video frame, each with its mouth."""

import threading
from collections import deque
from dataclasses import dataclass, fields

import numpy as np

from multitalk.live.sound import Ear, Samples
from multitalk.speech.live_visemes import LiveVisemes
from multitalk.speech.viseme_track import VisemeTrack
from multitalk.timebase import FPS, SAMPLE_RATE

CLOSING_FRAMES = 3  # in which a mouth that is interrupted shuts


@dataclass
class Block:
    """The sound of one video frame.

    Attributes:
        sound: int16 [rate / 25].
        rate: Samples a second.
        pushed: Whether somebody pushed it; else it is the silence between.
        ends: Whether speech ends with it.
    """

    sound: Samples
    rate: int
    pushed: bool
    ends: bool = False


@dataclass(frozen=True)
class Said:
    """What is said in one frame, and with which mouth: a track of one frame, and its pitch."""

    block: Block
    track: VisemeTrack
    pitch: float


class Playout:
    """The queue between who pushes sound and who draws frames, a thread each.

    Only `next` takes long; nobody who pushes waits for it.

    A mouth needs the sound of the next `ahead` frames. Sound that comes faster than it is said
    brings them along, and is said at once; a microphone's is said so much later.
    """

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead
        self._lock = threading.Lock()
        self._rate = SAMPLE_RATE
        self._part = np.zeros(0, np.int16)  # of a block that is not whole yet
        self._queue: deque[Block] = deque()
        self._coming: deque[Block] = deque()  # heard by the visemes and not yet said
        self._ear = Ear(SAMPLE_RATE)
        self._visemes = LiveVisemes()
        self._said = 0
        self._ends_now = False  # speech ended before the next frame
        self._is_interrupted = False  # since the last frame
        self._last = VisemeTrack.silent(1)
        self._open = VisemeTrack.silent(1)  # the mouth that is to shut
        self._closing = 0  # frames left for it

    @property
    def waiting(self) -> int:
        """Blocks that nobody has looked at yet."""
        return len(self._queue)

    def push(self, samples: Samples, rate: int) -> None:
        """Add sound; another rate than before ends the block that is not whole."""
        with self._lock:
            if rate != self._rate:
                self._fill()
                self._rate = rate
            whole = np.concatenate([self._part, samples])
            length = rate // FPS
            end = len(whole) // length * length
            for start in range(0, end, length):
                self._queue.append(Block(whole[start : start + length].copy(), rate, pushed=True))
            self._part = whole[end:].copy()

    def flush(self) -> None:
        """Speech ends with what was pushed so far."""
        with self._lock:
            self._fill()
            pushed = [block for block in (*self._coming, *self._queue) if block.pushed]
            if pushed:
                pushed[-1].ends = True
            else:
                self._ends_now = True

    def interrupt(self) -> None:
        """Drop what has not been said, and let the mouth shut."""
        with self._lock:
            was_speaking = bool(self._queue) or any(block.pushed for block in self._coming)
            self._ends_now |= was_speaking or len(self._part) > 0
            self._part = np.zeros(0, np.int16)
            self._queue.clear()
            self._coming.clear()
            self._is_interrupted = True

    def next(self) -> Said:
        """What is said in the next frame."""
        with self._lock:
            if self._is_interrupted:
                self._is_interrupted = False
                self._visemes.cut(self._said)
                self._visemes.silence()
                self._ear = Ear(self._rate)
                self._open, self._closing = self._last, CLOSING_FRAMES
            idle = not any(block.pushed for block in self._coming)
            if idle and len(self._queue) > self._ahead:
                # All that the mouth needs is there: the silence that was to come is not waited for.
                self._coming.clear()
                self._visemes.cut(self._said)
            while len(self._coming) <= self._ahead:
                block = self._queue.popleft() if self._queue else self._silence()
                if block.rate != self._ear.rate:
                    self._ear = Ear(block.rate)
                self._visemes.append(self._ear.hear(block.sound))
                self._coming.append(block)
            block = self._coming.popleft()
            block.ends |= self._ends_now
            self._ends_now = False
        self._last = self._shutting(self._visemes.frame(self._said))
        speaks = float(self._last.activity[0]) > 0
        pitch = self._visemes.pitch(self._said) if speaks else float("nan")
        self._said += 1
        return Said(block, self._last, pitch)

    def _shutting(self, track: VisemeTrack) -> VisemeTrack:
        """The mouth in the frames after an interruption: what was open shuts."""
        if not self._closing:
            return track
        self._closing -= 1
        share = np.float32(self._closing / CLOSING_FRAMES)
        return VisemeTrack(
            *(
                share * getattr(self._open, field.name) + (1 - share) * getattr(track, field.name)
                for field in fields(VisemeTrack)
            )
        )

    def _fill(self) -> None:
        """Make the block that is not whole one, with silence."""
        if len(self._part):
            length = self._rate // FPS
            sound = np.pad(self._part, (0, length - len(self._part)))
            self._queue.append(Block(sound, self._rate, pushed=True))
            self._part = np.zeros(0, np.int16)

    def _silence(self) -> Block:
        sound = np.zeros(self._rate // FPS, np.int16)
        return Block(sound, self._rate, pushed=False)
