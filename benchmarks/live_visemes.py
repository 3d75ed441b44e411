"""How well does a live mouth follow the voice, with how much future, and what does it cost?

    python benchmarks/live_visemes.py [--clips DIRECTORY] [--weights FILE] [--seconds 10]

For each look-ahead: the correlation of opening and width with those of the whole talk, the closures
of the whole talk that are found, and those found that the whole talk has. Of synthesized speech,
clean, in noise and on the telephone, the phonemes are known: agreement with them, as in
`visemes.py`. With --clips, of recordings with
`mouths.json` (the measured mouths of real speakers), the opening is compared with theirs, too.
Last, CPU time of a frame, beside the network run on the last 1.2 s and the future for every frame.
"""

import argparse
import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.speech.live_visemes import LiveVisemes
from multitalk.speech.log_mel import FEATURE_RATE, loudness_of, relative_log, whole_band_energies
from multitalk.speech.synthesis import SynthesizedSpeech, synthesize
from multitalk.speech.viseme_network import VisemeWeights, predict, weights_from
from multitalk.speech.viseme_stream import live_weights
from multitalk.speech.viseme_track import VisemeTrack
from multitalk.speech.visemes import analyse_speech
from multitalk.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from visemes import (
    CONDITIONS,
    SENTENCES,
    SPEAKERS,
    Condition,
    Score,
    best_correlation,
    correlation,
    read_audio,
    score,
)

AHEAD_FRAMES = (0, 1, 2, 3, 4, 6)
FRAME_MS = 40
HEARD_LIVE = ("clean", "noise 15 dB below", "telephone")
PULSE = 0.5  # closure of a frame whose lips are taken for sealed
WINDOW_SECONDS = 1.2
TIMED_FRAMES = 200
Known = SynthesizedSpeech | NDArray[np.float64]  # the phonemes, or the opening as it was measured


def live_tracks(sound: Array, weights: VisemeWeights | None) -> dict[int, VisemeTrack]:
    """The track [T] of a voice [T * 640] for each look-ahead."""
    visemes = LiveVisemes(weights=weights)
    found: dict[int, list[VisemeTrack]] = {ahead: [] for ahead in AHEAD_FRAMES}
    num_frames = len(sound) // SAMPLES_PER_FRAME
    blocks = np.pad(sound, (0, max(AHEAD_FRAMES) * SAMPLES_PER_FRAME))
    for index, block in enumerate(blocks.reshape(-1, SAMPLES_PER_FRAME)):
        visemes.append(block)
        for ahead, track in found.items():
            if 0 <= index - ahead < num_frames:
                track.append(visemes.frame(index - ahead))
    return {ahead: VisemeTrack.concatenate(track) for ahead, track in found.items()}


def pulses_kept(wanted: Array, found: Array) -> tuple[int, int]:
    """How many closures of a curve another has, give or take a frame; and how many there are."""
    edges = np.flatnonzero(np.diff(np.pad((wanted > PULSE).astype(int), 1)))
    pulses = edges.reshape(-1, 2)
    kept = sum(bool((found[max(first - 1, 0) : end + 1] > PULSE).any()) for first, end in pulses)
    return kept, len(pulses)


@dataclass
class Agreement:
    """What was measured with one look-ahead, a row or more for each voice."""

    with_whole: list[tuple[float, float]] = field(default_factory=list)  # r of opening and width
    closures: list[tuple[int, ...]] = field(default_factory=list)  # found, of; true, of
    with_measured: list[tuple[float, float]] = field(default_factory=list)  # live and whole talk
    with_phonemes: list[Score] = field(default_factory=list)

    def add(self, live: VisemeTrack, whole: VisemeTrack, known: Known) -> None:
        """Add the track of a voice."""
        pairs = ((live.opening, whole.opening), (live.width, whole.width))
        opening, width = (correlation(*pair) for pair in pairs)
        self.with_whole.append((opening, width))
        found = pulses_kept(whole.closure, live.closure)
        self.closures.append((*found, *pulses_kept(live.closure, whole.closure)))
        if isinstance(known, SynthesizedSpeech):
            self.with_phonemes.append(score(live, known))
        else:
            measured = (against_measured(known, live), against_measured(known, whole))
            self.with_measured.append(measured)

    def __str__(self) -> str:
        opening, width = np.mean(self.with_whole, axis=0)
        kept, wanted, true, found = np.sum(self.closures, axis=0)
        line = (
            f"r with the whole talk {opening:.3f}, width {width:.3f}; closures found "
            f"{kept / wanted:.2f}, true {true / found:.2f}"
        )
        if self.with_measured:
            live, whole = np.mean(self.with_measured, axis=0)
            return f"{line}; real mouths {live:.3f} (whole talk {whole:.3f})"
        scores = self.with_phonemes
        sealed = sum(one.closed for one in scores) / sum(one.bilabials for one in scores)
        false = sum(one.false_pulses for one in scores) / sum(one.pulses for one in scores)
        agreement = np.mean([one.opening for one in scores])
        return f"{line}; phonemes: r {agreement:.3f}, p b m sealed {sealed:.0%}, false {false:.1%}"


