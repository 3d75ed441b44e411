"""Train the network of live speech: what the shipped one says, without waiting for the future.

    python tools/visemes/distil_stream.py people.npz espeak.npz --minutes 70 --output live.npz

The student begins as the shipped network, with its weights of four bits. It classifies a lesson as
a stream does (`stream_network_torch.py`), at instants whose distance is drawn for each batch. It
learns the probabilities that the shipped network, the teacher, finds in the whole lesson (Hinton et
al., "Distilling the knowledge in a neural network", 2015), and above all the movement that these
come to (`live_losses.py`). No labels are needed. What is written is a running mean of the student's
weights, which changes less from step to step.
"""

import argparse
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from corpus import Utterance, read_corpus, unheard
from live_losses import WEIGHTS, Losses, live_losses
from stream_network_torch import StreamNetwork
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from training_data import STEP, Lessons, silent

from multitalk.array_types import Array
from multitalk.speech.live_visemes import FRAME_FEATURES, USUAL_LOUDNESS, RunningLoudness
from multitalk.speech.log_mel import BAND_OFFSET, BAND_SCALE, LEAST_BAND, LOUDNESS_PERCENTILE
from multitalk.speech.phonemes import BILABIAL
from multitalk.speech.viseme_network import STRIDE, predict, shipped_weights
from multitalk.speech.viseme_stream import FRONT_REACH

BATCH = 4
# Lessons in memory: each is seen several times, at other instants. One is replaced in each step.
FIRST_POOL, POOL = 64, 240
MOST_KEPT = 0.995  # of the mean weights in each step
SHORTEST_HOP, LONGEST_HOP = 8, 14  # steps
# A live voice's loudness is not known as well as the whole talk's. Deviations of its decimal
# logarithm: within a session, and of a voice's own from the usual one, from which a session begins.
KNOWN_DEVIATION, USUAL_DEVIATION = 0.13, 0.5
BEGINNING_SHARE = 0.5  # lessons with which a session begins
# Taken off the score of p, b and m in what is written. Where the future is not known a student that
# learns probabilities closes the lips more often than the whole talk does.
LESS_CLOSED = 0.15
WARM_UP_STEPS = 30
REPORT_STEPS = 50


class Lesson(NamedTuple):
    """The features [NUM_BANDS, 2 N + FRONT_REACH] and the teacher's probabilities, [N, 16]."""

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
            predict(np.ascontiguousarray(heard.T), weights)[FRONT_REACH // STRIDE :],
        )
        for heard in lessons.batch(count).heard
    ]


class Batches:
    """Draws batches from a pool of lessons that is renewed bit by bit."""

    def __init__(self, lessons: Lessons, random: np.random.Generator) -> None:
        self._lessons, self._random = lessons, random
        self._pool = drawn(lessons, FIRST_POOL)

    def draw(self) -> tuple[Tensor, Tensor]:
        """Features [B, NUM_BANDS, T] and the teacher's probabilities [B, N, NUM_VISEMES]."""
        self._pool = (drawn(self._lessons, 1) + self._pool)[:POOL]
        chosen = self._random.choice(len(self._pool), BATCH, replace=False)
        heard, taught = zip(*(self._pool[index] for index in chosen), strict=True)
        misjudged = np.stack([misjudge(each, self._random) for each in heard])
        return torch.from_numpy(misjudged), torch.from_numpy(np.stack(taught))


def misjudge(heard: Array, random: np.random.Generator) -> Array:
    """Features [NUM_BANDS, T] relative to the loudness that a live session knows by then."""
    least = np.float32((LEAST_BAND + BAND_OFFSET) / BAND_SCALE)
    if random.random() < BEGINNING_SHARE:
        energies = np.mean(10 ** (BAND_SCALE * heard - BAND_OFFSET), axis=0)
        energies[heard.max(axis=0) <= least] = 0
        loudness = USUAL_LOUDNESS * 10 ** random.normal(0, USUAL_DEVIATION)
        energies *= loudness / (np.percentile(energies, LOUDNESS_PERCENTILE) + 1e-9)
        louder = -np.log10(known_loudness(energies) / loudness)
    else:
        louder = np.full(heard.shape[1], random.normal(0, KNOWN_DEVIATION))
    return np.maximum(heard + (louder / BAND_SCALE).astype(np.float32), least)


