"""Damage to files, and texts of all kinds, by a seed and a number: each case can be made again."""

import random
import unicodedata

_WORDS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\x7f")
_HEAD_BYTES = 400  # where formats keep what matters
_LEAST_BYTES = 16

_LETTERS = (
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDIVXLCM",
    "äöüßéèñçåøłşğőœ",
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "αβγδεζηθάέ",
    "你好今天中国人民一二三",
    "あいうえおカキクケコン",
    "가나다라마바사한국말",
    "ابتثجحخدذرزسشصض",
    "אבגדהוזחטיכל",
    "अआइकखगघचिीु्ं",
    "กขคงจชาิีึุูเแ",
    "0123456789",
    "٠١٢٣०१२३²³½¼",
    "😀👍❤☃♥",
    "\u0301\u0300\u00ad\u0640\u200d\u200b",
)
_SIGNS = ".,;:!?'\"-–—()[]{}<>/\\&%$€£#@*+=_~^|°§’“”«»…·•"
_ROWS = (
    *("a.", "a.m. ", "i.e. e.g. ", "т.е. ", "é.", "한.", "a.b.c ", "s'", "s’", "l'd'", "ler", "un"),
    *(
        "1,000,",
        "1.",
        "3.14",
        "99:59",
        "MCM",
        "10^",
        "http://a.b/",
        "@a.",
        "$1 ",
        "a-",
        "(",
        "[a](",
        "*a",
    ),
    *(
        "<b>",
        "&amp;",
        "`a",
        "~~",
        "| a ",
        "# ",
        "> ",
        "- ",
        "\n\n",
        "😀",
        "\u202e",
        "\u3000",
        "a\u0301",
    ),
)


def damaged(data: bytes, source: random.Random) -> bytes:
    """A file with one to sixty-four wounds: bytes changed, cut out, doubled, or its end missing."""
    wounded = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 4, 16, 64))):
        if len(wounded) <= _LEAST_BYTES:
            break
        reach = len(wounded) if source.random() < 0.5 else min(len(wounded), _HEAD_BYTES)
        _wound(wounded, source.randrange(reach), source)
    return bytes(wounded)


def _wound(data: bytearray, at: int, source: random.Random) -> None:
    kind = source.randrange(6)
    if kind == 0:
        data[at] = source.randrange(256)
    elif kind == 1:
        data[at : at + 4] = source.choice(_WORDS)
    elif kind == 2:
        del data[at : at + source.randrange(1, 50)]
    elif kind == 3:
        data[at:at] = data[max(0, at - source.randrange(1, 60)) : at]
    elif kind == 4:
        data[at] ^= 1 << source.randrange(8)
    else:
        del data[max(_LEAST_BYTES, source.randrange(len(data))) :]


def odd_text(source: random.Random, most: int = 600) -> str:
    """A text that nobody wrote: rows of a few letters, mixed scripts, signs, any of Unicode."""
    kind = source.randrange(4)
    if kind == 0:
        text = source.choice(_ROWS) * source.choice((3, 40, 300))
    elif kind == 1:
        letters = "".join(source.sample(_LETTERS, 2)) + source.choice((" ", " .", ".", "'", " ,\n"))
        text = "".join(source.choice(letters) for _ in range(source.choice((40, 300, most))))
    elif kind == 2:
        words = [_odd_word(source) for _ in range(source.randint(1, 5))]
        text = source.choice((" ", "", ". ", ", ", "\n", ".")).join(
            source.choice(words) for _ in range(source.choice((2, 20, 120)))
        )
    else:
        codes = (source.randrange(32, 0x110000) for _ in range(source.choice((10, 100))))
        text = "".join(chr(code) for code in codes if unicodedata.category(chr(code)) != "Cs")
    return text[:most]


def _odd_word(source: random.Random) -> str:
    letters = source.choice(_LETTERS)
    if source.random() < 0.3:
        return (source.choice(letters) + source.choice(_SIGNS)) * source.choice((1, 5, 60))
    if source.random() < 0.3:
        return source.choice(_ROWS) * source.choice((1, 1, 30))
    return "".join(source.choice(letters) for _ in range(source.choice((1, 2, 5, 12, 100))))
