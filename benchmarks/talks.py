"""The talks that are measured: a photograph of one or two heads, and synthesized voices."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from multitalk.speech.narration import write_wav
from multitalk.speech.synthesis import SynthesizedSpeech, synthesize

ROOT = Path(__file__).resolve().parent.parent
PHOTOGRAPH = ROOT / "examples" / "astronaut.jpg"
# Head and shoulders in the photograph: left, top, right, bottom. Enlarged three times.
ONE_HEAD = (107, 0, 347, 240)  # to 720 x 720
HALF_A_PICTURE = (120, 0, 333, 240)  # to 640 x 720, twice side by side

TEXTS = {
    "en": "Maybe my brother bought five purple umbrellas before the summer rain. Please remember "
    "to open both windows; the problem was never the weather but the people who were waiting.",
    "ko": "안녕하세요, 만나서 반갑습니다. 봄에는 밖에서 밥을 먹고 바람을 맞으며 음악을 듣습니다. "
    "푸른 바다와 나무가 보이는 마을에 할머니와 아이가 삽니다.",
}


@dataclass(frozen=True)
class Talk:
    """A request to measure.

    Attributes:
        name: Shown in the tables.
        seconds: Length of each voice and of the talk.
        request: JSON file with the arguments of `Studio.render`, all but the output.
    """

    name: str
    seconds: int
    request: Path


def make_talk(
    directory: Path,
    *,
    people: int,
    height: int,
    width: int,
    seconds: int,
    name: str,
    quality: str = "standard",
) -> Talk:
    """Write a talk's picture, voices and request into one directory.

    Args:
        directory: Where that directory is made.
        people: 1 or 2; two speak at the same time, which is the most work.
        height: Of the picture in pixels.
        width: Of the picture in pixels.
        seconds: The voices are repeated or cut to this length.
        name: Shown in the tables.
        quality: Of the request.
    """
    place = directory / name.replace(" ", "-")
    place.mkdir()
    picture = place / "portrait.png"
    crop = _cut(ONE_HEAD if people == 1 else HALF_A_PICTURE)
    crop = cv2.resize(crop, (width // people, height), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(picture), np.hstack([crop] * people))
    voices = {}
    for language, text in list(TEXTS.items())[:people]:
        voice = place / f"{language}.wav"
        write_wav(_lasting(synthesize(text, language=language), seconds), voice)
        voices[f"person{len(voices) + 1}"] = str(voice)
    request = place / "request.json"
    asked = {
        "image": str(picture),
        "audio": voices,
        "prompt": "people talk",
        "audio_type": "para",
        "seed": 1,
        "quality": quality,
    }
    request.write_text(json.dumps(asked))
    return Talk(name, seconds, request)


def _cut(box: tuple[int, int, int, int]) -> np.ndarray:
    left, top, right, bottom = box
    return cv2.imread(str(PHOTOGRAPH))[top:bottom, left:right]


def _lasting(speech: SynthesizedSpeech, seconds: int) -> SynthesizedSpeech:
    samples = np.resize(speech.samples, seconds * speech.sample_rate)
    return SynthesizedSpeech(samples, speech.sample_rate, ())
