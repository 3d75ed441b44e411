"""Channels and sample rates: downmix to mono or stereo, resampling; block by block.

The mean of two channels is the voice, unless they are in opposite phase, as after a cable that was
wired wrongly: then it is silence. So where the power of the mean collapses, one channel is taken in
its place. Recordings may be in phase in one part and not in another, so this is judged piece by
piece. Which sides are worth hearing is judged by the whole recording.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from multitalk.array_types import DoubleArray, SoundBlock
from multitalk.errors import MediaUndecodable

# What both sides of a stereo track are: `both` as they were recorded; `sum` their sum, where one of
# them is dead; `mixed` the mono mix, where they cancel each other.
Sides: TypeAlias = Literal["both", "sum", "mixed"]

WINDOW_SECONDS = 0.05
FADE_SECONDS = 0.005  # from the previous channel to the new one
# Power is compared in differences of samples at 8 kHz: neither a constant nor a mains hum
# counts as much as a voice.
JUDGED_HZ = 8000
# The mean of two equal voices has all of a channel's power, of two unrelated ones a half, of one
# voice beside nothing a quarter; below a tenth they cancel each other.
CANCELLED = 0.1
CANCELLED_SHARE = 0.1  # of a recording's power, from which on no stereo is made of it
# A side whose loudest quarter of a second is 20 dB below the other's has no voice.
DEAD = 0.01
LOUDEST_WINDOWS = 5

# PyAV (18.1) finds a frame's planes by walking to a null pointer; FFmpeg has none after the eighth.
# To be removed when AudioFrame.planes counts channels.
MAX_PLANES = 7


class MonoMix:
    """Mixes blocks of one recording to mono, and learns which sides its voice is on."""

    def __init__(self) -> None:
        self._taken: int | None = None  # channel; -1 is the mean; None before the first block
        self._last_channel: int | None = None  # that was taken
        self._loudest: DoubleArray = np.zeros((2, 0))  # windows of the left and of the right
        self._windows = 0
        self._power = self._cancelled_power = 0.0

    def mixed(
        self, stereo: SoundBlock, channels: SoundBlock, *, sample_rate: int, sides: Sides = "both"
    ) -> SoundBlock:
        """The next block as mono.

        Args:
            stereo: The channels to average, float32 [2, S]; [C, S] where their places are unknown.
            channels: As they were recorded, float32 [C, S], but for the low frequency effects: one
                is taken where the mean cancels.
            sample_rate: In Hz.
            sides: The property's value for the whole recording, where that is known.

        Returns:
            Float32 [1, S].
        """
        if sides == "sum" and len(stereo) == 2:
            total: SoundBlock = stereo.sum(axis=0, keepdims=True)
            return total
        mean: SoundBlock = stereo.mean(axis=0, keepdims=True)
        step = max(1, sample_rate // JUDGED_HZ)
        num_judged = -(-mean.shape[1] // step)
        num_windows = round(mean.shape[1] / (WINDOW_SECONDS * sample_rate))
        num_windows = min(max(1, num_windows), num_judged)
        starts = np.arange(num_windows) * num_judged // num_windows
        powers = _powers(channels[:, ::step], starts)
        loudest = powers.max(axis=0)
        cancelled = _powers(mean[:, ::step], starts)[0] < CANCELLED * loudest
        self._power += loudest.sum()
        self._cancelled_power += loudest[cancelled].sum()
        if len(stereo) == 2:
            is_same = stereo is channels
            self._compare(powers if is_same else _powers(stereo[:, ::step], starts))
        if not cancelled.any() and self._taken in (None, -1):
            self._taken = -1
            return mean
        return self._joined(
            mean, channels, self._choices(powers, cancelled), starts * step, sample_rate
        )

    @property
    def sides(self) -> Sides:
        """Which sides the voice is on, by all that was mixed."""
        if self._windows:
            rank = min(LOUDEST_WINDOWS, max(1, self._windows // 4))
            quieter, louder = sorted(self._loudest[:, -rank])
            if quieter < DEAD * louder:
                return "sum"
        if self._cancelled_power > CANCELLED_SHARE * self._power:
            return "mixed"
        return "both"

    def _compare(self, powers: DoubleArray) -> None:
        """Remember the loudest windows [2, windows] of the left and of the right."""
        louder = np.sort(np.concatenate([self._loudest, powers], axis=1), axis=1)
        self._loudest = louder[:, -LOUDEST_WINDOWS:]
        self._windows += powers.shape[1]

    def _choices(self, powers: DoubleArray, cancelled: NDArray[np.bool_]) -> list[int]:
        """The choice of each window: -1 the mean, else a channel, the same one while it is loud.

        Channels in opposite phase are not exchanged for each other without need: that would turn
        the voice over in the middle of a sound.
        """
        choices: list[int] = []
        for window, is_cancelled in enumerate(cancelled):
            if not is_cancelled:
                choices.append(-1)
                continue
            channel, last = int(powers[:, window].argmax()), self._last_channel
            if last is not None and last < len(powers):
                is_loud = powers[last, window] > powers[channel, window] / 2
                channel = last if is_loud else channel
            self._last_channel = channel
            choices.append(channel)
        return choices

    def _joined(
        self,
        mean: SoundBlock,
        channels: SoundBlock,
        choices: list[int],
        starts: NDArray[np.int64],
        sample_rate: int,
    ) -> SoundBlock:
        mono = mean.copy()
        fade = max(1, round(FADE_SECONDS * sample_rate))
        ends = [*starts[1:].tolist(), mean.shape[1]]
        for choice, start, end in zip(choices, starts.tolist(), ends, strict=True):
            new = _one(mean, channels, choice)[start:end]
            if self._taken is not None and choice != self._taken:
                old = _one(mean, channels, self._taken)[start : start + fade]
                rise = (np.arange(1, len(old) + 1, dtype=np.float32) / (fade + 1))[: len(new)]
                new = new.copy()
                new[: len(rise)] = new[: len(rise)] * rise + old[: len(rise)] * (1 - rise)
            mono[0, start:end] = new
            self._taken = choice
        return mono


def _one(mean: SoundBlock, channels: SoundBlock, choice: int) -> NDArray[np.float32]:
    """A channel [S]; the mean for -1, and for one that is not there any more."""
    taken: NDArray[np.float32] = channels[choice] if 0 <= choice < len(channels) else mean[0]
    return taken


def _powers(samples: SoundBlock, starts: NDArray[np.int64]) -> DoubleArray:
    """Power in windows of the differences between samples [C, S]: [C, windows]."""
    differences = np.zeros_like(samples)
    np.subtract(samples[:, 1:], samples[:, :-1], out=differences[:, 1:])
    return np.add.reduceat(np.square(differences, out=differences), starts, axis=1)


@dataclass(frozen=True)
class SoundFormat:
    """Samples a second and channels of a file's sound."""

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
        self._given = 0  # samples at the target rate
        target = layout if source.num_channels <= num_channels else self._LAYOUTS[num_channels]
        self._resampler: AudioResampler | None = None
        if (source.sample_rate, layout) != (sample_rate, target):
            self._resampler = AudioResampler(format="fltp", layout=target, rate=sample_rate)

    def convert(self, block: SoundBlock) -> SoundBlock:
        """The converted part of the run, after its next block."""
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
