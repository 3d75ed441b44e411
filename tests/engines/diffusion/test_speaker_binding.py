"""Who listens to whom: the speaker map, the labels made of it, and what they cost."""

import itertools
import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from multitalk.engines.diffusion.context_parallel import TokenShard
from multitalk.engines.diffusion.speaker_binding import (
    BACKGROUND_LABEL,
    LABEL_RANGE,
    SpeakerBinding,
    label_positions,
    speaker_labels,
    speaker_map,
)


def slow_map(query, key, masks):
    """The definition: explicit scores, softmax, share of each class, mean over heads."""
    scores = torch.einsum("blhd,bnhd->bhln", query, key) / math.sqrt(query.shape[-1])
    weights = scores.softmax(-1)
    shares = [(weights * mask).sum(-1) / mask.sum() for mask in masks.float()]
    return torch.stack(shares).mean(2)[:, 0]


def case(seed, *, tokens=30, keys=10, heads=4, classes=3, head_dim=16):
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(1, tokens, heads, head_dim, generator=generator)
    key = torch.randn(1, keys, heads, head_dim, generator=generator)
    owner = torch.randint(classes, (keys,), generator=generator)
    owner[:classes] = torch.arange(classes)
    return query, key, torch.stack([owner == index for index in range(classes)])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), heads=st.sampled_from([2, 4, 6]), classes=st.integers(3, 5))
def test_the_fused_map_is_the_slow_obvious_one(seed, heads, classes):
    query, key, masks = case(seed, heads=heads, classes=classes)
    torch.testing.assert_close(
        speaker_map(query, key, masks), slow_map(query, key, masks), atol=1e-6, rtol=1e-5
    )


def test_an_odd_head_is_not_looked_at_as_in_the_reference():
    query, key, masks = case(0, heads=5)
    even = slow_map(query[:, :, :4], key[:, :, :4], masks)
    torch.testing.assert_close(speaker_map(query, key, masks), even, atol=1e-6, rtol=1e-5)
    query, key, masks = case(0, heads=1)
    torch.testing.assert_close(
        speaker_map(query, key, masks), slow_map(query, key, masks), atol=1e-6, rtol=1e-5
    )


class LargestTensor(TorchDispatchMode):
    """Remembers how many numbers the largest tensor made under it has."""

    numbers = 0

    def __torch_dispatch__(self, operation, kinds, arguments=(), keywords=None):
        result = operation(*arguments, **(keywords or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.numel())
        return result


@torch.no_grad()
@pytest.mark.parametrize("tokens", [600, 2400])
def test_memory_grows_with_the_tokens_not_with_their_square(tokens):
    query, key, masks = case(0, tokens=tokens, keys=tokens // 3, heads=2)
    with LargestTensor() as largest:
        speaker_map(query, key, masks)
    assert largest.numbers <= query.numel()
    with LargestTensor() as slow:
        slow_map(query, key, masks)
    assert slow.numbers >= tokens * tokens // 3


def test_an_empty_class_wins_no_token_and_spoils_none():
    query, key, masks = case(3)
    masks = torch.stack([masks[0] | masks[2], masks[1], torch.zeros_like(masks[2])])
    binding = SpeakerBinding(masks, audio_tokens=4)
    binding.bind(query, key, TokenShard(0, 30, 30))
    positions = binding.take_query_positions()
    assert positions.isfinite().all()
    assert (positions != BACKGROUND_LABEL).all()


def test_two_speakers_have_the_labels_of_the_training():
    labels = speaker_labels(2)
    assert (labels.starts, labels.width, labels.centres) == ((0.0, 20.0), 4.0, (2.0, 22.0))


@given(num_speakers=st.integers(2, 12))
def test_labels_are_apart_from_each_other_and_from_the_background(num_speakers):
    labels = speaker_labels(num_speakers)
    spans = [(start, start + labels.width) for start in labels.starts]
    spans.append((BACKGROUND_LABEL, BACKGROUND_LABEL))
    spans.sort()
    assert len(spans) == num_speakers + 1
    assert spans[0][0] >= 0
    assert spans[-1][1] <= LABEL_RANGE + 1e-9
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(spans))


def test_one_speaker_needs_no_labels():
    with pytest.raises(ValueError, match="two or more"):
        speaker_labels(1)


@given(seed=st.integers(0, 10_000), num_speakers=st.integers(2, 5))
def test_a_token_lies_in_the_span_of_its_strongest_class(seed, num_speakers):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(num_speakers + 1, 20, generator=generator)
    labels = speaker_labels(num_speakers)
    positions = label_positions(scores, scores.amin(1), scores.amax(1), labels)
    for position, winner in zip(positions.tolist(), scores.argmax(0).tolist(), strict=True):
        if winner == num_speakers:
            assert position == BACKGROUND_LABEL
        else:
            start = labels.starts[winner]
            assert start - 1e-5 <= position <= start + labels.width + 1e-5


def test_labels_are_taken_once():
    query, key, masks = case(0)
    binding = SpeakerBinding(masks, audio_tokens=4)
    binding.bind(query, key, TokenShard(0, 30, 30))
    binding.take_query_positions()
    with pytest.raises(RuntimeError, match="same block"):
        binding.take_query_positions()
