"""An MP4 of a live session: the pictures as they were encoded, and their sound as AAC.

It is written as it comes, with the index at its end, through a file object that only writes and
seeks. Picture and sound last exactly as many frames as were added.
"""

import io
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray
from typing_extensions import override

from multitalk.media.label import TAGS
from multitalk.media.live_sound import SAMPLES_PER_FRAME, LiveSound
from multitalk.timebase import FPS
from multitalk.watermark.keys import Payload


class LiveRecording:
    """One recording.

    Args:
        write: Called with an offset in the file and the bytes that belong there.
        watermark: What the mark in the sound says; None: there is none. Pictures have theirs.

    Attributes:
        num_frames: That were added.
    """

    def __init__(self, write: Callable[[int, bytes], None], watermark: Payload | None) -> None:
        self.num_frames = 0
        self._container = av.open(_SeekableOutput(write), "w", format="mp4")
        self._container.metadata.update(TAGS)
        self._watermark = watermark
        self._streams: tuple[VideoStream, LiveSound] | None = None  # from the first frame on

    def add(self, video: bytes, pcm: NDArray[np.int16], rate: int, *, is_key: bool) -> None:
        """Add a frame.

        Args:
            video: An access unit in Annex B; the first one is a key frame with its parameter sets.
            pcm: Its sound, mono int16 [rate / 25].
            rate: Samples per second.
            is_key: Whether it can be decoded without earlier frames.
        """
        picture, sound = self._streams or self._begin(video)
        packet = Packet(video)
        packet.stream = picture
        packet.time_base = Fraction(1, FPS)
        packet.pts = packet.dts = self.num_frames
        packet.duration = 1
        packet.is_keyframe = is_key
        for encoded in sound.add(pcm, rate, start=self.num_frames * SAMPLES_PER_FRAME):
            self._container.mux(encoded)
        self._container.mux(packet)
        self.num_frames += 1

    def finish(self) -> None:
        """Write the rest and the index; without frames, nothing."""
        if self._streams is not None:
            for encoded in self._streams[1].finish(self.num_frames * SAMPLES_PER_FRAME):
                self._container.mux(encoded)
            self._container.close()

    def _begin(self, video: bytes) -> tuple[VideoStream, LiveSound]:
        """Add the streams, with the parameters that an access unit has."""
        picture = add_picture_stream(self._container, video)
        self._streams = picture, LiveSound(self._container, self._watermark)
        return self._streams


def add_picture_stream(container: OutputContainer, video: bytes) -> VideoStream:
    """A stream with the parameters that an access unit in Annex B has."""
    with av.open(io.BytesIO(video), format="h264") as parsed:
        return container.add_stream_from_template(parsed.streams.video[0])


class _SeekableOutput(io.RawIOBase):
    """A file that writes elsewhere; the container's muxer takes it."""

    def __init__(self, write: Callable[[int, bytes], None]) -> None:
        self._write = write
        self._position = self._end = 0

    @override
    def writable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._write(self._position, bytes(data))
        self._position += len(data)
        self._end = max(self._end, self._position)
        return len(data)

    @override
    def tell(self) -> int:
        return self._position

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._end}[whence]
        self._position = base + offset
        return self._position
