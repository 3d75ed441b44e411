"""Training talks: pieces of a voice strung together, as if recorded anywhere, and their features.

Every example is new: other pieces, pauses, speed, place and microphone. Only then the network
learns voices instead of recordings.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from augment import background, coloured, decibels, level, recorded, time_warp, varied
from corpus import Utterance
from numpy.typing import NDArray
from phone_sets import labels_of
from scipy.signal import resample_poly

from multitalk.array_types import Array
from multitalk.speech.coarticulation import PROBABILITY_RATE, mouth_curves
from multitalk.speech.log_mel import HOP, loudness_of, relative_log, whole_band_energies
from multitalk.speech.phonemes import SILENCE, one_hot
from multitalk.speech.viseme_network import STRIDE

STEP = HOP * STRIDE  # samples
LESSON_STEPS = 350  # the runtime's input at once
MIN_SECONDS = 0.25
# Movements of `MouthCurves` that are learnt beside the classes; the runtime leaves them out.
CURVES = ("opening", "width", "rounding", "closure")
LEVEL = 0.05  # root mean square of a piece
NOISE_SHARE = 0.05  # lessons without any speech
RECORDED_SHARE = 0.6  # through a random microphone and room
WARPED_SHARE = 0.4  # spoken at a wandering speed
SAME_SPEED_SHARE = 0.3
SLOWEST, FASTEST = 0.8, 1.25  # of the pieces at another speed, and so another pitch
LATE_SHARE, LONGEST_LEAD = 0.35, 1.6  # begin with silence, seconds
PAUSE_SHARE, LONGEST_PAUSE = 0.75, 0.9
NUM_BABBLERS = 40
# How often each source of `collect_people.py` is drawn: the first part of its voices' names.
TAUGHT_SHARES = {"queen": 0.45, "prompt": 0.2, "fish": 0.2, "stamp": 0.15}


@dataclass(frozen=True)
class TrainingPiece:
    """One utterance: int16 [S]; probabilities of the classes, float16 [S / STEP, NUM_VISEMES]."""

    samples: NDArray[np.int16]
    labels: NDArray[np.float16]


class Batch(NamedTuple):
    """Lessons, float32.

    Attributes:
        heard: [B, NUM_BANDS, 2 N].
        labels: Probabilities of the classes, [B, NUM_VISEMES, N].
        movement: `mouth_curves` of the labels, [B, CURVES, N].
        is_taught: Labelled by a teacher, bool [B].
    """

    heard: Array
    labels: Array
    movement: Array
    is_taught: NDArray[np.bool_]


def family(voice: str) -> str:
    """What a voice is drawn as: espeak-ng's speakers together, all others one by one."""
    return "espeak" if voice.startswith("espeak") else voice


def labels_by_step(utterance: Utterance) -> NDArray[np.float16]:
    """Probabilities of the classes of every whole step, known or taught.

    Raises:
        KeyError: A phone that no table knows.
    """
    num_steps = len(utterance.samples) // STEP
    if len(utterance.probabilities):
        return utterance.probabilities[:num_steps]
    classes = labels_of(utterance.phones, utterance.phone_set, STRIDE * num_steps)[::STRIDE]
    return one_hot(classes.astype(np.int64)).astype(np.float16)


def heard(sound: NDArray[np.float64], gain: float = 1.0) -> Array:
    """The network's input of a sound [S], as if the talk were `gain` times as loud elsewhere."""
    energies = whole_band_energies(sound.astype(np.float32))
    return relative_log(energies, gain * loudness_of(energies))[0]


