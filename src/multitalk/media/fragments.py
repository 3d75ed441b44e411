"""A fragmented MP4 that is still being written, read piece by piece.

A fragmented MP4 (ISO/IEC 14496-12, 8.8) is a header (`ftyp`, `moov`) and fragments, each a `moof`
that says what is in the `mdat` after it. Nothing that is written is changed later, so its bytes can
be handed on as they come: all pieces joined are a video, and so is the header with any fragments.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEADER_BYTES = 8  # of a box: its size and its kind
PICTURE_TRACK = 1  # `media.encode` makes the picture's first


@dataclass(frozen=True)
class Fragment:
    """The next bytes of the file.

    Attributes:
        content: To be appended to those before.
        first: Frames of all pieces before.
        num_frames: Frames that are whole with this piece; 0 in all but the last part of a
            fragment that was too large for one piece.
    """

    content: bytes
    first: int
    num_frames: int


class FragmentReader:
    """Reads what has become whole since it last looked.

    Args:
        path: Of the file, which need not be there yet.
        max_bytes: Of one piece.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._read = 0
        self._rest = b""
        self._num_frames = 0

    def read(self) -> Iterator[Fragment]:
        """Every piece that is new; none where there is nothing new."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        self._rest += new
        yield from self._fragments()

    def _fragments(self) -> Iterator[Fragment]:
        position = 0
        num_frames = 0
        while (box := _box_at(self._rest, position)) is not None:
            kind, body, end = box
            position = end
            if kind == b"moof":
                num_frames = _count_frames(self._rest[body:end])
            elif kind == b"mdat":
                yield from self._parts(self._rest[:position], num_frames)
                self._rest = self._rest[position:]
                position = num_frames = 0

    def _parts(self, content: bytes, num_frames: int) -> Iterator[Fragment]:
        first = self._num_frames
        self._num_frames += num_frames
        for start in range(0, len(content), self._max_bytes):
            part = content[start : start + self._max_bytes]
            is_last = start + self._max_bytes >= len(content)
            yield Fragment(part, first, num_frames if is_last else 0)


def _box_at(content: bytes, position: int) -> tuple[bytes, int, int] | None:
    """Kind, start of the body and end of the box at a position, or None if it is not whole yet."""
    header = content[position : position + HEADER_BYTES]
    if len(header) < HEADER_BYTES:
        return None
    end = position + int.from_bytes(header[:4], "big")  # never 0 or 1: no box here has 4 GB
    if end > len(content):
        return None
    return header[4:], position + HEADER_BYTES, end


def _children(content: bytes, kind: bytes) -> Iterator[bytes]:
    """Bodies of the boxes of one kind, directly below."""
    position = 0
    while (box := _box_at(content, position)) is not None:
        found, body, position = box
        if found == kind:
            yield content[body:position]


def _count_frames(moof: bytes) -> int:
    """Samples of the picture's track in a fragment (8.8.7 `tfhd`, 8.8.8 `trun`)."""
    total = 0
    for track in _children(moof, b"traf"):
        (header,) = _children(track, b"tfhd")
        if int.from_bytes(header[4:8], "big") == PICTURE_TRACK:
            total += sum(int.from_bytes(run[4:8], "big") for run in _children(track, b"trun"))
    return total
