"""The target mouth curves: each person's voice, aligned with the video's sound."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multitalk.errors import InvalidRequest
from multitalk.evaluation.lipsync import Mask, Mouth, closure_moments
from multitalk.media.audio import read_sound
from multitalk.speech.phonemes import BILABIAL, visemes_of_ipa
from multitalk.speech.synthesis import PhonemeTiming, phoneme_track
from multitalk.speech.viseme_track import VisemeTrack
from multitalk.speech.visemes import analyse_speech
from multitalk.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME

SpeechSamples = NDArray[np.float32]

EVERYBODY = "everybody"  # the one voice of a video evaluated by its own sound
_ACTIVE = 0.5  # of `VisemeTrack.activity`
LONGEST_TEMPLATE = 16 * SAMPLE_RATE  # of a voice, searched for as a whole
ALIKE = 0.9  # of the best place's correlation
LEAST_SPECTRUM = 1 << 18  # samples of an FFT, unless all is shorter


@dataclass(frozen=True)
class ReferenceVoice:
    """One person's voice on the video's time line.

    Attributes:
        name: The speaker's, such as `person1`.
        target: Expected opening, face heights, and width, -1..1: [T, 2].
        speaking: Frames [T] with this voice.
        bilabials: (start, end) of each m, b and p, seconds.
        source: Origin of the target: `sound` or `phonemes`.
        start_seconds: Start of the voice in the video.
        similarity: Normalised correlation with the video's sound there; None for the video's own.
    """

    name: str
    target: Mouth
    speaking: Mask
    bilabials: tuple[tuple[float, float], ...]
    source: str
    start_seconds: float
    similarity: float | None


def read_voices(
    sound: SpeechSamples,
    *,
    voices: Mapping[str, Path] | None,
    phonemes: Mapping[str, Sequence[PhonemeTiming]],
    num_frames: int,
) -> list[ReferenceVoice]:
    """The voices of a video, in the caller's order.

    Args:
        sound: Of the video, float32 [S] at 16 kHz; voices are aligned with it.
        voices: Each speaker's own audio file; None if the video's sound is everybody's voice.
        phonemes: Of some or all speakers, timed from the start of the speaker's voice; they replace
            the visemes recognised in it.
        num_frames: Length of the video at 25 fps.

    Raises:
        MediaUndecodable: A voice has no sound.
        InvalidRequest: Phonemes are for an unknown speaker.
    """
    names = list(voices or phonemes or {EVERYBODY: None})
    for name in phonemes:
        if name not in names:
            raise InvalidRequest(
                "phonemes_without_voice", field=f"phonemes.{name}", voices=", ".join(names)
            )
    aligned = []
    for name in names:
        samples, start, similarity = sound, 0, None
        if voices:
            samples = read_sound(voices[name], field=f"voices.{name}")
            start, similarity = align_by_xcorr(samples, sound)
            samples = pad_to_timeline(samples, start, num_frames * SAMPLES_PER_FRAME)
        seconds = start / SAMPLE_RATE
        if name in phonemes:
            later = [
                PhonemeTiming(one.start_seconds + seconds, one.end_seconds + seconds, one.ipa)
                for one in phonemes[name]
            ]
            track = phoneme_track(tuple(later), num_frames)
            bilabials = bilabial_moments(later)
        else:
            track = analyse_speech(samples, num_frames=num_frames)
            bilabials = closure_moments(track.closure)
        aligned.append(
            ReferenceVoice(
                name=name,
                target=mouth_of(track),
                speaking=track.activity > _ACTIVE,
                bilabials=tuple(bilabials),
                source="phonemes" if name in phonemes else "sound",
                start_seconds=seconds,
                similarity=similarity,
            )
        )
    return aligned


def mouth_of(track: VisemeTrack) -> Mouth:
    """Lip gap, face heights, and width of a track: [T, 2]."""
    return np.stack([track.opening * (1 - track.closure), track.width], axis=1)


def read_phonemes(path: Path, name: str) -> list[PhonemeTiming]:
    """Read `[{"start_seconds", "end_seconds", "ipa"}]`.

    Raises:
        InvalidRequest: The file is not of this form.
    """
    try:
        return [
            PhonemeTiming(float(one["start_seconds"]), float(one["end_seconds"]), str(one["ipa"]))
            for one in json.loads(path.read_text("utf-8"))
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidRequest("phonemes_unreadable", field=f"phonemes.{name}") from error


def bilabial_moments(phonemes: Sequence[PhonemeTiming]) -> list[tuple[float, float]]:
    """(start, end) in seconds of each m, b and p."""
    return [
        (one.start_seconds, one.end_seconds)
        for one in phonemes
        if BILABIAL in visemes_of_ipa(one.ipa)
    ]


def align_by_xcorr(voice: SpeechSamples, sound: SpeechSamples) -> tuple[int, float]:
    """Find a voice in a mix by cross-correlation (FFT, overlap-save).

    A loud stretch of the shorter one is searched for in pieces of the longer one, so that the
    spectra take the same memory for any lengths. Of places that fit alike, as in a loop, the one
    where all of the two agrees most is taken.

    Returns:
        Its first sample, which may be negative, and the normalised correlation -1..1 there.
    """
    shorter, longer = (voice, sound) if len(voice) <= len(sound) else (sound, voice)
    first = _loudest_stretch(shorter, LONGEST_TEMPLATE)
    found = list(_places_of(shorter[first : first + LONGEST_TEMPLATE], longer))
    best = max(fit for fit, _ in found)
    enough = best - (1 - ALIKE) * abs(best)
    starts = [
        place - first if shorter is voice else first - place
        for fit, place in found
        if fit >= enough
    ]
    start = max(starts, key=lambda one: float(np.dot(*_overlap(voice, sound, one))))
    mixed, alone = _overlap(voice, sound, start)
    norm = float(np.linalg.norm(mixed) * np.linalg.norm(alone))
    return start, float(mixed @ alone) / norm if norm > 1e-9 else 0.0


def _overlap(
    voice: SpeechSamples, sound: SpeechSamples, start: int
) -> tuple[SpeechSamples, SpeechSamples]:
    """The parts of sound and voice that sound together if the voice begins at `start`."""
    mixed = sound[max(start, 0) : start + len(voice)]
    return mixed, voice[max(-start, 0) : max(-start, 0) + len(mixed)]


def _loudest_stretch(samples: SpeechSamples, length: int) -> int:
    """First sample of the stretch of `length` with the most energy, to a second."""
    if len(samples) <= length:
        return 0
    starts = range(0, len(samples) - length + 1, SAMPLE_RATE)
    blocks = [samples[first : first + SAMPLE_RATE] for first in range(0, len(samples), SAMPLE_RATE)]
    energy = np.cumsum([0.0, *(float(block @ block) for block in blocks)])
    seconds = length // SAMPLE_RATE
    first = int(np.argmax(energy[seconds : seconds + len(starts)] - energy[: len(starts)]))
    return starts[first]


def _places_of(template: SpeechSamples, samples: SpeechSamples) -> Iterator[tuple[float, int]]:
    """Fit and first sample, which may be negative, of the best place in each piece of samples."""
    least = len(template) - 1  # samples before the first place
    size = _power_of_two(min(least + len(samples), max(2 * len(template), LEAST_SPECTRUM)))
    spectrum = np.conj(np.fft.rfft(template, size))
    step = size - least
    for first in range(-least, len(samples), step):
        part = np.zeros(size, np.float32)
        there = samples[max(first, 0) : first + size]
        part[max(-first, 0) : max(-first, 0) + len(there)] = there
        correlation = np.fft.irfft(np.fft.rfft(part) * spectrum, size)[:step]
        top = int(np.argmax(correlation))
        yield float(correlation[top]), first + top


def _power_of_two(number: int) -> int:
    return 1 << max(number - 1, 1).bit_length()


def pad_to_timeline(samples: SpeechSamples, start: int, length: int) -> SpeechSamples:
    """The samples from `start` on in silence of `length` samples: [length]."""
    line = np.zeros(length, np.float32)
    first, last = max(start, 0), min(start + len(samples), length)
    line[first:last] = samples[first - start : last - start]
    return line
