"""Korean text normalization: numbers, units and signs as words, Hanja that repeat Hangul removed.

How numbers are read in dates, clock times, prices and telephone numbers: answers on usage of the
National Institute of Korean Language (korean.go.kr); names of units: its Standard Korean
Dictionary. What may be read in two ways is read in the more frequent one.
"""

import re
from collections.abc import Callable

from multitalk.speech.text.korean_g2p import ends_in_final, lengthen, phonetic_spelling
from multitalk.speech.text.korean_numbers import (
    COUNTERS,
    counted,
    counted_range,
    decimal,
    digit_by_digit,
    takes_native,
)

_Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]

_NUMBER = r"(?<![\d.,])(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?![\d,.]*\d)"
_COUNTER = "|".join(COUNTERS)
# Further ones, with Sino-Korean numbers, that a range may have.
_SINO_COUNTER = "학년|분|초|일|월|년|세|층|회|원|위|등|호"
_LARGE = r"(?:\s?([백천만억조경]+))?"

_CURRENCIES = {"₩": "원", "$": "달러", "€": "유로", "£": "파운드", "¥": "엔"}
_UNITS = {
    "kg": "킬로그램", "mg": "밀리그램", "g": "그램", "km": "킬로미터", "cm": "센티미터",
    "mm": "밀리미터", "m": "미터", "ml": "밀리리터", "mL": "밀리리터", "L": "리터", "l": "리터",
    "KB": "킬로바이트", "MB": "메가바이트", "GB": "기가바이트", "TB": "테라바이트", "Hz": "헤르츠",
    "kHz": "킬로헤르츠", "MHz": "메가헤르츠", "GHz": "기가헤르츠", "W": "와트", "kW": "킬로와트",
    "kcal": "킬로칼로리", "m²": "제곱미터", "m³": "세제곱미터", "cm²": "제곱센티미터",
    "km²": "제곱킬로미터",
}  # fmt: skip
_UNIT = "|".join(sorted(_UNITS, key=lambda unit: -len(unit)))
_ENGLISH_DIGITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
)  # fmt: skip
# What makes the number before 번 a name, not how often: 3번 출구, 버스 7번.
_NAMES_BEFORE = re.compile(
    r"(?:출구|버스|문제|타자|홀|채널|국도|게이트|선수|테이블|창구|번호|학년|반|좌석)\s?$"
)
_NAMES_AFTER = re.compile(
    r"\s?(?:좌석|출구|버스|문제|타자|트랙|홀|채널|국도|게이트|선수|테이블|창구|줄|방)"
)
_LONGEST_NAME = 5
_MOST_DRAWN = 2  # syllables that tildes are worth

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


def verbalize_korean(text: str) -> str:
    """A Korean text with its numbers, units and signs in words.

    Args:
        text: Plain text of one line; may have words in Latin letters, which stay.
    """
    for pattern, spoken in _RULES:
        text = pattern.sub(spoken, text)
    return text.strip()


def _telephone(match: re.Match[str]) -> str:
    parts = [part for part in match.groups() if part]
    is_abroad = "+82" in match[0]
    if match[1] and not (match[1].startswith("0") or is_abroad):
        return match[0]
    return ("플러스 팔이 " if is_abroad else "") + " ".join(map(digit_by_digit, parts))


def _clock(match: re.Match[str]) -> str:
    hour, minute, second = match.groups()
    spoken = [counted(str(int(hour)), "시")]
    if int(minute):
        spoken.append(f"{decimal(str(int(minute)))} 분")
    if second:
        spoken.append(f"{decimal(str(int(second)))} 초")
    return " ".join(spoken)


def _temperature(match: re.Match[str]) -> str:
    below, number, scale = match.groups()
    named = {"C": "섭씨 ", "F": "화씨 ", "": ""}[scale]
    if below:
        named = "영하 " if scale == "C" else named + "마이너스 "
    return f"{named}{decimal(number)} 도"


