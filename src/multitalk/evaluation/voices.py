"""What the lips should do: each person's voice, placed where it is heard in the video."""

import json
from collections.abc import Mapping, Sequence
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
from multitalk.timebase import SAMPLE_RATE

Samples = NDArray[np.float32]

EVERYBODY = "everybody"  # the one voice of a video that is judged by its own sound
_ACTIVE = 0.5  # of `VisemeTrack.activity`


@dataclass(frozen=True)
class Voice:
    """What one person says, on the video's time line.

    Attributes:
        name: The speaker's, such as `person1`.
        target: Opening, in face heights, and width, -1..1, that the voice asks for: [T, 2].
        speaking: Frames [T] in which it is heard.
        bilabials: (start, end) of each m, b and p in seconds.
        source: Where the target comes from: the voice's sound, or known phonemes.
        start_seconds: Where the voice begins in the video.
        similarity: Normalised correlation of the voice with the video's sound at that place; None
            for the video's own sound.
    """

    name: str
    target: Mouth
    speaking: Mask
    bilabials: tuple[tuple[float, float], ...]
    source: str
    start_seconds: float
    similarity: float | None


def read_voices(
    sound: Samples,
    *,
    voices: Mapping[str, Path] | None,
    phonemes: Mapping[str, Path] | None,
    num_frames: int,
) -> list[Voice]:
    """The voices of a video, in the callers' order.

    Args:
        sound: Of the video, float32 [S] at 16 kHz; it tells where each voice begins.
        voices: Each speaker's own voice, any audio file; None: the video's sound is the voice of
            everybody in it.
        phonemes: JSON files `[{"start_seconds", "end_seconds", "ipa"}]`, timed from the beginning
            of that speaker's voice; they replace what is heard in it.
        num_frames: Length of the video at 25 frames a second.

    Raises:
        MediaUndecodable: A voice has no sound.
        InvalidRequest: A file of phonemes cannot be read or is for an unknown speaker.
    """
    timings = {name: read_phonemes(path, name) for name, path in (phonemes or {}).items()}
    names = list(voices or timings or {EVERYBODY: None})
    for name in timings:
        if name not in names:
            raise InvalidRequest(
                "phonemes_without_voice", field=f"phonemes.{name}", voices=", ".join(names)
            )
    placed = []
    for name in names:
        samples, start, similarity = sound, 0, None
        if voices:
            samples = read_sound(voices[name], field=f"voices.{name}")
            start, similarity = place_of(samples, sound)
            samples = shifted(samples, start, len(sound))
        seconds = start / SAMPLE_RATE
        if name in timings:
            later = [
                PhonemeTiming(one.start_seconds + seconds, one.end_seconds + seconds, one.ipa)
                for one in timings[name]
            ]
            track = phoneme_track(tuple(later), num_frames)
            bilabials = bilabial_moments(later)
        else:
            track = analyse_speech(samples, num_frames=num_frames)
            bilabials = closure_moments(track.closure)
        placed.append(
            Voice(
                name=name,
                target=mouth_of(track),
                speaking=track.activity > _ACTIVE,
                bilabials=tuple(bilabials),
                source="phonemes" if name in timings else "sound",
                start_seconds=seconds,
                similarity=similarity,
            )
        )
    return placed


def mouth_of(track: VisemeTrack) -> Mouth:
    """The gap between the lips, in face heights, and the width that a track asks for: [T, 2]."""
    return np.stack([track.opening * (1 - track.closure), track.width], axis=1)


def read_phonemes(path: Path, name: str) -> list[PhonemeTiming]:
    """Read `[{"start_seconds", "end_seconds", "ipa"}]`.

    Raises:
        InvalidRequest: It is not that.
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


def place_of(voice: Samples, sound: Samples) -> tuple[int, float]:
    """Where a voice begins in a sound that contains it, perhaps among others.

    Returns:
        Sample of its beginning, which may be negative, and the correlation -1..1 of the two there.
    """
    size = 1 << int(np.ceil(np.log2(len(voice) + len(sound))))
    product = np.fft.rfft(sound, size) * np.conj(np.fft.rfft(voice, size))
    correlation = np.fft.irfft(product, size)
    top = int(np.argmax(correlation))
    start = top if top < len(sound) else top - size
    heard = sound[max(start, 0) : start + len(voice)]
    said = voice[max(-start, 0) : max(-start, 0) + len(heard)]
    norm = float(np.linalg.norm(heard) * np.linalg.norm(said))
    return start, float(correlation[top]) / norm if norm > 1e-9 else 0.0


def shifted(samples: Samples, start: int, length: int) -> Samples:
    """The samples beginning at `start` on a line of `length`, silence around: [length]."""
    line = np.zeros(length, np.float32)
    first, last = max(start, 0), min(start + len(samples), length)
    line[first:last] = samples[first - start : last - start]
    return line
