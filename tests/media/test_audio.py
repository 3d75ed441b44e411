import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import clicks, onsets, sine, write_picture_only, write_sound

from multitalk.errors import LimitExceeded, MediaUndecodable
from multitalk.media.audio import (
    LOUDNESS_LUFS,
    MAX_GAIN_DB,
    arrange_speakers,
    load_speech,
    num_frames_for,
    read_sound,
)
from multitalk.media.loudness import LoudnessMeter
from multitalk.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME


def load(path, tmp_path, max_seconds=60.0):
    speech = load_speech(
        path, field="audio_paths.person1", directory=tmp_path, max_seconds=max_seconds
    )
    assert speech.dtype == np.float32
    assert speech.ndim == 1
    assert np.isfinite(speech).all()
    assert np.abs(speech).max() <= 1.0
    return speech


def wav_header(*, tag, rate, size, data_bytes, channels=1):
    """The start of a WAV file; tag 1 is integer samples, tag 3 float."""
    frame = size * channels
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, 8 * size)
    chunks = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", data_bytes)
    return b"RIFF" + struct.pack("<I", len(chunks) + data_bytes) + chunks


def loudness(speech):
    meter = LoudnessMeter(SAMPLE_RATE, 1)
    meter.add(speech[None])
    return meter.integrated()


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.m4a", "a.mp4", "a.ogg", "a.webm", "a.flac"])
@pytest.mark.parametrize("channels", [1, 2])
def test_each_format_gives_the_same_speech(tmp_path, name, channels):
    rate = 48_000
    samples = clicks(1.5, rate, [0.3, 0.9], channels)
    speech = load(write_sound(tmp_path / name, samples, rate), tmp_path)
    # What a codec adds at the end is silence; what it adds at the start is removed.
    assert 1.5 <= len(speech) / SAMPLE_RATE < 1.57
    assert onsets(speech, SAMPLE_RATE) == pytest.approx([0.3, 0.9], abs=0.002)


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_each_rate_keeps_time_and_length(tmp_path, rate):
    speech = load(write_sound(tmp_path / "a.wav", clicks(1.0, rate, [0.5]), rate), tmp_path)
    assert len(speech) == SAMPLE_RATE
    assert onsets(speech, SAMPLE_RATE) == pytest.approx([0.5], abs=0.001)


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "3.0", "7.1"])
def test_each_layout_is_mixed_to_mono(tmp_path, layout):
    channels = {"mono": 1, "stereo": 2, "5.1": 6, "3.0": 3, "7.1": 8}[layout]
    path = write_sound(
        tmp_path / "a.wav", sine(1, 16_000, channels=channels), 16_000, layout=layout
    )
    assert loudness(load(path, tmp_path)) == pytest.approx(LOUDNESS_LUFS, abs=0.1)


@pytest.mark.parametrize("mask", [0x8, 0x9, 0x600, 0x3000])
def test_channels_in_unusual_places_are_heard(tmp_path, mask):
    """Such as LFE alone, left and LFE, both sides, or two at the top."""
    channels = mask.bit_count()
    rate = 16_000
    sizes = (rate, 2 * rate * channels, 2 * channels, 16, 22, 16, mask)
    form = struct.pack("<HHIIHHHHI", 0xFFFE, channels, *sizes)
    form += bytes.fromhex("0100000000001000800000aa00389b71")  # integer samples
    samples = np.repeat((sine(1, 16_000)[0] * 32_767).astype("<i2")[:, None], channels, axis=1)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", samples.nbytes) + samples.tobytes()
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert loudness(load(tmp_path / "a.wav", tmp_path)) == pytest.approx(LOUDNESS_LUFS, abs=0.1)


@pytest.mark.parametrize("name", ["a.m4a", "a.flac"])
def test_eight_planes_are_read_as_eight(tmp_path, name):
    path = write_sound(tmp_path / name, sine(1, 48_000, channels=8), 48_000)
    assert loudness(load(path, tmp_path)) == pytest.approx(LOUDNESS_LUFS, abs=0.1)


def test_stereo_is_averaged(tmp_path):
    samples = sine(1, 48_000, level=-6, channels=2)
    both = read_sound(write_sound(tmp_path / "a.flac", samples, 48_000))
    samples[1] = 0
    left = read_sound(write_sound(tmp_path / "b.flac", samples, 48_000))
    assert np.abs(both).max() == pytest.approx(0.5, abs=0.01)
    assert np.abs(left).max() == pytest.approx(0.25, abs=0.01)


