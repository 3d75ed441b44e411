"""Detect raw audio streams, which have no signature, by consecutive frames (pure).

A sync word alone proves nothing: 11 to 16 bits occur in any file by chance. So several frames must
follow each other without gaps, with equal stream parameters. Other bytes may precede the first
frame (zeros, a tag, the end of a truncated frame).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

# The first frame must begin within these.
SEARCHED_BYTES = 4096
# Number of consecutive frames that prove a stream: at the start of a file, and later.
FRAMES_AT_START, FRAMES_LATER = 2, 3

# A frame's length in bytes, and its stream's parameters.
ParsedFrame: TypeAlias = tuple[int, tuple[int, ...]]
FrameAt: TypeAlias = Callable[[bytes, int], ParsedFrame | None]


def has_frames(frame_at: FrameAt, sync: int) -> Callable[[bytes], bool]:
    """A function that detects a stream of frames.

    Args:
        frame_at: Parses the frame at an offset; None: no frame.
        sync: First byte of each frame.
    """

    def matches(head: bytes) -> bool:
        if _follow(head, 0, frame_at, FRAMES_AT_START):
            return True
        at = head.find(sync, 1, SEARCHED_BYTES)
        while at >= 0:
            if _follow(head, at, frame_at, FRAMES_LATER):
                return True
            at = head.find(sync, at + 1, SEARCHED_BYTES)
        return False

    return matches


def _follow(head: bytes, at: int, frame_at: FrameAt, count: int) -> bool:
    """Whether `count` consecutive frames of one stream begin at an offset."""
    shared: tuple[int, ...] | None = None
    for _ in range(count):
        frame = frame_at(head, at)
        if frame is None or shared not in (None, frame[1]):
            return False
        size, shared = frame
        at += size
    return True


# MPEG audio: kbit/s by layer and by index 1 to 14, of MPEG 1 (ISO/IEC 11172-3, 2.4.2.3) and of
# MPEG 2 and 2.5 (ISO/IEC 13818-3, 2.4.2.3). Index 0, a free rate, is not recognised.
_MPEG1_KBPS = {
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_MPEG2_HIGHER_KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG2_KBPS = {
    1: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: _MPEG2_HIGHER_KBPS,
    3: _MPEG2_HIGHER_KBPS,
}
_MPEG1_HZ = (44_100, 48_000, 32_000)
_HALVINGS = {3: 0, 2: 1, 0: 2}  # of the sample rate, by version bits: MPEG 1, 2 and 2.5
_NEVER_EMPHASES = (2, 3)  # reserved; CCITT J.17, unused
_MONO = 3


@dataclass(frozen=True)
class _MpegHeader:
    """The header of a frame of MPEG audio; its fields are the standard's codes."""

    version: int
    layer: int
    rate: int
    frequency: int
    padding: int
    emphasis: int

    @classmethod
    def parse(cls, second: int, third: int, fourth: int) -> "_MpegHeader":
        """Its bytes after the first, which is 0xFF."""
        return cls(
            version=second >> 3 & 3,
            layer=4 - (second >> 1 & 3),
            rate=third >> 4,
            frequency=third >> 2 & 3,
            padding=third >> 1 & 1,
            emphasis=fourth & 3,
        )

    @property
    def is_valid(self) -> bool:
        """Whether every code has a meaning, and the rate is not a free one."""
        is_known = self.version in _HALVINGS and 1 <= self.layer <= 3 and self.frequency < 3
        return is_known and 0 < self.rate < 15 and self.emphasis not in _NEVER_EMPHASES

    @property
    def frame_bytes(self) -> int:
        """Length of the frame."""
        hertz = _MPEG1_HZ[self.frequency] >> _HALVINGS[self.version]
        kbps = (_MPEG1_KBPS if self.version == 3 else _MPEG2_KBPS)[self.layer][self.rate - 1]
        if self.layer == 1:
            return 4 * (12 * 1000 * kbps // hertz + self.padding)
        samples = 1152 if self.layer == 2 or self.version == 3 else 576
        return samples // 8 * 1000 * kbps // hertz + self.padding


def mpeg_audio_frame(layer: int) -> FrameAt:
    """Frames of MPEG audio layer 1, 2 or 3."""

    def frame_at(head: bytes, at: int) -> ParsedFrame | None:
        if len(head) < at + 4 or head[at] != 0xFF or head[at + 1] & 0xE0 != 0xE0:
            return None
        header = _MpegHeader.parse(*head[at + 1 : at + 4])
        if header.layer != layer or not header.is_valid:
            return None
        is_mono = head[at + 3] >> 6 == _MONO
        return header.frame_bytes, (head[at + 1], header.frequency, is_mono, head[at + 3] & 15)

    return frame_at


def adts_frame(head: bytes, at: int) -> ParsedFrame | None:
    """A frame of AAC in ADTS (ISO/IEC 13818-7, 6.2)."""
    if len(head) < at + 7 or head[at] != 0xFF or head[at + 1] & 0xF6 != 0xF0:
        return None
    size = (head[at + 3] & 3) << 11 | head[at + 4] << 3 | head[at + 5] >> 5
    if size < 7 or head[at + 2] >> 2 & 15 > 12:
        return None
    return size, (head[at + 1], head[at + 2] & 0xFD, head[at + 3] >> 6)


def loas_frame(head: bytes, at: int) -> ParsedFrame | None:
    """A frame of AAC in LOAS (ISO/IEC 14496-3, 1.7.2)."""
    if len(head) < at + 4 or head[at] != 0x56 or head[at + 1] & 0xE0 != 0xE0:
        return None
    return 3 + ((head[at + 1] & 0x1F) << 8 | head[at + 2]), ()


# kbit/s of AC-3 (ATSC A/52, table 5.18), each for two codes.
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_HZ = (48_000, 44_100, 32_000)
_AC3_NEWEST, _EAC3_NEWEST = 10, 16  # bsid


def ac3_frame(head: bytes, at: int) -> ParsedFrame | None:
    """A frame of AC-3."""
    if len(head) < at + 6 or head[at : at + 2] != b"\x0b\x77":
        return None
    frequency, code, version = head[at + 4] >> 6, head[at + 4] & 0x3F, head[at + 5] >> 3
    if frequency == 3 or code >= 2 * len(_AC3_KBPS) or version > _AC3_NEWEST:
        return None
    words = _AC3_KBPS[code >> 1] * 1000 * 1536 // 16 // _AC3_HZ[frequency]
    if frequency == 1:
        words += code & 1
    return 2 * words, (frequency, version)


def eac3_frame(head: bytes, at: int) -> ParsedFrame | None:
    """A frame of E-AC-3 (ATSC A/52, annex E)."""
    if len(head) < at + 6 or head[at : at + 2] != b"\x0b\x77":
        return None
    version = head[at + 5] >> 3
    if not _AC3_NEWEST < version <= _EAC3_NEWEST:
        return None
    return 2 * ((head[at + 2] & 7) << 8 | head[at + 3]) + 2, (head[at + 4] >> 6, version)


def dts_frame(head: bytes, at: int) -> ParsedFrame | None:
    """A core frame of DTS in 16-bit words, the first byte first (ETSI TS 102 114, 5.3)."""
    if len(head) < at + 8 or head[at : at + 4] != b"\x7f\xfe\x80\x01":
        return None
    size = ((head[at + 5] & 3) << 12 | head[at + 6] << 4 | head[at + 7] >> 4) + 1
    return (size, ()) if size >= 96 else None
