"""Train the viseme network and write the weights that the runtime reads.

    python tools/visemes/train.py recorded.npz espeak.npz --minutes 20 --output visemes.npz

The network hears `features.py` at 100 Hz and says, at 50 Hz, which of the classes is spoken. Labels
are certain where the phones are known, and probabilities where a teacher listened to people
(`teach.py`). Beside the classes it learns the movement itself (`articulation.mouth_curves` of the
labels), so that mistakes that are seen count more than others. The runtime draws the movement from
the classes.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from augment import time_warp, varied
from numpy.typing import NDArray
from prepare import NOISE_VOICE
from torch import Tensor, nn
from torch.nn import functional

from multitalk.speech.articulation import PROBABILITY_RATE, mouth_curves
from multitalk.speech.features import (
    FEATURE_RATE,
    NUM_BANDS,
    NUM_FEATURES,
    features,
    speech_mean,
)
from multitalk.speech.network import DILATIONS, KERNEL
from multitalk.speech.phonemes import NUM_VISEMES, SILENCE

CROP = 320  # feature frames
BATCH = 24
STRIDE = FEATURE_RATE // PROBABILITY_RATE
# Movements of `MouthCurves` that are learnt beside the classes; the runtime leaves them out.
CURVES = ("opening", "width", "rounding", "closure")
CURVE_WEIGHT = 10.0
EDGE = 8  # steps at the ends of a crop whose movement depends on phones outside it
NOISE_SHARE = 0.04  # crops without any speech
LABEL_SMOOTHING = 0.05
# Real voices differ enough to be heard as they are now and then.
TAUGHT_VARIED_SHARE = 0.6
# How often each source of `collect_people.py` is drawn: the first part of its voices' names.
TAUGHT_SHARES = {"queen": 0.45, "prompt": 0.2, "fish": 0.2, "stamp": 0.15}
WIDENING_NOISE = 0.1


@dataclass(frozen=True)
class Piece:
    """One prepared utterance: network input [T, NUM_FEATURES] and labels [T, NUM_VISEMES]."""

    features: NDArray[np.float16]
    labels: NDArray[np.float16]
    voice: str
    held_out: bool
    is_recording: bool
    is_taught: bool


def read_pieces(path: Path) -> list[tuple[NDArray[np.float16], NDArray[np.float16], list]]:
    """Raw rows of a file that `prepare.py` wrote."""
    with np.load(path) as data:
        raw, labels, lengths = data["features"], data["labels"], data["lengths"]
        rows = json.loads(str(data["rows"]))
    ends = np.cumsum(lengths)
    return [
        (raw[end - length : end], labels[end - length : end], row)
        for end, length, row in zip(ends, lengths, rows, strict=True)
    ]


def prior_spectrum(rows: list) -> NDArray[np.float32]:
    """Mean spectrum of all speech, which `speech_mean` expects of a talk before it has heard it."""
    spoken = [raw[labels[:, SILENCE] < 0.5][:, :NUM_BANDS] for raw, labels, _ in rows[::7]]
    return np.concatenate(spoken).astype(np.float32).mean(axis=0)


def pieces_of(rows: list, prior: NDArray[np.float32]) -> list[Piece]:
    """Subtract each utterance's own mean, as the runtime does."""
    pieces = []
    for raw, labels, (voice, held_out, is_recording, is_taught) in rows:
        bands, energy = raw[:, :NUM_BANDS].astype(np.float32), raw[:, NUM_BANDS].astype(np.float32)
        heard = features(bands, energy, speech_mean(bands, energy, prior))
        heard = heard.astype(np.float16)
        pieces.append(Piece(heard, labels, voice, held_out, is_recording, is_taught))
    return pieces


