"""Sound as it is pushed, in blocks of a video frame, and as the visemes hear it."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.errors import InvalidRequest
from multitalk.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

Samples = NDArray[np.int16]

LOWEST_RATE, HIGHEST_RATE = 8_000, 48_000  # Hz
FULL_SCALE = 32_767
# Of the filter that changes the rate: zero crossings on each side, and where it begins to cut.
CROSSINGS = 12
PASSED = 0.92


def checked_rate(rate: object) -> int:
    """A rate of which a video frame has a whole number of samples.

    Raises:
        InvalidRequest: It is none.
    """
    number = rate.item() if isinstance(rate, np.generic) else rate
    fits = isinstance(number, int) and LOWEST_RATE <= number <= HIGHEST_RATE
    if not isinstance(number, int) or not fits or number % FPS:
        wanted = f"a multiple of {FPS} from {LOWEST_RATE} to {HIGHEST_RATE} Hz"
        raise InvalidRequest("avatar_option", field="rate", value=number, wanted=wanted)
    return number


def samples_of(pcm: object) -> Samples:
    """Samples as int16 [S].

    Args:
        pcm: int16 [S], float32 or float64 [S] in [-1, 1] (what is beyond is clipped, what is no
            number is silence), or bytes of int16 in the machine's order.

    Raises:
        InvalidRequest: Of another type or shape.
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


class Ear:
    """Brings consecutive blocks of a rate to 16 kHz; up to 2 ms late, which is how far it looks."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._places, self._weights = _filter(rate)
        self._past = np.zeros(-int(self._places.min()), np.float32)

    def hear(self, block: Samples) -> Array:
        """A block of a video frame, int16 [rate / 25], as float32 [640] in [-1, 1]."""
        samples = block.astype(np.float32) / np.float32(FULL_SCALE)
        if self.rate == SAMPLE_RATE:
            return samples
        around = np.concatenate([self._past, samples])
        heard: Array = np.einsum("nt,nt->n", around[self._places + len(self._past)], self._weights)
        self._past = around[-len(self._past) :]
        return heard


@cache
def _filter(rate: int) -> tuple[NDArray[np.int64], Array]:
    """For each of a block's 640 samples: of which samples [640, taps] it is how much.

    A sinc under Hann's window that cuts at the lower of the two rates' limits. Places count from
    the block's first sample; none is after the block.
    """
    cut = PASSED * min(1.0, SAMPLE_RATE / rate)
    half = int(np.ceil(CROSSINGS / cut))
    instants = np.arange(SAMPLES_PER_FRAME) * (rate / SAMPLE_RATE) - half
    places = np.floor(instants).astype(np.int64)[:, None] + np.arange(1 - half, half + 1)
    distance = instants[:, None] - places
    window = np.cos(np.pi / 2 * np.clip(distance / half, -1, 1)) ** 2
    weights = np.sinc(cut * distance) * window
    weights /= weights.sum(axis=1, keepdims=True)
    return places, weights.astype(np.float32)
