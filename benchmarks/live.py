"""What a live avatar costs, and how far its mouth is from that of the whole talk.

    python benchmarks/live.py [--portrait FILE] [--seconds 10] [--voices RECORDING ...]

All times are CPU times of this process: idle and speaking, as a share of one core at 25 frames a
second; and from a push to the frame that it completes, beyond the look-ahead. Then the correlation
of the lips' opening with `analyse_speech` for several look-aheads: of espeak-ng's voice, or of the
first ten seconds of recordings.
"""

import argparse
import asyncio
import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multitalk.live import Avatar
from multitalk.speech.live_visemes import LiveVisemes
from multitalk.speech.synthesis import synthesize
from multitalk.speech.visemes import analyse_speech
from multitalk.timebase import SAMPLES_PER_FRAME
from visemes import read_audio

PORTRAIT = Path(__file__).parent.parent / "examples" / "portrait.jpg"
SIZES = (512, 720)
AHEAD_MS = (0, 80, 160, 240, 400)
RATE = 16_000
SENTENCES = (
    ("en", "Michael", "Maybe my brother bought five purple umbrellas before the summer rain."),
    ("es", "aunty", "Mi amigo Pablo compra pan y fruta para su familia por la mañana."),
    ("ko", "f4", "안녕하세요, 봄에는 밖에서 밥을 먹고 바람을 맞으며 음악을 듣습니다."),
)


class FreeTime:
    """A clock that never waits: frames come as fast as they can be made."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        """Seconds."""
        return self.time

    async def wait(self, _: asyncio.Event, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds


def voice() -> NDArray[np.float32]:
    """Three sentences with a second of silence after each, whole frames."""
    pause = np.zeros(RATE, np.float32)
    parts = [
        part
        for language, speaker, text in SENTENCES
        for part in (synthesize(text, language=language, voice=speaker).resampled(RATE), pause)
    ]
    sound = np.concatenate(parts)
    return sound[: len(sound) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME]


async def frame_costs(
    avatar: Avatar, count: int, sound: NDArray[np.float32] | None = None
) -> list[float]:
    """CPU seconds of each frame; with sound, that of a microphone's 40 ms is pushed before each."""
    costs = []
    for index in range(count):
        started = time.process_time()
        if sound is not None:
            first = index * SAMPLES_PER_FRAME % len(sound)
            avatar.push_audio(sound[first : first + SAMPLES_PER_FRAME], RATE)
        await anext(avatar)
        costs.append(time.process_time() - started)
    return costs


def opening(sound: NDArray[np.float32], ahead: int) -> NDArray[np.float32]:
    """The lips' opening with `ahead` frames of future."""
    blocks = np.pad(sound, (0, ahead * SAMPLES_PER_FRAME)).reshape(-1, SAMPLES_PER_FRAME)
    visemes, found = LiveVisemes(), []
    for index, block in enumerate(blocks):
        visemes.append(block)
        if index >= ahead:
            found.append(visemes.frame(index - ahead).opening)
    return np.concatenate(found)


def print_agreement(voices: list[NDArray[np.float32]]) -> None:
    """Mean and least correlation with the whole talk's opening, and the openings' relative sum."""
    offline = [analyse_speech(sound).opening for sound in voices]
    for ahead_ms in AHEAD_MS:
        live = [opening(sound, ahead_ms // 40) for sound in voices]
        pairs = list(zip(live, offline, strict=True))
        alike = [np.corrcoef(ours, whole)[0, 1] for ours, whole in pairs]
        size = np.mean([ours.sum() / whole.sum() for ours, whole in pairs])
        print(
            f"ahead {ahead_ms} ms: r {np.mean(alike):.3f}, least {min(alike):.3f}, size {size:.3f}"
        )


def recorded(path: Path) -> NDArray[np.float32]:
    """The first ten seconds of a recording, whole frames."""
    sound = read_audio(path)[: 10 * RATE]
    return sound[: len(sound) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME]


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--portrait", type=Path, default=PORTRAIT)
    options.add_argument("--seconds", type=int, default=10)
    options.add_argument("--voices", type=Path, nargs="+", default=[])
    asked = options.parse_args()
    sound, count = voice(), 25 * asked.seconds
    print(f"load {os.getloadavg()[0]:.1f}")
    for size in SIZES:
        started = time.process_time()
        with Avatar(asked.portrait, size=size, clock=FreeTime()) as avatar:
            ready = time.process_time() - started
            idle = np.array(asyncio.run(frame_costs(avatar, count)))
            spoken = np.array(asyncio.run(frame_costs(avatar, count, sound)))
            print(
                f"{size}: ready after {ready:.2f} s; share of a core idle {25 * idle.mean():.2f}, "
                f"speaking {25 * spoken.mean():.2f}; push to frame, median "
                f"{1000 * np.median(spoken):.1f} ms, p95 {1000 * np.percentile(spoken, 95):.1f} ms"
            )
    print_agreement([recorded(path) for path in asked.voices] or [sound])


if __name__ == "__main__":
    main()
