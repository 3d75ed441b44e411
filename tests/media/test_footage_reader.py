"""A video as a talk's frames: the right one at each moment, upright, and few at a time."""

import io
import mmap
import pickle
import weakref
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from made import number_in, numbered, numbered_all, sine, write_sound, write_video

from multitalk.errors import LimitExceeded, MediaUndecodable
from multitalk.media import footage
from multitalk.media.footage import FootageReader

AT_FRONT = {"movflags": "faststart"}


def reader(path: Path, **limits: float) -> FootageReader:
    return FootageReader(
        path, field="image_path", **{"max_pixels": 10**6, "max_seconds": 60, **limits}
    )


def numbers(path: Path, frames: range) -> list[int]:
    with reader(path) as opened:
        return [number_in(opened.at(frame)) for frame in frames]


def refused(path: Path, error: type[Exception], **limits: float) -> str:
    with pytest.raises(error, match=r"^image_path: ") as caught, reader(path, **limits) as opened:
        opened.at(0)
    assert str(path.parent) not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mov", "libx264"),
        ("a.mkv", "libx264"),
        ("a.avi", "mpeg4"),
        ("a.ts", "libx264"),
        ("a.webm", "libvpx"),
        ("a.webm", "libvpx-vp9"),
    ],
)
def test_at_25_frames_a_second_each_frame_is_the_video_s_own(tmp_path, name, codec):
    path = write_video(tmp_path / name, numbered_all(30), codec=codec)
    assert numbers(path, range(35)) == [*range(30), 29, 29, 29, 29, 29]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("rate", [Fraction(30_000, 1001), Fraction(24_000, 1001), 10, 50, 60])
def test_other_rates_are_read_by_time(tmp_path, rate, suffix):
    shown = int(rate)
    path = write_video(tmp_path / f"a{suffix}", numbered_all(shown), rate=rate)
    seen = numbers(path, range(30))
    for frame, number in enumerate(seen):
        since, until = number / rate, (number + 1) / rate
        rounding = 0.001 if suffix == ".mkv" else 0.0001
        assert since - rounding <= frame / 25
        assert number == shown - 1 or frame / 25 < until + rounding


@pytest.mark.parametrize("late", [0.0, 1.5])
def test_a_picture_is_seen_until_the_next_one(tmp_path, late):
    stamps = [late + since for since in (0.0, 0.04, 0.2, 0.21, 0.22, 1.0)]
    path = write_video(tmp_path / "a.mkv", numbered_all(6), stamps=stamps)
    assert numbers(path, range(27)) == [0, 1, 1, 1, 1, 2, *[4] * 19, 5, 5]


def test_an_earlier_frame_may_be_asked_for_and_so_may_any_by_a_copy(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_all(50))
    with reader(path) as opened:
        assert [number_in(opened.at(frame)) for frame in (40, 3, 4, 49, 0)] == [40, 3, 4, 49, 0]
        assert number_in(pickle.loads(pickle.dumps(opened)).at(7)) == 7
    assert number_in(opened.at(9)) == 9


