"""The mark in the sound: noise that repeats every two seconds and hides behind the voice.

The noise has the voice's own spectrum and stays below the voice's masking threshold, so where there
is no sound there is no mark. This is direct-sequence spread-spectrum marking with perceptual
shaping (Boney, Tewfik and Hamdy, "Digital Watermarks for Audio Signals", 1996; Kirovski and Malvar,
"Spread-Spectrum Watermarking of Audio Signals", IEEE Trans. Signal Processing 51, 2003). A symbol
is how far its own noise is turned against the pilot's. Detection keeps the sound's phases only,
adds up its periods and correlates the sum with the noises at every place.
"""

from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array, DoubleArray, SoundBlock
from multitalk.watermark.detection import Finding, decide
from multitalk.watermark.keys import SYMBOL_VALUES, SYMBOLS, Payload, random_phases

Spectra = NDArray[np.complex128]  # [..., frames, bins]

PERIOD_SECONDS = 2
LOWEST_HZ, HIGHEST_HZ = 400, 5000  # what every codec of speech keeps
HOP_SECONDS = 0.016  # half of a window
PILOT_SHARE = 0.5  # of the mark's power; the symbols share the rest
DETECTION_RATE = 16_000  # samples a second

# A masking threshold is a signal's level less an offset, which grows with the critical band for a
# tone and does not for noise; a voice is between the two (Johnston, "Transform Coding of Audio
# Signals Using Perceptual Noise Criteria", IEEE J. Sel. Areas Comm. 6, 1988).
TONE_OFFSET_DB = 14.5  # and a decibel more for each Bark
NOISE_OFFSET_DB = 5.5
TONALITY = 0.5
MARGIN_DB = 4.0  # below the threshold
CRITICAL_HZ, CRITICAL_SHARE = 100.0, 0.18  # a critical band's width, at low and high frequencies
# A window that begins in silence spreads its mark before the sound: it may be twice as loud as the
# window before, and no more.
RISE = 2.0
WHITE_FLOOR = 1e-2  # of the sound's own amplitude: less is silence
KEPT_HZ = 2000  # above it codecs keep less and less of the mark


class SoundMark:
    """Adds one payload's noise to a sound that comes in blocks.

    Args:
        payload: What the mark says.
        sample_rate: In Hz.
    """

    def __init__(self, payload: Payload, sample_rate: int) -> None:
        self._hop = round(HOP_SECONDS * sample_rate)
        self._noise = _mark(payload, sample_rate)
        self._window = np.sqrt(np.hanning(2 * self._hop + 1)[:-1])
        self._widths = _critical_widths(self._hop, sample_rate)
        self._level = _level(self._hop, sample_rate) / self._mean_amplitude()

    def blocks(self, sound: Iterable[SoundBlock]) -> Iterator[SoundBlock]:
        """The sound, float32 [C, S] in blocks of any length, with the mark; as long as before."""
        stream = SoundMarkStream(self)
        for block in sound:
            marked = stream.add(block)
            if marked.shape[1]:
                yield marked
        rest = stream.finish()
        if rest.shape[1]:
            yield rest

    @property
    def hop(self) -> int:
        """Samples from one window to the next: half of a window."""
        return self._hop

    def added(
        self,
        sound: SoundBlock,
        start: int,
        count: int,
        tail: DoubleArray | None,
        previous: DoubleArray | None,
    ) -> tuple[SoundBlock, DoubleArray, DoubleArray]:
        """The mark of `count` hops of sound [C, S], the next hop's first half, and a state."""
        hop = self._hop
        amplitudes = _smooth(np.abs(self._spectra(sound, count)) ** 2, self._widths) ** 0.5
        before = amplitudes[:, :1] if previous is None else previous
        before = np.concatenate([before, amplitudes[:, :-1]], axis=1)
        places = (start + np.arange((count + 1) * hop)) % len(self._noise)
        noise = self._spectra(self._noise[None, places], count)
        shaped = noise * np.minimum(amplitudes, RISE * before) * self._level
        pieces = np.fft.irfft(shaped, 2 * hop, axis=-1) * self._window
        added = pieces[..., :hop].copy()
        added[:, 1:] += pieces[:, :-1, hop:]
        if tail is not None:
            added[:, 0] += tail
        joined = added.reshape(len(sound), count * hop).astype(np.float32)
        return joined, pieces[:, -1, hop:], amplitudes[:, -1:]

    def _spectra(self, sound: NDArray[np.floating], count: int) -> Spectra:
        """Spectra of `count` windows, a hop apart: [C, S] to [C, count, hop + 1]."""
        windows = np.lib.stride_tricks.sliding_window_view(sound, 2 * self._hop, axis=-1)
        return np.fft.rfft(windows[:, :: self._hop][:, :count] * self._window, axis=-1)

    def _mean_amplitude(self) -> float:
        """Mean amplitude of the noise's bins where it has any."""
        count = len(self._noise) // self._hop - 1
        power = (np.abs(self._spectra(self._noise[None], count)) ** 2).mean((0, 1))
        return float(np.sqrt(power[power > power.max() / 4].mean()))


