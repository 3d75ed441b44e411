"""A strip of the frame, as the whole frame has it: with a VAE as deep as Wan's, and narrow."""

from dataclasses import dataclass, field

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from multitalk.engines.diffusion import parallel_vae

FRAMES, SHORT, LONG = 5, 2, 40  # of the video, and of the latents
CLOSE = {"atol": 1e-6, "rtol": 1e-5}


@dataclass
class OneOf:
    """A process whose others have computed what is joined already."""

    world_size: int
    rank: int
    wholes: list = field(default_factory=list)

    def all_gather(self, part, lengths, dim):
        start, whole = sum(lengths[: self.rank]), self.wholes.pop(0)
        assert sum(lengths) == whole.shape[dim]
        assert part.shape[dim] == lengths[self.rank]
        torch.testing.assert_close(part, whole.narrow(dim, start, part.shape[dim]), **CLOSE)
        return whole


@pytest.fixture(scope="module")
def vae():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return (
            diffusers.AutoencoderKLWan(base_dim=2).double().eval()
        )  # narrow norms enlarge rounding


@pytest.fixture(scope="module", params=["wide", "tall"])
def latents(request):
    generator = torch.Generator().manual_seed(1)
    shape = 1, 16, 1 + FRAMES // 4, SHORT, LONG
    wide = torch.randn(shape, generator=generator, dtype=torch.float64)
    return wide if request.param == "wide" else wide.transpose(-1, -2)


@torch.no_grad()
@pytest.mark.parametrize("processes", [2, 3])
def test_every_strip_is_a_part_of_the_whole(vae, latents, processes):
    frames = vae.decode(latents).sample
    joints = []
    handles = [
        module.register_forward_pre_hook(lambda _, given: joints.append(given[0]))
        for module in (vae.encoder.down_blocks[6], vae.encoder.mid_block)
    ]
    expected = vae.encode(frames).latent_dist.mode()
    for handle in handles:
        handle.remove()
    for rank in range(processes):
        decoding = OneOf(processes, rank, [frames])
        assert parallel_vae.decode(vae, latents, decoding) is frames
        encoding = OneOf(processes, rank, list(joints))
        found = parallel_vae.encode(vae, frames, encoding).latent_dist.mode()
        torch.testing.assert_close(found, expected, **CLOSE)
        assert not decoding.wholes
        assert not encoding.wholes


@torch.no_grad()
def test_of_each_layer_s_input_no_more_is_computed_than_is_needed(vae, latents):
    widths = []

    def note(_, given):
        widths.append(max(given[0].shape[-2:]))

    last, first = vae.decoder.conv_out, vae.decoder.up_blocks[0].resnets[0].conv1
    handles = [part.register_forward_pre_hook(note) for part in (first, last)]
    process = OneOf(5, 2)
    process.all_gather = lambda part, *_: part
    parallel_vae.decode(vae, latents, process)
    for handle in handles:
        handle.remove()
    assert set(widths) == {LONG // 5 + 2 * 13, 8 * LONG // 5 + 2}
    assert not any(module._forward_pre_hooks for module in vae.modules())
