"""Prompt cues: the moods that a prompt names and when, and whether it requests more than talking.

Moods are recognised by plain words, English and Korean, with their place in the talk ("smiling at
first"). Negated moods ("not angry") do not count, nor do different moods at the same time: it is
not known whose they are. Acting, scenes and cameras are beyond a moved photograph. There are
endless ways to request them and few ways to say that somebody talks, so the few are listed, and
everything else counts as such a request: a needless notice is better than a missing one.
"""

import re
import unicodedata
from dataclasses import astuple, dataclass, replace

from multitalk.engines.warp.smoothing import ramp


@dataclass(frozen=True)
class Mood:
    """A bias of the face, added to speech and gestures.

    Attributes:
        smile: -1 corners of the mouth down .. 1 up.
        frown: -1 inner brows up .. 1 down and together.
        brow: Raised brows, added to `BrowPose.raised`; negative is lowered.
        squint: Narrowed eyes, beyond those of a smile; negative is widened.
        lids: Closing of the lids, 0..1.
        liveliness: Factor of the head's gestures.
        opening: Factor of the mouth's opening.
    """

    smile: float = 0.0
    frown: float = 0.0
    brow: float = 0.0
    squint: float = 0.0
    lids: float = 0.0
    liveliness: float = 1.0
    opening: float = 1.0

    def mixed(self, other: "Mood", share: float) -> "Mood":
        """Linear interpolation to another mood: 0 this one, 1 that one."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Mood(*(own + share * (there - own) for own, there in pairs))


NEUTRAL = Mood()
MOODS = {
    "happy": Mood(smile=0.95, brow=0.10, liveliness=1.15),
    "sad": Mood(smile=-0.40, frown=-0.90, lids=0.12, liveliness=0.7),
    "angry": Mood(smile=-0.22, frown=1.0, brow=-0.15, squint=0.7, liveliness=1.2),
    "surprised": Mood(brow=0.65, squint=-0.6, liveliness=1.1),
    "serious": Mood(smile=-0.09, frown=0.45, brow=-0.05, liveliness=0.75),
    "calm": Mood(liveliness=0.6),
    "worried": Mood(frown=-0.60, brow=0.10, squint=-0.15, smile=-0.12, liveliness=1.05),
    "excited": Mood(smile=0.45, brow=0.25, squint=-0.2, liveliness=1.3),
}
# Who is said not to smile: a photograph's smile relaxes.
UNSMILING = Mood(smile=-0.25)
WHISPERING = "whispering"
# Whispering goes with any mood: calmer, and with a mouth that opens less.
WHISPERED_LIVELINESS, WHISPERED_OPENING = 0.65, 0.75
WORDS = {
    "happy": r"smil(?:e|es|ed|ing)|happy|happily|cheerful(?:ly)?|joyful(?:ly)?|laugh(?:s|ing)?|"
    r"glad|gladly|delighted|merry|merrily|beaming|grin(?:s|ning)?|(?<!비)웃|미소|행복|기쁘|기쁜|기뻐|즐거|즐겁",
    "sad": r"sad|sadly|unhappy|unhappily|sorrowful(?:ly)?|cry|cries|crying|tearful(?:ly)?|gloomy|"
    r"gloomily|mournful(?:ly)?|melancholy|grieving|"
    r"슬프|슬픈|슬퍼|슬픔|우울|눈물",
    "angry": r"angry|angrily|furious(?:ly)?|annoyed|화난|화가 나|화가 난|화를 내|화를 낸|화내|화낸|"
    r"분노|성난",
    "surprised": r"surprised|astonished|amazed|shocked|startled|놀라|놀란|놀랍|깜짝",
    "serious": r"serious|seriously|solemn|solemnly|stern|sternly|진지|심각|엄숙|근엄",
    "calm": r"calm|calmly|serene(?:ly)?|relaxed|peaceful(?:ly)?|차분|침착|평온",
    "worried": r"worried|anxious|anxiously|nervous|nervously|scared|afraid|"
    r"fearful(?:ly)?|frightened|"
    r"걱정|불안|무서|두려",
    "excited": r"excited|excitedly|enthusiastic|enthusiastically|energetic|"
    r"energetically|신나|신난|흥분",
    WHISPERING: r"whisper(?:s|ed|ing)?|속삭",
}
# English words stand alone; Korean stems are followed by their endings.
MOOD_PATTERNS = {
    mood: re.compile(rf"(?:\b(?=[a-z])|(?=[가-힣]))(?:{words})(?:\b|(?<=[가-힣]))")
    for mood, words in WORDS.items()
}
DENIED_BEFORE = re.compile(r"(?:\bnot|\bno|\bnever|\bwithout|n't|\b안)(?:\s+\w+)?\s+$")
DENIED_SMILE = re.compile(
    r"(?:\b(?:not|no|never|without|does not|do not)|n't)(?: an?)? (?:smil(?:e|es|ing)|grin\w*)\b|"
    r"(?:웃|미소를? ?(?:짓|띠))지 ?않\w*"
)
DENIED_AFTER = re.compile(r"^[가-힣]*\s?(?:않|없|말고)")

# When a mood applies: a word of the same clause, or of a separate clause before it.
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
# Shares of a talk over which a first mood fades out, and a last one in.
GOES, COMES = (1 / 6, 1 / 3), (2 / 3, 5 / 6)
PEOPLE = re.compile(
    r"\b(?:m[ae]n|wom[ae]n|boys?|girls?|lad(?:y|ies)|gentlem[ae]n|guys?|child(?:ren)?|"
    r"husband|wife|mother|father)\b|남자|여자|남성|여성|소년|소녀|아이|아저씨|아주머니|"
    r"할머니|할아버지|남편|아내|엄마|아빠"
)


@dataclass(frozen=True)
class MoodTimeline:
    """The moods of a talk, one after the other; often all the same."""

    first: Mood = NEUTRAL
    middle: Mood = NEUTRAL
    last: Mood = NEUTRAL

    def at(self, share: float) -> Mood:
        """The mood at a share of the talk, 0..1."""
        if self.first is self.middle is self.last:
            return self.middle
        mood = self.first.mixed(self.middle, _smooth(ramp(share, *GOES)))
        return mood.mixed(self.last, _smooth(ramp(share, *COMES)))


NEUTRAL_TIMELINE = MoodTimeline()


def mood_timeline(prompt: str) -> MoodTimeline:
    """The moods that a prompt names, or `NEUTRAL_TIMELINE`."""
    text = prompt.lower()
    if DENIED_SMILE.search(text) and not set(MOODS) & _moods_in(text, ""):
        return MoodTimeline(UNSMILING, UNSMILING, UNSMILING)
    named: dict[str | None, set[str]] = {None: set(), BEGINNING: set(), END: set()}
    time_before = None
    for start, end in _clauses(text):
        clause = text[start:end]
        when = next((time for time, words in TIMES.items() if words.search(clause)), time_before)
        named[when] |= _moods_in(clause, text[:start])
        time_before = when if not re.search(r"\w", without_times(clause)) else None
    every = set().union(*named.values()) - {WHISPERING}
    people = {found.group() for found in PEOPLE.finditer(text)}
    if any(len(moods - {WHISPERING}) > 1 for moods in named.values()) or (
        len(every) > 1 and len(people) > 1
    ):
        return NEUTRAL_TIMELINE
    middle = _one_mood(named[None])
    first, last = (
        _one_mood(named[when] | (named[None] & {WHISPERING})) if named[when] else middle
        for when in (BEGINNING, END)
    )
    return MoodTimeline(first, middle, last)


def without_times(prompt: str) -> str:
    """A prompt in lower case without the words of time."""
    text = prompt.lower()
    for words in TIMES.values():
        text = words.sub(" ", text)
    return text


def _clauses(text: str) -> list[tuple[int, int]]:
    cuts = [found.end() for found in CLAUSES.finditer(text)]
    return list(zip([0, *cuts], [*cuts, len(text)], strict=True))


def _moods_in(clause: str, before: str) -> set[str]:
    return {
        mood
        for mood, pattern in MOOD_PATTERNS.items()
        for found in pattern.finditer(clause)
        if not DENIED_BEFORE.search(before + clause[: found.start()])
        and not DENIED_AFTER.search(clause[found.end() :])
    }


def _one_mood(moods: set[str]) -> Mood:
    """The mood among these names, whispered or not."""
    mood = next((MOODS[name] for name in moods if name != WHISPERING), NEUTRAL)
    if WHISPERING not in moods:
        return mood
    liveliness = WHISPERED_LIVELINESS * mood.liveliness
    return replace(mood, liveliness=liveliness, opening=WHISPERED_OPENING)


def _smooth(share: float) -> float:
    return share * share * (3 - 2 * share)


_WORDS = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_DETERMINERS = "a an the this that one two three four five both 1 2 3 4 5"
_TALKING = "talk talks talking speak speaks speaking say says saying sing sings singing"
_PLAIN = frozenset(
    f"""
    {_DETERMINERS} {_TALKING}
    and or of to into at in with who is are be being it he she they has have having his her their
    man men woman women person persons people human boy boys girl girls child children kid kids
    baby teenager teenagers lady ladies gentleman gentlemen guy guys adult adults friend friends
    couple someone somebody face faces portrait picture photo photograph video clip speaker speakers
    news anchor presenter host reporter narrator teacher professor doctor singer animator actress
    young old older elderly middle-aged male female
    chat chats chatting converse converses conversing conversation dialogue speech words something
    tell tells telling explain explains explaining narrate narrates announce announces announcing
    lecture lectures lecturing read reads reading aloud introduce introduces introducing himself
    herself themselves hello hi head
    look looks looking facing front camera viewer viewers audience us me you
    each other another together naturally clearly english korean
    start starts starting begin begins beginning throughout
    """.split()
)
# Words of a mood that the face follows; laughing and weeping are acting.
_MOOD_WORDS = (
    "happy happily smile smiles smiling cheerful cheerfully joyful joyfully sad sadly unhappy "
    "unhappily sorrowful sorrowfully angry angrily furious furiously annoyed surprised astonished "
    "amazed serious seriously solemn solemnly stern sternly calm calmly serene serenely relaxed "
    "peaceful peacefully whisper whispers whispering glad gladly delighted merry merrily gloomy "
    "gloomily mournful mournfully melancholy shocked startled worried anxious anxiously nervous "
    "nervously scared afraid fearful fearfully frightened excited excitedly enthusiastic "
    "enthusiastically energetic energetically"
)
_BECOMES = re.compile(
    rf"\b(?:become|get|grow|turn|look|seem)(?:s|ing)? (?=(?:{'|'.join(_MOOD_WORDS.split())})\b)"
)
# Any speaker: "an astronaut and a robot are talking".
_SOMEBODY = rf"(?:{'|'.join(_DETERMINERS.split())}) \S+"
_SOMEBODY_TALKS = re.compile(
    rf"^{_SOMEBODY}(?: and {_SOMEBODY})*(?= (?:(?:is|are) )?(?:{'|'.join(_TALKING.split())})\b)"
)

_KOREAN_NOUNS = (
    "남자|여자|남성|여성|사람|아이|어린이|소년|소녀|청년|청소년|노인|할머니|할아버지|아저씨|아주머니|"
    "인물|얼굴|표정|화자|친구|부부|아나운서|진행자|기자|선생님|교사|교수|의사|가수|배우|남녀|모습|영상|사진|"
    "카메라|정면|앞|시청자|관객|서로|우리|함께|같이|말|이야기|얘기|대화|발언|설명|노래|한국어|영어"
)
_KOREAN_PARTICLES = (
    "이|가|은|는|을|를|과|와|의|에게|께|께서|한테|에|에서|로|으로|도|만|이랑|랑|하고|에게로|"
    "쪽을|쪽으로|이서"
)
_KOREAN_DETERMINERS = (
    "한|두|세|네|다섯|명|명이|명의|분|분이|어떤|그|이|저|젊은|어린|늙은|나이|든|중년|중년의"
)
_KOREAN_DOING = (
    "하고|하며|하면서|하는|한다|합니다|해요|해|한|함|하기|했다|했습니다|하다|중|중이다|중인|"
    "중입니다"
)
_KOREAN_VERBS = (
    rf"(?:말|이야기|얘기|대화|발언|설명|노래)(?:{_KOREAN_DOING})|{_KOREAN_DOING}|"
    r"나누고|나누며|나누는|나눈다|나눕니다|나눠요|말해|말해요|부르고|부르며|부르는|부른다|부릅니다|"
    r"있다|있고|있는|있습니다|있어요|있음|(?:바라|쳐다)?(?:보며|보고|보면서|보는|본다|봅니다|봐요)|"
    r"향해|향하여|향하고|자연스럽게|또렷하게|또박또박"
)
_KOREAN_PLAIN = re.compile(
    rf"(?:{_KOREAN_NOUNS})들?(?:{_KOREAN_PARTICLES})?|{_KOREAN_DETERMINERS}|{_KOREAN_VERBS}"
)
# 웃다 is to smile and to laugh; these endings make it a manner of talking.
_KOREAN_MANNER = re.compile(
    r"[가-힣]+(?:게|히|며|면서|고|은|는|한|운|난|란|를|을|로|로운|띤|짓고|지으며|이며|이듯)"
)
# "웃다가 끝에는 화를 낸다": with a time, the manner of talking may be the verb.
_KOREAN_IN_TURN = re.compile(r"[가-힣]+(?:다가|지만|다|니다|요)")
_KOREAN_ANGER = re.compile(r"화[를가] ?(?=[내낸나난])")
_KOREAN_SMILE = re.compile(r"띠고|띠며|띤|짓고|지으며|짓는다?|짓습니다|머금고|머금은")


def requests_acting(prompt: str) -> bool:
    """Whether a prompt says more than that somebody talks, and in which of `MOODS`."""
    prompt = unicodedata.normalize("NFC", prompt)
    text = DENIED_SMILE.sub("smiling", without_times(prompt))
    in_turn = without_times(prompt) != prompt.lower()
    words = _WORDS.findall(_KOREAN_ANGER.sub("화", _BECOMES.sub("", text)))
    moods = {word for word in words if _is_mood(word, in_turn)}
    if moods and mood_timeline(prompt) == NEUTRAL_TIMELINE:
        return True  # negated, or of several people: the face does not follow it
    left = _SOMEBODY_TALKS.sub("", " ".join(words)).split()
    smiles = any(word.startswith("미소") for word in moods)
    return not all(
        word in _PLAIN
        or word in moods
        or _KOREAN_PLAIN.fullmatch(word)
        or (smiles and _KOREAN_SMILE.fullmatch(word))
        for word in left
    )


def _is_mood(word: str, in_turn: bool) -> bool:
    if word in _MOOD_WORDS.split():
        return True
    if not any(pattern.match(word) for pattern in MOOD_PATTERNS.values()):
        return False
    endings = (_KOREAN_MANNER, _KOREAN_IN_TURN) if in_turn else (_KOREAN_MANNER,)
    return any(ending.fullmatch(word) for ending in endings)