@pytest.mark.parametrize("flips", [{}, {"hflip": True}, {"vflip": True}])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_the_picture_is_upright_as_the_camera_was_held(tmp_path, degrees, flips):
    stored = np.zeros((32, 48, 3), np.uint8)
    stored[:16, 24:] = (250, 20, 20)
    stored[16:, :24] = (20, 20, 250)
    stored[16:, 24:] = 255
    turned = {"degrees": degrees, **flips}
    path = write_video(tmp_path / "a.mp4", [stored], turned=turned)
    wanted = np.rot90(stored, degrees // 90)  # against the clock
    wanted = wanted[:: -1 if "vflip" in flips else 1, :: -1 if "hflip" in flips else 1]
    shown = reader(path).at(0)
    assert shown.shape == wanted.shape
    assert np.abs(shown.astype(int) - wanted).mean() < 8


def test_two_frames_are_held_and_none_is_decoded_before_its_time(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", numbered_all(100))
    made, really = [], footage._shots

    def watched(*given):
        for shot in really(*given):
            made.append(weakref.ref(shot))
            yield shot
            del shot

    monkeypatch.setattr(footage, "_shots", watched)
    opened = reader(path)
    for frame in (0, 30, 60):
        opened.at(frame)
        assert len(made) == frame + 2
        assert sum(shot() is not None for shot in made) <= 3  # one in the generator


def test_memory_does_not_grow_with_the_frames_that_are_asked_for(tmp_path):
    def resident_bytes():
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    count, size = 200, (360, 640)
    path = write_video(tmp_path / "a.mp4", [np.full((*size, 3), 90, np.uint8)] * count)
    with reader(path) as opened:
        for frame in range(20):
            opened.at(frame)
        before = resident_bytes()
        for frame in range(20, count):
            opened.at(frame)
        for _ in range(count // 3):
            opened.at(1)
            opened.at(0)
        kept = (resident_bytes() - before) / (1.5 * size[0] * size[1])  # YUV 4:2:0
    assert kept < count / 6


def test_the_file_is_let_go(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_all(3))

    def is_open():
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return path in [link.readlink() for link in links]

    with reader(path) as opened:
        assert not is_open()
        opened.at(1)
        assert is_open()
    assert not is_open()


# What is refused --------------------------------------------------------------------------------


def test_a_frame_may_have_so_many_pixels_and_the_video_so_many_seconds(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_all(50))
    reader(path, max_pixels=64 * 96, max_seconds=2.0).at(0)
    said = refused(path, LimitExceeded, max_pixels=64 * 96 - 1)
    assert "96x64 pixels; this worker accepts 6143" in said
    assert "2.0 s of video; this worker accepts 1.9 s" in refused(
        path, LimitExceeded, max_seconds=1.9
    )


def test_a_frame_larger_than_the_header_says_is_refused(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(0), format="rgb24")))
        large = numbered(1, (128, 192))
        with av.open(file := io.BytesIO(), "w", format="mjpeg") as other:
            drawn = other.add_stream("mjpeg", rate=25)
            drawn.height, drawn.width, drawn.pix_fmt = 128, 192, "yuvj420p"
            other.mux(drawn.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))
            other.mux(drawn.encode(None))
        packet = av.Packet(file.getvalue())
        packet.pts = packet.dts = 1
        packet.time_base, packet.stream = Fraction(1, 25), stream
        container.mux(packet)
    assert reader(tmp_path / "a.mkv").at(1).shape == (128, 192, 3)
    opened = reader(tmp_path / "a.mkv", max_pixels=128 * 192 - 1)
    opened.at(0)
    with pytest.raises(LimitExceeded, match="192x128 pixels"):
        opened.at(1)


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("a.mp4", {}, 60),
        ("a.mp4", AT_FRONT, 60),
        ("a.mp4", AT_FRONT, 10),  # where a packet is halved, less may be missing
        ("a.mkv", {}, 60),
        ("a.avi", {}, 10),
    ],
)
def test_a_video_that_is_cut_off_is_refused_before_a_frame_is_decoded(
    tmp_path, name, options, count
):
    noise = np.random.default_rng(0).integers(0, 256, (count, 64, 96, 3), np.uint8)
    whole = write_video(tmp_path / name, list(noise), container_options=options)
    reader(whole)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) * 6 // 10])
    with pytest.raises(MediaUndecodable, match="damaged"):
        reader(whole)


def test_what_is_no_video_is_refused(tmp_path):
    (empty := tmp_path / "empty.mp4").touch()
    (noise := tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    sound = write_sound(tmp_path / "a.m4a", sine(1, 16_000), 16_000)
    assert "empty file" in refused(empty, MediaUndecodable)
    assert "damaged or unknown format" in refused(noise, MediaUndecodable)
    assert "no video stream in it" in refused(sound, MediaUndecodable)


def with_broken_packets(path: Path, broken: range) -> Path:
    """A copy of a video, some of whose packets are nonsense."""
    copy = path.with_name(f"broken{path.suffix}")
    with av.open(str(path)) as given, av.open(str(copy), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        packets = [packet for packet in given.demux(video=0) if packet.size]
        for index, packet in enumerate(packets):
            made = av.Packet(b"\xff" * 40) if index in broken else packet
            made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
            made.stream = stream
            container.mux(made)
    return copy


def test_packets_that_do_not_decode_are_left_out_and_nothing_at_all_is_an_error(tmp_path):
    whole = write_video(tmp_path / "a.mkv", numbered_all(30), codec="mjpeg")
    damaged = with_broken_packets(whole, range(10, 15))
    assert numbers(damaged, range(30)) == [*range(10), *[9] * 5, *range(15, 30)]
    nothing = with_broken_packets(whole, range(30))
    assert "nothing in it decodes" in refused(nothing, MediaUndecodable)
