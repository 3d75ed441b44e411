"""Lip sync: measures of a mouth against its voice, on curves at 25 fps.

A mouth is float32 [T, 2]: the lip gap and the distance of the mouth's corners, in face heights, NaN
without a face. The target that a voice defines has the same columns, opening and width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multitalk.timebase import FPS

MouthCurve = NDArray[np.float32]
Mouth = NDArray[np.float32]
Mask = NDArray[np.bool_]

OPENING, WIDTH = 0, 1
# Of opening and width. Width correlates less but independently: both together separate a wrong
# voice from the right one more often (measured on real people, docs/evaluation.md).
WEIGHTS = (0.65, 0.35)
MAX_LAG_FRAMES = 12  # 0.48 s: searched lags, each way
SPEECH_MARGIN_FRAMES = 8  # 0.32 s around speech in which lips part and settle
LISTENING_DISTANCE_FRAMES = 10  # 0.4 s from speech, where a mouth should be at rest
MIN_LISTENING_FRAMES = FPS
MIN_SPEECH_FRAMES = 36  # margins included; shorter speech is not distinctive
CLOSED_GAP = 0.012  # face heights; detected gaps of closed lips are below it
CLOSURE_TOLERANCE_SECONDS = 0.04
CHANCE_STEP_FRAMES = 5  # between the shifts of closures that estimate chance

WINDOW_FRAMES = 5  # 0.2 s, as in SyncNet
MAX_OFFSET_FRAMES = 15  # 0.6 s, as in SyncNet
MIN_WINDOWS = FPS  # at each lag


class TooLittleSpeech(ValueError):
    """Too few frames with speech and a visible face."""


@dataclass(frozen=True)
class LipSync:
    """Measurements of a mouth against its voice.

    Attributes:
        agreement: Pearson's r of mouth and target at lag 0; weighted mean of opening and width.
        opening_correlation: r of the opening.
        width_correlation: r of the width.
        lag_seconds: Lag of the lips with the best agreement; negative is early.
        best_agreement: The agreement there.
        chance_share: Share of circular shifts of the target with at least this agreement: what
            another voice of the same rhythm would reach.
        z_score: Agreement minus the mean over those shifts, in their standard deviations.
        opening_deviation: Standard deviation of the opening while speaking, face heights.
        opening_range: 5th and 95th percentile of the opening, face heights.
        speech_seconds: Length of the compared part.
        seen_share: Share of its frames with a face.
    """

    agreement: float
    opening_correlation: float
    width_correlation: float
    lag_seconds: float
    best_agreement: float
    chance_share: float
    z_score: float
    opening_deviation: float
    opening_range: tuple[float, float]
    speech_seconds: float
    seen_share: float


@dataclass(frozen=True)
class Closures:
    """Lip closures in m, b and p.

    Attributes:
        moments: Number of m, b and p.
        closed_share: Share of them with a measured gap under `CLOSED_GAP`, at the lips' own lag.
        chance_share: The same share at shifted times within the speech.
    """

    moments: int
    closed_share: float
    chance_share: float


@dataclass(frozen=True)
class AudioVisualOffset:
    """Offset of picture and sound in the manner of SyncNet, on curves instead of embeddings.

    J. S. Chung, A. Zisserman, "Out of time: automated lip sync in the wild", 2016: windows of 0.2 s
    of picture and sound are compared at each lag. Distances here are between opening and width,
    measured and expected, each in its own standard deviations: not comparable with published
    LSE-D and LSE-C values.

    Attributes:
        offset_frames: Lag of the lips at the least distance, frames; negative is early.
        confidence: Median distance over the lags minus the least; about 0 where nothing fits.
        distance: The least distance.
    """

    offset_frames: int
    confidence: float
    distance: float


def compare_lips(measured: Mouth, target: Mouth, speaking: Mask) -> LipSync:
    """Compare a mouth with its target where the voice speaks.

    Args:
        measured: Opening and width [T, 2], NaN without a face.
        target: Expected opening and width [T, 2], any units.
        speaking: Frames [T] with the voice.

    Raises:
        TooLittleSpeech: Under 1.4 s of speech, margins included, with a visible face.
    """
    near = dilate(speaking, SPEECH_MARGIN_FRAMES)
    seen = ~np.isnan(measured[:, OPENING])
    if (near & seen).sum() < MIN_SPEECH_FRAMES:
        raise TooLittleSpeech
    here, there = measured[near], target[near]
    lags = np.arange(-MAX_LAG_FRAMES, MAX_LAG_FRAMES + 1)
    by_lag = np.array([_agreement_at_lag(measured, target, near, int(lag)) for lag in lags])
    lag, best = _peak(lags, by_lag)
    agreement = float(by_lag[MAX_LAG_FRAMES])
    shifts = range(MAX_LAG_FRAMES, len(there) - MAX_LAG_FRAMES)
    by_chance = np.array([_agreement(here, np.roll(there, shift, axis=0)) for shift in shifts])
    visible = here[~np.isnan(here[:, OPENING]), OPENING]
    low, high = np.percentile(visible, (5, 95))
    return LipSync(
        agreement=agreement,
        opening_correlation=_correlation(here[:, OPENING], there[:, OPENING]),
        width_correlation=_correlation(here[:, WIDTH], there[:, WIDTH]),
        lag_seconds=lag / FPS,
        best_agreement=best,
        chance_share=float((by_chance >= agreement).mean()),
        z_score=float((agreement - by_chance.mean()) / max(float(by_chance.std()), 1e-6)),
        opening_deviation=float(visible.std()),
        opening_range=(float(low), float(high)),
        speech_seconds=len(here) / FPS,
        seen_share=len(visible) / len(here),
    )


def find_offset(measured: Mouth, target: Mouth, speaking: Mask) -> AudioVisualOffset | None:
    """Find the lag, up to 15 frames each way, with the least distance of mouth and target.

    Args:
        measured: Opening and width [T, 2], NaN without a face.
        target: Expected opening and width [T, 2].
        speaking: Frames [T] with the voice.

    Returns:
        The offset; None where a lag has under a second to compare.
    """
    near = dilate(speaking, SPEECH_MARGIN_FRAMES)
    seen = near & ~np.isnan(measured[:, OPENING])
    if not seen.any():
        return None
    picture = _windows(_normalised(measured, seen))  # [T - 4, 10]
    sound = _windows(_normalised(target, near))
    starts = np.flatnonzero(near[: len(sound)])
    lags = range(-MAX_OFFSET_FRAMES, MAX_OFFSET_FRAMES + 1)
    distances = [_distance(picture, sound, starts, lag) for lag in lags]
    if np.isnan(distances).any():
        return None
    least = int(np.argmin(distances))
    return AudioVisualOffset(
        offset_frames=lags[least],
        confidence=float(np.median(distances) - distances[least]),
        distance=distances[least],
    )


def compare_closures(
    measured: MouthCurve,
    moments: Sequence[tuple[float, float]],
    speaking: Mask,
    *,
    lag_seconds: float = 0.0,
) -> Closures:
    """Count the bilabials with closed lips.

    Args:
        measured: Opening [T], face heights, NaN without a face.
        moments: (start, end) of each m, b and p, seconds.
        speaking: Frames [T] with the voice.
        lag_seconds: Of the lips; negative is early.
    """
    windows = [_frames_of(start + lag_seconds, end + lag_seconds) for start, end in moments]
    closed = _closed_share(measured, windows)
    shifts = range(FPS // 2, max(len(measured) - FPS // 2, FPS // 2 + 1), CHANCE_STEP_FRAMES)
    # Only shifts into speech count: in a pause the lips may well be closed.
    elsewhere = [
        [
            (first + shift, last + shift)
            for first, last in windows
            if _inside(speaking, first + shift)
        ]
        for shift in (*shifts, *(-shift for shift in shifts))
    ]
    by_chance = [_closed_share(measured, moved) for moved in elsewhere if moved]
    return Closures(
        moments=len(moments),
        closed_share=closed,
        chance_share=float(np.mean(by_chance)) if by_chance else 0.0,
    )


def listening_motion(measured: MouthCurve, speaking: Mask) -> float | None:
    """Mean frame-to-frame change of the opening in silence, as a share of that in speech.

    Returns:
        The share; None with under a second of silence or of speech.
    """
    steps = np.abs(np.diff(measured))
    quiet = (~dilate(speaking, LISTENING_DISTANCE_FRAMES))[1:] & ~np.isnan(steps)
    loud = speaking[1:] & ~np.isnan(steps)
    if quiet.sum() < MIN_LISTENING_FRAMES or loud.sum() < MIN_LISTENING_FRAMES:
        return None
    return float(steps[quiet].mean() / max(float(steps[loud].mean()), 1e-6))


def closure_moments(closure: MouthCurve) -> list[tuple[float, float]]:
    """(start, end) in seconds of each run in which `closure` [T] exceeds one half."""
    edges = np.diff(np.concatenate([[False], closure > 0.5, [False]]).astype(np.int8))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(start / FPS, end / FPS) for start, end in zip(starts, ends, strict=True)]


def dilate(mask: Mask, frames: int) -> Mask:
    """Binary dilation of a mask [T] by `frames` on both sides."""
    reach = np.convolve(mask.astype(np.float32), np.ones(2 * frames + 1, np.float32), "full")
    return reach[frames : frames + len(mask)] > 0.5


def _correlation(first: MouthCurve, second: MouthCurve) -> float:
    """Pearson's r over the frames without NaN; 0 where a curve is constant."""
    known = ~(np.isnan(first) | np.isnan(second))
    a, b = first[known].astype(np.float64), second[known].astype(np.float64)
    if len(a) < 3:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 1e-12 else 0.0


