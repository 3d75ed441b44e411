import numpy as np
import pytest
from made import sine

from multitalk.media.loudness import LoudnessMeter, k_weighting, limited

RATE = 48_000
# ITU-R BS.1770-4, tables 1 and 2: numerator and denominator at 48 kHz.
SHELF = (
    [1.53512485958697, -2.69169618940638, 1.19839281085285],
    [1.0, -1.69065929318241, 0.73248077421585],
)
HIGH_PASS = ([1.0, -2.0, 1.0], [1.0, -1.99004745483398, 0.99007225036621])
# The same by R. Bristow-Johnson's cookbook, at 16 kHz.
COOKBOOK_SHELF = (
    [1.444233908713844, -1.839542987741787, 0.685432300820589],
    [1.0, -1.1071392365035588, 0.3972624582962044],
)
COOKBOOK_HIGH_PASS = (
    [0.9852425301500196, -1.9704850603000392, 0.9852425301500196],
    [1.0, -1.9703753578723906, 0.9705947627276879],
)


def loudness(samples, rate, block=4096):
    meter = LoudnessMeter(rate, samples.shape[0])
    for start in range(0, samples.shape[1], block):
        meter.add(samples[:, start : start + block])
    return meter.integrated()


def tones(parts, rate=16_000):
    """The EBU's test signals: a stereo sine of 1 kHz, whose peak level changes."""
    return np.concatenate(
        [sine(seconds, rate, level=level, hertz=1000, channels=2) for level, seconds in parts],
        axis=1,
    )


# EBU Tech 3341, "minimum requirements" test signals 1 to 5; the tolerance is its own.
@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(-23, 20)], -23),
        ([(-33, 20)], -33),
        ([(-36, 10), (-23, 60), (-36, 10)], -23),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23),
    ],
)
def test_ebu_signals_measure_as_published(parts, expected):
    assert loudness(tones(parts), 16_000) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000, 96_000])
def test_a_mono_sine_measures_3_lu_less_than_its_peak_at_any_rate(rate):
    measured = loudness(sine(3, rate, level=-20, hertz=997), rate)
    assert measured == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_the_weighting_is_the_table_of_bs_1770_within_a_tenth_of_a_decibel(rate):
    hertz = np.geomspace(20, 7900, 400)
    ours, table = k_weighting(hertz / rate, rate), of_the_table(hertz / RATE)
    np.testing.assert_allclose(20 * np.log10(np.abs(ours / table)), 0, atol=0.1)


def of_the_table(frequencies):
    z = np.exp(-2j * np.pi * frequencies)
    shelf, high_pass = (
        np.polynomial.polynomial.polyval(z, numerator)
        / np.polynomial.polynomial.polyval(z, denominator)
        for numerator, denominator in (SHELF, HIGH_PASS)
    )
    return shelf * high_pass


def test_the_size_of_the_blocks_does_not_matter():
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 80_001)).astype(np.float32)
    measured = [loudness(noise, 16_000, block) for block in (160, 7777, 80_001)]
    assert max(measured) - min(measured) < 1e-6


def recursive(samples, numerator, denominator):
    """A second-order filter, sample by sample."""
    out = np.zeros(len(samples) + 2)
    past = np.concatenate([np.zeros(2), samples])
    for at in range(2, len(past)):
        forward = np.dot(numerator, past[at - 2 : at + 1][::-1])
        out[at] = forward - np.dot(denominator[1:], out[at - 2 : at][::-1])
    return out[2:]


def test_weighting_by_transform_equals_the_recursive_filters():
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
    weighted = recursive(recursive(noise, *COOKBOOK_SHELF), *COOKBOOK_HIGH_PASS)
    hops = np.square(weighted).reshape(-1, 1600).sum(axis=1)
    expected = -0.691 + 10 * np.log10(np.convolve(hops, np.ones(4), "valid").mean() / 6400)
    assert loudness(noise[None].astype(np.float32), 16_000) == pytest.approx(expected, abs=1e-5)


# Measured by pyloudnorm 0.2.0. A block counts when more than half of its last 100 ms is there; the
# exact half goes either way, as its rounding does.
@pytest.mark.parametrize(
    ("num_samples", "expected"),
    [
        (6400, -10.68968213788531),
        (7199, -12.73367142379736),
        (7200, -12.736084673683315),
        (7201, -11.273677121732417),
        (8800, -11.487504688967686),
        (10_400, -13.250619811099),
        (16_000, -11.32284463864763),
        (16_801, -10.353694769719818),
        (48_123, -9.595753170239794),
    ],
)
def test_it_reads_as_the_meter_of_the_published_code(num_samples, expected):
    swelling = np.sin(np.arange(num_samples) / 5) * np.linspace(0, 1, num_samples) ** 2
    measured = loudness(swelling[None].astype(np.float32), 16_000)
    assert measured == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("samples", [1, 100, 6399, 6400, 16_000])
def test_silence_of_any_length_is_minus_infinity(samples):
    assert loudness(np.zeros((1, samples), np.float32), 16_000) == float("-inf")


def test_sound_shorter_than_a_gating_block_is_measured():
    assert loudness(sine(0.2, 16_000, level=-20, hertz=997), 16_000) == pytest.approx(-23, abs=0.3)


def limit(samples, rate=16_000, ceiling=0.5, block=1000):
    blocks = (samples[:, at : at + block] for at in range(0, samples.shape[1], block))
    return np.concatenate(list(limited(blocks, rate, ceiling=ceiling)), axis=1)


@pytest.mark.parametrize("length", [1, 2, 79, 80, 81, 161, 1000, 16_000])
@pytest.mark.parametrize("rate", [8000, 44_100])
def test_what_is_below_the_ceiling_is_untouched(length, rate):
    quiet = np.random.default_rng(0).uniform(-0.5, 0.5, (2, length)).astype(np.float32)
    np.testing.assert_array_equal(limit(quiet, rate), quiet)


@pytest.mark.parametrize("length", [1, 2, 79, 80, 81, 161, 16_000])
def test_nothing_is_above_the_ceiling(length):
    loud = np.random.default_rng(0).normal(0, 1, (2, length)).astype(np.float32)
    peaks = limit(loud)
    assert peaks.shape == loud.shape
    assert np.abs(peaks).max() <= 0.5


def test_the_limiter_lowers_a_peak_without_bending_it():
    samples = sine(1, 16_000, level=-12)
    samples[:, 8000:8160] *= 6
    lowered = limit(samples)
    gain = lowered[0] / np.where(samples[0] == 0, 1, samples[0])
    used = np.abs(samples[0]) > 1e-3
    assert np.abs(np.diff(gain[used])).max() < 0.05  # smooth: it follows no single wave
    assert gain[used][-1] == 1.0
    assert gain[7990:8170][used[7990:8170]].min() == pytest.approx(0.5 / (6 * 0.2512), rel=0.02)


def test_both_channels_are_lowered_together():
    samples = np.concatenate([sine(0.5, 16_000, level=6), sine(0.5, 16_000, level=-20)])
    lowered = limit(samples)
    steady = slice(1000, 7000)
    ratio = np.abs(lowered[:, steady]).max(axis=1)
    assert ratio[0] / ratio[1] == pytest.approx(10 ** (26 / 20), rel=0.02)


def test_the_size_of_the_blocks_does_not_change_what_is_limited():
    loud = np.random.default_rng(0).normal(0, 0.4, (1, 5000)).astype(np.float32)
    for block in (1, 37, 5000):
        np.testing.assert_allclose(limit(loud, block=block), limit(loud), atol=1e-6)
