"""The network on a stream is the network under a mask, for as long as the stream goes on."""

import numpy as np  # its BLAS is what is limited
import pytest
from threadpoolctl import threadpool_info

from multitalk.array_types import Array
from multitalk.speech.phonemes import NUM_VISEMES
from multitalk.speech.viseme_network import (
    HEAD_WIDTH,
    STRIDE,
    TransformerLayer,
    class_scores,
    feed_forward,
    front,
    layer_norm,
    linear,
    one_blas_thread,
    shipped_weights,
    sinusoidal_positions,
    softmax,
)
from multitalk.speech.viseme_stream import (
    FRONT_REACH,
    LONGEST_STREAM,
    PAST_STEPS,
    PROVISIONAL_STEPS,
    VisemeStream,
)

TOLERANCE = 1e-5
NUM_STEPS = PAST_STEPS + 40


def features(num_steps: int = NUM_STEPS, seed: int = 0) -> Array:
    """As of that many steps, the second feature of the last not known yet, after the reach."""
    noise = np.random.default_rng(seed).normal(0, 0.3, (FRONT_REACH + STRIDE * num_steps - 1, 80))
    return noise.astype(np.float32)


def streamed(log_mel: Array, ends: list[int], *, skipped: int = 0) -> list[Array]:
    """The result of each call, of a stream whose calls end with these steps."""
    stream = VisemeStream(shipped_weights())
    stream.skip(skipped)
    results = []
    for end in ends:
        first = STRIDE * (stream.settled - skipped)
        results.append(stream.advance(log_mel[first : FRONT_REACH + STRIDE * end - 1]))
    return results


def masked_attention(hidden: Array, layer: TransformerLayer, mask: Array) -> Array:
    """Attention of all steps to all others that the mask [N, N] shows."""
    num_steps, width = hidden.shape
    projected = linear(layer_norm(hidden, layer.attention_norm), layer.attention_in)
    found = np.zeros_like(hidden)
    for first in range(0, width, HEAD_WIDTH):
        query, key, value = (
            projected[:, part * width + first :][:, :HEAD_WIDTH] for part in range(3)
        )
        scores = query @ key.T / np.float32(np.sqrt(HEAD_WIDTH))
        found[:, first : first + HEAD_WIDTH] = softmax(np.where(mask, scores, -1e9)) @ value
    return linear(found[:num_steps], layer.attention_out)


def masked(log_mel: Array, ends: list[int]) -> list[Array]:
    """What `streamed` should say: for each call all steps from the beginning, under a mask.

    Settled steps stay as they were when they were settled; nothing else is kept.
    """
    weights = shipped_weights()
    settled, results = 0, []
    kept: list[Array] = []  # the input of each layer, and of the head
    for end in ends:
        hidden = front(log_mel[: FRONT_REACH + STRIDE * end - 1], weights)[1:]
        hidden = hidden + sinusoidal_positions(*hidden.shape)
        steps = np.arange(end)
        mask = np.broadcast_to(steps >= settled - PAST_STEPS, (end, end))
        stages = []
        for number, layer in enumerate(weights.layers):
            hidden = np.concatenate([kept[number][:settled], hidden[settled:]]) if kept else hidden
            stages.append(hidden)
            hidden = hidden + masked_attention(hidden, layer, mask)
            hidden = hidden + feed_forward(hidden, layer)
        entries = np.maximum(linear(layer_norm(hidden, weights.norm), weights.entry), 0)
        entries = np.concatenate([kept[-1][:settled], entries[settled:]]) if kept else entries
        results.append(softmax(class_scores(entries, weights))[settled:])
        kept = [*stages, entries]
        settled = max(settled, end - PROVISIONAL_STEPS)
    return results


@pytest.mark.parametrize("piece", [2, 7, 40])
def test_a_stream_is_the_network_under_a_mask(piece: int) -> None:
    """Each step, settled or not, in pieces of any length, beyond the past that is attended to."""
    ends = [*range(piece, NUM_STEPS, piece), NUM_STEPS]
    ends = sorted({*ends[:12], *ends[-12:]})  # between them one long piece
    log_mel = features()
    for found, wanted in zip(streamed(log_mel, ends), masked(log_mel, ends), strict=True):
        np.testing.assert_allclose(found, wanted, atol=TOLERANCE)


def test_half_an_hour_later_the_same_sound_has_the_same_classes() -> None:
    """Positions count from where the stream began again."""
    ends = list(range(2, 80, 2))
    first = streamed(features(), ends)
    late = streamed(features(), ends, skipped=30 * 60 * 50)
    for early, later in zip(first, late, strict=True):
        np.testing.assert_array_equal(early, later)


def test_provisional_steps_leave_nothing_behind() -> None:
    """Other features in their place change what is said of them, and nothing later."""
    stream = VisemeStream(shipped_weights())
    stream.advance(features()[: FRONT_REACH + STRIDE * 50 - 1])
    settled = stream.settled
    assert settled == 50 - PROVISIONAL_STEPS
    changed = features(seed=1)[: FRONT_REACH + STRIDE * PROVISIONAL_STEPS - 1]
    stream.advance(changed)
    found = stream.advance(features()[STRIDE * settled : FRONT_REACH + STRIDE * 60 - 1])
    wanted = streamed(features(), [50, 60])[-1]
    np.testing.assert_allclose(found, wanted, atol=TOLERANCE)
    assert np.abs(changed - features()[: len(changed)]).max() > 1


def test_settled_steps_can_be_cut() -> None:
    """What follows is then classified as after a stream that went on no further."""
    stream = VisemeStream(shipped_weights())
    stream.advance(features())
    stream.cut(100)
    assert stream.settled == 100
    assert stream.advance(features()[STRIDE * 100 :]).shape == (NUM_STEPS - 100, NUM_VISEMES)
    stream.cut(-1)
    assert stream.settled == -1
    assert stream.advance(features()).shape == (NUM_STEPS, NUM_VISEMES)


def test_positions_run_out_after_as_many_as_there_were_in_training() -> None:
    stream = VisemeStream(shipped_weights())
    stream.advance(features(LONGEST_STREAM))
    with pytest.raises(ValueError, match="broadcast"):
        stream.advance(features(PROVISIONAL_STEPS + 1))


def threads() -> list[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_blas_has_one_thread_within_and_as_many_as_before_after() -> None:
    before = threads()
    for _ in range(2):
        with one_blas_thread():
            assert threads() == len(before) * [1]
        assert threads() == before
