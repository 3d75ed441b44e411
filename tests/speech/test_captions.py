"""Subtitles of spoken texts: pieces, times, formats."""

import itertools
from pathlib import Path

import pytest

from multitalk.schema import SpokenText
from multitalk.speech.captions import (
    MAX_WIDTH,
    Caption,
    as_srt,
    as_vtt,
    captions_of,
    pieces_of,
    read_captions,
    write_captions,
)
from multitalk.speech.narration import narrate
from multitalk.speech.synthesis import PhonemeTiming

ENGLISH = (
    "Hello. One picture and a voice are all I need to speak, and then I go on: a little longer. "
    "Is it so? Yes, it is! In 1999 there were 365 days."
)
KOREAN = (
    "안녕하세요. 사진 한 장과 목소리만 있으면, 제가 말할 수 있습니다. 만나서 반갑습니다! "
    "오늘은 날씨가 아주 좋아서 산책을 하려고 합니다."
)


def sounds_of(*lengths: float) -> list[PhonemeTiming]:
    """Sounds (positive seconds) and pauses (negative ones), one after the other."""
    ends = list(itertools.accumulate(abs(length) for length in lengths))
    return [
        PhonemeTiming(end - abs(length), end, "a" if length > 0 else "")
        for end, length in zip(ends, lengths, strict=True)
    ]


def test_a_text_is_cut_at_sentences_then_clauses_then_words() -> None:
    assert pieces_of("Hello.  It is\nme! 안녕하세요? こんにちは。はい、そうです。") == [
        "Hello.", "It is", "me! 안녕하세요?", "こんにちは。", "はい、そうです。"
    ]  # fmt: skip
    assert pieces_of("Dr. Who came. No.") == ["Dr. Who came.", "No."]
    long = "one two three, " * 6 + "four five six " * 6
    pieces = pieces_of(long)
    assert " ".join(pieces) == long.strip()
    assert all(len(piece) <= MAX_WIDTH for piece in pieces)
    assert len(pieces_of("가" * 100)) > 2
    assert pieces_of(" … — \n") == []
    assert pieces_of("# **Hello** 👋 you\n* [Here](https://example.com) it is.") == [
        "Hello you", "Here it is."
    ]  # fmt: skip


def test_pieces_end_in_pauses_though_letters_do_not_say_exactly_where() -> None:
    # Four sentences of 8 letters; by letters alone the ends were at 2.0, 4.0 and 6.0 s of sound.
    sounds = sounds_of(-0.2, 1.2, 1.0, -0.3, 1.6, -0.3, 2.0, -0.05, 0.4, -0.3, 1.8, -0.3)
    found = captions_of(["Abcdefgh. Abcdefgh. Abcdefgh. Abcdefgh."], sounds)
    assert [(one.start_seconds, one.end_seconds) for one in found] == [
        pytest.approx(times) for times in ((0.2, 2.7), (2.7, 4.6), (4.6, 7.35), (7.35, 9.45))
    ]


def test_without_pauses_each_piece_has_the_time_that_its_letters_are_worth() -> None:
    found = captions_of(["Abcdefgh. Abcde."], sounds_of(*[0.1] * 39))
    assert [(one.start_seconds, one.end_seconds) for one in found] == [
        (0.0, pytest.approx(2.4)), (pytest.approx(2.4), pytest.approx(3.9))
    ]  # fmt: skip


def test_a_stretch_of_unknown_sound_is_shared_by_what_is_said_in_it() -> None:
    found = captions_of(["Abcdefgh. Abcdefgh. Abcdefgh."], sounds_of(4.0, -0.4, 2.0))
    assert [one.start_seconds for one in found] == [0.0, pytest.approx(2.0), pytest.approx(4.4)]


def test_more_pieces_than_sounds_are_still_in_order() -> None:
    found = captions_of(["Aaaa. Bbbb. Cccc. Dddd."], sounds_of(0.5, -0.1, 0.5))
    assert len(found) == 4
    times = [time for one in found for time in (one.start_seconds, one.end_seconds)]
    assert times == sorted(times)


def test_nothing_said_has_no_captions() -> None:
    assert captions_of(["…"], sounds_of(1.0)) == ()
    assert captions_of(["Hello."], sounds_of(-1.0)) == ()
    assert captions_of(["Hello."], []) == ()


@pytest.mark.parametrize(("text", "language"), [(ENGLISH, "en"), (KOREAN, "ko")])
def test_captions_agree_with_each_sentence_spoken_by_itself(text: str, language: str) -> None:
    said = [SpokenText(text=piece, language=language) for piece in pieces_of(text)]
    whole = narrate([SpokenText(text=text, language=language)], field="a")
    found = captions_of([text], whole.phonemes)
    assert [one.text for one in found] == [one.text for one in said]
    for caption, one in zip(found, said, strict=True):
        alone = narrate([one], field="a").phonemes
        spoken = [sound for sound in alone if sound.ipa]
        seconds = spoken[-1].end_seconds - spoken[0].start_seconds
        lasts = caption.end_seconds - caption.start_seconds
        assert abs(lasts - seconds) < 0.75, (caption, seconds)  # with what lingers


def test_captions_in_both_formats(tmp_path: Path) -> None:
    told = [
        Caption(0.24, 1.5, "A <b> & c"),
        Caption(
            3661.0, 3662.0004, "one two three four five six seven eight nine ten eleven twelve"
        ),
    ]
    assert read_captions(write_captions(told, tmp_path / "a.json").read_bytes()) == told
    assert as_srt(told) == (
        "1\n00:00:00,240 --> 00:00:01,500\nA <b> & c\n\n"
        "2\n01:01:01,000 --> 01:01:02,000\none two three four five six seven\n"
        "eight nine ten eleven twelve\n\n"
    )
    assert as_vtt(told).startswith(
        "WEBVTT\n\n00:00:00.240 --> 00:00:01.500\nA &lt;b&gt; &amp; c\n\n01:01:01.000"
    )
