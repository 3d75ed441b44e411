"""What a file may cost that is decoded: neither its pixels, nor its rates, nor its emptiness."""

import struct
import zlib
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import pytest
from made import numbered, numbered_all, sine, write_sound, write_video

from multitalk.errors import Cancelled, LimitExceeded, MediaUndecodable
from multitalk.media.audio import find_sound, load_recording
from multitalk.media.audio_decoder import MAX_SILENT_PACKETS, sound_blocks
from multitalk.media.audio_tracks import choose_track, sound_seconds
from multitalk.media.container import open_media
from multitalk.media.decoding_errors import translate_decoder_errors
from multitalk.media.footage import FootageReader
from multitalk.media.soundtrack import Soundtrack, SoundtrackVoice

AMR_EMPTY = b"\x7c"  # a frame of 20 ms without data


def load(path: Path, max_seconds: float = 60.0, check_cancelled=lambda: None):
    limits = {"field": "voice", "directory": path.parent, "max_seconds": max_seconds}
    return load_recording(path, **limits, check_cancelled=check_cancelled).speech


def wav(path: Path, *, rate: int, channels: int = 1, samples: int = 16) -> Path:
    block = 2 * channels
    form = struct.pack("<HHIIHH", 1, channels, rate, min(rate * block, 2**32 - 1), block, 16)
    data = bytes(samples * block)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def empty_amr(path: Path, frames: int) -> Path:
    path.write_bytes(b"#!AMR\n" + AMR_EMPTY * frames)
    return path


def png(side: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        size, check = len(data), zlib.crc32(name + data)
        return struct.pack(">I", size) + name + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(side * (1 + side // 8)))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def with_cover(path: Path, side: int) -> Path:
    """An MP3 with a picture of its album (ID3v2.3, APIC)."""
    picture = b"\0image/png\0\3\0" + png(side)
    frame = b"APIC" + struct.pack(">IH", len(picture), 0) + picture
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    sound = write_sound(path, sine(0.5, 44_100), 44_100)
    sound.write_bytes(b"ID3\3\0\0" + size + frame + sound.read_bytes())
    return sound


# What is decoded while a file is opened ---------------------------------------------------------


def test_a_sound_s_cover_is_not_decoded(tmp_path):
    path = with_cover(tmp_path / "a.mp3", 64)
    with open_media(path, key="audio_undecodable", field=None) as media:
        assert media.streams.video[0].codec_context.width == 0  # nobody looked
    with open_media(path, key="audio_undecodable", field=None, max_pixels=64 * 64) as media:
        assert media.streams.video[0].codec_context.width == 64
    assert len(load(path)) / 16_000 == pytest.approx(0.5, abs=0.1)


def test_a_film_s_pictures_are_decoded_up_to_its_limit_only(tmp_path):
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(0), format="rgb24")))
        container.mux(stream.encode(None))
    for pixels, known in ((64 * 96 * 2, "rgb24"), (64 * 96 - 1, None)):
        with open_media(path, key="video_undecodable", field=None, max_pixels=pixels) as media:
            kind = media.streams.video[0].codec_context.format
            assert (kind and kind.name) == known


@pytest.mark.parametrize("name", ["a.ts", "a.flv", "a.mpg"])
def test_where_a_size_cannot_be_bounded_no_picture_is_decoded_beforehand(tmp_path, name):
    codec = {"a.ts": "libx264", "a.flv": "flv", "a.mpg": "mpeg2video"}[name]
    path = write_video(tmp_path / name, numbered_all(12), codec=codec)
    limits = {"field": "image_path", "max_seconds": 60.0}
    with FootageReader(path, max_pixels=640 * 480, **limits) as footage:
        assert footage.at(5).shape == (64, 96, 3)
    with pytest.raises((LimitExceeded, MediaUndecodable)):
        FootageReader(path, max_pixels=64 * 96 // 4, **limits).at(0)


# Rates and channels -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "channels"), [(1, 1), (999, 2), (768_001, 1), (2**31 - 1, 1), (16_000, 257)]
)
def test_rates_and_channels_of_no_recording_are_refused(tmp_path, rate, channels):
    path = wav(tmp_path / "a.wav", rate=rate, channels=channels)
    for use in (load, sound_seconds, find_sound):
        with pytest.raises(MediaUndecodable, match=f"{rate} Hz, channels: {channels}"):
            use(path)


@pytest.mark.parametrize("rate", [1000, 768_000])
def test_the_outermost_rates_are_sound(tmp_path, rate):
    path = write_sound(tmp_path / "a.wav", sine(0.25, rate, hertz=200), rate)
    assert len(load(path)) == 4000


def test_a_rate_that_changes_to_none_of_a_recording_s_is_refused(tmp_path):
    first = write_sound(tmp_path / "a.flac", sine(1, 16_000), 16_000).read_bytes()
    other = write_sound(tmp_path / "b.flac", sine(9, 500, hertz=90), 500).read_bytes()
    (tmp_path / "c.flac").write_bytes(first + other[other.index(b"\xff\xf8") :])
    with pytest.raises(MediaUndecodable, match="500 Hz"):
        load(tmp_path / "c.flac")


