"""One key attacks the self-hosted server in every way at once: what another key has of it.

    python benchmarks/one_attacker.py              # about two minutes

`multitalk serve` as people start it, with two keys and one warp worker. The attacker is a process
apart, with a thread for each way: webhooks at a host that never answers; estimates of 160,000
characters and more, some hung up; pictures of thousands of empty scans, and of 49 million pixels;
sound with a cover of 256 million pixels; bodies of unknown fields and of empty objects; batches of
a hundred jobs; endless headers; connections that begin a request and stop. The other key requests
the status of a talk, uploads 1 MB and has talks made, before and meanwhile. Nothing is asserted.

The attacker runs on the same machine, but takes only CPU time that nobody else wants (nice 19), as
if it were elsewhere. `server` is the process that answers; `children` are those that it starts,
workers too.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
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
HANG_UP_SECONDS = 0.3
MEGABYTE = 2**20


def png(side: int, *, depth: int = 16) -> bytes:
    """A grey picture of one value: side x side, a thousandth of the bytes of its pixels."""
    row = b"\0" * (1 + side * depth // 8)
    packer, packed = zlib.compressobj(9), []
    for _ in range(side):
        packed.append(packer.compress(row))
    packed.append(packer.flush())

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", side, side, depth, 0, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", b"".join(packed)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def scanned_jpeg(side: int, scans: int) -> bytes:
    """A grey progressive picture whose scans say nothing and take a pass over all blocks each."""

    def segment(marker: int, data: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data

    blocks = ((side + 7) // 8) ** 2
    bits, left = "", blocks
    while left:
        run = min(left, 32767)
        length = run.bit_length() - 1
        bits += f"{length:04b}" + (f"{run - (1 << length):0{length}b}" if length else "")
        left -= run
    bits += "1" * (-len(bits) % 8)
    empty = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    scan = segment(0xDA, bytes([1, 1, 0, 1, 63, 0x0D])) + empty
    return b"".join(
        (
            b"\xff\xd8",
            segment(0xDB, b"\0" + b"\1" * 64),
            segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0])),
            segment(0xC4, bytes([0, 1, *[0] * 15, 0])),
            segment(0xC4, bytes([0x10, 0, 0, 0, 15, *[0] * 12, *(k << 4 for k in range(15))])),
            segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + b"\0" * (blocks // 8 + 1),
            scan * scans,
            b"\xff\xd9",
        )
    )


def covered_mp3(side: int) -> bytes:
    """Two seconds of silent MP3 with a cover of side x side pixels."""
    cover = b"\0image/png\0\3\0" + png(side)
    size = len(cover) + 10
    syncsafe = bytes((size >> shift) & 127 for shift in (21, 14, 7, 0))
    frame = b"\xff\xfb\x90\xc0" + b"\0" * 413
    head = b"ID3\3\0\0" + syncsafe + b"APIC" + struct.pack(">I", len(cover)) + b"\0\0" + cover
    return head + frame * 77


class Attacker:
    """What one key does to a server, each way in a thread, until the process is ended."""

    def __init__(self, url: str, key: str, tarpit: int) -> None:
        self.host, self.port = urlsplit(url).hostname, urlsplit(url).port
        self.tarpit = tarpit
        self.answers: Counter[str] = Counter()
        headers = {"Authorization": f"Bearer {key}"}
        self.client = httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60.0)
        self.authorization = headers["Authorization"]

    def run(self, ways: Sequence[str]) -> None:
        """Attack; never returns."""
        for way in ways:
            again = {"target": self._again, "args": (vars(Attacker)[f"by_{way}"],)}
            threading.Thread(**again, daemon=True).start()
        signal.pause()

    def _again(self, way: Callable[["Attacker"], Iterator[str]]) -> None:
        while True:
            with suppress(httpx.HTTPError, OSError):
                for answer in way(self):
                    self.answers[f"{way.__name__[3:]} {answer}"] += 1
            time.sleep(0.05)

    def _post(self, path: str, body: bytes, kind: str = "application/json") -> str:
        answer = self.client.post(path, content=body, headers={"Content-Type": kind})
        return str(answer.status_code)

    def _hang_up(self, path: str, body: bytes) -> str:
        with socket.create_connection((self.host, self.port)) as connection:
            head = (
                f"POST {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
                f"Authorization: {self.authorization}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
            time.sleep(HANG_UP_SECONDS)
        return "hung up"

    def by_webhooks(self) -> Iterator[str]:
        """Failed jobs whose webhooks nobody answers."""
        address = f"http://127.0.0.1:{self.tarpit}/"
        yield self._post(f"{TALK}/run", json.dumps({**FAILS_AT_ONCE, "webhook": address}).encode())

    def by_estimates(self) -> Iterator[str]:
        """Long texts whose lengths are asked for; one asker does not wait."""
        text = ("one two three four five six seven eight nine ten " * 200)[:5000]
        voices = {f"s{number}": [{"text": text}] * 32 for number in range(8)}
        given = {"prompt": "x", "image_path": "/x.jpg", "audio_paths": voices}
        yield self._hang_up(f"{TALK}/estimate", json.dumps({"input": given}).encode())
        voices = {"s": [{"text": text}] * 32}
        given = {"prompt": "x", "image_path": "/x.jpg", "audio_paths": voices}
        yield self._post(f"{TALK}/estimate", json.dumps({"input": given}).encode())

    def by_scans(self) -> Iterator[str]:
        """Pictures that cost a decoder a pass over all blocks for each few bytes."""
        picture = scanned_jpeg(7000, 190)
        yield self._hang_up("/faces", picture)
        yield self._post("/faces", scanned_jpeg(7000, 5000), "image/jpeg")

    def by_pixels(self) -> Iterator[str]:
        """49 million pixels in 95 kB."""
        picture = png(7000)
        for _ in range(20):
            yield self._post("/faces", picture, "image/png")

    def by_covers(self) -> Iterator[str]:
        """Sound with a cover of 256 million pixels."""
        answer = self.client.post("/uploads", content=covered_mp3(16_000))
        yield f"upload {answer.status_code}"
        source = answer.json().get("source", "none")
        voices = {"a": source}
        given = {"prompt": "x", "image_path": source, "audio_paths": voices}
        for path in ("estimate", "run"):
            yield self._post(f"{TALK}/{path}", json.dumps({"input": given}).encode())

    def by_fields(self) -> Iterator[str]:
        """A request of fields that do not exist."""
        given = {f"unknown_{number}": 1 for number in range(300_000)}
        yield self._post(f"{TALK}/estimate", json.dumps({"input": given}).encode())

    def by_values(self) -> Iterator[str]:
        """Bodies of three million values, and of values a hundred thousand deep."""
        body = b'{"input":[' + b"{}," * 3_000_000 + b"{}]}"
        yield self._post(f"{TALK}/run", body)
        yield self._post(f"{TALK}/run", b"[" * 100_000)

    def by_batches(self) -> Iterator[str]:
        """A hundred jobs at a time."""
        jobs = [FAILS_AT_ONCE] * 100
        yield self._post(f"{TALK}/batch", json.dumps({"jobs": jobs}).encode())

    def by_headers(self) -> Iterator[str]:
        """A header without an end."""
        with socket.create_connection((self.host, self.port)) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")
            for _ in range(100):
                connection.sendall(b"a" * MEGABYTE)
        yield "sent"

    def by_slowness(self) -> Iterator[str]:
        """Connections that begin a request and stop."""
        held = []
        for _ in range(1200):
            with suppress(OSError):
                held.append(socket.create_connection((self.host, self.port), timeout=3))
                held[-1].sendall(b"POST /v2/x/run HTTP/1.1\r\nHost: x\r\nX: a")
        yield f"held {len(held)}"
        time.sleep(20)
        for connection in held:
            connection.close()


WAYS = tuple(name[3:] for name in vars(Attacker) if name.startswith("by_"))


def attack(url: str, key: str, tarpit: int, ways: Sequence[str], told: str) -> None:
    """The attacker's process; writes down what it was answered when it is ended."""
    os.nice(19)
    attacker = Attacker(url, key, tarpit)

    def end(*_: object) -> None:
        Path(told).write_text(json.dumps(attacker.answers))
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    attacker.run(ways)


