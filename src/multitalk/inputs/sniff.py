"""Identify a file's format by its first bytes (pure).

Only the formats of this table reach a decoder. That is a safety rule: codec libraries also open
playlists and scripts, which name further files and addresses to read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from multitalk.inputs.audio_frames import (
    SEARCHED_BYTES,
    FrameAt,
    ac3_frame,
    adts_frame,
    dts_frame,
    eac3_frame,
    has_frames,
    loas_frame,
    mpeg_audio_frame,
)

# Enough for the headers of three frames in a row that begin within the first 4 KiB: a frame of
# MPEG audio is at most 1729 bytes, one of AC-3 3840.
SNIFFED_BYTES = 12 * 1024

Medium = Literal["image", "audio", "video"]


@dataclass(frozen=True)
class Container:
    """A file format.

    Attributes:
        name: As people write it, such as `JPEG`.
        medium: Its kind of content; a `video` may have sound.
        suffix: File suffix, with the dot.
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
    """Whether this is a web page, which share links return instead of the file."""
    start = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<script"))


def _starts(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(starts)


def _form(start: bytes, *kinds: bytes) -> Callable[[bytes], bool]:
    """`RIFF....WAVE` and similar: a start, four bytes of size, a kind."""
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
    """An ID3v2 tag, at the start or within the first bytes, or an APEv2 tag at the start."""
    if _is_id3(head[:10], versions=range(0xFF)) or head[:8] == b"APETAGEX":
        return True
    at = head.find(b"ID3", 0, SEARCHED_BYTES)
    while at >= 0:
        if _is_id3(head[at : at + 10], versions=range(2, 5)):
            return True
        at = head.find(b"ID3", at + 1, SEARCHED_BYTES)
    return False


def _is_id3(tag: bytes, *, versions: range) -> bool:
    return len(tag) == 10 and tag[:3] == b"ID3" and tag[3] in versions and max(tag[6:10]) < 0x80


def _unless_foreign(matches: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
    """Except in archives, documents, playlists and pages, which may contain such frames."""
    return lambda head: not head.startswith(_FOREIGN) and matches(head)


def _frames(frame_at: FrameAt, sync: int) -> Callable[[bytes], bool]:
    return _unless_foreign(has_frames(frame_at, sync))


_FOREIGN = (
    *(b"PK\3\4", b"Rar!\x1a\7", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ"),
    *(b"%PDF", b"\x7fELF", b"MZ", b"8BPS", b"SQLite format 3", b"\xd0\xcf\x11\xe0"),
    *(b"#EXTM3U", b"ffconcat", b"[playlist]", b"<"),
)

_PACKET_BYTES = (188, 192, 204)  # plain, with a time stamp before it, with parity behind it
_PACKETS = 6


def _transport_stream(head: bytes) -> bool:
    """Sync bytes at packet distance, from any offset."""
    return any(
        len(head) > first + (_PACKETS - 1) * size
        and head[first : first + _PACKETS * size : size] == b"G" * _PACKETS
        for size in _PACKET_BYTES
        for first in range(size)
    ) or (len(head) >= 3 * 188 and all(head[at] == 0x47 for at in (0, 188, 376)))


def _truehd(head: bytes) -> bool:
    return head[4:8] in (b"\xf8\x72\x6f\xba", b"\xf8\x72\x6f\xbb")


_GSM_BYTES, _GSM_FRAMES = 33, 10


def _gsm(head: bytes) -> bool:
    """GSM 06.10 frames of 33 bytes, each with 0xD in its first four bits."""
    marks = head[::_GSM_BYTES]
    return len(marks) >= _GSM_FRAMES and all(mark >> 4 == 0xD for mark in marks)


def _rso(head: bytes) -> bool:
    """Lego Mindstorms sound: codec, bytes, samples per second and mode in 16 bits each."""
    codec, size, rate, mode = (int.from_bytes(head[at : at + 2], "big") for at in (0, 2, 4, 6))
    return codec in (0x100, 0x101) and 8 + size >= len(head) > 8 and rate >= 2000 and mode <= 1


_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_DTS = (b"\x7f\xfe\x80\x01", b"\xfe\x7f\x01\x80", b"\x1f\xff\xe8\0", b"\xff\x1f\0\xe8")


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
    (Container("WAV", "audio", ".wav"), _form(b"BW64", b"WAVE")),
    (Container("WAV", "audio", ".wav"), _form(b"RIFX", b"WAVE")),
    (Container("Wave64", "audio", ".w64"), _starts(_W64)),
    (Container("FLAC", "audio", ".flac"), _starts(b"fLaC")),
    (Container("Ogg", "audio", ".ogg"), _starts(b"OggS\0")),
    (Container("AIFF", "audio", ".aiff"), _form(b"FORM", b"AIFF", b"AIFC")),
    (Container("AMR", "audio", ".amr"), _starts(b"#!AMR\n", b"#!AMR-WB\n")),
    (Container("CAF", "audio", ".caf"), _starts(b"caff\0\1")),
    (Container("AU", "audio", ".au"), _starts(b".snd\0")),
    (Container("M4A", "audio", ".m4a"), _brand(b"M4A ", b"M4B ")),
    (Container("Monkey's Audio", "audio", ".ape"), _starts(b"MAC ")),
    (Container("WavPack", "audio", ".wv"), _starts(b"wvpk")),
    (Container("True Audio", "audio", ".tta"), _starts(b"TTA1", b"TTA2")),
    (Container("TAK", "audio", ".tak"), _starts(b"tBaK")),
    (Container("VOC", "audio", ".voc"), _starts(b"Creative Voice File\x1a")),
    (Container("TrueHD", "audio", ".thd"), _truehd),
    (Container("DTS", "audio", ".dts"), _starts(*_DTS)),
    (Container("MP4", "video", ".mp4"), _quicktime),
    (Container("WebM or Matroska", "video", ".mkv"), _starts(b"\x1aE\xdf\xa3")),
    (Container("AVI", "video", ".avi"), _form(b"RIFF", b"AVI ")),
    (Container("FLV", "video", ".flv"), _starts(b"FLV\1")),
    (Container("MPEG", "video", ".mpg"), _starts(b"\0\0\1\xba")),
    (Container("MPEG-TS", "video", ".ts"), _transport_stream),
    (Container("WMA or WMV", "video", ".wmv"), _starts(_ASF)),
    (Container("RealMedia", "video", ".rm"), _starts(b".RMF", b".ra\xfd")),
    # Formats without a signature, the most certain first.
    (Container("MP3", "audio", ".mp3"), _unless_foreign(_tagged_mp3)),
    (Container("MP3", "audio", ".mp3"), _frames(mpeg_audio_frame(3), 0xFF)),
    (Container("MP2", "audio", ".mp2"), _frames(mpeg_audio_frame(2), 0xFF)),
    (Container("MP1", "audio", ".mp1"), _frames(mpeg_audio_frame(1), 0xFF)),
    (Container("AAC", "audio", ".aac"), _frames(adts_frame, 0xFF)),
    (Container("AC-3", "audio", ".ac3"), _frames(ac3_frame, 0x0B)),
    (Container("E-AC-3", "audio", ".eac3"), _frames(eac3_frame, 0x0B)),
    (Container("DTS", "audio", ".dts"), _frames(dts_frame, 0x7F)),
    (Container("AAC", "audio", ".latm"), _frames(loas_frame, 0x56)),
    (Container("GSM", "audio", ".gsm"), _gsm),
    (Container("RSO", "audio", ".rso"), _rso),
)

VIDEO_SUFFIXES = frozenset(
    container.suffix for container, _ in _TABLE if container.medium == "video"
)
