"""A speech service on loopback, as OpenAI-compatible ones are, or as broken as told."""

import io
import json
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

SAMPLE_RATE = 24_000
SECONDS_PER_CHARACTER = 0.05
VOICES = ["af_sky", "bm_george", "narrator"]


@dataclass
class SpeechRequest:
    """One request: its line, headers in lower case, and body."""

    line: str
    headers: dict[str, str]
    body: dict


@dataclass
class SpeechStandIn:
    """A service that runs; `requests` is what it was asked so far."""

    url: str
    requests: list[SpeechRequest] = field(default_factory=list)


Answer = Callable[[BaseHTTPRequestHandler, SpeechRequest], None]


def tone(seconds: float, *, sample_rate: int = SAMPLE_RATE, size: float = 4000.0) -> bytes:
    """A WAV file of a hum that pauses for the fourth quarter of each second."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    hum = sum(np.sin(2 * np.pi * 140 * n * time) / n for n in range(1, 9))
    pcm = (size * hum * (time % 1 < 0.75)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(sample_rate)
        wav.writeframes(pcm.tobytes())
    return file.getvalue()


def send(
    handler: BaseHTTPRequestHandler, status: int, content: bytes = b"", **headers: str
) -> None:
    """A whole answer; names of headers have `_` for `-`."""
    handler.send_response(status)
    for name, value in {"Content_Length": str(len(content)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


def speaking(handler: BaseHTTPRequestHandler, asked: SpeechRequest) -> None:
    """What a service does that is well: in pieces, of a length that it does not know before."""
    if asked.line.startswith("GET"):
        send(handler, 200, json.dumps({"voices": VOICES}).encode())
        return
    sound = tone(len(asked.body["input"]) * SECONDS_PER_CHARACTER / asked.body["speed"])
    handler.send_response(200)
    handler.send_header("Content-Type", "audio/wav")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for start in range(0, len(sound), 5000):
        piece = sound[start : start + 5000]
        handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    handler.wfile.write(b"0\r\n\r\n")


@contextmanager
def speech_service(answer: Answer = speaking) -> Iterator[SpeechStandIn]:
    """A service that answers every request by `answer`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            content = self.rfile.read(length)
            asked = SpeechRequest(
                self.requestline,
                {name.lower(): value for name, value in self.headers.items()},
                json.loads(content) if content else {},
            )
            service.requests.append(asked)
            self.close_connection = True
            answer(self, asked)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Whoever asked may hang up at any time."""

    with Server(("127.0.0.1", 0), Handler) as server:
        service = SpeechStandIn(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
