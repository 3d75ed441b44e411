"""Mouth and video have one voice, however it is spread over the channels of a recording."""

from functools import cache

import numpy as np
import pytest
from made import sine, write_sound

from multitalk.media.audio import LOUDNESS_LUFS, find_sound, load_recording
from multitalk.media.audio_conversion import MonoMix
from multitalk.media.loudness import LoudnessMeter
from multitalk.media.soundtrack import Soundtrack, SoundtrackVoice

RATE = 48_000
SECONDS = 2.4


def voice(seed=0, seconds=SECONDS, rate=RATE):
    """Noise in syllables, four a second, at the level of speech: [S]."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    noise = np.convolve(generator.standard_normal(len(time)), np.ones(24) / 24, mode="same")
    return (0.4 * noise * np.maximum(np.sin(2 * np.pi * 4 * time + seed), 0)).astype(np.float32)


def hiss(level, seed, size):
    noise = np.random.default_rng(seed).standard_normal(size)
    return (10 ** (level / 20) * noise).astype(np.float32)


VOICE = voice()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The recording of the voice on one channel, at a rate; each is made once."""

    @cache
    def loaded(rate=RATE):
        directory = tmp_path_factory.mktemp("alone")
        path = write_sound(directory / "a.flac", voice(rate=rate)[None], rate)
        return load_recording(path, field="f", directory=directory, max_seconds=100)

    return loaded


@pytest.fixture
def load(tmp_path):
    def loaded(channels, *, layout=None, rate=RATE, name="a.flac"):
        path = write_sound(tmp_path / name, np.stack(channels), rate, layout=layout)
        recording = load_recording(path, field="f", directory=tmp_path, max_seconds=100)
        frames = round(SECONDS * 25)
        track = Soundtrack([SoundtrackVoice(path, source=recording.source)], num_frames=frames)
        assert find_sound(path) == recording.source
        return recording, np.concatenate(list(track.blocks()), axis=1)

    return loaded


