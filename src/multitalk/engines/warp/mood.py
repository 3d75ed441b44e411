"""A hint of mood from the prompt: the one thing in it that moving a photograph can follow a little.

Only plain words are understood, in English and Korean, and with them when in the talk they hold
("smiling at first"). A mood that is denied ("not angry") does not count, and of several different
ones at the same time none does: it is not known whose they are.
"""

import re
from dataclasses import astuple, dataclass, replace

from multitalk.engines.warp.interpolation import ramp


@dataclass(frozen=True)
class Mood:
    """A bias of the face, added to what speaking does.

    Attributes:
        smile: -1 corners of the mouth down .. 1 up.
        frown: -1 inner brows up .. 1 down and together.
        brow: Raised brows, negative lowered, of `Gesture.brow`.
        lids: How far the lids are down, 0..1.
        liveliness: Of the head's gestures; 1 as usual.
        opening: Of the mouth, as a share of what it opens otherwise.
    """

    smile: float = 0.0
    frown: float = 0.0
    brow: float = 0.0
    lids: float = 0.0
    liveliness: float = 1.0
    opening: float = 1.0

    def mixed(self, other: "Mood", share: float) -> "Mood":
        """On the way to another mood: 0 this one, 1 that one."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Mood(*(own + share * (there - own) for own, there in pairs))


NEUTRAL = Mood()
MOODS = {
    "happy": Mood(smile=0.75, brow=0.10, liveliness=1.15),
    "sad": Mood(smile=-0.55, frown=-0.75, lids=0.12, liveliness=0.7),
    "angry": Mood(smile=-0.30, frown=0.90, brow=-0.15, liveliness=1.2),
    "surprised": Mood(brow=0.60, liveliness=1.1),
    "serious": Mood(smile=-0.12, frown=0.45, brow=-0.05, liveliness=0.75),
    "calm": Mood(liveliness=0.6),
}
WHISPERING = "whispering"
# Whoever whispers does it in a mood or in none: calmer, and with a mouth that opens less.
WHISPERED_LIVELINESS, WHISPERED_OPENING = 0.65, 0.75
WORDS = {
    "happy": r"smil(?:e|es|ed|ing)|happy|happily|cheerful(?:ly)?|joyful(?:ly)?|laugh(?:s|ing)?|"
    r"grin(?:s|ning)?|(?<!비)웃|미소|행복|기쁘|기쁜|기뻐|즐거|즐겁",
    "sad": r"sad|sadly|unhappy|unhappily|sorrowful(?:ly)?|cry|cries|crying|"
    r"슬프|슬픈|슬퍼|슬픔|우울|눈물",
    "angry": r"angry|angrily|furious(?:ly)?|annoyed|화난|화가 나|화가 난|화를 내|화를 낸|화내|화낸|"
    r"분노|성난",
    "surprised": r"surprised|astonished|amazed|놀라|놀란|놀랍|깜짝",
    "serious": r"serious|seriously|solemn|solemnly|stern|sternly|진지|심각|엄숙|근엄",
    "calm": r"calm|calmly|serene(?:ly)?|relaxed|peaceful(?:ly)?|차분|침착|평온",
    WHISPERING: r"whisper(?:s|ed|ing)?|속삭",
}
# English words stand alone; Korean stems are followed by their endings.
HINTS = {
    mood: re.compile(rf"(?:\b(?=[a-z])|(?=[가-힣]))(?:{words})(?:\b|(?<=[가-힣]))")
    for mood, words in WORDS.items()
}
DENIED_BEFORE = re.compile(r"(?:\bnot|\bno|\bnever|\bwithout|n't|\b안)(?:\s+\w+)?\s+$")
DENIED_AFTER = re.compile(r"^[가-힣]*\s?(?:않|없|말고)")

# When in the talk a mood holds: a word of the same clause says so, or one on its own before it.
BEGINNING, END = "beginning", "end"
KOREAN_TIMES = {
    BEGINNING: r"처음(?:에는|에|엔|은)?|초반(?:에는|에|엔)|시작할 때",
    END: r"(?:끝|마지막|나중|후반)(?:에는|에|엔)|결국|마침내",
}
TIMES = {
    BEGINNING: re.compile(
        r"\b(?:at first|(?:at|in|from) the (?:beginning|start)|initially|to begin with)\b|"
        rf"(?<![가-힣])(?:{KOREAN_TIMES[BEGINNING]})(?![가-힣])"
    ),
    END: re.compile(
        r"\b(?:(?:at|in|towards?|by) the end|finally|eventually|then|later(?: on)?)\b|"
        rf"(?<![가-힣])(?:{KOREAN_TIMES[END]})(?![가-힣])"
    ),
}
CLAUSES = re.compile(
    r"[,.;:!?]|\b(?:and|but|while)\b|(?<=\w) (?=then\b)|(?<=[가-힣])다가(?= )|"
    rf" (?=(?:{'|'.join(KOREAN_TIMES.values())})(?![가-힣]))"
)
# The shares of a talk over which a first mood goes, and a last one comes.
GOES, COMES = (1 / 6, 1 / 3), (2 / 3, 5 / 6)
PEOPLE = re.compile(
    r"\b(?:m[ae]n|wom[ae]n|boys?|girls?|lad(?:y|ies)|gentlem[ae]n|guys?|child(?:ren)?|"
    r"husband|wife|mother|father)\b|남자|여자|남성|여성|소년|소녀|아이|아저씨|아주머니|"
    r"할머니|할아버지|남편|아내|엄마|아빠"
)


@dataclass(frozen=True)
class Course:
    """The moods of a talk, one after the other; often they are the same."""

    first: Mood = NEUTRAL
    middle: Mood = NEUTRAL
    last: Mood = NEUTRAL

    def at(self, share: float) -> Mood:
        """The mood when so much of the talk has passed, 0..1."""
        if self.first is self.middle is self.last:
            return self.middle
        mood = self.first.mixed(self.middle, _smooth(ramp(share, *GOES)))
        return mood.mixed(self.last, _smooth(ramp(share, *COMES)))


STEADY = Course()


def course_of(prompt: str) -> Course:
    """The moods that a prompt names, or `STEADY`."""
    text = prompt.lower()
    named: dict[str | None, set[str]] = {None: set(), BEGINNING: set(), END: set()}
    said_before = None
    for start, end in _clauses(text):
        clause = text[start:end]
        when = next((time for time, said in TIMES.items() if said.search(clause)), said_before)
        named[when] |= _moods_in(clause, text[:start])
        said_before = when if not re.search(r"\w", timeless(clause)) else None
    every = set().union(*named.values()) - {WHISPERING}
    people = {found.group() for found in PEOPLE.finditer(text)}
    if any(len(moods - {WHISPERING}) > 1 for moods in named.values()) or (
        len(every) > 1 and len(people) > 1
    ):
        return STEADY
    middle = _together(named[None])
    first, last = (
        _together(named[when] | (named[None] & {WHISPERING})) if named[when] else middle
        for when in (BEGINNING, END)
    )
    return Course(first, middle, last)


def timeless(prompt: str) -> str:
    """A prompt in lower case without the words that say when in the talk."""
    text = prompt.lower()
    for said in TIMES.values():
        text = said.sub(" ", text)
    return text


def _clauses(text: str) -> list[tuple[int, int]]:
    cuts = [found.end() for found in CLAUSES.finditer(text)]
    return list(zip([0, *cuts], [*cuts, len(text)], strict=True))


def _moods_in(clause: str, before: str) -> set[str]:
    return {
        mood
        for mood, hint in HINTS.items()
        for found in hint.finditer(clause)
        if not DENIED_BEFORE.search(before + clause[: found.start()])
        and not DENIED_AFTER.search(clause[found.end() :])
    }


def _together(moods: set[str]) -> Mood:
    """One mood of the face, whispered or not."""
    mood = next((MOODS[name] for name in moods if name != WHISPERING), NEUTRAL)
    if WHISPERING not in moods:
        return mood
    liveliness = WHISPERED_LIVELINESS * mood.liveliness
    return replace(mood, liveliness=liveliness, opening=WHISPERED_OPENING)


def _smooth(share: float) -> float:
    return share * share * (3 - 2 * share)
