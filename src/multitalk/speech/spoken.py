"""Stretches of plain text in one language, in the words and letters that its voice reads."""

from collections.abc import Sequence

from multitalk.speech.japanese import to_kana
from multitalk.speech.korean import read_aloud
from multitalk.speech.scripts import Run
from multitalk.speech.signs import signs_in_words


def spoken_forms(runs: Sequence[Run]) -> list[str]:
    """What to give to the voice of each run's language, so that it says what the run means.

    Raises:
        InvalidRequest: The reader of a language crashes at its text.
        EngineUnavailable: Reading it needs a package that is not installed.
    """
    japanese = [run.text for run in runs if run.language == "ja"]
    kana = iter(to_kana(japanese) if japanese else ())
    return [next(kana) if run.language == "ja" else _spoken_form(run) for run in runs]


def _spoken_form(run: Run) -> str:
    return read_aloud(run.text) if run.language == "ko" else signs_in_words(run.text, run.language)
