"""Which index PyTorch is taken from."""

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from torch_index import index_option


class Index(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/whl/cpu/torch/" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_index_of_cpu_builds_is_taken_on_linux_where_it_answers(address: str) -> None:
    index = f"{address}/whl/cpu"
    assert index_option(index, system="Linux") == f"--extra-index-url {index}"
    assert index_option(index, system="Darwin") == ""


def test_pip_takes_what_it_finds_where_the_index_does_not_answer(address: str) -> None:
    assert index_option(f"{address}/nothing/here", system="Linux") == ""
    assert index_option("http://127.0.0.1:9", system="Linux") == ""
