"""Korean text as it is read aloud: numbers, units and signs in words, spelt as they sound.

Names of units: National Institute of Korean Language, Standard Korean Dictionary. How numbers are
read in dates, clock times, prices and telephone numbers: the same institute's answers on usage.
"""

import re

from multitalk.speech.korean_numbers import (
    COUNTERS,
    counted,
    counted_range,
    decimal,
    digit_by_digit,
    takes_native,
)
from multitalk.speech.korean_sounds import drawn_out, ends_in_final, sounds_of

_NUMBER = r"(?<![\d.,])(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?![\d,.]*\d)"
_PLAIN_NUMBER = re.compile(_NUMBER)
_COUNTER = "(" + "|".join(COUNTERS) + ")"
_LARGE = r"(?:\s?([백천만억조경]+))?"

_TELEPHONE = re.compile(
    r"(?<![\d-])(?:\+82[- ]?|\()?(0?\d{1,3})\)?[-. ](\d{3,4})[-. ](\d{4})(?![\d-])"
    r"|(?<![\d-])(01[016789])(\d{3,4})(\d{4})(?!\d)"
    r"|(?<![\d-])(1[568]\d\d)-(\d{4})(?![\d-])"
)
_NUMBER_IN_PARTS = re.compile(r"(?<![\d-])\d{2,6}(?:-\d{2,7}){2,}(?![\d-])")
_DATE = re.compile(
    r"(?<![\d.])((?:19|20)\d\d)\s?[-./]\s?(0?[1-9]|1[0-2])\s?[-./]\s?(0?[1-9]|[12]\d|3[01])"
    r"(?!\d)\.?"
)
_CLOCK = re.compile(r"(?<![\d:])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])")
_RATIO = re.compile(r"(?<![\d:])(\d+)(?:\s?:\s?|대)(\d+)(?![\d:])")
_DOTTED = re.compile(r"(?<![\d.])\d+(?:\.\d+){2,}(?![\d.]*\d)")
_MONTH = re.compile(r"(?<![\d.,])(0?6|10)\s?월")
_FRACTION = re.compile(r"(?<![\d/.])(\d{1,3})/(\d{1,3})(?![\d/])")
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4"}
_CURRENCY = re.compile(r"([₩$€£¥])\s?(\d[\d,]*(?:\.\d+)?)" + _LARGE)
_CURRENCIES = {"₩": "원", "$": "달러", "€": "유로", "£": "파운드", "¥": "엔"}
_TEMPERATURE = re.compile(r"(?<![\d.])([-−]?)(\d+(?:\.\d+)?)\s?°\s?([CF]?)(?![A-Za-z])")
_UNITS = {
    "kg": "킬로그램", "mg": "밀리그램", "g": "그램", "km": "킬로미터", "cm": "센티미터",
    "mm": "밀리미터", "m": "미터", "ml": "밀리리터", "mL": "밀리리터", "L": "리터", "l": "리터",
    "KB": "킬로바이트", "MB": "메가바이트", "GB": "기가바이트", "TB": "테라바이트", "Hz": "헤르츠",
    "kHz": "킬로헤르츠", "MHz": "메가헤르츠", "GHz": "기가헤르츠", "W": "와트", "kW": "킬로와트",
    "kcal": "킬로칼로리", "m²": "제곱미터", "m³": "세제곱미터", "cm²": "제곱센티미터",
    "km²": "제곱킬로미터",
}  # fmt: skip
_UNIT = "(" + "|".join(sorted(_UNITS, key=lambda unit: -len(unit))) + r")(?![A-Za-z\d²³])"
_SPEED = re.compile(_NUMBER + r"\s?(k?m)/(h|s)(?![A-Za-z])")
_MEASURE = re.compile(_NUMBER + r"\s?" + _UNIT)
# A number and its counter, both ends of a range of them, and what makes the number a name.
_RANGE = re.compile(
    _NUMBER + r"\s?([가-힣]{0,2}?)\s?[~–]\s?" + _NUMBER + rf"(?:\s?{_COUNTER}|\s?(%))?"
    rf"|{_NUMBER}-{_NUMBER}\s?{_COUNTER}"
)
_OTHER_COUNTERS = ("분", "초", "일", "월", "년", "세", "층", "회", "원", "위", "등", "호", "학년")
_FROM = re.compile(r"(\d\s?(?:시|분|일|월|년|요일))\s?~\s?(?=[가-힣])")
_LOT = re.compile(r"(?<![\d-])(\d+)-(?=\d+\s?(?:번지|호))")
_COUNTED = re.compile(_NUMBER + r"\s?" + _COUNTER)
_NAMES_AFTER = re.compile(
    r"\s?(?:출구|버스|문제|타자|트랙|홀|채널|국도|게이트|선수|테이블|창구|줄|방)"
)
_ORDINAL = re.compile(r"제\s?" + _NUMBER)
_LARGE_NUMBER = re.compile(_NUMBER + r"([백천만억조경]+)")
_ONE_OF_LARGE = re.compile("^일(?=[백천만])")
_ENGLISH_DIGITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
)  # fmt: skip
_WITH_LETTER = re.compile(
    r"(?<![A-Za-z\d.,])(\d)(?=[A-Z](?![a-z]))|(?<![A-Za-z])([A-Z]{1,4})-?(\d)(?![\d.,])"
)
_SIGNS = (
    (re.compile(r"(?<=\d)\s?\+\s?(?=\d)"), " 더하기 "),
    (re.compile(r"(?<=\d)\s?×\s?(?=\d)"), " 곱하기 "),
    (re.compile(r"(?<=\d)\s?÷\s?(?=\d)"), " 나누기 "),
    (re.compile(r"(?<=\d) [-−] (?=\d)"), " 빼기 "),
    (re.compile(r"(?<![\w.,)])[-−](?=\d)"), "마이너스 "),
    (re.compile(r"(?<=[A-Za-z\d])\.(com|net)\b", re.IGNORECASE), r" 닷 \1"),
    (re.compile(r"(?<=[A-Za-z])\.(?=[A-Za-z])"), " 점 "),
    (re.compile(r"(?<=[A-Za-z\d])@(?=[A-Za-z\d])"), " 골뱅이 "),
    (re.compile(r"%p\b"), " 퍼센트포인트"),
    (re.compile(r"\s?%"), " 퍼센트"),
    (re.compile(r"\s?‰"), " 퍼밀"),
    (re.compile(r"\s?&\s?"), " 앤드 "),
    (re.compile(r"\+"), " 플러스 "),
    (re.compile(r"\s?°"), " 도"),
    (re.compile(r"#(?=\d)"), ""),
    (re.compile("²"), " 제곱"),
    (re.compile("³"), " 세제곱"),
    (re.compile("[·ㆍ・]"), ", "),
    (re.compile(r"[@/#<>$€£¥₩©№±×÷]"), " "),
)
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
_WEEKDAYS = re.compile(
    "(?<![가-힣])([월화수목금토일])(요일)?\\s?~\\s?(?=[월화수목금토일](?:요일)?(?:[^가-힣]|$|까지|은|는|에))"
)
_DRAWN_OUT = re.compile("([가-힣])(~+)")
_MOST_DRAWN = 2
_EQUALS = re.compile(r"([가-힣A-Za-z)])\s?=\s?")