class SoundMarkStream:
    """Marks one sound block by block; what comes out is up to two hops (32 ms) behind."""

    def __init__(self, mark: SoundMark) -> None:
        self._mark = mark
        self._waiting: SoundBlock | None = None  # a hop of silence, then what was not handed out
        self._tail: DoubleArray | None = None
        self._previous: DoubleArray | None = None
        self._start = -mark.hop  # of `_waiting`, in samples of the sound

    def add(self, block: SoundBlock) -> SoundBlock:
        """Take a block, float32 [C, S]; return the complete part, [C, any]."""
        hop = self._mark.hop
        if self._waiting is None:
            self._waiting = np.zeros((len(block), hop), np.float32)
            self._tail = np.zeros((len(block), hop), np.float64)
        waiting = np.concatenate([self._waiting, block], axis=1)
        count = max(waiting.shape[1] // hop - 1, 0)
        self._waiting = waiting[:, count * hop :]
        return self._marked(waiting, waiting[:, : count * hop], count)

    def finish(self) -> SoundBlock:
        """The rest, [C, any]."""
        if self._waiting is None:
            return np.zeros((1, 0), np.float32)
        waiting, hop = self._waiting, self._mark.hop
        padded = np.pad(waiting, ((0, 0), (0, -waiting.shape[1] % hop + hop)))
        return self._marked(padded, waiting, padded.shape[1] // hop - 1)

    def _marked(self, sound: SoundBlock, returned: SoundBlock, count: int) -> SoundBlock:
        """The first of `count` hops of sound, with their mark."""
        if count == 0:
            return returned
        hop = self._mark.hop
        added, self._tail, self._previous = self._mark.added(
            sound, self._start, count, self._tail, self._previous
        )
        marked = returned + added[:, : returned.shape[1]]
        is_first = self._start < 0
        self._start += count * hop
        return marked[:, hop:] if is_first else marked


class SoundDetector:
    """Looks for a mark in a sound of one channel at `DETECTION_RATE`."""

    def __init__(self) -> None:
        self._folded = np.zeros(PERIOD_SECONDS * DETECTION_RATE)

    def add(self, sound: Array) -> None:
        """Take a stretch of sound into account, float32 [S], of some seconds.

        Stretches follow each other, and each begins a whole number of periods after the first.
        """
        period = len(self._folded)
        white = _white(sound.astype(np.float64))
        padded = np.pad(white, (0, -len(white) % period))
        self._folded += padded.reshape(-1, period).sum(0)

    def find(self) -> Finding:
        """The best finding in the sound so far."""
        spectrum = np.fft.rfft(self._folded)
        if not spectrum.any():
            return decide("sound", 0.0, ())
        pilot, *others = (_fit(spectrum, name) for name in _NAMES)
        place = int(pilot.argmax())
        period = len(pilot)
        turns = (place + np.arange(SYMBOL_VALUES) * period // SYMBOL_VALUES) % period
        return decide("sound", float(pilot[place]), [fit[turns] for fit in others])


_NAMES = ("pilot", *(f"symbol {number}" for number in range(SYMBOLS)))


def _carrier(name: str, sample_rate: int, turn: float = 0.0) -> DoubleArray:
    """One period of a noise with a flat spectrum, of power 1, turned by a part of the period."""
    count = PERIOD_SECONDS * sample_rate
    bins = np.arange(LOWEST_HZ * PERIOD_SECONDS, HIGHEST_HZ * PERIOD_SECONDS)
    values = random_phases(f"sound, {name}", len(bins)) * np.exp(-2j * np.pi * bins * turn)
    kept = bins < 0.97 * count / 2
    spectrum = np.zeros(count // 2 + 1, np.complex128)
    spectrum[bins[kept]] = values[kept]
    noise: DoubleArray = np.fft.irfft(spectrum, count)
    return noise / float(noise.std())


def _mark(payload: Payload, sample_rate: int) -> DoubleArray:
    """One period of pilot and symbols, of power 1."""
    mark: DoubleArray = _carrier("pilot", sample_rate) * np.sqrt(PILOT_SHARE)
    for name, symbol in zip(_NAMES[1:], payload.symbols, strict=True):
        turned = _carrier(name, sample_rate, symbol / SYMBOL_VALUES)
        mark = mark + turned * np.sqrt((1.0 - PILOT_SHARE) / SYMBOLS)
    return mark


@cache
def _carrier_spectrum(name: str) -> NDArray[np.complex128]:
    """Conjugate spectrum of a noise, weighted by the band that codecs keep."""
    hertz = np.arange(PERIOD_SECONDS * DETECTION_RATE // 2 + 1) / PERIOD_SECONDS
    spectrum = np.conj(np.fft.rfft(_carrier(name, DETECTION_RATE)))
    return spectrum * np.minimum(1.0, KEPT_HZ / np.maximum(hertz, 1.0))


def _fit(spectrum: NDArray[np.complex128], name: str) -> DoubleArray:
    """The fit of a noise at each place, in standard deviations."""
    fit = np.fft.irfft(spectrum * _carrier_spectrum(name))
    return fit / (fit.std() or 1.0)


def _bark(hertz: DoubleArray) -> DoubleArray:
    """Critical-band rate (Zwicker and Terhardt, 1980)."""
    return 13.0 * np.arctan(0.00076 * hertz) + 3.5 * np.arctan((hertz / 7500.0) ** 2)


def _level(hop: int, sample_rate: int) -> DoubleArray:
    """The mark's amplitude as a part of the sound's, for each bin [hop + 1]."""
    hertz = np.arange(hop + 1) * sample_rate / (2 * hop)
    offset = TONALITY * (TONE_OFFSET_DB + _bark(hertz)) + (1.0 - TONALITY) * NOISE_OFFSET_DB
    is_used = (hertz > LOWEST_HZ - 50) & (hertz < HIGHEST_HZ + 50)
    return np.where(is_used, 10.0 ** (-(offset + MARGIN_DB) / 20.0), 0.0)


def _critical_widths(hop: int, sample_rate: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first bin and the one after the last of the critical band around each bin, [hop + 1]."""
    bins = np.arange(hop + 1)
    per_bin = sample_rate / (2 * hop)
    width = np.maximum(CRITICAL_HZ, CRITICAL_SHARE * bins * per_bin)
    half = np.maximum(1, np.rint(width / 2 / per_bin)).astype(np.intp)
    return np.maximum(bins - half, 0), np.minimum(bins + half + 1, hop + 1)


def _smooth(power: DoubleArray, widths: tuple[NDArray[np.intp], NDArray[np.intp]]) -> DoubleArray:
    """The mean power of the critical band around each bin, [..., bins]."""
    sums = np.cumsum(power, axis=-1)
    sums = np.concatenate([np.zeros_like(sums[..., :1]), sums], axis=-1)
    first, end = widths
    return (sums[..., end] - sums[..., first]) / (end - first)


def _white(sound: DoubleArray) -> DoubleArray:
    """A sound with the same phases and a spectrum that is flat at every moment, [S].

    (The phase transform of Knapp and Carter, "The Generalized Correlation Method", 1976.)
    """
    hop = round(HOP_SECONDS * DETECTION_RATE)
    window = np.sqrt(np.hanning(2 * hop + 1)[:-1])
    padded = np.pad(sound, (hop, -len(sound) % hop + hop))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop]
    spectra = np.fft.rfft(windows * window, axis=-1)
    amplitude = np.abs(spectra)
    spectra /= amplitude + WHITE_FLOOR * np.sqrt((amplitude**2).mean()) + 1e-9
    pieces = np.fft.irfft(spectra, 2 * hop, axis=-1) * window
    white = np.zeros(len(padded))
    white[: len(pieces) * hop] = pieces[:, :hop].ravel()
    white[hop : (len(pieces) + 1) * hop] += pieces[:, hop:].ravel()
    return white[hop : hop + len(sound)]