def test_many_channels_of_unknown_places_are_averaged(tmp_path):
    header = wav_header(tag=1, rate=16_000, size=2, channels=11, data_bytes=22 * 16_000)
    samples = (sine(1, 16_000)[0] * 32_767).astype("<i2")
    (tmp_path / "a.wav").write_bytes(header + np.repeat(samples[:, None], 11, axis=1).tobytes())
    assert loudness(load(tmp_path / "a.wav", tmp_path)) == pytest.approx(LOUDNESS_LUFS, abs=0.1)


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_f32le"])
def test_each_sample_format_is_read_at_its_level(tmp_path, codec):
    path = write_sound(tmp_path / "a.wav", sine(0.5, 16_000, level=-6), 16_000, codec=codec)
    assert np.abs(read_sound(path)).max() == pytest.approx(10 ** (-6 / 20), abs=0.01)


@pytest.mark.parametrize("level", [-36, -20, -3])
@pytest.mark.parametrize("seconds", [1, 40])
def test_speech_is_brought_to_one_loudness(tmp_path, level, seconds):
    path = write_sound(tmp_path / "a.wav", sine(seconds, 16_000, level=level), 16_000)
    assert loudness(load(path, tmp_path)) == pytest.approx(LOUDNESS_LUFS, abs=0.05)


def test_the_gain_is_bounded(tmp_path):
    path = write_sound(tmp_path / "a.wav", sine(1, 16_000, level=-60), 16_000, codec="pcm_f32le")
    peak = np.abs(load(path, tmp_path)).max()
    assert 20 * np.log10(peak) == pytest.approx(-60 + MAX_GAIN_DB, abs=0.1)


def test_peaks_are_limited_not_cut(tmp_path):
    samples = sine(2, 16_000, level=-40)
    samples[:, 16_000:16_040] = 0.9 * np.sign(samples[:, 16_000:16_040])
    speech = load(write_sound(tmp_path / "a.wav", samples, 16_000), tmp_path)
    assert np.abs(speech).max() <= 0.98


@pytest.mark.parametrize("seconds", [0.04, 1, 40])
def test_silence_stays_exactly_silent(tmp_path, seconds):
    silence = np.zeros((1, round(seconds * 48_000)), np.float32)
    speech = load(write_sound(tmp_path / "a.wav", silence, 48_000), tmp_path)
    assert len(speech) == round(seconds * SAMPLE_RATE)
    assert not speech.any()


def test_pauses_stay_exactly_silent(tmp_path):
    samples = sine(2, 16_000, level=-10)
    samples[:, 8000:24_000] = 0
    speech = load(write_sound(tmp_path / "a.wav", samples, 16_000), tmp_path)
    assert not speech[8000:24_000].any()


