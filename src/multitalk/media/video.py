"""Frames to an MP4 with its soundtrack, as they come; and an MP4 back to frames."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from queue import Empty, Full, Queue
from types import TracebackType

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from multitalk.choices import Quality
from multitalk.errors import MediaUndecodable
from multitalk.media.container import open_media
from multitalk.media.fragments import Fragment
from multitalk.media.frame_colours import srgb_frame
from multitalk.media.soundtrack import Soundtrack
from multitalk.media.video_encoder import encode_talk
from multitalk.timebase import FPS
from multitalk.watermark.keys import Payload

Frames = NDArray[np.uint8]  # RGB [T, H, W, 3]

# Pieces that may wait for the encoder, besides the one that it has. One is enough for the next
# piece to be rendered meanwhile; of the diffusion engine's, each holds some hundred megabytes.
WAITING_PIECES = 1
MAX_PIXELS = 2**27  # of a video that is judged
WAKE_SECONDS = 0.2  # how soon a waiting caller notices that the encoder failed


class VideoWriter:
    """Writes a talk while it is rendered. A context manager: leaving it finishes the file.

    Colour conversion and encoding run in a thread of their own. What goes wrong there is raised by
    the next `append` or by leaving the context. If the context is left by an exception, of whatever
    kind, the unfinished file is removed.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        width: int,
        height: int,
        soundtrack: Soundtrack | None,
        on_fragment: Callable[[Fragment], None] | None = None,
        threads: int = 0,
        quality: Quality = "standard",
        label: str | None = None,
        watermark: Payload | None = None,
    ) -> None:
        """Prepare; the file appears when the context is entered.

        Args:
            path: Where the MP4 goes, its index at the front when it is finished; an existing file
                is overwritten. None: it is wanted as fragments only.
            width: Of the frames in pixels, even.
            height: Of the frames in pixels, even.
            soundtrack: None for a silent video.
            on_fragment: Called from the encoder's thread with the first frames, then with each
                second of the video as soon as it is encoded. The encoder waits for it; what it
                raises ends the writing.
            threads: For the encoder; 0 takes what the machine has.
            quality: How close to the frames; `fine` costs the encoder more.
            label: A short text in a corner of every frame, ASCII; None: there is none.
            watermark: What the mark in picture and sound says; None: there is none.

        Raises:
            ValueError: An odd or empty size.
        """
        if width <= 0 or height <= 0 or width % 2 or height % 2:
            raise ValueError(f"{width}x{height}: H.264 in 4:2:0 needs even sizes")
        self.num_frames = 0
        self._path = path
        self._width = width
        self._height = height
        self._soundtrack = soundtrack
        self._on_fragment = on_fragment
        self._threads = threads
        self._quality: Quality = quality
        self._label = label
        self._watermark = watermark
        self._waiting: Queue[Frames | None] = Queue(WAITING_PIECES)
        self._aborted = threading.Event()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._encoding: Future[None] | None = None

    def __enter__(self) -> "VideoWriter":
        self._encoding = self._executor.submit(self._encode)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def append(self, frames: Frames) -> None:
        """Hand over the next frames; waits while the encoder is two pieces behind.

        Args:
            frames: RGB uint8 [T, H, W, 3]; not to be changed afterwards.

        Raises:
            ValueError: Frames of another size or type.
            DeliveryFailed: The file could not be written.
        """
        if frames.shape[1:] != (self._height, self._width, 3) or frames.dtype != np.uint8:
            raise ValueError(f"frames {frames.dtype} {frames.shape}; expected uint8 RGB")
        self._put(frames)
        self.num_frames += len(frames)

    def close(self) -> None:
        """Finish the file; once closed or aborted, this does nothing.

        Raises:
            ValueError: The soundtrack is for another number of frames.
            DeliveryFailed: The file could not be written.
        """
        if self._encoding is None:
            return
        try:
            if self._soundtrack is not None and self._soundtrack.num_frames != self.num_frames:
                raise ValueError(
                    f"{self.num_frames} frames, but sound for {self._soundtrack.num_frames}"
                )
            self._put(None)
            self._encoding.result()
        except BaseException:  # also Ctrl-C while waiting
            self.abort()
            raise
        self._executor.shutdown()
        self._encoding = None

    def abort(self) -> None:
        """Stop and remove the unfinished file; once closed or aborted, this does nothing."""
        if self._encoding is None:
            return
        self._aborted.set()
        try:
            while True:
                self._waiting.get_nowait()
        except Empty:
            self._waiting.put(None)
        self._executor.shutdown()
        self._encoding = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _put(self, frames: Frames | None) -> None:
        if self._encoding is None:
            raise ValueError("the writer is not open")
        while True:
            if self._encoding.done():
                self._encoding.result()  # raises what stopped it
            try:
                self._waiting.put(frames, timeout=WAKE_SECONDS)
            except Full:
                continue
            return

    def _frames_to_encode(self) -> Iterator[NDArray[np.uint8]]:
        while (frames := self._waiting.get()) is not None:
            for frame in frames:
                if self._aborted.is_set():
                    return
                yield frame

    def _hand_out(self, fragment: Fragment) -> None:
        if self._on_fragment is not None and not self._aborted.is_set():
            self._on_fragment(fragment)

    def _encode(self) -> None:
        """The encoder's thread."""
        encode_talk(
            self._frames_to_encode(),
            path=self._path,
            on_fragment=self._hand_out if self._on_fragment is not None else None,
            width=self._width,
            height=self._height,
            soundtrack=self._soundtrack,
            threads=self._threads,
            quality=self._quality,
            label=self._label,
            watermark=self._watermark,
        )


