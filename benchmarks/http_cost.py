"""What a request costs the self-hosted server: CPU time of its process, of two versions in turn.

    python benchmarks/http_cost.py                 # this tree; half a minute
    python benchmarks/http_cost.py /other/src src  # another one and this one, round by round

Each server has no worker and one waiting job. Requests come one after the other over one
connection, then over 50 at once. The figure is the median of the rounds, in microseconds, so that a
busy machine changes it little. Nothing is asserted.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import httpx

from talks import ROOT

TALK = "/v2/talk"
JOB = {
    "prompt": "a person talks",
    "image_path": "https://example.com/a.jpg",
    "audio_paths": {"person1": {"text": "Hello."}},
}
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")
ALONE, CONNECTIONS, EACH = 200, 50, 6


class Server:
    """`multitalk serve` of a source tree, with one job that waits."""

    def __init__(self, source: Path, stack: ExitStack) -> None:
        data = stack.enter_context(tempfile.TemporaryDirectory())
        command = [sys.executable, "-m", "multitalk", "serve", "--port", "0", "--workers", "0"]
        self.process = stack.enter_context(
            subprocess.Popen(
                [*command, "--rate", "0", "--data", f"{data}/server"],
                env={**os.environ, "PYTHONPATH": str(source)},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        stack.callback(self.process.send_signal, signal.SIGTERM)
        self.port = int(ADDRESS.search(self.process.stdout.readline())[1])
        base = f"http://127.0.0.1:{self.port}"
        self.client = stack.enter_context(httpx.Client(base_url=base, trust_env=False))
        self.job = self.client.post(f"{TALK}/run", json={"input": JOB}).raise_for_status().json()

    def requests(self) -> dict[str, bytes]:
        """What is sent, by the name of its row."""
        body = json.dumps({"input": JOB}).encode()
        host = f" HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
        posted = f"{host}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return {
            "/health": f"GET {TALK}/health{host}\r\n".encode(),
            "/status": f"GET {TALK}/status/{self.job['id']}{host}\r\n".encode(),
            "/run": f"POST {TALK}/run{posted}\r\n".encode() + body,
        }

    def cpu_seconds(self) -> float:
        """CPU time of all its threads so far."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def cost(self, request: bytes, connections: int, each: int) -> float:
        """Microseconds of CPU time for one of these requests."""
        before = self.cpu_seconds()
        asyncio.run(ask(self.port, request, connections, each))
        return (self.cpu_seconds() - before) / (connections * each) * 1e6


async def ask(port: int, request: bytes, connections: int, each: int) -> None:
    """Send a request again and again, over so many connections at once."""

    async def repeat() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(each):
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 200"):
                raise RuntimeError(head.decode())
            await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(repeat() for _ in range(connections)))


def measure(sources: list[Path], rounds: int) -> None:
    """Print a row for each request, with a figure for each source tree."""
    costs: dict[str, list[list[float]]] = defaultdict(lambda: [[] for _ in sources])
    with ExitStack() as stack:
        servers = [Server(source, stack) for source in sources]
        for _ in range(rounds):
            for name in servers[0].requests():
                for column, server in enumerate(servers):
                    request = server.requests()[name]
                    costs[name][column].append(server.cost(request, 1, ALONE))
                    at_once = server.cost(request, CONNECTIONS, EACH)
                    costs[f"{name}, {CONNECTIONS} at once"][column].append(at_once)
    for name, columns in costs.items():
        figures = " | ".join(f"{median(values):.0f}" for values in columns)
        print(f"| {name} | {figures} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="*", type=Path, default=[ROOT / "src"])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    measure(options.sources, options.rounds)
