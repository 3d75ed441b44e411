"""Numbers as Korean words: native ones before native counters, Sino-Korean ones elsewhere.

Which counters take native numbers: National Institute of Korean Language, Standard Korean
Dictionary (stdict.korean.go.kr), entries of the dependent nouns that count (의존 명사, 단위).
"""

_DIGITS = "영일이삼사오육칠팔구"
_PHONE_DIGITS = "공" + _DIGITS[1:]
_SMALL_UNITS = ("", "십", "백", "천")
_LARGE_UNITS = ("", "만", "억", "조", "경", "해")
MAX_DIGITS = 4 * len(_LARGE_UNITS)
_NATIVE_ONES = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
_NATIVE_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
# Two neighbouring numbers together, as "three or four" of something.
_ABOUT = {
    1: "한두", 2: "두세", 3: "서너", 4: "네다섯", 5: "대여섯", 6: "예닐곱", 7: "일고여덟",
    8: "여덟아홉",
}  # fmt: skip

# Counters with native numbers up to 99.
_NATIVE_COUNTERS = frozenset(
    (
        "시", "시간", "살", "개", "명", "마리", "번", "번째", "권", "장", "병", "잔", "대", "달",
        "가지", "곳", "켤레", "그루", "송이", "자루", "채", "척", "필", "벌", "통", "쌍", "줄",
        "판", "끼", "방울", "조각", "그릇", "접시", "컵", "모금", "숟가락", "스푼", "군데", "배",
        "차례", "바퀴", "걸음", "마디", "다발", "묶음", "상자", "박스", "봉지", "캔", "팀", "사람",
        "남매", "자매", "형제", "식구", "갈래", "포기", "톨", "알", "글자", "편", "곡", "건", "종",
        "표",
        "골", "손가락", "겹", "꾸러미", "단어", "문장", "가닥", "뭉치", "바구니", "주먹", "타래",
        "토막", "칸", "나라",
    )
)  # fmt: skip
# Counters with Sino-Korean numbers that begin like a native one.
_SINO_COUNTERS = frozenset(
    [
        "개월",
        "개국",
        "개년",
        "개소",
        "시즌",
        "번지",
        "번길",
        "번가",
        "번호",
        "번선",
        "배속",
        "대국",
        "대양",
        "대주",
    ]
)
COUNTERS = tuple(sorted(_NATIVE_COUNTERS | _SINO_COUNTERS, key=lambda counter: -len(counter)))
_LAST_NATIVE_HOUR = 12
_LAST_NATIVE_NUMBER = 99
_MOST_HOURS_COUNTED_NATIVELY = 23


def sino(number: int) -> str:
    """A whole number that is not negative in Sino-Korean: 12345 is 만 이천삼백사십오."""
    if number == 0:
        return _DIGITS[0]
    groups = []
    for unit in _LARGE_UNITS:
        number, group = divmod(number, 10_000)
        if group:
            spoken = "".join(
                ("" if digit == "1" and place else _DIGITS[int(digit)]) + _SMALL_UNITS[place]
                for place, digit in zip(range(3, -1, -1), f"{group:04d}", strict=True)
                if digit != "0"
            )
            groups.append("만" if unit == "만" and group == 1 and not number else spoken + unit)
    return " ".join(reversed(groups))


def native(number: int) -> str:
    """A number from 1 to 99 in its form before a counter: 세, 열두, 스무, 스물한."""
    if number == 20:
        return "스무"
    return _NATIVE_TENS[number // 10] + _NATIVE_ONES[number % 10]


def digit_by_digit(digits: str) -> str:
    """Digits one by one, as of a telephone number: 010 is 공일공."""
    return "".join(_PHONE_DIGITS[int(digit)] for digit in digits)


def decimal(number: str) -> str:
    """Digits, maybe with commas and a decimal point: 3.5 is 삼 점 오, 007 is 공공칠."""
    whole, _, fraction = number.replace(",", "").partition(".")
    zeros_before = len(whole) > 1 and whole.startswith("0")
    spoken = digit_by_digit(whole) if zeros_before or len(whole) > MAX_DIGITS else sino(int(whole))
    if not fraction:
        return spoken
    return f"{spoken} 점 " + "".join(_DIGITS[int(digit)] for digit in fraction)


def counted(number: str, counter: str) -> str:
    """A number before a counter, and the counter: 세 시, 십오 시, 스무 살, 세 번째, 육 개월."""
    if not takes_native(number, counter):
        return f"{decimal(number)} {counter}"
    if counter == "번째" and int(number) == 1:
        return "첫 번째"
    return f"{native(int(number))} {counter}"


def counted_range(first: str, last: str, counter: str) -> str:
    """A range of numbers before a counter: 두세 개, 한 개에서 네 개, 십에서 이십 명."""
    if takes_native(first, counter) and takes_native(last, counter):
        low, high = int(first), int(last)
        if counter != "시" and low in _ABOUT and high == low + 1:
            return f"{_ABOUT[low]} {counter}"
        if high < 10 or counter == "시":
            return f"{counted(first, counter)}에서 {counted(last, counter)}"
    return f"{decimal(first)}에서 {decimal(last)} {counter}".rstrip()


def takes_native(number: str, counter: str) -> bool:
    """True if a number before a counter is a native Korean one."""
    if counter not in _NATIVE_COUNTERS or not number.isdigit() or number.startswith("0"):
        return False
    value = int(number)
    if counter == "시":
        return value <= _LAST_NATIVE_HOUR
    if counter == "시간":
        return value <= _MOST_HOURS_COUNTED_NATIVELY
    if counter == "대" and value % 10 == 0:  # people of that many years
        return False
    return value <= _LAST_NATIVE_NUMBER