class VisemeNetwork(nn.Module):
    """The network of `multitalk.speech.network` in torch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.entry = nn.Conv1d(NUM_FEATURES, channels, KERNEL, stride=STRIDE, padding=KERNEL // 2)
        self.blocks = nn.ModuleList(
            nn.Conv1d(channels, channels, KERNEL, padding=KERNEL // 2 * d, dilation=d)
            for d in DILATIONS
        )
        self.exit = nn.Conv1d(channels, NUM_VISEMES + len(CURVES), 1)

    def forward(self, heard: Tensor) -> Tensor:
        """Features [B, NUM_FEATURES, T] to scores and curves [B, NUM_VISEMES + CURVES, T / 2]."""
        hidden = functional.relu(self.entry(heard))
        for block in self.blocks:
            hidden = hidden + functional.relu(block(functional.dropout(hidden, 0.1, self.training)))
        return self.exit(hidden)


class Batch(NamedTuple):
    """Augmented crops, float32.

    Attributes:
        heard: [B, NUM_FEATURES, T].
        labels: Probabilities of the classes, [B, NUM_VISEMES, T / 2].
        movement: `mouth_curves` of the labels, [B, CURVES, T / 2].
        is_taught: Labelled by a teacher, bool [B].
    """

    heard: NDArray[np.float32]
    labels: NDArray[np.float32]
    movement: NDArray[np.float32]
    is_taught: NDArray[np.bool_]


class Sampler:
    """Draws augmented batches: shares of taught, formant and other speech, uniform over voices."""

    def __init__(
        self,
        pieces: list[Piece],
        scale: tuple[NDArray[np.float32], NDArray[np.float32]],
        *,
        formant_share: float,
        taught_share: float,
        seed: int,
    ) -> None:
        self.mean, self.deviation = scale
        self.formant_share = formant_share
        self.random = np.random.default_rng(seed)
        self.groups: dict[str, list[Piece]] = {}
        self.taught: dict[str, list[Piece]] = {}
        for piece in pieces:
            if len(piece.labels) <= CROP:
                continue
            if piece.is_taught:
                self.taught.setdefault(piece.voice.split("-")[0], []).append(piece)
            else:
                group = "espeak" if piece.voice.startswith("espeak") else piece.voice
                self.groups.setdefault(group, []).append(piece)
        self.taught_share = taught_share if self.taught else 0.0
        self.recorded = [group for group in self.groups if group not in ("espeak", NOISE_VOICE)]
        shares = np.array([TAUGHT_SHARES[source] for source in self.taught])
        self.sources, self.source_shares = list(self.taught), shares / max(shares.sum(), 1e-9)

    def batch(self) -> Batch:
        """Draw."""
        pieces = [self._piece() for _ in range(BATCH)]
        crops = [self._crop(piece) for piece in pieces]
        heard = np.stack([((crop - self.mean) / self.deviation).T for crop, _ in crops])
        movement = np.stack([curve_targets(labels) for _, labels in crops])
        return Batch(
            heard.astype(np.float32),
            np.stack([labels.T for _, labels in crops]),
            movement.astype(np.float32),
            np.array([piece.is_taught for piece in pieces]),
        )

    def _piece(self) -> Piece:
        random = self.random
        if NOISE_VOICE in self.groups and random.random() < NOISE_SHARE:
            group = self.groups[NOISE_VOICE]
        elif random.random() < self.taught_share:
            group = self.taught[random.choice(self.sources, p=self.source_shares)]
        elif "espeak" in self.groups and random.random() < self.formant_share:
            group = self.groups["espeak"]
        else:
            group = self.groups[self.recorded[random.integers(len(self.recorded))]]
        return group[random.integers(len(group))]

    def _crop(self, piece: Piece) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        random = self.random
        start = random.integers(len(piece.labels) - CROP)
        heard = piece.features[start : start + CROP].astype(np.float32)
        labels = piece.labels[start : start + CROP].astype(np.float32)
        if random.random() < 0.6:
            positions = time_warp(CROP, random)
            left = positions.astype(int)
            part = (positions - left)[:, None].astype(np.float32)
            heard = heard[left] * (1 - part) + heard[left + 1] * part
            labels = labels[np.rint(positions).astype(int)]
        if not piece.is_taught or random.random() < TAUGHT_VARIED_SHARE:
            heard = varied(heard, random)
        return heard, labels[::STRIDE]


def drawn_ahead(sampler: Sampler) -> Iterator[Batch]:
    """Batches without end, drawn in a process of their own: augmenting takes a core, too."""
    queue: multiprocessing.Queue[Batch] = multiprocessing.Queue(maxsize=12)

    def draw() -> None:
        while True:
            queue.put(sampler.batch())

    process = multiprocessing.get_context("fork").Process(target=draw, daemon=True)
    process.start()
    while True:
        yield queue.get()


def curve_targets(labels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The movement of labels [N, NUM_VISEMES] as the network shall say it, [CURVES, N]."""
    curves = mouth_curves(labels)
    return np.stack([getattr(curves, name) for name in CURVES])


def class_weights(share: NDArray[np.float64]) -> Tensor:
    """Of classes that make up these shares of the speech: rare ones count more, on average 1."""
    weights = np.maximum(share, 1e-3) ** -0.4
    return torch.tensor(weights / np.sum(weights * share), dtype=torch.float32)


def widened(state: dict[str, Tensor], channels: int) -> dict[str, Tensor]:
    """The same network with more channels: some stand twice and share their work.

    A little noise lets the twins part. (Chen et al., "Net2Net", 2016.)
    """
    narrow = len(state["entry.bias"])
    source = np.resize(np.arange(narrow), channels)
    shares = 1 / torch.from_numpy(np.bincount(source)[source]).float()
    result = {}
    for name, value in state.items():
        wide = value if name.startswith("exit") else value[source]
        if name.endswith("weight") and not name.startswith("entry"):
            wide = wide[:, source] * shares[:, None]
        if name.endswith("weight"):
            wide = wide * (1 + WIDENING_NOISE * torch.randn_like(wide))
        result[name] = wide
    return result


