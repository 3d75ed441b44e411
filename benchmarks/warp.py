"""Speed and memory of the CPU engine: everything that docs/experiments.md says about them.

    python benchmarks/warp.py                 # a minute and a half on two cores
    python benchmarks/warp.py --quality       # one person in each quality, nothing else
    python benchmarks/warp.py --long          # also ten minutes of talk
    python benchmarks/warp.py --install       # also the size of an install; downloads it
    python benchmarks/warp.py --markdown      # rows for docs/experiments.md

Nothing is asserted. benchmarks/README.md says what each figure is and which of them are noisy.
"""

import argparse
import json
import logging
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterable
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from processes import import_seconds, install_bytes, run_fresh, run_warm
from talks import ROOT, Talk, make_talk

SECONDS = 10  # of the talks
LONG_SECONDS = 600
MB = 1e6
PARTS = ("job", "render", "encode")

TALKS = (
    {"name": "one 720x720", "people": 1, "height": 720, "width": 720},
    {"name": "two 1280x720", "people": 2, "height": 720, "width": 1280},
)
QUALITIES = ("draft", "standard", "fine")
SMALL = {"people": 1, "height": 360, "width": 360}  # where length is what matters


def machine() -> dict[str, object]:
    """The machine and the versions of the measurement."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    described = subprocess.run(git, check=False, capture_output=True, text=True)
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "commit": described.stdout.strip() or "unknown",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "opencv-python-headless", "av")},
    }


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def qualities() -> list[dict[str, object]]:
    """The first talk in each quality."""
    one = TALKS[0]
    return [one | {"name": f"{one['name']} {word}", "quality": word} for word in QUALITIES]


def measure_talk(talk: Talk, num_runs: int) -> dict[str, object]:
    """One row of the table of talks: medians, and the range of the job where it tells the noise."""
    warm = run_warm(talk, num_runs)
    fresh = [run_fresh(talk) for _ in range(num_runs)]
    runs, num_frames = warm["runs"], warm["num_frames"]
    row: dict[str, object] = {"talk": talk.name, "seconds": talk.seconds, "num_frames": num_frames}
    for part in PARTS:
        for clock in ("wall", "cpu"):
            values = [run[clock] / talk.seconds for run in runs[part]]
            row[f"{part}_{clock}"] = median(values)
            row[f"{part}_{clock}_range"] = [min(values), max(values)]
    return row | {
        "frames_per_second": num_frames / (row["job_wall"] * talk.seconds),
        "stages": _medians(warm["stages"]),
        "first_frames_warm": median(warm["first_chunk"]),
        "first_frames_cold": median(job.first_frames for job in fresh),
        "peak_bytes": max(job.peak_bytes for job in fresh),
        "file_bytes": warm["file_bytes"],
    }


def _medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: median(row[key] for row in rows) for key in rows[0]}


def measure(arguments: argparse.Namespace, directory: Path) -> dict[str, object]:
    """Everything that was asked for."""
    report: dict[str, object] = {"machine": machine(), "runs": arguments.runs}
    wanted = qualities() if arguments.quality else TALKS
    talks = [make_talk(directory, seconds=SECONDS, **talk) for talk in wanted]
    report["talks"] = [measure_talk(talk, arguments.runs) for talk in talks]
    report["import_seconds"] = import_seconds()
    if arguments.long:
        lengths = {"short": SECONDS, "long": LONG_SECONDS}
        report["peak_bytes"] = {
            name: run_fresh(make_talk(directory, name=name, seconds=seconds, **SMALL)).peak_bytes
            for name, seconds in lengths.items()
        }
    if arguments.install:
        report["install_bytes"] = install_bytes(directory)
    return report


def talk_cells(row: dict[str, object]) -> dict[str, str]:
    """A talk's figures as they are shown, by column; times are per second of talk."""
    low, high = row["job_wall_range"]
    return {
        "talk": str(row["talk"]),
        "job": f"{row['job_wall']:.3f} ({low:.3f}-{high:.3f})",
        "render only": f"{row['render_wall']:.3f}",
        "encode only": f"{row['encode_wall']:.3f}",
        "job / encode": f"{row['job_wall'] / row['encode_wall']:.2f}",
        "CPU of job, render, encode": ", ".join(f"{row[f'{part}_cpu']:.3f}" for part in PARTS),
        "frames/s": f"{row['frames_per_second']:.0f}",
        "first frames": f"{row['first_frames_warm']:.2f} s",
        "cold start": f"{row['first_frames_cold']:.2f} s",
        "peak": f"{row['peak_bytes'] / MB:.0f} MB",
    }


