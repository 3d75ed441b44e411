"""The live page in headless Chromium: delays up to the painted pixel and the heard sound.

    python benchmarks/live_browser.py [--size 512] [--seconds 60] [--mp4]

It starts `multitalk serve`, opens the page and sends sound by the page's own WebSocket: bursts, as
a synthesizer's, then packets of 20 ms, as a microphone's. Clicks in the sound come back as clicks,
and as a white square in the picture, which the server's sessions paint for this benchmark only
(`live_marks`). A picture counts as painted when the browser has taken it for its next screen, a
sound as heard when the sound card plays it (`getOutputTimestamp`). What a network, a screen and
the capture of a microphone add is not in it. Needs playwright and Chromium.
"""

import argparse
import os
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from live_serving import MARKS, served

FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_MS = 60_000
LONGEST_MS = 1_000  # between a cause and its effect

Times = Sequence[float]


def delays(causes: Times, effects: Times) -> list[float]:
    """Milliseconds from each cause to the first effect after it, where there is one in time."""
    found = []
    for cause in causes:
        after = next((effect for effect in effects if effect > cause), None)
        if after is not None and after - cause < LONGEST_MS:
            found.append(after - cause)
    return found


def onsets(painted: Sequence[Mapping[str, Any]], mark: str, *, to: bool) -> list[float]:
    """When a mark changed to white or to black on the canvas."""
    return [
        now["time"]
        for before, now in pairwise(painted)
        if now[mark] is to and before[mark] is not to
    ]


def offsets(heard: Times, shown: Times) -> list[float]:
    """Sound after picture: milliseconds from each flash to the click nearest to it."""
    pairs = [(min(heard, key=lambda click: abs(click - flash)), flash) for flash in shown if heard]
    return [click - flash for click, flash in pairs if abs(click - flash) < LONGEST_MS / 2]


def spread(values: Times) -> str:
    """Median, 95th percentile and count."""
    if not values:
        return "none"
    ordered = sorted(values)
    p5, p95 = (ordered[round(share * (len(ordered) - 1))] for share in (0.05, 0.95))
    return f"{statistics.median(ordered):.0f} (5 %: {p5:.0f}, 95 %: {p95:.0f}, {len(ordered)})"


@dataclass(frozen=True)
class Figures:
    """What one scenario showed; times in milliseconds."""

    received: list[float]
    painted: list[float]
    heard: list[float]
    sound_after_picture: list[float]
    shut: list[float]
    silent: list[float]
    pictures_per_second: float
    cores: float
    repeated: int
    sound_card: float
    sent: int


def measure(page: Page, kind: str, seconds: float) -> Figures:
    """Run one scenario of watch.js, `synthesize` or `speak`."""
    page.evaluate("takeMarks()")
    sent = page.evaluate(f"{kind}({seconds})")
    marks = page.evaluate("takeMarks()")
    flashes = onsets(marks["painted"], "click", to=True)
    times = [one["time"] for one in marks["painted"]]
    first, last = marks["stats"][0], marks["stats"][-1]
    return Figures(
        received=delays(sent["sent"], marks["received"]),
        painted=delays(sent["sent"], flashes),
        heard=delays(sent["sent"], marks["clicks"]),
        sound_after_picture=offsets(marks["clicks"], flashes),
        shut=delays(sent["interrupted"], onsets(marks["painted"], "open", to=False)),
        silent=delays(sent["interrupted"], marks["silent"]),
        pictures_per_second=1000 * (len(times) - 1) / (times[-1] - times[0]),
        cores=(last["cpu"] - first["cpu"]) / (len(marks["stats"]) - 1),
        repeated=last["repeated"] - first["repeated"],
        sound_card=1000 * marks["latency"],
        sent=len(sent["sent"]),
    )


def print_figures(kind: str, found: Figures) -> None:
    """A line for each kind of delay."""
    print(f"{kind}, load {os.getloadavg()[0]:.1f}, sound card {found.sound_card:.0f} ms")
    print(f"  sent to received: {spread(found.received)} ms")
    print(f"  sent to painted: {spread(found.painted)} ms")
    print(f"  sent to heard: {spread(found.heard)} ms")
    print(f"  sound after picture: {spread(found.sound_after_picture)} ms")
    if found.shut:
        print(f"  interrupt to shut mouth: {spread(found.shut)} ms")
        print(f"  interrupt to silence: {spread(found.silent)} ms")
    print(
        f"  pictures/s {found.pictures_per_second:.2f}, {found.repeated} repeated; of {found.sent} "
        f"marks {len(found.painted)} seen, {len(found.heard)} heard; {found.cores:.2f} cores",
        flush=True,
    )


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """A headless Chromium, which ends with the context."""
    with sync_playwright() as started:
        own = Path(started.chromium.executable_path)
        found = next(filter(None, map(shutil.which, BROWSERS)), own)
        browser = started.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def live_page(size: int, *, is_mp4: bool = False) -> Iterator[Page]:
    """The live page of a server of its own, its session begun; both end with the context."""
    watch = (MARKS / "watch.js").read_text()
    with served(marks=True) as url, opened_browser() as browser:
        context = browser.new_context(bypass_csp=True, viewport={"width": 1000, "height": 800})
        page = context.new_page()
        page.add_init_script(watch)
        if is_mp4:
            page.add_init_script("delete window.VideoDecoder")
        page.goto(f"{url}/live.html")
        page.select_option("#size", str(size))
        page.click("#start")
        page.wait_for_function("!document.getElementById('say').disabled", timeout=START_MS)
        if is_mp4:
            page.evaluate("watchVideo()")
        tapped = "true" if is_mp4 else "marks.audio.tap"
        page.wait_for_function(f"{tapped} && marks.painted.length > 50", timeout=START_MS)
        yield page


def main() -> None:
    """Start a server and a browser, measure, stop both."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seconds", type=int, default=60, help="for each of the two")
    parser.add_argument(
        "--mp4", action="store_true", help="as a browser without WebCodecs; sound is not noted"
    )
    arguments = parser.parse_args()
    with live_page(arguments.size, is_mp4=arguments.mp4) as page:
        for kind in ("synthesize", "speak"):
            print_figures(kind, measure(page, kind, arguments.seconds))


if __name__ == "__main__":
    main()
