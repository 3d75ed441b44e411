"""Find the phones in recordings of people whose words are known.

    python tools/visemes/align_prompts.py --weights first.npz --output prompts.npz

The voice prompts of the telephone exchange Asterisk (Debian packages asterisk-core-sounds-*,
recorded by professional speakers in five languages, CC BY-SA 3.0) come with their texts. espeak-ng
says which phones a text has, and a first network, trained on synthesized speech only, says when:
the best path (Viterbi) through the phones in their order, with a pause allowed between any two.
"""

import argparse
import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import av
import espeakng_loader
import numpy as np
from corpus import SAMPLE_RATE, Phone, Utterance, write_corpus
from inference import class_probabilities
from numpy.typing import NDArray

from multitalk.speech.coarticulation import PROBABILITY_RATE
from multitalk.speech.espeak_process import Espeak
from multitalk.speech.phonemes import SILENCE, VISEMES, visemes_of_ipa
from multitalk.speech.viseme_network import VisemeWeights, weights_from

# Package, folder of the speaker and espeak-ng's voice.
SPEAKERS = (
    ("asterisk-core-sounds-en", "en_US_f_Allison", "en-us"),
    ("asterisk-core-sounds-es", "es_MX_f_Allison", "es-419"),
    ("asterisk-core-sounds-fr", "fr_CA_f_June", "fr"),
    ("asterisk-core-sounds-it", "it_IT_m_Carlo", "it"),
    ("asterisk-core-sounds-ru", "ru_RU_f_IvrvoiceRU", "ru"),
)
MIN_PHONES, MIN_SECONDS, MAX_SECONDS = 4, 0.6, 40.0
# Share of the prompts that fit their text best; in the others the speaker reads another text.
KEPT_SHARE = 0.85
LEAST_PROBABILITY = 1e-3
# A shorter pause is the closed beginning of the stop that follows it.
MIN_PAUSE_SECONDS = 0.12
PAUSE_COST = 2.0  # natural logarithm; what a pause between two phones must gain


def prompts(root: Path, package: str, folder: str) -> Iterator[tuple[Path, str]]:
    """Sound file and text of each prompt that is speech."""
    listing = root / "doc" / package / (package.removeprefix("asterisk-") + ".txt.gz")
    text = gzip.decompress(listing.read_bytes()).decode("utf-8-sig", "replace")
    for line in text.splitlines():
        name, colon, words = line.partition(":")
        path = root / "asterisk" / "sounds" / folder / f"{name.strip()}.g722"
        words = re.sub(r"\(.*?\)", " ", words).strip()
        if colon and words and not re.search(r"[\[\]<>;]", words) and path.is_file():
            yield path, words


def read_g722(path: Path) -> NDArray[np.float32]:
    """Decode a G.722 file, 16 kHz mono."""
    with av.open(str(path), format="g722") as container:
        parts = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return np.concatenate(parts).astype(np.float32) / 32768


def log_probabilities(samples: NDArray[np.float32], weights: VisemeWeights) -> NDArray[np.float32]:
    """Of the classes at `PROBABILITY_RATE`, [N, NUM_VISEMES]."""
    return np.log(class_probabilities(samples, weights) + LEAST_PROBABILITY)


def best_path(
    scores: NDArray[np.float32], classes: list[int]
) -> tuple[NDArray[np.int64], float] | None:
    """Place the classes, in their order and each at least one step long, on the time axis.

    Args:
        scores: Log probabilities [N, NUM_VISEMES].
        classes: Without silence, which may come before, between and after them.

    Returns:
        The state of each step, [N]: 2 k + 1 is the k-th class, an even number is a pause; and the
        mean log probability. None if there is too little time.
    """
    states = np.full(2 * len(classes) + 1, SILENCE)
    states[1::2] = classes
    if len(scores) < len(classes):
        return None
    local = scores[:, states]  # [N, states]
    is_pause = np.arange(len(states)) % 2 == 0
    enter = np.where(is_pause, -PAUSE_COST, 0.0)
    best = np.full(len(states), -np.inf)
    best[:2] = local[0, :2]
    choices = np.zeros(local.shape, np.int64)  # how many states back the best predecessor is
    for step in range(1, len(local)):
        stay, next_, skip = best, np.roll(best, 1) + enter, np.roll(best, 2)
        next_[0], skip[:2] = -np.inf, -np.inf
        skip = np.where(is_pause, -np.inf, skip)  # past a pause
        options = np.stack([stay, next_, skip])
        choices[step] = options.argmax(axis=0)
        best = options.max(axis=0) + local[step]
    state = len(states) - 1 - int(best[-1] < best[-2])
    total = float(best[state]) / len(local)
    path = np.zeros(len(local), np.int64)
    for step in range(len(local) - 1, -1, -1):
        path[step] = state
        state -= choices[step, state]
    return path, total


def phones_of(path: NDArray[np.int64], classes: list[int]) -> tuple[Phone, ...]:
    """Runs of equal states as phones named by their class; a step is the middle of its phone."""
    ends = np.append(np.flatnonzero(np.diff(path)), len(path) - 1)
    phones: list[Phone] = []
    start = 0.0
    for end in ends:
        is_pause = path[end] % 2 == 0
        end_seconds = float(end + 0.5) / PROBABILITY_RATE
        inside = phones and end < len(path) - 1
        if is_pause and inside and end_seconds - start < MIN_PAUSE_SECONDS:
            continue
        phones.append(Phone(VISEMES[SILENCE if is_pause else classes[path[end] // 2]], end_seconds))
        start = end_seconds
    return tuple(phones)


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="of a first network")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--root", type=Path, default=Path("/usr/share"), help="of the packages")
    arguments = parser.parse_args()
    with np.load(arguments.weights) as arrays:
        weights = weights_from(arrays)
    espeak = Espeak(str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path()))
    kept: list[Utterance] = []
    for package, folder, voice in SPEAKERS:
        found = []
        for path, words in prompts(arguments.root, package, folder):
            samples = read_g722(path)
            _, phonemes, _ = espeak.speak(
                words, voice=voice, words_per_minute=160, pitch=50, pitch_range=50, max_seconds=60
            )
            classes = [viseme for _, ipa in phonemes for viseme in visemes_of_ipa(ipa)]
            seconds = len(samples) / SAMPLE_RATE
            if len(classes) < MIN_PHONES or not MIN_SECONDS < seconds < MAX_SECONDS:
                continue
            placed = best_path(log_probabilities(samples, weights), classes)
            if placed is not None:
                found.append((placed[1], samples, phones_of(placed[0], classes)))
        found.sort(key=lambda row: -row[0])
        good = found[: int(KEPT_SHARE * len(found))]
        for _, samples, phones in good:
            sound = np.clip(samples * 32768, -32768, 32767).astype(np.int16)
            kept.append(Utterance(sound, phones, f"prompt-{folder}", "viseme", held_out=False))
        hours = sum(len(samples) for _, samples, _ in good) / SAMPLE_RATE / 3600
        scores = [row[0] for row in found]
        print(f"{folder}: {len(good)} of {len(found)} prompts, {hours:.2f} h, mean log probability "
              f"{np.mean(scores):.2f}, worst kept {good[-1][0]:.2f}", flush=True)  # fmt: skip
    write_corpus(arguments.output, kept)


if __name__ == "__main__":
    main()
