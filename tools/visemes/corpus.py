"""A corpus on disk: utterances with their phones, in one .npz file.

The phones keep the names that the synthesizer gave them; their mouth classes are looked up when the
corpus is read (`phone_sets.py`), so a better table needs no new synthesis.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multitalk.speech.phonemes import NUM_VISEMES
from multitalk.timebase import SAMPLE_RATE


@dataclass(frozen=True)
class Phone:
    """One sound: its name in the voice's own phone set and where it ends, in seconds."""

    name: str
    end_seconds: float


def unheard() -> NDArray[np.float16]:
    """No probabilities."""
    return np.zeros((0, NUM_VISEMES), np.float16)


@dataclass(frozen=True)
class Utterance:
    """One recording.

    Attributes:
        samples: int16 [S] at 16 kHz.
        phones: In order and without gaps, from 0 to the end; none if nobody knows the words.
        voice: Unique name of the voice; sampling is uniform over voices.
        phone_set: Key of `phone_sets.PHONE_SETS`.
        held_out: Never trained on.
        probabilities: Of the classes, by a teacher (`teach.py`), float16
            [steps, NUM_VISEMES], 50 a second; no steps if no teacher did.
    """

    samples: NDArray[np.int16]
    phones: tuple[Phone, ...]
    voice: str
    phone_set: str
    held_out: bool
    probabilities: NDArray[np.float16] = field(default_factory=unheard)

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.samples) / SAMPLE_RATE

    def taught(self, probabilities: NDArray[np.float16]) -> "Utterance":
        """The same recording with a teacher's labels."""
        return replace(self, probabilities=probabilities)


def write_corpus(path: Path, utterances: Sequence[Utterance]) -> None:
    """Write all utterances to one .npz file."""
    rows = [
        {
            "voice": utterance.voice,
            "phone_set": utterance.phone_set,
            "held_out": utterance.held_out,
            "phones": [[phone.name, round(phone.end_seconds, 5)] for phone in utterance.phones],
            "steps": len(utterance.probabilities),
        }
        for utterance in utterances
    ]
    np.savez(
        path,
        samples=np.concatenate([utterance.samples for utterance in utterances]),
        lengths=np.array([len(utterance.samples) for utterance in utterances]),
        probabilities=np.concatenate([utterance.probabilities for utterance in utterances]),
        rows=np.array(json.dumps(rows)),
    )


def read_corpus(path: Path) -> Iterator[Utterance]:
    """Yield the utterances of one file in their order."""
    with np.load(path) as data:
        samples, lengths, rows = data["samples"], data["lengths"], json.loads(str(data["rows"]))
        probabilities = data["probabilities"]
    start = step = 0
    for length, row in zip(lengths, rows, strict=True):
        yield Utterance(
            samples=samples[start : start + length],
            phones=tuple(Phone(name, end) for name, end in row["phones"]),
            voice=row["voice"],
            phone_set=row["phone_set"],
            held_out=row["held_out"],
            probabilities=probabilities[step : step + row["steps"]],
        )
        start += length
        step += row["steps"]
