"""PCM input: validation, and streaming resampling, as to 16 kHz for the viseme network."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.errors import InvalidRequest
from multitalk.timebase import FPS, SAMPLE_RATE

PcmSamples = NDArray[np.int16]

LOWEST_RATE, HIGHEST_RATE = 8_000, 48_000  # Hz
FULL_SCALE = 32_767
# Of the low-pass filter: zero crossings on each side, and cutoff as a share of Nyquist.
ZERO_CROSSINGS = 12
CUTOFF = 0.92


def checked_rate(rate: object) -> int:
    """A sample rate with a whole number of samples per video frame.

    Raises:
        InvalidRequest: It is none.
    """
    number = rate.item() if isinstance(rate, np.generic) else rate
    fits = isinstance(number, int) and LOWEST_RATE <= number <= HIGHEST_RATE
    if not isinstance(number, int) or not fits or number % FPS:
        expected = f"a multiple of {FPS} from {LOWEST_RATE} to {HIGHEST_RATE} Hz"
        raise InvalidRequest("avatar_option", field="rate", value=number, wanted=expected)
    return number


def samples_of(pcm: object) -> PcmSamples:
    """Samples as int16 [S].

    Args:
        pcm: int16 [S], float32 or float64 [S] in [-1, 1] (clipped; NaN becomes silence), or bytes
            of int16 in native byte order.

    Raises:
        InvalidRequest: Any other type or shape.
    """
    if isinstance(pcm, bytes | bytearray | memoryview):
        if memoryview(pcm).nbytes % 2:
            raise InvalidRequest("avatar_pcm", field="pcm", kind="an odd number of bytes")
        return np.frombuffer(pcm, np.int16).copy()
    if not isinstance(pcm, np.ndarray):
        raise InvalidRequest("avatar_pcm", field="pcm", kind=type(pcm).__name__)
    if pcm.ndim != 1 or (pcm.dtype != np.int16 and pcm.dtype.kind != "f"):
        kind = f"an array {pcm.dtype} {list(pcm.shape)}"
        raise InvalidRequest("avatar_pcm", field="pcm", kind=kind)
    if pcm.dtype == np.int16:
        return pcm.astype(np.int16)
    clipped = np.clip(np.nan_to_num(pcm.astype(np.float32), nan=0.0), -1, 1)
    return np.asarray(np.round(clipped * FULL_SCALE), np.int16)


class StreamingResampler:
    """Resamples consecutive blocks of one rate to another, causally: up to 2 ms of delay.

    Args:
        rate: Of the blocks, samples per second.
        target: Of the result; the viseme network's by default.
    """

    def __init__(self, rate: int, target: int = SAMPLE_RATE) -> None:
        self.rate = rate
        self._target = target
        self._positions, self._weights = _filter(rate, target)
        self._past = np.zeros(-int(self._positions.min()), np.float32)

    def resample(self, block: PcmSamples) -> Array:
        """A block of one video frame, int16 [rate / 25], as float32 [target / 25] in [-1, 1]."""
        samples = block.astype(np.float32) / np.float32(FULL_SCALE)
        if self.rate == self._target:
            return samples
        history = np.concatenate([self._past, samples])
        taps = history[self._positions + len(self._past)]
        resampled: Array = np.einsum("nt,nt->n", taps, self._weights)
        self._past = history[-len(self._past) :]
        return resampled


@cache
def _filter(rate: int, target: int) -> tuple[NDArray[np.int64], Array]:
    """Input positions and weights, [target / 25, taps] each, of a block's output samples.

    A Hann-windowed sinc that cuts off below the lower of the two Nyquist frequencies. Positions
    count from the block's first sample; none is after the block.
    """
    cutoff = CUTOFF * min(1.0, target / rate)
    half = int(np.ceil(ZERO_CROSSINGS / cutoff))
    instants = np.arange(target // FPS) * (rate / target) - half
    positions = np.floor(instants).astype(np.int64)[:, None] + np.arange(1 - half, half + 1)
    distance = instants[:, None] - positions
    window = np.cos(np.pi / 2 * np.clip(distance / half, -1, 1)) ** 2
    weights = np.sinc(cutoff * distance) * window
    weights /= weights.sum(axis=1, keepdims=True)
    return positions, weights.astype(np.float32)
