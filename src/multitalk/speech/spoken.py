"""A stretch of plain text in one language, in the words and letters that its voice reads."""

from multitalk.speech.japanese import to_kana
from multitalk.speech.korean import read_aloud
from multitalk.speech.signs import signs_in_words


def spoken_form(text: str, language: str) -> str:
    """What to give to the voice of a language, so that it says what the text means.

    Args:
        text: Plain text of one line.
        language: The synthesizer's code.

    Raises:
        EngineUnavailable: Reading it needs a package that is not installed.
    """
    if language == "ko":
        return read_aloud(text)
    if language == "ja":
        return to_kana(text)
    return signs_in_words(text, language)
