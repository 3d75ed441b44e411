"""What the diffusion network's savings save, and its cost model beside measured: on the CPU, small.

Of the real size on a GPU, `prove_gpu` says what holds.
"""

import argparse
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import partial
from statistics import median

import torch
from diffusers.utils import logging as diffusers_logging

from clocks import interleaved, matmul_rate, peak_cpu_bytes
from diffusion_cost import Size
from diffusion_models import forward, make_inputs, make_transformer
from diffusion_tables import SECTIONS, Row
from measured_cost import measure_cost
from multitalk.engines.diffusion.speaker_binding import speaker_map
from multitalk.engines.diffusion.transformer import CachedConditions
from plain_transformer import PlainTransformer, speaker_map_of_scores
from random_weights import ROOT

SMALL = {
    "num_attention_heads": 8,
    "attention_head_dim": 64,
    "ffn_dim": 1408,
    "num_layers": 4,
    "text_dim": 512,
    "image_dim": 320,
    "audio_feature_dim": 12 * 96,
    "audio_hidden_dim": 128,
    "audio_dim": 96,
}
SMALL_SIZE = Size(7, 32, 52)


def measured(rounds: int) -> Iterator[tuple[str, Row]]:
    """Rows and the section that each is of, on one thread."""
    torch.set_num_threads(1)
    for speakers in (1, 2):
        yield "savings", measure_savings(speakers, rounds)
    for size in (SMALL_SIZE, Size(7, 64, 52), Size(14, 64, 52)):
        yield "map memory", measure_map_memory(size)
    rate = matmul_rate(2048, "cpu", torch.float32, time.process_time)
    model = make_transformer(SMALL, "cpu", torch.float32)
    for size, speakers in ((Size(4, 32, 52), 1), (SMALL_SIZE, 1), (SMALL_SIZE, 2)):
        clock = time.process_time
        yield "cost", measure_cost(model, size, speakers, clock=clock, rate=rate, rounds=5)


def measure_savings(speakers: int, rounds: int) -> dict[str, object]:
    """The network with its savings beside itself without: seconds of one thread, difference.

    "plain" makes the speaker map class by class, as published, "product" by one matrix product.
    For one speaker the published pipeline passes three masks that cover everything.
    """
    model = make_transformer(SMALL, "cpu", torch.float32)
    inputs = make_inputs(model, SMALL_SIZE, speakers)
    shared = CachedConditions()
    runs = {
        "ours": lambda: forward(model, inputs, shared),
        "plain": partial(PlainTransformer(model, class_by_class=True), **inputs),
        "product": partial(PlainTransformer(model, class_by_class=False), **inputs),
    }
    expected = runs["plain"]()
    difference = (runs["ours"]() - expected).abs().max().item()
    seconds = interleaved(runs, rounds, time.process_time)
    row = {
        "speakers": speakers,
        "tokens": SMALL_SIZE.tokens,
        "rounds": rounds,
        "difference": difference,
        "largest_output": expected.abs().max().item(),
        "seconds": {name: median(values) for name, values in seconds.items()},
    }
    for other in ("plain", "product"):
        pairs = zip(seconds["ours"], seconds[other], strict=True)
        ratios = [ours / theirs for ours, theirs in pairs]
        row[f"ours_by_{other}"] = [median(ratios), min(ratios), max(ratios)]
    return row


def measure_map_memory(size: Size) -> dict[str, object]:
    """Peak memory that a block's speaker map takes beside its inputs: 8 heads of 64, float32."""
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(1, size.tokens, 8, 64, generator=generator)
    key = query[:, : size.frame_tokens]
    masks = torch.arange(size.frame_tokens) % 3 == torch.arange(3)[:, None]
    return {
        "tokens": size.tokens,
        "frame_tokens": size.frame_tokens,
        "ours_bytes": peak_cpu_bytes(lambda: speaker_map(query, key, masks)),
        "plain_bytes": peak_cpu_bytes(lambda: speaker_map_of_scores(query, key, masks)),
    }


def main() -> None:
    """Measure, and print a table row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="of the comparison")
    arguments = parser.parse_args()
    diffusers_logging.set_verbosity_error()  # it warns at each change of the attention backend
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    described = subprocess.run(git, check=False, capture_output=True, text=True)
    commit = described.stdout.strip() or "unknown"
    today = datetime.now(timezone.utc).date().isoformat()
    load = f"{os.cpu_count()} cores at load {os.getloadavg()[0]:.1f}"
    print(f"{today}, commit {commit}, {load}, torch {torch.__version__}")
    shown = None
    for section, row in measured(arguments.rounds):
        headings, lines = SECTIONS[section]
        if section != shown:
            shown = section
            print("", _line(headings), _line(["---"] * len(headings)), sep="\n")
        for line in lines(row):
            print(_line(line), flush=True)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