def _agreement(measured: Mouth, target: Mouth) -> float:
    return sum(
        weight * _correlation(measured[:, curve], target[:, curve])
        for curve, weight in enumerate(WEIGHTS)
    )


def _agreement_at_lag(measured: Mouth, target: Mouth, near: Mask, lag: int) -> float:
    """Agreement of the target in speech with the mouth `lag` frames later."""
    frames = np.flatnonzero(near)
    frames = frames[(frames + lag >= 0) & (frames + lag < len(measured))]
    return _agreement(measured[frames + lag], target[frames])


def _peak(lags: NDArray[np.int_], correlations: NDArray[np.float64]) -> tuple[float, float]:
    """Lag and value of the maximum, refined by a parabola through three samples."""
    top = int(correlations.argmax())
    if top in (0, len(lags) - 1):
        return float(lags[top]), float(correlations[top])
    before, peak, after = correlations[top - 1 : top + 2]
    bend = before - 2 * peak + after
    step = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(lags[top] + step), float(peak - 0.25 * (before - after) * step)


def _frames_of(start: float, end: float) -> tuple[int, int]:
    """Frames [first, last) whose centres are within the tolerance of a moment."""
    first = int(np.ceil((start - CLOSURE_TOLERANCE_SECONDS) * FPS - 0.5))
    last = int(np.floor((end + CLOSURE_TOLERANCE_SECONDS) * FPS - 0.5))
    return first, max(last, first) + 1


