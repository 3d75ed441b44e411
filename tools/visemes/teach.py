"""A teacher for real speech: a large recogniser's encoder, with a head of viseme classes.

    python tools/visemes/teach.py fit recorded.npz espeak.npz prompts.npz --whisper DIR \
        --output teacher.pt
    python tools/visemes/teach.py label people.npz --whisper DIR --teacher teacher.pt \
        --output taught.npz

`fit` trains a small head on the outputs of Whisper's encoder for speech whose phones are known.
`label` runs both on recordings of people, whose words need not be known, and writes the probability
of each class. The small network then learns from these (`train.py`), which teaches it more about
real speech than any synthesizer (Hinton et al., "Distilling the knowledge in a neural network",
2015).
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from augment import level, recorded
from corpus import Utterance, read_corpus, write_corpus
from numpy.typing import NDArray
from phone_sets import labels_of
from torch import Tensor, nn
from torch.nn import functional
from train import LABEL_SMOOTHING, class_weights
from training_data import family
from whisper_encoder import HEARD, STEP, Heard, WhisperEar

from multitalk.speech.phonemes import NUM_VISEMES

MIN_SECONDS, MAX_SECONDS = 0.3, 28.0
SECONDS_PER_VOICE = 100.0
# Voices with a larger share: people, and espeak-ng's many speakers taken as one voice.
GENEROUS = {"prompt": 2.4, "espeak": 12.0}
RECORDED_SHARE = 0.6  # through a random microphone and room
FORMANT_SHARE, HUMAN_SHARE = 0.2, 0.375  # of the crops; the latter, of the crops that remain
CROP, BATCH = 160, 24  # steps, crops
CHANNELS = 256
IGNORED = -100  # steps beyond a short piece


class Teacher(nn.Module):
    """From Whisper's states, [B, N, HEARD], to scores of the classes, [B, NUM_VISEMES, N]."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.zeros(HEARD))
        self.deviation = nn.Buffer(torch.ones(HEARD))
        self.entry = nn.Linear(HEARD, CHANNELS)
        self.near = nn.Conv1d(CHANNELS, CHANNELS, 5, padding=2)
        self.far = nn.Conv1d(CHANNELS, CHANNELS, 5, padding=4, dilation=2)
        self.exit = nn.Conv1d(CHANNELS, NUM_VISEMES, 1)
        self.forget = nn.Dropout(0.2)

    def forward(self, heard: Tensor) -> Tensor:
        """Score."""
        heard = (heard - self.mean) / self.deviation
        if self.training:
            scale = 1 + 0.1 * torch.randn(len(heard), 1, HEARD)
            heard = heard * scale + 0.2 * torch.randn(len(heard), 1, HEARD)
        hidden = functional.relu(self.entry(self.forget(heard))).transpose(1, 2)
        hidden = hidden + functional.relu(self.near(self.forget(hidden)))
        hidden = hidden + functional.relu(self.far(self.forget(hidden)))
        return self.exit(hidden)


