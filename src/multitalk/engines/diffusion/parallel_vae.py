"""Patch-parallel VAE: each process computes a strip of the frame with Wan's VAE.

All layers except those of the middle block, at the latents' size, have a receptive field of a pixel
or two. So a strip needs a margin of each layer's input, the wider the more layers follow; pixels
beyond it are cropped before each layer, and the strips equal those of the undivided frame except
for rounding. The middle block has global attention: every process computes the whole of it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanResample
from torch import Tensor, nn

from multitalk.engines.diffusion.context_parallel import spans
from multitalk.engines.diffusion.parallel import TalkGroup

Span = tuple[int, int]  # first, and one after the last, along the longer side
LATENT_PIXELS = 8  # of the frame, along a side of a latent


@dataclass(frozen=True)
class _VaeLayer:
    """Receptive field of a layer, or of a few in a row.

    Attributes:
        module: Its input is cropped.
        reach: Pixels of the input on each side that an output pixel depends on; after upsampling,
            where it upsamples.
        scale: Of the output relative to the input.
    """

    module: nn.Module
    reach: int
    scale: Literal["same", "double", "half"] = "same"

    def input(self, output: Span, size: int) -> Span:
        """The span of an input of a size that an output span depends on."""
        start, stop = output
        if self.scale == "half":  # a pixel and the two after it
            start, stop = 2 * start, 2 * stop + 1
        else:
            start, stop = start - self.reach, stop + self.reach
        if self.scale == "double":
            start, stop = start // 2, -(-stop // 2)
        return max(start, 0), min(stop, size)

    def output(self, span: Span) -> Span:
        """The output span of an input span."""
        start, stop = span
        if self.scale == "double":
            return 2 * start, 2 * stop
        return (start // 2, stop // 2) if self.scale == "half" else span


def _decoder_layers(vae: AutoencoderKLWan) -> Iterator[_VaeLayer]:
    for block in vae.decoder.up_blocks:
        for residual in block.resnets:
            yield _VaeLayer(residual, reach=2)
        for doubling in block.upsamplers or ():
            yield _VaeLayer(doubling, reach=1, scale="double")
    yield _VaeLayer(vae.decoder.norm_out, reach=1)  # and the convolution after it


def _encoder_layers(vae: AutoencoderKLWan) -> Iterator[_VaeLayer]:
    yield _VaeLayer(vae.encoder, reach=1)  # its first convolution
    for layer in vae.encoder.down_blocks:
        if isinstance(layer, WanResample):
            yield _VaeLayer(layer, reach=0, scale="half")
        else:
            yield _VaeLayer(layer, reach=2)


def decode(vae: AutoencoderKLWan, latents: Tensor, group: TalkGroup) -> Tensor:
    """Decode latents in strips.

    Args:
        vae: Wan 2.1's.
        latents: [1, 16, t, h, w], of the VAE's dtype, the same in all processes; the longer of h
            and w is as long as there are processes at least.
        group: The processes.

    Returns:
        RGB in [-1, 1], [1, 3, T, H, W], whole in every process.
    """
    dim, length = _longer_side(latents)
    latent_spans = spans(length, group.world_size)
    strips = [(LATENT_PIXELS * start, LATENT_PIXELS * stop) for start, stop in latent_spans]
    mine = strips[group.rank]
    with _crop_inputs(list(_decoder_layers(vae)), mine, dim, given=(0, length)) as held:
        strip = vae.decode(latents, return_dict=False)[0]
    strip = strip.narrow(dim, mine[0] - held[0], mine[1] - mine[0])
    return group.all_gather(strip, [stop - start for start, stop in strips], dim)


def encode(vae: AutoencoderKLWan, frames: Tensor, group: TalkGroup) -> Any:
    """Encode frames in strips.

    Args:
        vae: Wan 2.1's.
        frames: [1, 3, T, H, W], of the VAE's dtype, the same in all processes; the longer of H and
            W is 8 times the number of processes at least.
        group: The processes. Strips are gathered twice for each latent frame: before the
            middle block and, to keep margins narrower than strips, one downsampling earlier.

    Returns:
        What the VAE's `encode` returns, whole in every process.
    """
    dim, length = _longer_side(frames)
    latent_length = length // LATENT_PIXELS
    layers = list(_encoder_layers(vae))
    halved = [number for number, layer in enumerate(layers, start=1) if layer.scale == "half"]
    joint = halved[-2]
    parts = [  # with the input's length, and pixels per latent of the output
        (layers[:joint], layers[joint].module, length, 2),
        (layers[joint:], vae.encoder.mid_block, 2 * latent_length, 1),
    ]
    with ExitStack() as stack:
        for part, following, given, size in parts:
            strips = [
                (size * start, size * stop)
                for start, stop in spans(latent_length, group.world_size)
            ]
            cut = _crop_inputs(part, strips[group.rank], dim, given=(0, given))
            join = _gather_hook(group, strips, dim, held=stack.enter_context(cut))
            stack.callback(following.register_forward_pre_hook(join).remove)
        return vae.encode(frames)


def _gather_hook(group: TalkGroup, strips: Sequence[Span], dim: int, *, held: Span) -> Any:
    """A hook that gathers the strips, which have margins, before a module."""
    start, stop = strips[group.rank]
    lengths = [stop - start for start, stop in strips]

    def join(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        strip, *others = arguments
        own = strip.narrow(dim, start - held[0], stop - start)
        return group.all_gather(own, lengths, dim), *others

    return join


def _longer_side(images: Tensor) -> tuple[int, int]:
    """Dimension, counted from the end, and length of the longer side."""
    height, width = images.shape[-2:]
    return (-1, width) if width >= height else (-2, height)


@contextmanager
def _crop_inputs(
    layers: Sequence[_VaeLayer], wanted: Span, dim: int, *, given: Span
) -> Iterator[Span]:
    """Crop the layers' inputs to what the wanted output depends on; yields the output span."""
    sizes, held, wants = [given[1]], given, [wanted]
    for layer in layers:
        sizes.append(layer.output((0, sizes[-1]))[1])
    for layer, size in zip(reversed(layers), reversed(sizes[:-1]), strict=True):
        wants.append(layer.input(wants[-1], size))
    with ExitStack() as stack:
        for layer, needed in zip(layers, reversed(wants[1:]), strict=True):
            hook = _crop_hook(dim, needed[0] - held[0], needed[1] - needed[0])
            stack.callback(layer.module.register_forward_pre_hook(hook).remove)
            held = layer.output(needed)
        yield held


def _crop_hook(dim: int, start: int, length: int) -> Callable[[nn.Module, Any], Any]:
    return lambda _, arguments: (arguments[0].narrow(dim, start, length), *arguments[1:])
