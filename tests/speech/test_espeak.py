"""Texts that overflow espeak-ng's buffers are spoken; others go to it as they are."""

import pytest

from multitalk.speech.espeak import split_for_espeak
from multitalk.speech.synthesis import synthesize

# Each ends espeak-ng 1.52 by a signal where it gets them as they are.
OVERFLOWING = (
    "a." * 400,
    "a. m." * 300,
    "я." * 101,
    "a.m. " * 96,
    "i.e. e.g. " * 49,
    "т.е. " * 51,
    "a.-" * 200,
    "ler" * 160,
    "०." * 200,
    "92680281228930.688157016618507039582" * 5,
    "s'" * 220,
    "s’" * 220,
)


@pytest.mark.parametrize("text", OVERFLOWING, ids=lambda text: f"{text[:10]}x{len(text)}")
def test_a_text_that_overflows_the_synthesizer_is_spoken(text: str) -> None:
    assert len(synthesize(text, language="en").samples) > 0


@pytest.mark.parametrize("language", ["en-us", "ru", "ko"])
@pytest.mark.parametrize("row", ["{}.", "{}. ", "{}.'", "({}).", "{} .", "{}.-", '{}."'])
def test_no_row_of_single_letters_is_longer_than_the_buffer(row: str, language: str) -> None:
    spoken = [part for letter in "aя𐐀" for part in split_for_espeak(row.format(letter) * 300)]
    assert all("." not in part[:-1].strip(" .") for part in spoken)


@pytest.mark.parametrize(
    "text",
    [
        "The U.S. and the U.K., e.g. at 5 a.m. or 11 p.m.; i.e. J.R.R. Tolkien, Ph.D.",
        "www.multitalk.ai, node.js 3.5.1 and 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5",
        "1.2.3.4.5.6.7.8.9.0.1.2.3.4.5",
        "The rock'n'roll of the fo'c's'le isn't John's.",
        "네이버.컴, 가. 나. 다. 라. 마.",
        "a b c d e f g h i j k l m n o p",
        "3.141592653589793238, 1,000,000,000,000 and 12345678901234567890",
        "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
        "今天天气很好。我们去公园散步，好吗？",
    ],
)
def test_what_people_write_is_left_as_it_is(text: str) -> None:
    assert split_for_espeak(text) == [text]


def test_a_long_number_is_said_digit_by_digit_after_its_first_part() -> None:
    pi = "3.1415926535897932384626433832795028841971693993751058209749445923"
    (said,) = split_for_espeak(pi)
    assert said.replace(" ", "") == pi
    assert max(map(len, said.split())) == 40
    assert {len(word) for word in said.split()[1:]} == {1}


@pytest.mark.parametrize("letter", "aяกა")
def test_no_word_is_longer_than_the_buffer(letter: str) -> None:
    (said,) = split_for_espeak(letter * 500)
    assert said.replace(" ", "") == letter * 500
    assert max(len(word.encode()) for word in said.split()) <= 160


def test_a_clause_has_fewer_words_than_the_synthesizer_holds() -> None:
    parts = split_for_espeak("b " * 400 + "1a" * 400)
    assert max(len(part.replace(" ", "")) for part in parts) <= 250
    assert "".join(parts).replace(" ", "") == "b" * 400 + "1a" * 400
