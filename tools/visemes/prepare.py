"""Turn corpora into features and labels for training.

    python tools/visemes/prepare.py recorded.npz espeak.npz --output features.npz

Each training utterance comes twice: nearly clean, and as a recording (`augment.py`); both are
resampled by a random factor, which moves pitch and formants. What a teacher heard (`teach.py`)
comes once, more often as another recording than clean, as the teacher heard it. Held-out utterances
come once as they are and once as a recording. With --noise, noise and music are added.
"""

import argparse
import json
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
from augment import background, coloured, decibels, level, recorded
from corpus import SAMPLE_RATE, Utterance, read_corpus
from numpy.typing import NDArray
from phone_sets import labels_of
from scipy.signal import resample_poly

from multitalk.speech.articulation import PROBABILITY_RATE
from multitalk.speech.features import (
    FEATURE_RATE,
    HOP,
    loudness_of,
    relative_log,
    whole_band_energies,
)
from multitalk.speech.phonemes import NUM_VISEMES, SILENCE, one_hot

MAX_PAUSE_FRAMES = 80
TAUGHT_RECORDED_SHARE = 0.62
NUM_BABBLERS = 60
NOISE_SECONDS = 6
NOISE_VOICE = "noise"


def labels_at(utterance: Utterance, seconds: NDArray[np.float64]) -> NDArray[np.float16]:
    """Probabilities of the classes at instants of an utterance, [T, NUM_VISEMES].

    Known phones are certain, and so is the silence before and after the sound.
    """
    if len(utterance.probabilities):
        known, rate = utterance.probabilities, PROBABILITY_RATE
    else:
        num_frames = -(-len(utterance.samples) // HOP)
        classes = labels_of(utterance.phones, utterance.phone_set, num_frames)
        known, rate = one_hot(classes.astype(np.int64)).astype(np.float16), FEATURE_RATE
    index = np.rint(seconds * rate).astype(int)
    labels = known[np.clip(index, 0, len(known) - 1)]
    labels[(index < 0) | (index >= len(known))] = np.eye(NUM_VISEMES)[SILENCE]
    return labels


def versions(
    utterance: Utterance, random: np.random.Generator, babble: list[NDArray[np.float64]]
) -> list[tuple[NDArray[np.float16], NDArray[np.float16], bool]]:
    """Of each version: log bands and log energy [T, 41], labels [T, 16], as if recorded or not.

    It is resampled in sound and labels together: slower is a deeper voice, too.
    """
    pauses = random.integers(0, MAX_PAUSE_FRAMES, 2) * HOP
    spoken = np.pad(utterance.samples.astype(np.float64) / 32768, pauses)
    babble.append(spoken / level(spoken))
    del babble[:-NUM_BABBLERS]
    is_taught = len(utterance.probabilities) > 0
    kinds = (random.random() < TAUGHT_RECORDED_SHARE,) if is_taught else (False, True)
    result = []
    for is_recording in kinds:
        keep = (utterance.held_out and not is_recording) or random.random() < 0.25
        factor = Fraction(1.0 if keep else random.uniform(0.82, 1.22)).limit_denominator(25)
        sound = resample_poly(spoken, factor.numerator, factor.denominator)
        if is_recording:
            sound = recorded(sound, random, babble)
        else:
            hiss = random.standard_normal(len(sound)) * decibels(-random.uniform(25, 70))
            sound = sound + hiss * level(sound)
        logs = logs_of(sound)
        seconds = np.arange(len(logs)) / FEATURE_RATE / float(factor) - pauses[0] / SAMPLE_RATE
        result.append((logs, labels_at(utterance, seconds), bool(is_recording)))
    return result


def logs_of(sound: NDArray[np.float64]) -> NDArray[np.float16]:
    """Log bands and log energy, [T, NUM_BANDS + 1], of a signal."""
    energies = whole_band_energies(sound.astype(np.float32))
    bands, energy = relative_log(energies, loudness_of(energies))
    return np.concatenate([bands, energy[:, None]], axis=1).astype(np.float16)


def noise(random: np.random.Generator) -> NDArray[np.float16]:
    """`logs_of` six seconds without speech."""
    sound = coloured(background(NOISE_SECONDS * SAMPLE_RATE, random, []), random)
    swell = np.interp(np.arange(len(sound)), np.linspace(0, len(sound), 7), random.normal(0, 4, 7))
    return logs_of(sound * decibels(swell * random.integers(2)))


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", type=Path, nargs="*")
    parser.add_argument("--noise", type=int, default=0, help="pieces without speech to add")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    features, labels, rows = [], [], []
    failures: Counter[str] = Counter()
    babble: list[NDArray[np.float64]] = []
    begin = time.monotonic()
    for path in arguments.corpora:
        utterances = list(read_corpus(path))
        random.shuffle(utterances)
        for number, utterance in enumerate(utterances):
            try:
                made = versions(utterance, random, babble)
            except KeyError as error:
                failures[str(error)] += 1
                continue
            is_taught = len(utterance.probabilities) > 0
            for bands, probabilities, is_recording in made:
                features.append(bands)
                labels.append(probabilities)
                rows.append([utterance.voice, utterance.held_out, is_recording, is_taught])
            if number % 500 == 0:
                print(f"{path.name} {number}/{len(utterances)} {time.monotonic() - begin:.0f} s",
                      flush=True)  # fmt: skip
    for _ in range(arguments.noise):
        features.append(noise(random))
        labels.append(one_hot(np.full(len(features[-1]), SILENCE)).astype(np.float16))
        rows.append([NOISE_VOICE, False, True, False])
    np.savez(
        arguments.output,
        features=np.concatenate(features),
        labels=np.concatenate(labels),
        lengths=np.array([len(part) for part in labels]),
        rows=np.array(json.dumps(rows)),
    )
    hours = sum(len(part) for part in labels) / FEATURE_RATE / 3600
    print(f"{len(labels)} pieces, {hours:.1f} h -> {arguments.output}; unknown phones: {failures}")


if __name__ == "__main__":
    main()
