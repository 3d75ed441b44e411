"""How loud sound is, and how it is kept from clipping; both block by block.

Loudness is integrated loudness in LUFS by ITU-R BS.1770-4 (the K weighting of its annex 1, gated in
two steps), which EBU R 128 builds on. It reads as pyloudnorm 0.2.0, the meter of the published
MultiTalk code.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import SoundBlock

SILENCE_LUFS = float("-inf")
ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
OFFSET_LUFS = -0.691  # so that a 997 Hz sine reads as its level (BS.1770-4, equation 2)
BLOCK_SECONDS, HOP_SECONDS = 0.4, 0.1  # gating blocks, and from one's start to the next one's
HOPS_PER_BLOCK, HOPS_PER_SECOND = 4, 10

SHELF_HERTZ, SHELF_DB, SHELF_Q = 1500.0, 4.0, 0.5**0.5
HIGH_PASS_HERTZ, HIGH_PASS_Q = 38.0, 0.5

LIMITER_SECONDS = 0.005  # how far ahead a peak is seen, and how long the gain takes to move

MAX_GAIN_DB = 20.0  # up or down: room noise is not raised to the loudness of speech
AUDIBLE_PEAK = 0.01  # levelled speech peaks far above, however faint it was recorded
RECORDED_PEAK = AUDIBLE_PEAK / 10 ** (MAX_GAIN_DB / 20)  # the same before it is levelled
BLOCK_SAMPLES = 160_000


class LoudnessMeter:
    """Measures the integrated loudness of blocks as they come.

    The K weighting is applied by FFT (overlap-save). Its impulse response has fallen below 1e-12
    after the quarter of a second by which the transforms overlap, so this equals the recursive
    filters. Channels weigh the same: they are mono or left and right.
    """

    def __init__(self, sample_rate: int, num_channels: int) -> None:
        self._rate = sample_rate
        self._hop = sample_rate // HOPS_PER_SECOND
        self._overlap = 1 << (sample_rate // 4).bit_length()
        self._size = 8 * self._overlap
        self._response = k_weighting(np.fft.rfftfreq(self._size), sample_rate)
        self._waiting: NDArray[np.float64] = np.zeros((num_channels, self._overlap))
        self._powers = np.zeros(0)  # squared samples that do not fill a hop yet
        self._hops: list[NDArray[np.float64]] = []  # sums of squares, one per 100 ms

    def add(self, block: SoundBlock) -> None:
        """Take the next block [C, S]."""
        self._waiting = np.concatenate([self._waiting, block], axis=1)
        while self._waiting.shape[1] >= self._size:
            self._weigh(self._size)

    def integrated(self) -> float:
        """Loudness in LUFS of all that was added; -inf for silence. To be called once, at the end.

        The number of gating blocks is rounded: a last one counts if it lacks less than half of its
        last 100 ms, which are then silent. Sound shorter than a gating block (400 ms) counts
        as one block of that length: BS.1770 does not define it.
        """
        self._weigh(self._waiting.shape[1])
        hops = np.concatenate([*self._hops, np.zeros(0)])
        if len(hops) >= HOPS_PER_BLOCK:
            num_samples = len(hops) * self._hop + len(self._powers)
            more = (num_samples / self._rate - BLOCK_SECONDS) / HOP_SECONDS  # blocks but the first
            hops = np.append(hops, self._powers.sum())[: HOPS_PER_BLOCK + round(more)]
            sums = np.convolve(hops, np.ones(HOPS_PER_BLOCK), mode="valid")
            powers = sums / (HOPS_PER_BLOCK * self._hop)  # equation 1
        else:
            rest = hops.sum() + self._powers.sum()
            powers = np.array([rest / max(1, len(hops) * self._hop + len(self._powers))])
        return _gated(powers)

    def _weigh(self, size: int) -> None:
        """Filter the first `size` waiting samples; the first `overlap` of them are the past."""
        spectrum = np.fft.rfft(self._waiting[:, :size], n=self._size)
        weighted = np.fft.irfft(spectrum * self._response, n=self._size)[:, self._overlap : size]
        self._waiting = self._waiting[:, size - self._overlap :]
        powers = np.concatenate([self._powers, np.square(weighted).sum(axis=0)])
        full = len(powers) // self._hop * self._hop
        self._hops.append(powers[:full].reshape(-1, self._hop).sum(axis=1))
        self._powers = powers[full:]


def _gated(powers: NDArray[np.float64]) -> float:
    """Integrated loudness of gating blocks (BS.1770-4, equations 3 to 7)."""
    loud = powers[powers > _power(ABSOLUTE_GATE_LUFS)]
    if not len(loud):
        return SILENCE_LUFS
    gate = _loudness(loud.mean()) + RELATIVE_GATE_LU
    return _loudness(loud[loud > _power(gate)].mean())


def _loudness(power: float) -> float:
    return OFFSET_LUFS + 10.0 * float(np.log10(power))


def _power(loudness: float) -> float:
    return float(10.0 ** ((loudness - OFFSET_LUFS) / 10.0))


def k_weighting(frequencies: NDArray[np.floating], sample_rate: int) -> NDArray[np.complex128]:
    """Frequency response of the K weighting at a sample rate.

    A high shelf, then a high pass, both as R. Bristow-Johnson's "Audio EQ Cookbook" makes them by
    the bilinear transform. BS.1770-4 tabulates its filters for 48 kHz only; these are parallel to
    the tables, 0.04 dB below them, and keep their shape at other rates. EBU Tech 3341 allows 0.1.

    Args:
        frequencies: In cycles per sample, [0, 0.5].
        sample_rate: In Hz.
    """
    z = np.exp(-2j * np.pi * frequencies)  # one sample of delay
    # s = p / q is the frequency over the filter's own: q, not s, is zero at half the sample rate.
    p = 1 - z
    q = np.tan(np.pi * SHELF_HERTZ / sample_rate) * (1 + z)
    gain = 10.0 ** (SHELF_DB / 40.0)
    band = gain**0.5 / SHELF_Q * p * q
    shelf = gain * (gain * p * p + band + q * q) / (p * p + band + gain * q * q)
    q = np.tan(np.pi * HIGH_PASS_HERTZ / sample_rate) * (1 + z)
    high_pass = p * p / (p * p + p * q / HIGH_PASS_Q + q * q)
    weighting: NDArray[np.complex128] = shelf * high_pass
    return weighting


def limited(
    blocks: Iterable[SoundBlock], sample_rate: int, *, ceiling: float
) -> Iterator[SoundBlock]:
    """The same sound with no sample beyond `ceiling`; untouched where it was below.

    A look-ahead limiter: the gain that each sample needs, its minimum over the neighbourhood, then
    a moving average within it, so the gain is smooth and never above what a peak needs. All
    channels get one gain. Nothing is delayed and the length is kept.

    Args:
        blocks: Float32 [C, S].
        sample_rate: In Hz.
        ceiling: Largest magnitude, at most 1.
    """
    reach = max(1, round(LIMITER_SECONDS * sample_rate))
    held: SoundBlock | None = None  # `reach` samples already given, then those still waiting
    for block in blocks:
        if held is None:
            held = np.zeros((block.shape[0], reach), np.float32)
        held = np.concatenate([held, block], axis=1)
        if held.shape[1] > 2 * reach:
            yield _limit(held, reach, ceiling)
            held = held[:, -2 * reach :]
    if held is not None and held.shape[1] > reach:
        after = np.zeros((held.shape[0], reach), np.float32)
        yield _limit(np.concatenate([held, after], axis=1), reach, ceiling)


def _limit(held: SoundBlock, reach: int, ceiling: float) -> SoundBlock:
    """Limit [C, S], less the first and the last `reach` samples, which are its surroundings."""
    inner = held[:, reach:-reach]
    peaks = np.abs(held).max(axis=0)  # [S]
    if peaks.max() <= ceiling:
        return inner
    half = reach // 2
    needed = np.minimum(1.0, ceiling / np.maximum(peaks, ceiling))  # [S]
    lowest = _sliding_minimum(needed, 2 * half + 1)  # [S - 2 half]
    sums = np.cumsum(np.concatenate([[0.0], lowest]))
    gain = (sums[2 * half + 1 :] - sums[: -2 * half - 1]) / (2 * half + 1)  # [S - 4 half]
    trim = reach - 2 * half
    gain = gain[trim : len(gain) - trim]
    quieter: SoundBlock = np.clip(inner * gain, -ceiling, ceiling).astype(np.float32)
    return quieter


def _sliding_minimum(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Minimum of every `width` neighbours, in log2(width) passes; [S] -> [S - width + 1]."""
    reached = 1
    while reached < width:
        step = min(reached, width - reached)
        values = np.minimum(values[:-step], values[step:])
        reached += step
    return values


def is_silent(speech: NDArray[np.float32]) -> bool:
    """Whether there is no voice in speech [S] as `load_speech` returns it: none above -40 dBFS."""
    blocks = (speech[at : at + BLOCK_SAMPLES] for at in range(0, len(speech), BLOCK_SAMPLES))
    return all(float(np.abs(block).max()) < AUDIBLE_PEAK for block in blocks)
