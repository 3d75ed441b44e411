"""The phone sets of the training voices, as viseme classes.

Each voice names its sounds in its own way. A set is a table from names to classes; the common table
serves what a set does not name.
"""

import re

import numpy as np
from corpus import Phone
from numpy.typing import NDArray

from multitalk.speech.log_mel import FEATURE_RATE
from multitalk.speech.phonemes import VISEMES, viseme_sequence, visemes_of_ipa


def _table(**names_by_viseme: str) -> dict[str, tuple[str, ...]]:
    """`PBM="p b m"` for each class; a diphthong is written as `A_U="aw"`."""
    return {
        name: tuple(visemes.split("_"))
        for visemes, names in names_by_viseme.items()
        for name in names.split()
    }


COMMON = _table(
    sil="# ## pau sil _", A="a", E="e E", I="i I y j", O="o O", U="u U uw", W="w", PBM="p b m B",
    FV="f v", TDNL="t d n l r rr L J D", S="s z ts dz", SH="S Z tS dZ sh ch zh",
    KG="k g h x N ng G q", schwa="ax @", TH="T",
)  # fmt: skip
PHONE_SETS: dict[str, dict[str, tuple[str, ...]]] = {
    "american": _table(
        sil="pau h sil", A="aa ah", E="ae eh", O="ao", A_U="aw", schwa="ax", A_I="ay", R="er axr r",
        E_I="ey", I="ih iy y", O_U="ow", O_I="oy", U="uh uw", PBM="b p m em", FV="f v", TH="th dh",
        TDNL="t d n en l el dx nx", S="s z", SH="sh zh ch jh", KG="k g ng hh hv", W="w",
    ),
    "czech": _table(
        S="c", SH="c~ s~ z~ r~ r* dz~ s*", KG="ch n*", TDNL="n~ d~ t~", I="j y",
    ),
    "finnish": _table(U="y 9 oe 2 7", E="ae @ {", I="j", KG="N", TDNL="d", A="A"),
    "italian": _table(TDNL="JJ"),
    "catalan": _table(TDNL="rr", I="y", W="uax"),
    "russian": _table(
        S="c", schwa="y yy yq ay a", KG="h hh kk gg", SH="ch sch sh zh zhj", E="ae ee e", A="aa",
        U="ur uu", O="oo", I="ii i j",
    ),
    "indic": _table(
        schwa="a", A="aa", E="ee ei ai eh", O="au ou oo oh", I="ii y ih iy", U="uu uh", FV="v",
        SH="c chh j jh shh sh ch zh", R="R", PBM="ph bh", KG="kh gh ng", TDNL="nj tth dh th",
    ),
    "japanese": _table(
        TDNL="cl ny ry dy ty", KG="N ky gy hy", SH="ch sh j", S="ts", PBM="my py by", FV="f v",
        I="y I", W="w", U="U u",
    ),
}  # fmt: skip


def visemes_of_phone(name: str, phone_set: str) -> tuple[int, ...]:
    """Classes of one phone: as it is, without its marks, or by its first letters.

    Raises:
        KeyError: Nothing like it is known.
    """
    if phone_set == "ipa":
        return visemes_of_ipa(name)
    if phone_set == "viseme":
        return (VISEMES.index(name),)
    table = COMMON | PHONE_SETS[phone_set]
    if phone_set == "american":
        shortened = [name.lower()]
    else:
        unmarked = name.rstrip(":*1234567890")
        shortened = [name, unmarked, re.sub("[0-9:]", "", name), name[:2], name[:1]]
    for candidate in shortened:
        if candidate in table:
            return tuple(VISEMES.index(viseme) for viseme in table[candidate])
    raise KeyError(f"{phone_set}: {name!r}")


def labels_of(phones: tuple[Phone, ...], phone_set: str, num_frames: int) -> NDArray[np.int8]:
    """Class index at each feature frame, int8 [num_frames]."""
    starts = [0.0, *(phone.end_seconds for phone in phones)]
    timed = [
        (start, phone.end_seconds, visemes_of_phone(phone.name, phone_set))
        for start, phone in zip(starts, phones, strict=False)
    ]
    return viseme_sequence(timed, num_frames, rate=FEATURE_RATE)
