"""Right lips pass; late, frozen and foreign ones do not. On curves, without pictures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multitalk.evaluation.lipsync import (
    MAX_OFFSET_FRAMES,
    LipSync,
    TooLittleSpeech,
    closure_moments,
    compare_closures,
    compare_lips,
    dilate,
    find_offset,
    listening_motion,
)
from multitalk.evaluation.report import (
    MAX_CHANCE,
    MAX_LAG_SECONDS,
    MIN_AGREEMENT,
    MIN_OPENING_DEVIATION,
)
from multitalk.evaluation.voices import mouth_of
from multitalk.speech.synthesis import PhonemeTiming, phoneme_track
from multitalk.timebase import FPS

PHONES = ("m", "a", "s", "i", "b", "o", "t", "u", "p", "e", "k", "ə", "n", "f", "aɪ", "")


NOISE = 0.006  # face heights: half as much again as what re-detection adds


def sentence(seed: int, *, seconds: float = 8.0) -> tuple[PhonemeTiming, ...]:
    rng = np.random.default_rng(seed)
    phonemes, now = [], 0.0
    while now < seconds:
        length = float(rng.uniform(0.05, 0.18))
        phonemes.append(PhonemeTiming(now, now + length, str(rng.choice(PHONES))))
        now += length
    return tuple(phonemes)


def voice(seed: int, *, seconds: float = 8.0) -> tuple[np.ndarray, np.ndarray]:
    track = phoneme_track(sentence(seed, seconds=seconds), int(seconds * FPS))
    return mouth_of(track), track.activity > 0.5


def seen(mouth: np.ndarray, *, seed: int = 0, gain: float = 0.7) -> np.ndarray:
    """A mouth as it is re-detected: smaller movement, its own rest and width, noise."""
    noise = np.random.default_rng(seed).normal(size=mouth.shape) * (NOISE, NOISE)
    measured = mouth * (gain, 0.02) + (0.004, 0.3) + noise
    return measured.astype(np.float32)


def is_right(sync: LipSync) -> bool:
    return (
        sync.agreement >= MIN_AGREEMENT
        and sync.chance_share <= MAX_CHANCE
        and abs(sync.lag_seconds) <= MAX_LAG_SECONDS
        and sync.opening_deviation >= MIN_OPENING_DEVIATION
    )


@pytest.mark.parametrize("seed", range(8))
def test_lips_that_follow_their_voice_are_right(seed: int) -> None:
    target, speaking = voice(seed)
    sync = compare_lips(seen(target, seed=seed), target, speaking)
    assert is_right(sync)
    assert sync.agreement > 0.6
    assert sync.chance_share == 0
    assert abs(sync.lag_seconds) < 0.01


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("late_frames", [-5, 5])
def test_lips_200_ms_off_are_wrong_and_the_lag_is_told(seed: int, late_frames: int) -> None:
    target, speaking = voice(seed)
    sync = compare_lips(np.roll(seen(target, seed=seed), late_frames, axis=0), target, speaking)
    assert not is_right(sync)
    assert sync.lag_seconds == pytest.approx(late_frames / FPS, abs=0.01)


@given(late=st.floats(-2.0, 2.0), seed=st.integers(0, 20))
@settings(max_examples=25, deadline=None)
def test_the_lag_is_found_to_a_fifth_of_a_frame(late: float, seed: int) -> None:
    target, speaking = voice(seed)
    frames = np.arange(len(target))
    moved = np.stack([np.interp(frames - late, frames, curve) for curve in target.T], axis=1)
    sync = compare_lips(moved.astype(np.float32), target, speaking)
    assert sync.lag_seconds * FPS == pytest.approx(late, abs=0.2)


def test_the_lips_of_another_voice_are_wrong() -> None:
    wrong = 0
    for seed in range(20):
        target, speaking = voice(seed)
        other, _ = voice(seed + 100)
        wrong += not is_right(compare_lips(seen(other, seed=seed), target, speaking))
    assert wrong == 20


def test_chance_keeps_its_promise() -> None:
    """Of foreign voices, about the share that the threshold says fits no worse than chance."""
    shares = []
    for seed in range(60):
        target, speaking = voice(seed)
        other, _ = voice(seed + 1000)
        shares.append(compare_lips(seen(other), target, speaking).chance_share)
    assert np.mean(np.array(shares) <= 0.1) < 0.25
    assert 0.35 < np.median(shares) < 0.65


def test_a_frozen_mouth_is_wrong_however_noisy_its_detection() -> None:
    target, speaking = voice(0)
    sync = compare_lips(seen(np.zeros_like(target)), target, speaking)
    assert sync.opening_deviation < MIN_OPENING_DEVIATION
    assert not is_right(sync)


def test_a_constant_mouth_has_no_correlation_and_no_warning() -> None:
    target, speaking = voice(0)
    sync = compare_lips(np.full_like(target, 0.01), target, speaking)
    assert sync.agreement == 0
    assert sync.chance_share == 1


def test_frames_without_a_face_do_not_count() -> None:
    target, speaking = voice(3)
    mouth = seen(target)
    mouth[40:60] = np.nan
    sync = compare_lips(mouth, target, speaking)
    assert is_right(sync)
    assert sync.seen_share == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("spoken_frames", [0, 10])
def test_too_little_speech_is_not_judged(spoken_frames: int) -> None:
    target, _ = voice(0)
    speaking = np.zeros(len(target), bool)
    speaking[50 : 50 + spoken_frames] = True
    with pytest.raises(TooLittleSpeech):
        compare_lips(seen(target), target, speaking)
    with pytest.raises(TooLittleSpeech):
        compare_lips(np.full_like(target, np.nan), target, np.ones(len(target), bool))


def test_closed_lips_are_counted_where_they_should_close() -> None:
    gap = np.full(100, 0.05, np.float32)
    gap[[10, 11, 50]] = 0.005
    moments = [(10 / FPS, 12 / FPS), (50 / FPS, 51 / FPS), (80 / FPS, 82 / FPS), (3.9, 4.5)]
    closures = compare_closures(gap, moments, np.ones(100, bool))
    assert closures.moments == 4
    assert closures.closed_share == 0.5
    assert closures.chance_share < 0.2


def test_lips_that_are_late_close_as_late() -> None:
    moments = [(one, one + 0.08) for one in np.arange(1.0, 7.0, 0.6)]
    mouth = np.full(200, 0.05, np.float32)
    for start, _ in moments:
        mouth[round((start + 0.12) * FPS)] = 0.0
    speaking = np.ones(200, bool)
    assert compare_closures(mouth, moments, speaking, lag_seconds=0.1).closed_share == 1
    assert compare_closures(mouth, moments, speaking, lag_seconds=-0.1).closed_share == 0


def test_an_open_mouth_closes_for_nothing_and_no_moments_are_no_share() -> None:
    gap = np.full(100, 0.05, np.float32)
    assert compare_closures(gap, [(1.0, 1.1)], np.ones(100, bool)).closed_share == 0
    assert compare_closures(gap, [], np.ones(100, bool)).moments == 0


def test_moments_of_closure_are_the_runs_over_one_half() -> None:
    closure = np.array([0.9, 0.2, 0.6, 0.7, 0.5, 1.0], np.float32)
    assert closure_moments(closure) == [(0, 1 / FPS), (2 / FPS, 4 / FPS), (5 / FPS, 6 / FPS)]


def test_a_listener_at_rest_moves_less_than_when_speaking() -> None:
    target, _ = voice(1, seconds=8)
    speaking = np.arange(200) < 120
    quiet, restless = seen(target)[:, 0], seen(target)[:, 0]
    quiet[120:] = 0.004
    for mouth, expected in ((quiet, True), (restless, False)):
        share = listening_motion(mouth, speaking)
        assert share is not None
        assert (share < 0.6) == expected
    assert listening_motion(quiet, np.ones(200, bool)) is None


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 6))
def test_widened_is_true_near_the_true(values: list[bool], frames: int) -> None:
    mask = np.array(values)
    slow = [mask[max(i - frames, 0) : i + frames + 1].any() for i in range(len(mask))]
    assert dilate(mask, frames).tolist() == slow


SPEAKING = np.ones(200, bool)


def asked_for(seed: int) -> np.ndarray:
    """Opening and width [200, 2] of eight seconds of random sounds."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.06, 0.18, 120))
    sounds = rng.choice(["m", "a", "s", "i", "o", "u", "k", "f", ""], 119)
    spoken = zip(times, times[1:], sounds, strict=False)
    phonemes = tuple(PhonemeTiming(float(a), float(b), str(ipa)) for a, b, ipa in spoken)
    return mouth_of(phoneme_track(phonemes, len(SPEAKING)))


