import pytest

torch = pytest.importorskip("torch")

from multitalk.engines.diffusion.guidance import (
    AdaptiveProjection,
    Guidance,
    Guider,
)


def predictions(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    branches = ("full", "voice", "prompt", "nothing")
    return {branch: torch.randn(4, 3, 2, 2, generator=generator) for branch in branches}


def asked(guidance: Guidance, seed: int = 0):
    """The predictions that this guidance asks for, and no others."""
    return {branch: predictions(seed)[branch] for branch in guidance.branches}


@pytest.mark.parametrize(
    ("text", "audio", "number"), [(1.0, 1.0, 1), (1.0, 2.0, 2), (5.0, 1.0, 2), (5.0, 4.0, 3)]
)
@pytest.mark.parametrize("projection", [None, AdaptiveProjection()])
def test_only_the_branches_that_count_are_asked(text, audio, number, projection):
    guidance = Guidance(text, audio, projection)
    assert len(guidance.branches) == number
    assert guidance.branches[0] == "full"
    assert guidance.uses_negative_prompt == ({"voice", "nothing"} & set(guidance.branches) != set())
    assert Guider(guidance)(asked(guidance)).shape == (4, 3, 2, 2)


@pytest.mark.parametrize("projection", [None, AdaptiveProjection(norm_threshold=1.0)])
def test_scales_of_one_return_what_the_network_said(projection):
    guidance = Guidance(1.0, 1.0, projection)
    torch.testing.assert_close(Guider(guidance)(asked(guidance)), predictions()["full"])


def test_an_audio_scale_of_one_equals_the_formula_of_three_branches():
    guidance, said = Guidance(5.0, 1.0), predictions()
    three = said["nothing"] + 5 * (said["full"] - said["voice"]) + said["voice"] - said["nothing"]
    torch.testing.assert_close(Guider(guidance)(asked(guidance)), three)


def test_a_projected_step_adds_nothing_along_the_prediction():
    guidance, full = Guidance(5.0, 4.0, AdaptiveProjection(0.0, -0.5)), predictions()["full"]
    added = Guider(guidance)(asked(guidance)) - full
    assert abs((added * full).sum()) < 1e-4


def test_a_projected_step_is_never_longer_than_the_threshold():
    guidance = Guidance(2.0, 1.0, AdaptiveProjection(norm_threshold=0.25))
    added = Guider(guidance)(asked(guidance)) - predictions()["full"]
    assert torch.linalg.vector_norm(added) <= 0.25 + 1e-6


def test_momentum_remembers_the_unshortened_difference():
    guidance = Guidance(2.0, 1.0, AdaptiveProjection(norm_threshold=0.25, momentum=0.5))
    guider = Guider(guidance)
    guider(asked(guidance, 0))
    second = guider(asked(guidance, 1))
    both = [asked(guidance, seed)["full"] - asked(guidance, seed)["voice"] for seed in (0, 1)]
    running = both[1] + 0.5 * both[0]
    shortened = running * (0.25 / torch.linalg.vector_norm(running))
    along = predictions(1)["full"] / torch.linalg.vector_norm(predictions(1)["full"])
    wanted = predictions(1)["full"] + shortened - (shortened * along).sum() * along
    torch.testing.assert_close(second, wanted, atol=1e-5, rtol=1e-5)
