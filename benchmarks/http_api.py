"""The self-hosted server on loopback: how soon a job begins, how fast it answers, when one sees.

    python benchmarks/http_api.py              # about a minute and a half

`multitalk serve` as people start it, with one warp worker; the clients are this process. Nothing is
asserted.

answer       of `/run`, from the request to its answer, one after the other
begin        until the worker has the job: its `delayTime`; the jobs fail at once, so it is idle
polls        `/status` over 200 connections that are kept: each asking every half second, as pages
             do, and each asking again as soon as it is answered
first frame  from sending a talk until the first fragment of `live.mp4` is there, the worker warm
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

import httpx

from talks import ROOT

sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests" / "api"))

from served import Served

TALK = "/v2/talk"
PORTRAIT = ROOT / "examples" / "portrait.jpg"
FAILS_AT_ONCE = {"input": {"prompt": "nothing to see"}}
SPOKEN = "Hello there. This is a talk of some seconds, and it is seen while it is made."
WARM_TALKS = 1


def ended(client: httpx.Client, job: str) -> dict:
    """The job, once it has ended."""
    while (reply := client.get(f"{TALK}/status/{job}?video=url").json()) and "error" not in reply:
        if reply["status"] == "COMPLETED":
            break
        time.sleep(0.02)
    return reply


def begin(client: httpx.Client, jobs: int) -> tuple[list[float], list[float]]:
    """Milliseconds until `/run` answered, and until a worker had the job."""
    answers, delays = [], []
    for _ in range(jobs):
        sent = time.perf_counter()
        job = client.post(f"{TALK}/run", json=FAILS_AT_ONCE).json()["id"]
        answers.append((time.perf_counter() - sent) * 1000)
        delays.append(ended(client, job)["delayTime"])
        time.sleep(0.05)  # the worker waits again
    return answers, delays


async def polls(url: str, path: str, connections: int, seconds: float, pause: float) -> list[float]:
    """Milliseconds that each answer took, each connection waiting `pause` seconds before asking."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    taken: list[float] = []
    end = time.perf_counter() + seconds

    async def poll() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        await asyncio.sleep(random.random() * pause)
        while time.perf_counter() < end:
            sent = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 200"):
                raise RuntimeError(head.decode())
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            taken.append((time.perf_counter() - sent) * 1000)
            await asyncio.sleep(pause - (time.perf_counter() - sent))
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(poll() for _ in range(connections)))
    return taken


def first_frames(client: httpx.Client, talks: int) -> list[float]:
    """Seconds from sending a talk to the end of its first fragment."""
    source = client.post("/uploads", content=PORTRAIT.read_bytes()).json()["source"]
    told = {"text": SPOKEN, "language": "en"}
    talk = {"prompt": "a talk", "image_path": source, "audio_paths": {"person1": told}}
    taken = []
    for _ in range(WARM_TALKS + talks):
        sent = time.perf_counter()
        job = client.post(f"{TALK}/run", json={"input": talk}).json()["id"]
        with client.stream("GET", f"/videos/{job}/live.mp4") as answer:
            received = b""
            for chunk in answer.iter_raw():
                if b"mdat" not in received:
                    received += chunk
                    if b"mdat" in received:
                        taken.append(time.perf_counter() - sent)
        ended(client, job)
    return taken[WARM_TALKS:]


def percentile(values: list[float], hundredths: int) -> float:
    """A percentile, such as the 95th."""
    return quantiles(values, n=100, method="inclusive")[hundredths - 1]


def measure(jobs: int, connections: int, seconds: float, talks: int) -> None:
    """Print what was measured."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "data"
        with Served(data, "--rate", "0") as served, served.client() as client:
            while not client.get(f"{TALK}/health").json()["workers"]["ready"]:
                time.sleep(0.2)
            firsts = first_frames(client, talks)
            answers, delays = begin(client, jobs)
            job = client.post(f"{TALK}/run", json=FAILS_AT_ONCE).json()["id"]
            ended(client, job)
            path = f"{TALK}/status/{job}"
            polled = {
                name: asyncio.run(polls(served.url, path, connections, seconds, pause))
                for name, pause in (("every 0.5 s", 0.5), ("at once", 0.0))
            }
            served.end()
    print(f"load before: {load:.1f}")
    for name, values in (("answer of /run", answers), ("begin", delays)):
        print(f"{name}: median {median(values):.1f} ms, p95 {percentile(values, 95):.1f} ms")
    for name, taken in polled.items():
        print(
            f"polls, {name}: {len(taken) / seconds:.0f} a second over {connections} connections, "
            f"median {median(taken):.0f} ms, p99 {percentile(taken, 99):.0f} ms"
        )
    print(f"first frame: median {median(firsts):.2f} s, longest {max(firsts):.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--talks", type=int, default=7)
    options = parser.parse_args()
    measure(options.jobs, options.connections, options.seconds, options.talks)