class Lessons:
    """Draws batches: shares of taught and formant speech; uniform over the other voices.

    Args:
        utterances: Those that are held out are left out.
        formant_share: Of espeak-ng's speech.
        taught_share: Of what a teacher labelled, if there is any.
        seed: Of all choices.
    """

    def __init__(
        self,
        utterances: Iterable[Utterance],
        *,
        formant_share: float,
        taught_share: float,
        seed: int,
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.known: dict[str, list[TrainingPiece]] = {}
        self.taught: dict[str, list[TrainingPiece]] = {}
        self.unknown_phones: set[str] = set()
        for utterance in utterances:
            if utterance.held_out or utterance.seconds < MIN_SECONDS:
                continue
            is_taught = len(utterance.probabilities) > 0
            source = utterance.voice.split("-")[0]
            group = (self.taught, source) if is_taught else (self.known, family(utterance.voice))
            try:
                piece = TrainingPiece(utterance.samples, labels_by_step(utterance))
            except KeyError as error:
                self.unknown_phones.add(str(error))
                continue
            group[0].setdefault(group[1], []).append(piece)
        self._formant_share = formant_share if "espeak" in self.known else 0.0
        self._taught_share = taught_share if self.taught else 0.0
        self._voices = [name for name in self.known if name != "espeak"]
        shares = np.array([TAUGHT_SHARES[source] for source in self.taught])
        self._sources, self._source_shares = list(self.taught), shares / max(shares.sum(), 1e-9)
        self._babble: list[NDArray[np.float64]] = []

    def class_shares(self) -> NDArray[np.float64]:
        """How much of the known speech each class is."""
        known = [piece.labels for group in self.known.values() for piece in group[::5]]
        return np.concatenate(known).mean(axis=0, dtype=np.float64)

    def batch(self, size: int) -> Batch:
        """Draw."""
        lessons = [self._lesson() for _ in range(size)]
        curves = [mouth_curves(labels) for _, labels, _ in lessons]
        return Batch(
            np.stack([bands.T for bands, _, _ in lessons]),
            np.stack([labels.T for _, labels, _ in lessons]),
            np.stack([[getattr(curve, name) for name in CURVES] for curve in curves]),
            np.array([is_taught for _, _, is_taught in lessons]),
        )

    def _lesson(self) -> tuple[Array, Array, bool]:
        """Features [2 N, NUM_BANDS], labels [N, NUM_VISEMES], whether a teacher's."""
        random = self.random
        draw = random.random() - NOISE_SHARE
        if draw < 0:
            return self._varied(self._noise()), silent(LESSON_STEPS), False
        is_taught = draw < self._taught_share
        if is_taught:
            pieces = self.taught[random.choice(self._sources, p=self._source_shares)]
        elif draw < self._taught_share + self._formant_share or not self._voices:
            pieces = self.known["espeak"]
        else:
            pieces = self.known[self._voices[random.integers(len(self._voices))]]
        sound, labels = self._played(pieces)
        self._babble = [*self._babble[1 - NUM_BABBLERS :], sound / level(sound)]
        if random.random() < RECORDED_SHARE:
            sound = recorded(sound, random, self._babble)
        else:
            hiss = random.standard_normal(len(sound)) * decibels(-random.uniform(25, 75))
            sound = sound + hiss * level(sound)
        bands = self._varied(sound)
        if random.random() < WARPED_SHARE:
            positions = time_warp(len(bands), random)
            left = positions.astype(int)
            part = (positions - left)[:, None].astype(np.float32)
            bands = bands[left] * (1 - part) + bands[left + 1] * part
            steps = np.rint(positions[::STRIDE] / STRIDE).astype(int)
            labels = labels[np.minimum(steps, LESSON_STEPS - 1)]
        return bands, labels, is_taught

    def _varied(self, sound: NDArray[np.float64]) -> Array:
        return varied(heard(sound, 10 ** self.random.normal(0, 0.12)), self.random)

    def _noise(self) -> NDArray[np.float64]:
        """A lesson without speech."""
        random = self.random
        num_samples = LESSON_STEPS * STEP
        sound = coloured(background(num_samples, random, []), random)
        swell = np.interp(
            np.arange(num_samples), np.linspace(0, num_samples, 7), random.normal(0, 4, 7)
        )
        return sound * decibels(swell * random.integers(2))

    def _played(self, pieces: list[TrainingPiece]) -> tuple[NDArray[np.float64], Array]:
        """A talk at some speed; slower is a deeper voice, too."""
        random = self.random
        speed = Fraction(1)
        if random.random() >= SAME_SPEED_SHARE:
            speed = Fraction(random.uniform(SLOWEST, FASTEST)).limit_denominator(25)
        sound, labels = self._talk(pieces, int(np.ceil(LESSON_STEPS / float(speed))) + 1)
        if speed != 1:
            sound = resample_poly(sound, speed.numerator, speed.denominator)
        steps = np.rint(np.arange(LESSON_STEPS) / float(speed)).astype(int)
        return sound[: LESSON_STEPS * STEP], labels[np.minimum(steps, len(labels) - 1)]

    def _talk(
        self, pieces: list[TrainingPiece], num_steps: int
    ) -> tuple[NDArray[np.float64], Array]:
        """Pieces with pauses between them: [num_steps * STEP], [num_steps, NUM_VISEMES]."""
        random = self.random
        sounds, labels, length = [], [], 0

        def pause(seconds: float) -> int:
            steps = int(seconds * PROBABILITY_RATE)
            sounds.append(np.zeros(steps * STEP))
            labels.append(silent(steps))
            return steps

        if random.random() < LATE_SHARE:
            length += pause(random.uniform(0, LONGEST_LEAD))
        while length < num_steps:
            piece = pieces[random.integers(len(pieces))]
            is_long = not sounds and len(piece.labels) > num_steps
            start = random.integers(len(piece.labels) - num_steps // 2) if is_long else 0
            end = min(len(piece.labels), start + num_steps - length)
            sound = piece.samples[start * STEP : end * STEP] / 32768
            gain = LEVEL / (level(sound) + 1e-4) * 10 ** random.normal(0, 0.08)
            sounds.append(sound * gain)
            labels.append(piece.labels[start:end].astype(np.float32))
            length += end - start
            if random.random() < PAUSE_SHARE:
                length += pause(random.uniform(0, LONGEST_PAUSE))
        return np.concatenate(sounds)[: num_steps * STEP], np.concatenate(labels)[:num_steps]


def silent(num_steps: int) -> Array:
    """Certain silence, [num_steps, NUM_VISEMES]."""
    return one_hot(np.full(num_steps, SILENCE))
