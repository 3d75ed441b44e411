"""The sibling model's way from segment to segment, against runs of its reference."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
load_file = pytest.importorskip("safetensors.torch").load_file

from stand_ins import (  # noqa: E402
    CLOSE,
    assert_same_talk,
    portrait,
    recordings,
    small_transformer,
)

from multitalk.engines.diffusion.sampler import continue_infinitetalk  # noqa: E402


@pytest.fixture(scope="module")
def runs(goldens):
    """Every recorded run, by name, with our run of it and the source frames it asked for."""
    folder = goldens / "infinitetalk"
    transformer = small_transformer(goldens)
    still = [portrait(folder)]
    video = list(load_file(folder / "video_frames.safetensors")["frames_uint8_THWC"].numpy())
    sampled = {}
    for name, recording in recordings(folder).items():
        pictures = still if recording.meta["cases"][name]["cond"] == "image.png" else video
        asked = []

        def source(frame, recording=recording, pictures=pictures, asked=asked):
            asked.append(frame)
            return recording.fitted(pictures[min(frame, len(pictures) - 1)])

        segments = recording.sample(transformer, source, continue_infinitetalk)
        sampled[name] = (recording, segments, asked)
    return sampled


def test_latents_and_frames_are_the_reference_s(runs):
    assert runs
    for recording, sampled, _ in runs.values():
        assert_same_talk(recording, sampled)


def test_each_segment_is_shown_the_source_at_its_start(runs):
    for name, (recording, sampled, asked) in runs.items():
        wanted = recording.meta["cases"][name]["requested_frame_indices_two_runs"]
        starts = {segment.segment.start for segment in sampled}
        assert starts == set(asked)
        assert starts <= set(wanted)  # the reference asks for one frame too many


def test_the_given_latents_are_clean_before_every_step(runs):
    compared = 0
    for recording, _, _ in runs.values():
        num_given = {}
        for segment, step, _, latents, _ in recording.seen:
            recorded = recording.tensors.get(f"chunk{segment}/x_first_step")
            if recorded is not None and step == 0:
                torch.testing.assert_close(latents, recorded, **CLOSE)
                compared += 1
            given = num_given.setdefault(segment, latents)
            held = 1 if segment == 0 else 1 + (recording.lengths.conditioning_frames - 1) // 4
            assert torch.equal(latents[:, :held], given[:, :held])
    assert compared
