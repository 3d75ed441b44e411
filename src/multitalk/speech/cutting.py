"""Long texts in parts, cut where it is heard least, and how long to rest after each."""

# Seconds that espeak-ng leaves between two sentences, and at a comma.
SENTENCE_PAUSE, CLAUSE_PAUSE = 0.36, 0.2
# The most that is looked at, and spoken, at once: what takes time does so by the square of it.
MAX_PART_CHARACTERS = 1000
_SENTENCE_ENDS, _CLAUSE_ENDS = ".!?。！？।؟…", ",;:，、；：،؛"
_LEAST_SHARE = 4  # a part is at least that fraction of the most it may be


def parts_of(text: str, limit: int = MAX_PART_CHARACTERS) -> list[str]:
    """A text in parts of at most `limit` characters, cut at sentences, else clauses, else words."""
    parts = []
    text = text.strip()
    while len(text) > limit:
        window = text[:limit]
        for ends in (_SENTENCE_ENDS, _CLAUSE_ENDS, " "):
            cut = max(window.rfind(mark) for mark in ends) + 1
            if cut > limit // _LEAST_SHARE:
                break
        else:
            cut = limit
        parts.append(text[:cut].strip())
        text = text[cut:].lstrip()
    return [*parts, text]


def pause_after(text: str) -> float:
    """How many seconds to rest after a part: as the synthesizer does within one."""
    if text[-1:] in _SENTENCE_ENDS:
        return SENTENCE_PAUSE
    return CLAUSE_PAUSE if text[-1:] in _CLAUSE_ENDS else 0.0
