"""Train the network of live speech: what the shipped one says, without waiting for the future.

    python tools/visemes/distil_stream.py people.npz espeak.npz --minutes 50 --output live.npz

The student begins as the shipped network, with its weights of four bits. It sees a lesson in chunks
(`stream_network_torch.py`) of a length that is drawn for each batch, and learns the probabilities
that the shipped network, the teacher, finds in the whole lesson (Hinton et al., "Distilling the
knowledge in a neural network", 2015). No labels are needed. What is written is a running mean of
the student's weights, which changes less from step to step.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from corpus import Utterance, read_corpus, unheard
from stream_network_torch import StreamNetwork
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from training_data import STEP, Lessons, silent

from multitalk.array_types import Array
from multitalk.speech.coarticulation import (
    LIP_COARTICULATION,
    OPENING,
    OPENING_DOMINANCE,
    PROBABILITY_RATE,
    WIDTH,
    WIDTH_COARTICULATION,
    WIDTH_DOMINANCE,
)
from multitalk.speech.phonemes import BILABIAL
from multitalk.speech.viseme_network import STRIDE, predict, shipped_weights
from multitalk.speech.viseme_stream import FRONT_REACH

BATCH = 4
# Lessons in memory: each is seen several times, in other chunks. One is replaced in each step.
FIRST_POOL, POOL = 64, 240
MOST_KEPT = 0.99  # of the mean weights in each step
SHORTEST_CHUNK, LONGEST_CHUNK = 4, 16  # steps
MOVEMENT_WEIGHT, CLOSURE_WEIGHT = 10.0, 3.0
# A bilabial's probability closes the lips from here on, with this softness.
CLOSED, SOFTNESS = 0.245, 0.05
WARM_UP_STEPS = 30
REPORT_STEPS = 50


class Lesson(NamedTuple):
    """The features [NUM_BANDS, 2 N + FRONT_REACH] and the teacher's probabilities, [16, N]."""

    heard: Array
    taught: Array


def unlabelled(paths: list[Path]) -> Iterator[Utterance]:
    """Utterances of corpora; of people whose words nobody knows with labels that are not used."""
    for path in paths:
        for utterance in read_corpus(path):
            if utterance.phones:
                yield replace(utterance, probabilities=unheard())
            else:
                num_steps = len(utterance.samples) // STEP
                yield utterance.taught(silent(num_steps).astype(np.float16))