def _closed_share(measured: MouthCurve, windows: Sequence[tuple[int, int]]) -> float:
    gaps = [measured[max(first, 0) : max(last, 0)] for first, last in windows]
    seen = [gap[~np.isnan(gap)] for gap in gaps]
    lowest = [float(gap.min()) for gap in seen if len(gap)]
    return sum(gap < CLOSED_GAP for gap in lowest) / len(lowest) if lowest else 0.0


def _inside(mask: Mask, frame: int) -> bool:
    return 0 <= frame < len(mask) and bool(mask[frame])


def _normalised(curves: Mouth, where: Mask) -> NDArray[np.float64]:
    """Curves [T, 2], standardised by mean and deviation of the frames `where`."""
    known = curves[where].astype(np.float64)
    deviation = known.std(axis=0)
    return np.asarray((curves - known.mean(axis=0)) / np.where(deviation > 1e-6, deviation, 1.0))


def _windows(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """All windows of `WINDOW_FRAMES` frames, by first frame: [T - 4, 10]."""
    count = max(len(curves) - WINDOW_FRAMES + 1, 0)
    parts = [curves[first : first + count] for first in range(WINDOW_FRAMES)]
    return np.concatenate(parts, axis=1)


def _distance(
    picture: NDArray[np.float64],
    sound: NDArray[np.float64],
    starts: NDArray[np.int_],
    lag: int,
) -> float:
    """Median RMS distance of the sound's windows to the picture's `lag` frames later."""
    inside = starts[(starts + lag >= 0) & (starts + lag < len(picture))]
    gaps = np.sqrt(((picture[inside + lag] - sound[inside]) ** 2).mean(axis=1))
    gaps = gaps[~np.isnan(gaps)]
    return float(np.median(gaps)) if len(gaps) >= MIN_WINDOWS else float("nan")