@contextmanager
def never_answering() -> Iterator[int]:
    """A port that accepts and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(500)
        held: list[socket.socket] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    held.append(listening.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]
        for connection in held:
            connection.close()


class Memory(threading.Thread):
    """The most memory that a process and its descendants hold, in MB, asked ten times a second."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.process = process
        self.most_alone = self.most_children = 0.0

    def run(self) -> None:
        """Ask until the process has ended."""
        while self.alone():
            self.most_alone = max(self.most_alone, self.alone())
            self.most_children = max(self.most_children, self._children(self.process))
            time.sleep(0.1)

    def alone(self) -> float:
        """Of the process itself, now."""
        return _resident(self.process)

    def _children(self, process: int) -> float:
        total = 0.0
        with suppress(OSError):
            for task in Path(f"/proc/{process}/task").iterdir():
                for child in (task / "children").read_text().split():
                    total += _resident(int(child)) + self._children(int(child))
        return total


def _resident(process: int) -> float:
    with suppress(OSError, IndexError):
        status = Path(f"/proc/{process}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024
    return 0.0


class Person:
    """The other key: what it is answered, and how fast, in milliseconds."""

    def __init__(self, url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self.client = httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=120.0)
        self.megabyte = PORTRAIT.read_bytes().ljust(MEGABYTE, b"\0")
        self.source = self.client.post("/uploads", content=PORTRAIT.read_bytes()).json()["source"]
        self.finished = self.talk()[0]

    def talk(self) -> tuple[str, float]:
        """A talk: its job, and the milliseconds that it waited for a worker."""
        voices = {"person1": {"text": "Hello.", "language": "en"}}
        given = {"prompt": "a talk", "image_path": self.source, "audio_paths": voices}
        job = self.client.post(f"{TALK}/run", json={"input": given}).json()["id"]
        while (reply := self._status(job))["status"] not in ("COMPLETED", "FAILED"):
            time.sleep(0.1)
        if reply["status"] != "COMPLETED":
            raise RuntimeError(reply)
        return job, reply["delayTime"]

    def _status(self, job: str) -> dict:
        answer = self.client.get(f"{TALK}/status/{job}?video=url")
        answer.raise_for_status()
        return answer.json()

    def use(self, seconds: float) -> dict[str, list[float]]:
        """Ask five times a second, upload every two seconds, have a talk made every five."""
        taken: dict[str, list[float]] = {"status": [], "upload of 1 MB": [], "job waits": []}
        end = time.perf_counter() + seconds
        talks = threading.Thread(target=self._talks, args=(end, taken["job waits"]))
        talks.start()
        while time.perf_counter() < end:
            sent = time.perf_counter()
            self._status(self.finished)
            taken["status"].append((time.perf_counter() - sent) * 1000)
            if len(taken["status"]) % 10 == 0:
                sent = time.perf_counter()
                self.client.post("/uploads", content=self.megabyte).raise_for_status()
                taken["upload of 1 MB"].append((time.perf_counter() - sent) * 1000)
            time.sleep(0.2)
        talks.join()
        return taken

    def _talks(self, end: float, waits: list[float]) -> None:
        while time.perf_counter() < end:
            waits.append(self.talk()[1])
            time.sleep(2.0 + random.random())


def said(taken: dict[str, list[float]]) -> str:
    """One line."""
    return "; ".join(
        f"{name}: {len(values)}, median {median(values):.0f} ms, "
        f"p99 {quantiles(values, n=100, method='inclusive')[98]:.0f} ms, most {max(values):.0f} ms"
        for name, values in taken.items()
        if len(values) > 1
    )


def key_of(data: Path, name: str) -> str:
    """A new key of a server's directory."""
    command = [sys.executable, "-m", "multitalk", "keys", "add", name]
    shown = subprocess.run(
        [*command, "--data", str(data)], capture_output=True, text=True, check=True
    )
    return next(word for word in shown.stdout.split() if len(word) > 30)


def measure(seconds: float, ways: Sequence[str]) -> None:
    """Print what was measured."""
    print(f"load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as directory, never_answering() as tarpit:
        data = Path(directory) / "data"
        keys = [key_of(data, name) for name in ("attacker", "person")]
        with Served(data) as served:
            person = Person(served.url, keys[1])
            memory = Memory(served.process.pid)
            memory.start()
            print("alone:", said(person.use(seconds / 3)))
            before, alone = memory.alone(), memory.most_alone
            told = str(Path(directory) / "told")
            attacker = multiprocessing.get_context("spawn").Process(
                target=attack, args=(served.url, keys[0], tarpit, ways, told)
            )
            attacker.start()
            time.sleep(2.0)
            print("attacked:", said(person.use(seconds)))
            attacker.terminate()
            attacker.join()
            time.sleep(10.0)
            after = memory.alone()
            sent = time.perf_counter()
            served.end()
            print(
                f"server: {before:.0f} MB before (most {alone:.0f}), most {memory.most_alone:.0f} "
                f"MB, {after:.0f} MB 10 s after; children: most {memory.most_children:.0f} MB; "
                f"SIGTERM: {time.perf_counter() - sent:.1f} s"
            )
            failures = [line for line in served.lines if "Traceback" in line]
            print(f"tracebacks in the log: {len(failures)}", *failures[:3], sep="\n")
            print("attacker's answers:", json.loads(Path(told).read_text()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    options = parser.parse_args()
    measure(options.seconds, options.ways)
