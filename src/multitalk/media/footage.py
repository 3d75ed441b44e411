"""A video in a portrait's place: its picture at each frame of a talk, decoded on demand."""

import logging
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideData, Type
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from multitalk.array_types import Portrait
from multitalk.errors import LimitExceeded, MediaUndecodable
from multitalk.media.container import UNDECLARED, open_media, packets_of
from multitalk.media.decoding_errors import (
    CheckCancelled,
    never_cancelled,
    translate_decoder_errors,
)
from multitalk.media.frame_colours import srgb_frame
from multitalk.media.jpeg import has_too_many_scans
from multitalk.media.video import picture_stream
from multitalk.timebase import FPS

KEY = "video_undecodable"
MISSING_SECONDS = 0.5  # that a whole file may lack of what its header promises
DECODER_THREADS = 4  # each holds a frame
SMALL = 16  # pixels of a side
CODED_PIXELS = 2  # for each that is seen, at most: codecs round sizes up
MAX_BLIND_PACKETS = 10_000  # in a row of which nothing decodes

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Shot:
    """A decoded frame, and since when it is seen, in seconds."""

    since: Fraction
    frame: VideoFrame


class FootageReader:
    """A video at the talk's frames, 25 a second, whatever its own rate; its last frame repeats.

    A frame is decoded on demand. Two are held here, and a few in the decoder. Reading in order is
    cheap; an earlier frame restarts the file. A pickled reader reopens the file where it is
    unpickled. As a context manager it closes the file, until the next read.
    """

    def __init__(
        self,
        path: Path,
        *,
        field: str,
        max_pixels: int,
        max_seconds: float,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> None:
        """Look through the file, without decoding it.

        Args:
            path: The file, which stays where it is.
            field: The request field to blame.
            max_pixels: Of a frame.
            max_seconds: Of the whole video.
            check_cancelled: Called at each packet, now and later; a pickled reader has none.

        Raises:
            MediaUndecodable: Empty, cut off or no video.
            LimitExceeded: Too large or too long.
        """
        self._path = path
        self._field = field
        self._max_pixels = max_pixels
        self._check_cancelled = check_cancelled
        self._open: _Open | None = None
        self._is_declared = _survey(
            path,
            field=field,
            max_pixels=max_pixels,
            max_seconds=max_seconds,
            check_cancelled=check_cancelled,
        )

    def __enter__(self) -> "FootageReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": None, "_check_cancelled": never_cancelled}

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        if self._open is not None:
            self._open.shots.close()
            self._open = None

    def at(self, frame: int) -> Portrait:
        """The picture at a frame of the talk, upright.

        Raises:
            MediaUndecodable: Nothing of the video decodes, or nothing for 10,000 packets.
            LimitExceeded: A frame is larger than the file's header says, and too large.
        """
        moment = Fraction(frame, FPS)
        if self._open is not None and moment < self._open.shown.since:
            self.close()
        with translate_decoder_errors(KEY, field=self._field, reason="damaged or cut off"):
            if self._open is None:
                self._open = _Open(self._shots(), self._field)
            shown = self._open.until(moment).frame
            _check_size(shown.width, shown.height, self._field, self._max_pixels)
            return _upright(shown, self._open.matrix)

    def _shots(self) -> Generator[_Shot, None, None]:
        return _shots(
            self._path, self._field, self._max_pixels, self._is_declared, self._check_cancelled
        )


class _Open:
    """A video that is being decoded: its display matrix, the current shot and the next one."""

    def __init__(self, shots: Generator[_Shot, None, None], field: str) -> None:
        self.shots = shots
        first = next(shots, None)
        if first is None:
            raise MediaUndecodable(KEY, field=field, reason="nothing in it decodes")
        self.shown = first
        self.matrix = _display_matrix(first.frame)
        self._coming = next(shots, None)

    def until(self, moment: Fraction) -> _Shot:
        """The shot at a moment, in seconds."""
        while self._coming is not None and self._coming.since <= moment:
            self.shown, self._coming = self._coming, next(self.shots, None)
        return self.shown