def _amount(number: str, large: str | None) -> str:
    """A number with or without a written-out 만 or 억 after it: 삼만, 만, 이천."""
    spoken = decimal(number)
    if not large:
        return spoken
    if "." in number:
        return f"{spoken} {large}"
    return re.sub("^일(?=[백천만])", "", spoken + large)


def _range(match: re.Match[str]) -> str:
    first, unit, last, counter, percent, *with_hyphen = match.groups()
    if first is None:
        return counted_range(*with_hyphen)
    if percent:
        spoken = f"{decimal(first)}에서 {decimal(last)} 퍼센트"
    elif unit:
        end = counted(last, counter) if counter else decimal(last)
        spoken = f"{counted(first, unit)}에서 {end}"
    else:
        spoken = counted_range(first, last, counter or "")
    return _spaced(spoken, match, after=not counter)


def _counted(match: re.Match[str]) -> str:
    number, counter = match.groups()
    before = match.string[max(match.start() - _LONGEST_NAME, 0) : match.start()]
    is_name = counter == "번" and (
        _NAMES_AFTER.match(match.string, match.end()) or _NAMES_BEFORE.search(before)
    )
    if takes_native(number, counter) and not is_name:
        return _spaced(counted(number, counter), match, after=False)
    return _spaced(f"{decimal(number)} {counter}", match, after=False)


def _initials(at: re.Match[str]) -> str:
    """A dot of an address; or initials, of which the voice says a third one twice if dotted."""
    if at[0] == ".":
        return " 점 "
    spoken = at[0].rstrip(".")
    return spoken.replace(".", "") if spoken.count(".") > 1 else spoken


def _with_letter(match: re.Match[str]) -> str:
    """One digit beside capital letters, as in 5G or MP3, has its English name."""
    before_letter, letters, after_letter = match.groups()
    if before_letter:
        return _ENGLISH_DIGITS[int(before_letter)] + " "
    return f"{letters} {_ENGLISH_DIGITS[int(after_letter)]} "


def _held(match: re.Match[str]) -> str:
    syllable, tildes = match.groups()
    final = ends_in_final(syllable)
    if final and "가" <= match.string[match.end() : match.end() + 1] <= "힣":
        return syllable + "에서 "  # between two places or times
    held = lengthen(syllable)
    return held if final else held + held[-1] * (min(len(tildes), _MOST_DRAWN) - 1)


def _spaced(spoken: str, match: re.Match[str], *, after: bool = True) -> str:
    """Words in place of a number, apart from the letters beside it."""
    before = match.string[match.start() - 1 : match.start()]
    behind = match.string[match.end() : match.end() + 1]
    apart = after and behind.isalnum() and behind != "여"  # 십여 명: ten and some
    return (" " if before.isalnum() else "") + spoken + (" " if apart else "")


def _rule(pattern: str, spoken: str | Callable[[re.Match[str]], str]) -> _Rule:
    return re.compile(pattern), spoken


