"""Bounds on decoding JPEGs: large ones at a half, a quarter or an eighth of their size; few scans.

A JPEG is stored as blocks of 8x8 frequencies; decoding only the low ones of each gives a smaller
picture and never holds the large one. That needs little memory where all components of a block
come together. A JPEG in several scans (a progressive one) is kept as frequencies until its last
scan has come, 2 bytes each, so how large it may be is limited, too.

Encoders write one scan, or about ten in a progressive file (ITU-T T.81, B.1). A scan may be ten
bytes long and is a pass over the whole picture all the same, so a small file can keep a decoder
busy for minutes.
"""

import re

from PIL.JpegImagePlugin import JpegImageFile

SCALES = (2, 4, 8)
MAX_FREQUENCY_BYTES = 2**30  # 350 megapixels at the usual 4:2:0
MAX_SCANS = 200
MAX_REDUCED_SCANS = 100  # of a JPEG that is decoded smaller
MAX_SEGMENTS = 20_000  # tables and comments; a photograph has some dozens

_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start of frame; the rest are tables
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})

# A byte of 255 that is data is followed by 0. Restart markers are within a scan; 255 is padding.
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
_ALONE = frozenset({0x01, 0xD8})  # without a length


def reduce_jpeg(image: JpegImageFile, data: bytes, *, max_pixels: int) -> None:
    """Make an opened JPEG decode to `max_pixels` at most, where that is possible.

    Args:
        image: Not decoded yet. Its size becomes what it will decode to: the file's divided by 2,
            4 or 8, rounded up; it stays the file's where nothing helps, or nothing needs to.
        data: The whole file.
        max_pixels: Most pixels to decode.
    """
    width, height = image.size
    if width * height <= max_pixels or not _is_affordable(data):
        return
    for scale in SCALES:
        if -(-width // scale) * -(-height // scale) <= max_pixels:
            image.draft(None, (max(width // scale, 1), max(height // scale, 1)))
            return


def _is_affordable(data: bytes) -> bool:
    """Whether a large JPEG takes little memory and time to decode small."""
    is_progressive, frequencies, components = False, 0, 0
    for marker, start, end in _segments(data):
        segment = data[start:end]
        if marker in _FRAMES:
            is_progressive = marker in _PROGRESSIVE
            components = segment[5]
            frequencies = _frequencies(segment)
        elif marker == _START_OF_SCAN:
            if not is_progressive and segment[0] == components:
                return True
            is_short = 2 * frequencies <= MAX_FREQUENCY_BYTES
            scans = count_scans(data)
            return is_short and scans is not None and scans < MAX_REDUCED_SCANS
    return False


def _segments(data: bytes) -> list[tuple[int, int, int]]:
    """Markers up to the first scan, and where what each says begins and ends."""
    found, at = [], 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == _END_OF_IMAGE or 0xD0 <= marker <= 0xD8 or marker <= 0x01:
            break
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        found.append((marker, at + 4, end))
        if marker == _START_OF_SCAN:
            break
        at = end
    return found


def _frequencies(frame: bytes) -> int:
    """The number of a JPEG's coefficients, from its frame header (ITU-T T.81, B.2.2)."""
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    samplings = [(byte >> 4, byte & 15) for byte in frame[7 : 6 + 3 * frame[5] : 3]]
    across = max(horizontal for horizontal, _ in samplings)
    down = max(vertical for _, vertical in samplings)
    return sum(width * height * h * v // (across * down) for h, v in samplings)


def count_scans(data: bytes) -> int | None:
    """The number of scans of a file's first picture.

    Returns:
        Their number, but `MAX_SCANS` + 1 at most; None if there are more than `MAX_SEGMENTS`
        segments before that.
    """
    scans, at = 0, 2
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None or found[1][0] == _END_OF_IMAGE:
            return scans
        at = found.end()
        if found[1][0] in _ALONE:
            continue
        scans += found[1][0] == _START_OF_SCAN
        if scans > MAX_SCANS:
            return scans
        at += int.from_bytes(data[at : at + 2], "big")
    return None


def has_too_many_scans(data: bytes) -> bool:
    """Whether decoding a JPEG would take longer than one of its size may."""
    scans = count_scans(data)
    return scans is None or scans > MAX_SCANS
