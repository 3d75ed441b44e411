"""Damage media files and make odd texts for as long as asked, and keep what breaks the decoders.

    python tools/fuzz.py --seconds 600 --seed 7

A case may be decoded, spoken, or refused by an error for the caller. Anything else (a signal,
another exception, more than 20 s of CPU or 1.5 GB) is a finding: its file goes to --output, and
what happened into a `.txt` beside it. A finding becomes a case in the tests of what it broke.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fuzz"))
from trial import KINDS, TrialFinding, search

BATCH = {"picture": 1000, "sound": 500, "film": 300, "text": 60}


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="default: another each time"
    )
    parser.add_argument("--kind", choices=KINDS, action="append", help="default: all in turn")
    parser.add_argument("--output", type=Path, default=Path("out/fuzz"))
    arguments = parser.parse_args()
    ends = time.monotonic() + arguments.seconds
    kinds = arguments.kind or list(KINDS)
    first = dict.fromkeys(kinds, 0)
    outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    num_found = 0
    print(f"seed {arguments.seed}", flush=True)
    while time.monotonic() < ends:
        for kind in kinds:
            last = first[kind] + BATCH[kind]
            for found in search(kind, arguments.seed, first[kind], last):
                if isinstance(found, TrialFinding):
                    num_found += 1
                    print(
                        f"{found}\n  -> {keep(found, arguments.seed, arguments.output)}", flush=True
                    )
                else:
                    outcomes[kind] += found
            first[kind] = last
            if time.monotonic() > ends:
                break
    for kind, counted in outcomes.items():
        print(f"{kind}: {counted.total()} cases, {dict(counted.most_common())}")
    sys.exit(num_found > 0)


def keep(found: TrialFinding, seed: int, folder: Path) -> Path:
    """Write a finding's file, and beside it what happened."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{found.kind}-{seed}-{found.number}.{found.ending}"
    path.write_bytes(found.data)
    path.with_name(f"{path.name}.txt").write_text(f"{found}\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
