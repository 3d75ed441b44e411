"""A hint of mood from the prompt: the one thing in it that moving a photograph can follow a little.

Only plain words are understood, in English and Korean. A mood that is denied ("not angry") does not
count, and of several different ones none does: it is not known whose they are.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Mood:
    """A bias of the face, added to what speaking does.

    Attributes:
        smile: -1 corners of the mouth down .. 1 up.
        frown: -1 inner brows up .. 1 down and together.
        brow: Raised brows, negative lowered, of `Gesture.brow`.
        lids: How far the lids are down, 0..1.
        liveliness: Of the head's gestures; 1 as usual.
    """

    smile: float = 0.0
    frown: float = 0.0
    brow: float = 0.0
    lids: float = 0.0
    liveliness: float = 1.0


NEUTRAL = Mood()
MOODS = {
    "happy": Mood(smile=0.75, brow=0.10, liveliness=1.15),
    "sad": Mood(smile=-0.55, frown=-0.75, lids=0.12, liveliness=0.7),
    "angry": Mood(smile=-0.30, frown=0.90, brow=-0.15, liveliness=1.2),
    "calm": Mood(liveliness=0.6),
}
WORDS = {
    "happy": r"smil(?:e|es|ed|ing)|happy|happily|cheerful(?:ly)?|joyful(?:ly)?|laugh(?:s|ing)?|"
    r"grin(?:s|ning)?|(?<!비)웃|미소|행복|기쁘|기쁜|기뻐|즐거|즐겁",
    "sad": r"sad|sadly|unhappy|unhappily|sorrowful(?:ly)?|cry|cries|crying|"
    r"슬프|슬픈|슬퍼|슬픔|우울|눈물",
    "angry": r"angry|angrily|furious(?:ly)?|annoyed|화난|화가 나|화가 난|화를 내|화내|분노|성난",
    "calm": r"calm|calmly|serene(?:ly)?|relaxed|peaceful(?:ly)?|차분|침착|평온",
}
# English words stand alone; Korean stems are followed by their endings.
HINTS = {
    mood: re.compile(rf"(?:\b(?=[a-z])|(?=[가-힣]))(?:{words})(?:\b|(?<=[가-힣]))")
    for mood, words in WORDS.items()
}
DENIED_BEFORE = re.compile(r"(?:\bnot|\bno|\bnever|\bwithout|n't|\b안)(?:\s+\w+)?\s+$")
DENIED_AFTER = re.compile(r"^[가-힣]*\s?(?:않|없|말고)")


def mood_of(prompt: str) -> Mood:
    """The mood that a prompt names, or `NEUTRAL`."""
    text = prompt.lower()
    named = {
        mood
        for mood, hint in HINTS.items()
        for found in hint.finditer(text)
        if not DENIED_BEFORE.search(text[: found.start()])
        and not DENIED_AFTER.search(text[found.end() :])
    }
    return MOODS[named.pop()] if len(named) == 1 else NEUTRAL
