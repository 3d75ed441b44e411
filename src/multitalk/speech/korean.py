"""Korean text as it is read aloud: in words, spelt as they sound."""

import re

from multitalk.speech.korean_sounds import sounds_of
from multitalk.speech.korean_words import in_words

_HAN = "[\u3400-\u9fff\uf900-\ufaff]"
_GLOSS = re.compile(rf"(?<=[가-힣])\s?[(\[]{_HAN}+[)\]]")
_GLOSSED = re.compile(rf"{_HAN}+\s?[(\[]([가-힣]+)[)\]]")
# Single characters of newspapers' headlines, with their readings in the Standard Korean Dictionary.
_HEADLINE_HANJA = {
    "北": "북", "南": "남", "美": "미", "日": "일", "中": "중", "韓": "한", "英": "영", "佛": "불",
    "獨": "독", "靑": "청", "與": "여", "野": "야", "前": "전", "現": "현", "新": "신", "故": "고",
    "軍": "군", "檢": "검", "男": "남", "女": "녀", "外": "외", "內": "내", "大": "대", "小": "소",
    "全": "전", "反": "반", "親": "친", "脫": "탈", "對": "대", "無": "무", "株": "주", "銀": "은",
}  # fmt: skip
_HEADLINE = re.compile(rf"(?<!{_HAN})[{''.join(_HEADLINE_HANJA)}](?!{_HAN})")


def read_aloud(text: str) -> str:
    """A Korean text as its sounds are spelt: 오후 3시 as 오후 세 시, 합니다 as 함니다.

    Args:
        text: Plain text of one line; may have words in Latin letters, which stay.
    """
    return sounds_of(in_words(text))


def without_hanja(text: str) -> str:
    """A Korean text in which Hanja that only repeat or shorten its Hangul words are gone.

    One of 대한민국(大韓民國) is enough; the characters of headlines, such as 美 or 與, are said.
    """
    text = _GLOSS.sub("", _GLOSSED.sub(r"\1", text))
    return _HEADLINE.sub(lambda found: _HEADLINE_HANJA[found[0]], text)
