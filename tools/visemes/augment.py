"""Make clean speech sound like recordings: other microphones, rooms, noises, codecs and speakers.

Waveforms first, then their features.
"""

import io

import av
import numpy as np
from corpus import SAMPLE_RATE
from numpy.typing import NDArray
from scipy.signal import correlate, fftconvolve, lfilter, resample_poly

from multitalk.speech.log_mel import NUM_BANDS

Signal = NDArray[np.float64]
Features = NDArray[np.float32]
Random = np.random.Generator

CODECS = {"aac": "adts", "libmp3lame": "mp3", "libopus": "ogg"}
MAX_CODEC_DELAY = 3000  # samples


def level(signal: Signal) -> float:
    """Root mean square, never zero."""
    return float(np.sqrt(np.mean(signal**2)) + 1e-9)


def decibels(value: float | Signal) -> float | Signal:
    """The amplitude ratio of a level in dB."""
    return 10 ** (value / 20)


def recorded(signal: Signal, random: Random, babble: list[Signal]) -> Signal:
    """One signal as if through a random microphone, room, compressor, background and codec.

    Args:
        signal: float64 [S].
        random: Source of all choices.
        babble: Other utterances of unit level, for the noise of other people.

    Returns:
        float64 [S], in time with the input.
    """
    signal = coloured(signal, random)
    if random.random() < 0.6:
        response = room(random.uniform(0.08, 0.8), random.uniform(-2, 14), random)
        signal = fftconvolve(signal, response)[: len(signal)]
    if random.random() < 0.4:
        envelope = np.sqrt(lfilter([0.002], [1, -0.998], signal**2) + 1e-9 * level(signal) ** 2)
        signal = signal * (envelope / level(signal) + 0.02) ** -random.uniform(0.2, 0.7)
    if random.random() < 0.25:
        limit = level(signal) / random.uniform(0.2, 1.0)
        signal = np.tanh(signal / limit) * limit
    if random.random() < 0.9:
        noise = background(len(signal), random, babble)
        gain = level(signal) / level(noise) * decibels(-random.uniform(5, 40))
        signal = signal + noise * gain
    return through_codec(signal, random) if random.random() < 0.35 else signal


def coloured(signal: Signal, random: Random) -> Signal:
    """Random smooth equalisation; sometimes a low or a high cut."""
    spectrum = np.fft.rfft(signal)
    hertz = np.fft.rfftfreq(len(signal), 1 / SAMPLE_RATE)
    knots = random.standard_normal(9) * random.uniform(0, 6)
    knots += np.linspace(0, random.uniform(-12, 12), 9)
    gain = np.interp(np.log1p(hertz / 200) / np.log1p(40), np.linspace(0, 1, 9), knots)  # dB
    if random.random() < 0.25:
        gain -= np.clip((hertz - random.uniform(3000, 6000)) / 300, 0, 1) * 40
    if random.random() < 0.3:
        gain -= np.clip((random.uniform(80, 300) - hertz) / 80, 0, 1) * 30
    return np.fft.irfft(spectrum * decibels(gain), len(signal))


def room(reverberation_seconds: float, direct_ratio: float, random: Random) -> Signal:
    """Impulse response: the direct sound and, `direct_ratio` dB below, decaying noise."""
    length = int(reverberation_seconds * SAMPLE_RATE)
    decay = np.exp(-6.9 * np.arange(length) / length)  # -60 dB at the end
    tail = random.standard_normal(length) * decay
    tail *= decibels(-direct_ratio) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    return tail


def background(length: int, random: Random, babble: list[Signal]) -> Signal:
    """Noise of some colour, a few other people, or music."""
    kind = random.integers(7)
    if kind == 6 and len(babble) > 4:
        people = [babble[random.integers(len(babble))] for _ in range(random.integers(2, 6))]
        return sum(np.resize(np.roll(p, random.integers(len(p))), length) for p in people)
    if kind >= 4:
        return music(length, random)
    slope = (0, 0.5, 1, 1.5)[kind]
    spectrum = np.fft.rfft(random.standard_normal(length))
    return np.fft.irfft(spectrum / (np.arange(len(spectrum)) + 20.0) ** slope, length)