def known_speech(
    paths: list[Path], random: np.random.Generator
) -> list[tuple[NDArray[np.float32], NDArray[np.int8], str]]:
    """Some minutes of each voice that is not held out: sound, classes by step, family."""
    heard: dict[str, float] = {}
    result = []
    babble: list[NDArray[np.float64]] = []
    for path in paths:
        utterances = list(read_corpus(path))
        random.shuffle(utterances)
        for utterance in utterances:
            name = family(utterance.voice)
            allowed = SECONDS_PER_VOICE * GENEROUS.get(name.split("-")[0], 1.0)
            enough = heard.get(name, 0.0) > allowed
            if utterance.held_out or enough or not MIN_SECONDS < utterance.seconds < MAX_SECONDS:
                continue
            num_steps = -(-len(utterance.samples) // STEP)
            try:
                labels = labels_of(utterance.phones, utterance.phone_set, 2 * num_steps)[::2]
            except KeyError:  # a phone that no table knows
                continue
            heard[name] = heard.get(name, 0.0) + utterance.seconds
            sound = utterance.samples.astype(np.float64) / 32768
            babble = [*babble[-59:], sound / level(sound)]
            if random.random() < RECORDED_SHARE:
                sound = recorded(sound, random, babble)
            result.append((sound.astype(np.float32), labels, name))
    return result


class Hours:
    """Draws crops of Whisper's states: shares of people and formant speech, uniform over voices.

    Args:
        pieces: States and their classes by step, by family.
        random: Source of all choices.
    """

    def __init__(
        self, pieces: dict[str, list[tuple[Heard, NDArray[np.int8]]]], random: np.random.Generator
    ) -> None:
        self._pieces, self._random = pieces, random
        self.people = [name for name in pieces if name.startswith("prompt")]
        self.machines = [name for name in pieces if name not in self.people and name != "espeak"]

    def batch(self) -> tuple[Tensor, Tensor]:
        """States, float32 [BATCH, CROP, HEARD], and classes, int64 [BATCH, CROP]."""
        heard = np.zeros((BATCH, CROP, HEARD), np.float32)
        classes = np.full((BATCH, CROP), IGNORED)
        for row in range(BATCH):
            group = self._pieces[self._family()]
            sound, labels = group[self._random.integers(len(group))]
            start = self._random.integers(max(1, len(labels) - CROP))
            length = min(CROP, len(labels) - start)
            heard[row, :length] = sound[start : start + length]
            classes[row, :length] = labels[start : start + length]
        return torch.from_numpy(heard), torch.from_numpy(classes)

    def _family(self) -> str:
        random = self._random
        if "espeak" in self._pieces and random.random() < FORMANT_SHARE:
            return "espeak"
        are_people = self.people and random.random() < HUMAN_SHARE
        names = self.people if are_people else self.machines
        return names[random.integers(len(names))]


def fit(arguments: argparse.Namespace) -> None:
    """Train the head."""
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    random = np.random.default_rng(arguments.seed)
    speech = known_speech(arguments.corpora, random)
    pieces: dict[str, list[tuple[Heard, NDArray[np.int8]]]] = {}
    ear = WhisperEar(arguments.whisper)
    for heard, (_, labels, name) in zip(ear.hear([row[0] for row in speech]), speech, strict=True):
        pieces.setdefault(name, []).append((heard, labels))
    lessons = Hours(pieces, random)
    print(f"{len(speech)} pieces, {len(lessons.people)} people, "
          f"{len(lessons.machines)} synthesized voices", flush=True)  # fmt: skip
    everything = [piece for group in pieces.values() for piece in group]
    sample = np.concatenate([heard for heard, _ in everything[::9]]).astype(np.float32)
    counts = np.bincount(
        np.concatenate([labels for _, labels in everything]), minlength=NUM_VISEMES
    )
    weights = class_weights(counts / counts.sum())
    teacher = Teacher()
    teacher.mean.copy_(torch.from_numpy(sample.mean(axis=0)))
    teacher.deviation.copy_(torch.from_numpy(sample.std(axis=0) + 1e-3))
    optimiser = torch.optim.AdamW(teacher.parameters(), weight_decay=1e-2)
    for step in range(arguments.steps):
        cosine = 0.5 + 0.5 * np.cos(np.pi * step / arguments.steps)
        for group in optimiser.param_groups:
            group["lr"] = arguments.rate * min(1, (step + 1) / 100) * cosine
        heard, classes = lessons.batch()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.bfloat16):
            scores = teacher(heard)
        loss = functional.cross_entropy(
            scores.float(), classes, weight=weights,
            ignore_index=IGNORED, label_smoothing=LABEL_SMOOTHING,
        )  # fmt: skip
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(teacher.parameters(), 2.0)
        optimiser.step()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1} of {arguments.steps}: loss {loss.item():.3f}", flush=True)
    torch.save(teacher.state_dict(), arguments.output)


def label(arguments: argparse.Namespace) -> None:
    """Let the teacher listen to recordings of people."""
    torch.set_num_threads(1)
    teacher = Teacher()
    teacher.load_state_dict(torch.load(arguments.teacher))
    teacher.eval()
    utterances = [
        utterance
        for path in arguments.corpora
        for utterance in read_corpus(path)
        if MIN_SECONDS < utterance.seconds < MAX_SECONDS
    ]
    sounds = [utterance.samples.astype(np.float32) / 32768 for utterance in utterances]
    taught: list[Utterance] = []
    with torch.inference_mode():
        for heard, utterance in zip(
            WhisperEar(arguments.whisper).hear(sounds), utterances, strict=True
        ):
            scores = teacher(torch.from_numpy(heard.astype(np.float32))[None])[0]
            probabilities = torch.softmax(scores, 0).T.numpy().astype(np.float16)
            taught.append(utterance.taught(probabilities))
            if len(taught) % 200 == 0:
                print(f"{len(taught)} of {len(utterances)} pieces", flush=True)
    write_corpus(arguments.output, taught)


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for command, text in ((fit, "train the teacher's head"), (label, "label recordings")):
        sub = commands.add_parser(command.__name__, help=text)
        sub.add_argument("corpora", type=Path, nargs="+")
        sub.add_argument(
            "--whisper", type=Path, required=True, help="folder of Whisper base for CTranslate2"
        )
        sub.add_argument("--output", type=Path, required=True)
        sub.set_defaults(command=command)
        if command is fit:
            sub.add_argument("--steps", type=int, default=600)
            sub.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate")
            sub.add_argument("--seed", type=int, default=0)
            sub.add_argument("--bfloat16", action="store_true")
        else:
            sub.add_argument("--teacher", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.command(arguments)


if __name__ == "__main__":
    main()
