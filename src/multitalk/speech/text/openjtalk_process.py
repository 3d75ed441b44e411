"""Open JTalk, which reads Japanese text, run as a separate, confined process.

It is native code that reads a caller's text. A list of texts comes in on stdin, as JSON; the list
of their kana goes out.
"""

import contextlib
import importlib
import json
import sys
from collections.abc import Sequence

from multitalk.confinement.confine import ProcessLimits, confine

# Of 290 MB, its dictionary and the packages that it imports are nearly all.
LIMITS = ProcessLimits(memory_bytes=1 << 30, cpu_seconds=60)


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
    with confine(LIMITS) as answers:
        answers.write(json.dumps(kana_of(json.loads(sys.stdin.buffer.read()))).encode())


if __name__ == "__main__":
    main()
