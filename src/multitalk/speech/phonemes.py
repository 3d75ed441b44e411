"""Phones and the sixteen classes of mouth shapes (visemes) that they are seen as.

Phones that look alike share a class: nobody sees the difference between p, b and m.
"""

import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

VISEMES = (
    "sil", "PBM", "FV", "TH", "TDNL", "S", "SH", "KG", "W", "R", "I", "E", "A", "schwa", "O", "U",
)  # fmt: skip
NUM_VISEMES = len(VISEMES)
SILENCE, BILABIAL, LABIODENTAL = (VISEMES.index(name) for name in ("sil", "PBM", "FV"))
ALVEOLAR, SIBILANT, POSTALVEOLAR = (VISEMES.index(name) for name in ("TDNL", "S", "SH"))

IPA_BY_VISEME = {
    "PBM": "pbmɓʘʙ",
    "FV": "fvɱʋⱱɸβ",
    "TH": "θðɬɮ",
    "TDNL": "tdnlrɾɽɭɳʈɖɫɗɲȵʎǀǃǁ",
    "S": "szʦʣ",
    "SH": "ʃʒɕʑʂʐʧʤʨʥç",
    "KG": "kɡgŋxɣqhʔħʕχʁɦɢɟcʝɠɰɴʀɧʛʟ",
    "W": "wʍɥ",
    "R": "ɹɻɚɝ",
    "I": "iɪᵻj",
    "E": "eɛæ",
    "A": "aɑɐʌɶ",
    "schwa": "əɨɘɜɯɤɞɵ",
    "O": "oɔɒ",
    "U": "uʊyʏøœʉ",
}
VISEME_OF_IPA = {
    symbol: VISEMES.index(viseme) for viseme, symbols in IPA_BY_VISEME.items() for symbol in symbols
}


def visemes_of_ipa(phone: str) -> tuple[int, ...]:
    """Classes that one IPA phone runs through: one, or several for a diphthong.

    Length, stress, tone and other marks are ignored. An affricate is its fricative. A pause, a
    name without any IPA letter, or espeak's note of a language switch, such as "(en)", gives an
    empty tuple.
    """
    if phone.startswith("("):
        return ()
    symbols = phone if "ç" in phone else unicodedata.normalize("NFD", phone)
    visemes = [VISEME_OF_IPA[symbol] for symbol in symbols if symbol in VISEME_OF_IPA]
    is_affricate = visemes[:1] == [ALVEOLAR] and visemes[1:2] in ([SIBILANT], [POSTALVEOLAR])
    return tuple(visemes[1:] if is_affricate else visemes)


def viseme_sequence(
    phones: Iterable[tuple[float, float, Sequence[int]]], num_steps: int, *, rate: float
) -> NDArray[np.int8]:
    """Sample timed phones on a regular grid.

    Args:
        phones: (start, end, classes) with times in seconds; several classes share the time equally.
        num_steps: Length of the result.
        rate: Steps per second; step t is the instant t / rate.

    Returns:
        Class indices, int8 [num_steps]; silence where there is no phone.
    """
    sequence = np.full(num_steps, SILENCE, np.int8)
    for start, end, visemes in phones:
        if not visemes:
            continue
        edges = np.ceil(np.linspace(start * rate, end * rate, len(visemes) + 1)).astype(int)
        for viseme, first, last in zip(visemes, edges[:-1], edges[1:], strict=True):
            sequence[max(first, 0) : max(last, 0)] = viseme
    return sequence


def one_hot(sequence: NDArray[np.int8]) -> NDArray[np.float32]:
    """Certain class probabilities, float32 [T, NUM_VISEMES], of class indices [T]."""
    return np.eye(NUM_VISEMES, dtype=np.float32)[sequence]
