"""The real server with its worker, and a real browser; skipped where either cannot run."""

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from patience import PATIENCE_SECONDS

sys.path.insert(0, str(Path(__file__).parent))

for needed in ("fastapi", "uvicorn", "prometheus_client", "espeakng_loader"):
    pytest.importorskip(needed, reason="the extras `serve` and `speech` are needed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Nothing of the browser's own goes out, no sound comes out; a microphone and a camera that beep.
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
BROWSER = pytest.StashKey[tuple[Any, ExitStack]]()  # its windows, and what closes it


@dataclass(frozen=True)
class ServedPage:
    """A server that runs: its address, and the directory of its data."""

    url: str
    data: Path


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    """`multitalk serve` as a user starts it."""
    yield from _serve(tmp_path_factory.mktemp("served"))


@pytest.fixture
def serve_at() -> Iterator[Callable[[Path], ServedPage]]:
    """Starts further servers, each with a directory of data that is there already."""
    with ExitStack() as started:
        yield lambda data: started.enter_context(contextmanager(_serve)(data))


def _serve(data: Path) -> Iterator[ServedPage]:
    command = [sys.executable, "-m", "multitalk", "serve", "--port", "0", "--data", str(data)]
    environ = {**os.environ, "MULTITALK_ENGINE": "warp", "MULTITALK_WORK_DIRECTORY": str(data)}
    with (data / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=log)
    try:
        url = _address(process)
        _wait_for_worker(url)
        yield ServedPage(url, data)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def _address(process: subprocess.Popen) -> str:
    """What the server says that its address is."""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        assert selector.select(PATIENCE_SECONDS), "the server says nothing"
    said = process.stdout.readline().decode()
    return re.search(r"http://[\d.]+:\d+", said)[0]


def _wait_for_worker(url: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        with urllib.request.urlopen(f"{url}/healthz", timeout=PATIENCE_SECONDS) as answer:
            if json.load(answer)["workers"]:
                return
        time.sleep(0.2)
    raise AssertionError("no worker came")


@pytest.fixture(scope="module")
def windows(pytestconfig: pytest.Config):
    """Windows of headless Chromium, which all modules share; `pytest_runtest_teardown` ends it."""
    from page import Windows

    if BROWSER not in pytestconfig.stash:
        with ExitStack() as opened:
            started = opened.enter_context(playwright.sync_playwright())
            own = Path(started.chromium.executable_path)
            found = next(filter(None, map(shutil.which, BROWSERS)), None)
            if found is None and not own.exists():
                pytest.skip("no Chromium: apt-get install chromium, or playwright install chromium")
            chromium = started.chromium.launch(executable_path=found or own, args=list(FLAGS))
            opened.callback(chromium.close)
            pytestconfig.stash[BROWSER] = Windows(chromium), opened.pop_all()
    return pytestconfig.stash[BROWSER][0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Close the browser where other tests follow: an event loop runs in its thread."""
    yield
    follows = nextitem is not None and Path(__file__).parent in nextitem.path.parents
    if not follows and BROWSER in item.config.stash:
        _, opened = item.config.stash[BROWSER]
        del item.config.stash[BROWSER]
        opened.close()


@pytest.fixture(scope="module")
def browser(windows):
    """Headless Chromium."""
    return windows.browser


@pytest.fixture
def visit(windows, served):
    """Opens the page as `page.Visit`, and closes it."""
    from page import Visit

    visits: list[Visit] = []

    def open_page(server: ServedPage = served, **options) -> Visit:
        visits.append(Visit(windows, server, is_lasting=server is served, **options))
        return visits[-1]

    yield open_page
    for one in visits:
        one.close()