@dataclass(frozen=True)
class SoundFacts:
    """The header's facts about a video's sound.

    Attributes:
        codec: FFmpeg's name, such as `aac`.
        sample_rate: In Hz.
        num_channels: At least 1.
        duration: In seconds.
    """

    codec: str
    sample_rate: int
    num_channels: int
    duration: float


@dataclass(frozen=True)
class VideoFacts:
    """The facts in a video's header.

    Attributes:
        codec: FFmpeg's name, such as `h264`.
        width: In pixels.
        height: In pixels.
        fps: Frames a second, on average.
        num_frames: Counted if the header does not say.
        duration: Of the picture in seconds.
        sound: None for a silent video.
    """

    codec: str
    width: int
    height: int
    fps: float
    num_frames: int
    duration: float
    sound: SoundFacts | None


def probe(path: Path, *, field: str | None = None) -> VideoFacts:
    """Look at a video without decoding it.

    Raises:
        MediaUndecodable: No video, or damaged.
    """
    with open_media(path, key="video_undecodable", field=field) as container:
        stream = picture_stream(container, field)
        num_frames = stream.frames
        if not num_frames:
            num_frames = sum(1 for packet in _packets(container, stream, field) if packet.size)
        fps = stream.average_rate or stream.guessed_rate or Fraction(FPS)
        return VideoFacts(
            codec=stream.codec_context.name,
            width=stream.codec_context.width,
            height=stream.codec_context.height,
            fps=float(fps),
            num_frames=num_frames,
            duration=_duration(container, stream) or float(num_frames / fps),
            sound=_sound_facts(container),
        )


def read_frames(path: Path, *, field: str | None = None) -> Iterator[NDArray[np.uint8]]:
    """Decode a video, frame by frame.

    Yields:
        RGB uint8 [H, W, 3].

    Raises:
        MediaUndecodable: No video, or damaged.
    """
    with open_media(path, key="video_undecodable", field=field, max_pixels=MAX_PIXELS) as container:
        stream = picture_stream(container, field)
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        stream.thread_type = "AUTO"
        try:
            for frame in container.decode(stream):
                yield srgb_frame(frame)
        except av.FFmpegError as error:
            raise MediaUndecodable("video_undecodable", field=field, reason="damaged") from error


def picture_stream(container: InputContainer, field: str | None) -> VideoStream:
    """The first video stream that is not the cover of a sound file.

    Raises:
        MediaUndecodable: There is none.
    """
    for stream in container.streams.video:
        readable = stream.codec_context is not None  # None: a codec that this FFmpeg does not have
        if readable and not stream.disposition & Disposition.attached_pic:
            return stream
    raise MediaUndecodable("video_undecodable", field=field, reason="no video stream in it")


def _packets(
    container: InputContainer, stream: VideoStream, field: str | None
) -> Iterator["av.Packet[VideoStream]"]:
    try:
        yield from container.demux(stream)
    except av.FFmpegError as error:
        raise MediaUndecodable("video_undecodable", field=field, reason="damaged") from error


def _sound_facts(container: InputContainer) -> SoundFacts | None:
    if not container.streams.audio:
        return None
    stream = container.streams.audio[0]
    if stream.codec_context is None:  # a codec that this FFmpeg does not have
        return None
    return SoundFacts(
        codec=stream.codec_context.name,
        sample_rate=stream.codec_context.sample_rate,
        num_channels=stream.codec_context.channels,
        duration=_duration(container, stream),
    )


def _duration(container: InputContainer, stream: Stream) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base
