"""Japanese text as kana, spelt as it sounds: the synthesizer reads kana and no kanji.

Kanji, numbers and particles are read by Open JTalk, an extra. Kana alone is read without it.
"""

import contextlib
import importlib
import io
import re
from importlib.util import find_spec

from multitalk.errors import EngineUnavailable
from multitalk.speech.cutting import parts_of
from multitalk.speech.scripts import script_of

# Before a mark or a space は and へ are particles, and so they are after these words.
_PRONOUNS = (
    "わたし|わたくし|あたし|ぼく|おれ|あなた|きみ|かれ|かのじょ|みんな|これ|それ|あれ|どれ|ここ|そこ|"
    "あそこ|どこ|こちら|そちら|きょう|あした|あす|きのう|いま|なまえ|こんにち|こんばん|では|には|とは"
)
_HA = re.compile(
    rf"(?<=[\u3041-\u30ff])は(?=[\s、。，．,.!?！？…]|$)|(?<=[にとで])は|({_PRONOUNS})は"
)
_MOST_CHARACTERS = 200  # that Open JTalk is asked at once; it refuses some thousand
_HE = re.compile(
    r"(?<=[\u3041-\u30ff])へ(?=[\s、。，．,.!?！？…]|$)|(?<=[こそどらうん])へ(?=い|き|む|か)"
)


def to_kana(text: str) -> str:
    """A Japanese text in kana as its sounds are spelt: 今日は as キョーワ.

    Args:
        text: Plain text of one line.

    Raises:
        EngineUnavailable: It has kanji or digits, and the extra `japanese` is not installed.
    """
    if find_spec("pyopenjtalk") is not None:
        said = re.sub(r"(?<=\d)\s*[~–]\s*(?=\d)", "から", text)
        said = re.sub("何(?=です|でし|だ|の)", "なん", said)
        return " ".join(
            _kana_of(part).replace("’", "").replace("−", " ")
            for word in said.split()  # else it would run the words together
            for part in parts_of(word, _MOST_CHARACTERS)
        )
    if any(script_of(letter) == "HAN" for letter in text):
        raise EngineUnavailable(
            "japanese_unread",
            field="text",
            install="pip install 'pyopenjtalk-plus<0.5'",
        )
    text = _HA.sub(lambda found: (found[1] or "") + "わ", text)
    return _HE.sub("え", text)


def _kana_of(text: str) -> str:
    # It prints on its first import that a model of one word's readings is not installed.
    with contextlib.redirect_stdout(io.StringIO()):
        open_jtalk = importlib.import_module("pyopenjtalk")
    # Its second opinions load 200 MB and better few readings.
    said = open_jtalk.g2p(text, kana=True, use_sudachi_kanji_yomi=False, predict_nani=False)
    return str(said)
