"""What the decoder opens gets in, and what gets in the decoder opens: the two lists are one."""

import io
import struct

import av
import numpy as np
import pytest

from multitalk.errors import MediaUndecodable
from multitalk.inputs.sniff import _TABLE, SNIFFED_BYTES, sniff
from multitalk.media.audio_decoder import sound_blocks
from multitalk.media.container import FORMATS, open_media

SECONDS = 1

# By the names of FORMATS: the format to write, a codec, and its rate.
WRITTEN = {
    "aac": ("adts", "aac", 48_000),
    "ac3": ("ac3", "ac3", 48_000),
    "adts": ("adts", "aac", 16_000),
    "aiff": ("aiff", "pcm_s16be", 48_000),
    "asf": ("asf", "pcm_s16le", 48_000),
    "au": ("au", "pcm_s16be", 48_000),
    "avi": ("avi", "pcm_s16le", 48_000),
    "caf": ("caf", "pcm_s16le", 48_000),
    "eac3": ("eac3", "eac3", 48_000),
    "flac": ("flac", "flac", 48_000),
    "flv": ("flv", "aac", 44_100),
    "loas": ("latm", "aac", 48_000),
    "matroska": ("matroska", "libopus", 48_000),
    "mov": ("mov", "aac", 48_000),
    "mp3": ("mp3", "libmp3lame", 48_000),
    "mp4": ("ipod", "aac", 48_000),
    "mpeg": ("mpeg", "mp2", 48_000),
    "mpegts": ("mpegts", "aac", 48_000),
    "ogg": ("ogg", "libopus", 48_000),
    "rm": ("rm", "ac3", 48_000),
    "rso": ("rso", "pcm_u8", 8_000),
    "tta": ("tta", "tta", 48_000),
    "voc": ("voc", "pcm_u8", 22_050),
    "w64": ("w64", "pcm_s16le", 48_000),
    "wav": ("wav", "pcm_s16le", 48_000),
    "webm": ("webm", "libopus", 48_000),
    "wv": ("wv", "wavpack", 48_000),
}
MORE_WRITTEN = {
    "MP2": ("mp2", "mp2", 48_000),
    "MP2 of low rate": ("mp2", "mp2", 16_000),
    "WAV beyond 4 GiB": ("wav", "pcm_s16le", 48_000),
    "MP4": ("mp4", "aac", 48_000),
    "3GP": ("3gp", "aac", 48_000),
}


def written(container: str, codec: str, rate: int, **options: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        wave = np.sin(np.arange(SECONDS * rate) * 0.05) * 0.1
        frame = av.AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = rate
        size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(stream.format, "mono", rate, size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return file.getvalue()


def bits(*fields: tuple[int, int]) -> bytes:
    """Numbers of so many bits each, one after the other."""
    text = "".join(f"{value:0{width}b}" for value, width in fields)
    text = text.ljust(-(-len(text) // 8) * 8, "0")
    return int(text, 2).to_bytes(len(text) // 8, "big")


def dts() -> bytes:
    """Frames of a core stream whose contents are nothing."""
    size = 1024
    lead = bits((0x7FFE8001, 32), (1, 1), (31, 5), (0, 1), (15, 7), (size - 1, 14), (2, 6), (13, 4))
    return (lead + bytes([0x78]) + bytes(size - len(lead) - 1)) * 20


def ape() -> bytes:
    """A header (version 3990) and one frame of nothing."""
    lead = struct.pack("<4sHHIIIIIII", b"MAC ", 3990, 0, 52, 24, 4, 0, 400, 0, 0) + bytes(16)
    form = struct.pack("<HHIIIHHI", 2000, 0, 73_728, 16_000, 1, 16, 1, 16_000)
    return lead + form + bytes(4 + 400)


OPENED = {
    "amr": b"#!AMR\n" + (b"\x3c" + bytes(31)) * 50,
    "ape": ape(),
    "dts": dts(),
    "gsm": (b"\xd0" + bytes(32)) * 50,
}
HEADS = {  # nothing at hand writes them: their first bytes
    "tak": b"tBaK" + bytes(40),
    "truehd": bytes.fromhex("f0f20000f8726fba") + bytes(40),
}


def sniffed(data: bytes):
    return sniff(data[:SNIFFED_BYTES])


@pytest.mark.parametrize("name", [*WRITTEN, *MORE_WRITTEN])
def test_accepted_formats_are_opened_and_decoded(tmp_path, name):
    options = {"rf64": "always"} if name == "WAV beyond 4 GiB" else {}
    data = written(*(WRITTEN | MORE_WRITTEN)[name], **options)
    container = sniffed(data)
    assert container is not None
    assert container.medium in ("audio", "video")
    path = tmp_path / f"a{container.suffix}"
    path.write_bytes(data)
    if name in WRITTEN and name != "adts":  # which FFmpeg calls aac when it reads
        with open_media(path, key="audio_undecodable", field=None) as media:
            assert name in media.format.name.split(",")
    blocks = sound_blocks(path, sample_rate=16_000, num_channels=1)
    samples = np.concatenate(list(blocks), axis=1)
    assert samples.shape[1] / 16_000 == pytest.approx(SECONDS, abs=0.1)
    assert np.abs(samples).max() > 0.05


@pytest.mark.parametrize("name", OPENED)
def test_formats_without_an_encoder_here_are_opened(tmp_path, name):
    container = sniffed(OPENED[name])
    path = tmp_path / f"a{container.suffix}"
    path.write_bytes(OPENED[name])
    with open_media(path, key="audio_undecodable", field=None) as media:
        assert media.format.name == name


@pytest.mark.parametrize("name", HEADS)
def test_first_bytes_are_recognised(name):
    assert sniffed(HEADS[name]).medium == "audio"


def test_the_decoder_opens_no_format_that_does_not_get_in():
    assert {*WRITTEN, *OPENED, *HEADS} == set(FORMATS.split(","))


def test_no_format_is_accepted_that_the_decoder_does_not_open():
    samples = [written(*how) for how in [*WRITTEN.values(), *MORE_WRITTEN.values()]]
    layer_one = (b"\xff\xff\x94\x00" + bytes(284)) * 9  # MPEG 1, 256 kbit/s, 48 kHz
    found = {
        sniffed(data).name for data in [*samples, *OPENED.values(), *HEADS.values(), layer_one]
    }
    listed = {container.name for container, _ in _TABLE if container.medium != "image"}
    assert found == listed


@pytest.mark.parametrize("playlist", [b"#EXTM3U\n#EXTINF:1,\nb.mp3\n", b"ffconcat version 1.0\n"])
def test_playlists_get_in_nowhere(tmp_path, playlist):
    frames = written("mp3", "libmp3lame", 44_100)
    assert sniffed(playlist + frames) is None
    (tmp_path / "a.mp3").write_bytes(playlist)
    with (
        pytest.raises(MediaUndecodable),
        open_media(tmp_path / "a.mp3", key="audio_undecodable", field=None),
    ):
        pass
