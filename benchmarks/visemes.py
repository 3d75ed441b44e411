"""Agreement of the mouth with the voice: on known phonemes, noisy sound, and filmed mouths.

    python benchmarks/visemes.py [--clips DIRECTORY] [--weights FILE]

Speech of languages and speakers that the network was not trained on is synthesized with known
phonemes, and the track of the sound is compared with the track of the phonemes: clean, and under
what real recordings suffer. Sounds that are no speech should leave the mouth still. With --clips, a
directory of recordings with `mouths.json` (the measured mouths of real speakers, 25 fps), the
opening is compared with theirs too.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.speech.phonemes import BILABIAL, visemes_of_ipa
from multitalk.speech.synthesis import (
    DEFAULT_WORDS_PER_MINUTE,
    SynthesizedSpeech,
    phoneme_track,
    synthesize,
)
from multitalk.speech.viseme_network import VisemeWeights, shipped_weights, weights_from
from multitalk.speech.viseme_track import VisemeTrack
from multitalk.speech.visemes import analyse_speech, stream_visemes
from multitalk.timebase import SAMPLE_RATE

# None of these speakers was trained on; of the languages, only English and Spanish were.
SPEAKERS = ("f4", "m5", "klatt3", "aunty", "Michael")
SENTENCES = {
    "ko": (
        "안녕하세요, 만나서 반갑습니다. 봄에는 밖에서 밥을 먹고 바람을 맞으며 "
        "음악을 듣습니다. 푸른 바다와 나무가 보이는 마을에 할머니와 아이가 삽니다."
    ),
    "en": (
        "Maybe my brother bought five purple umbrellas before the summer rain. Please "
        "remember to open both windows; the problem was never the weather but the people who "
        "were waiting."
    ),
    "cmn": (
        "你好，我们明天早上八点在北京见面。爸爸妈妈都不怕冷，他们每天跑步，然后喝一杯茶，"
        "看报纸，慢慢吃饭。"
    ),
    "es": (
        "Mi amigo Pablo vive en un pueblo pequeño cerca del mar. Por la mañana compra pan y "
        "fruta para su familia, y por la tarde habla con los vecinos sobre el tiempo."
    ),
    "ar": (
        "مرحبا بكم في مدينتنا الجميلة. ذهب محمد مع أبيه إلى المكتبة ليبحث عن كتاب جديد، ثم "
        "شرب كوبا من الشاي مع صديقه في البيت."
    ),
    "pl": (
        "Mój brat mieszka w małym domu pod lasem. Babcia piecze chleb, a po południu pijemy "
        "herbatę i rozmawiamy o pogodzie, muzyce i podróżach."
    ),
    "sw": (
        "Habari za asubuhi, mimi ninapenda kusoma vitabu. Baba na mama wanafanya kazi mjini, "
        "na watoto wanacheza mpira nyumbani kwa bibi."
    ),
    "el": (
        "Καλημέρα, με λένε Μαρία και μένω στην Αθήνα. Ο μπαμπάς μου πίνει καφέ το πρωί και "
        "μετά περπατάμε μαζί μέχρι την παλιά πόλη."
    ),
}
CLOSED = 0.95  # closure of sealed lips
TOLERANCE_SECONDS = 0.04  # one frame
MOST_LAG = 4  # frames by which the lips of filmed people are early or late


@dataclass(frozen=True)
class Score:
    """Agreement of one track with its phonemes."""

    opening: float  # Pearson r
    width: float
    closed: int  # bilabials that are sealed
    bilabials: int
    false_pulses: int  # closures away from any bilabial
    pulses: int
    false_frames: int  # half-closed frames away from any bilabial
    frames: int  # frames away from any bilabial


def correlation(first: Array, second: Array) -> float:
    """Pearson's r."""
    return float(np.corrcoef(first, second)[0, 1])


def score(track: VisemeTrack, speech: SynthesizedSpeech) -> Score:
    """Compare a track with the phonemes that were spoken."""
    truth = phoneme_track(speech.phonemes, len(track))
    instants = (np.arange(len(track)) + 0.5) / 25
    near_bilabial = np.zeros(len(track), bool)
    closed = bilabials = 0
    for phoneme in speech.phonemes:
        if BILABIAL not in visemes_of_ipa(phoneme.ipa):
            continue
        near = (instants > phoneme.start_seconds - TOLERANCE_SECONDS) & (
            instants < phoneme.end_seconds + TOLERANCE_SECONDS
        )
        bilabials += 1
        closed += bool(near.any() and track.closure[near].max() >= CLOSED)
        near_bilabial |= near
    half = track.closure >= 0.5
    edges = np.flatnonzero(np.diff(np.pad(half.astype(int), 1)))
    pulses = [slice(first, end) for first, end in edges.reshape(-1, 2)]
    return Score(
        opening=correlation(track.opening, truth.opening),
        width=correlation(track.width, truth.width),
        closed=closed,
        bilabials=bilabials,
        false_pulses=sum(not near_bilabial[pulse].any() for pulse in pulses),
        pulses=len(pulses),
        false_frames=int((half & ~near_bilabial).sum()),
        frames=int((~near_bilabial).sum()),
    )


