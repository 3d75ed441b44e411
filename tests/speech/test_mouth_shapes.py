"""Mouth shapes, blend shapes and frame rates of a track."""

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest

from multitalk.schema import SpokenText
from multitalk.speech.mouth_shapes import ARKIT_SHAPES, WIDE_JAW, blend_shapes, mouth_cues
from multitalk.speech.narration import narrate
from multitalk.speech.phonemes import VISEMES, visemes_of_ipa
from multitalk.speech.viseme_track import VisemeTrack, resample_track
from multitalk.speech.visemes import analyse_speech

TEXT = "Papa may buy a big map. We choose two blue shoes for you. Five fine leaves fall far away."
# What Rhubarb's README and rules have for the classes of sounds whose shape does not depend on
# their neighbours.
EXPECTED = {"PBM": "A", "FV": "G", "U": "EF", "W": "EF", "S": "B", "A": "CD", "O": "EF"}


def track_of(num_frames: int = 1, **curves: float | list[float]) -> VisemeTrack:
    """A track of somebody who speaks, with constant curves or these."""
    given = {field.name: np.zeros(num_frames, np.float32) for field in fields(VisemeTrack)}
    given["activity"] += 1
    for name, curve in curves.items():
        given[name] = np.broadcast_to(np.asarray(curve, np.float32), num_frames).copy()
    return VisemeTrack(**given)


def shape_of(**curves: float) -> str:
    (cue,) = mouth_cues(track_of(4, **curves))
    return cue.shape


# Mouth shapes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "curves"),
    [
        ("X", {"activity": 0.0}),
        ("A", {"closure": 1.0, "opening": 0.08}),
        ("A", {"closure": 1.0, "activity": 0.2}),
        ("B", {"opening": 0.048, "teeth": 0.4}),
        ("B", {"opening": 0.056, "teeth": 0.9, "width": 0.4}),
        ("C", {"opening": 0.08}),
        ("D", {"opening": 0.144}),
        ("E", {"opening": 0.064, "rounding": 0.6}),
        ("F", {"opening": 0.032, "rounding": 0.9}),
        ("G", {"opening": 0.016, "labiodental": 1.0}),
        ("H", {"opening": 0.08, "tongue": 0.9}),
    ],
)
def test_each_shape_has_its_mouth(shape: str, curves: dict[str, float]) -> None:
    assert shape_of(**curves) == shape


@pytest.mark.parametrize(
    ("extended", "shown"),
    [("GHX", "XGH"), ("G", "AGC"), ("HX", "XAH"), ("", "AAC")],
)
def test_shapes_that_nobody_draws_are_replaced(extended: str, shown: str) -> None:
    thirds = [np.repeat([on == third for third in range(3)], 4) for on in range(3)]
    track = track_of(
        12,
        activity=1.0 - thirds[0],  # type: ignore[arg-type]
        labiodental=thirds[1] * 1.0,  # type: ignore[arg-type]
        tongue=thirds[2] * 1.0,  # type: ignore[arg-type]
        opening=thirds[2] * 0.08,  # type: ignore[arg-type]
    )
    shapes = [cue.shape for cue in mouth_cues(track, extended=extended)]
    assert "".join(shapes) == "".join(dict.fromkeys(shown))


def test_cues_follow_each_other_without_gaps_and_change_the_shape() -> None:
    generator = np.random.default_rng(1)
    track = track_of(300, opening=list(generator.uniform(0, 0.16, 300)))
    cues = mouth_cues(track)
    assert cues[0].start == 0
    assert cues[-1].end == 300
    for before, after in pairwise(cues):
        assert before.end == after.start
        assert before.shape != after.shape
    assert mouth_cues(track[:0]) == ()


def test_a_shape_of_one_frame_does_not_flash_but_a_closure_stays() -> None:
    opening = [0.14] * 5 + [0.08] + [0.14] * 5
    assert [cue.shape for cue in mouth_cues(track_of(11, opening=opening))] == ["D"]
    closure = [0.0] * 5 + [1.0] + [0.0] * 5
    cues = mouth_cues(track_of(11, opening=0.144, closure=closure))
    assert [(cue.shape, cue.start, cue.end) for cue in cues] == [
        ("D", 0, 5), ("A", 5, 6), ("D", 6, 11),
    ]  # fmt: skip


