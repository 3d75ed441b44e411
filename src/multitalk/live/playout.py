"""Playout: the buffer from pushed audio to frames with a mouth."""

import threading
from collections import deque
from dataclasses import dataclass, fields

import numpy as np

from multitalk.errors import InvalidRequest
from multitalk.media.streaming_resampler import FULL_SCALE, PcmSamples, StreamingResampler
from multitalk.speech.live_visemes import LiveVisemes
from multitalk.speech.viseme_track import VisemeTrack
from multitalk.timebase import FPS, SAMPLE_RATE

LOWEST_RATE, HIGHEST_RATE = 8_000, 48_000  # Hz
CLOSING_FRAMES = 3  # in which an interrupted mouth closes
QUIET = 300  # of int16: what may be left out between words
FADE_SECONDS = 0.01  # in which interrupted sound fades; cut off, it would click


@dataclass
class AudioBlock:
    """The audio of one video frame.

    Attributes:
        samples: int16 [rate / 25].
        rate: Samples per second.
        pushed: Whether it was pushed; otherwise it is the silence in between, or how interrupted
            sound fades.
        ends: Whether speech ends with it.
        arrived: When it was complete, in seconds of the clock.
        interrupted: Whether it ends by an interruption.
    """

    samples: PcmSamples
    rate: int
    pushed: bool
    ends: bool = False
    arrived: float = 0.0
    interrupted: bool = False


@dataclass(frozen=True)
class PlayoutFrame:
    """One frame's audio, mouth and pitch.

    Attributes:
        block: The audio.
        track: From this frame on, as far as it is known.
        pitch: Semitones; NaN where unvoiced.
    """

    block: AudioBlock
    track: VisemeTrack
    pitch: float


