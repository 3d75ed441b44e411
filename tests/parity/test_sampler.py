"""The sampler against runs of the reference, given the same noise and the same toy network."""

from collections import Counter
from itertools import starmap

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("safetensors")

from stand_ins import (
    SampledWindow,
    StandInCodec,
    assert_same_counts,
    assert_same_cuts,
    assert_same_questions,
    assert_same_surroundings,
    assert_same_talk,
    portrait,
    recordings,
    small_transformer,
)

from multitalk.engines.diffusion.continuation import continue_multitalk
from multitalk.engines.diffusion.guidance import Guidance
from multitalk.engines.diffusion.sampler import (
    SampleOptions,
    sample_talk,
    seeded_noise,
)
from multitalk.engines.diffusion.windows import WindowLengths


@pytest.fixture(scope="module")
def runs(goldens):
    """Every recorded run, by name, with our run of it."""
    transformer = small_transformer(goldens)
    picture = portrait(goldens / "sampler")
    sampled = {}
    for name, recording in recordings(goldens / "sampler").items():
        source = recording.fitted(picture)
        sampled[name] = (
            recording,
            recording.sample(transformer, lambda _, shown=source: shown, continue_multitalk),
        )
    return sampled


def test_latents_and_frames_are_the_reference_s(runs):
    assert runs
    for recording, sampled in runs.values():
        assert_same_talk(recording, sampled)


def test_every_recorded_question_and_answer_is_the_same(runs):
    compared = Counter()
    for recording, _ in runs.values():
        compared += assert_same_questions(recording)
    assert {"x_in", "x_first_step", "cond"} <= set(compared)


def test_windows_timesteps_and_questions_are_as_many_as_the_reference_s(runs):
    for name, (recording, sampled) in runs.items():
        assert_same_counts(recording, name, sampled)


def test_what_each_window_sees_and_hears_is_the_reference_s(runs):
    compared = Counter()
    for recording, _ in runs.values():
        compared += assert_same_surroundings(recording)
    assert len(compared) == 3


def test_the_talk_is_cut_into_as_many_windows_as_the_reference_s(goldens):
    assert_same_cuts(goldens / "sampler")


class CountingModel:
    """Predicts zero and counts."""

    def __init__(self):
        self.questions = []

    def bind(self, window, conditioning):
        def denoise(latents, timestep, branches):
            shapes = (latents.shape, conditioning.latents.shape, conditioning.picture.shape)
            for branch in branches:
                self.questions.append((window.index, (float(timestep), branch, *shapes)))
            return dict.fromkeys(branches, torch.zeros_like(latents))

        return denoise


@pytest.fixture(scope="module")
def codec():
    generator = torch.Generator().manual_seed(0)
    weights = {"vae/enc_w": (16, 3), "vae/enc_b": (16,), "vae/dec_w": (3, 16)}
    return StandInCodec(
        {name: torch.randn(shape, generator=generator) / 4 for name, shape in weights.items()}
    )


def sampled_frames(codec, num_frames, *, model=None, seed=0, guidance=None, finished=()):
    picture = torch.zeros(3, 16, 16)
    windows = sample_talk(
        model or CountingModel(),
        codec,
        lambda _: picture,
        num_frames=num_frames,
        lengths=WindowLengths(13, 5),
        options=SampleOptions(guidance or Guidance(1.0, 1.0), 3, 5.0),
        noise=seeded_noise(seed),
        finished=lambda window: finished[window.index] if window.index < len(finished) else None,
    )
    return list(starmap(SampledWindow, windows))


@pytest.mark.parametrize("num_frames", [1, 2, 12, 13, 14, 21, 22, 40])
def test_a_talk_of_any_length_has_exactly_its_frames(codec, num_frames):
    sampled = sampled_frames(codec, num_frames)
    assert sum(window.frames.shape[1] for window in sampled) == num_frames


def test_a_talk_that_begins_with_finished_windows_goes_on_to_the_bit(codec):
    whole = sampled_frames(codec, 40)
    for kept in range(1, len(whole)):
        finished = [window.latents for window in whole[:kept]]
        again = sampled_frames(codec, 40, finished=finished)
        for ours, theirs in zip(again, whole, strict=True):
            assert torch.equal(ours.latents, theirs.latents)
            assert torch.equal(ours.frames, theirs.frames)
        other = sampled_frames(codec, 40, finished=finished, seed=1)
        assert [
            torch.equal(ours.frames, theirs.frames)
            for ours, theirs in zip(other, whole, strict=True)
        ] == [index < kept for index in range(len(whole))]


def test_each_window_draws_its_own_noise():
    noise_of = seeded_noise(3)
    first, second = (noise_of(index)((4, 5)) for index in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(noise_of(1)((4, 5)), second)
    assert not torch.equal(seeded_noise(4)(1)((4, 5)), second)


@pytest.mark.parametrize("scales", [(1.0, 1.0), (1.0, 2.0), (5.0, 4.0)])
def test_a_late_window_asks_exactly_what_the_second_one_asks(codec, scales):
    model = CountingModel()
    sampled_frames(codec, 200, model=model, guidance=Guidance(*scales))
    asked = {}
    for index, question in model.questions:
        asked.setdefault(index, []).append(question)
    assert len(asked) > 20
    assert all(questions == asked[1] for questions in asked.values())


def test_the_same_seed_gives_the_same_talk_and_another_seed_another(codec):
    first, again, other = (sampled_frames(codec, 20, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0].latents, other[0].latents)


def test_a_window_holds_the_last_frames_of_the_one_before(codec):
    first, second = sampled_frames(codec, 21)
    held = codec.encode(codec.decode(first.latents)[:, -5:])
    torch.testing.assert_close(second.latents[:, :2], held)