# In this order: larger units first.
_RULES: tuple[_Rule, ...] = (
    *(
        _rule(sign, f" {fraction} ")
        for sign, fraction in zip("½⅓⅔¼¾", ("1/2", "1/3", "2/3", "1/4", "3/4"), strict=True)
    ),
    # From one time to another, where the first has its unit: before both become words.
    _rule(r"(\d\s?(?:시|분|일|월|년|요일)|\d:\d\d)\s?~\s?(?=[가-힣]|\d+:)", r"\1부터 "),
    _rule(r"%\s?~\s?(?=\d)", "%에서 "),
    # Digit by digit: secrets, days known by their numbers (6·25), telephones, long numbers.
    _rule(
        r"((?:번호|코드|암호|PIN)(?:는|은|가|:)?\s?)(\d{3,})(?![\d,.-])",
        lambda at: at[1] + digit_by_digit(at[2]),
    ),
    _rule(
        r"(?<![\d.])(\d{1,2})(?:[·ㆍ](\d{1,2})|\.(\d{1,2})"
        r"(?=\s?(?:전쟁|사변|혁명|민주|광복|운동|절|테러)))",
        lambda at: digit_by_digit(at[1] + (at[2] or at[3])),
    ),
    _rule(
        r"(?<![\d-])(?:\+82[- ]?|\()?(0?\d{1,3})(?:\)\s?|[-. ])(\d{3,4})[-. ](\d{4})(?![\d-])"
        r"|(?<![\d-])(01[016789])(\d{3,4})(\d{4})(?!\d)"
        r"|(?<![\d-])(1[568]\d\d)-(\d{4})(?![\d-])",
        _telephone,
    ),
    # Dates, versions, clock times, ratios, fractions.
    _rule(
        r"(?<![\d.])((?:19|20)\d\d)\s?[-./]\s?(0?[1-9]|1[0-2])\s?[-./]\s?(0?[1-9]|[12]\d|3[01])"
        r"(?!\d)\.?",
        lambda at: f"{int(at[1])}년 {int(at[2])}월 {int(at[3])}일",
    ),
    _rule(
        r"(?<![\d/])(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01])(?![\d/])",
        lambda at: f"{int(at[1])}월 {int(at[2])}일",
    ),
    _rule(
        r"(?<![\d-])\d{2,6}(?:-\d{2,7}){2,}(?![\d-])",
        lambda at: " ".join(map(digit_by_digit, at[0].split("-"))),
    ),
    _rule(
        r"(?<![\d.])\d+(?:\.\d+){2,}(?![\d.]*\d)",
        lambda at: " 점 ".join(map(decimal, at[0].split("."))),
    ),
    _rule(r"(?<![\d:])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])", _clock),
    _rule(
        r"(?<![\d:])(\d+)(?:\s?:\s?|대)(\d+)(?![\d:])",
        lambda at: f"{decimal(at[1])} 대 {decimal(at[2])}",
    ),
    _rule(
        r"(?<![\d-])(\d{1,2})-(\d{1,2})(?=\s?(?:승|패|무승부|완승|역전))",
        lambda at: f"{decimal(at[1])} 대 {decimal(at[2])}",
    ),
    _rule(r"(?<!\d)([1-4])/4\s?분기", lambda at: f"{decimal(at[1])}사분기"),
    _rule(
        r"(?<![\d/.])(\d{1,3})/(\d{1,3})(?![\d/])",
        lambda at: f"{decimal(at[2])}분의 {decimal(at[1])}",
    ),
    # Measures and prices.
    _rule(r"(?<![\d.])([-−]?)(\d+(?:\.\d+)?)\s?°\s?([CF]?)(?![A-Za-z])", _temperature),
    _rule(
        r"([₩$€£¥])\s?(\d[\d,]*(?:\.\d+)?)" + _LARGE,
        lambda at: f"{_amount(at[2], at[3])} {_CURRENCIES[at[1]]}",
    ),
    _rule(
        _NUMBER + r"\s?(k?m)/(h|s)(?![A-Za-z])",
        lambda at: f"{'시속' if at[3] == 'h' else '초속'} {decimal(at[1])} {_UNITS[at[2]]}",
    ),
    # Ranges, then counted things.
    _rule(r"(?<![\d-])(\d+)-(?=\d+\s?(?:번지|호))", r"\1 다시 "),
    _rule(
        rf"{_NUMBER}\s?({_COUNTER}|{_SINO_COUNTER})?\s?[~–]\s?{_NUMBER}"
        rf"(?:\s?({_COUNTER})|\s?(%))?"
        rf"|{_NUMBER}-{_NUMBER}\s?({_COUNTER}|{_SINO_COUNTER})",
        _range,
    ),
    _rule(
        _NUMBER + rf"\s?({_UNIT})(?![A-Za-z\d²³])", lambda at: f"{decimal(at[1])} {_UNITS[at[2]]}"
    ),
    _rule(
        r"(?<![A-Za-z\d.,])(\d)(?=[A-Z](?![a-z]))|(?<![A-Za-z])([A-Z]{1,4})-?(\d)(?![\d.,])",
        _with_letter,
    ),
    _rule(r"제\s?" + _NUMBER, lambda at: f"제{decimal(at[1])} "),
    _rule(_NUMBER + r"([백천만억조경]+)", lambda at: _amount(at[1], at[2])),
    _rule(_NUMBER + rf"\s?({_COUNTER})", _counted),
    # Tildes that are left.
    _rule(
        r"(?<![가-힣])([월화수목금토일])(요일)?\s?~\s?"
        r"(?=[월화수목금토일](?:요일)?(?:[^가-힣]|$|까지|은|는|에))",
        r"\1\2에서 ",
    ),
    _rule("([가-힣])(~+)", _held),
    _rule("~", " "),
    # Signs.
    _rule(r"(?<=\d)\s?\+\s?(?=\d)", " 더하기 "),
    _rule(r"(?<=\d)\s?×\s?(?=\d)", " 곱하기 "),
    _rule(r"(?<=\d)\s?÷\s?(?=\d)", " 나누기 "),
    _rule(r"(?<=\d) [-−] (?=\d)", " 빼기 "),
    _rule(r"(?<![\w.,)])[-−](?=\d)", "마이너스 "),
    _rule(r"(?i)(?<=[A-Za-z\d])\.(com|net)\b", r" 닷 \1"),
    _rule(
        r"(?<![A-Za-z.])[A-Za-z](?:\.[A-Za-z])+(?![A-Za-z])(?:\.(?=\s*[가-힣]))?"
        r"|(?<=[A-Za-z])\.(?=[A-Za-z])",
        _initials,
    ),
    _rule(r"(?<=[A-Za-z\d])@(?=[A-Za-z\d])", " 골뱅이 "),
    _rule(r"%p\b", " 퍼센트포인트"),
    _rule(r"\s?%", " 퍼센트"),
    _rule(r"\s?‰", " 퍼밀"),
    _rule(r"\s?&\s?", " 앤드 "),
    _rule("±", " 플러스마이너스 "),
    _rule(r"\+", " 플러스 "),
    _rule(r"\s?°", " 도"),
    _rule("²", " 제곱"),
    _rule("³", " 세제곱"),
    _rule("[·ㆍ・]", ", "),
    _rule(r"[@/#<>$€£¥₩©№×÷]", " "),
    # Numbers that are left.
    _rule(_NUMBER, lambda at: _spaced(decimal(at[1]), at)),
    _rule(r"\d+", lambda at: digit_by_digit(at[0])),
    _rule("(?<![가-힣])육 월", "유월"),
    _rule("(?<![가-힣])십 월", "시월"),
    _rule(
        r"([가-힣A-Za-z)])\s?=\s?",
        lambda at: at[1] + ("은 " if ends_in_final(at[1]) else "는 "),
    ),
    _rule(r"[=\s]+", " "),
)


def spoken_korean(text: str) -> str:
    """A Korean text as its sounds are spelt: 오후 3시 as 오후 세 시, 합니다 as 함니다.

    Args:
        text: Plain text of one line; may have words in Latin letters, which stay.
    """
    return phonetic_spelling(verbalize_korean(text))


def remove_redundant_hanja(text: str) -> str:
    """A Korean text in which Hanja that only repeat or shorten its Hangul words are gone.

    One of 대한민국(大韓民國) is enough; the characters of headlines, such as 美 or 與, are spoken.
    """
    text = _GLOSS.sub("", _GLOSSED.sub(r"\1", text))
    return _HEADLINE.sub(lambda found: _HEADLINE_HANJA[found[0]], text)
