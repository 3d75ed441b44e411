"""Korean spelling to the spelling of its sounds, so that a voice says 함니다 for 합니다.

The rules and their numbers are those of the Standard Pronunciation (표준 발음법) of the Standard
Language Regulations, Ministry of Culture notice 2017-13. A word ends at a space.
"""

import re

_FIRST = 0xAC00
_ONSETS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_FINALS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"

# Finals of two letters: what stays, and what goes to a vowel that follows (rules 10, 11, 14).
_PAIRS = {
    "ㄳ": "ㄱㅅ", "ㄵ": "ㄴㅈ", "ㄶ": "ㄴㅎ", "ㄺ": "ㄹㄱ", "ㄻ": "ㄹㅁ", "ㄼ": "ㄹㅂ",
    "ㄽ": "ㄹㅅ", "ㄾ": "ㄹㅌ", "ㄿ": "ㄹㅍ", "ㅀ": "ㄹㅎ", "ㅄ": "ㅂㅅ",
}  # fmt: skip
# The sound of a final before a consonant or at the end (rules 8 to 11).
_FINAL_SOUND = {
    "ㄲ": "ㄱ", "ㅋ": "ㄱ", "ㄳ": "ㄱ", "ㄺ": "ㄱ", "ㅅ": "ㄷ", "ㅆ": "ㄷ", "ㅈ": "ㄷ", "ㅊ": "ㄷ",
    "ㅌ": "ㄷ", "ㅎ": "ㄷ", "ㅍ": "ㅂ", "ㅄ": "ㅂ", "ㄿ": "ㅂ", "ㄵ": "ㄴ", "ㄶ": "ㄴ", "ㄼ": "ㄹ",
    "ㄽ": "ㄹ", "ㄾ": "ㄹ", "ㅀ": "ㄹ", "ㄻ": "ㅁ",
}  # fmt: skip
_ASPIRATED = {"ㄱ": "ㅋ", "ㄷ": "ㅌ", "ㅂ": "ㅍ", "ㅈ": "ㅊ"}
_TENSE = {"ㄱ": "ㄲ", "ㄷ": "ㄸ", "ㅂ": "ㅃ", "ㅅ": "ㅆ", "ㅈ": "ㅉ"}
_NASAL = {"ㄱ": "ㅇ", "ㄷ": "ㄴ", "ㅂ": "ㅁ"}
# Stems whose final sounds unlike that of nouns: ㄺ before ㄱ (rule 11), 밟 (rule 10).
_STEMS_IN_LG = "읽맑밝굵늙긁묽붉갉낡얽"
# Compounds that take a ㄴ between their parts (rule 29: its own examples, and numbers).
_WITH_N = (
    (re.compile("(?<=솜|홑)이불"), "니불"),
    (re.compile("(?<=막|삯|들)일(?![0-9가-힣])"), "닐"),
    (re.compile("(?<=꽃|솔|뭇|깻|댓|풀)잎"), "닢"),
    (re.compile("(?<=한|올)여름"), "녀름"),
    (re.compile("(?<=신)여성"), "녀성"),
    (re.compile("(?<=색)연필"), "년필"),
    (re.compile("(?<=직행)열차"), "녈차"),
    (re.compile("(?<=담)요"), "뇨"),
    (re.compile("(?<=눈)요기"), "뇨기"),
    (re.compile("(?<=영업)용"), "뇽"),
    (re.compile("(?<=식용)유"), "뉴"),
    (re.compile("(?<=백분)율"), "뉼"),
    (re.compile("(?<=물|알)약(?!하)"), "냑"),
    (re.compile("(?<=서울)역"), "녁"),
    (re.compile("(?<=[일육칠팔십백천만억])육"), "뉵"),
    (re.compile("(?<=열|물|른|흔|쉰|순)여(?=섯|덟)"), "녀"),
)
_WORD = re.compile("[가-힣]+")


def phonetic_spelling(text: str) -> str:
    """A text whose Hangul is spelt as it sounds; everything else stays as it is."""
    for written, sounds in _WITH_N:
        text = written.sub(sounds, text)
    return _WORD.sub(lambda word: _word(word[0]), text)


def _word(word: str) -> str:
    syllables = [_parts(letter) for letter in word]
    for index in range(len(syllables) - 1):
        onset, vowel, final = syllables[index]
        next_onset, next_vowel, next_final = syllables[index + 1]
        is_stem_in_lg = final == "ㄺ" and word[index] in _STEMS_IN_LG
        final, next_onset = _meeting(
            "ㅂ" if word[index] == "밟" and next_onset not in "ㅇㅎ" else final,
            next_onset,
            before_i=next_vowel == "ㅣ",
            before_y=next_vowel == "ㅣ" or (next_vowel == "ㅕ" and next_final in " ㅆ"),
            is_stem_in_lg=is_stem_in_lg,
        )
        syllables[index] = (onset, vowel, final)
        syllables[index + 1] = (next_onset, next_vowel, next_final)
    onset, vowel, final = syllables[-1]
    syllables[-1] = (onset, vowel, _FINAL_SOUND.get(final, final))
    return "".join(
        _syllable((onset, _vowel_sound(onset, vowel), final)) for onset, vowel, final in syllables
    )