def _survey(
    path: Path, *, field: str, max_pixels: int, max_seconds: float, check_cancelled: CheckCancelled
) -> bool:
    """Refuse a file that is cut off, too large or too long, by its packets.

    Returns:
        Whether the file says in its header which streams it has.
    """
    cut_off = MediaUndecodable(KEY, field=field, reason="damaged or cut off")
    with open_media(path, key=KEY, field=field) as container:
        stream = picture_stream(container, field)
        _check_size(stream.codec_context.width, stream.codec_context.height, field, max_pixels)
        start = Fraction(container.start_time or 0, av.time_base)
        seen = last = Fraction(0)  # seconds
        is_whole = True
        try:
            for packet, end in _packets_with_end(container, check_cancelled):
                last = max(last, end)
                if packet.stream is stream:
                    seen, is_whole = max(seen, end - start), not packet.is_corrupt
        except av.FFmpegError as error:
            raise cut_off from error
        promised = Fraction(container.duration or 0, av.time_base)
        is_declared = container.format.name not in UNDECLARED
    if not is_whole or last < promised - MISSING_SECONDS:
        raise cut_off
    if seen > max_seconds:
        raise LimitExceeded("video_too_long", field=field, seconds=float(seen), limit=max_seconds)
    return is_declared


def _packets_with_end(
    container: InputContainer, check_cancelled: CheckCancelled
) -> "Iterator[tuple[Packet[Stream], Fraction]]":
    """Packets with the second at which each ends, but for the empty one that ends a stream."""
    for packet in container.demux():
        check_cancelled()
        if packet.pts is not None and packet.time_base is not None:
            yield packet, (packet.pts + (packet.duration or 0)) * packet.time_base


def _check_size(width: int, height: int, field: str, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise LimitExceeded(
            "video_too_large", field=field, width=width, height=height, limit=max_pixels
        )


def _shots(
    path: Path, field: str, max_pixels: int, is_declared: bool, check_cancelled: CheckCancelled
) -> Generator[_Shot, None, None]:
    """The decodable frames, in order; the first is shown from second 0 on.

    Packets that do not decode are left out: what came before them is seen on.
    """
    most = CODED_PIXELS * max_pixels
    with open_media(
        path, key=KEY, field=field, max_pixels=most if is_declared else None
    ) as container:
        stream = picture_stream(container, field)
        stream.codec_context.options = {"max_pixels": str(most)}
        stream.codec_context.thread_count = DECODER_THREADS
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate or Fraction(FPS)
        start: Fraction | None = None
        stamp = Fraction(0)
        for frame in _frames(container, stream, field, check_cancelled):
            if frame.pts is not None and frame.time_base is not None:
                stamp = frame.pts * frame.time_base
            start = stamp if start is None else start
            yield _Shot(stamp - start, frame)
            stamp += 1 / rate  # of the next one, if it does not say


def _frames(
    container: InputContainer, stream: VideoStream, field: str, check_cancelled: CheckCancelled
) -> Generator[VideoFrame, None, None]:
    """The decodable frames, in order."""
    is_jpeg = "jpeg" in stream.codec_context.name
    damaged = blind = 0  # packets
    for packet in packets_of(container, stream, check_cancelled=check_cancelled):
        frames: list[VideoFrame] = []
        try:
            if not (is_jpeg and has_too_many_scans(bytes(packet))):
                frames = packet.decode()
        except av.EOFError:
            break
        except av.FFmpegError:
            damaged += 1
        yield from frames
        blind = 0 if frames else blind + 1
        if blind > MAX_BLIND_PACKETS:
            reason = f"{MAX_BLIND_PACKETS} packets in a row without a picture"
            raise MediaUndecodable(KEY, field=field, reason=reason)
    if damaged:
        _log.info("%d packets of the video did not decode", damaged)


def _display_matrix(frame: VideoFrame) -> tuple[int, ...]:
    """The orientation of a video: a, b, c, d of the matrix that maps its pixels to the display's.

    FFmpeg's matrix (libavutil/display.h) is 3x3, row by row, and maps (x, y, 1) from the left; its
    upper left corner is [[a, b], [c, d]].
    """
    # PyAV (18.1) never frees a frame whose side data were looked at, so a small copy is looked at.
    small = frame.reformat(width=SMALL, height=SMALL)
    side_data: Mapping[Type, SideData] = small.side_data  # type: ignore[assignment]
    if Type.DISPLAYMATRIX not in side_data:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(bytes(side_data[Type.DISPLAYMATRIX]), np.int32)[:5].tolist()
    return a, b, c, d


def _upright(frame: VideoFrame, matrix: tuple[int, ...]) -> Portrait:
    """A frame as sRGB, turned and mirrored as the camera says: one of eight ways."""
    pixels = srgb_frame(frame)
    a, b, c, d = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):  # x becomes y
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