def test_a_frame_of_a_minute_is_handled_in_pieces(tmp_path):
    path, rate = tmp_path / "a.mkv", 1000
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_u8", rate=rate)
        stream.codec_context.layout = "mono"
        packet = av.Packet(bytes(60 * rate))
        packet.pts = packet.dts = 0
        packet.time_base, packet.stream = Fraction(1, rate), stream
        container.start_encoding()
        container.mux(packet)
    blocks = [block.shape[1] for block in sound_blocks(path, sample_rate=16_000, num_channels=1)]
    assert sum(blocks) == 60 * 16_000
    assert max(blocks) < 2 * 16_000


# Packets without a sample -----------------------------------------------------------------------


def test_a_file_of_empty_packets_is_given_up(tmp_path):
    path, asked = empty_amr(tmp_path / "a.amr", 3 * MAX_SILENT_PACKETS), count()
    with pytest.raises(MediaUndecodable, match="10000 packets in a row"):
        load(path, max_seconds=3600.0, check_cancelled=lambda: next(asked))
    assert next(asked) < 1.1 * MAX_SILENT_PACKETS


def test_empty_packets_count_towards_the_length_of_a_voice(tmp_path):
    path = empty_amr(tmp_path / "a.amr", 600)
    with pytest.raises(LimitExceeded, match="more than 10 s"):
        list(sound_blocks(path, sample_rate=16_000, num_channels=1, max_seconds=10.0))
    with pytest.raises(MediaUndecodable, match="nothing in it decodes"):
        list(sound_blocks(path, sample_rate=16_000, num_channels=1, max_seconds=13.0))


def test_a_track_of_empty_packets_gives_way_to_another(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        empty = container.add_stream("flac", rate=8000)
        voice = container.add_stream("pcm_s16le", rate=8000)
        for stream in (empty, voice):
            stream.codec_context.layout = "mono"
        sound = (sine(1, 8000)[0] * 32_767).astype("<i2").tobytes()
        container.start_encoding()
        for index in range(MAX_SILENT_PACKETS + 10):
            packet = av.Packet(b"\0\0\0\0")
            packet.pts = packet.dts = index
            packet.time_base, packet.stream = Fraction(1, 8000), empty
            container.mux(packet)
        packet = av.Packet(sound)
        packet.pts = packet.dts = 0
        packet.time_base, packet.stream = Fraction(1, 8000), voice
        container.mux(packet)
    assert choose_track(path).index == 1


# Being stopped ----------------------------------------------------------------------------------


def stopped_after(calls: int):
    left = iter(range(calls))

    def check_cancelled() -> None:
        if next(left, None) is None:
            raise Cancelled

    return check_cancelled


@pytest.mark.parametrize("calls", [0, 20])
@pytest.mark.parametrize(
    "use",
    [
        load,
        lambda path, check_cancelled: find_sound(path, check_cancelled=check_cancelled),
        lambda path, check_cancelled: sound_seconds(path, check_cancelled=check_cancelled),
        lambda path, check_cancelled: list(
            Soundtrack(
                [SoundtrackVoice(path)], num_frames=25, check_cancelled=check_cancelled
            ).blocks()  # decodes it all
        ),
    ],
)
def test_decoding_of_sound_stops_when_it_is_asked_to(tmp_path, use, calls):
    path = write_sound(tmp_path / "a.mp3", sine(1, 44_100, channels=2), 44_100)
    use(path, check_cancelled=stopped_after(10_000))
    with pytest.raises(Cancelled):
        use(path, check_cancelled=stopped_after(calls))


@pytest.mark.parametrize("calls", [0, 20])
def test_decoding_of_a_film_stops_when_it_is_asked_to(tmp_path, calls):
    path = write_video(tmp_path / "a.mp4", numbered_all(40))
    limits = {"field": "image_path", "max_pixels": 10_000, "max_seconds": 60.0}
    with pytest.raises(Cancelled):
        FootageReader(path, **limits, check_cancelled=stopped_after(calls))
    reader = FootageReader(
        path, **limits, check_cancelled=stopped_after(calls + 45)
    )  # all is read once
    with pytest.raises(Cancelled):
        reader.at(39)


# Whatever is raised -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raised",
    [
        RuntimeError("dav1d"), struct.error("short"), SyntaxError("broken"), EOFError(),
        OverflowError("too large"), ZeroDivisionError(), AttributeError("planes"), KeyError("s64"),
        AssertionError(), RecursionError(), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "start"),
        MemoryError(), OSError(5, "I/O"), NotImplementedError(), zlib.error("bad"),
    ],
    ids=repr,
)  # fmt: skip
def test_whatever_a_decoder_raises_is_one_error_that_names_the_field(raised):
    with pytest.raises(MediaUndecodable, match=r"^image_path: .*\(.+\)") as caught:  # noqa: SIM117
        with translate_decoder_errors("image_undecodable", field="image_path", reason="damaged"):
            raise raised
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize("raised", [Cancelled(), LimitExceeded("image_is_bomb", limit=1)])
def test_what_is_said_already_passes(raised):
    with (
        pytest.raises(type(raised)) as caught,
        translate_decoder_errors("image_undecodable", field="image_path", reason="damaged"),
    ):
        raise raised
    assert caught.value is raised