def without_hanja(text: str) -> str:
    """A Korean text in which Hanja that only repeat or shorten its Hangul words are gone.

    One of 대한민국(大韓民國) is enough; the characters of headlines, such as 美 or 與, are said.
    """
    text = _GLOSS.sub("", _GLOSSED.sub(r"\1", text))
    return _HEADLINE.sub(lambda found: _HEADLINE_HANJA[found[0]], text)


def read_aloud(text: str) -> str:
    """A Korean text as its sounds are spelt: 오후 3시 as 오후 세 시, 합니다 as 함니다.

    Args:
        text: Plain text of one line; may have words in Latin letters, which stay.
    """
    return sounds_of(in_words(text))


def in_words(text: str) -> str:
    """A Korean text with its numbers, units and signs in words."""
    for vulgar, fraction in _VULGAR.items():
        text = text.replace(vulgar, f" {fraction} ")
    text = _TELEPHONE.sub(_telephone, text)
    text = _DATE.sub(lambda at: f"{int(at[1])}년 {int(at[2])}월 {int(at[3])}일", text)
    text = _NUMBER_IN_PARTS.sub(lambda at: " ".join(map(digit_by_digit, at[0].split("-"))), text)
    text = _DOTTED.sub(lambda at: " 점 ".join(map(decimal, at[0].split("."))), text)
    text = _CLOCK.sub(_clock, text)
    text = _RATIO.sub(lambda at: f"{decimal(at[1])} 대 {decimal(at[2])}", text)
    text = _MONTH.sub(lambda at: "유월" if at[1].endswith("6") else "시월", text)
    text = _FRACTION.sub(lambda at: f"{decimal(at[2])}분의 {decimal(at[1])}", text)
    text = _TEMPERATURE.sub(_temperature, text)
    text = _CURRENCY.sub(lambda at: f"{_amount(at[2], at[3])} {_CURRENCIES[at[1]]}", text)
    text = _SPEED.sub(_speed, text)
    text = _FROM.sub(r"\1부터 ", text)
    text = _LOT.sub(r"\1 다시 ", text)
    text = _RANGE.sub(_range, text)
    text = _MEASURE.sub(lambda at: f"{decimal(at[1])} {_UNITS[at[2]]}", text)
    text = _WITH_LETTER.sub(_with_letter, text)
    text = _ORDINAL.sub(lambda at: f"제{decimal(at[1])} ", text)
    text = _LARGE_NUMBER.sub(lambda at: _amount(at[1], at[2]), text)
    text = _COUNTED.sub(_counted, text)
    text = _WEEKDAYS.sub(r"\1\2에서 ", text)
    text = _DRAWN_OUT.sub(_held, text).replace("~", " ")
    for sign, word in _SIGNS:
        text = sign.sub(word, text)
    text = _PLAIN_NUMBER.sub(lambda at: _spaced(decimal(at[1]), at), text)
    text = re.sub(r"\d+", lambda at: digit_by_digit(at[0]), text)
    text = _EQUALS.sub(lambda at: at[1] + ("은 " if ends_in_final(at[1]) else "는 "), text)
    return re.sub(r"\s+", " ", text.replace("=", " ")).strip()


