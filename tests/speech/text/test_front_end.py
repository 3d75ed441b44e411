"""What is heard of a text: the real synthesizer's phonemes."""

import pytest

pytest.importorskip("espeakng_loader", reason="the extra `speech` is needed")

import unicodedata
from collections.abc import Iterator

import numpy as np
from hypothesis import given, settings
from hypothesis.strategies import sampled_from, text

from multitalk.confinement.run import ExitResult
from multitalk.errors import EngineUnavailable, InvalidRequest, MultiTalkError
from multitalk.speech.synthesis import MAX_CHARACTERS, SynthesizedSpeech, synthesize
from multitalk.speech.text import japanese
from multitalk.speech.text.front_end import read_text
from multitalk.speech.text.plain_text import MAX_PART_CHARACTERS

LETTERS = (
    "가나와시개명번살월일년 안녕하세요12345670.,:;-~%$₩/()[]{}<>*_#`|\\'\"!?@&=+°CkmgLABcd"
    "éжприв今日本中はへをかなカー你好مرحباनमस्ते\u200c\u200d\u00ad\n\r\t\x01"
    "😀👍🏽🇰🇷①㎏½²ﬁ𝗛Ｈ"
)
# Of SudachiPy, about what pyopenjtalk-plus calls.
pytestmark = pytest.mark.filterwarnings("ignore:Dictionary.create:DeprecationWarning")


def heard(text: str, language: str | None = None) -> str:
    return "".join(sound.ipa for sound in synthesize(text, language=language).phonemes)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("The in\u00adfor\u00adma\u00adtion desk", "The information desk"),
        ("𝗛𝗲𝗹𝗹𝗼 𝘄𝗼𝗿𝗹𝗱", "Hello world"),
        ("The **main** issue is `config`.", "The main issue is config."),
        ("Well done 🎉🎉!", "Well done!"),
        ("10~20 people", "10 to 20 people"),
        ("5℃", "5 degrees Celsius"),
        ("오후 3시 30분, 사과 3개, 12살", "오후 세 시 삼십 분, 사과 세 개, 열두 살"),
        ("전화는 010-1234-5678", "전화는 공일공 일이삼사 오육칠팔"),
        ("안녕하세요 👋 반갑습니다", "안녕하세요 반갑씀니다"),
    ],
)
def test_what_is_heard_is_what_is_meant(written: str, said: str) -> None:
    assert heard(written) == heard(said)


@pytest.mark.parametrize(
    "text", ["10~20명, 와~ 좋아요!", "저는 OpenAI의 ChatGPT를 3번 써봤어요.", "한국(韓國) 50%"]
)
def test_no_sign_or_letter_is_named_in_korean(text: str) -> None:
    speech = synthesize(text)
    said = "".join(sound.ipa for sound in speech.phonemes)
    assert "tˈɪldə" not in said
    assert "tʃˈaɪniːz" not in said
    assert speech.notices == ()


def test_korean_with_latin_words_is_all_spoken() -> None:
    said = heard("LG전자 CEO")
    assert "ˈɛldʒˈiː" in said.replace("ˌ", "ˈ")
    assert "tɕ" in said


def test_letters_that_a_voice_names_are_said() -> None:
    (notice,) = synthesize("hello ສະບາຍດີ").notices
    assert notice.key == "letters_named"
    assert "ສ" in str(notice.parameters["letters"])


def test_phonemes_of_several_runs_fill_the_sound_and_leave_no_gap_inside() -> None:
    speech = synthesize("그는 привет 라고 hello 말했다.")
    assert [speech.phonemes[0].start_seconds, speech.phonemes[-1].end_seconds] == [
        0.0,
        pytest.approx(len(speech.samples) / speech.sample_rate),
    ]
    assert longest_silence(speech) < 0.15


def test_a_line_end_pauses_as_a_full_stop_does() -> None:
    lines = longest_silence(synthesize("First line\nSecond line"))
    assert lines == pytest.approx(0.4, abs=0.06)
    assert longest_silence(synthesize("First line\n\nSecond line")) == pytest.approx(0.8, abs=0.06)
    assert longest_silence(synthesize("First line Second line")) < 0.2


def test_kana_is_read_without_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(japanese, "find_spec", lambda name: None)
    assert japanese.to_kana(["わたしは がくせいです。", "こんにちは。はな"]) == [
        "わたしわ がくせいです。",
        "こんにちわ。はな",
    ]
    assert heard("わたしは がくせいです。")


