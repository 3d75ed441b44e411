"""Formats are told from bytes: the real ones, and nothing that only looks like them."""

import io
import struct

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from multitalk.inputs.sniff import SNIFFED_BYTES, looks_like_page, sniff


def image_bytes(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 24), "red").save(file, kind)
    return file.getvalue()


def sound_bytes(container: str, codec: str, *, rate: int = 16_000) -> bytes:
    """A second of a quiet sine."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        wave = np.sin(np.arange(rate) * 0.1) * 0.1
        frame = av.AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format, "mono", rate, stream.codec_context.frame_size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode())
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("JPEG", "JPEG"),
        ("PNG", "PNG"),
        ("WEBP", "WebP"),
        ("GIF", "GIF"),
        ("BMP", "BMP"),
        ("TIFF", "TIFF"),
        ("AVIF", "AVIF"),
    ],
)
def test_pictures_are_identified(kind, name):
    container = sniff(image_bytes(kind)[:SNIFFED_BYTES])
    assert (container.name, container.medium) == (name, "image")


@pytest.mark.parametrize(
    ("format_name", "codec", "name", "medium"),
    [
        ("wav", "pcm_s16le", "WAV", "audio"),
        ("flac", "flac", "FLAC", "audio"),
        ("ogg", "libopus", "Ogg", "audio"),
        ("aiff", "pcm_s16be", "AIFF", "audio"),
        ("au", "pcm_s16be", "AU", "audio"),
        ("caf", "pcm_s16le", "CAF", "audio"),
        ("mp3", "libmp3lame", "MP3", "audio"),
        ("adts", "aac", "AAC", "audio"),
        ("ipod", "aac", "M4A", "audio"),
        ("mp4", "aac", "MP4", "video"),
        ("mov", "aac", "MP4", "video"),
        ("webm", "libopus", "WebM or Matroska", "video"),
        ("avi", "pcm_s16le", "AVI", "video"),
        ("flv", "aac", "FLV", "video"),
        ("mpegts", "aac", "MPEG-TS", "video"),
        ("asf", "pcm_s16le", "WMA or WMV", "video"),
    ],
)
def test_sounds_and_videos_are_identified(format_name, codec, name, medium):
    rate = 48_000 if codec == "libopus" else 44_100 if format_name == "flv" else 16_000
    container = sniff(sound_bytes(format_name, codec, rate=rate)[:SNIFFED_BYTES])
    assert (container.name, container.medium) == (name, medium)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 32_000, 44_100, 48_000])
def test_an_mp3_without_a_tag_is_identified(rate):
    tagged = sound_bytes("mp3", "libmp3lame", rate=rate)
    size = 10 + sum(byte << shift for byte, shift in zip(tagged[6:10], (21, 14, 7, 0), strict=True))
    bare = tagged[size:]
    assert bare[0] == 0xFF
    assert sniff(bare[:SNIFFED_BYTES]).name == "MP3"
    assert sniff(bare[:40]) is None, "one frame's start proves nothing"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"#!AMR\n" + bytes(20), "AMR"),
        (struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic", "HEIC"),
        (struct.pack(">I", 24) + b"ftypmif1\0\0\0\0mif1avif", "AVIF"),
        (struct.pack(">I", 8) + b"wide" + bytes(40), "MP4"),
        (struct.pack(">I", 1000) + b"moov" + bytes(40), "MP4"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "WAV"),
        (b"\0\0\1\xba" + bytes(40), "MPEG"),
        (b"GIF87a" + bytes(20), "GIF"),
    ],
)
def test_rarer_headers_are_identified(head, name):
    assert sniff(head).name == name


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<?xml version='1.0'?><MPD/>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"PK\3\4",
        b"\x1f\x8b\x08",
        b"BM a letter that begins like this",
        b"ID3",
        b"ID3\xff\0\0\0\0\0\0",
        b"RIFF\0\0\0\0ACON",
        b"\xff\xfb\x90\x64" + bytes(4000),
        b"\xff\xf1\x50\x80\x00\x1f\xfc" + bytes(4000),
        b"GIF8",
    ],
)
def test_playlists_pages_and_look_alikes_are_not_identified(head):
    assert sniff(head) is None


@given(st.binary(max_size=300))
def test_any_bytes_have_a_format_or_none(head):
    sniff(head)
    looks_like_page(head)


@pytest.mark.parametrize(
    "head", [b"<!DOCTYPE html><html>", b"\xef\xbb\xbf\n <HTML>", b"<script>location='x'</script>"]
)
def test_web_pages_are_known(head):
    assert looks_like_page(head)
    assert not looks_like_page(b"RIFF" + head)