def music(length: int, random: Random) -> Signal:
    """Decaying chords, in half of the cases with a beat."""
    time = np.arange(length) / SAMPLE_RATE
    beat = 60 / random.uniform(70, 150) / random.choice([1, 2])
    root = random.choice([98, 110, 131, 147, 165])
    chords = ((0, 4, 7, 12), (5, 9, 12, 17), (7, 11, 14, 19), (9, 12, 16, 21))
    bars = (time / (beat * 4)).astype(int)
    result = np.zeros(length)
    for bar in range(bars.max() + 1):
        inside = bars == bar
        now = time[inside]
        decay = np.exp(-((now / beat) % random.choice([1, 2, 4])) * random.uniform(0.3, 2))
        for semitones in chords[random.integers(4)]:
            hertz = root * 2 ** (semitones / 12)
            for harmonic in range(1, 6):
                phase = random.uniform(0, 2 * np.pi)
                tone = np.sin(2 * np.pi * hertz * harmonic * now + phase)
                result[inside] += tone / harmonic ** random.uniform(1, 2) * decay
    if random.random() < 0.5:
        drum = random.standard_normal(length) * np.exp(-((time / beat) % 1) * 12)
        result += drum * 2 * level(result)
    return result


def through_codec(signal: Signal, random: Random) -> Signal:
    """Compress and decompress at a low bit rate, and undo the codec's delay."""
    codec = random.choice(list(CODECS))
    rate = 48_000 if codec == "libopus" else SAMPLE_RATE
    peak = np.abs(signal).max() + 1e-9
    sound = signal / peak * 0.8
    if rate != SAMPLE_RATE:
        sound = resample_poly(sound, rate // SAMPLE_RATE, 1)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=CODECS[codec]) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "mono"
        stream.bit_rate = int(random.choice([16_000, 24_000, 32_000, 48_000]))
        frame = av.AudioFrame.from_ndarray(
            sound.astype(np.float32)[None], format="fltp", layout="mono"
        )
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    buffer.seek(0)
    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(buffer) as container:
        frames = [
            part.to_ndarray()[0]
            for decoded in container.decode(audio=0)
            for part in resampler.resample(decoded)
        ]
    heard = np.concatenate(frames).astype(np.float64) * peak / 0.8
    heard = np.pad(heard, (0, max(0, len(signal) + MAX_CODEC_DELAY - len(heard))))
    start = signal[:48_000]
    delay = int(correlate(heard[: len(start) + MAX_CODEC_DELAY], start, "valid").argmax())
    return np.pad(heard[delay:], (0, len(signal)))[: len(signal)]


def varied(bands: Features, random: Random) -> Features:
    """Features [T, NUM_BANDS] as if from another speaker and place, and with gaps."""
    index = np.arange(NUM_BANDS)
    last = NUM_BANDS - 1
    if random.random() < 0.4:  # a longer or shorter vocal tract
        shift, bend = random.uniform(-4, 4), random.uniform(20, 60)
        source = np.interp(index, [0, bend, last], [0, bend + shift, last])
        left = np.clip(source.astype(int), 0, last - 1)
        part = (source - left).astype(np.float32)
        bands = bands[:, left] * (1 - part) + bands[:, left + 1] * part
    colour = np.interp(index, np.linspace(0, last, 7), random.normal(0, 0.06, 7))
    bands = bands + colour.astype(np.float32)
    if random.random() < 0.4:  # bands missing (Park et al., "SpecAugment", 2019)
        first = random.integers(NUM_BANDS - 6)
        bands[:, first : first + random.integers(2, 12)] = bands.mean()
    for _ in range(random.integers(3)):  # moments missing
        first = random.integers(len(bands) - 30)
        gap = bands.min() if random.random() < 0.5 else bands.mean()
        bands[first : first + random.integers(2, 20)] = gap
    return bands


def time_warp(length: int, random: Random) -> NDArray[np.float64]:
    """Positions [length], rising at a wandering speed within 0..length - 1."""
    knots = np.exp(random.normal(0, 0.25, length // 16 + 1))
    speed = np.interp(np.arange(length), np.linspace(0, length - 1, len(knots)), knots)
    positions = np.cumsum(speed) - speed[0]
    return positions * min(1.0, (length - 1.001) / positions[-1])
