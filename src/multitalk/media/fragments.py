"""Fragments of an MP4 that is still being encoded.

A fragmented MP4 (ISO/IEC 14496-12, 8.8) is a header (`ftyp`, `moov`) and fragments, each a `moof`
that describes the `mdat` after it. Nothing is changed after it was written, so fragments can be
sent as they come: all of them joined are a video, and so is the header with any of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

BOX_HEADER_BYTES = 8  # size and kind


@dataclass(frozen=True)
class Fragment:
    """The next bytes of the video.

    Attributes:
        content: To be appended to those before. The first fragment begins with the header.
        first: Number of frames in all fragments before.
        num_frames: Frames that are complete with these bytes.
    """

    content: bytes
    first: int
    num_frames: int

    def split(self, max_bytes: int) -> Iterator["Fragment"]:
        """The fragment in parts of `max_bytes` at most; only the last one completes its frames."""
        for start in range(0, len(self.content), max_bytes):
            end = start + max_bytes
            num_frames = self.num_frames if end >= len(self.content) else 0
            yield Fragment(self.content[start:end], self.first, num_frames)


class FragmentBuffer:
    """File object that a muxer writes into; `take` returns it fragment by fragment."""

    def __init__(self) -> None:
        self._content = bytearray()

    def write(self, data: bytes) -> int:
        """Called by the muxer."""
        self._content += data
        return len(data)

    def take(self) -> Iterator[bytes]:
        """Each fragment that is complete. The index at the end (`mfra`) is not returned."""
        position = 0
        while position + BOX_HEADER_BYTES <= len(self._content):
            header = self._content[position : position + BOX_HEADER_BYTES]
            position += int.from_bytes(header[:4], "big")  # never 0 or 1: no box has 4 GB
            if position > len(self._content):
                return
            if header[4:] == b"mdat":
                fragment = bytes(self._content[:position])
                del self._content[:position]
                position = 0
                yield fragment
