"""The encoder of Whisper: the teacher's backbone for real speech.

Whisper (Radford et al., "Robust speech recognition via large-scale weak supervision", 2022) was
trained on 680 000 hours of real recordings. Its encoder gives 512 numbers every 20 ms, from which
phones are easily separated, whoever speaks and through whatever microphone. It is far too large to
be shipped, so it only labels recordings here.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import ctranslate2
import numpy as np
from corpus import SAMPLE_RATE
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor

from multitalk.speech.coarticulation import PROBABILITY_RATE

WINDOW_SECONDS = 30  # the encoder's fixed input length
GAP_SECONDS = 0.4  # between two pieces of one window
STEP = SAMPLE_RATE // PROBABILITY_RATE  # samples; a step is the instant of its first sample
HEARD = 512  # numbers a step
BATCH = 4
LEVEL = 0.05  # root mean square of every piece

Heard = NDArray[np.float16]


class WhisperEar:
    """The encoder of a Whisper model in CTranslate2's format, on one processor core."""

    def __init__(self, folder: Path) -> None:
        self._model = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="int8", intra_threads=1
        )
        self._extract = WhisperFeatureExtractor()

    def hear(self, sounds: Sequence[NDArray[np.float32]]) -> Iterator[Heard]:
        """Of each sound [S] at 16 kHz, shorter than 30 s: [ceil(S / STEP), HEARD], in order."""
        packed = _windows(sounds)
        while group := list(islice(packed, BATCH)):
            windows = [window for window, _ in group]
            mel = self._extract(windows, sampling_rate=SAMPLE_RATE, return_tensors="np")
            encoded = self._model.encode(
                ctranslate2.StorageView.from_array(mel["input_features"].astype(np.float32)),
                to_cpu=True,
            )
            for heard, (_, places) in zip(np.array(encoded), group, strict=True):
                for start, length in places:
                    first = start // STEP
                    yield heard[first : first - (-length // STEP)].astype(np.float16)


def _windows(
    sounds: Sequence[NDArray[np.float32]],
) -> Iterator[tuple[NDArray[np.float32], list[tuple[int, int]]]]:
    """Pack sounds into windows; with each, where its sounds start and how long they are."""
    window = np.zeros(WINDOW_SECONDS * SAMPLE_RATE, np.float32)
    places: list[tuple[int, int]] = []
    start = 0
    for sound in sounds:
        if start + len(sound) > len(window):
            yield window, places
            window, places, start = np.zeros_like(window), [], 0
        loudness = float(np.sqrt(np.mean(sound**2))) + 1e-6
        window[start : start + len(sound)] = np.clip(sound / loudness * LEVEL, -1, 1)
        places.append((start, len(sound)))
        start += -(-(len(sound) + int(GAP_SECONDS * SAMPLE_RATE)) // STEP) * STEP
    yield window, places
