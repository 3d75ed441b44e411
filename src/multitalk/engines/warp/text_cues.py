"""Text cues: whether what a voice says is sad, where its text is known.

Plain words, English and Korean, as in `prompt_cues`. A photograph's broad smile should not stay on
a face that speaks of a death. Nothing else of a text is acted: gladness is left to the photograph
and to the prompt.
"""

import re

from multitalk.engines.warp.prompt_cues import DENIED_AFTER, DENIED_BEFORE, Mood

# A face that speaks of something sad: under half of the prompt's "sad", which says it of the face.
OF_SAD_TEXT = Mood(smile=-0.25, frown=-0.35, liveliness=0.85)
WORDS_TO_ONE = 40  # a longer text needs one sad word more than glad ones for each so many words

# Words that say it alone, and those of which it takes two.
SAD_WORDS = (
    r"sad|sadly|died|dying|dead|death|deaths|passed away|funeral|grief|griev(?:e|es|ing)|"
    r"mourn(?:s|ed|ing)?|traged(?:y|ies)|tragic(?:ally)?|heartbroken|condolences?|"
    r"sorry for your loss|in tears|weep(?:s|ing)?|wept|"
    r"슬프|슬픈|슬퍼|슬픔|돌아가셨|돌아가신|죽었|죽은|죽음|사망|장례|눈물|애도|명복|이별"
)
RATHER_SAD_WORDS = (
    r"sorry|unfortunately|regret|lonely|miss(?:es|ed)? (?:you|him|her|them)|suffer(?:s|ed|ing)?|"
    r"lost|cancer|goodbye|alone|그립|그리워|외롭|외로|안타깝|유감|죄송|미안"
)
GLAD_WORDS = (
    r"happy|happily|glad|congratulations?|wonderful|welcome|delighted|excited|joy|joyful|great|"
    r"축하|기쁘|기쁜|기뻐|행복|반갑|반가|즐거|즐겁"
)


def text_mood(text: str) -> Mood | None:
    """`OF_SAD_TEXT` for a text with more sad words than glad ones, else None."""
    text = text.lower()
    words = len(text.split())
    score = _count(SAD_WORDS, text) + _count(RATHER_SAD_WORDS, text) / 2 - _count(GLAD_WORDS, text)
    return OF_SAD_TEXT if score >= max(1.0, words / WORDS_TO_ONE) else None


def _count(words: str, text: str) -> int:
    """How often one of the words is said and not denied."""
    pattern = re.compile(rf"(?:\b(?=[a-z])|(?=[가-힣]))(?:{words})(?:\b|(?<=[가-힣]))")
    return sum(
        not DENIED_BEFORE.search(text[: found.start()])
        and not DENIED_AFTER.search(text[found.end() :])
        for found in pattern.finditer(text)
    )
