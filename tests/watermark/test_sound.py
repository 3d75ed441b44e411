"""The mark in the sound is found after what happens to sound, and stays below the voice."""

import io
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.watermark.detection import Finding
from multitalk.watermark.keys import Payload
from multitalk.watermark.sound import DETECTION_RATE, SoundDetector, SoundMark

PAYLOAD = Payload(0, 2, 0xBEEF5)
SECONDS = 6
LONG = 8  # seconds, where the codec leaves little of the mark


@cache
def voice(rate: int, seconds: int = SECONDS) -> NDArray[np.float32]:
    """Something like speech: pulses at a gliding pitch through moving resonances, with pauses."""
    random = np.random.default_rng(3)
    time = np.arange(seconds * rate) / rate
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    sound = np.zeros_like(time)
    for harmonic in range(1, 40):
        hertz = harmonic * pitch
        formants = sum(
            np.exp(-(((hertz - center) / width) ** 2))
            for center, width in (
                (500 + 250 * np.sin(2 * np.pi * 2.1 * time), 180),
                (1500 + 500 * np.sin(2 * np.pi * 1.3 * time), 250),
                (2600, 400),
                (3600, 500),
            )
        )
        is_audible = hertz < 0.45 * rate
        sound += is_audible * (0.02 + formants) * np.sin(harmonic * phase) / np.sqrt(harmonic)
    sound += 0.05 * random.normal(size=len(time))
    sound *= np.clip(np.sin(2 * np.pi * 1.7 * time) + 0.6, 0, 1) * (time % 4 < 3.3)
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def blocks(sound: NDArray[np.float32], length: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, sound.shape[1], length):
        yield sound[:, start : start + length]


def mark(sound: NDArray[np.float32], rate: int, length: int = 4000) -> NDArray[np.float32]:
    """A sound [C, S] with the mark."""
    marked = list(SoundMark(PAYLOAD, rate).blocks(blocks(sound, length)))
    return np.concatenate(marked, axis=1)


@cache
def marked(rate: int, seconds: int = SECONDS) -> NDArray[np.float32]:
    return mark(voice(rate, seconds)[None], rate)[0]


def coded(sound: NDArray[np.float32], rate: int, codec: str, bit_rate: int) -> NDArray[np.float32]:
    """Through a codec and back, at `DETECTION_RATE`."""
    file = io.BytesIO()
    coded_rate = 48_000 if codec == "libopus" else rate
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=coded_rate, layout="mono")
        stream.codec_context.bit_rate = bit_rate
        stream.codec_context.open()
        size = stream.codec_context.frame_size
        resampler = av.AudioResampler(stream.codec_context.format, "mono", coded_rate, size)
        for frame in [*resampler.resample(_frame(sound, rate)), *resampler.resample(None)]:
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    resampler = av.AudioResampler("flt", "mono", DETECTION_RATE)
    with av.open(file) as container:
        pieces = [
            piece.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for piece in resampler.resample(frame)
        ]
    return np.concatenate(pieces)


def _frame(sound: NDArray[np.float32], rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(sound[None], format="flt", layout="mono")
    frame.sample_rate = rate
    return frame


def find(sound: NDArray[np.float32]) -> Finding:
    detector = SoundDetector()
    detector.add(sound)
    return detector.find()


@pytest.mark.parametrize(
    ("codec", "bit_rate", "seconds"),
    [("aac", 64_000, SECONDS), ("libopus", 24_000, LONG), ("libopus", 16_000, LONG)],
)
def test_a_mark_is_found_and_read_after(codec: str, bit_rate: int, seconds: int) -> None:
    found = find(coded(marked(16_000, seconds), 16_000, codec, bit_rate))
    assert found.is_marked
    assert found.payload == PAYLOAD


def test_a_mark_is_found_in_three_seconds_from_anywhere() -> None:
    sound = coded(marked(16_000), 16_000, "aac", 64_000)
    assert find(sound[17_001 : 17_001 + 3 * DETECTION_RATE]).is_marked


@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100, 48_000])
def test_a_mark_is_found_at_every_rate(rate: int) -> None:
    found = find(coded(marked(rate), rate, "aac", 64_000))
    assert found.is_marked
    assert found.payload == PAYLOAD


def test_nothing_is_found_without_a_mark() -> None:
    random = np.random.default_rng(1)
    for sound in (
        voice(16_000),
        random.normal(0, 0.1, 100_000).astype(np.float32),
        np.zeros(100_000, np.float32),
    ):
        assert not find(sound).is_marked
    assert not SoundDetector().find().is_marked


@pytest.mark.parametrize("length", [1, 7, 255, 257, 16_000, 10**6])
def test_how_the_sound_is_cut_into_blocks_changes_nothing(length: int) -> None:
    sound = voice(16_000)[None, : 600 if length == 1 else 20_000]
    np.testing.assert_allclose(
        mark(sound, 16_000, length), mark(sound, 16_000, sound.shape[1]), atol=1e-6
    )


def test_no_sound_has_no_mark() -> None:
    assert list(SoundMark(PAYLOAD, 16_000).blocks(iter(()))) == []
    silence = np.zeros((2, 5000), np.float32)
    np.testing.assert_array_equal(mark(silence, 16_000), silence)


def test_both_sides_of_stereo_carry_the_mark() -> None:
    one = voice(16_000)
    for side in mark(np.stack([one, 0.3 * one]), 16_000):
        assert find(side).payload == PAYLOAD


def test_the_mark_is_below_the_voice_in_every_critical_band() -> None:
    sound = voice(16_000).astype(np.float64)
    added = marked(16_000) - sound
    spectra = [np.abs(np.fft.rfft(_windows(values, 1024))) ** 2 for values in (sound, added)]
    edges = (400, 510, 630, 770, 920, 1080, 1270, 1480, 1720, 2000, 2320, 2700, 3150, 3700, 4400)
    for low, high in pairwise(edges):  # Zwicker's critical bands
        band = slice(low * 1024 // 16_000, high * 1024 // 16_000)
        voiced, noise = (spectrum[:, band].sum(1) for spectrum in spectra)
        is_loud = voiced > 1e-3 * voiced.max()
        ratio = 10 * np.log10(voiced[is_loud] / noise[is_loud])
        assert np.median(ratio) > 15, f"{low} to {high} Hz"


def _windows(sound: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    windows = np.lib.stride_tricks.sliding_window_view(sound, length)[:: length // 2]
    return windows * np.hanning(length)
