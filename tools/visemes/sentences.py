"""What the training voices say: seeded text in many languages, from sources every machine has.

English comes from the docstrings of Python's standard library, other languages from the CLDR names
of countries, languages, currencies, scripts and months (package babel), and both are mixed with
made-up words, so that every sound also occurs beside sounds that no common word puts there.
"""

import inspect
import re
from importlib import import_module
from random import Random

from babel import Locale, UnknownLocaleError

DOCSTRING_MODULES = (
    "argparse", "asyncio", "collections", "decimal", "email", "http", "inspect", "logging", "os",
    "pathlib", "pydoc", "random", "re", "shutil", "statistics", "string", "subprocess", "tempfile",
    "textwrap", "threading", "typing", "unittest", "urllib.request", "zipfile",
)  # fmt: skip
NOTHING = "-"
ENGLISH_ONSETS = (
    "b bl br ch cl d dr f fl fr g gl gr h j k l m n p pl pr qu r s sh sl sm sp st str t th thr tr "
    "v w wh y z"
)
ENGLISH_NUCLEI = "a ai ar aw e ea ee er ew i ie igh o oa oi oo or ou ow u ur"
ENGLISH_CODAS = "- b ck d f ft g l lm lp m mp n nd ng nt p pt rb rf rm rp s sh st t th v x z"
OPEN_ONSETS = "b p m b p m f v t d n l s k g r z - pr br tr st"
OPEN_NUCLEI = "a e i o u a e i o u ai au ia io"
# Espeak languages whose CLDR code is another one.
CLDR_CODES = {"cmn": "zh", "yue": "zh_Hant", "hak": "zh", "nb": "nb", "hbs": "hr"}
MIN_WORDS = 60
LATIN = re.compile(r"^[A-Za-zÀ-ɏ' -]+$")


class SentenceSource:
    """Makes sentences for one seeded generator.

    The word lists are read once and kept; all randomness comes from `random`.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.english_sentences = english_sentences()
        self.words: dict[str, list[str]] = {}

    def knows(self, language: str) -> bool:
        """Whether CLDR has enough words of this language (an espeak or ISO 639 code)."""
        return len(self.words_of(language)) >= MIN_WORDS

    def words_of(self, language: str) -> list[str]:
        """The CLDR words of a language; empty if CLDR does not know it."""
        base = language.split("-", maxsplit=1)[0]
        if base not in self.words:
            self.words[base] = locale_words(CLDR_CODES.get(base, base))
        return self.words[base]

    def sentence(self, language: str) -> str:
        """One utterance of about two to eight seconds."""
        random = self.random
        if language.split("-", maxsplit=1)[0] == "en":
            kind = random.random()
            if kind < 0.55:
                return ". ".join(random.sample(self.english_sentences, random.randint(1, 2)))
            if kind < 0.8:
                words = [english_pseudo_word(random) for _ in range(random.randint(4, 10))]
                return spaced(words, random)
        words = random.sample(self.words_of(language), random.randint(3, 7))
        if all(LATIN.match(word) for word in words) and random.random() < 0.5:
            for _ in range(random.randint(1, 4)):
                words.insert(random.randint(0, len(words)), open_pseudo_word(random))
        return spaced(words, random)


def spaced(words: list[str], random: Random) -> str:
    """Join words, now and then with a comma or a full stop."""
    return "".join(word + random.choice((" ", " ", " ", ", ", ". ")) for word in words).strip()


def english_sentences() -> list[str]:
    """Plain sentences of the standard library's documentation, sorted so that seeds repeat."""
    sentences: set[str] = set()
    for name in DOCSTRING_MODULES:
        for member in vars(import_module(name)).values():
            documentation = inspect.getdoc(member) if callable(member) else None
            for line in re.split(r"[.\n]", documentation or ""):
                sentence = line.strip()
                if 20 < len(sentence) < 90 and re.fullmatch(r"[A-Za-z ,']+", sentence):
                    sentences.add(sentence)
    return sorted(sentences)


def locale_words(code: str) -> list[str]:
    """Names of countries, languages, scripts, currencies, months and days in one language."""
    try:
        locale = Locale.parse(code)
    except (UnknownLocaleError, ValueError):
        return []
    names = [
        *locale.territories.values(), *locale.languages.values(),
        *locale.scripts.values(), *locale.currencies.values(),
    ]  # fmt: skip
    for calendar in (locale.months, locale.days):
        names += calendar.get("format", {}).get("wide", {}).values()
    words = {re.sub(r"[()\[\]&/.0-9\"’\\]", " ", str(name)).strip() for name in names}
    return sorted(word for word in words if word)


def english_pseudo_word(random: Random) -> str:
    """A word that is not in the dictionary but has English spelling, such as "plawm"."""
    syllables = [
        random.choice(ENGLISH_ONSETS.split())
        + random.choice(ENGLISH_NUCLEI.split())
        + random.choice(ENGLISH_CODAS.split())
        for _ in range(random.choice((1, 1, 2)))
    ]
    return "".join(syllables).replace(NOTHING, "")


def open_pseudo_word(random: Random) -> str:
    """A made-up word of open syllables, readable in most languages, such as "bomira"."""
    syllables = (
        random.choice(OPEN_ONSETS.split()) + random.choice(OPEN_NUCLEI.split())
        for _ in range(random.randint(2, 4))
    )
    return "".join(syllables).replace(NOTHING, "")