def pink(num_samples: int, random: np.random.Generator) -> Array:
    """Noise whose power falls with frequency, of unit level."""
    spectrum = np.fft.rfft(random.standard_normal(num_samples))
    noise = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 20.0), num_samples)
    return unit(noise)


def music(num_samples: int, random: np.random.Generator) -> Array:
    """Chords of plucked strings, two a second, of unit level."""
    seconds = np.arange(num_samples) / SAMPLE_RATE
    sound = np.zeros(num_samples)
    for beat in range(int(2 * seconds[-1]) + 1):
        root = 110 * 2 ** (random.choice([0, 5, 7, 9]) / 12)
        age = seconds - beat / 2
        ring = np.where(age >= 0, np.exp(-3 * np.maximum(age, 0)), 0)
        for interval in (0, 4, 7):
            for harmonic in range(1, 6):
                hertz = root * 2 ** (interval / 12) * harmonic
                sound += ring * np.sin(2 * np.pi * hertz * age) / harmonic
    return unit(sound)


def breath(num_samples: int, random: np.random.Generator) -> Array:
    """White noise that swells and falls every two seconds, of unit level."""
    swell = np.sin(np.pi * np.arange(num_samples) / SAMPLE_RATE / 2) ** 4
    return unit(swell * random.standard_normal(num_samples))