def _vowel_sound(onset: str, vowel: str) -> str:
    """Rules 5.1 and 5.3: the sound of some vowels after a consonant."""
    if onset != "ㅇ" and vowel == "ㅢ":
        return "ㅣ"
    return "ㅓ" if onset in "ㅈㅉㅊ" and vowel == "ㅕ" else vowel


def _meeting(  # noqa: PLR0911 - a rule each
    final: str, onset: str, *, before_i: bool, before_y: bool, is_stem_in_lg: bool
) -> tuple[str, str]:
    """The sounds of a final and the onset that follows it."""
    if final == " ":
        return final, onset
    if onset == "ㅇ":
        return _before_vowel(final, before_i=before_i)
    if onset == "ㅎ":
        return _before_h(final, before_y=before_y)
    if final in "ㅎㄶㅀ":
        return _after_h(final, onset)
    if is_stem_in_lg and onset == "ㄱ":
        return "ㄹ", "ㄲ"
    sound = _FINAL_SOUND.get(final, final)
    if sound in _NASAL:
        return _after_stop(sound, onset)
    # Rule 25: stems in ㄼ and ㄾ tense what follows, though only their ㄹ sounds.
    if final in {"ㄼ", "ㄾ", "ㄵ", "ㄽ"}:
        return sound, _TENSE.get(onset, onset)
    if sound in "ㅁㅇ" and onset == "ㄹ":  # rule 19
        return sound, "ㄴ"
    if (sound, onset) in {("ㄴ", "ㄹ"), ("ㄹ", "ㄴ")}:  # rule 20
        return "ㄹ", "ㄹ"
    return sound, onset


def _after_stop(stop: str, onset: str) -> tuple[str, str]:
    """Rules 18, 19 and 23: a stop before another consonant."""
    if onset in "ㄴㅁ":
        return _NASAL[stop], onset
    if onset == "ㄹ":
        return _NASAL[stop], "ㄴ"
    return stop, _TENSE.get(onset, onset)


def _before_vowel(final: str, *, before_i: bool) -> tuple[str, str]:
    """Rules 12.4 to 14, and 17: the final goes over to the vowel."""
    if final == "ㅇ":
        return final, "ㅇ"
    if final == "ㅎ":
        return " ", "ㅇ"
    stays, goes = tuple(_PAIRS.get(final, " " + final))
    if goes == "ㅎ":
        return " ", stays
    if before_i and goes in "ㄷㅌ":
        goes = {"ㄷ": "ㅈ", "ㅌ": "ㅊ"}[goes]
    return stays, "ㅆ" if goes == "ㅅ" and stays != " " else goes


def _before_h(final: str, *, before_y: bool) -> tuple[str, str]:
    """Rules 12.1 and 17: ㅎ makes the stop before it aspirated."""
    stays, goes = tuple(_PAIRS.get(final, " " + final))
    goes = goes if goes in _ASPIRATED else _FINAL_SOUND.get(goes, goes)
    if goes in _ASPIRATED:
        if before_y and final in "ㄷㅌ":
            return stays, "ㅊ"
        return stays, _ASPIRATED[goes]
    return _FINAL_SOUND.get(final, final), "ㅎ"


def _after_h(final: str, onset: str) -> tuple[str, str]:
    """Rules 12.1 to 12.3: a final ㅎ and the consonant after it."""
    stays = _PAIRS.get(final, " ㅎ")[0]
    if onset in _ASPIRATED and onset != "ㅂ":
        return stays, _ASPIRATED[onset]
    if onset == "ㅅ":
        return stays, "ㅆ"
    if onset == "ㄴ":
        return ("ㄹ", "ㄹ") if stays == "ㄹ" else ("ㄴ", "ㄴ")
    sound = "ㄷ" if stays == " " else stays
    return (_NASAL["ㄷ"], onset) if sound == "ㄷ" and onset == "ㅁ" else (sound, onset)


def _parts(syllable: str) -> tuple[str, str, str]:
    index = ord(syllable) - _FIRST
    return _ONSETS[index // 588], _VOWELS[index % 588 // 28], _FINALS[index % 28]


def _syllable(parts: tuple[str, str, str]) -> str:
    onset, vowel, final = parts
    return chr(
        _FIRST + 588 * _ONSETS.index(onset) + 28 * _VOWELS.index(vowel) + _FINALS.index(final)
    )


def ends_in_final(syllable: str) -> bool:
    """True if a syllable, or a letter in its place, ends in a consonant."""
    return "가" <= syllable <= "힣" and _parts(syllable)[2] != " "


def lengthen(syllable: str) -> str:
    """A syllable held longer: 와 as 와아, 녕 as 녀엉."""
    onset, vowel, final = _parts(syllable)
    held = dict(zip("ㅑㅒㅕㅖㅘㅙㅛㅝㅞㅟㅠㅢㅚ", "ㅏㅐㅓㅔㅏㅐㅗㅓㅔㅣㅜㅣㅔ", strict=True)).get(
        vowel, vowel
    )
    return _syllable((onset, vowel, " ")) + _syllable(("ㅇ", held, final))