def known_loudness(energies: Array) -> Array:
    """What `live_visemes` takes for the loudness of a voice at each feature, [T]."""
    running = RunningLoudness()
    known = []
    for first in range(0, len(energies), FRAME_FEATURES):
        running.add(energies[first : first + FRAME_FEATURES])
        known.append(running.now())
    return np.repeat(known, FRAME_FEATURES)[: len(energies)]


def optimiser_of(student: StreamNetwork, *, ear_rate: float, rate: float) -> AdamW:
    """With the highest learning rate of each group of parameters."""
    head = [student.entry, student.blocks, student.exit]
    ear = [*student.ear_parameters(), *student.norm.parameters()]
    groups = [
        {"params": ear, "highest": ear_rate},
        {"params": [each for part in head for each in part.parameters()], "highest": rate},
    ]
    return AdamW(groups, weight_decay=1e-3)


def save(student: StreamNetwork, path: Path) -> None:
    """Write the student's weights, and let it close the lips a little less often."""
    student = deepcopy(student)
    with torch.no_grad():
        student.exit.bias[BILABIAL] -= LESS_CLOSED
    student.save(path)


def train(arguments: argparse.Namespace) -> None:
    """Train for a time or a number of steps, and save."""
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    random = np.random.default_rng(arguments.seed)
    lessons = Lessons(
        unlabelled(arguments.corpora),
        formant_share=arguments.formant_share,
        taught_share=1 - arguments.formant_share - arguments.recorded_share,
        seed=arguments.seed,
    )
    student = StreamNetwork()
    shipped = Path(str(files("multitalk.speech").joinpath("visemes.npz")))
    student.begin_from_file(arguments.start or shipped)
    student.eval()  # Without dropout: what is to be learnt is certain, and no lesson comes again.
    mean = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(MOST_KEPT))
    optimiser = optimiser_of(student, ear_rate=arguments.ear_rate, rate=arguments.rate)
    batches = Batches(lessons, random)
    begin, means = time.monotonic(), np.zeros(len(WEIGHTS))
    for step in count():
        elapsed = (time.monotonic() - begin) / 60
        done = step / arguments.steps if arguments.steps else elapsed / arguments.minutes
        if done >= 1:
            break
        rate = min(1, (step + 1) / WARM_UP_STEPS) * (0.5 + 0.5 * np.cos(np.pi * done))
        for group in optimiser.param_groups:
            group["lr"] = group["highest"] * rate + 1e-6
        heard, taught = batches.draw()
        hop = int(random.integers(SHORTEST_HOP, LONGEST_HOP + 1))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.bfloat16):
            said = student.stream(heard, hop=hop)
        losses = torch.stack(live_losses(said, taught, hop=hop))
        optimiser.zero_grad()
        (losses * torch.stack(WEIGHTS)).sum().backward()
        nn.utils.clip_grad_norm_(student.parameters(), 2.0)
        optimiser.step()
        mean.update_parameters(student)
        means += (0.02 if step else 1) * (losses.detach().numpy() - means)
        if (step + 1) % REPORT_STEPS == 0:
            found = ", ".join(
                f"{name} {value:.4f}" for name, value in zip(Losses._fields, means, strict=True)
            )
            print(f"{elapsed:.1f} min, step {step + 1}: {found}", flush=True)
            save(mean.module, arguments.output)
    save(mean.module, arguments.output)


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="go on from these weights (default: shipped)")
    parser.add_argument("--minutes", type=float, default=70.0)
    parser.add_argument("--steps", type=int, help="instead of --minutes: repeatable")
    parser.add_argument("--rate", type=float, default=3e-4, help="highest learning rate")
    parser.add_argument("--ear-rate", type=float, default=1e-4, help="the same, below the head")
    parser.add_argument(
        "--formant-share", type=float, default=0.15, help="share of espeak-ng speech"
    )
    parser.add_argument(
        "--recorded-share", type=float, default=0.2, help="share of voices made of recordings"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor has it")
    parser.add_argument("--threads", type=int, default=1)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
