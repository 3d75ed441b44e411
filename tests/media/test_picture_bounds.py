"""What a picture may cost that is decoded: neither its scans, nor its parts, nor its bits."""

import io
import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from multitalk.errors import Cancelled, MediaUndecodable
from multitalk.media.footage import FootageReader
from multitalk.media.image import load_picture
from multitalk.media.jpeg import MAX_SCANS, count_scans
from multitalk.media.srgb import deep_pixels


def load(path: Path, check_cancelled=lambda: None):
    return load_picture(
        path, field="image_path", max_pixels=50_000_000, check_cancelled=check_cancelled
    ).pixels


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(MediaUndecodable) as caught:
        load(path)
    return str(caught.value)


def noise(width: int = 64, height: int = 48) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def jpeg(**options: object) -> bytes:
    noise().save(file := io.BytesIO(), "JPEG", **options)
    return file.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    before: bytes = b"",
    after: bytes = b"",
    *,
    width: int = 8,
    height: int = 8,
    numbers: int = 1,
    end: bytes = png_chunk(b"IEND", b""),
) -> bytes:
    """A PNG of 16 bits, grey or of three `numbers`, with chunks before and after its pixels."""
    header = struct.pack(">IIBBBBB", width, height, 16, 0 if numbers == 1 else 2, 0, 0, 0)
    squeezed, row = zlib.compressobj(1), b"\0" + bytes(range(48)) * (width * numbers // 24)
    rows = b"".join(squeezed.compress(row) for _ in range(height)) + squeezed.flush()
    start = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + before
    return start + png_chunk(b"IDAT", rows) + after + end


# Scans of a JPEG --------------------------------------------------------------------------------


def with_scans(data: bytes, scans: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    last = data[data.rindex(b"\xff\xda") : data.rindex(b"\xff\xd9")]
    return data[:-2] + last * (scans - count_scans(data)) + b"\xff\xd9"


def test_a_jpeg_of_more_scans_than_any_encoder_writes_is_refused_before_it_is_decoded(tmp_path):
    whole = jpeg(progressive=True)
    assert 5 < count_scans(whole) < 20
    asked = count()
    (path := tmp_path / "a.jpg").write_bytes(with_scans(whole, MAX_SCANS + 1))
    with pytest.raises(MediaUndecodable, match="more than 200 scans"):
        load(path, check_cancelled=lambda: next(asked))
    assert next(asked) == 0
    path.write_bytes(with_scans(whole, MAX_SCANS))
    assert load(path).shape == (48, 64, 3)


@pytest.mark.parametrize("where", ["comment", "behind the picture", "restarts"])
def test_what_only_looks_like_scans_is_none(tmp_path, where):
    marks = b"\xff\xda\0\x0c" * 1000
    data = {
        "comment": jpeg(comment=marks),
        "behind the picture": jpeg(progressive=True) + marks,
        "restarts": jpeg(restart_marker_blocks=1),
    }[where]
    (tmp_path / "a.jpg").write_bytes(data)
    assert count_scans(data) < 20
    assert load(tmp_path / "a.jpg").shape == (48, 64, 3)


@pytest.mark.parametrize("scans", [MAX_SCANS, MAX_SCANS + 1])
def test_a_film_s_jpegs_have_no_more_scans_than_a_picture(tmp_path, scans):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        container.start_encoding()
        for index, data in enumerate((jpeg(), with_scans(jpeg(progressive=True), scans))):
            packet = av.Packet(data)
            packet.pts = packet.dts = index
            packet.time_base, packet.stream = Fraction(1, 25), stream
            container.mux(packet)
    with FootageReader(path, field="f", max_pixels=10**6, max_seconds=60.0) as footage:
        first, second = footage.at(0), footage.at(1)
    assert np.array_equal(first, second) == (scans > MAX_SCANS)  # what is left out is not seen


# Parts of a header ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        png(before=png_chunk(b"prVt", b"") * 60_000),
        png(after=png_chunk(b"prVt", b"") * 110_000),
        jpeg()[:2] + b"\xff\xfe\0\2" * 30_000 + jpeg()[2:],
        jpeg()[:2] + b"\xff" * 400_000 + jpeg()[2:],
        b"GIF89a\x08\0\x08\0\0\0\0!\xfe" + b"\1x" * 60_000 + b"\0;",
    ],
    ids=["png", "png behind", "jpeg comments", "jpeg padding", "gif comment"],
)
def test_a_picture_of_far_too_many_parts_is_refused(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    asked = count()
    with pytest.raises(MediaUndecodable):
        load(tmp_path / "a", check_cancelled=lambda: next(asked))
    assert next(asked) <= 400_001


def test_a_side_longer_than_any_format_of_cameras_has_is_refused(tmp_path):
    assert "65544x1 pixels" in refused(tmp_path / "a.png", png(width=65_544, height=1))
    assert "24x65536 pixels" in refused(tmp_path / "a.png", png(width=24, height=65_536))


# Being stopped ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.gif", "a.bmp", "a.tiff", "a.avif"])
def test_decoding_of_a_picture_stops_when_it_is_asked_to(tmp_path, name):
    noise(400, 300).save(tmp_path / name)
    asked = count()
    load(tmp_path / name, check_cancelled=lambda: next(asked))
    for calls in (0, next(asked) - 1):
        left = iter(range(calls))

        def check_cancelled(left=left):
            if next(left, None) is None:
                raise Cancelled

        with pytest.raises(Cancelled):
            load(tmp_path / name, check_cancelled=check_cancelled)


# Memory -----------------------------------------------------------------------------------------

MEASURED = """
import resource, sys
from pathlib import Path
from multitalk.media.image import load_picture
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
load_picture(Path(sys.argv[1]), field="image_path", max_pixels=50_000_000)
print(peak() - before)
"""


LINEAR = png_chunk(b"gAMA", struct.pack(">I", 100_000))


@pytest.mark.parametrize("numbers", [1, 3])
def test_a_deep_picture_takes_few_bytes_for_each_pixel(tmp_path, numbers):
    data = png(LINEAR, width=2400, height=2000, numbers=numbers)
    (path := tmp_path / "a.png").write_bytes(data)
    asked = [sys.executable, "-c", MEASURED, str(path)]
    said = subprocess.run(asked, capture_output=True, check=True, text=True).stdout
    # As it is stored, and as three bytes.
    assert int(said) / (2400 * 2000) < 2 * numbers + 4


def test_a_deep_picture_that_one_decoder_refuses_has_the_other_s_colours(tmp_path):
    for name, end in (("whole", png_chunk(b"IEND", b"")), ("garbage", b"\xff" * 8)):
        data = png(LINEAR, width=24, numbers=3, end=end)
        (tmp_path / name).write_bytes(data)
        assert (deep_pixels(data, width=24, height=8) is None) == (name == "garbage")
    deep, shallow = (load(tmp_path / name).astype(int) for name in ("whole", "garbage"))
    assert deep.max() > 80
    assert np.abs(deep - shallow).max() <= 12  # where it is dark, linear bytes are coarse