def process_cells(report: dict[str, object]) -> dict[str, str]:
    """Figures that belong to no talk, by column."""
    cells = {"import": f"{1000 * report['import_seconds']:.0f} ms"}
    cells |= dict.fromkeys(("peak, 10 s", "peak, 10 min", "10 min / 10 s", "install"), "")
    if "peak_bytes" in report:
        short, long = report["peak_bytes"]["short"], report["peak_bytes"]["long"]
        cells["peak, 10 s"], cells["peak, 10 min"] = f"{short / MB:.0f} MB", f"{long / MB:.0f} MB"
        cells["10 min / 10 s"] = f"{long / short:.2f}"
    if "install_bytes" in report:
        cells["install"] = f"{report['install_bytes'] / MB:.0f} MB"
    return cells


def stage_cells(row: dict[str, object]) -> dict[str, str]:
    """Seconds of a job, by stage."""
    return {
        f"stage {stage}": f"{1000 * seconds:.0f} ms" for stage, seconds in row["stages"].items()
    }


def markdown(report: dict[str, object]) -> Iterable[str]:
    """Lines to be pasted: the machine's, and a row for each table."""
    facts = report["machine"]
    yield "Machine: " + ", ".join(f"{key} {value}" for key, value in facts.items())
    where = {"date": facts["date"], "commit": facts["commit"]}
    rows = [where | talk_cells(row) for row in report["talks"]]
    yield from _markdown_table(rows)
    yield from _markdown_table([where | process_cells(report)])


def _markdown_table(rows: list[dict[str, str]]) -> Iterable[str]:
    yield ""
    for cells in (rows[0].keys(), ["---"] * len(rows[0]), *(row.values() for row in rows)):
        yield "| " + " | ".join(cells) + " |"


def show(report: dict[str, object]) -> None:
    """Tables for a person at a terminal: a line for each figure."""
    console = Console()
    for key, value in report["machine"].items():
        console.print(f"{key:24}{value}", highlight=False)
    title = (
        f"{SECONDS} s of talk, medians of {report['runs']}; job, render, encode: s per s of talk"
    )
    talks = [talk_cells(row) | stage_cells(row) for row in report["talks"]]
    process = {cell: value for cell, value in process_cells(report).items() if value}
    for caption, columns in (
        (title, talks),
        (None, [{"process; one 360x360": "figure"} | process]),
    ):
        heads, *lines = zip(columns[0], *(cells.values() for cells in columns), strict=True)
        table = Table(*heads, title=caption, title_justify="left", title_style="bold")
        for line in lines:
            table.add_row(*line)
        console.print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="measured runs of each talk")
    parser.add_argument("--quality", action="store_true", help="one person in each quality")
    parser.add_argument("--long", action="store_true", help="peak memory of ten minutes of talk")
    parser.add_argument("--install", action="store_true", help="size of a fresh install")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print everything, unrounded")
    form.add_argument("--markdown", action="store_true", help="print rows for docs/experiments.md")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory() as directory:
        report = measure(arguments, Path(directory))
    if arguments.json:
        print(json.dumps(report, indent=2))
    elif arguments.markdown:
        print("\n".join(markdown(report)))
    else:
        show(report)


if __name__ == "__main__":
    main()
