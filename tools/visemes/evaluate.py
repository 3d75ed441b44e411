"""How often does a network recognise the class, on voices that it was not trained on?

    python tools/visemes/evaluate.py recorded.npz espeak.npz --weights visemes.npz

Held-out speech is classified once as it is and once as a recording. What the classes come to as
movement, and how well they fit the mouths of real people, is measured by `benchmarks/visemes.py`.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from augment import level, recorded
from corpus import read_corpus
from inference import class_probabilities
from numpy.typing import NDArray
from training_data import NUM_BABBLERS, family, labels_by_step

from multitalk.speech.phonemes import NUM_VISEMES, VISEMES
from multitalk.speech.viseme_network import weights_from

MOST_CONFUSIONS = 3


def confusion(guessed: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each class, by row, is classified as each class, by column."""
    counts = np.zeros((NUM_VISEMES, NUM_VISEMES), np.int64)
    np.add.at(counts, (labels, guessed), 1)
    return counts


def print_accuracy(title: str, counts: NDArray[np.int64]) -> None:
    """Share of right steps, and the recall of each class."""
    print(f"\n{title}: {counts.sum()} steps, {counts.trace() / counts.sum():.1%} right")
    for viseme, row in zip(VISEMES, counts, strict=True):
        shares = row / max(row.sum(), 1)
        order = np.argsort(-shares)[: MOST_CONFUSIONS + 1]
        heard = ", ".join(f"{VISEMES[other]} {shares[other]:.0%}" for other in order)
        print(f"  {viseme:6} {row.sum():7d} steps heard as {heard}")


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    with np.load(arguments.weights) as arrays:
        weights = weights_from(arrays)
    random = np.random.default_rng(arguments.seed)
    totals: dict[str, NDArray[np.int64]] = defaultdict(
        lambda: np.zeros((NUM_VISEMES, NUM_VISEMES), np.int64)
    )
    babble: list[NDArray[np.float64]] = []
    for utterance in (utterance for path in arguments.corpora for utterance in read_corpus(path)):
        if not utterance.held_out:
            continue
        labels = labels_by_step(utterance).argmax(axis=1)
        sound = utterance.samples / 32768
        babble = [*babble[1 - NUM_BABBLERS :], sound / level(sound)]
        versions = {"clean": sound, "as if recorded": recorded(sound, random, babble)}
        for quality, version in versions.items():
            said = class_probabilities(version, weights).argmax(axis=1)[: len(labels)]
            totals[f"{family(utterance.voice)}, {quality}"] += confusion(said, labels)
    for title in sorted(totals):
        print_accuracy(title, totals[title])


if __name__ == "__main__":
    main()
