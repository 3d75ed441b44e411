"""A voice without an end: its mouth does not depend on how long it has been speaking."""

from functools import cache

import numpy as np
import pytest

from multitalk.array_types import Array
from multitalk.speech.live_visemes import KEPT_FEATURES, KEPT_STEPS, PAST_STEPS, LiveVisemes
from multitalk.speech.synthesis import synthesize
from multitalk.speech.viseme_network import shipped_weights
from multitalk.speech.viseme_stream import LONGEST_STREAM
from multitalk.speech.viseme_track import STEPS_PER_FRAME, VisemeTrack
from multitalk.speech.visemes import analyse_speech
from multitalk.timebase import SAMPLES_PER_FRAME

AHEAD = 4
# Frames after which the network begins again. A sound of this length is the same for it each time.
ROUND = (LONGEST_STREAM - PAST_STEPS) // STEPS_PER_FRAME


@cache
def loop() -> Array:
    """A sentence that goes on for one round, as blocks [ROUND, 640]."""
    pytest.importorskip("espeakng_loader")
    speech = synthesize("Maybe my brother bought five purple umbrellas before the summer rain.")
    return np.resize(speech.resampled(16_000), (ROUND, SAMPLES_PER_FRAME))


def live_track(visemes: LiveVisemes, blocks: Array, *, ahead: int = AHEAD) -> VisemeTrack:
    """Of the frames whose future these blocks are."""
    found = []
    for index, block in enumerate(blocks):
        visemes.append(block)
        if index >= ahead:
            found.append(visemes.frame(index - ahead))
    return VisemeTrack.concatenate(found)


@cache
def four_rounds() -> tuple[LiveVisemes, Array]:
    """The end of a voice of four rounds, and the openings of its frames."""
    visemes = LiveVisemes()
    return visemes, live_track(visemes, np.concatenate([loop()] * 4)).opening


def test_the_mouth_does_not_depend_on_how_long_the_voice_has_been_speaking() -> None:
    visemes, found = four_rounds()
    third, fourth = found[-2 * ROUND : -ROUND], found[-ROUND:]
    assert np.abs(fourth - third).max() < 0.1 * fourth.max()
    assert np.corrcoef(fourth, third)[0, 1] > 0.999
    assert len(visemes._energies) == KEPT_FEATURES
    assert len(visemes._steps) == KEPT_STEPS


def test_beginning_again_does_not_move_the_mouth() -> None:
    """Where the network begins again the live mouth is that of the whole talk, as elsewhere."""
    whole = analyse_speech(np.concatenate([loop()] * 3).ravel()).opening
    live = four_rounds()[1][: 3 * ROUND - AHEAD]
    error = np.abs(live - whole[: len(live)])
    begun = LONGEST_STREAM // STEPS_PER_FRAME - AHEAD
    around = error[begun - 2 : begun + 8]
    assert around.mean() < 2 * error.mean()


def test_frames_that_nobody_reads_cost_nothing_but_their_past() -> None:
    """Sound of any length may be appended before a frame is read."""
    visemes = LiveVisemes()
    for block in np.concatenate([loop()] * 2):
        visemes.append(block)
    last = 2 * ROUND - 1 - AHEAD
    late = visemes.frame(last).opening[0]
    assert late == pytest.approx(four_rounds()[1][last], abs=0.02)
    assert late > 0.01


def test_live_speech_has_weights_that_guess_the_future() -> None:
    """With 80 ms of it they come closer to the whole talk than the weights of whole talks do."""
    ahead = 2
    whole = analyse_speech(loop().ravel())[: ROUND - ahead]
    missed = []
    for visemes in (LiveVisemes(), LiveVisemes(weights=shipped_weights())):
        live = live_track(visemes, loop(), ahead=ahead)
        errors = (live.opening - whole.opening, live.width - whole.width)
        missed.append([np.square(error).mean() for error in errors])
    guessing, waiting = missed
    assert guessing[0] < 0.95 * waiting[0]
    assert guessing[1] < 0.95 * waiting[1]