def telephone(samples: Array, random: np.random.Generator) -> Array:
    """300 to 3400 Hz, eight bits of mu-law, and pink noise 25 dB below."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    spectrum[(hertz < 300) | (hertz > 3400)] = 0
    band = np.fft.irfft(spectrum, len(samples))
    band /= np.abs(band).max()
    steps = np.rint(127 * np.sign(band) * np.log1p(255 * np.abs(band)) / np.log(256)) / 127
    coarse = np.sign(steps) * np.expm1(np.abs(steps) * np.log(256)) / 255
    return below(pink, 25)(coarse.astype(np.float32), random)


def unit(sound: NDArray[np.float64]) -> Array:
    """The sound with a root mean square of 1."""
    return (sound / np.sqrt(np.mean(sound**2))).astype(np.float32)


def below(
    other: Callable[[int, np.random.Generator], Array], decibels: float
) -> Callable[[Array, np.random.Generator], Array]:
    """Add another sound, so much below the voice."""

    def mix(samples: Array, random: np.random.Generator) -> Array:
        level = np.sqrt(np.mean(samples**2)) * 10 ** (-decibels / 20)
        return samples + np.float32(level) * other(len(samples), random)

    return mix


@dataclass(frozen=True)
class Condition:
    """A change of the sound of speech."""

    name: str
    change: Callable[[Array, np.random.Generator], Array] = lambda samples, _: samples
    words_per_minute: int = DEFAULT_WORDS_PER_MINUTE
    speakers: tuple[str, ...] = SPEAKERS


CONDITIONS = (
    Condition("clean"),
    Condition("noise 15 dB below", below(pink, 15)),
    Condition("noise 5 dB below", below(pink, 5)),
    Condition("music 10 dB below", below(music, 10)),
    Condition("telephone", telephone),
    Condition("fast, 320 words a minute", words_per_minute=320),
    Condition("slow, 90 words a minute", words_per_minute=90),
    Condition("whispered", speakers=("whisper", "whisperf")),
)


def print_synthesized(weights: VisemeWeights, condition: Condition, *, by_language: bool) -> None:
    """One row, the mean over languages and speakers; or first one for each language."""
    everything: list[Score] = []
    for language, sentence in SENTENCES.items():
        scores = []
        for speaker in condition.speakers:
            speech = synthesize(
                sentence,
                language=language,
                voice=speaker,
                words_per_minute=condition.words_per_minute,
            )
            samples = condition.change(speech.resampled(SAMPLE_RATE), np.random.default_rng(0))
            scores.append(score(analyse_speech(samples, weights=weights), speech))
        if by_language:
            print_row(language, scores)
        everything += scores
    print_row(condition.name, everything)


def print_without_speech(weights: VisemeWeights) -> None:
    """Print the movement of the mouth for sounds that nobody spoke."""
    print("\nno speech                 mean opening  largest  frames closed")
    for name, sound in (("pink noise", pink), ("music", music), ("breath", breath)):
        heard = 0.05 * sound(10 * SAMPLE_RATE, np.random.default_rng(0))
        track = analyse_speech(heard, weights=weights)
        closed = 100 * float(np.mean(track.closure >= 0.5))
        print(
            f"{name:24}  {track.opening.mean():12.3f}  {track.opening.max():7.3f}  {closed:12.1f}%"
        )


def print_row(name: str, scores: list[Score]) -> None:
    """Means of r; shares over all phonemes, pulses and frames."""

    def share(part: str, whole: str) -> float:
        parts, wholes = (sum(getattr(s, key) for s in scores) for key in (part, whole))
        return 100 * parts / max(wholes, 1)

    opening, width = (np.mean([getattr(s, key) for s in scores]) for key in ("opening", "width"))
    print(
        f"{name:24}  {opening:9.3f}  {width:7.3f}  {share('closed', 'bilabials'):5.1f}%"
        f"  {share('false_pulses', 'pulses'):11.1f}%  {share('false_frames', 'frames'):11.2f}%"
    )


def read_audio(path: Path) -> Array:
    """Decode a recording to mono at 16 kHz."""
    import av  # noqa: PLC0415 - only needed with --clips

    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(str(path)) as container:
        frames = [*container.decode(audio=0), None]
        parts = [part.to_ndarray()[0] for frame in frames for part in resampler.resample(frame)]
    return np.concatenate(parts)


def print_clips(directory: Path, weights: VisemeWeights) -> None:
    """Gap and width against measured mouths, whose lips may be `MOST_LAG` frames early or late."""
    print("\nclip         opening r  width r  95th percentile  deviation")
    rows = []
    for name, clip in json.loads((directory / "mouths.json").read_text()).items():
        speech = read_audio(directory / clip["audio"])
        track = analyse_speech(speech, num_frames=clip["frames"], weights=weights)
        gap = track.opening * (1 - track.closure)
        opening, width = (np.array(clip[curve], np.float64) for curve in ("opening", "width"))
        row = [
            best_correlation(opening, gap),
            best_correlation(width, track.width),
            np.percentile(gap, 95) / np.nanpercentile(opening, 95),
            gap.std() / np.nanstd(opening),
        ]
        rows.append(row)
        print(f"{name:11}  {row[0]:9.3f}  {row[1]:7.3f}  {row[2]:15.2f}  {row[3]:9.2f}")
    mean = np.mean(rows, axis=0)
    print(f"{'mean':11}  {mean[0]:9.3f}  {mean[1]:7.3f}  {mean[2]:15.2f}  {mean[3]:9.2f}")


def best_correlation(measured: NDArray[np.float64], found: Array) -> float:
    """The largest correlation of two curves [T] over the lags; what was not measured is NaN."""
    best = -1.0
    for lag in range(-MOST_LAG, MOST_LAG + 1):
        moved = np.roll(measured, -lag)
        moved[len(moved) - lag :] = np.nan  # what came round, either way
        moved[: max(-lag, 0)] = np.nan
        seen = np.isfinite(moved)
        best = max(best, correlation(moved[seen], found[seen]))
    return best


def print_speed(weights: VisemeWeights) -> None:
    """Time for ten seconds of speech, and for the first chunk of ten minutes."""
    speech = synthesize(" ".join([SENTENCES["en"]] * 2)).resampled(SAMPLE_RATE)
    ten_seconds = np.resize(speech, 10 * SAMPLE_RATE)
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        analyse_speech(ten_seconds, weights=weights)
        times.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    long = np.resize(speech, 600 * SAMPLE_RATE)
    begin = time.perf_counter()
    next(stream_visemes(long, num_frames=600 * 25, weights=weights))
    first = time.perf_counter() - begin
    print(
        f"\n10 s of speech: {1000 * min(times):.0f} ms ({10 / min(times):.0f} times real time); "
        f"first chunk of 10 minutes: {1000 * first:.0f} ms"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, help="directory of real speech with mouths.json")
    parser.add_argument("--weights", type=Path, help="instead of the shipped ones")
    arguments = parser.parse_args()
    if arguments.weights is None:
        weights = shipped_weights()
    else:
        with np.load(arguments.weights) as arrays:
            weights = weights_from(arrays)
    print("synthesized speech        opening r  width r  closed  false pulses  false frames")
    for condition in CONDITIONS:
        print_synthesized(weights, condition, by_language=condition is CONDITIONS[0])
    print_without_speech(weights)
    if arguments.clips is not None:
        print_clips(arguments.clips, weights)
    print_speed(weights)


if __name__ == "__main__":
    main()
