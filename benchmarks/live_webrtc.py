"""A live session over WebRTC in headless Chromium: how far sound is from picture, and the delays.

    python benchmarks/live_webrtc.py [--size 512] [--seconds 40]

It starts `multitalk serve`, connects a peer from a page of it, and speaks by a microphone that Web
Audio makes. Sound after picture is by the browser's own account: it estimates when, by the sender's
clock, what is played now was captured (`estimatedPlayoutTimestamp`, from RTP times and RTCP sender
reports). Buffers are the browser's jitter buffers, over the last second. Packet to painted is from
a click in the microphone to the white square that the server's sessions paint for this benchmark
only (`live_marks`). Needs aiortc, playwright and Chromium.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from live_browser import delays, onsets, opened_browser, spread
from live_serving import MARKS, served

SCRIPT = (MARKS / "webrtc.js").read_text()
SETTLE_SECONDS = 10  # until the browser has its buffers and the sender's clocks


def per_second(stats: Sequence[Mapping[str, Any]], kind: str) -> list[float]:
    """Delay in a jitter buffer, milliseconds, of each second."""
    found = []
    for before, now in pairwise([one[kind] for one in stats]):
        emitted = now["jitterBufferEmittedCount"] - before["jitterBufferEmittedCount"]
        if emitted:
            found.append(1000 * (now["jitterBufferDelay"] - before["jitterBufferDelay"]) / emitted)
    return found


def main() -> None:
    """Start a server and a browser, measure, stop both."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seconds", type=int, default=40)
    arguments = parser.parse_args()
    with served(marks=True) as url, opened_browser() as browser:
        page = browser.new_context(bypass_csp=True).new_page()
        page.goto(f"{url}/live.html")
        page.evaluate(SCRIPT)
        page.evaluate(f"connect({arguments.size})")
        page.evaluate(f"speak({SETTLE_SECONDS})")
        page.evaluate("takeMarks()")
        sent = page.evaluate(f"speak({arguments.seconds})")
        marks = page.evaluate("takeMarks()")
    stats = marks["stats"]
    offsets = [
        one["video"]["estimatedPlayoutTimestamp"] - one["audio"]["estimatedPlayoutTimestamp"]
        for one in stats
        if all(one[kind].get("estimatedPlayoutTimestamp") for kind in ("audio", "video"))
    ]
    flashes = onsets(marks["painted"], "click", to=True)
    times = [one["time"] for one in marks["painted"]]
    rate = 1000 * (len(times) - 1) / (times[-1] - times[0])
    print(f"load {os.getloadavg()[0]:.1f}, {arguments.size} pixels, {len(sent)} clicks")
    print(f"  sound after picture, by RTP and RTCP: {spread(offsets)} ms")
    print(f"  microphone's click to painted: {spread(delays(sent, flashes))} ms")
    print(f"  the same, to heard: {spread(delays(sent, marks['clicks']))} ms")
    for kind in ("audio", "video"):
        print(f"  {kind}'s jitter buffer: {spread(per_second(stats, kind))} ms")
    print(f"  pictures/s {rate:.2f}")


if __name__ == "__main__":
    main()
