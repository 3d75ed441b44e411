"""Do the lips move as the voice sounds? Pure measures on curves at 25 frames a second.

A mouth is float32 [T, 2]: the gap between the lips and the distance of the mouth's corners, in face
heights; NaN where the face was not seen. What a voice asks for is [T, 2] too: opening and width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multitalk.timebase import FPS

Curve = NDArray[np.float32]
Mouth = NDArray[np.float32]
Mask = NDArray[np.bool_]

OPENING, WIDTH = 0, 1
# Width says less than opening, but what it says is independent: with both, a voice that is not the
# person's own is told from the right one more often (measured on real people, docs/evaluation.md).
WEIGHTS = (0.65, 0.35)
MAX_LAG_FRAMES = 12  # how far, 0.48 s, lips are looked for before and after the voice
SPEECH_MARGIN_FRAMES = 8  # 0.32 s before and after speech belong to it: lips part and settle
LISTENING_DISTANCE_FRAMES = 10  # 0.4 s from speech a mouth should be at rest
MIN_LISTENING_FRAMES = FPS
MIN_SPEECH_FRAMES = 36  # margins included; shorter speech cannot be told from another
CLOSED_GAP = 0.012  # face heights: what re-detection sees of closed lips is below
CLOSURE_TOLERANCE_SECONDS = 0.04


class TooLittleSpeech(ValueError):
    """Too few frames of speech, or too few of them in which the face is seen."""


@dataclass(frozen=True)
class LipSync:
    """How one mouth followed one voice.

    Attributes:
        agreement: Pearson's r of what is seen and what the voice asks for, as the video plays;
            the weighted mean of opening and width.
        opening_correlation: r of the opening alone.
        width_correlation: r of the width alone.
        lag_seconds: How late the lips are against the best fit; negative: early.
        best_agreement: The agreement there.
        chance_share: Share of circular shifts of the target that fit as well: what another voice of
            the same rhythm would reach.
        z_score: Agreement above the mean of those shifts, in their standard deviations.
        opening_deviation: Standard deviation of the opening while speaking, in face heights.
        opening_range: Its 5th and 95th percentile.
        speech_seconds: Length of the part that was compared.
        seen_share: Share of its frames in which the face was seen.
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
    """Were the lips closed for m, b and p?

    Attributes:
        moments: How many there were.
        closed_share: In how many of them the measured gap fell under `CLOSED_GAP`.
        chance_share: In how many it would have, had they been anywhere else in the speech.
    """

    moments: int
    closed_share: float
    chance_share: float


def compare_lips(measured: Mouth, target: Mouth, speaking: Mask) -> LipSync:
    """Compare a mouth with what its voice asks for, where that voice speaks.

    Args:
        measured: Opening and width [T, 2] in face heights, NaN where unseen.
        target: Opening and width [T, 2] that the voice asks for, each in any unit.
        speaking: Frames [T] in which the voice is heard.

    Raises:
        TooLittleSpeech: Under 1.4 seconds of speech, margins included, in which the face is seen.
    """
    near = widened(speaking, SPEECH_MARGIN_FRAMES)
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


def compare_closures(
    measured: Curve, moments: Sequence[tuple[float, float]], speaking: Mask
) -> Closures:
    """Count the bilabial moments in which the lips are seen closed.

    Args:
        measured: Opening [T] in face heights, NaN where unseen.
        moments: (start, end) of each m, b and p in seconds.
        speaking: Frames [T] in which the voice is heard.
    """
    windows = [_frames_of(start, end) for start, end in moments]
    closed = _closed_share(measured, windows)
    shifts = range(FPS // 2, max(len(measured) - FPS // 2, FPS // 2 + 1), 5)
    # Only shifted windows that fall into speech count: in a pause the lips may well be closed.
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


def listening_motion(measured: Curve, speaking: Mask) -> float | None:
    """Movement of a mouth while its voice is silent, as a share of its movement in speech.

    Movement is the mean change of the opening from one frame to the next.

    Returns:
        The share, or None with under a second of silence or of speech.
    """
    steps = np.abs(np.diff(measured))
    quiet = (~widened(speaking, LISTENING_DISTANCE_FRAMES))[1:] & ~np.isnan(steps)
    loud = speaking[1:] & ~np.isnan(steps)
    if quiet.sum() < MIN_LISTENING_FRAMES or loud.sum() < MIN_LISTENING_FRAMES:
        return None
    return float(steps[quiet].mean() / max(float(steps[loud].mean()), 1e-6))


def closure_moments(closure: Curve) -> list[tuple[float, float]]:
    """Moments (start, end) in seconds in which a track's `closure` [T] is over one half."""
    edges = np.diff(np.concatenate([[False], closure > 0.5, [False]]).astype(np.int8))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(start / FPS, end / FPS) for start, end in zip(starts, ends, strict=True)]


def widened(mask: Mask, frames: int) -> Mask:
    """True wherever the mask is true at most `frames` away: [T]."""
    reach = np.convolve(mask.astype(np.float32), np.ones(2 * frames + 1, np.float32), "full")
    return reach[frames : frames + len(mask)] > 0.5


def _correlation(first: Curve, second: Curve) -> float:
    """Pearson's r over the frames in which both are known; 0 where one of them is constant."""
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
    """Compare the target where it speaks with the mouth `lag` frames later."""
    frames = np.flatnonzero(near)
    frames = frames[(frames + lag >= 0) & (frames + lag < len(measured))]
    return _agreement(measured[frames + lag], target[frames])


def _peak(lags: NDArray[np.int_], correlations: NDArray[np.float64]) -> tuple[float, float]:
    """Place, in fractions of a frame, and height of the highest value, by a parabola."""
    top = int(correlations.argmax())
    if top in (0, len(lags) - 1):
        return float(lags[top]), float(correlations[top])
    before, peak, after = correlations[top - 1 : top + 2]
    bend = before - 2 * peak + after
    step = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(lags[top] + step), float(peak - 0.25 * (before - after) * step)


def _frames_of(start: float, end: float) -> tuple[int, int]:
    """First frame, and the one after the last, whose middle is within the tolerance of a moment."""
    first = int(np.ceil((start - CLOSURE_TOLERANCE_SECONDS) * FPS - 0.5))
    last = int(np.floor((end + CLOSURE_TOLERANCE_SECONDS) * FPS - 0.5))
    return first, max(last, first) + 1


def _closed_share(measured: Curve, windows: Sequence[tuple[int, int]]) -> float:
    gaps = [measured[max(first, 0) : max(last, 0)] for first, last in windows]
    seen = [gap[~np.isnan(gap)] for gap in gaps]
    lowest = [float(gap.min()) for gap in seen if len(gap)]
    return sum(gap < CLOSED_GAP for gap in lowest) / len(lowest) if lowest else 0.0


def _inside(mask: Mask, frame: int) -> bool:
    return 0 <= frame < len(mask) and bool(mask[frame])
