"""Sound from one sample rate and layout of channels to another, block by block."""

from dataclasses import dataclass
from typing import ClassVar

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from multitalk.errors import MediaUndecodable

SoundBlock = NDArray[np.float32]  # [C, S]; full scale is [-1, 1]

# PyAV (18.1) finds a frame's planes by walking to a null pointer; FFmpeg has none after the eighth.
# To be removed when AudioFrame.planes counts channels.
MAX_PLANES = 7


@dataclass(frozen=True)
class SoundFormat:
    """How a file's sound is stored: samples a second and channels."""

    sample_rate: int
    num_channels: int


def _resampled(
    resampler: AudioResampler, block: SoundBlock, kind: SoundFormat, layout: str, field: str | None
) -> SoundBlock:
    packed = np.ascontiguousarray(block.T).reshape(1, -1)  # see MAX_PLANES
    frame = AudioFrame.from_ndarray(packed, format="flt", layout=layout)
    frame.sample_rate = kind.sample_rate
    try:
        parts = [planar(part) for part in resampler.resample(frame)]
    except av.FFmpegError as error:
        raise MediaUndecodable(
            "audio_undecodable", field=field, reason=f"{kind.sample_rate} Hz, {layout}"
        ) from error
    return np.concatenate(parts, axis=1) if parts else np.zeros((1, 0), np.float32)


class StereoPlacer:
    """Makes two channels of more, by ITU-R BS.775, at their own rate: sample for sample.

    Attributes:
        source: What it takes.
        layout: Of what it takes.
        voices: The channels that may carry a voice: all but the low frequency effects.
    """

    def __init__(self, source: SoundFormat, layout: str, field: str | None) -> None:
        self.source = source
        self.layout = layout
        places = [channel.name for channel in AudioLayout(layout).channels]
        self.voices = [at for at, name in enumerate(places) if not name.startswith("LFE")]
        self._field = field
        self._resampler = AudioResampler(format="fltp", layout="stereo", rate=source.sample_rate)

    def stereo(self, block: SoundBlock) -> SoundBlock:
        """Left and right of a block [C, S]: [2, S]."""
        return _resampled(self._resampler, block, self.source, self.layout, self._field)


class Converter:
    """Changes rate and channels of one run of blocks; as long after as before, to the sample."""

    _TAIL = 2048  # samples: longer than the resampler's filter, so that the last ones come out
    _LAYOUTS: ClassVar = {1: "mono", 2: "stereo"}

    def __init__(
        self,
        source: SoundFormat,
        layout: str,
        sample_rate: int,
        num_channels: int,
        field: str | None,
    ) -> None:
        self.source = source
        self.layout = layout
        self._sample_rate = sample_rate
        self._num_channels = num_channels
        self._field = field
        self._taken = 0  # samples at the source's rate
        self._given = 0  # samples at the rate asked for
        target = layout if source.num_channels <= num_channels else self._LAYOUTS[num_channels]
        self._resampler: AudioResampler | None = None
        if (source.sample_rate, layout) != (sample_rate, target):
            self._resampler = AudioResampler(format="fltp", layout=target, rate=sample_rate)

    def convert(self, block: SoundBlock) -> SoundBlock:
        """What is ready of the run with its next block."""
        self._taken += block.shape[1]
        return self._limited(self._resampled(block))

    def finish(self) -> SoundBlock:
        """The rest of the run."""
        silence = np.zeros((self.source.num_channels, self._TAIL), np.float32)
        return self._limited(self._resampled(silence))

    def _resampled(self, block: SoundBlock) -> SoundBlock:
        if self._resampler is None:
            return block
        return _resampled(self._resampler, block, self.source, self.layout, self._field)

    def _limited(self, block: SoundBlock) -> SoundBlock:
        end = -(-self._taken * self._sample_rate // self.source.sample_rate)
        block = block[:, : end - self._given]
        self._given += block.shape[1]
        return np.repeat(block, self._num_channels // block.shape[0], axis=0)


def planar(frame: AudioFrame) -> SoundBlock:
    """A frame of any sample format as float32 [C, S]; floats may still be no numbers."""
    if frame.format.is_planar and frame.layout.nb_channels > MAX_PLANES:
        packer = AudioResampler(format=frame.format.packed, layout=frame.layout)
        (frame,) = packer.resample(frame)
    samples: NDArray[np.generic] = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128.0) / 128.0
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) / np.float32(2 ** (8 * samples.dtype.itemsize - 1))
    with np.errstate(over="ignore"):  # to infinity, and from there to zero
        return samples.astype(np.float32, copy=False)
