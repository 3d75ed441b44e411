"""How high a voice is: the frequency at which its vocal folds open and close."""

import numpy as np

LOWEST, HIGHEST = 50, 500  # Hz
WINDOW_SECONDS, STEP_SECONDS = 0.04, 0.01
VOICED = 0.8  # correlation of a window with itself one period later


def median_hertz(samples: np.ndarray, sample_rate: int) -> float:
    """The median over the voiced windows; nan where there are none.

    The shortest lag at which a window looks like itself again, as Boersma, Accurate short-term
    analysis of the fundamental frequency, 1993, but by the normalised cross-correlation.
    """
    width = round(WINDOW_SECONDS * sample_rate)
    shortest, longest = sample_rate // HIGHEST, sample_rate // LOWEST
    found = []
    for start in range(0, len(samples) - width - longest, round(STEP_SECONDS * sample_rate)):
        piece = samples[start : start + width + longest].astype(np.float64)
        window = piece[:width] - piece[:width].mean()
        energy = window @ window
        if energy < 1e-3 * width:
            continue
        sums = np.concatenate([[0.0], np.cumsum(piece**2)])
        energies = np.maximum(sums[width:] - sums[:-width], 1e-9)  # from each lag on
        likeness = np.correlate(piece, window) / np.sqrt(energy * energies)
        inner = likeness[shortest:]
        peaks = (inner[1:-1] > inner[:-2]) & (inner[1:-1] >= inner[2:])
        peaks &= (inner[1:-1] > 0.93 * inner.max()) & (inner.max() > VOICED)
        if peaks.any():
            found.append(sample_rate / (np.argmax(peaks) + 1 + shortest))
    return float(np.median(found)) if found else float("nan")