def likeness(one, other):
    """Correlation of two sounds of one length."""
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def envelope(samples, rate, hertz=50):
    step = rate // hertz
    return np.sqrt(np.square(samples[: len(samples) // step * step].reshape(-1, step)).mean(axis=1))


@pytest.mark.parametrize("share", [-1.0, -0.9, -0.7])
@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
def test_opposite_phase_is_the_louder_channel(load, alone, share, rate):
    spoken = voice(rate=rate)
    expected = alone(rate)
    recording, track = load([spoken, share * spoken], rate=rate)
    np.testing.assert_allclose(recording.speech, expected.speech, atol=5e-3)
    for side in track:
        np.testing.assert_allclose(side, spoken, atol=3e-3)


def test_the_louder_channel_may_be_the_right_one(load, alone):
    recording, track = load([-0.8 * VOICE, VOICE])
    np.testing.assert_allclose(track, np.stack([VOICE, VOICE]), atol=3e-3)
    assert recording.loudness == pytest.approx(alone().loudness, abs=0.1)


def test_noise_and_a_constant_do_not_hide_opposite_phase(load):
    left = VOICE + hiss(-45, 1, len(VOICE)) + 0.1
    right = -VOICE + hiss(-45, 2, len(VOICE)) + 0.1
    recording, track = load([left, right])
    assert recording.source.sides == "mixed"
    assert likeness(track.mean(axis=0) - track.mean(), VOICE) > 0.98


@pytest.mark.parametrize("turn", [0.31, 1.0, 1.234, 2.0])
def test_a_recording_that_turns_over_is_one_voice(load, alone, turn):
    at = round(turn * RATE)
    right = np.concatenate([VOICE[:at], -VOICE[at:]])
    expected = alone()
    recording, track = load([VOICE, right])
    lost = envelope(recording.speech, 16_000) < 0.5 * envelope(expected.speech, 16_000) - 1e-3
    assert lost.sum() <= 3, "at most 60 ms where it turns over"
    assert likeness(np.abs(track[0]), np.abs(VOICE)) > 0.98
    np.testing.assert_array_equal(track[0], track[1])


def test_no_click_is_made_where_a_recording_turns_over(load):
    tone = sine(SECONDS, RATE, hertz=200)[0]
    right = tone.copy()
    right[RATE:] *= -1
    _, track = load([tone, right])
    assert np.abs(np.diff(track[0])).max() < 2.5 * np.abs(np.diff(tone)).max()


@pytest.mark.parametrize("noise", [None, -70, -55])
@pytest.mark.parametrize("side", [0, 1])
def test_a_voice_beside_a_dead_channel_is_on_both_sides(load, alone, noise, side):
    dead = np.zeros_like(VOICE) if noise is None else hiss(noise, 3, len(VOICE))
    recording, track = load([VOICE, dead] if side == 0 else [dead, VOICE])
    np.testing.assert_allclose(track, np.stack([VOICE, VOICE]), atol=0.01)
    np.testing.assert_array_equal(track[0], track[1])
    expected = alone()
    assert recording.loudness == pytest.approx(expected.loudness, abs=0.1)
    assert likeness(recording.speech, expected.speech) > 0.99


def test_a_dead_channel_with_a_constant_in_it_is_dead(load, alone):
    recording, track = load([VOICE, np.full_like(VOICE, 0.2)])
    np.testing.assert_allclose(track, np.stack([VOICE, VOICE]) + 0.2, atol=1e-3)
    assert likeness(recording.speech, alone().speech) > 0.99


def test_a_word_on_the_quiet_side_is_kept(load):
    right = np.zeros_like(VOICE)
    right[RATE : RATE + RATE // 2] = voice(9)[: RATE // 2]
    left = np.tile(VOICE, 20)
    right = np.concatenate([right, np.zeros(len(left) - len(right), np.float32)])
    recording, _ = load([left, right])
    assert recording.source.sides == "both"


def test_a_quiet_voice_beside_a_dead_channel_gets_all_its_gain(load):
    quiet = VOICE * np.float32(0.25)
    recording, _ = load([quiet, np.zeros_like(quiet)])
    meter = LoudnessMeter(16_000, 1)
    meter.add(recording.speech[None])
    assert meter.integrated() == pytest.approx(LOUDNESS_LUFS, abs=0.3)


def test_two_people_on_two_sides_stay_there(load):
    left, right = voice(1), voice(2)
    left[RATE:] = 0
    right[:RATE] = 0
    recording, track = load([left, right])
    assert recording.source.sides == "both"
    np.testing.assert_allclose(track, np.stack([left, right]), atol=1e-3)


@pytest.mark.parametrize("common", [1.0, 0.5, 0.0])
def test_ordinary_stereo_is_left_as_it_is(load, common):
    left = common * VOICE + (1 - common) * voice(1)
    right = common * VOICE + (1 - common) * voice(2)
    recording, track = load([left, right])
    assert recording.source.sides == "both"
    np.testing.assert_allclose(track, np.stack([left, right]), atol=1e-3)
    mean, _ = load([(left + right) / 2], name="b.flac")
    np.testing.assert_allclose(recording.speech, mean.speech, atol=2e-3)


SURROUND = {"5.1": 6, "5.0": 5, "4.0": 4, "quad": 4, "3.0": 3, "7.1": 8}


@pytest.mark.parametrize("layout", SURROUND)
def test_front_channels_in_opposite_phase_are_a_voice(load, alone, layout):
    channels = [VOICE, -VOICE, *[np.zeros_like(VOICE)] * (SURROUND[layout] - 2)]
    recording, track = load(channels, layout=layout, name="a.wav")
    assert likeness(recording.speech, alone().speech) > 0.99
    for side in track:
        assert likeness(side, VOICE) > 0.99


@pytest.mark.parametrize("layout", ["5.1", "5.0", "3.0", "7.1"])
def test_a_voice_in_the_centre_is_on_both_sides(load, alone, layout):
    music = voice(5) * np.float32(0.1)
    channels = [music, -music, VOICE, *[np.zeros_like(VOICE)] * (SURROUND[layout] - 3)]
    recording, track = load(channels, layout=layout, name="a.wav")
    assert recording.source.sides == "both"
    assert likeness(recording.speech, alone().speech) > 0.98
    for side in track:
        assert likeness(side, VOICE) > 0.97


def test_effects_of_low_frequency_do_not_hide_the_voice(load, alone):
    rumble = sine(SECONDS, RATE, level=-1, hertz=60)[0]
    none = np.zeros_like(VOICE)
    recording, _ = load([none, none, 0.3 * VOICE, rumble, none, none], layout="5.1", name="a.wav")
    assert likeness(recording.speech, alone().speech) > 0.98


def test_one_of_many_channels_of_unknown_places_is_the_voice(load):
    channels = [VOICE if number == 7 else np.zeros_like(VOICE) for number in range(11)]
    mix = MonoMix()
    block = np.stack(channels)
    mono = mix.mixed(block, block, sample_rate=RATE)
    assert likeness(mono[0], VOICE) > 0.99
    assert np.abs(mono).max() == pytest.approx(np.abs(VOICE).max(), rel=0.01)


def test_silence_has_both_sides(load):
    recording, track = load([np.zeros_like(VOICE)] * 2)
    assert recording.source.sides == "both"
    assert not recording.speech.any()
    assert not track.any()
