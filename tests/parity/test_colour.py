"""Colours matched in CIE Lab, against the reference."""

import json

import pytest

torch = pytest.importorskip("torch")
load_file = pytest.importorskip("safetensors.torch").load_file

from multitalk.engines.diffusion.colour import (
    lab_from_rgb,
    match_colours,
    rgb_from_lab,
)


@pytest.fixture(scope="module")
def recorded(goldens):
    return load_file(goldens / "color" / "color.safetensors")


def test_matched_colours_are_the_reference_s(goldens, recorded):
    strengths = json.loads((goldens / "color" / "meta.json").read_text())["strengths"]
    outputs = {name: value for name, value in recorded.items() if name.startswith("out/")}
    assert sorted(float(name.removeprefix("out/")) for name in outputs) == sorted(strengths)
    for name, expected in outputs.items():
        strength = float(name.removeprefix("out/"))
        matched = match_colours(
            recorded["source"][0], recorded["reference"][0, :, 0], strength=strength
        )
        torch.testing.assert_close(matched, expected[0], atol=2e-4, rtol=0, msg=name)


def test_strength_zero_returns_the_frames_untouched(recorded):
    frames = recorded["source"][0]
    assert match_colours(frames, recorded["reference"][0, :, 0], strength=0) is frames


def test_a_picture_matched_to_itself_stays_itself():
    picture = torch.rand(3, 1, 9, 11, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    torch.testing.assert_close(
        match_colours(picture, picture[:, 0], strength=1.0), picture, atol=1e-4, rtol=0
    )


def test_lab_and_back_is_the_same_colour():
    rgb = torch.rand(3, 500, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rgb_from_lab(lab_from_rgb(rgb)), rgb, atol=1e-4, rtol=0)


def test_white_black_and_grey_have_no_hue():
    greys = torch.tensor([0.0, 0.18, 0.5, 1.0]).expand(3, 4)
    lab = lab_from_rgb(greys)
    assert lab[1:].abs().max() < 0.01
    assert lab[0, [0, 3]].tolist() == pytest.approx([0, 100], abs=1e-3)