def test_a_constant_offset_is_removed(tmp_path):
    path = write_sound(tmp_path / "a.wav", sine(1, 16_000, level=-20) + 0.3, 16_000)
    speech = load(path, tmp_path)
    assert abs(speech.mean()) < 1e-3
    assert loudness(speech) == pytest.approx(LOUDNESS_LUFS, abs=0.3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_samples_that_are_no_numbers_harm_only_themselves(tmp_path, bad):
    samples = sine(1, 48_000)
    samples[:, 24_000] = bad
    path = tmp_path / "a.wav"
    data = samples[0].astype("<f4").tobytes()
    header = wav_header(tag=3, rate=48_000, size=4, data_bytes=len(data))
    path.write_bytes(header + data)
    speech = load(path, tmp_path)
    clean = load(write_sound(tmp_path / "b.wav", sine(1, 48_000), 48_000), tmp_path)
    np.testing.assert_allclose(
        speech[:7000] / speech[:7000].max(), clean[:7000] / clean[:7000].max(), atol=0.01
    )


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 192_000])
@pytest.mark.parametrize("samples", [1, 2, 640])
def test_the_shortest_files_are_speech(tmp_path, rate, samples):
    path = write_sound(tmp_path / "a.wav", np.full((1, samples), 0.5, np.float32), rate)
    assert len(load(path, tmp_path)) == -(-samples * SAMPLE_RATE // rate)


def test_the_first_of_several_audio_streams_is_taken(tmp_path):
    path = write_sound(tmp_path / "a.mp4", clicks(1, 48_000, [0.5]), 48_000, streams=2)
    assert onsets(load(path, tmp_path), SAMPLE_RATE) == pytest.approx([0.5], abs=0.002)


def test_a_gap_in_the_time_stamps_is_silence(tmp_path):
    path = write_sound(tmp_path / "a.webm", clicks(2, 48_000, [0.5, 1.5]), 48_000, gaps={1.0: 3.0})
    speech = load(path, tmp_path)
    assert onsets(speech, SAMPLE_RATE) == pytest.approx([0.5, 4.5], abs=0.03)


def test_time_stamps_that_jump_far_start_anew(tmp_path):
    samples = clicks(3, 48_000, [0.5, 1.5, 2.5])
    path = write_sound(tmp_path / "a.webm", samples, 48_000, gaps={1.0: 5000.0, 2.0: 3.0})
    speech = load(path, tmp_path)
    assert onsets(speech, SAMPLE_RATE) == pytest.approx([0.5, 1.5, 5.5], abs=0.03)


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg", "a.flac", "a.m4a"])
def test_what_decodes_of_a_damaged_file_is_kept(tmp_path, name):
    path = write_sound(tmp_path / name, sine(4, 48_000), 48_000)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = b"\xff\x00\xaa" * 200
    path.write_bytes(data)
    assert 3.8 < len(load(path, tmp_path)) / SAMPLE_RATE < 4.2


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg", "a.flac", "a.wav"])
def test_a_file_that_was_cut_off_is_kept_as_far_as_it_goes(tmp_path, name):
    path = write_sound(tmp_path / name, sine(4, 48_000), 48_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 1.5 < len(load(path, tmp_path)) / SAMPLE_RATE < 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"hello, this is no sound at all", "damaged or unknown format"),
        (wav_header(tag=1, rate=16_000, size=2, data_bytes=0), "nothing in it decodes"),
    ],
)
def test_what_is_no_sound_is_named(tmp_path, data, reason):
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(MediaUndecodable) as caught:
        load(tmp_path / "a.wav", tmp_path)
    assert caught.value.key == "audio_undecodable"
    assert caught.value.field == "audio_paths.person1"
    assert reason in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile b.mp3\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nb.mp3\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_playlist_does_not_open_other_files(tmp_path, playlist):
    write_sound(tmp_path / "b.mp3", sine(1, 44_100), 44_100)
    (tmp_path / "a.m3u8").write_text(playlist)
    with pytest.raises(MediaUndecodable, match="unknown format"):
        load(tmp_path / "a.m3u8", tmp_path)


def test_an_unknown_codec_is_named(tmp_path):
    path = write_sound(tmp_path / "a.wav", sine(1, 16_000), 16_000)
    data = bytearray(path.read_bytes())
    data[20:22] = b"\x34\x12"  # the tag of the codec
    path.write_bytes(data)
    with pytest.raises(MediaUndecodable, match="unknown codec"):
        load(path, tmp_path)


def test_random_damage_never_escapes_as_another_error(tmp_path):
    generator = np.random.default_rng(2)
    for name in ("a.wav", "a.mp3", "a.m4a", "a.ogg", "a.flac"):
        path = write_sound(tmp_path / name, sine(0.5, 48_000), 48_000)
        clean = path.read_bytes()
        for _ in range(15):
            damaged = bytearray(clean)
            for position in generator.integers(0, min(len(clean), 3000), 6):
                damaged[position] = generator.integers(0, 256)
            path.write_bytes(damaged)
            with contextlib.suppress(MediaUndecodable, LimitExceeded):
                load(path, tmp_path)


def test_a_video_without_sound_says_so(tmp_path):
    with pytest.raises(MediaUndecodable, match=r"audio_paths\.person1: .*no audio stream"):
        load(write_picture_only(tmp_path / "a.mp4"), tmp_path)


@pytest.mark.parametrize(("seconds", "fits"), [(2.0, True), (2.01, False), (40.0, False)])
def test_longer_speech_than_allowed_is_refused(tmp_path, seconds, fits):
    path = write_sound(tmp_path / "a.wav", sine(seconds, 16_000), 16_000)
    if fits:
        assert len(load(path, tmp_path, max_seconds=2.0)) == 32_000
        return
    with pytest.raises(LimitExceeded, match="more than 2 s"):
        load(path, tmp_path, max_seconds=2.0)


