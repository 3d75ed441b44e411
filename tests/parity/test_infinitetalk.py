"""The sibling model's way from window to window, against runs of its reference."""

from collections import Counter

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
load_file = pytest.importorskip("safetensors.torch").load_file

from stand_ins import (
    assert_same_counts,
    assert_same_cuts,
    assert_same_questions,
    assert_same_surroundings,
    assert_same_talk,
    portrait,
    recordings,
    small_transformer,
)

from multitalk.engines.diffusion.continuation import continue_infinitetalk
from multitalk.engines.diffusion.windows import latent_frames


@pytest.fixture(scope="module")
def runs(goldens):
    """Every recorded run, by name, with our run of it and the source frames it asked for."""
    folder = goldens / "infinitetalk"
    transformer = small_transformer(goldens)
    video = list(load_file(folder / "video_frames.safetensors")["frames_uint8_THWC"].numpy())
    sampled = {}
    for name, recording in recordings(folder).items():
        shown = recording.meta["cases"][name]["cond"]
        pictures = [portrait(folder, shown)] if (folder / shown).is_file() else video
        asked = []

        def source(frame, recording=recording, pictures=pictures, asked=asked):
            asked.append(frame)
            return recording.fitted(pictures[min(frame, len(pictures) - 1)])

        windows = recording.sample(transformer, source, continue_infinitetalk)
        sampled[name] = (recording, windows, asked)
    return sampled


def test_latents_and_frames_are_the_reference_s(runs):
    assert runs
    for recording, sampled, _ in runs.values():
        assert_same_talk(recording, sampled)


def test_each_window_is_shown_the_source_at_its_start(runs):
    for name, (recording, sampled, asked) in runs.items():
        wanted = recording.meta["cases"][name]["requested_frame_indices_two_runs"]
        starts = {window.window.start for window in sampled}
        assert starts == set(asked)
        assert starts <= set(wanted)  # the reference asks for one frame too many


def test_every_recorded_question_is_the_same(runs):
    compared = Counter()
    for recording, _, _ in runs.values():
        compared += assert_same_questions(recording)
    assert compared["x_first_step"]


def test_the_given_latents_are_clean_before_every_step(runs):
    for recording, _, _ in runs.values():
        first = {}
        for window, _, _, latents, _ in recording.seen:
            held = 1 if window == 0 else latent_frames(recording.lengths.conditioning_frames)
            given = first.setdefault(window, latents)
            assert torch.equal(latents[:, :held], given[:, :held])


def test_windows_timesteps_and_questions_are_as_many_as_the_reference_s(runs):
    for name, (recording, sampled, _) in runs.items():
        assert_same_counts(recording, name, sampled)


def test_what_each_window_sees_and_hears_is_the_reference_s(runs):
    compared = Counter()
    for recording, _, _ in runs.values():
        compared += assert_same_surroundings(recording)
    assert len(compared) == 3


def test_the_talk_is_cut_into_as_many_windows_as_the_reference_s(goldens):
    assert_same_cuts(goldens / "infinitetalk")