@pytest.mark.parametrize("fps", [12.0, 25.0, 60.0])
def test_spoken_sounds_show_the_shapes_that_animators_draw_for_them(fps: float) -> None:
    speech = narrate([SpokenText(text=TEXT, language="en", voice=None)], field="text")
    seconds = np.arange(round(len(speech.samples) * 16_000 / speech.sample_rate)) / 16_000
    times = np.arange(len(speech.samples)) / speech.sample_rate
    samples = np.interp(seconds, times, speech.samples).astype(np.float32)
    samples *= 0.1 / np.sqrt(np.mean(samples**2))
    cues = mouth_cues(resample_track(analyse_speech(samples), fps), fps=fps)
    right = total = 0
    for sound in speech.phonemes:
        viseme = visemes_of_ipa(sound.ipa)
        expected = EXPECTED.get(VISEMES[viseme[0]]) if len(viseme) == 1 else None
        if expected is None:
            continue
        during = {
            cue.shape
            for cue in cues
            if cue.start < sound.end_seconds * fps and cue.end > sound.start_seconds * fps
        }
        total += 1
        right += bool(during & set(expected))
    assert total > 25
    assert right / total > 0.9
    assert cues[0].shape == cues[-1].shape == "X"
    for before, cue in pairwise(cues):  # between two closures the lips may part for a moment
        if before.shape not in "AGX" and cue.shape not in "AG":
            assert cue.end - cue.start >= 0.07 * fps


# Blend shapes -----------------------------------------------------------------------------------


def test_there_are_the_fifty_two_of_arkit_and_no_others_move() -> None:
    assert len(set(ARKIT_SHAPES)) == 52
    moved = blend_shapes(track_of(opening=0.08))
    assert set(moved) <= set(ARKIT_SHAPES)
    assert all(curve.dtype == np.float32 for curve in moved.values())


def test_a_wide_a_opens_the_jaw_and_lips_at_rest_move_nothing() -> None:
    assert blend_shapes(track_of(opening=0.165))["jawOpen"] == pytest.approx(WIDE_JAW)
    assert all(curve.max() == 0 for curve in blend_shapes(track_of(opening=0)).values())


def test_sealed_lips_close_as_far_as_the_jaw_is_open() -> None:
    sealed = blend_shapes(track_of(opening=0.096, closure=1.0))
    assert sealed["mouthClose"] == sealed["jawOpen"] > 0.3
    assert blend_shapes(track_of(opening=0.096))["mouthClose"] == 0


def test_rounded_lips_are_a_pucker_while_closed_and_a_funnel_while_open() -> None:
    oo = blend_shapes(track_of(opening=0.024, rounding=0.9))
    oh = blend_shapes(track_of(opening=0.08, rounding=0.9))
    assert oo["mouthPucker"] > 2 * oo["mouthFunnel"]
    assert oh["mouthFunnel"] > 2 * oh["mouthPucker"]


def test_corners_are_stretched_by_width_only_outwards() -> None:
    assert blend_shapes(track_of(width=1.0))["mouthStretchLeft"] > 0.5
    assert blend_shapes(track_of(width=-1.0))["mouthStretchRight"] == 0


@pytest.mark.parametrize("value", [-3.0, 0.0, 0.5, 3.0])
def test_coefficients_stay_between_0_and_1(value: float) -> None:
    track = track_of(**{field.name: value for field in fields(VisemeTrack)})
    for curve in blend_shapes(track).values():
        assert 0 <= curve[0] <= 1


# Frame rates ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [1.0, 12.0, 23.976, 24.0, 29.97, 30.0, 50.0, 60.0, 240.0])
def test_another_rate_has_the_same_length_and_movement(fps: float) -> None:
    frames = np.arange(250)
    track = track_of(250, opening=list(0.05 + 0.04 * np.sin(frames / 25)))
    sampled = resample_track(track, fps)
    assert (len(sampled) - 1) / fps < 10 <= len(sampled) / fps + 1e-6
    middles = (np.arange(len(sampled)) + 0.5) / fps
    inside = (middles > 0.1) & (middles < 9.9)
    expected = 0.05 + 0.04 * np.sin((middles * 25 - 0.5) / 25)
    assert np.abs(sampled.opening - expected)[inside].max() < 1e-3


def test_the_rate_of_our_videos_changes_nothing() -> None:
    track = track_of(7, opening=0.048)
    assert resample_track(track, 25.0) is track


@pytest.mark.parametrize("fps", [6.0, 10.0, 12.0, 24.0])
def test_no_closure_is_lost_at_a_lower_rate(fps: float) -> None:
    for frame in range(50):
        closure = [0.0] * 50
        closure[frame] = 1.0
        assert resample_track(track_of(50, closure=closure), fps).closure.max() == 1
