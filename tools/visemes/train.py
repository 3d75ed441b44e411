"""Train the viseme network and write the weights that the runtime reads.

    python tools/visemes/train.py recorded.npz espeak.npz --minutes 20 --output visemes.npz

The network hears `features.py` at 100 Hz and says, at 50 Hz, which of the classes is spoken. Beside
the classes it learns the movement itself (`articulation.mouth_curves` of the true phones), so that
mistakes that are seen count more than others. The runtime draws the movement from the classes.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

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
from multitalk.speech.phonemes import NUM_VISEMES, SILENCE, one_hot

CROP = 320  # feature frames
BATCH = 24
STRIDE = FEATURE_RATE // PROBABILITY_RATE
# Movements of `MouthCurves` that are learnt beside the classes; the runtime leaves them out.
CURVES = ("opening", "width", "rounding", "closure")
CURVE_WEIGHT = 10.0
EDGE = 8  # steps at the ends of a crop whose movement depends on phones outside it
NOISE_SHARE = 0.04  # crops without any speech


@dataclass(frozen=True)
class Piece:
    """One prepared utterance: network input float16 [T, NUM_FEATURES] and classes int8 [T]."""

    features: NDArray[np.float16]
    labels: NDArray[np.int8]
    voice: str
    held_out: bool
    is_recording: bool


def read_pieces(path: Path) -> list[tuple[NDArray[np.float16], NDArray[np.int8], list]]:
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
    spoken = [raw[labels != SILENCE][:, :NUM_BANDS] for raw, labels, _ in rows[::7]]
    return np.concatenate(spoken).astype(np.float32).mean(axis=0)


def pieces_of(rows: list, prior: NDArray[np.float32]) -> list[Piece]:
    """Subtract each utterance's own mean, as the runtime does."""
    pieces = []
    for raw, labels, (voice, held_out, is_recording) in rows:
        bands, energy = raw[:, :NUM_BANDS].astype(np.float32), raw[:, NUM_BANDS].astype(np.float32)
        heard = features(bands, energy, speech_mean(bands, energy, prior))
        pieces.append(Piece(heard.astype(np.float16), labels, voice, held_out, is_recording))
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


class Sampler:
    """Draws augmented batches: uniform over recorded voices, and a share of formant speech."""

    def __init__(
        self,
        pieces: list[Piece],
        scale: tuple[NDArray[np.float32], NDArray[np.float32]],
        *,
        formant_share: float,
        seed: int,
    ) -> None:
        self.mean, self.deviation = scale
        self.formant_share = formant_share
        self.random = np.random.default_rng(seed)
        self.groups: dict[str, list[Piece]] = {}
        for piece in pieces:
            if len(piece.labels) > CROP:
                group = "espeak" if piece.voice.startswith("espeak") else piece.voice
                self.groups.setdefault(group, []).append(piece)
        self.recorded = [group for group in self.groups if group not in ("espeak", NOISE_VOICE)]

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs [B, features, T], classes [B, T / 2] and curves [B, curves, T / 2]."""
        crops = [self._crop() for _ in range(BATCH)]
        heard = np.stack([(crop - self.mean) / self.deviation for crop, _ in crops])
        classes = np.stack([labels[::STRIDE] for _, labels in crops]).astype(np.int64)
        movement = np.stack([curve_targets(row) for row in classes])
        return (
            torch.from_numpy(heard.transpose(0, 2, 1).astype(np.float32)),
            torch.from_numpy(classes),
            torch.from_numpy(movement),
        )

    def _crop(self) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        random = self.random
        if NOISE_VOICE in self.groups and random.random() < NOISE_SHARE:
            group = NOISE_VOICE
        elif "espeak" in self.groups and random.random() < self.formant_share:
            group = "espeak"
        else:
            group = self.recorded[random.integers(len(self.recorded))]
        piece = self.groups[group][random.integers(len(self.groups[group]))]
        start = random.integers(len(piece.labels) - CROP)
        heard = piece.features[start : start + CROP].astype(np.float32)
        labels = piece.labels[start : start + CROP]
        if random.random() < 0.6:
            positions = time_warp(CROP, random)
            left = positions.astype(int)
            part = (positions - left)[:, None].astype(np.float32)
            heard = heard[left] * (1 - part) + heard[left + 1] * part
            labels = labels[np.rint(positions).astype(int)]
        return varied(heard, random), labels


def curve_targets(classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """The movement of known phones [N] as the network shall say it, [curves, N]."""
    curves = mouth_curves(one_hot(classes))
    return np.stack([getattr(curves, name) for name in CURVES])


def class_weights(pieces: list[Piece]) -> Tensor:
    """Rare classes count more, by the power 0.4 of their rarity; mean weight 1."""
    labels = np.concatenate([piece.labels for piece in pieces[::5]])
    share = np.bincount(labels, minlength=NUM_VISEMES) / len(labels)
    weights = np.maximum(share, 1e-3) ** -0.4
    return torch.tensor(weights / np.sum(weights * share), dtype=torch.float32)


def train(arguments: argparse.Namespace) -> None:
    """Train for a time or a number of steps, and save."""
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    rows = [row for path in arguments.features for row in read_pieces(path)]
    prior = prior_spectrum(rows)
    training = [piece for piece in pieces_of(rows, prior) if not piece.held_out]
    del rows
    sample = np.concatenate([piece.features for piece in training[::7]]).astype(np.float32)
    mean, deviation = sample.mean(axis=0), sample.std(axis=0) + 1e-3
    sampler = Sampler(
        training, (mean, deviation), formant_share=arguments.formant_share, seed=arguments.seed
    )
    network = VisemeNetwork(arguments.channels)
    size = sum(parameter.numel() for parameter in network.parameters())
    print(
        f"{len(training)} pieces, {len(sampler.groups)} voice groups, {size} parameters", flush=True
    )
    if arguments.start is not None:
        network.load_state_dict(torch.load(arguments.start))
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    weights = class_weights(training)
    begin, step, losses = time.monotonic(), 0, np.zeros(2)
    while True:
        elapsed = (time.monotonic() - begin) / 60
        done = step / arguments.steps if arguments.steps else elapsed / arguments.minutes
        if done >= 1:
            break
        rate = arguments.rate * min(1, (step + 1) / 200) * (0.5 + 0.5 * np.cos(np.pi * done))
        for group in optimiser.param_groups:
            group["lr"] = rate + 1e-5
        heard, classes, movement = sampler.batch()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.bfloat16):
            said = network(heard)
        said = said.float()
        guess = functional.cross_entropy(
            said[:, :NUM_VISEMES], classes, weight=weights, label_smoothing=0.05
        )
        error = (said[:, NUM_VISEMES:] - movement)[:, :, EDGE:-EDGE].square().mean()
        optimiser.zero_grad()
        (guess + CURVE_WEIGHT * error).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        step += 1
        losses += (1 if step == 1 else 0.02) * (np.array([guess.item(), error.item()]) - losses)
        if step % 500 == 0:
            print(f"{elapsed:.1f} min, step {step}: class {losses[0]:.3f}, curve {losses[1]:.4f}",
                  flush=True)  # fmt: skip
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
    parser.add_argument("--start", type=Path, help="go on from this .pt file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor has it")
    parser.add_argument("--threads", type=int, default=1)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
