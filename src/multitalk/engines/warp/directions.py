"""Does a prompt ask for more than somebody who talks: for acting, a scene, a camera?

Moving a photograph cannot follow such directions. There are endless ways to give them and few ways
to say that somebody talks, so the few are known here, in English and Korean, and whatever is none
of them counts as a direction: a needless notice is better than a missing one.
"""

import re
import unicodedata

from multitalk.engines.warp.mood import HINTS, STEADY, course_of, timeless

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
    news anchor presenter host reporter narrator teacher professor doctor singer actor actress
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
# Words of a mood that the face follows a little; laughing and weeping are acting.
_MOOD_WORDS = (
    "happy happily smile smiles smiling cheerful cheerfully joyful joyfully sad sadly unhappy "
    "unhappily sorrowful sorrowfully angry angrily furious furiously annoyed surprised astonished "
    "amazed serious seriously solemn solemnly stern sternly calm calmly serene serenely relaxed "
    "peaceful peacefully whisper whispers whispering"
)
_BECOMES = re.compile(
    rf"\b(?:become|get|grow|turn|look|seem)(?:s|ing)? (?=(?:{'|'.join(_MOOD_WORDS.split())})\b)"
)
# Whoever it is that talks: "an astronaut and a robot are talking".
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
# 웃다 is to smile and to laugh; what is said of it here is how somebody talks.
_KOREAN_MANNER = re.compile(
    r"[가-힣]+(?:게|히|며|면서|고|은|는|한|운|난|란|를|을|로|로운|띤|짓고|지으며|이며|이듯)"
)
# "웃다가 끝에는 화를 낸다": with a time, how somebody talks may be the verb.
_KOREAN_IN_TURN = re.compile(r"[가-힣]+(?:다가|지만|다|니다|요)")
_KOREAN_ANGER = re.compile(r"화[를가] ?(?=[내낸나난])")
_KOREAN_SMILE = re.compile(r"띠고|띠며|띤|짓고|지으며|짓는다?|짓습니다|머금고|머금은")


def gives_directions(prompt: str) -> bool:
    """Whether a prompt says more than that somebody talks, and in which of the moods we know."""
    prompt = unicodedata.normalize("NFC", prompt)
    text = timeless(prompt)
    in_turn = text != prompt.lower()
    words = _WORDS.findall(_KOREAN_ANGER.sub("화", _BECOMES.sub("", text)))
    moods = {word for word in words if _is_mood(word, in_turn)}
    if moods and course_of(prompt) == STEADY:
        return True  # denied, or of several people: the face does not follow it
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
    if not any(hint.match(word) for hint in HINTS.values()):
        return False
    endings = (_KOREAN_MANNER, _KOREAN_IN_TURN) if in_turn else (_KOREAN_MANNER,)
    return any(ending.fullmatch(word) for ending in endings)
