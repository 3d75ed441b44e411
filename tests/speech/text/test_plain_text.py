"""Pasted texts become what a reader would say: nothing of their markup and looks is left."""

import pytest

from multitalk.speech.text.plain_text import LINE_PAUSE, PARAGRAPH_PAUSE, plain_lines


def plain(text: str) -> str:
    return " / ".join(line.text for line in plain_lines(text))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028", "\u0085", "\v", "<br>", "<br/>"])
def test_each_kind_of_line_end_is_a_pause(end: str) -> None:
    lines = plain_lines(end.join(["First line", "Second line", "Third line"]))
    assert [line.text for line in lines] == ["First line", "Second line", "Third line"]
    assert [line.pause_seconds for line in lines] == [LINE_PAUSE, LINE_PAUSE, 0.0]


@pytest.mark.parametrize("gap", ["\n\n", "\r\n\r\n", "\n \t\n", "\n\n\n\n", "\n---\n", "\u2029\n"])
def test_an_empty_line_is_a_longer_pause(gap: str) -> None:
    first, last = plain_lines(f"One.{gap}Two.")
    assert (first.pause_seconds, last.pause_seconds) == (PARAGRAPH_PAUSE, 0.0)


@pytest.mark.parametrize(
    "unseen", ["\u00ad", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u202a", "\U000e0041"]
)
def test_format_characters_within_a_word_leave_it_whole(unseen: str) -> None:
    assert plain(f"The in{unseen}for{unseen}mation desk") == "The information desk"


def test_joiners_stay_where_they_are_spelling() -> None:
    assert plain("می‌خواهم") == "می\u200cخواهم"
    assert plain("क्‍ष") == "क्\u200dष"


@pytest.mark.parametrize(
    "styled",
    [
        "𝗛𝗲𝗹𝗹𝗼 𝘄𝗼𝗿𝗹𝗱", "𝐇𝐞𝐥𝐥𝐨 𝐰𝐨𝐫𝐥𝐝", "𝓗𝓮𝓵𝓵𝓸 𝔀𝓸𝓻𝓵𝓭", "𝙷𝚎𝚕𝚕𝚘 𝚠𝚘𝚛𝚕𝚍", "Ｈｅｌｌｏ　ｗｏｒｌｄ",
        "Ⓗⓔⓛⓛⓞ ⓦⓞⓡⓛⓓ",
        "H̲e̲l̲l̲o̲ w̲o̲r̲l̲d̲", "H̶e̶l̶l̶o̶ w̶o̶r̶l̶d̶", "𝕳𝖊𝖑𝖑𝖔 𝖜𝖔𝖗𝖑𝖉",
    ],
)  # fmt: skip
def test_styled_letters_are_plain_ones(styled: str) -> None:
    assert plain(styled) == "Hello world"


@pytest.mark.parametrize(
    "text",
    [
        "한글 ㅋㅋㅋ ㅠㅠ",
        "สวัสดีครับ ที่ทำงาน",
        "½ ¾",
        "x² m³",
        "naïve café",
        "வணக்கம்",
        "don't",
        "ガギグ",
    ],
)
def test_spelling_is_not_taken_for_style(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("ＨＥＬＬＯ １２３", "HELLO 123"),
        ("ﾊﾝｶｸ ｶﾞ", "ハンカク ガ"),
        ("5℃ 3㎏ ㎞", "5°C 3kg km"),
        ("①첫째 ②둘째", "1 첫째 2 둘째"),
        ("ﬁne Ⅳ", "fine IV"),
        ("it’s don´t", "it's don't"),
        ("한" + "글".encode().decode(), "한글"),
        ("\u1112\u1161\u11ab", "한"),
    ],
)
def test_compatibility_forms_are_what_they_stand_for(written: str, said: str) -> None:
    assert plain(written) == said


@pytest.mark.parametrize(
    ("marked", "said"),
    [
        ("The **main** issue is `config`.", "The main issue is config."),
        ("a *very* __big__ _deal_ ***here***", "a very big deal here"),
        ("~~old~~ new", "old new"),
        ("# Title", "Title"),
        ("### Title ###", "Title"),
        ("- one\n* two\n+ three\n• four", "one / two / three / four"),
        ("- [ ] open\n- [x] done", "open / done"),
        ("> quoted\n>> twice", "quoted / twice"),
        ("see [the docs](https://a.b/c) now", "see the docs now"),
        ("![a cat](cat.png) sits", "a cat sits"),
        ("a note[^1] here", "a note here"),
        ("```python\nprint\n```", "print"),
        ("| a | b |\n|---|---|\n| c | d |", "a, b / c, d"),
        ("\\*not emphasis\\*", "not emphasis"),
        ("<b>bold</b> <a href='x'>link</a> &amp; &lt;", "bold link & <"),
        ("snake_case and __init__", "snake case and init"),
        ("**제목:** 내용입니다", "제목: 내용입니다"),
        ("5 * 3", "5 × 3"),
    ],
)  # fmt: skip
def test_markup_leaves_its_text(marked: str, said: str) -> None:
    assert plain(marked) == said


@pytest.mark.parametrize(
    "emoji", ["😀", "👨‍👩‍👧‍👦", "🇰🇷", "❤️", "👍🏽", "✨", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "☎️", "→", "★", "™"]
)
def test_emoji_and_signs_that_nobody_says_are_dropped(emoji: str) -> None:
    assert plain(f"Good {emoji} day{emoji}") == "Good day"
    assert not plain_lines(emoji)


@pytest.mark.parametrize("face", [":)", ";-)", ":D", "<3", "^^", "^_^", "T_T", ">_<", "(>_<)"])
def test_emoticons_are_dropped(face: str) -> None:
    assert plain(f"Good {face} day {face}") == "Good day"


def test_a_keycap_is_its_digit() -> None:
    assert plain("1️⃣ first") == "1 first"


@pytest.mark.parametrize("said", ["50%", "$5", "a@b.com", "3 + 4 = 7", "R&D", "#1", "-5", "10:30"])
def test_signs_that_are_said_stay(said: str) -> None:
    assert plain(f"Take {said} now") == f"Take {said} now"


def test_addresses_are_shortened_to_what_people_say() -> None:
    said = "see example.com/a/b. ok"
    assert plain("see https://www.example.com/a/b?utm=c#d. ok") == said
    assert plain("see <https://example.com/a/b/>. ok") == said
    assert plain("https://example.com에서 보세요") == "example.com에서 보세요"


def test_nothing_left_is_a_control_character() -> None:
    every = "".join(map(chr, range(1, 0x3000)))
    assert all(
        letter.isprintable()
        for line in plain_lines(f"a{every}b")
        for letter in line.text
        if letter not in "\u200c\u200d"
    )
