"""The RunPod worker around its engine: what a warm job costs beside rendering, and what it keeps.

    python benchmarks/worker_overhead.py              # 220 jobs of 0.4 s of talk, about two minutes

`handler.py` with the `warp` engine as RunPod starts it, against the tests' stand-in of RunPod;
picture and voice come by HTTP from this machine. The queue is never empty. Nothing is asserted.

overhead     from the moment the job is given out until its result is there, less `timings.render`:
             the SDK's hand-over, validation, download, decoding, delivery, posting
stages       the part of it that the reply's timings tell: collect, load, deliver
pause        from a result until the next job is claimed
memory       resident, of the worker's process, after 20 jobs and at the end
"""

import argparse
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles

from talks import ROOT

sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests" / "serving" / "runpod"))

from control_plane import ControlPlane
from job_inputs import PORTRAIT, wav
from worker_process import HANDLER, RunPodWorker, running_worker

WARM_JOBS = 20
TALK_SECONDS = 0.4
STAGES = ("collect", "load", "deliver")


class QuietFiles(SimpleHTTPRequestHandler):
    """Files by HTTP, without a log."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def served(directory: Path):
    """The address at which a directory's files are."""
    handler = partial(QuietFiles, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def resident_megabytes(worker: RunPodWorker) -> float:
    """Memory of the worker's process."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1000


def measure(num_jobs: int, directory: Path) -> dict[str, list[float]]:
    """Milliseconds by job, megabytes by moment."""
    files = directory / "files"
    files.mkdir()
    (files / "portrait.jpg").write_bytes(PORTRAIT.read_bytes())
    (files / "voice.wav").write_bytes(wav(TALK_SECONDS))
    settings = {"MULTITALK_ALLOW_LOOPBACK": "true", "MULTITALK_ENGINE": "warp"}
    memory = []
    with (
        served(files) as url,
        ControlPlane() as plane,
        running_worker(plane, directory, script=HANDLER, **settings) as worker,
    ):
        request = {
            "prompt": "a woman hums",
            "image_path": f"{url}/portrait.jpg",
            "audio_paths": {"person1": f"{url}/voice.wav"},
        }
        jobs = [plane.submit(request) for _ in range(num_jobs)]
        for number, job in enumerate(jobs, start=1):
            job.wait(60)
            if number in (WARM_JOBS, num_jobs):
                time.sleep(0.05)
                memory.append(resident_megabytes(worker))
    warm = jobs[WARM_JOBS:]
    timings = [job.output["timings"] for job in warm]
    walls = [job.ended - job.taken for job in warm]
    around = [wall - told["render"] for wall, told in zip(walls, timings, strict=True)]
    return {
        "overhead": [1e3 * seconds for seconds in around],
        "stages": [1e3 * sum(told[stage] for stage in STAGES) for told in timings],
        "pause": [1e3 * (b.taken - a.ended) for a, b in pairwise(warm)],
        "render": [1e3 * told["render"] for told in timings],
        "memory": memory,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=220)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = measure(options.jobs, Path(name))
    first, last = found.pop("memory")
    print("| what | median | p95 | most |\n| --- | --- | --- | --- |")
    for what, values in found.items():
        p95 = quantiles(values, n=20)[-1]
        print(f"| {what} | {median(values):.0f} ms | {p95:.0f} ms | {max(values):.0f} ms |")
    grown = 100 * (last / first - 1)
    print(
        f"| memory after {WARM_JOBS} and {options.jobs} jobs | {first:.0f} MB | {last:.0f} MB |",
        end="",
    )
    print(f" {grown:+.1f} % |")


if __name__ == "__main__":
    main()
