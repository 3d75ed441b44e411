"""The language of a text in Latin letters: by its everyday words, else by statistics."""

import re
import unicodedata
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from multitalk.speech.everyday_words import shares_of

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# Languages that the statistics may choose: those of py3langid that the synthesizer speaks and that
# are not so rare that a short English text is sooner taken for them than the reverse.
_STATISTICAL = (
    "en fr de es it pt nl sv da no fi pl cs sk hu ro tr vi id hr ca et lv lt sw cy ga is sq sl eu "
    "eo af"
)
# Those that everyday words are known of.
_BY_WORDS = (
    "en", "fr", "de", "es", "it", "pt", "nl", "sv", "da", "nb", "fi", "pl", "cs", "sk", "hu", "ro",
    "tr", "vi", "id", "hr", "sl", "ca", "et", "cy", "sw",
)  # fmt: skip
# How many times as probable each everyday word of a language makes it, and how many count.
_WEIGHT_OF_WORD, _MOST_WORDS = 4.0, 20.0
# How probable a language must be to be taken in place of English, by the number of words. Chosen so
# that hardly any everyday English text is taken for another.
_LEAST_PROBABILITY = {1: 0.6, 2: 0.55, 3: 0.5}
_DOUBTFUL = 0.1  # a text of several words that is less probably English than this may not be


def latin_language(text: str) -> tuple[str, bool]:
    """The language of a text in Latin letters, as a tag, and whether that is well founded.

    English is taken where nothing tells; not well founded is what may well be another language.
    """
    words = words_of(text)
    if not words:
        return "en", True
    hits = shares_of(words, _BY_WORDS)
    first, second, *_ = sorted(hits.values(), reverse=True)
    most = 2 * first >= len(words) or (4 * first >= len(words) and first > 2 * second + 2)
    if first > second and most:
        return max(hits, key=lambda language: hits[language]), True
    ranked = {
        language: probability * _WEIGHT_OF_WORD ** min(hits.get(language, 0.0), _MOST_WORDS)
        for language, probability in _probabilities(words).items()
        if not most or hits.get(language) == first
    }
    best = max(ranked, key=lambda language: ranked[language])
    least = _LEAST_PROBABILITY[min(len(words), max(_LEAST_PROBABILITY))] * sum(ranked.values())
    english = ranked.get("en", 0.0)
    if most or ranked[best] >= least:
        return best, True
    accented = any(ord(letter) > 127 for word in words for letter in word)
    unlikely = len(words) > 1 and english < _DOUBTFUL * ranked[best]
    return "en", best == "en" or not (accented or unlikely)


def _probabilities(words: list[str]) -> dict[str, float]:
    if find_spec("py3langid") is None:  # everyday words are all that tells, and English is doubted
        even = 1.0 / len(_BY_WORDS)
        return dict.fromkeys(_BY_WORDS, even) | {"en": even * _DOUBTFUL / 2}
    ranked = _identifier().rank(" ".join(words))
    return {{"no": "nb"}.get(language, language): float(share) for language, share in ranked}


def words_of(text: str) -> list[str]:
    """The words of a text that have Latin letters, in small letters, as they are looked up."""
    plain = unicodedata.normalize("NFC", text).replace("’", "'").lower()
    return [word for word in re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", plain) if _is_latin(word[0])]


def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("LATIN")


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - half a second

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(_STATISTICAL.split())
    return identifier