def train(arguments: argparse.Namespace) -> None:
    """Train for a time or a number of steps, and save."""
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    rows = [row for path in arguments.features for row in read_pieces(path)]
    if arguments.start is None:
        prior = prior_spectrum(rows)
    else:
        with np.load(arguments.start) as before:
            mean, deviation, prior = (
                before[name].astype(np.float32) for name in ("mean", "deviation", "prior")
            )
    training = [piece for piece in pieces_of(rows, prior) if not piece.held_out]
    del rows
    if arguments.start is None:
        sample = np.concatenate([piece.features for piece in training[::7]]).astype(np.float32)
        mean, deviation = sample.mean(axis=0), sample.std(axis=0) + 1e-3
    sampler = Sampler(
        training,
        (mean, deviation),
        formant_share=arguments.formant_share,
        taught_share=arguments.taught_share,
        seed=arguments.seed,
    )
    network = VisemeNetwork(arguments.channels)
    size = sum(parameter.numel() for parameter in network.parameters())
    print(f"{len(training)} pieces, {len(sampler.groups)} voice groups, taught by "
          f"{sampler.sources or 'nobody'}, {size} parameters", flush=True)  # fmt: skip
    if arguments.start is not None:
        state = torch.load(arguments.start.with_suffix(".pt"))
        network.load_state_dict(widened(state, arguments.channels))
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    known = [piece.labels for piece in training[::5] if not piece.is_taught]
    weights = class_weights(np.concatenate(known).mean(axis=0, dtype=np.float64))[None, :, None]
    begin, losses = time.monotonic(), np.zeros(2)
    for step, batch in enumerate(drawn_ahead(sampler)):
        elapsed = (time.monotonic() - begin) / 60
        done = step / arguments.steps if arguments.steps else elapsed / arguments.minutes
        if done >= 1:
            break
        rate = arguments.rate * min(1, (step + 1) / 200) * (0.5 + 0.5 * np.cos(np.pi * done))
        for group in optimiser.param_groups:
            group["lr"] = rate + 1e-5
        heard, labels, movement, is_taught = map(torch.from_numpy, batch)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.bfloat16):
            said = network(heard)
        said = said.float()
        # A teacher's doubts are known already, and its classes were weighed when it learnt.
        certain = (labels * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / NUM_VISEMES) * weights
        wanted = torch.where(is_taught[:, None, None], labels, certain)
        logarithms = functional.log_softmax(said[:, :NUM_VISEMES], dim=1)
        guess = -(wanted * logarithms).sum(dim=1).mean()
        error = (said[:, NUM_VISEMES:] - movement)[:, :, EDGE:-EDGE].square().mean()
        optimiser.zero_grad()
        (guess + CURVE_WEIGHT * error).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        losses += (0.02 if step else 1) * (np.array([guess.item(), error.item()]) - losses)
        if (step + 1) % 500 == 0:
            print(f"{elapsed:.1f} min, step {step + 1}: "
                  f"class {losses[0]:.3f}, curve {losses[1]:.4f}", flush=True)  # fmt: skip
            save(network, mean, deviation, prior, arguments.output)
    save(network, mean, deviation, prior, arguments.output)
    torch.save(network.state_dict(), arguments.output.with_suffix(".pt"))


def save(
    network: VisemeNetwork,
    mean: NDArray[np.float32],
    deviation: NDArray[np.float32],
    prior: NDArray[np.float32],
    path: Path,
) -> None:
    """Write what `multitalk.speech.network.load_weights` reads, as float16."""
    arrays = {"mean": mean, "deviation": deviation, "prior": prior}
    layers = {"entry": network.entry, "exit": network.exit}
    layers |= {f"block{index}": block for index, block in enumerate(network.blocks)}
    for name, layer in layers.items():
        # [out, in, taps] -> [taps, in, out], so that the runtime multiplies without copies.
        arrays[f"{name}_weight"] = layer.weight.detach().numpy().transpose(2, 1, 0)
        arrays[f"{name}_bias"] = layer.bias.detach().numpy()
    arrays["exit_weight"] = arrays["exit_weight"][:, :, :NUM_VISEMES]
    arrays["exit_bias"] = arrays["exit_bias"][:NUM_VISEMES]
    np.savez_compressed(path, **{key: value.astype(np.float16) for key, value in arrays.items()})


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", type=Path, nargs="+", help="files of prepare.py")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--steps", type=int, help="instead of --minutes: repeatable")
    parser.add_argument("--channels", type=int, default=96)
    parser.add_argument("--rate", type=float, default=2.5e-3, help="highest learning rate")
    parser.add_argument(
        "--formant-share", type=float, default=0.3, help="share of espeak-ng speech"
    )
    parser.add_argument(
        "--taught-share", type=float, default=0.6, help="share of what a teacher labelled"
    )
    parser.add_argument(
        "--start",
        type=Path,
        help="go on from this .npz and the .pt beside it; may have fewer channels",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor has it")
    parser.add_argument("--threads", type=int, default=1)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
