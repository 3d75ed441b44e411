"""`Avatar`: audio in as it is spoken, frames with their audio out in real time."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from multitalk.choices import Quality
from multitalk.engines.base import Scene, Speaker
from multitalk.engines.warp.poses import PoseAnimator
from multitalk.engines.warp.quality import QUALITIES
from multitalk.engines.warp.rigged_scene import rig_scene
from multitalk.errors import InvalidRequest, LimitExceeded, not_a_choice
from multitalk.face.detector import FaceDetector
from multitalk.live.pacing import Clock, FramePacer, FrameStart, MonotonicClock
from multitalk.live.playout import PlayoutBuffer, checked_rate, samples_of
from multitalk.media.image import load_picture
from multitalk.messages import Notice, sentence
from multitalk.speech.live_visemes import MOST_AHEAD
from multitalk.speech.viseme_track import VisemeTrack
from multitalk.timebase import FPS

FRAME_MS = 1000 // FPS
SMALLEST, LARGEST = 64, 1920  # pixels of the picture's longer side
MAX_WAITING_SECONDS = 600  # of queued audio
MAX_PORTRAIT_PIXELS = 50_000_000
PORTRAIT_FIELD = "portrait"

PortraitSource = str | os.PathLike[str] | NDArray[np.uint8]


@dataclass(frozen=True)
class LiveFrame:
    """One frame of 40 ms and its audio.

    Attributes:
        image: RGB uint8 [H, W, 3], owned by the caller, but see `Avatar.draws_in_loop`.
        pcm: The pushed audio, mono int16 [rate / 25]; silence in between. Where `interrupted`, the
            first 10 ms of what was dropped, faded out: cut off, sound would click.
        rate: Of `pcm`, samples per second: that of the last push, 16 000 before any.
        speaking: Whether the audio was pushed; otherwise the face is idle.
        end_of_speech: Whether speech ends with this frame, by `flush` or by `interrupt`.
        catching_up: Whether its audio came too late, all at once, as after a stall of the network:
            such frames are not paced, and a player in real time may leave them out.
        interrupted: Whether it ends by `interrupt`.
    """

    image: NDArray[np.uint8]
    pcm: NDArray[np.int16]
    rate: int
    speaking: bool
    end_of_speech: bool
    catching_up: bool = False
    interrupted: bool = False


class Avatar:
    """A portrait that speaks the pushed audio and is idle in between: blinks, breath, sway.

    `async for frame in avatar` yields 25 frames per second while the avatar is open. One consumer
    at a time; audio may be pushed from any thread. A context manager that closes itself.

    Attributes:
        warnings: What may look wrong with this portrait, in English.
        notices: The same, as keys of messages.
        repeated: Frames so far that repeated the previous picture, because drawing was too slow.
        draws_in_loop: Whether frames are drawn in the consumer's thread, which blocks its event
            loop for some 5 ms each, and their images are read-only. It costs less.
    """

    draws_in_loop = False

    def __init__(
        self,
        portrait: PortraitSource,
        *,
        size: int = 512,
        ahead_ms: int = 120,
        seed: int = 0,
        quality: Quality = "standard",
        motion: float = 1.0,
        clock: Clock | None = None,
    ) -> None:
        """Find and rig the face; takes 0.25 to 1 s.

        Args:
            portrait: A file path, or pixels, RGB uint8 [H, W, 3]. Its largest face speaks.
            size: Maximum of the picture's longer side, pixels; it is never enlarged.
            ahead_ms: Look-ahead of the mouth, a multiple of 40 up to 400. It delays a microphone's
                audio; below 80 the mouth is often wrong.
            seed: Of the random generator.
            quality: `draft`, `standard` or `fine`.
            motion: Scale of the head's movement, 0 to 1.5.
            clock: None for this machine's.

        Raises:
            InvalidRequest: An invalid option.
            MediaUndecodable: The portrait cannot be read.
            LimitExceeded: The portrait is too large.
            NoFaceFound: No face, or one that is too small.
        """
        _check("size", size, SMALLEST, LARGEST, "pixels")
        _check("ahead_ms", ahead_ms, 0, MOST_AHEAD * FRAME_MS, "ms", step=FRAME_MS)
        if quality not in QUALITIES:
            raise not_a_choice("quality", repr(quality), QUALITIES)
        if not 0 <= motion <= 1.5:
            raise InvalidRequest("avatar_option", field="motion", value=motion, wanted="0 to 1.5")
        self._head: _Head | None = _Head(
            portrait, size=size, seed=seed, quality=quality, motion=motion
        )
        self.notices = self._head.notices
        self.warnings = tuple(
            sentence(notice.key, "en", **notice.parameters) for notice in self.notices
        )
        self.repeated = 0
        self._playout = PlayoutBuffer(ahead_ms // FRAME_MS)
        self._ahead = ahead_ms // FRAME_MS
        self._pacer = FramePacer()
        self._clock = clock or MonotonicClock()
        self._image = self._head.picture
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="avatar")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake_up = asyncio.Event()
        self._is_closed = False

    @property
    def keeps_late_audio(self) -> bool:
        """Whether audio that has piled up, as after a stall of its source, is played in real time.

        Its pauses are left out until it has caught up. Otherwise, the default, it leaves at once:
        see `LiveFrame.catching_up`.
        """
        return self._pacer.keeps_late_audio

    @keeps_late_audio.setter
    def keeps_late_audio(self, keeps: bool) -> None:
        self._pacer.keeps_late_audio = keeps

    @property
    def width(self) -> int:
        """Width of the frames, in pixels."""
        return int(self._image.shape[1])

    @property
    def height(self) -> int:
        """Height of the frames, in pixels."""
        return int(self._image.shape[0])

    def push_audio(self, pcm: NDArray[np.generic] | bytes, rate: int) -> None:
        """Queue audio, in pieces of any length.

        Args:
            pcm: Mono int16 [S], float [S] in [-1, 1], or bytes of int16.
            rate: Samples per second, a multiple of 25 from 8000 to 48 000. It may change.

        Raises:
            InvalidRequest: Another type, or the avatar is closed.
            LimitExceeded: More than ten minutes would be queued; nothing is added.
        """
        self._check_open()
        samples, rate = samples_of(pcm), checked_rate(rate)
        waiting = self._playout.waiting / FPS
        if waiting + len(samples) / rate > MAX_WAITING_SECONDS:
            raise LimitExceeded(
                "avatar_too_far_ahead", field="pcm", seconds=waiting, limit=MAX_WAITING_SECONDS
            )
        now = self._clock.now()
        self._playout.push(samples, rate, now)
        self._pacer.audio_pushed(now, len(samples) / rate, self._playout.waiting)
        self._wake()

    def flush(self) -> None:
        """Mark the end of speech: the last frame of the pushed audio has `end_of_speech`.

        Raises:
            InvalidRequest: The avatar is closed.
        """
        self._check_open()
        self._playout.flush(self._clock.now())
        self._pacer.speech_ended()
        self._wake()

    def interrupt(self) -> bool:
        """Drop the queued audio; the mouth closes within 120 ms, and the head does not jump.

        Returns:
            Whether speech was cut: then the next frame has `end_of_speech`.

        Raises:
            InvalidRequest: The avatar is closed.
        """
        self._check_open()
        was_speaking = self._playout.interrupt()
        self._pacer.interrupted(self._clock.now())
        self._wake()
        return was_speaking

    def close(self) -> None:
        """End the frames and free the memory; may be called again."""
        self._is_closed = True
        self._wake()
        self._worker.shutdown()
        self._head = None
        self._playout = PlayoutBuffer(self._ahead)
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
            self._loop, self._wake_up = loop, asyncio.Event()
        while not self._is_closed:
            now = self._clock.now()
            left = self._pacer.seconds_left(now, self._playout.waiting)
            if left <= 0:
                if self.keeps_late_audio:
                    self._playout.skip_pause(self._pacer.backlog(self._playout.unended))
                age, unended = self._playout.age(now), self._playout.unended
                start = self._pacer.start_frame(now, self._playout.waiting, age, unended)
                if self.draws_in_loop:
                    await asyncio.sleep(0)  # also where it is always late, the loop goes on
                    return self._next(start)
                return await loop.run_in_executor(self._worker, self._next, start)
            self._wake_up.clear()
            await self._clock.wait(self._wake_up, left)
        raise StopAsyncIteration

    def _next(self, start: FrameStart) -> LiveFrame:
        is_drawn = start is FrameStart.IN_TIME and self._head is not None
        playout = self._playout.next(is_drawn=is_drawn)
        if not is_drawn or self._head is None:
            self.repeated += 1
        else:
            self._image = self._head.draw(playout.track, playout.pitch)
        if self.draws_in_loop:
            self._image.flags.writeable = False
            image = self._image
        else:
            image = self._image.copy()  # the caller may draw on it; a later frame may repeat it
        block = playout.block
        return LiveFrame(
            image,
            block.samples,
            block.rate,
            block.pushed,
            block.ends,
            catching_up=start is FrameStart.CATCHING_UP,
            interrupted=block.interrupted,
        )

    def _wake(self) -> None:
        """Wake a waiting consumer."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_up.set)

    def _check_open(self) -> None:
        if self._is_closed:
            raise InvalidRequest("avatar_closed")