def as_seen(mouth: np.ndarray, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=mouth.shape)
    return (mouth * (0.7, 0.02) + (0.004, 0.3) + noise * 0.004).astype(np.float32)


@given(late=st.integers(-12, 12), seed=st.integers(0, 20))
def test_the_offset_is_how_late_the_lips_are(late: int, seed: int) -> None:
    target = asked_for(seed)
    found = find_offset(np.roll(as_seen(target), late, axis=0), target, SPEAKING)
    assert found is not None
    assert found.offset_frames == late
    assert found.confidence > 0.3


def test_confidence_is_lower_for_another_voice_and_nothing_for_a_frozen_mouth() -> None:
    right, wrong = [], []
    for seed in range(10):
        target = asked_for(seed)
        for mouth, found in ((target, right), (asked_for(seed + 100), wrong)):
            offset = find_offset(as_seen(mouth), target, SPEAKING)
            assert offset is not None
            found.append(offset.confidence)
    assert min(right) > 1.5 * max(wrong)
    frozen = find_offset(np.full_like(target, 0.01), target, SPEAKING)
    assert frozen is not None
    assert frozen.confidence < 0.1


def test_unseen_frames_do_not_count_and_too_little_is_no_offset() -> None:
    target = asked_for(1)
    mouth = as_seen(target)
    mouth[60:90] = np.nan
    found = find_offset(mouth, target, SPEAKING)
    assert found is not None
    assert found.offset_frames == 0
    short = FPS + MAX_OFFSET_FRAMES
    assert find_offset(mouth[:short], target[:short], SPEAKING[:short]) is None
    assert find_offset(np.full_like(mouth, np.nan), target, SPEAKING) is None
    assert find_offset(mouth, target, ~SPEAKING) is None
