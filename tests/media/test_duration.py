"""The length of a file's sound, without decoding it, is the length that decodes."""

import av
import numpy as np
import pytest
from av.stream import Disposition
from made import sine, write_picture_only, write_sound, write_tracks

from multitalk.errors import MediaUndecodable
from multitalk.media import audio_tracks
from multitalk.media.audio import read_sound
from multitalk.media.audio_tracks import sound_seconds
from multitalk.timebase import SAMPLE_RATE

RATE = 48_000
VARYING_RATE = {"global_quality": str(2 * 118), "flags": "+qscale"}  # LAME's -V 2
A_MOMENT = 0.03  # a packet, or less


def decoded_seconds(path):
    return len(read_sound(path)) / SAMPLE_RATE


@pytest.mark.parametrize("seconds", [0.3, 2.5, 20.0])
@pytest.mark.parametrize(
    "name", ["a.wav", "a.mp3", "a.m4a", "a.mp4", "a.ogg", "a.webm", "a.flac", "a.aac", "a.mp2"]
)
def test_it_is_what_decodes(tmp_path, name, seconds):
    codec = {"aac": "aac", "mp2": "mp2"}.get(name[2:])
    path = write_sound(tmp_path / name, sine(seconds, RATE), RATE, codec=codec)
    assert sound_seconds(path) == pytest.approx(decoded_seconds(path), abs=A_MOMENT)


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3", "a.aac", "a.mp2", "a.flac"])
def test_joined_files_are_as_long_as_both(tmp_path, name):
    codec = {"aac": "aac", "mp2": "mp2"}.get(name[2:])
    one = write_sound(tmp_path / name, sine(1.5, RATE), RATE, codec=codec).read_bytes()
    two = write_sound(tmp_path / name, sine(2.2, RATE), RATE, codec=codec).read_bytes()
    (tmp_path / name).write_bytes(one + two + one)
    seconds = sound_seconds(tmp_path / name)
    assert seconds == pytest.approx(decoded_seconds(tmp_path / name), abs=2 * A_MOMENT)
    assert seconds == pytest.approx(5.2, abs=0.3)


def without_xing(data):
    """An MP3 whose first frame, which says how long it is, is gone."""
    at = max(data.find(b"Xing"), data.find(b"Info"))
    start = data.rfind(b"\xff\xfb", 0, at)
    return data[data.find(b"\xff\xfb", start + 4) :]


def test_an_mp3_of_varying_rate_without_a_header_is_counted(tmp_path):
    generator = np.random.default_rng(1)
    samples = sine(12, 44_100)
    samples[:, 4 * 44_100 :] = 0  # cheap frames after dear ones: a guess by the rate is far off
    samples[:, : 4 * 44_100] += 0.1 * generator.standard_normal((1, 4 * 44_100))
    path = write_sound(tmp_path / "a.mp3", samples, 44_100, options=VARYING_RATE)
    path.write_bytes(without_xing(path.read_bytes()))
    with av.open(str(path)) as container:
        assert abs(container.duration / av.time_base - 12) > 1, "a guess"
    assert sound_seconds(path) == pytest.approx(12, abs=0.1)
    assert sound_seconds(path) == pytest.approx(decoded_seconds(path), abs=2 * A_MOMENT)


def test_a_recorder_s_webm_that_says_no_duration_is_counted(tmp_path):
    """As browsers' recorders write it: a live stream."""
    path = write_sound(tmp_path / "a.webm", sine(7, RATE), RATE, format_options={"live": "1"})
    assert sound_seconds(path) == pytest.approx(7, abs=A_MOMENT)


def test_a_gap_counts(tmp_path):
    path = write_sound(tmp_path / "a.webm", sine(2, RATE), RATE, gaps={1.0: 3.0})
    assert sound_seconds(path) == pytest.approx(decoded_seconds(path), abs=0.05)


@pytest.mark.parametrize("name", ["a.wav", "a.ogg", "a.mp3", "a.flac"])
def test_a_file_that_was_cut_off_is_as_long_as_it_goes(tmp_path, name):
    path = write_sound(tmp_path / name, sine(10, RATE), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    assert sound_seconds(path) == pytest.approx(decoded_seconds(path), abs=0.15)


def test_it_is_that_of_the_track_that_is_used(tmp_path):
    tracks = [np.zeros((1, RATE), np.float32), sine(3, RATE)]
    marks = [Disposition(0), Disposition.default]
    path = write_tracks(tmp_path / "a.mkv", tracks, RATE, marks=marks)
    assert sound_seconds(path) == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize(("name", "known"), [("a.flac", True), ("a.webm", False)])
def test_where_there_is_no_time_to_count_the_header_is_believed(tmp_path, monkeypatch, name, known):
    path = write_sound(tmp_path / name, sine(2, RATE), RATE, format_options={"live": "1"})
    monkeypatch.setattr(audio_tracks, "SCAN_SECONDS", -1.0)
    assert sound_seconds(path) == (pytest.approx(2, abs=0.01) if known else None)


def test_a_video_without_sound_has_no_length_of_sound(tmp_path):
    with pytest.raises(MediaUndecodable, match=r"audio_paths\.person1"):
        sound_seconds(write_picture_only(tmp_path / "a.mp4"), field="audio_paths.person1")
