"""The speakers of espeak-ng: women's and men's voices, and how high they can speak (pure).

espeak-ng's data name a speaker's gender where somebody wrote it down, and nearly always the pitch:
the frequencies in hertz between which the voice moves. What follows from them was measured: the
fundamental frequency of a sentence in English and in Korean by each of the speakers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from multitalk.messages import Notice

Gender: TypeAlias = Literal["female", "male"]

DEFAULT_PITCH = (82.0, 118.0)  # Hz, of a voice whose file says nothing

# Plain human voices, the best first: the mouth network reads their lips as well as the languages'
# own voices (docs/experiments.md), and their median frequency is that of women, or of men. The
# others whisper, croak, buzz, hurry or are near copies of these.
RECOMMENDED: dict[Gender, tuple[str, ...]] = {
    "female": ("f5", "f2", "f1", "f3", "f4", "linda", "steph", "Annie"),
    "male": ("m7", "m6", "m5", "m3", "m1", "Michael", "max", "m8"),
}
# Where the lips follow another woman's voice better than the first one (the same entry).
_FEMALE_OF = {"hi": "f1", "vi": "linda"}
_ORDER = [name for names in RECOMMENDED.values() for name in names]

# A voice's median frequency is BASE_SHARE below its lowest plus MIDDLE of its range, in hertz.
BASE_OFFSET = 9.0
MIDDLE = 0.78
# Women speak at 165 to 255 Hz, men at 85 to 155 Hz (Titze, Principles of Voice Production, 1994).
HIGHEST_MALE, HIGHEST_FEMALE = 160.0, 260.0  # Hz

# How espeak-ng's parameters work, measured at 11 pitches of 6 speakers. The lowest frequency is
# multiplied by 2^((pitch - 50) / 50), the range by pitch_range / 50; widening the range by a whole
# range lowers the voice by RANGE_DROP of it.
NEUTRAL = 50
RANGE_DROP = 0.475
LOWEST_FACTOR, HIGHEST_FACTOR = 0.5, 2.0  # of the lowest frequency, at pitch 0 and 100
NOTICED_SEMITONES = 0.5  # less than this from what was asked for is inaudible


@dataclass(frozen=True)
class Speaker:
    """One of espeak-ng's speakers; each speaks every language.

    Attributes:
        name: As requests write it.
        gender: None where the voice is neither, such as a child's.
        recommended: Whether it is a plain human voice.
    """

    name: str
    gender: Gender | None
    recommended: bool

    @property
    def rank(self) -> tuple[int, str]:
        """Sorts the recommended ones first, best first, then by name."""
        place = _ORDER.index(self.name) if self.name in _ORDER else len(_ORDER)
        return place, self.name.lower()


@dataclass(frozen=True)
class Tuning:
    """How a voice is made higher or lower.

    Attributes:
        pitch: espeak-ng's parameter, 0 to 100.
        pitch_range: espeak-ng's parameter, 0 to 100.
        notices: Says that it is less than was asked for, if so.
    """

    pitch: int
    pitch_range: int
    notices: tuple[Notice, ...] = ()


def speaker_from(name: str, said: Mapping[str, Any]) -> Speaker:
    """A speaker from what the data say: `{"gender": "female", "pitch": [base, top]}`, or less."""
    stated = said.get("gender")
    gender: Gender | None = "female" if stated == "female" else "male" if stated == "male" else None
    if gender is None:
        gender = _gender_at(median_hertz(said.get("pitch", DEFAULT_PITCH)))
    return Speaker(name, gender, name in _ORDER)


def median_hertz(pitch: tuple[float, float]) -> float:
    """About the frequency of half of what a voice says, from its lowest and highest one."""
    base, top = pitch
    return base - BASE_OFFSET + MIDDLE * (top - base)


def speaker_meant(voice: str, *, language: str) -> str | None:
    """The speaker that a name means, `female` and `male` among the names.

    Args:
        voice: As a request names it.
        language: The synthesizer's code of the text as a whole.

    Returns:
        None for the language's own voice, which is a man's in all languages.
    """
    asked = voice.strip().lower()
    if asked == "male":
        return None
    if asked == "female":
        return _FEMALE_OF.get(language.split("-", maxsplit=1)[0], RECOMMENDED["female"][0])
    return voice


def transposed(pitch: tuple[float, float], semitones: float) -> Tuning:
    """The parameters that move a voice by so many semitones, its intonation with it.

    Args:
        pitch: Lowest and highest frequency of the voice, in hertz.
        semitones: Up; down where negative.
    """
    base, top = pitch
    drop = RANGE_DROP * (top - base) / (base - BASE_OFFSET)
    highest, lowest = ((limit + drop) / (1 + drop) for limit in (HIGHEST_FACTOR, LOWEST_FACTOR))
    wanted = 2 ** (semitones / 12)
    ratio = min(max(wanted, lowest), highest)
    factor = ratio + drop * (ratio - 1)
    reached = 12 * math.log2(ratio)
    notices: tuple[Notice, ...] = ()
    if abs(reached - semitones) > NOTICED_SEMITONES:
        notices = (Notice("pitch_out_of_reach", {"asked": semitones, "reached": reached}),)
    return Tuning(
        pitch=min(max(round(NEUTRAL + 50 * math.log2(factor)), 0), 100),
        pitch_range=min(max(round(NEUTRAL * ratio), 0), 100),
        notices=notices,
    )


def _gender_at(hertz: float) -> Gender | None:
    if hertz <= HIGHEST_MALE:
        return "male"
    return "female" if hertz <= HIGHEST_FEMALE else None
