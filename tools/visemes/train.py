"""Train the viseme network and write the weights that the runtime reads.

    python tools/visemes/train.py recorded.npz espeak.npz taught.npz --whisper model.bin \
        --minutes 40 --output fine.npz
    python tools/visemes/train.py recorded.npz espeak.npz taught.npz --start fine.pt --coarse \
        --rate 6e-4 --ear-rate 1.5e-4 --minutes 20 --output visemes.npz

The network begins as the lowest layers of Whisper (`viseme_network_torch.py`) and learns the class
of each step. Labels are certain where the phones are known, and probabilities where a teacher
listened to people (`teach.py`). Beside the classes it learns the movement itself
(`coarticulation.mouth_curves` of the labels), so visible mistakes count more than others.
Weights are written with four bits; a second run lets the network learn with these.
"""

import argparse
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty

import numpy as np
import torch
from corpus import read_corpus
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from training_data import Batch, Lessons
from viseme_network_torch import EarNetwork

from multitalk.speech.phonemes import NUM_VISEMES

BATCH = 12
CURVE_WEIGHT = 10.0
EDGE = 8  # steps at the ends of a lesson whose movement depends on phones outside it
LABEL_SMOOTHING = 0.05
WARM_UP_STEPS = 100
PATIENCE_SECONDS = 10.0


def drawn_ahead(lessons: Lessons) -> Iterator[Batch]:
    """Batches without end, drawn in a process of their own: making lessons takes a core, too."""
    queue: multiprocessing.Queue[Batch] = multiprocessing.Queue(maxsize=6)

    def draw() -> None:
        torch.set_num_threads(1)
        while True:
            queue.put(lessons.batch(BATCH))

    process = multiprocessing.get_context("fork").Process(target=draw, daemon=True)
    process.start()
    while True:
        try:
            yield queue.get(timeout=PATIENCE_SECONDS)
        except Empty:
            if not process.is_alive():
                raise SystemExit(
                    "the process that makes the lessons has ended, see above"
                ) from None


def class_weights(share: NDArray[np.float64]) -> Tensor:
    """Of classes that make up these shares of the speech: rare ones count more, on average 1."""
    weights = np.maximum(share, 1e-3) ** -0.4
    return torch.tensor(weights / np.sum(weights * share), dtype=torch.float32)


def losses(said: Tensor, batch: Batch, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Of the classes, cross entropy; of the movement, mean square."""
    labels, movement, is_taught = map(torch.from_numpy, batch[1:])
    # A teacher's doubts are known already, and its classes were weighed when it learnt.
    certain = labels * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / NUM_VISEMES
    wanted = torch.where(is_taught[:, None, None], labels, certain * weights[:, None])
    logarithms = functional.log_softmax(said[:, :NUM_VISEMES], dim=1)
    error = (said[:, NUM_VISEMES:] - movement)[:, :, EDGE:-EDGE]
    return -(wanted * logarithms).sum(dim=1).mean(), error.square().mean()


def train(arguments: argparse.Namespace) -> None:
    """Train for a time or a number of steps, and save."""
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    lessons = Lessons(
        (utterance for path in arguments.corpora for utterance in read_corpus(path)),
        formant_share=arguments.formant_share,
        taught_share=arguments.taught_share,
        seed=arguments.seed,
    )
    network = EarNetwork()
    size = sum(parameter.numel() for parameter in network.parameters())
    print(f"{len(lessons.known)} voices, taught by {list(lessons.taught) or 'nobody'}, "
          f"{size} parameters; unknown phones: {lessons.unknown_phones or 'none'}",
          flush=True)  # fmt: skip
    if arguments.start is None:
        network.begin_from_whisper(arguments.whisper)
    else:
        network.load_state_dict(torch.load(arguments.start))
    if arguments.coarse:
        network.coarsen()
    ear = network.ear_parameters()
    known = {id(parameter) for parameter in ear}
    head = [parameter for parameter in network.parameters() if id(parameter) not in known]
    optimiser = torch.optim.AdamW(
        [
            {"params": ear, "highest": arguments.ear_rate},
            {"params": head, "highest": arguments.rate},
        ],
        weight_decay=1e-2,
    )
    weights = class_weights(lessons.class_shares())
    begin, means = time.monotonic(), np.zeros(2)
    for step, batch in enumerate(drawn_ahead(lessons)):
        elapsed = (time.monotonic() - begin) / 60
        done = step / arguments.steps if arguments.steps else elapsed / arguments.minutes
        if done >= 1:
            break
        rate = min(1, (step + 1) / WARM_UP_STEPS) * (0.5 + 0.5 * np.cos(np.pi * done))
        for group in optimiser.param_groups:
            group["lr"] = group["highest"] * rate + 1e-6
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.bfloat16):
            said = network(torch.from_numpy(batch.heard))
        guess, error = losses(said.float(), batch, weights)
        optimiser.zero_grad()
        (guess + CURVE_WEIGHT * error).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        means += (0.02 if step else 1) * (np.array([guess.item(), error.item()]) - means)
        if (step + 1) % 100 == 0:
            print(f"{elapsed:.1f} min, step {step + 1}: "
                  f"class {means[0]:.3f}, curve {means[1]:.4f}", flush=True)  # fmt: skip
            network.save(arguments.output)
    network.save(arguments.output)
    if not arguments.coarse:
        torch.save(network.state_dict(), arguments.output.with_suffix(".pt"))


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, help="instead of --minutes: repeatable")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument(
        "--ear-rate", type=float, default=3e-4, help="the same, for what Whisper knew already"
    )
    parser.add_argument(
        "--formant-share", type=float, default=0.1, help="share of espeak-ng speech"
    )
    parser.add_argument(
        "--taught-share", type=float, default=0.5, help="share of what a teacher labelled"
    )
    parser.add_argument(
        "--coarse", action="store_true", help="learn with weights as they will be written"
    )
    begin = parser.add_mutually_exclusive_group(required=True)
    begin.add_argument("--whisper", type=Path, help="model.bin of Whisper tiny for CTranslate2")
    begin.add_argument("--start", type=Path, help="go on from this .pt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor has it")
    parser.add_argument("--threads", type=int, default=2)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
