"""Bare frames are found where a file has something before them, and nowhere else."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from test_every_format import written

from multitalk.inputs.sniff import SNIFFED_BYTES, sniff
from multitalk.media.audio_decoder import sound_blocks

SOUNDS = {
    "MP3": ("mp3", "libmp3lame", 44_100),
    "MP2": ("mp2", "mp2", 44_100),
    "AAC": ("adts", "aac", 44_100),
    "AC-3": ("ac3", "ac3", 44_100),
    "E-AC-3": ("eac3", "eac3", 44_100),
}
NOISE = random.Random(5).randbytes(4000)
APE_TAG = b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0xA0000000) + bytes(8)
ID3_TAG = b"ID3\3\0\0" + bytes([0, 0, 2, 0]) + bytes(256)


def bare(name):
    data = written(
        *SOUNDS[name], **({"write_xing": "0", "id3v2_version": "0"} if name == "MP3" else {})
    )
    assert data[:2] in (b"\xff\xfb", b"\xff\xfd", b"\xff\xf1", b"\x0b\x77")
    return data


@pytest.fixture(scope="module")
def frames():
    return {name: bare(name) for name in SOUNDS}


def sniffed(data):
    container = sniff(data[:SNIFFED_BYTES])
    return container and container.name


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize(
    "before",
    [b"", bytes(417), bytes(4000), NOISE[:1], NOISE[:100], NOISE, b"\xff" * 500, b"\xff\xfb" * 90,
         b"a text, then sound. " * 20, b"TAG" + bytes(125)],
    ids=["nothing", "zeros", "4000 zeros", "a byte", "noise", "4000 of noise", "ones", "syncs",
         "text", "ID3v1"],
)  # fmt: skip
def test_whatever_comes_before_frames_they_are_found(tmp_path, frames, name, before):
    assert sniffed(before + frames[name]) == name
    path = tmp_path / "a"
    path.write_bytes(before + frames[name])
    blocks = sound_blocks(path, sample_rate=16_000, num_channels=1)
    assert sum(block.shape[1] for block in blocks) > 0.9 * 16_000


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("lost", [1, 50, 200, 350])
def test_a_stream_that_was_cut_into_is_found(frames, name, lost):
    assert sniffed(frames[name][lost:]) == name


@pytest.mark.parametrize("name", ["MP3", "MP2"])
@pytest.mark.parametrize(
    "tag",
    [
        APE_TAG,
        APE_TAG + bytes(3000),
        b"APETAGEX" + struct.pack("<IIII", 2000, 50_032, 1, 0xA0000000) + bytes(8 + 50_000),
        bytes(700) + ID3_TAG,
        NOISE[:700] + ID3_TAG,
        ID3_TAG + NOISE[:1500],
        ID3_TAG + ID3_TAG,
        ID3_TAG + APE_TAG,
    ],
)
def test_tags_of_any_kind_come_before(tmp_path, frames, name, tag):
    data = tag + frames[name]
    assert sniffed(data) in ("MP3", "MP2")
    path = tmp_path / "a.mp3"
    path.write_bytes(data)
    blocks = sound_blocks(path, sample_rate=16_000, num_channels=1)
    assert sum(block.shape[1] for block in blocks) > 0.9 * 16_000


def test_frames_are_not_searched_for_beyond_four_kibibytes(frames):
    assert sniffed(bytes(4090) + frames["MP3"]) == "MP3"
    assert sniffed(bytes(4200) + frames["MP3"]) is None


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_two_frames_after_something_else_prove_nothing(layer):
    frame = {
        1: b"\xff\xff\x94\x00" + bytes(284),
        2: b"\xff\xfd\x84\x00" + bytes(380),
        3: b"\xff\xfb\x94\x00" + bytes(380),
    }[layer]
    assert sniffed(frame * 2 + bytes(400)) == f"MP{layer}"
    assert sniffed(bytes(10) + frame * 2 + bytes(400)) is None
    assert sniffed(bytes(10) + frame * 3 + bytes(400)) == f"MP{layer}"


def test_frames_must_agree():
    one, other = b"\xff\xfb\x94\x00" + bytes(380), b"\xff\xfb\x98\x00" + bytes(572)
    assert sniffed(bytes(10) + one * 3) == "MP3"
    assert sniffed(bytes(10) + one + other + one) is None


@pytest.mark.parametrize("seed", range(40))
def test_noise_is_no_sound(seed):
    generator = random.Random(seed)
    assert sniffed(generator.randbytes(SNIFFED_BYTES)) is None
    ones = bytes(generator.choices([0xFF, *range(256)], [200, *[1] * 256], k=SNIFFED_BYTES))
    assert sniffed(ones) is None


def pictures():
    generator = np.random.default_rng(3)
    for kind in (
        "JPEG",
        "PNG",
        "WEBP",
        "GIF",
        "BMP",
        "TIFF",
        "AVIF",
        "PPM",
        "TGA",
        "ICO",
        "JPEG2000",
    ):
        for shade in (0, 255, None):
            pixels = generator.integers(0, 256, (64, 64, 3), np.uint8)
            if shade is not None:
                pixels[:] = shade
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, kind)
            yield kind, file.getvalue()


def test_a_picture_is_no_sound():
    for kind, data in pictures():
        container = sniff(data[:SNIFFED_BYTES])
        assert container is None or container.medium == "image", kind


@pytest.mark.parametrize(
    "start", [b"PK\3\4" + bytes(30), b"%PDF-1.7\n", b"<!doctype html>", b"\x7fELF\2\1", b"MZ\x90\0"]
)
def test_sound_inside_something_else_is_not_the_file(frames, start):
    assert sniffed(start + frames["MP3"]) is None
    assert sniffed(start + ID3_TAG + frames["MP3"]) is None


def test_constant_bytes_are_no_sound():
    for value in range(256):
        if value >> 4 != 0xD and value != ord("G"):  # GSM and MPEG-TS are recognised by such
            assert sniffed(bytes([value]) * SNIFFED_BYTES) is None, value


def test_compressed_bytes_are_no_sound():
    data = zlib.compress(" ".join(map(str, range(20_000))).encode())
    for start in range(0, len(data) - SNIFFED_BYTES, 997):
        assert sniffed(data[start:]) is None


@pytest.mark.parametrize("size", [188, 192, 204])
@pytest.mark.parametrize("lost", [0, 1, 100, 187])
def test_a_transport_stream_may_begin_within_a_packet(size, lost):
    packet = b"G\x1f\xff\x10" + bytes(184)
    stream = (bytes(4) * (size == 192) + packet + bytes(16) * (size == 204)) * 20
    assert sniffed(stream[lost:]) == "MPEG-TS"