def drawn(lessons: Lessons, count: int) -> list[Lesson]:
    """New lessons and what the teacher says of the whole of each."""
    weights = shipped_weights()
    return [
        Lesson(
            # The first step is the reach of the front.
            heard,
            predict(np.ascontiguousarray(heard.T), weights)[FRONT_REACH // STRIDE :].T,
        )
        for heard in lessons.batch(count).heard
    ]


class Batches:
    """Draws batches from a pool of lessons that is renewed bit by bit."""

    def __init__(self, lessons: Lessons, random: np.random.Generator) -> None:
        self._lessons, self._random = lessons, random
        self._pool = drawn(lessons, FIRST_POOL)

    def draw(self) -> tuple[Tensor, Tensor]:
        """Features [B, NUM_BANDS, T] and the teacher's probabilities [B, NUM_VISEMES, N]."""
        self._pool = (drawn(self._lessons, 1) + self._pool)[:POOL]
        chosen = self._random.choice(len(self._pool), BATCH, replace=False)
        heard, taught = zip(*(self._pool[index] for index in chosen), strict=True)
        return torch.from_numpy(np.stack(heard)), torch.from_numpy(np.stack(taught))


def losses(scores: Tensor, taught: Tensor) -> Tensor:
    """Divergence from the teacher, and what it comes to as opening, width and closure: [3]."""
    logarithms = functional.log_softmax(scores, dim=1)
    divergence = (taught * (taught.clamp_min(1e-6).log() - logarithms)).sum(dim=1).mean()
    said = logarithms.exp()
    moved = torch.stack(
        [
            (movement(said, *curve) - movement(taught, *curve)).square().mean()
            for curve in (
                (OPENING, OPENING_DOMINANCE, LIP_COARTICULATION),
                (WIDTH, WIDTH_DOMINANCE, WIDTH_COARTICULATION),
            )
        ]
    ).sum()
    closed, wanted = (
        torch.sigmoid((probabilities[:, BILABIAL] - CLOSED) / SOFTNESS)
        for probabilities in (said, taught)
    )
    return torch.stack([divergence, moved, (closed - wanted).square().mean()])


def movement(probabilities: Tensor, target: Array, dominance: Array, seconds: float) -> Tensor:
    """`coarticulation.coarticulate` in torch: [B, NUM_VISEMES, N] to [B, N]."""
    sigma = seconds * PROBABILITY_RATE
    radius = int(np.ceil(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    pulls = torch.from_numpy(np.stack([dominance * target, dominance]))  # [2, NUM_VISEMES]
    pulled = torch.einsum("bcn,kc->bkn", probabilities, pulls).flatten(0, 1)[:, None]
    smooth = functional.conv1d(
        functional.pad(pulled, (radius, radius), mode="replicate"), kernel[None, None]
    )
    both = smooth.view(len(probabilities), 2, -1)
    return both[:, 0] / both[:, 1]


def optimiser_of(student: StreamNetwork, *, ear_rate: float, rate: float) -> AdamW:
    """With the highest learning rate of each group of parameters."""
    head = [student.entry, student.blocks, student.exit]
    ear = [*student.ear_parameters(), *student.norm.parameters()]
    groups = [
        {"params": ear, "highest": ear_rate},
        {"params": [each for part in head for each in part.parameters()], "highest": rate},
    ]
    return AdamW(groups, weight_decay=1e-3)


def train(arguments: argparse.Namespace) -> None:
    """Train for a time or a number of steps, and save."""
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    random = np.random.default_rng(arguments.seed)
    lessons = Lessons(
        unlabelled(arguments.corpora),
        formant_share=arguments.formant_share,
        taught_share=1 - arguments.formant_share,
        seed=arguments.seed,
    )
    student = StreamNetwork()
    shipped = Path(str(files("multitalk.speech").joinpath("visemes.npz")))
    student.begin_from_file(arguments.start or shipped)
    student.train()
    mean = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(MOST_KEPT))
    optimiser = optimiser_of(student, ear_rate=arguments.ear_rate, rate=arguments.rate)
    batches, weighed = Batches(lessons, random), torch.tensor([1, MOVEMENT_WEIGHT, CLOSURE_WEIGHT])
    begin, means = time.monotonic(), np.zeros(3)
    for step in count():
        elapsed = (time.monotonic() - begin) / 60
        done = step / arguments.steps if arguments.steps else elapsed / arguments.minutes
        if done >= 1:
            break
        rate = min(1, (step + 1) / WARM_UP_STEPS) * (0.5 + 0.5 * np.cos(np.pi * done))
        for group in optimiser.param_groups:
            group["lr"] = group["highest"] * rate + 1e-6
        heard, taught = batches.draw()
        chunk = int(random.integers(SHORTEST_CHUNK, LONGEST_CHUNK + 1))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.bfloat16):
            scores = student.stream(heard, chunk=chunk).float()
        parts = losses(scores, taught[:, :, : scores.shape[2]])
        optimiser.zero_grad()
        (parts * weighed).sum().backward()
        nn.utils.clip_grad_norm_(student.parameters(), 2.0)
        optimiser.step()
        mean.update_parameters(student)
        means += (0.03 if step else 1) * (parts.detach().numpy() - means)
        if (step + 1) % REPORT_STEPS == 0:
            print(f"{elapsed:.1f} min, step {step + 1}: divergence {means[0]:.3f}, movement "
                  f"{means[1]:.4f}, closure {means[2]:.4f}", flush=True)  # fmt: skip
            mean.module.save(arguments.output)
    mean.module.save(arguments.output)


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="go on from these weights (default: shipped)")
    parser.add_argument("--minutes", type=float, default=50.0)
    parser.add_argument("--steps", type=int, help="instead of --minutes: repeatable")
    parser.add_argument("--rate", type=float, default=4e-4, help="highest learning rate")
    parser.add_argument("--ear-rate", type=float, default=1e-4, help="the same, below the head")
    parser.add_argument(
        "--formant-share", type=float, default=0.2, help="share of espeak-ng speech"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor has it")
    parser.add_argument("--threads", type=int, default=1)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
