"""How many passes over its picture a JPEG makes a decoder take (ITU-T T.81, B.1), without decoding.

Encoders write one scan, or about ten in a progressive file. A scan may be ten bytes long and is a
pass over the whole picture all the same, so a small file can keep a decoder busy for minutes.
"""

import re

MAX_SCANS = 200
MAX_SEGMENTS = 20_000  # tables and comments; a photograph has some dozens

_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
# A byte of 255 that is data is followed by 0. Restart markers are within a scan; 255 is padding.
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
_ALONE = frozenset({0x01, 0xD8})  # without a length


def count_scans(data: bytes) -> int | None:
    """How many scans the first picture of a file has.

    Args:
        data: The whole file.

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