def print_agreement(voices: Iterable[tuple[Array, Known]], weights: VisemeWeights | None) -> None:
    """With the whole talk, and with the phonemes or the measured mouths."""
    agreements = {ahead: Agreement() for ahead in AHEAD_FRAMES}
    for sound, known in voices:
        whole = analyse_speech(sound)
        for ahead, track in live_tracks(sound, weights).items():
            agreements[ahead].add(track, whole, known)
    for ahead, agreement in agreements.items():
        print(f"ahead {FRAME_MS * ahead:3} ms: {agreement}")


def against_measured(measured: NDArray[np.float64], track: VisemeTrack) -> float:
    """Correlation of the gap of the lips with that of a filmed person."""
    length = min(len(measured), len(track))
    gap = track.opening * (1 - track.closure)
    return best_correlation(measured[:length], gap[:length])


def synthesized(condition: Condition, num_speakers: int = 1) -> Iterator[tuple[Array, Known]]:
    """A sentence of each language by some of the speakers that were not trained on."""
    for number, (language, sentence) in enumerate(SENTENCES.items()):
        for speaker in range(number, number + num_speakers):
            voice = SPEAKERS[speaker % len(SPEAKERS)]
            speech = synthesize(sentence, language=language, voice=voice)
            sound = condition.change(speech.resampled(SAMPLE_RATE), np.random.default_rng(0))
            yield whole_frames(sound), speech


def recorded(directory: Path, seconds: float) -> Iterator[tuple[Array, Known]]:
    """The beginning of each recording, and the opening that was measured."""
    for clip in json.loads((directory / "mouths.json").read_text()).values():
        sound = read_audio(directory / clip["audio"])[: int(seconds * SAMPLE_RATE)]
        yield whole_frames(sound), np.array(clip["opening"], np.float64)


def whole_frames(sound: Array) -> Array:
    """Without the rest that is shorter than a frame."""
    return sound[: len(sound) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME]


def print_cost(weights: VisemeWeights) -> None:
    """CPU time of a frame with 160 ms of future; as a stream, and as a window that is run anew."""
    ahead = 4
    sound = next(synthesized(CONDITIONS[0]))[0]
    blocks = np.resize(sound, TIMED_FRAMES * SAMPLES_PER_FRAME).reshape(-1, SAMPLES_PER_FRAME)
    energies = whole_band_energies(blocks.ravel())
    bands, _ = relative_log(energies, loudness_of(energies))
    length = int((WINDOW_SECONDS + ahead * FRAME_MS / 1000) * FEATURE_RATE)
    visemes = LiveVisemes(weights=weights)
    stream, window = [], []
    for index, block in enumerate(blocks):
        started = time.thread_time()
        visemes.append(block)
        if index >= ahead:
            visemes.frame(index - ahead)
        stream.append(time.thread_time() - started)
        started = time.thread_time()
        predict(bands[4 * index :][:length], weights)
        window.append(time.thread_time() - started)
    stream_ms, window_ms = (1000 * float(np.median(times[40:-40])) for times in (stream, window))
    print(
        f"CPU of a frame, load {os.getloadavg()[0]:.1f}: {stream_ms:.2f} ms; the network alone on "
        f"a window {window_ms:.2f} ms, {window_ms / stream_ms:.1f} times as much"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, help="directory of real speech with mouths.json")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each recording")
    parser.add_argument(
        "--speakers", type=int, default=1, help=f"of each sentence, at most {len(SPEAKERS)}"
    )
    parser.add_argument("--weights", type=Path, help="instead of the shipped ones")
    arguments = parser.parse_args()
    weights = None
    if arguments.weights is not None:
        with np.load(arguments.weights) as arrays:
            weights = weights_from(arrays)
    for condition in CONDITIONS:
        if condition.name in HEARD_LIVE:
            print(f"synthesized speech, {condition.name}")
            print_agreement(synthesized(condition, arguments.speakers), weights)
    if arguments.clips is not None:
        print("recordings")
        print_agreement(recorded(arguments.clips, arguments.seconds), weights)
    print_cost(weights or live_weights())


if __name__ == "__main__":
    main()
