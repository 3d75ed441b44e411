"""How often does a network recognise the class, on voices that it was not trained on?

    python tools/visemes/evaluate.py recorded.npz espeak.npz --weights visemes.npz

Reads the files of `prepare.py`. What the classes come to as movement, and how well they fit the
mouths of real people, is measured by `benchmarks/visemes.py`.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from train import STRIDE, pieces_of, read_pieces

from multitalk.speech.network import listen, weights_from
from multitalk.speech.phonemes import NUM_VISEMES, VISEMES

MOST_CONFUSIONS = 3


def confusion(guessed: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each class, by row, is heard as each class, by column."""
    counts = np.zeros((NUM_VISEMES, NUM_VISEMES), np.int64)
    np.add.at(counts, (labels, guessed), 1)
    return counts


def print_accuracy(title: str, counts: NDArray[np.int64]) -> None:
    """Share of right steps, and for each class what is heard of it."""
    print(f"\n{title}: {counts.sum()} steps, {counts.trace() / counts.sum():.1%} right")
    for viseme, row in zip(VISEMES, counts, strict=True):
        shares = row / max(row.sum(), 1)
        order = np.argsort(-shares)[: MOST_CONFUSIONS + 1]
        heard = ", ".join(f"{VISEMES[other]} {shares[other]:.0%}" for other in order)
        print(f"  {viseme:6} {row.sum():7d} steps heard as {heard}")


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", type=Path, nargs="+", help="files of prepare.py")
    parser.add_argument("--weights", type=Path, required=True)
    arguments = parser.parse_args()
    with np.load(arguments.weights) as arrays:
        weights = weights_from(arrays)
    totals: dict[str, NDArray[np.int64]] = defaultdict(
        lambda: np.zeros((NUM_VISEMES, NUM_VISEMES), np.int64)
    )
    for path in arguments.features:
        held_out = [row for row in read_pieces(path) if row[2][1]]
        for piece in pieces_of(held_out, weights.prior):
            said = listen(piece.features.astype(np.float32), weights)
            kind = "espeak-ng" if piece.voice.startswith("espeak") else piece.voice
            quality = "as if recorded" if piece.is_recording else "clean"
            totals[f"{kind}, {quality}"] += confusion(
                said.argmax(axis=1), piece.labels[::STRIDE].argmax(axis=1)
            )
    for title in sorted(totals):
        print_accuracy(title, totals[title])


if __name__ == "__main__":
    main()
