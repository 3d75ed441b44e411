"""The sampler against runs of the reference, given the same noise and the same toy network."""

import json
from collections import Counter

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("safetensors")

from stand_ins import (  # noqa: E402
    CLOSE,
    StandInCodec,
    assert_same_talk,
    picture_tokens,
    portrait,
    recordings,
    small_transformer,
)

from multitalk.engines.diffusion.guidance import Guidance  # noqa: E402
from multitalk.engines.diffusion.sampler import (  # noqa: E402
    SampleOptions,
    continue_multitalk,
    sample_talk,
    schedule,
    seeded_noise,
)
from multitalk.engines.diffusion.segments import (  # noqa: E402
    SegmentLengths,
    num_segments,
    segments,
)

BRANCHES = {"cond": "full", "drop_text": "voice", "drop_audio": "prompt", "uncond": "nothing"}


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
        for segment, step, branch, latents, velocity in recording.seen:
            pairs = {f"chunk{segment}/step{step}/x_in": latents}
            if step == 0:
                pairs[f"chunk{segment}/x_first_step"] = latents
            for theirs, ours in BRANCHES.items():
                if ours == branch:
                    pairs[f"chunk{segment}/step{step}/{theirs}"] = velocity
            for name, ours in pairs.items():
                if name in recording.tensors:
                    torch.testing.assert_close(ours, recording.tensors[name], **CLOSE)
                    compared[name.split("/")[-1]] += 1
    assert {"x_in", "x_first_step", *BRANCHES} <= set(compared)


def test_the_network_is_asked_as_often_as_the_reference_s_and_no_more(runs):
    for name, (recording, sampled) in runs.items():
        branches = recording.meta["cases"][name]["branches_per_step"]
        assert len(recording.seen) == len(sampled) * recording.steps * branches


def test_timesteps_are_the_reference_s(runs):
    for name, (recording, _) in runs.items():
        ours = schedule(recording.steps, shift=recording.shift).timesteps
        theirs = torch.tensor(recording.meta["cases"][name]["timesteps"])
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-6)


def test_what_each_segment_sees_and_hears_is_the_reference_s(runs):
    compared = Counter()
    for recording, _ in runs.values():
        windows = segments(recording.num_frames, recording.lengths)
        for number, (segment, shown) in enumerate(
            zip(windows, recording.conditionings, strict=True)
        ):
            pairs = {
                "audio_windows_sum": recording.voices().windows(segment).sum((-2, -1)),
                "clip_token0": picture_tokens(recording.stubs, shown.picture)[0],
            }
            if len(recording.params["L"]) > 1:
                pairs["masks"] = recording.masks()
            for kind, ours in pairs.items():
                theirs = recording.tensors.get(f"chunk{number}/{kind}")
                if theirs is not None:
                    torch.testing.assert_close(ours, theirs, **CLOSE)
                    compared[kind] += 1
    assert len(compared) == 3


def test_the_talk_is_cut_into_as_many_segments_as_the_reference_s(goldens):
    for model in ("sampler", "infinitetalk"):
        for row in json.loads((goldens / model / "frame_counts.json").read_text()):
            if row["chunks"] is None:
                continue  # the reference fails
            lengths = SegmentLengths(row["frame_num"], row["motion_frame"])
            num_frames = min(row["audio_frames"][0], row["max_frames_num"])
            assert num_segments(num_frames, lengths) == row["chunks"], row
            assert num_frames >= min(row["out_frames"], *row["audio_frames"])


class CountingModel:
    """Predicts zero and counts."""

    def __init__(self):
        self.questions = []

    def bind(self, segment, conditioning):
        def denoise(latents, timestep, branch):
            shapes = (latents.shape, conditioning.latents.shape, conditioning.picture.shape)
            self.questions.append((segment.index, (float(timestep), branch, *shapes)))
            return torch.zeros_like(latents)

        return denoise


@pytest.fixture(scope="module")
def codec():
    generator = torch.Generator().manual_seed(0)
    weights = {"vae/enc_w": (16, 3), "vae/enc_b": (16,), "vae/dec_w": (3, 16)}
    return StandInCodec(
        {name: torch.randn(shape, generator=generator) / 4 for name, shape in weights.items()}
    )


def sampled_frames(codec, num_frames, *, model=None, seed=0, guidance=None):
    picture = torch.zeros(3, 16, 16)
    return list(
        sample_talk(
            model or CountingModel(),
            codec,
            lambda _: picture,
            num_frames=num_frames,
            lengths=SegmentLengths(13, 5),
            options=SampleOptions(guidance or Guidance(1.0, 1.0), 3, 5.0),
            noise=seeded_noise(seed),
        )
    )


@pytest.mark.parametrize("num_frames", [1, 2, 12, 13, 14, 21, 22, 40])
def test_a_talk_of_any_length_has_exactly_its_frames(codec, num_frames):
    sampled = sampled_frames(codec, num_frames)
    assert sum(segment.frames.shape[1] for segment in sampled) == num_frames


@pytest.mark.parametrize("scales", [(1.0, 1.0), (1.0, 2.0), (5.0, 4.0)])
def test_a_late_segment_asks_exactly_what_the_second_one_asks(codec, scales):
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


def test_a_segment_holds_the_last_frames_of_the_one_before(codec):
    first, second = sampled_frames(codec, 21)
    held = codec.encode(codec.decode(first.latents)[:, -5:])
    torch.testing.assert_close(second.latents[:, :2], held)