class _Head:
    """The largest face of a portrait, rigged once and drawn frame by frame.

    The seam for other sources: `Avatar` knows a face by `picture`, `notices` and `draw`. A film as
    the source would be a second class with these, which draws each mouth into its next frame.

    Attributes:
        picture: As photographed, RGB uint8 [H, W, 3], H and W even.
        notices: Warnings for the caller.
    """

    def __init__(
        self, portrait: PortraitSource, *, size: int, seed: int, quality: Quality, motion: float
    ) -> None:
        """Find and rig the face; see `Avatar`."""
        pixels, notices = _pixels_of(portrait)
        scene = Scene(pixels, (Speaker(PORTRAIT_FIELD, np.zeros(0, np.float32)),), "", 0)
        with FaceDetector() as detector:
            rigged = rig_scene(scene, detector, short=size, long=size, quality=QUALITIES[quality])
        self.picture, self._backdrop = rigged.picture, rigged.backdrop
        (self._renderer,) = rigged.renderers
        self._animator = PoseAnimator(rigged.rigs[0], seed=seed, person=0, motion=motion)
        self.notices: tuple[Notice, ...] = (*notices, *rigged.notices)

    def draw(self, track: VisemeTrack, pitch: float) -> NDArray[np.uint8]:
        """The next frame, RGB uint8 [H, W, 3], for a track that begins with it and its pitch."""
        frame = self._backdrop.copy()
        pitches = np.array([pitch], np.float32)
        (pose,) = self._animator.poses(track, num_frames=1, pitch=pitches)
        self._renderer.draw(frame, pose)
        return frame


