"""A voice from several channels: the same in mono as what a listener hears on both sides (pure).

The mean of two channels is the voice, unless they are in opposite phase, as after a cable that was
wired wrongly: then it is silence. So where the power of the mean collapses, one channel is taken in
its place. Recordings may be in phase in one part and not in another, so this is judged piece by
piece. Which sides are worth hearing is judged by the whole recording.
"""

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

SoundBlock = NDArray[np.float32]  # [C, S]
Array = NDArray[np.float64]

# What both sides of a stereo track are: `both` as they were recorded; `left` or `right` alone,
# where the other is dead; `mixed` the mono mix, where the channels cancel each other.
Sides: TypeAlias = Literal["both", "left", "right", "mixed"]

WINDOW_SECONDS = 0.05
FADE_SECONDS = 0.005  # from what was taken before to what is taken now
# Power is compared in what is left of 8 kHz after a difference: neither a constant nor a mains hum
# counts as much as a voice.
JUDGED_HZ = 8000
# The mean of two equal voices has all of a channel's power, of two unrelated ones a half, of one
# voice beside nothing a quarter; below a tenth they cancel each other.
CANCELLED = 0.1
CANCELLED_SHARE = 0.1  # of a recording's power, from which on no stereo is made of it
DEAD = 1e-3  # 30 dB below the other channel there is crosstalk and noise, no voice


class MonoMix:
    """Mixes blocks of one recording to mono, and learns which sides its voice is on."""

    def __init__(self) -> None:
        self._taken: int | None = None  # channel; -1 is the mean; None before the first block
        self._side_powers: Array = np.zeros(2)
        self._power = self._cancelled_power = 0.0

    def mixed(
        self, stereo: SoundBlock, channels: SoundBlock, *, sample_rate: int, sides: Sides = "both"
    ) -> SoundBlock:
        """The next block as mono.

        Args:
            stereo: What is averaged, float32 [2, S]; [C, S] where channels could be anywhere.
            channels: As they were recorded, float32 [C, S], but for the low frequency effects: one
                is taken where the mean cancels.
            sample_rate: In Hz.
            sides: As `sides` said of the whole recording, where that is known: a dead side is left
                out.

        Returns:
            Float32 [1, S].
        """
        if sides in ("left", "right") and len(stereo) == 2:
            return stereo[:1] if sides == "left" else stereo[1:]
        mean: SoundBlock = stereo.mean(axis=0, keepdims=True)
        step = max(1, sample_rate // JUDGED_HZ)
        heard = _differences(channels[:, ::step])
        number = round(stereo.shape[1] / (WINDOW_SECONDS * sample_rate))
        number = min(max(1, number), heard.shape[1])
        edges = np.arange(number) * heard.shape[1] // number
        powers = np.add.reduceat(np.square(heard), edges, axis=1)  # [C, windows]
        loudest = powers.max(axis=0)
        mean_powers = np.add.reduceat(np.square(_differences(mean[:, ::step]))[0], edges)
        cancelled = mean_powers < CANCELLED * loudest
        self._power += loudest.sum()
        self._cancelled_power += loudest[cancelled].sum()
        if len(stereo) == 2:
            of_sides = heard if stereo is channels else _differences(stereo[:, ::step])
            self._side_powers += np.square(of_sides).sum(axis=1)
        if not cancelled.any() and self._taken in (None, -1):
            self._taken = -1
            return mean
        choices = self._choices(powers, cancelled)
        return self._joined(mean, channels, choices, edges * step, sample_rate)

    @property
    def sides(self) -> Sides:
        """Which sides the voice is on, by all that was mixed."""
        left, right = self._side_powers
        if min(left, right) < DEAD * max(left, right):
            return "left" if left > right else "right"
        if self._cancelled_power > CANCELLED_SHARE * self._power:
            return "mixed"
        return "both"

    def _choices(self, powers: Array, cancelled: NDArray[np.bool_]) -> list[int]:
        """What each window takes: -1 the mean, else a channel, and the same one while it is loud.

        Channels in opposite phase are not exchanged for each other without need: that would turn
        the voice over in the middle of a sound.
        """
        choices: list[int] = []
        taken = -1 if self._taken is None else self._taken
        for window, is_cancelled in enumerate(cancelled):
            loudest = int(powers[:, window].argmax())
            if not is_cancelled:
                taken = -1
            elif not (
                0 <= taken < len(powers) and powers[taken, window] > powers[loudest, window] / 2
            ):
                taken = loudest
            choices.append(taken)
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


def _differences(samples: SoundBlock) -> Array:
    """From each sample to the next, 0 before the first: [C, S]."""
    return np.diff(samples.astype(np.float64), axis=1, prepend=samples[:, :1])
