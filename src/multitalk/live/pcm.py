"""PCM input: validation."""

import numpy as np

from multitalk.errors import InvalidRequest
from multitalk.media.streaming_resampler import FULL_SCALE, PcmSamples
from multitalk.timebase import FPS

LOWEST_RATE, HIGHEST_RATE = 8_000, 48_000  # Hz


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
