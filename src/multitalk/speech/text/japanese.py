"""Japanese text as kana, spelt as it sounds: the synthesizer reads kana and no kanji.

Kanji, numbers and particles are read by Open JTalk, an extra. Kana alone is read without it. Open
JTalk is native code that reads a caller's text, so this module also runs as a separate, confined
process: a list of texts comes in on stdin, as JSON; the list of their kana goes out.
"""

import contextlib
import importlib
import json
import logging
import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from multitalk.confinement.confine import ProcessLimits, confine
from multitalk.confinement.run import run_confined
from multitalk.errors import DeadlineExceeded, EngineUnavailable, InvalidRequest
from multitalk.speech.text.plain_text import split_text
from multitalk.speech.text.scripts import script_of

_LOG = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 120.0
_MOST_ANSWER_BYTES = 16 << 20
# Of 290 MB, its dictionary and the packages that it imports are nearly all.
_LIMITS = ProcessLimits(memory_bytes=1 << 30, cpu_seconds=60)

# Before a mark or a space は and へ are particles, and so they are after these words.
_PRONOUNS = (
    "わたし|わたくし|あたし|ぼく|おれ|あなた|きみ|かれ|かのじょ|みんな|これ|それ|あれ|どれ|ここ|そこ|"
    "あそこ|どこ|こちら|そちら|きょう|あした|あす|きのう|いま|なまえ|こんにち|こんばん|では|には|とは"
)
_HA = re.compile(
    rf"(?<=[\u3041-\u30ff])は(?=[\s、。，．,.!?！？…]|$)|(?<=[にとで])は|({_PRONOUNS})は"
)
_MOST_CHARACTERS = 200  # for one call of Open JTalk; it refuses some thousand
_HE = re.compile(
    r"(?<=[\u3041-\u30ff])へ(?=[\s、。，．,.!?！？…]|$)|(?<=[こそどらうん])へ(?=い|き|む|か)"
)


def to_kana(texts: Sequence[str]) -> list[str]:
    """Japanese texts in kana as their sounds are spelt: 今日は as キョーワ.

    Args:
        texts: Plain text of one line each. They are read by one process.

    Raises:
        InvalidRequest: Open JTalk crashes at a text.
        DeadlineExceeded: It took too long.
        EngineUnavailable: A text has kanji or digits, and the extra `japanese` is not installed.
    """
    if find_spec("pyopenjtalk") is None:
        return [_without_package(text) for text in texts]
    parts = [_parts_of(text) for text in texts]
    kana = iter(_asked([part for of_text in parts for part in of_text]))
    return [
        " ".join(next(kana).replace("’", "").replace("−", " ") for _ in of_text)
        for of_text in parts
    ]


def _parts_of(text: str) -> list[str]:
    spoken = re.sub(r"(?<=\d)\s*[~–]\s*(?=\d)", "から", text)
    spoken = re.sub("何(?=です|でし|だ|の)", "なん", spoken)
    # By words, else it would run them together.
    return [part for word in spoken.split() for part in split_text(word, _MOST_CHARACTERS)]


def _asked(parts: Sequence[str]) -> list[str]:
    """The readings of Open JTalk, in a separate process."""
    try:
        ended = run_confined(
            "multitalk.speech.text.japanese",
            json.dumps(parts).encode(),
            environment={"OPENBLAS_NUM_THREADS": "1"},  # each has much address space
            timeout_seconds=_TIMEOUT_SECONDS,
            max_output_bytes=_MOST_ANSWER_BYTES,
        )
    except TimeoutError as error:
        raise DeadlineExceeded("synthesis_slow", limit=_TIMEOUT_SECONDS) from error
    except OSError as error:
        raise _unavailable() from error
    if ended.crashed:
        raise InvalidRequest("text_unspeakable_here", field="text")
    if ended.returncode != 0:
        _LOG.error("Open JTalk's process failed: %s", ended.stderr)
        raise _unavailable()
    return [str(kana) for kana in json.loads(ended.output)]


def _unavailable() -> EngineUnavailable:
    return EngineUnavailable("engine_unavailable", engine="Open JTalk", reason="its process failed")


def _without_package(text: str) -> str:
    if any(script_of(letter) == "HAN" for letter in text):
        raise EngineUnavailable(
            "japanese_unread",
            field="text",
            install="pip install 'pyopenjtalk-plus<0.5'",
        )
    text = _HA.sub(lambda found: (found[1] or "") + "わ", text)
    return _HE.sub("え", text)


def kana_of(texts: Sequence[str]) -> list[str]:
    """Each text as its sounds are spelt in kana; a word, not too long."""
    # It prints on its first import that a model of one word's readings is not installed.
    with contextlib.redirect_stdout(sys.stderr):
        open_jtalk = importlib.import_module("pyopenjtalk")
    # Its second opinions load 200 MB and better few readings.
    options = {"kana": True, "use_sudachi_kanji_yomi": False, "predict_nani": False}
    return [str(open_jtalk.g2p(text, **options)) for text in texts]


def main() -> None:
    """Answer the one request on stdin."""
    kana_of(["あ"])  # loads the dictionary
    with confine(_LIMITS) as answers:
        answers.write(json.dumps(kana_of(json.loads(sys.stdin.buffer.read()))).encode())


if __name__ == "__main__":
    main()