class PlayoutBuffer:
    """Queue between a thread that pushes audio and one that draws frames.

    Only `next` takes long; other methods wait for it no longer than it takes to analyse a block.

    A mouth needs the audio of the next `ahead` frames. Audio that arrives faster than real time
    provides it and is played at once; a microphone's is delayed by it.
    """

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead
        self._lock = threading.Lock()
        self._rate = SAMPLE_RATE
        self._partial = np.zeros(0, np.int16)  # of an incomplete block
        self._queue: deque[AudioBlock] = deque()
        self._look_ahead: deque[AudioBlock] = deque()  # analysed, not yet played
        self._resampler = StreamingResampler(SAMPLE_RATE)
        self._visemes = LiveVisemes()
        self._played = 0
        self._num_ends = 0  # of speech, among the blocks that were not played
        self._ends_now = False  # speech ended before the next frame
        self._was_cut = False  # by an interruption
        self._is_interrupted = False  # since the last frame
        self._was_pushed = False  # the sound of the last frame
        self._fade: AudioBlock | None = None  # of an interruption since the last frame
        self._last = VisemeTrack.silent(1)
        self._interrupted_mouth = VisemeTrack.silent(1)
        self._closing_frames = 0  # left until it is closed

    @property
    def waiting(self) -> int:
        """Number of blocks not yet analysed."""
        return len(self._queue)

    @property
    def unended(self) -> int:
        """`waiting`, or 0 where speech ends among the blocks that were not played."""
        return 0 if self._num_ends else len(self._queue)

    def age(self, now: float) -> float:
        """Seconds since the next block to be analysed arrived; 0 if there is none."""
        with self._lock:
            return now - self._queue[0].arrived if self._queue else 0.0

    def push(self, samples: PcmSamples, rate: int, now: float = 0.0) -> None:
        """Add audio; a change of rate completes a partial block with silence."""
        with self._lock:
            if rate != self._rate:
                self._complete_block(now)
                self._rate = rate
            whole = np.concatenate([self._partial, samples])
            length = rate // FPS
            end = len(whole) // length * length
            for start in range(0, end, length):
                block = whole[start : start + length].copy()
                self._queue.append(AudioBlock(block, rate, pushed=True, arrived=now))
            self._partial = whole[end:].copy()

    def flush(self, now: float = 0.0) -> None:
        """Mark the end of speech after the audio pushed so far."""
        with self._lock:
            self._complete_block(now)
            pushed = [block for block in (*self._look_ahead, *self._queue) if block.pushed]
            if pushed:
                self._num_ends += not pushed[-1].ends
                pushed[-1].ends = True
            else:
                self._ends_now = True

    def interrupt(self) -> bool:
        """Drop the audio that was not played, and let the mouth close; True if there was any."""
        with self._lock:
            pushed = self._queue or any(block.pushed for block in self._look_ahead)
            was_speaking = bool(pushed) or len(self._partial) > 0
            self._ends_now |= was_speaking
            self._was_cut |= was_speaking
            if not self._is_interrupted:
                self._fade = self._faded()
            self._partial = np.zeros(0, np.int16)
            self._queue.clear()
            self._look_ahead.clear()
            self._num_ends = 0
            self._is_interrupted = True
            return was_speaking

    def skip_pause(self, most: int) -> None:
        """Leave out up to so many of the blocks that come next, as long as they are quiet."""
        with self._lock:
            for _ in range(most):
                if not self._queue or self._queue[0].ends:
                    return
                if np.abs(self._queue[0].samples.astype(np.int32)).max() >= QUIET:
                    return
                self._queue.popleft()

    def next(self, *, is_drawn: bool = True) -> PlayoutFrame:
        """The next frame; one that is not drawn costs less and keeps the mouth before."""
        with self._lock:
            block = self._next_block()
        if not is_drawn:
            self._played += 1
            return PlayoutFrame(block, self._last, float("nan"))
        self._last = self._with_closing_mouth(self._visemes.frames_from(self._played))
        speaks = float(self._last.activity[0]) > 0
        pitch = self._visemes.pitch(self._played) if speaks else float("nan")
        self._played += 1
        return PlayoutFrame(block, self._last, pitch)

    def _next_block(self) -> AudioBlock:
        """Take a block, after analysing `ahead` more."""
        if self._is_interrupted:
            self._is_interrupted = False
            self._visemes.cut(self._played)
            self._visemes.silence()
            self._resampler = StreamingResampler(self._rate)
            self._interrupted_mouth, self._closing_frames = self._last[:1], CLOSING_FRAMES
            if self._fade is not None:
                self._queue.appendleft(self._fade)
                self._fade = None
        idle = not any(block.pushed for block in self._look_ahead)
        if idle and len(self._queue) > self._ahead:
            # The whole look-ahead has arrived: skip the silence that was analysed in its place.
            self._look_ahead.clear()
            self._visemes.cut(self._played)
        while len(self._look_ahead) <= self._ahead:
            block = self._queue.popleft() if self._queue else self._silence()
            if block.rate != self._resampler.rate:
                self._resampler = StreamingResampler(block.rate)
            heard = block.samples if block.pushed else np.zeros_like(block.samples)
            self._visemes.append(self._resampler.resample(heard))
            self._look_ahead.append(block)
        block = self._look_ahead.popleft()
        self._was_pushed = block.pushed
        self._num_ends -= block.ends
        # A block that ends speech by `flush` is not reported as interrupted.
        block.interrupted = self._was_cut and not block.ends
        block.ends |= self._ends_now
        self._ends_now = self._was_cut = False
        return block

    def _faded(self) -> AudioBlock | None:
        """The sound that would be played next, faded out; None where none is being played."""
        waiting = [*self._look_ahead, *self._queue]
        if not (self._was_pushed and waiting and waiting[0].pushed):
            return None
        following = waiting[0]
        length = round(FADE_SECONDS * following.rate)
        ramp = np.cos(np.linspace(0, np.pi / 2, length, endpoint=False, dtype=np.float32)) ** 2
        samples = np.zeros_like(following.samples)
        samples[:length] = np.round(ramp * following.samples[:length])
        return AudioBlock(samples, following.rate, pushed=False)

    def _with_closing_mouth(self, track: VisemeTrack) -> VisemeTrack:
        """Cross-fade from the interrupted mouth after an interruption."""
        if not self._closing_frames:
            return track
        self._closing_frames -= 1
        share = np.float32(self._closing_frames / CLOSING_FRAMES)
        return VisemeTrack(
            *(
                share * getattr(self._interrupted_mouth, field.name)
                + (1 - share) * getattr(track, field.name)
                for field in fields(VisemeTrack)
            )
        )

    def _complete_block(self, now: float) -> None:
        """Pad a partial block with silence and queue it."""
        if len(self._partial):
            length = self._rate // FPS
            samples = np.pad(self._partial, (0, length - len(self._partial)))
            self._queue.append(AudioBlock(samples, self._rate, pushed=True, arrived=now))
            self._partial = np.zeros(0, np.int16)

    def _silence(self) -> AudioBlock:
        return AudioBlock(np.zeros(self._rate // FPS, np.int16), self._rate, pushed=False)


def checked_rate(rate: object) -> int:
    """A sample rate with a whole number of samples per video frame.

    Raises:
        InvalidRequest: It is none.
    """
    number = rate.item() if isinstance(rate, np.generic) else rate
    fits = isinstance(number, int) and LOWEST_RATE <= number <= HIGHEST_RATE
    if not isinstance(number, int) or not fits or number % FPS:
        expected = f"a multiple of {FPS} from {LOWEST_RATE} to {HIGHEST_RATE} Hz"
        raise InvalidRequest("avatar_option", field="rate", value=number, wanted=expected)
    return number


def samples_of(pcm: object) -> PcmSamples:
    """Samples as int16 [S].

    Args:
        pcm: int16 [S], float32 or float64 [S] in [-1, 1] (clipped; NaN becomes silence), or bytes
            of int16 in native byte order.

    Raises:
        InvalidRequest: Any other type or shape.
    """
    if isinstance(pcm, bytes | bytearray | memoryview):
        if memoryview(pcm).nbytes % 2:
            raise InvalidRequest("avatar_pcm", field="pcm", kind="an odd number of bytes")
        return np.frombuffer(pcm, np.int16).copy()
    if not isinstance(pcm, np.ndarray):
        raise InvalidRequest("avatar_pcm", field="pcm", kind=type(pcm).__name__)
    if pcm.ndim != 1 or (pcm.dtype != np.int16 and pcm.dtype.kind != "f"):
        kind = f"an array {pcm.dtype} {list(pcm.shape)}"
        raise InvalidRequest("avatar_pcm", field="pcm", kind=kind)
    if pcm.dtype == np.int16:
        return pcm.astype(np.int16)
    clipped = np.clip(np.nan_to_num(pcm.astype(np.float32), nan=0.0), -1, 1)
    return np.asarray(np.round(clipped * FULL_SCALE), np.int16)