def test_kanji_without_the_package_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(japanese, "find_spec", lambda name: None)
    with pytest.raises(EngineUnavailable, match="pip install 'pyopenjtalk-plus") as caught:
        synthesize("今日は良い天気ですね。")
    assert caught.value.field == "text"


def test_japanese_is_read_with_its_package_all_texts_by_one_process() -> None:
    pytest.importorskip("pyopenjtalk", reason="the extra `japanese` is needed")
    said = {
        "今日は良い天気ですね。": "キョーワヨイテンキデスネ",
        "私は学校へ行きます。本を読みます。": "ワタシワガッコーエイキマス。ホンヲヨミマス",
        "りんご3個、12歳": "リンゴサンコ、ジューニサイ",
        "こんにちは": "コンニチワ",
    }
    kana = japanese.to_kana(list(said))
    assert [text.rstrip("。、") for text in kana] == list(said.values())


@pytest.mark.parametrize(
    ("ended", "error"),
    [
        (ExitResult(-11, b"", was_ready=True, stderr=""), InvalidRequest),
        (ExitResult(-11, b"", was_ready=False, stderr=""), EngineUnavailable),
        (ExitResult(1, b"", was_ready=True, stderr="x"), EngineUnavailable),
    ],
)
def test_a_crash_at_a_japanese_text_is_a_sentence_about_it(
    monkeypatch: pytest.MonkeyPatch, ended: ExitResult, error: type[MultiTalkError]
) -> None:
    monkeypatch.setattr(japanese, "find_spec", lambda name: True)
    monkeypatch.setattr(japanese, "run_confined", lambda *_, **__: ended)
    with pytest.raises(error):
        read_text("今日は良い天気ですね。")


@pytest.fixture(scope="module")
def japanese_is_read_in_this_process() -> Iterator[None]:
    """So that many texts take no process each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(japanese, "_asked", japanese.kana_of)
        yield


@pytest.mark.usefixtures("japanese_is_read_in_this_process")
@settings(max_examples=150, deadline=None)
@given(text(alphabet=LETTERS, max_size=80), sampled_from([None, "ko", "en", "ja", "hi"]))
def test_any_text_has_a_reading_or_a_sentence_why_not(text: str, language: str | None) -> None:
    try:
        pieces = read_text(text, language).pieces
    except MultiTalkError:
        return
    for piece in pieces:
        assert piece.text.strip()
        assert len(piece.text) <= MAX_PART_CHARACTERS + 1
        assert not any(unicodedata.category(letter) == "Cc" for letter in piece.text)


@pytest.mark.parametrize("language", [None, "ko"])
@pytest.mark.parametrize(
    "unit",
    [
        "a *",
        "a _a",
        "[a](",
        "<a b=",
        "<!--",
        "1,000",
        "0",
        "1-",
        "1~",
        "韓(",
        "가~",
        " ",
        "a|",
        "a. ",
    ],
)
def test_no_text_takes_long_to_look_at(unit: str, language: str | None) -> None:
    """Each took many seconds, or overflowed, when all of a text was looked at together."""
    try:
        read_text((unit * MAX_CHARACTERS)[:MAX_CHARACTERS], language)
    except MultiTalkError:
        return


def longest_silence(speech: SynthesizedSpeech) -> float:
    """In seconds, between the first and the last sound."""
    loud = np.flatnonzero(np.abs(speech.samples) > 0.003)
    return float(np.diff(loud).max()) / speech.sample_rate


def test_short_texts_of_all_kinds_are_spoken_to_their_end() -> None:
    """One letter, one word, one sign beside it: the synthesizer tells words of some only."""
    for written in (
        "물",
        "살",
        "가",
        "a",
        "5",
        "네!",
        "ㅋ",
        "привет",
        "你",
        "は",
        "ß",
        "1️⃣",
        "½",
        "A+",
    ):
        speech = synthesize(written)
        edges = [sound.end_seconds for sound in speech.phonemes]
        assert edges[-1] == pytest.approx(len(speech.samples) / speech.sample_rate), written
        assert any(sound.ipa for sound in speech.phonemes), written


def test_a_word_that_is_run_into_the_next_one_is_not_taken_for_a_name():
    speech = synthesize("사진 한 장과 목소리만 있으면 제가 말할 수 있습니다.", language="ko")
    assert speech.notices == ()
