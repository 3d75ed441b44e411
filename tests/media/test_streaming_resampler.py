"""Sound of one rate as sound of another, block by block."""

import numpy as np
import pytest

from multitalk.media.streaming_resampler import StreamingResampler

FRAME = 640  # samples of a block at 16 kHz


@pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 44_100, 48_000])
def test_a_tone_is_heard_alike_at_every_rate(rate: int) -> None:
    """Its level and its place; what is above 8 kHz is not."""
    resampler = StreamingResampler(rate)
    size = rate // 25
    t = np.arange(10 * size) / rate
    tone = np.round(20_000 * np.sin(2 * np.pi * 1000 * t)).astype(np.int16)
    heard = np.concatenate([resampler.resample(tone[n * size : (n + 1) * size]) for n in range(10)])
    assert len(heard) == 10 * FRAME
    # the same tone, up to 2 ms late
    wanted = 20_000 / 32_767 * np.sin(2 * np.pi * 1000 * np.arange(len(heard)) / 16_000)
    late = [
        np.abs(heard[1000:] - wanted[1000 - lag : len(wanted) - lag]).max() for lag in range(33)
    ]
    assert min(late) < 0.25  # between two samples
    assert np.sqrt(np.mean(heard[1000:] ** 2)) == pytest.approx(20_000 / 32_767 / 2**0.5, rel=0.01)
    if rate > 40_000:
        high = np.round(20_000 * np.sin(2 * np.pi * 9_500 * t)).astype(np.int16)
        heard = np.concatenate(
            [resampler.resample(high[n * size : (n + 1) * size]) for n in range(10)]
        )
        assert np.abs(heard[1000:]).max() < 0.01
