"""Whether a live session lasts: in real time in a browser, and its memory after an hour.

    python benchmarks/live_soak.py [--minutes 15] [--size 512]
    python benchmarks/live_soak.py --memory [--minutes 60]

The first opens the live page as benchmarks/live_browser.py does, speaks into it for so long, and
prints pictures a second, delay and how far sound is from picture, for each minute. The second runs
a session's own parts, the avatar, the encoder, recordings and pieces of MP4, in this process at a
clock that never waits, with interruptions and stalls, and prints its memory; a small picture in
`draft`, so that an hour takes some ten minutes.
"""

import argparse
import asyncio
import os
import statistics
import time
from pathlib import Path

from live import PORTRAIT, FreeTime, voice
from live_browser import live_page, measure, spread
from multitalk.live import Avatar
from multitalk.media.live_encoder import LiveEncoder
from multitalk.media.live_mp4 import LiveFragments, LiveRecording
from multitalk.timebase import FPS, SAMPLES_PER_FRAME
from multitalk.version import __version__
from multitalk.watermark.keys import Payload

MINUTE = 60
SMALL = 192  # pixels
RATE = 16_000
TURN_FRAMES, SPEAKING_SHARE = 10 * FPS, 0.4  # speech and pause take turns
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") / 1024


def soak(minutes: int, size: int) -> None:
    """Print a row for each minute in real time, and the drift from the first to the last."""
    print("| minute | pictures/s | repeated | sent to painted, ms | sound after picture | load |")
    print("| --- | --- | --- | --- | --- | --- |")
    offsets = []
    with live_page(size) as page:
        for minute in range(1, minutes + 1):
            found = measure(page, "speak", MINUTE)
            offsets.append(statistics.median(found.sound_after_picture))
            print(
                f"| {minute} | {found.pictures_per_second:.2f} | {found.repeated} "
                f"| {spread(found.painted)} | {spread(found.sound_after_picture)} "
                f"| {os.getloadavg()[0]:.1f} |",
                flush=True,
            )
    print(f"drift of sound against picture: {offsets[-1] - offsets[0]:+.0f} ms")


def resident_kib() -> float:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_KIB


async def run_hour(minutes: int) -> None:
    """Print the memory after each five minutes of frames."""
    sound = voice()
    payload = Payload.of(__version__, "soak")
    began, size, first = time.process_time(), 0, 0.0
    recording, fragments = LiveRecording(lambda *_: None, payload), LiveFragments(payload)
    with Avatar(PORTRAIT, size=SMALL, quality="draft", clock=FreeTime()) as avatar:
        encoder = LiveEncoder(avatar.width, avatar.height, payload)
        for number in range(minutes * MINUTE * FPS):
            if number % TURN_FRAMES < SPEAKING_SHARE * TURN_FRAMES:
                start = number * SAMPLES_PER_FRAME % len(sound)
                avatar.push_audio(sound[start : start + SAMPLES_PER_FRAME], RATE)
            elif number % (3 * TURN_FRAMES) == SPEAKING_SHARE * TURN_FRAMES:
                avatar.interrupt()
            elif number % (5 * TURN_FRAMES) == TURN_FRAMES - FPS:
                avatar.push_audio(sound[: 2 * RATE], RATE)  # as after a stall
            frame = await anext(avatar)
            is_key = number % (10 * FPS) == 0
            video = encoder.encode(frame.image, number, is_key=is_key)
            recording.add(video, frame.pcm, frame.rate, is_key=is_key)
            fragments.add(video, frame.pcm, frame.rate, is_key=is_key)
            size += len(video)
            if (number + 1) % (10 * MINUTE * FPS) == 0:  # recordings end after ten minutes
                recording.finish()
                recording = LiveRecording(lambda *_: None, payload)
            if (number + 1) % (5 * MINUTE * FPS) == 0:
                first = first or resident_kib()
                print(
                    f"{(number + 1) // (MINUTE * FPS)} min: {resident_kib() / 1024:.1f} MiB, "
                    f"{resident_kib() / first - 1:+.1%}; {8 * size / (number + 1) * FPS / 1e6:.2f} "
                    f"Mbit/s, CPU {time.process_time() - began:.0f} s",
                    flush=True,
                )


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--memory", action="store_true", help="an hour at a clock without waiting")
    parser.add_argument("--minutes", type=int, default=None, help="15; with --memory 60")
    parser.add_argument("--size", type=int, default=512, help="of the picture, in real time")
    arguments = parser.parse_args()
    if arguments.memory:
        asyncio.run(run_hour(arguments.minutes or 60))
    else:
        soak(arguments.minutes or 15, arguments.size)


if __name__ == "__main__":
    main()