def _telephone(match: re.Match[str]) -> str:
    parts = [part for part in match.groups() if part]
    if match[1] and not (match[1].startswith("0") or "+82" in match[0]):
        return match[0]
    return ("플러스 팔이 " if "+82" in match[0] else "") + " ".join(map(digit_by_digit, parts))


def _clock(match: re.Match[str]) -> str:
    hour, minute, second = match[1], match[2], match[3]
    said = [counted(str(int(hour)), "시")]
    if int(minute):
        said.append(f"{decimal(str(int(minute)))} 분")
    if second:
        said.append(f"{decimal(str(int(second)))} 초")
    return " ".join(said)


def _temperature(match: re.Match[str]) -> str:
    scale = {"C": "섭씨 ", "F": "화씨 ", "": ""}[match[3]]
    below = ("영하 " if match[3] == "C" else "마이너스 ") if match[1] else ""
    return f"{scale if not below or match[3] == 'F' else ''}{below}{decimal(match[2])} 도"


def _speed(match: re.Match[str]) -> str:
    return f"{'시속' if match[3] == 'h' else '초속'} {decimal(match[1])} {_UNITS[match[2]]}"


def _amount(number: str, large: str) -> str:
    """A number with or without a written-out 만 or 억 after it: 삼만, 만, 이천."""
    said = decimal(number)
    if not large:
        return said
    if "." in number:
        return f"{said} {large}"
    return _ONE_OF_LARGE.sub("", said + large)


def _range(match: re.Match[str]) -> str:
    first, unit, last, counter, percent, *with_hyphen = match.groups()
    if first is None:
        return counted_range(*with_hyphen)
    if percent:
        said = f"{decimal(first)}에서 {decimal(last)} 퍼센트"
    elif unit:
        if unit not in COUNTERS and unit not in _OTHER_COUNTERS:
            return match[0].replace("~", " ")
        end = counted(last, counter) if counter else decimal(last)
        said = f"{counted(first, unit)}에서 {end}"
    else:
        said = counted_range(first, last, counter or "")
    return _spaced(said, match, after=not counter)


def _counted(match: re.Match[str]) -> str:
    number, counter = match[1], match[2]
    is_name = counter == "번" and _NAMES_AFTER.match(match.string, match.end())
    if not is_name and takes_native(number, counter):
        return _spaced(counted(number, counter), match, after=False)
    return _spaced(f"{decimal(number)} {counter}", match, after=False)


def _with_letter(match: re.Match[str]) -> str:
    """One digit beside capital letters, as in 5G or MP3, has its English name."""
    if match[1]:
        return _ENGLISH_DIGITS[int(match[1])] + " "
    return f"{match[2]} {_ENGLISH_DIGITS[int(match[3])]} "


def _held(match: re.Match[str]) -> str:
    syllable, tildes = match[1], match[2]
    final = ends_in_final(syllable)
    if final and "가" <= match.string[match.end() : match.end() + 1] <= "힣":
        return syllable + "에서 "  # between two places or times
    held = drawn_out(syllable)
    return held if final else held + held[-1] * (min(len(tildes), _MOST_DRAWN) - 1)


def _spaced(said: str, match: re.Match[str], *, after: bool = True) -> str:
    """Words in place of a number, apart from the letters beside it."""
    before = match.string[match.start() - 1 : match.start()]
    behind = match.string[match.end() : match.end() + 1]
    return (" " if before.isalnum() else "") + said + (" " if after and behind.isalnum() else "")