def _pixels_of(portrait: PortraitSource) -> tuple[NDArray[np.uint8], tuple[Notice, ...]]:
    if isinstance(portrait, str | os.PathLike):
        try:
            picture = load_picture(
                Path(portrait), field=PORTRAIT_FIELD, max_pixels=MAX_PORTRAIT_PIXELS
            )
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise InvalidRequest("file_unreadable", field=PORTRAIT_FIELD, reason=reason) from error
        return picture.pixels, picture.notices
    if not isinstance(portrait, np.ndarray):
        raise InvalidRequest("avatar_portrait", field=PORTRAIT_FIELD, kind=type(portrait).__name__)
    if portrait.dtype != np.uint8:
        raise InvalidRequest("pixels_of_type", field=PORTRAIT_FIELD, dtype=portrait.dtype)
    is_colour = portrait.ndim == 3 and portrait.shape[2] in (3, 4)
    if not (is_colour or portrait.ndim == 2) or portrait.size == 0:
        raise InvalidRequest("pixels_of_shape", field=PORTRAIT_FIELD, shape=list(portrait.shape))
    return np.array(Image.fromarray(np.ascontiguousarray(portrait)).convert("RGB")), ()


def _check(name: str, value: object, low: int, high: int, unit: str, *, step: int = 1) -> None:
    """Refuse anything but a whole number from `low` to `high` in steps."""
    fits = isinstance(value, int) and low <= value <= high and value % step == 0
    if not fits:
        expected = (
            f"{f'a multiple of {step}' if step > 1 else 'a whole number'}, {low} to {high} {unit}"
        )
        raise InvalidRequest("avatar_option", field=name, value=value, wanted=expected)
