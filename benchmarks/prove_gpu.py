"""Proves the diffusion engine at its real size on a GPU: a JSON line a figure, within ten minutes.

The weights are random (`random_weights`), in the published files, and everything after them is the
engine that is shipped. Each part is a separate process, with a limit for each step: a step that
fails or hangs is a line, and the next one is taken. See `proof_steps` for what they measure.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS = Path(__file__).with_name("proof_steps.py")

MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory, whose files can be mapped
ROOM = 52 * 10**9  # bytes of the largest set of files, in the second call
START_SECONDS = 120  # of a process, before its first step

Part = Mapping[str, float]  # from a step of `proof_steps` to the seconds that it may take

KERNELS: Part = {
    "machine": 60,
    "attention native": 40,
    "attention _native_cudnn": 40,
    "attention _native_flash": 40,
    "feed-forward layer": 60,
}
ENGINE: Part = {
    "load": 120,
    "480p, 8 steps": 180,
    "480p, two speakers": 60,
    "720p": 90,
    "480p, native attention": 60,
    "480p, cuDNN attention": 60,
    "command, streamed": 180,
    "480p, compiled": 180,
}
IN_FP8: Part = {"load fp8": 90, "480p, fp8": 60, "480p, fp8 products": 60, "10 s talk": 120}
IN_BF16: Part = {"weights bf16": 120, "load bf16": 90, "480p, bf16": 60}
# Reserved while the first weights are written, and after that.
FIRST: tuple[tuple[Part, ...], tuple[Part, ...]] = (({"toy weights": 120}, KERNELS), (ENGINE,))
SECOND: tuple[tuple[Part, ...], tuple[Part, ...]] = (({"machine": 60},), (IN_FP8, IN_BF16))
WEIGHTS: Part = {"weights": 150}
WEIGHTS_FP8: Part = {"weights fp8": 150}
NEEDS_GPU = frozenset(
    {
        "toy weights",
        "attention _native_cudnn",
        "480p, cuDNN attention",
        "480p, compiled",
        "480p, fp8 products",
    }
)
# One process, which imports everything once.
DRY_RUN: Part = {
    name: seconds
    for part in (WEIGHTS, KERNELS, ENGINE, WEIGHTS_FP8, IN_FP8, IN_BF16)
    for name, seconds in part.items()
    if name not in NEEDS_GPU
}


class Proof:
    """One run over everything.

    Args:
        out: Folder of `rows.jsonl` and of what the steps' processes say.
        seconds: After which nothing is begun any more, and what runs is ended.
        options: Of every process of steps.
    """

    def __init__(self, out: Path, seconds: float, options: list[str]) -> None:
        self.failed: list[str] = []
        self._out = out
        self._options = options
        self._began = time.monotonic()
        self._end = self._began + seconds
        self._lock = threading.Lock()
        out.mkdir(parents=True, exist_ok=True)
        (out / "rows.jsonl").write_text("")

    def take(self, part: Part) -> None:
        """Take the steps of a part; after a process that ended in one, a new one takes the rest."""
        pending = list(part)
        while pending:
            if self._left <= 0:
                for name in pending:
                    self._say({"step": name, "failed": "not begun: the time is up"})
                return
            reason = self._take(part, pending)
            if pending:  # the process ended in its first one
                self._say({"step": pending.pop(0), "failed": reason})

    def _take(self, part: Part, pending: list[str]) -> str:
        """Start a process for the steps that are left, and take their rows off the list."""
        command = [sys.executable, str(STEPS), *self._options, *pending]
        with (
            (self._out / "log.txt").open("a") as log,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            ) as child,
        ):
            late = threading.Event()

            def end() -> None:
                late.set()
                os.killpg(child.pid, signal.SIGKILL)

            seconds = min(START_SECONDS, self._left)
            timer = threading.Timer(seconds, end)
            timer.start()
            try:
                for line in child.stdout:
                    told = _row_of(line)
                    if "begins" in told:
                        timer.cancel()
                        seconds = min(part[told["begins"]], self._left)
                        timer = threading.Timer(seconds, end)
                        timer.start()
                    elif told:
                        self._say(told)
                        pending.remove(told["step"])
            finally:
                timer.cancel()
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGKILL)
        return f"ended after {seconds:.0f} s" if late.is_set() else f"exit {child.returncode}"

    @property
    def _left(self) -> float:
        return self._end - time.monotonic()

    def _say(self, row: Mapping[str, object]) -> None:
        with self._lock:
            line = json.dumps({"at": round(time.monotonic() - self._began, 1), **row})
            print(line, flush=True)
            with (self._out / "rows.jsonl").open("a") as rows:
                rows.write(line + "\n")
            if "failed" in row:
                self.failed.append(str(row["step"]))


def _row_of(line: str) -> dict[str, object]:
    """A row, or nothing of what a library prints."""
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) and ("step" in row or "begins" in row) else {}


def main() -> None:
    """Take all steps of a call; exit with 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--second", action="store_true", help="what the first ten minutes left")
    parser.add_argument("--dry-run", action="store_true", help="both, on a CPU with toy sizes")
    parser.add_argument("--seconds", type=float, help="for all (540; with --second 235)")
    parser.add_argument(
        "--weights", type=Path, help="folder to write them into (in /dev/shm, where it has room)"
    )
    parser.add_argument("--out", type=Path, help="folder of the rows ($OUT, or out/prove-gpu)")
    arguments = parser.parse_args()
    out = arguments.out or Path(os.environ.get("OUT") or ROOT / "out" / "prove-gpu")
    seconds = arguments.seconds or (235.0 if arguments.second else 540.0)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # as the image does
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM
    with tempfile.TemporaryDirectory(prefix="weights-", dir=MEMORY if in_memory else None) as made:
        options = ["--weights", str(arguments.weights or made), "--out", str(out)]
        proof = Proof(out, seconds, options + ["--toy"] * arguments.dry_run)
        if arguments.dry_run:
            proof.take(DRY_RUN)
        else:
            weights = WEIGHTS_FP8 if arguments.second else WEIGHTS
            writing = threading.Thread(target=proof.take, args=(weights,))
            writing.start()
            meanwhile, after = SECOND if arguments.second else FIRST
            for part in meanwhile:
                proof.take(part)
            writing.join()
            for part in after:
                proof.take(part)
    if proof.failed:
        sys.exit(f"failed: {', '.join(proof.failed)}")


if __name__ == "__main__":
    main()
