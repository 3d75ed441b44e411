"""Texts that the operator's speech service speaks (voices named `tts:NAME`).

What comes back is a recording: which sounds are in it is not known, only where there are any.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multitalk.errors import (
    Cancelled,
    InvalidRequest,
    LimitExceeded,
    MediaUndecodable,
    SpeechFailed,
)
from multitalk.inputs.speech_service import SpeechService
from multitalk.media.audio_decoder import sound_blocks, sound_format
from multitalk.schema import SpokenText
from multitalk.schema.request import service_name
from multitalk.settings import Settings
from multitalk.speech.synthesis import UNKNOWN_SOUND, PhonemeTiming, SynthesizedSpeech
from multitalk.speech.text.plain_text import LINE_PAUSE, Line, plain_lines, split_text

MAX_SAMPLE_RATE = 48_000  # Hz
MAX_INPUT_CHARACTERS = 4000  # at once; OpenAI takes 4096
STEP_SECONDS = 0.02
QUIET_DB = -40.0  # below the loudest step: a pause
LEAST_PAUSE_SECONDS = 0.12  # shorter ones are within words: before a p, t or k
STRETCH_SECONDS = 0.1


class ServiceSynthesizer:
    """The voices of the operator's speech service.

    Args:
        settings: Where it is, and how much it may answer.
        directory: For its files; exists and belongs to the job.
        cancelled: Asked again and again while waiting.
    """

    def __init__(
        self, settings: Settings, directory: Path, cancelled: Callable[[], bool] = lambda: False
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._cancelled = cancelled
        self._service = SpeechService(settings, cancelled=cancelled)

    def speak(self, text: SpokenText) -> SynthesizedSpeech:
        """Have one text spoken.

        Raises:
            InvalidRequest: Nothing in it can be spoken, or the service refuses it.
            LimitExceeded: It lasts longer than a voice may.
            SpeechUnavailable, SpeechFailed, Cancelled: As `SpeechService.speak`.
        """
        plain = _joined(plain_lines(text.text))
        if not plain:
            raise InvalidRequest("text_unspeakable", field="text")
        parts: list[NDArray[np.float32]] = []
        sample_rate = None
        for piece in split_text(plain, MAX_INPUT_CHARACTERS):
            path = self._service.speak(
                piece,
                voice=service_name(text.voice or ""),
                speed=text.speed,
                directory=self._directory,
            )
            try:
                sample_rate = sample_rate or min(
                    sound_format(path, check_cancelled=self._check_cancelled).sample_rate,
                    MAX_SAMPLE_RATE,
                )
                parts += self._decoded(path, sample_rate, sum(map(len, parts)))
            except MediaUndecodable as error:
                raise SpeechFailed("speech_service_damaged") from error
            finally:
                path.unlink(missing_ok=True)
        samples, rate = np.concatenate(parts), sample_rate or MAX_SAMPLE_RATE
        return SynthesizedSpeech(samples, rate, stretches(samples, rate))

    def _check_cancelled(self) -> None:
        if self._cancelled():
            raise Cancelled

    def _decoded(self, path: Path, sample_rate: int, before: int) -> list[NDArray[np.float32]]:
        """A file's blocks, float32 [S] each, mono; `before` is how many samples there are already.

        Raises:
            LimitExceeded: With those it is more than a voice may have.
        """
        limit = self._settings.max_speech_seconds
        blocks = []
        for block in sound_blocks(
            path,
            sample_rate=sample_rate,
            num_channels=1,
            max_seconds=limit,
            check_cancelled=self._check_cancelled,
        ):
            blocks.append(block[0])
            before += block.shape[1]
            if before > limit * sample_rate:
                raise LimitExceeded("speech_too_long", field="text", limit=limit)
        return blocks


def _joined(lines: Sequence[Line]) -> str:
    """Lines as one text, with a line end where the text had one: a long line comes in several."""
    ends = ["\n" if line.pause_seconds >= LINE_PAUSE else " " for line in lines]
    return "".join(line.text + end for line, end in zip(lines, ends, strict=True)).strip()


def stretches(samples: NDArray[np.float32], sample_rate: int) -> tuple[PhonemeTiming, ...]:
    """The stretches of sound and the pauses between them."""
    step = max(1, round(STEP_SECONDS * sample_rate))
    padded = np.pad(samples.astype(np.float64), (0, -len(samples) % step))
    power = (padded.reshape(-1, step) ** 2).mean(axis=1)
    loud = power > power.max(initial=0.0) * 10 ** (QUIET_DB / 10)
    total = len(samples) / sample_rate
    timings: list[PhonemeTiming] = []
    edges = [0, *(np.flatnonzero(np.diff(loud)) + 1).tolist(), len(loud)]
    for first, end in pairwise(edges):
        seconds = (end - first) * step / sample_rate
        is_pause = not loud[first] and seconds >= LEAST_PAUSE_SECONDS
        count = 1 if is_pause else max(1, round(seconds / STRETCH_SECONDS))
        bounds = np.linspace(first, end, count + 1) * step / sample_rate
        timings += [
            PhonemeTiming(float(start), min(float(stop), total), "" if is_pause else UNKNOWN_SOUND)
            for start, stop in pairwise(bounds)
        ]
    return tuple(timings)


def service_synthesizer(
    settings: Settings, directory: Path, cancelled: Callable[[], bool] = lambda: False
) -> ServiceSynthesizer | None:
    """The voices of the speech service, or None where the operator has set none up."""
    if settings.speech_url is None:
        return None
    return ServiceSynthesizer(settings, directory, cancelled)
