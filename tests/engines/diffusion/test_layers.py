"""How the timestep changes a block, beside its definition."""

import pytest

torch = pytest.importorskip("torch")

from multitalk.engines.diffusion.layers import ModulatedNorm, add_gated


def case(dtype):
    generator = torch.Generator().manual_seed(0)
    states, change = (torch.randn(1, 7, 24, generator=generator).to(dtype) for _ in range(2))
    shift, scale = (torch.randn(1, 1, 24, generator=generator) for _ in range(2))
    return states, change, shift, scale


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_norm_is_scaled_and_shifted_in_float32(dtype):
    states, _, shift, scale = case(dtype)
    exact = states.double()
    centred = exact - exact.mean(-1, keepdim=True)
    normed = centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
    expected = (normed * (1 + scale) + shift).to(dtype)
    found = ModulatedNorm(24, 1e-6)(states, shift, scale)
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gated_change_is_rounded_once(dtype):
    states, change, gate, _ = case(dtype)
    expected = (states.double() + change.double() * gate).to(dtype)
    found = add_gated(states, change, gate)
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected)
