"""Cases tried in a process of their own, so that a crash is a finding and no end of the search.

    python tests/fuzz/trial.py KIND SEED FIRST LAST

tries the cases FIRST to LAST - 1 and writes a line for each, its number and how it ended. `search`
starts it, and again after the case that ended it.
"""

import contextlib
import logging
import os
import random
import resource
import select
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from media_seeds import films, pictures, sounds
from mutation import damaged, odd_text

from multitalk.errors import RequestError
from multitalk.inputs.sniff import SNIFFED_BYTES, sniff
from multitalk.media.audio import load_speech
from multitalk.media.audio_tracks import sound_seconds
from multitalk.media.footage import FootageReader
from multitalk.media.image import load_picture
from multitalk.speech.synthesis import synthesize

HERE = Path(__file__).parent
KINDS = ("picture", "sound", "film", "text")
CPU_SECONDS = 20  # for one case
MEMORY_BYTES = 1536 << 20  # of address space, above what the process has at its start
SILENT_SECONDS = 300.0  # then a case hangs: this is real time, and the machine may be busy
_MAX_PIXELS = 50_000_000
_MAX_SECONDS = 60.0


@dataclass(frozen=True)
class TrialFinding:
    """A case that ended otherwise than by success or an error for the caller.

    Attributes:
        kind: One of `KINDS`.
        number: Of the case.
        ending: Of its file's name, such as "mp3".
        data: The file or text.
        outcome: What happened.
    """

    kind: str
    number: int
    ending: str
    data: bytes
    outcome: str

    def __str__(self) -> str:
        return f"{self.kind} {self.number} ({self.ending}, {len(self.data)} bytes): {self.outcome}"


class Cases:
    """The cases of a kind, by their numbers."""

    def __init__(self, kind: str, seed: int) -> None:
        self._kind, self._seed = kind, seed
        with tempfile.TemporaryDirectory() as folder:
            self._whole = {
                "picture": pictures,
                "sound": lambda: sounds(Path(folder)),
                "film": lambda: films(Path(folder)),
                "text": dict,
            }[kind]()

    def case(self, number: int) -> tuple[str, bytes]:
        """The ending of the file's name, and what is in it."""
        source = random.Random(f"{self._kind} {self._seed} {number}")
        if self._kind == "text":
            return "txt", odd_text(source).encode("utf-8", "replace")
        ending = source.choice(sorted(self._whole))
        return ending, damaged(self._whole[ending], source)


def search(kind: str, seed: int, first: int, last: int) -> Iterator["TrialFinding | Counter[str]"]:
    """Try cases; yield findings as they come, and at the end how often each outcome was."""
    cases = Cases(kind, seed)
    outcomes: Counter[str] = Counter()
    while first < last:
        command = [sys.executable, str(HERE / "trial.py"), kind, str(seed), str(first), str(last)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
            try:
                for number, outcome in _lines(process):
                    first = number + 1
                    outcomes[outcome.split(":")[0]] += 1
                    if outcome.startswith("FOUND"):
                        yield TrialFinding(kind, number, *cases.case(number), outcome)
            finally:
                process.kill()
        if first < last:  # it died at this one
            outcome = f"FOUND: ended by {process.returncode}"
            outcomes["FOUND"] += 1
            yield TrialFinding(kind, first, *cases.case(first), outcome)
            first += 1
    yield outcomes


def _lines(process: "subprocess.Popen[bytes]") -> Iterator[tuple[int, str]]:
    """Each case that ended: its number and its outcome."""
    assert process.stdout is not None
    left = b""
    while select.select([process.stdout], [], [], SILENT_SECONDS)[0]:
        block = os.read(process.stdout.fileno(), 65536)
        if not block:
            process.wait()
            return
        *whole, left = (left + block).split(b"\n")
        for line in whole:
            number, _, outcome = line.decode("utf-8", "replace").partition(" ")
            yield int(number), outcome
    process.kill()
    process.wait()


def _try(kind: str, ending: str, data: bytes, folder: Path) -> str:
    if kind == "text":
        synthesize(data.decode())
        return "spoken"
    if sniff(data[:SNIFFED_BYTES]) is None:
        return "not let in"
    path = folder / f"case.{ending}"
    path.write_bytes(data)
    if kind == "picture":
        load_picture(path, field="image_path", max_pixels=_MAX_PIXELS)
    elif kind == "sound":
        sound_seconds(path, field="x")
        load_speech(path, field="x", directory=folder, max_seconds=_MAX_SECONDS)
    else:
        bounds = {"max_pixels": _MAX_PIXELS, "max_seconds": _MAX_SECONDS}
        with FootageReader(path, field="image_path", **bounds) as film:
            for frame in (0, 3, 200):
                film.at(frame)
    return "decoded"


def _outcome(kind: str, ending: str, data: bytes, folder: Path) -> str:
    try:
        return _try(kind, ending, data, folder)
    except RequestError as error:
        if error.key == "text_unspeakable_here":
            return f"FOUND: {error.key}"
        return f"refused: {error.key}"
    except BaseException as error:
        return f"FOUND: {type(error).__name__} {error}".replace("\n", " ")[:300]


def main(kind: str, seed: int, first: int, last: int) -> None:
    """Try them here, within limits."""
    logging.disable(logging.CRITICAL)
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders complain there
    cases = Cases(kind, seed)
    _outcome(kind, "txt" if kind == "text" else "x", b"hello", Path(os.devnull))  # loads it all
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES,) * 2)
    with tempfile.TemporaryDirectory() as name:
        for number in range(first, last):
            spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
            resource.setrlimit(
                resource.RLIMIT_CPU, (int(spent) + CPU_SECONDS, resource.RLIM_INFINITY)
            )
            outcome = _outcome(kind, *cases.case(number), Path(name))
            for left in Path(name).iterdir():
                with contextlib.suppress(OSError):
                    left.unlink()
            os.write(answers, f"{number} {outcome}\n".encode("utf-8", "replace"))


if __name__ == "__main__":
    kind, *numbers = sys.argv[1:]
    main(kind, *map(int, numbers))
