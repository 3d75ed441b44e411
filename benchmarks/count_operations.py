"""What a window and a talk take at real size, counted on `meta`: no GPU, no weights, no timing.

    .venv-diffusion/bin/python benchmarks/count_operations.py [--size 448x896]
        [--weights | --processes]

FLOP are those of matrix products, convolutions and attention, a multiplication and an addition
being two. Bytes are what all operations read and write, one at a time, if none is fused. With
--weights, a forward by how the network's weights are held. With --processes, what each of several
processes that share a talk computes of the VAE, and sends.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from diffusion_cost import PICTURE_TOKENS, ByteCounter, Cost, Size
from diffusion_models import (
    TEXT_TOKENS,
    Config,
    forward,
    made_on,
    make_quantized,
    make_transformer,
)
from multitalk.engines.diffusion import parallel_vae
from multitalk.engines.diffusion.quantized import multiply_in_fp8
from multitalk.engines.diffusion.transformer import CachedConditions, MultiTalkTransformer3DModel
from multitalk.engines.diffusion.windows import WindowLengths, latent_frames, talk_windows
from multitalk.timebase import FPS

WINDOW_FRAMES = 81
CONDITIONING_FRAMES = {"MultiTalk": 25, "InfiniteTalk": 9}
FORWARDS = 16  # of a window: 8 steps with two branches
PROCESSES = (2, 4, 8)
LAYERS, DIM = 40, 5120  # of the network
SHOWN_SECONDS = (1, 2, 5, 10, 20, 60)
LONGEST_SECONDS = (10, 30, 60)  # of the talks, all lengths alike, whose mean is shown


@dataclass(frozen=True)
class WindowShape:
    """What a window of so many frames takes, by part.

    Attributes:
        forward: One question to the network with one voice, after the window's first.
        encode: Of the VAE, the conditioning's frames and zeros.
        decode: Of the VAE.
    """

    forward: Cost
    encode: Cost
    decode: Cost

    def flops(self, forwards: int) -> float:
        """Of the window with so many questions."""
        return forwards * self.forward.flops + self.encode.flops + self.decode.flops


class Counter:
    """Counts windows of one size of video."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        with made_on("meta", torch.bfloat16):
            self._network = MultiTalkTransformer3DModel().eval()
        with made_on("meta", torch.float32):
            self._vae = AutoencoderKLWan().eval()
        self.window = cache(self._window)

    def tokens(self, frames: int) -> int:
        """Of a window."""
        return Size(latent_frames(frames), self.height // 8, self.width // 8).tokens

    @torch.no_grad()
    def _window(self, frames: int) -> WindowShape:
        size = Size(latent_frames(frames), self.height // 8, self.width // 8)
        inputs, shared = _on_meta(self._network, size), CachedConditions()
        forward(self._network, inputs, shared)
        video = torch.empty(1, 3, frames, self.height, self.width, device="meta")
        latents = torch.empty(1, 16, size.frames, size.height, size.width, device="meta")
        return WindowShape(
            _counted(lambda: forward(self._network, inputs, shared)),
            _counted(lambda: self._vae.encode(video)),
            _counted(lambda: self._vae.decode(latents)),
        )


@torch.library.custom_op("count_operations::attention", mutates_args=())
def _attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:  # noqa: ARG001 - read by it
    return torch.empty_like(query)


_attention.register_fake(lambda query, _key, _value: torch.empty_like(query))


@contextmanager
def _fused_attention() -> Iterator[None]:
    """On `meta` PyTorch writes the scores out, which no GPU's attention does."""
    usual = functional.scaled_dot_product_attention
    functional.scaled_dot_product_attention = lambda query, key, value, **_: _attention(
        query, key, value
    )
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = usual


def _counted(run: Callable[[], object]) -> Cost:
    with FlopCounterMode(display=False) as flops:
        run()
    with _fused_attention(), ByteCounter() as moved:
        run()
    return Cost(flops.get_total_flops(), moved.total)


def _on_meta(network: MultiTalkTransformer3DModel, size: Size) -> dict[str, Tensor]:
    """Arguments of a forward with one voice."""
    config = network.config
    frames = config.frames_per_latent * (size.frames - 1) + 1

    def empty(*shape: int) -> Tensor:
        return torch.empty(*shape, device="meta", dtype=torch.bfloat16)

    return {
        "hidden_states": empty(1, config.in_channels, size.frames, size.height, size.width),
        "timestep": torch.empty(1, device="meta"),
        "encoder_hidden_states": empty(1, TEXT_TOKENS, config.text_dim),
        "encoder_hidden_states_image": empty(1, PICTURE_TOKENS, config.image_dim),
        "audio_hidden_states": empty(1, frames, config.audio_window, 1, config.audio_feature_dim),
    }


class OperationCounter(TorchDispatchMode):
    """Counts the operations that read or write tensors: each is at least one kernel's launch."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        computes = not func.is_view and not func.name().startswith(("aten::empty", "aten::detach"))
        self.total += computes
        return func(*args, **(kwargs or {}))


def networks(config: Config) -> dict[str, Callable[[], MultiTalkTransformer3DModel]]:
    """On `meta`, by how they hold their weights and multiply."""

    def fp8_products() -> MultiTalkTransformer3DModel:
        network = make_quantized(config, "float8_e4m3fn", "meta")
        multiply_in_fp8(network.blocks)
        return network

    return {
        "16 bits": partial(make_transformer, config, "meta", torch.bfloat16),
        "int8": partial(make_quantized, config, "int8", "meta"),
        "fp8": partial(make_quantized, config, "float8_e4m3fn", "meta"),
        "fp8, products in fp8": fp8_products,
    }


def count_forward(network: MultiTalkTransformer3DModel, size: Size) -> tuple[int, Cost]:
    """Operations, and what they take, of a forward with one voice, after the window's first."""
    run = partial(forward, network, _on_meta(network, size), CachedConditions())
    run()
    with _fused_attention(), OperationCounter() as operations:
        run()
    return operations.total, _counted(run)


def show_weights(height: int, width: int) -> None:
    """A table of a forward by how weights are held."""
    size = Size(latent_frames(WINDOW_FRAMES), height // 8, width // 8)
    print(f"{height}x{width}, {WINDOW_FRAMES} frames, {size.tokens} tokens: a forward")
    print("| weights | operations | TB | TFLOP |\n| --- | --- | --- | --- |")
    for name, make in networks({}).items():
        operations, cost = count_forward(make(), size)
        print(f"| {name} | {operations} | {cost.bytes / 1e12:.3f} | {cost.flops / 1e12:.0f} |")


@dataclass(frozen=True)
class Strip:
    """A process that computes its strip, as large as it is, without any others."""

    world_size: int
    rank: int

    def all_gather(self, part: Tensor, lengths: Sequence[int], dim: int) -> Tensor:
        """A tensor of the whole's size."""
        shape = list(part.shape)
        shape[dim] = sum(lengths)
        return part.new_empty(shape)


@torch.no_grad()
def strip_costs(height: int, width: int, processes: int) -> tuple[Cost, Cost]:
    """What the process with the most to do computes of encoding and of decoding a window."""
    with made_on("meta", torch.bfloat16):
        vae = AutoencoderKLWan().eval()
    shape = latent_frames(WINDOW_FRAMES), height // 8, width // 8
    video = torch.empty(1, 3, WINDOW_FRAMES, height, width, device="meta", dtype=vae.dtype)
    latents = torch.empty(1, 16, *shape, device="meta", dtype=vae.dtype)
    if processes == 1:
        return _counted(lambda: vae.encode(video)), _counted(lambda: vae.decode(latents))
    strip = Strip(processes, (processes - 1) // 2)  # in the middle: others on both sides
    return (
        _counted(lambda: parallel_vae.encode(vae, video, strip)),
        _counted(lambda: parallel_vae.decode(vae, latents, strip)),
    )


def show_processes(height: int, width: int) -> None:
    """Tables of what each of several processes computes of the VAE, and of what it sends."""
    rows = {processes: strip_costs(height, width, processes) for processes in (1, *PROCESSES)}
    print(f"{height}x{width}, {WINDOW_FRAMES} frames: the VAE, for each process, in 16 bits")
    print("| processes | encode, TFLOP | TB | as fast | decode, TFLOP | TB | as fast |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for processes, costs in rows.items():
        cells = [
            f"{cost.flops / 1e12:.0f} | {cost.bytes / 1e12:.2f} | {whole.flops / cost.flops:.1f}"
            for cost, whole in zip(costs, rows[1], strict=True)
        ]
        print(f"| {processes} | {' | '.join(cells)} |")
    size = Size(latent_frames(WINDOW_FRAMES), height // 8, width // 8)
    # In encoding, strips are joined before the middle and one halving earlier.
    joints = (384 * size.frames + 192 * 4 * (2 * size.frames - 1)) * size.height * size.width
    frames = 3 * WINDOW_FRAMES * height * width
    print("\n| processes | two branches, GB | in halves, GB | encode, GB | decode, GB |")
    print("| --- | --- | --- | --- | --- |")
    for processes in PROCESSES:
        sent = (
            2 * exchanged_bytes(size, processes),
            exchanged_bytes(size, processes // 2),
            *(2 * numbers * (processes - 1) / processes for numbers in (joints, frames)),
        )
        print(f"| {processes} | {' | '.join(f'{number / 1e9:.2f}' for number in sent)} |")


def exchanged_bytes(size: Size, processes: int) -> float:
    """What a process sends of its tokens in a forward: queries, keys, values and what they give."""
    held = 2 * size.tokens / processes * DIM
    return LAYERS * 4 * held * (processes - 1) / processes


def talk_flops(counter: Counter, lengths: WindowLengths, num_frames: int) -> float:
    """Of all windows of a talk."""
    windows = talk_windows(num_frames, lengths)
    return sum(counter.window(window.num_frames).flops(FORWARDS) for window in windows)


def show_windows(counter: Counter) -> None:
    """A table of windows, the longest last."""
    print(f"{counter.height}x{counter.width}: one window")
    print("| frames | tokens | forward, TFLOP | TB | encode, TFLOP | TB | decode, TFLOP | TB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for frames in range(41, WINDOW_FRAMES + 1, 8):
        window = counter.window(frames)
        parts = (window.forward, window.encode, window.decode)
        cells = " | ".join(f"{part.flops / 1e12:.0f} | {part.bytes / 1e12:.2f}" for part in parts)
        print(f"| {frames} | {counter.tokens(frames)} | {cells} |")


def show_savings(counter: Counter) -> None:
    """What a shorter last window saves of talks, by their length."""
    for name, conditioning in CONDITIONING_FRAMES.items():
        full = WindowLengths(WINDOW_FRAMES, conditioning)
        short = WindowLengths.ending_short(WINDOW_FRAMES, conditioning)
        print(f"\n{name}, {FORWARDS} forwards a window")
        print("| talk | windows, frames | PFLOP | all of 81 frames | saved |")
        print("| --- | --- | --- | --- | --- |")
        for seconds in SHOWN_SECONDS:
            cut = [window.num_frames for window in talk_windows(seconds * FPS, short)]
            shown = f"{len(cut)}, the last of {cut[-1]}"
            kept, usual = (talk_flops(counter, way, seconds * FPS) for way in (short, full))
            saved = 1 - kept / usual
            print(
                f"| {seconds} s | {shown} | {kept / 1e15:.0f} | {usual / 1e15:.0f} | {saved:.0%} |"
            )
        for longest in LONGEST_SECONDS:
            talks = range(1, longest * FPS + 1)
            kept, usual = (
                sum(talk_flops(counter, way, frames) for frames in talks) for way in (short, full)
            )
            print(f"| up to {longest} s, the mean | | | | {1 - kept / usual:.0%} |")


def main() -> None:
    """Count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="448x896", help="height x width of the video, in pixels")
    parser.add_argument("--weights", action="store_true", help="a forward by how weights are held")
    parser.add_argument("--processes", action="store_true", help="the VAE divided among several")
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split("x"))
    if arguments.weights:
        show_weights(height, width)
        return
    if arguments.processes:
        show_processes(height, width)
        return
    counter = Counter(height, width)
    show_windows(counter)
    show_savings(counter)


if __name__ == "__main__":
    main()