def test_decoding_stops_where_the_limit_is_known_to_be_passed(tmp_path, monkeypatch):
    path = write_sound(tmp_path / "a.flac", sine(100, 16_000), 16_000)
    taken = []
    add = LoudnessMeter.add
    monkeypatch.setattr(
        LoudnessMeter, "add", lambda self, block: (taken.append(block.shape[1]), add(self, block))
    )
    with pytest.raises(LimitExceeded):
        load(path, tmp_path, max_seconds=3.0)
    assert sum(taken) <= 3 * SAMPLE_RATE


def test_long_speech_lies_in_a_file_and_is_the_same(tmp_path):
    samples = sine(70, 16_000, level=-30)
    samples[:, 500_000:500_100] = 0.9  # to be limited
    samples[:, 700_000:800_000] = 0
    path = write_sound(tmp_path / "a.wav", samples, 16_000)
    (tmp_path / "work").mkdir()
    speech = load(path, tmp_path / "work", max_seconds=100)
    assert isinstance(speech, np.memmap)
    assert not speech.flags.writeable
    assert len(list((tmp_path / "work").iterdir())) == 1
    whole = read_sound(path)
    quiet = slice(0, 400_000)
    ratio = speech[quiet][100:] / np.where(whole[quiet][100:] == 0, 1, whole[quiet][100:])
    used = np.abs(whole[quiet][100:]) > 1e-3
    assert np.ptp(ratio[used]) < 1e-4
    assert not speech[700_001:799_999].any()


def test_a_refused_long_file_leaves_no_open_file(tmp_path):
    path = write_sound(tmp_path / "a.wav", sine(40, 16_000), 16_000)
    with pytest.raises(LimitExceeded):
        load(path, tmp_path, max_seconds=35)  # ResourceWarning would be an error


@pytest.mark.parametrize(
    ("samples", "frames"), [(1, 1), (639, 1), (640, 1), (641, 2), (16_000, 25), (16_001, 26)]
)
def test_frames_cover_the_speech(samples, frames):
    assert num_frames_for(samples) == frames


@given(st.integers(0, 10**9))
def test_the_last_frame_is_needed(samples):
    frames = num_frames_for(samples)
    assert (frames - 1) * SAMPLES_PER_FRAME < samples <= frames * SAMPLES_PER_FRAME or samples == 0


def voices(*lengths):
    return {
        f"person{number}": np.full(length, number, np.float32)
        for number, length in enumerate(lengths, 1)
    }


def test_voices_together_start_at_once(tmp_path):
    arrangement = arrange_speakers(voices(5, 3), order="parallel", directory=tmp_path)
    assert arrangement.offsets == {"person1": 0, "person2": 0}
    assert arrangement.num_samples == 5
    assert arrangement.tracks["person1"].tolist() == [1] * 5
    assert arrangement.tracks["person2"].tolist() == [2, 2, 2, 0, 0]


def test_voices_in_turn_follow_each_other(tmp_path):
    arrangement = arrange_speakers(voices(2, 3, 1), order="sequential", directory=tmp_path)
    assert arrangement.offsets == {"person1": 0, "person2": 2, "person3": 5}
    assert arrangement.tracks["person1"].tolist() == [1, 1, 0, 0, 0, 0]
    assert arrangement.tracks["person2"].tolist() == [0, 0, 2, 2, 2, 0]
    assert arrangement.tracks["person3"].tolist() == [0, 0, 0, 0, 0, 3]
    assert arrangement.num_frames == 1


def test_one_voice_is_not_copied(tmp_path):
    speeches = voices(7)
    arrangement = arrange_speakers(speeches, order="sequential", directory=tmp_path)
    assert arrangement.tracks["person1"] is speeches["person1"]


@pytest.mark.parametrize("order", ["parallel", "sequential"])
def test_long_tracks_lie_in_sparse_files(tmp_path, order):
    speeches = voices(20 * SAMPLE_RATE, 45 * SAMPLE_RATE)
    arrangement = arrange_speakers(speeches, order=order, directory=tmp_path)
    for name, speech in speeches.items():
        track, start = arrangement.tracks[name], arrangement.offsets[name]
        assert len(track) == arrangement.num_samples
        np.testing.assert_array_equal(track[start : start + len(speech)], speech)
        assert np.count_nonzero(track) == len(speech)
    for file in tmp_path.iterdir():
        assert file.stat().st_blocks * 512 < arrangement.num_samples * 4
