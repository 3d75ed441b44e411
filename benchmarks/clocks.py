"""Seconds and memory of PyTorch code on a CPU."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from statistics import median

import torch
from torch import nn

from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel

Clock = Callable[[], float]


def timed(run: Callable[[], object], clock: Clock) -> float:
    """Seconds of a run."""
    started = clock()
    run()
    return clock() - started


def interleaved(
    runs: Mapping[str, Callable[[], object]], rounds: int, clock: Clock
) -> dict[str, list[float]]:
    """Seconds of each, one after the other in every round, after a round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            gc.collect()
            taken = timed(run, clock)
            if turn:
                seconds[name].append(taken)
    return seconds


def matmul_rate(size: int, device: str, dtype: torch.dtype, clock: Clock) -> float:
    """Operations per second of a large matrix product: median of ten, after one."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    taken = [timed(lambda: left @ right, clock) for _ in range(11)]
    return 2 * size**3 / median(taken[1:])


@contextmanager
def timing_parts(model: MultiTalkTransformer3DModel, clock: Clock) -> Iterator[Counter]:
    """Seconds of each kind of layer, of the forwards within."""
    kinds = {
        "attn1": "self attention",
        "attn2": "text and picture",
        "audio_attn": "speech",
        "ffn": "feed-forward",
    }
    seconds: Counter = Counter()

    def before(kind: str, *_: object) -> None:
        seconds[kind] -= clock()

    def after(kind: str, *_: object) -> None:
        seconds[kind] += clock()

    hooks = []
    for block in model.blocks:
        for name, kind in kinds.items():
            layer: nn.Module = getattr(block, name)
            hooks.append(layer.register_forward_pre_hook(partial(before, kind)))
            hooks.append(layer.register_forward_hook(partial(after, kind)))
    try:
        yield seconds
    finally:
        for hook in hooks:
            hook.remove()


def peak_cpu_bytes(run: Callable[[], object]) -> int:
    """Most memory that PyTorch held at once during a run, above what it held before."""
    run()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        run()
    events = profiler.profiler.kineto_results.events()
    changes = [event for event in events if event.name() == "[memory]"]
    held = peak = 0
    for change in sorted(changes, key=lambda event: event.start_ns()):
        held += change.nbytes()
        peak = max(peak, held)
    return peak
