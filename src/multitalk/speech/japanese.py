"""Japanese text as kana, spelt as it sounds: the synthesizer reads kana and no kanji.

Kanji, numbers and particles are read by Open JTalk, an extra. Kana alone is read without it.
"""

import contextlib
import importlib
import io
import re
from importlib.util import find_spec
from types import ModuleType

from multitalk.errors import EngineUnavailable
from multitalk.speech.scripts import script_of

# Before a mark or a space は and へ are particles, and so they are after these words.
_PRONOUNS = (
    "わたし|わたくし|あたし|ぼく|おれ|あなた|きみ|かれ|かのじょ|みんな|これ|それ|あれ|どれ|ここ|そこ|"
    "あそこ|どこ|こちら|そちら|きょう|あした|あす|きのう|いま|なまえ|こんにち|こんばん|では|には|とは"
)
_HA = re.compile(
    rf"(?<=[\u3041-\u30ff])は(?=[\s、。，．,.!?！？…]|$)|(?<=[にとで])は|({_PRONOUNS})は"
)
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
        parts = re.split(r"(\s+)", said)  # Open JTalk would run the words together
        return "".join(
            part if not part.strip() else str(_open_jtalk().g2p(part, kana=True)).replace("’", "")
            for part in parts
        ).replace("−", " ")
    if any(script_of(letter) == "HAN" for letter in text):
        raise EngineUnavailable(
            "japanese_unread",
            field="text",
            install="pip install 'pyopenjtalk-plus<0.5'",
        )
    text = _HA.sub(lambda found: (found[1] or "") + "わ", text)
    return _HE.sub("え", text)


def _open_jtalk() -> ModuleType:
    # It prints on its first import that a model of one word's readings is not installed.
    with contextlib.redirect_stdout(io.StringIO()):
        return importlib.import_module("pyopenjtalk")
