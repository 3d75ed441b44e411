"""Make speech with espeak-ng: formant voices in a hundred languages, with sample-exact phonemes.

    python tools/visemes/generate_espeak.py --hours 2 --output espeak.npz

The held-out languages and speakers are never trained on; `evaluate.py` measures on them.
"""

import argparse
from fractions import Fraction
from pathlib import Path
from random import Random

import espeakng_loader
import numpy as np
from corpus import SAMPLE_RATE, Phone, Utterance, write_corpus
from scipy.signal import resample_poly
from sentences import SentenceSource

from multitalk.speech.espeak_process import Espeak

HELD_OUT_LANGUAGES = ("ko", "cmn", "ar", "pl", "sw", "fa", "id", "el")
HELD_OUT_VARIANTS = ("f4", "m5", "klatt3", "aunty", "Michael")
# Languages spoken by most; a third of the training speech.
LARGE_LANGUAGES = ("en-us", "en-gb", "es", "es-419", "fr-fr", "de", "hi", "ru", "pt-br", "pt")
# Read the Latin alphabet only, or invented ones: their CLDR words would be spelled letter by
# letter.
UNREADABLE = ("cmn-latn-pinyin", "fa-latn", "en-shaw", "piqd", "chr-US-Qaaa-x-west", "ja")
# Sound effects rather than speakers.
UNNATURAL_VARIANTS = (
    "Demonic", "Storm", "Tweaky", "UniRobot", "anikaRobot", "fast", "robosoft", "robosoft2",
    "robosoft3", "robosoft4", "robosoft5", "robosoft6", "robosoft7", "robosoft8",
)  # fmt: skip
HELD_OUT_SHARE = 0.08
MIN_SECONDS, MAX_SECONDS, MIN_PHONES = 0.8, 15.0, 6


def utterance_of(
    sound: bytes, phonemes: list[tuple[int, str]], rate: int, *, voice: str, held_out: bool
) -> Utterance | None:
    """Resample one result to 16 kHz, or None if it is too short or too long."""
    samples = np.frombuffer(sound, np.int16)
    if not MIN_SECONDS <= len(samples) / rate <= MAX_SECONDS or len(phonemes) < MIN_PHONES:
        return None
    ends = [start for start, _ in phonemes[1:]] + [len(samples)]
    phones = tuple(Phone(ipa, end / rate) for (_, ipa), end in zip(phonemes, ends, strict=True))
    ratio = Fraction(SAMPLE_RATE, rate)
    resampled = resample_poly(samples.astype(np.float64), ratio.numerator, ratio.denominator)
    whole = np.clip(resampled, -32768, 32767).astype(np.int16)
    return Utterance(whole, phones, voice, "ipa", held_out)


def generate(arguments: argparse.Namespace) -> list[Utterance]:
    """Speak sentences of random languages by random speakers until there is enough."""
    random = Random(arguments.seed)
    source = SentenceSource(random)
    espeak = Espeak(str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path()))
    voices = espeak.languages()
    languages = [code for code in voices if source.knows(code)]
    training = [c for c in languages if c not in (*HELD_OUT_LANGUAGES, *UNREADABLE)]
    large = [code for code in LARGE_LANGUAGES if code in training]
    testing = [*(code for code in HELD_OUT_LANGUAGES if code in languages), "en-us", "es"]
    variants = [
        name for name in espeak.variants if name not in (*HELD_OUT_VARIANTS, *UNNATURAL_VARIANTS)
    ]
    print(f"{len(training)} languages and {len(variants)} speakers to train on")
    utterances: list[Utterance] = []
    seconds, reported = 0.0, 0.0
    while seconds < 3600 * arguments.hours:
        held_out = random.random() < HELD_OUT_SHARE
        if held_out:
            language, variant = random.choice(testing), random.choice(HELD_OUT_VARIANTS)
        else:
            language = random.choice(large if random.random() < 0.35 else training)
            variant = random.choice(variants) if random.random() < 0.95 else ""
        name = voices[language] + (f"+{variant}" if variant else "")
        try:
            sound, phonemes, _ = espeak.speak(
                source.sentence(language),
                voice=name,
                words_per_minute=random.randint(120, 280),
                pitch=random.randint(15, 85),
                pitch_range=random.randint(20, 90),
                max_seconds=2 * MAX_SECONDS,
            )
        except ValueError as error:
            print(f"  {error}")
            continue
        utterance = utterance_of(
            sound, phonemes, espeak.sample_rate, voice=f"espeak-{name}", held_out=held_out
        )
        if utterance is not None:
            utterances.append(utterance)
            seconds += utterance.seconds
        if seconds - reported > 1800:
            reported = seconds
            print(f"{seconds / 3600:.1f} h", flush=True)
    return utterances


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=2.0, help="speech in all (default 2)")
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    utterances = generate(arguments)
    write_corpus(arguments.output, utterances)
    print(f"{len(utterances)} utterances -> {arguments.output}")


if __name__ == "__main__":
    main()
