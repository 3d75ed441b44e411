"""What an AVIF's boxes say of its colours (ISO/IEC 23008-12 and 14496-12; AVIF 1.1).

Pillow decodes AVIF and hands out an ICC profile, but neither the code points (nclx) nor the depth.
"""

import io
import struct
from collections.abc import Iterator

import av

Points = tuple[int, int]  # colour primaries and transfer characteristics of ITU-T H.273

MAX_BOXES = 10_000  # of one box's children
_FULL_BOX = 4  # bytes of version and flags before a box's content


def read_colour(data: bytes) -> tuple[int, Points | None]:
    """Bits of each number, and the code points; None where nothing says any.

    Args:
        data: The whole file.
    """
    try:
        bits, points = _of_primary_item(data)
    except (struct.error, IndexError):
        bits, points = None, None
    if bits is None or points is None:
        stream_bits, stream_points = _of_stream(data)
        bits, points = bits or stream_bits, points or stream_points
    return bits, points


def _of_primary_item(data: bytes) -> tuple[int | None, Points | None]:
    """What is said of the picture itself, not of its thumbnail, alpha or gain map."""
    meta = _child(data, b"meta")
    inside = meta[_FULL_BOX:]
    properties = _child(inside, b"iprp")
    listed = list(_boxes(_child(properties, b"ipco")))
    item = _primary(_child(inside, b"pitm"))
    bits, points = None, None
    for number in _associated(_child(properties, b"ipma"), item):
        if not 1 <= number <= len(listed):
            continue
        name, content = listed[number - 1]
        if name == b"pixi":
            bits = max(content[_FULL_BOX + 1 :])
        elif name == b"av1C" and bits is None:
            bits = 8 if not content[2] & 0x40 else 12 if content[2] & 0x20 else 10
        elif name == b"colr" and content[:4] == b"nclx":
            points = struct.unpack_from(">HH", content, 4)
    return bits, points


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the boxes that follow one another."""
    at = 0
    for _ in range(MAX_BOXES):
        if at + 8 > len(data):
            return
        size, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = len(data) if size == 0 else at + size
        if end < start:
            return
        yield name, data[start:end]
        at = end


def _child(data: bytes, wanted: bytes) -> bytes:
    """The content of the first box of a name; empty where there is none."""
    return next((content for name, content in _boxes(data) if name == wanted), b"")


def _primary(box: bytes) -> int:
    (item,) = struct.unpack_from(">H" if box[0] == 0 else ">I", box, _FULL_BOX)
    return int(item)


def _associated(box: bytes, wanted: int) -> list[int]:
    """Which of the properties, counted from 1, an item has."""
    version, is_wide = box[0], box[3] & 1
    (count,) = struct.unpack_from(">I", box, _FULL_BOX)
    at = _FULL_BOX + 4
    for _ in range(count):
        (item,) = struct.unpack_from(">H" if version == 0 else ">I", box, at)
        at += 2 if version == 0 else 4
        number = box[at]
        kind, mask = (">H", 0x7FFF) if is_wide else (">B", 0x7F)
        size = struct.calcsize(kind)
        values = [
            struct.unpack_from(kind, box, at + 1 + size * index)[0] & mask
            for index in range(number)
        ]
        if item == wanted:
            return values
        at += 1 + size * number
    return []


def _of_stream(data: bytes) -> tuple[int, Points | None]:
    """What the AV1 stream itself says, as FFmpeg finds it."""
    try:
        with av.open(io.BytesIO(data), format="mov", metadata_errors="ignore") as container:
            context = container.streams.video[0].codec_context
            bits = max(part.bits for part in context.format.components) if context.format else 8
            return bits, (int(context.color_primaries), int(context.color_trc))
    except (av.FFmpegError, IndexError, ValueError):
        return 8, None
