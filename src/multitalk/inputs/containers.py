"""Which kind of file bytes are, told from how they begin (pure).

Only what stands here ever reaches a decoder. That is a safety rule as much as a courtesy: codec
libraries also open playlists and scripts, which name further files and addresses to read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

# Enough for two frames in a row of every bare-frame format (an MP3 frame is at most 1441 bytes).
SNIFFED_BYTES = 4096

Medium = Literal["image", "audio", "video"]


@dataclass(frozen=True)
class Container:
    """A file format.

    Attributes:
        name: As people write it, such as `JPEG`.
        medium: What it carries; `video` may carry sound.
        suffix: Of a file of this format, with the dot.
    """

    name: str
    medium: Medium
    suffix: str


def sniff(head: bytes) -> Container | None:
    """The format of a file that begins with `head` (`SNIFFED_BYTES` of it, or the whole file)."""
    for container, matches in _TABLE:
        if matches(head):
            return container
    return None


def looks_like_page(head: bytes) -> bool:
    """Whether this is a web page: what a share link gives in place of its file."""
    start = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<script"))


def _starts(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(starts)


def _form(start: bytes, *kinds: bytes) -> Callable[[bytes], bool]:
    """`RIFF....WAVE` and its like: a start, four bytes of size, a kind."""
    return lambda head: head[:4] == start and head[8:12] in kinds


def _brand(*brands: bytes) -> Callable[[bytes], bool]:
    """ISO base media (MP4, HEIC, ...): the file type box lists its brands."""

    def matches(head: bytes) -> bool:
        if head[4:8] != b"ftyp":
            return False
        size = min(int.from_bytes(head[:4], "big"), 256)
        listed = [head[8:12], *(head[at : at + 4] for at in range(16, size, 4))]
        return any(brand in brands for brand in listed)

    return matches


def _quicktime(head: bytes) -> bool:
    """Any other ISO base media file, and the older ones that begin without `ftyp`."""
    size = int.from_bytes(head[:4], "big")
    if head[4:8] == b"ftyp":
        return 8 <= size <= 4096
    return head[4:8] in (b"moov", b"mdat", b"wide") and (size == 1 or size >= 8)


def _bitmap(head: bytes) -> bool:
    known_header_sizes = (12, 40, 52, 56, 64, 108, 124)
    return (
        head[:2] == b"BM"
        and head[6:10] == bytes(4)
        and int.from_bytes(head[14:18], "little") in known_header_sizes
    )


def _tagged_mp3(head: bytes) -> bool:
    tag = head[:10]
    return len(tag) == 10 and tag[:3] == b"ID3" and tag[3] < 0xFF and max(tag[6:10]) < 0x80


# Bare frames have no signature, only a sync word of 11 or 12 bits: it must be there twice, exactly
# one frame apart, and agree.
_MPEG1_LAYER3_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_LAYER3_KBPS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG1_HZ = (44_100, 48_000, 32_000)
_HALVINGS = {3: 0, 2: 1, 0: 2}  # of the sample rate, by version bits: MPEG 1, 2 and 2.5


def _mp3_frame_bytes(head: bytes, at: int) -> int | None:
    """Length of the MPEG layer III frame at `at`, or None if there is none."""
    if len(head) < at + 4 or head[at] != 0xFF or head[at + 1] & 0xE0 != 0xE0:
        return None
    version, layer = head[at + 1] >> 3 & 3, head[at + 1] >> 1 & 3
    rate, frequency, padding = head[at + 2] >> 4, head[at + 2] >> 2 & 3, head[at + 2] >> 1 & 1
    if version not in _HALVINGS or layer != 1 or rate in (0, 15) or frequency == 3:
        return None
    hertz = _MPEG1_HZ[frequency] >> _HALVINGS[version]
    if version == 3:
        return 144_000 * _MPEG1_LAYER3_KBPS[rate] // hertz + padding
    return 72_000 * _MPEG2_LAYER3_KBPS[rate] // hertz + padding


def _bare_mp3(head: bytes) -> bool:
    size = _mp3_frame_bytes(head, 0)
    return size is not None and _mp3_frame_bytes(head, size) is not None


def _adts_frame_bytes(head: bytes, at: int) -> int | None:
    """Length of the AAC ADTS frame at `at`, or None if there is none."""
    if len(head) < at + 7 or head[at] != 0xFF or head[at + 1] & 0xF6 != 0xF0:
        return None
    size = (head[at + 3] & 3) << 11 | head[at + 4] << 3 | head[at + 5] >> 5
    return size if size >= 7 and head[at + 2] >> 2 & 15 <= 12 else None


def _adts(head: bytes) -> bool:
    size = _adts_frame_bytes(head, 0)
    return size is not None and _adts_frame_bytes(head, size) is not None


def _transport_stream(head: bytes) -> bool:
    return len(head) >= 3 * 188 and all(head[at] == 0x47 for at in (0, 188, 376))


_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")

_TABLE: tuple[tuple[Container, Callable[[bytes], bool]], ...] = (
    (Container("JPEG", "image", ".jpg"), _starts(b"\xff\xd8\xff")),
    (Container("PNG", "image", ".png"), _starts(b"\x89PNG\r\n\x1a\n")),
    (Container("WebP", "image", ".webp"), _form(b"RIFF", b"WEBP")),
    (Container("GIF", "image", ".gif"), _starts(b"GIF87a", b"GIF89a")),
    (Container("BMP", "image", ".bmp"), _bitmap),
    (Container("TIFF", "image", ".tiff"), _starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (Container("AVIF", "image", ".avif"), _brand(b"avif", b"avis")),
    (Container("HEIC", "image", ".heic"), _brand(b"heic", b"heix", b"hevc", b"heim", b"mif1")),
    (Container("WAV", "audio", ".wav"), _form(b"RIFF", b"WAVE")),
    (Container("WAV", "audio", ".wav"), _form(b"RF64", b"WAVE")),
    (Container("FLAC", "audio", ".flac"), _starts(b"fLaC")),
    (Container("Ogg", "audio", ".ogg"), _starts(b"OggS\0")),
    (Container("AIFF", "audio", ".aiff"), _form(b"FORM", b"AIFF", b"AIFC")),
    (Container("AMR", "audio", ".amr"), _starts(b"#!AMR\n", b"#!AMR-WB\n")),
    (Container("CAF", "audio", ".caf"), _starts(b"caff\0\1")),
    (Container("AU", "audio", ".au"), _starts(b".snd\0")),
    (Container("M4A", "audio", ".m4a"), _brand(b"M4A ", b"M4B ")),
    (Container("MP3", "audio", ".mp3"), _tagged_mp3),
    (Container("MP3", "audio", ".mp3"), _bare_mp3),
    (Container("AAC", "audio", ".aac"), _adts),
    (Container("MP4", "video", ".mp4"), _quicktime),
    (Container("WebM or Matroska", "video", ".mkv"), _starts(b"\x1aE\xdf\xa3")),
    (Container("AVI", "video", ".avi"), _form(b"RIFF", b"AVI ")),
    (Container("FLV", "video", ".flv"), _starts(b"FLV\1")),
    (Container("MPEG", "video", ".mpg"), _starts(b"\0\0\1\xba")),
    (Container("MPEG-TS", "video", ".ts"), _transport_stream),
    (Container("WMA or WMV", "video", ".wmv"), _starts(_ASF)),
)

VIDEO_SUFFIXES = frozenset(
    container.suffix for container, _ in _TABLE if container.medium == "video"
)
