import subprocess
import sys

import numpy as np
import pytest
from made import clicks, onsets, sine, write_sound

from multitalk.errors import MediaUndecodable
from multitalk.media.soundtrack import AAC_RATES, Soundtrack, SoundtrackVoice, aac_rate


def heard(soundtrack):
    return np.concatenate(list(soundtrack.blocks()), axis=1)


@pytest.mark.parametrize(
    ("source", "expected"),
    [(7350, 8000), (8000, 8000), (11_025, 11_025), (37_800, 44_100), (48_000, 48_000),
     (96_000, 48_000), (192_000, 48_000)],
)  # fmt: skip
def test_a_rate_is_kept_where_aac_allows(source, expected):
    assert aac_rate(source) == expected


def test_each_aac_rate_has_whole_samples_per_frame():
    assert [rate % 25 for rate in AAC_RATES] == [0] * len(AAC_RATES)


@pytest.mark.parametrize(("channels", "kept"), [(1, 1), (2, 2), (6, 2)])
def test_one_voice_keeps_its_channels_up_to_two(tmp_path, channels, kept):
    path = write_sound(tmp_path / "a.wav", sine(1, 44_100, channels=channels), 44_100)
    soundtrack = Soundtrack([SoundtrackVoice(path)], num_frames=25)
    assert (soundtrack.num_channels, soundtrack.sample_rate) == (kept, 44_100)
    assert heard(soundtrack).shape == (kept, 44_100)


def test_left_stays_left(tmp_path):
    samples = sine(1, 48_000, channels=2)
    samples[0, 24_000:] = 0
    samples[1, :24_000] = 0
    path = write_sound(tmp_path / "a.wav", samples, 48_000)
    track = heard(Soundtrack([SoundtrackVoice(path)], num_frames=25))
    np.testing.assert_allclose(track, samples, atol=1e-3)


@pytest.mark.parametrize("level", [-50, -20, 0])
def test_one_voice_is_heard_sample_for_sample(tmp_path, level):
    samples = sine(1, 22_050, level=level)
    path = write_sound(tmp_path / "a.wav", samples, 22_050)
    track = heard(Soundtrack([SoundtrackVoice(path)], num_frames=25))
    np.testing.assert_allclose(track, samples, atol=2 / 32_768)


@pytest.mark.parametrize("num_frames", [1, 2, 25, 26, 251])
@pytest.mark.parametrize("rate", [8000, 11_025, 48_000])
def test_the_length_is_exact_whatever_the_file_s(tmp_path, num_frames, rate):
    path = write_sound(tmp_path / "a.wav", sine(1.013, rate), rate)
    track = heard(Soundtrack([SoundtrackVoice(path)], num_frames=num_frames))
    assert track.shape[1] * 25 == num_frames * rate
    assert not track[:, round(1.02 * rate) :].any()


def test_voices_are_mixed_where_they_start_at_the_highest_rate(tmp_path):
    one = write_sound(tmp_path / "a.wav", clicks(1, 8000, [0.25]), 8000)
    two = write_sound(tmp_path / "b.wav", clicks(1, 44_100, [0.5], 2), 44_100)
    soundtrack = Soundtrack(
        [SoundtrackVoice(one), SoundtrackVoice(two, offset=16_000)], num_frames=55
    )
    assert (soundtrack.sample_rate, soundtrack.num_channels) == (44_100, 2)
    track = heard(soundtrack)
    assert track.shape == (2, 55 * 1764)
    for channel in track:
        assert onsets(channel, 44_100) == pytest.approx([0.25, 1.5], abs=0.001)


def test_mixed_voices_do_not_clip(tmp_path):
    paths = [
        write_sound(tmp_path / f"{hertz}.wav", sine(2, 16_000, level=-1, hertz=hertz), 16_000)
        for hertz in (200, 300, 410)
    ]
    track = heard(Soundtrack([SoundtrackVoice(path) for path in paths], num_frames=50))
    assert 0.9 < np.abs(track).max() <= 0.98


def test_a_float_file_beyond_full_scale_does_not_clip(tmp_path):
    path = write_sound(tmp_path / "a.wav", sine(1, 16_000, level=6), 16_000, codec="pcm_f32le")
    assert np.abs(heard(Soundtrack([SoundtrackVoice(path)], num_frames=25))).max() <= 1.0


def test_a_quiet_mix_is_the_sum(tmp_path):
    samples = sine(1, 16_000, level=-20)
    path = write_sound(tmp_path / "a.wav", samples, 16_000)
    track = heard(Soundtrack([SoundtrackVoice(path), SoundtrackVoice(path)], num_frames=25))
    np.testing.assert_allclose(track, 2 * samples, atol=1e-3)


def test_a_voice_that_starts_after_the_end_is_not_heard(tmp_path):
    path = write_sound(tmp_path / "a.wav", sine(1, 16_000), 16_000)
    track = heard(
        Soundtrack([SoundtrackVoice(path), SoundtrackVoice(path, offset=16_000)], num_frames=25)
    )
    np.testing.assert_allclose(track, sine(1, 16_000), atol=1e-3)


def test_samples_that_are_no_numbers_are_silent(tmp_path):
    samples = sine(1, 48_000)
    samples[:, 100] = np.nan
    path = write_sound(tmp_path / "a.wav", samples, 48_000, codec="pcm_f32le")
    assert np.isfinite(heard(Soundtrack([SoundtrackVoice(path)], num_frames=25))).all()


def test_a_voice_without_sound_is_named(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no sound")
    with pytest.raises(MediaUndecodable, match=r"audio_paths\.person2"):
        Soundtrack(
            [SoundtrackVoice(tmp_path / "a.wav", field="audio_paths.person2")], num_frames=25
        )


MEASURE = """
import resource, sys
from pathlib import Path
from multitalk.media.audio import load_speech
from multitalk.media.soundtrack import Soundtrack, SoundtrackVoice

def use(path, num_frames):
    speech = load_speech(path, field="f", directory=path.parent, max_seconds=1000)
    blocks = Soundtrack([SoundtrackVoice(path)], num_frames=num_frames).blocks()
    print(len(speech), sum(block.shape[1] for block in blocks))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

directory = Path(sys.argv[1])
before = use(directory / "short.flac", 1000)
print((use(directory / "long.flac", 15_000) - before) // 1024)
"""


def test_ten_minutes_of_sound_stay_out_of_memory(tmp_path):
    for name, seconds in (("short", 40), ("long", 600)):
        tone = np.tile(sine(10, 16_000), seconds // 10)
        write_sound(tmp_path / f"{name}.flac", tone, 16_000)
    # A process of its own: the most memory it ever had, after 40 seconds and after ten minutes.
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True
    )
    *_, grown = measured.stdout.split()
    assert measured.stdout.split()[2:4] == [str(600 * 16_000)] * 2
    assert int(grown) < 16  # MB; the two arrays would be 38 MB each
