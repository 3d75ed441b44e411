"""Speed and memory of the diffusion engine, with random weights.

Without options, on the CPU and small: what the network's savings save, the memory of the speaker
map, and the cost model beside what is measured. With --gpu, everything at its real size on a GPU.
"""

import argparse
import gc
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import torch
from diffusers.utils import logging as diffusers_logging

from diffusion_cpu import measure_cpu
from diffusion_gpu import GpuBenchmark
from diffusion_models import REAL, TOY
from diffusion_report import Report

ROOT = Path(__file__).resolve().parents[1]


def machine(device: str) -> dict[str, object]:
    """What the figures are measured on."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    described = subprocess.run(git, check=False, capture_output=True, text=True)
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "commit": described.stdout.strip() or "unknown",
        "device": torch.cuda.get_device_name() if device == "cuda" else f"{os.cpu_count()} cores",
        "load before": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
    }


def main() -> None:
    """Measure, and print a table row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpu", action="store_true", help="the real size, on a GPU of 80 GB")
    parser.add_argument(
        "--toy", action="store_true", help="with --gpu: the same code in seconds, on a CPU"
    )
    parser.add_argument("--rounds", type=int, default=7, help="of the comparison on the CPU")
    parser.add_argument(
        "--minutes", type=float, default=7.5, help="with --gpu: after which no row is begun"
    )
    parser.add_argument("--out", type=Path, help="folder of report.json and report.md")
    arguments = parser.parse_args()
    gc.freeze()  # what is imported stays, so that collecting between measurements is quick
    diffusers_logging.set_verbosity_error()  # it warns at each change of the attention backend
    if arguments.toy and not arguments.gpu:
        parser.error("--toy: of --gpu only")
    if not arguments.gpu:
        measure_cpu(Report(machine("cpu"), out=arguments.out), arguments.rounds)
        return
    scale = TOY if arguments.toy else REAL
    if scale.device == "cuda" and not torch.cuda.is_available():
        sys.exit("--gpu: PyTorch finds no GPU here; without it, the network is measured on the CPU")
    report = Report(machine(scale.device), out=arguments.out, seconds=60 * arguments.minutes)
    GpuBenchmark(scale, report).run()


if __name__ == "__main__":
    main()
