"""A live session as a fragmented MP4 and as a recording: nothing is held back, nothing is lost."""

import gc
import io
import tracemalloc
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.media.live_encoder import LiveEncoder
from multitalk.media.live_mp4 import LiveFragments, LiveRecording, with_lengths
from multitalk.version import __version__
from multitalk.watermark.keys import Payload

COUNT = 60
SIZE = 96
KEYS = (0, 30)
MARKS = [None, Payload.of(__version__, "test")]


def picture(number: int) -> NDArray[np.uint8]:
    return np.full((SIZE, SIZE, 3), 4 * number, np.uint8)


def sound(number: int, rate: int) -> NDArray[np.int16]:
    """A tone of half a second, then silence."""
    times = (np.arange(rate // 25) + number * (rate // 25)) / rate
    return (8000 * np.sin(2 * np.pi * 440 * times) * (times < 0.5)).astype(np.int16)


def frames(rates: tuple[int, ...] = (16_000,)):
    """Each frame's arguments."""
    encoder = LiveEncoder(SIZE, SIZE)
    for number in range(COUNT):
        is_key = number in KEYS
        video = encoder.encode(picture(number), number, is_key=is_key)
        rate = rates[number * len(rates) // COUNT]
        yield video, sound(number, rate), rate, is_key


def levels(container: av.container.InputContainer) -> list[tuple[float, float]]:
    """Each picture's time and mean luma."""
    return [
        (float(frame.pts * frame.time_base), float(frame.to_ndarray(format="gray").mean()))
        for frame in container.decode(video=0)
    ]


def samples(data: bytes) -> NDArray[np.float32]:
    with av.open(io.BytesIO(data)) as container:
        return np.concatenate([part.to_ndarray()[0] for part in container.decode(audio=0)])


@pytest.mark.parametrize("mark", MARKS, ids=["plain", "marked"])
def test_each_piece_has_its_picture_at_its_time(mark: Payload | None) -> None:
    fragments, sent = LiveFragments(mark), b""
    for number, (video, pcm, rate, is_key) in enumerate(frames()):
        sent += fragments.add(video, pcm, rate, is_key=is_key)
        if number in (0, 1, 40):  # none waits for the next one
            with av.open(io.BytesIO(sent)) as container:
                assert len(levels(container)) == number + 1
    with av.open(io.BytesIO(sent)) as container:
        found = levels(container)
    assert [time for time, _ in found] == pytest.approx([0.04 * n for n in range(COUNT)], abs=1e-3)
    assert all(later > earlier for (_, earlier), (_, later) in pairwise(found))


def test_sound_is_in_step_with_the_picture_and_little_behind() -> None:
    fragments = LiveFragments(None)
    sent = b"".join(
        fragments.add(video, pcm, rate, is_key=is_key) for video, pcm, rate, is_key in frames()
    )
    heard = samples(sent)
    assert COUNT * 1920 - len(heard) <= 2048 + 1920
    loud = np.flatnonzero(np.abs(heard) > 0.1)
    assert loud[-1] / 48_000 == pytest.approx(0.5, abs=0.005)


def test_a_key_frame_can_be_decoded_by_itself() -> None:
    fragments, pieces = LiveFragments(None), []
    for video, pcm, rate, is_key in frames():
        pieces.append(fragments.add(video, pcm, rate, is_key=is_key))
    header = pieces[0][: pieces[0].index(b"moof") - 4]
    with av.open(io.BytesIO(header + b"".join(pieces[KEYS[1] :]))) as container:
        assert len(levels(container)) == COUNT - KEYS[1]


def test_later_pieces_need_no_more_memory_than_the_first() -> None:
    """Sound is added without end, and pictures; what is kept of them stays the same."""
    fragments, given = LiveFragments(MARKS[1]), list(frames((16_000, 48_000)))

    def add(rounds: int) -> int:
        for _ in range(rounds):
            for video, pcm, rate, is_key in given:
                fragments.add(video, pcm, rate, is_key=is_key)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = add(5)  # a quarter of a minute
        assert add(5) - first < 100_000  # bytes; the sound would be a million
    finally:
        tracemalloc.stop()


def test_start_codes_become_lengths() -> None:
    units = [b"\x67abc", b"\x68d", b"\x65" + b"\x00\x00\x03\x01" + b"e"]
    given = b"\0\0\0\1" + units[0] + b"\0\0\1" + units[1] + b"\0\0\0\1" + units[2]
    wanted = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
    assert with_lengths(given) == wanted


@pytest.mark.parametrize("mark", MARKS, ids=["plain", "marked"])
def test_a_recording_lasts_as_long_as_its_frames(mark: Payload | None, tmp_path: Path) -> None:
    """Whatever rates its sound had."""
    file = bytearray()

    def write(offset: int, content: bytes) -> None:
        file.extend(bytes(max(0, offset + len(content) - len(file))))
        file[offset : offset + len(content)] = content

    recording = LiveRecording(write, mark)
    for video, pcm, rate, is_key in frames((16_000, 24_000, 22_050)):
        recording.add(video, pcm, rate, is_key=is_key)
    recording.finish()
    assert recording.num_frames == COUNT
    with av.open(io.BytesIO(file)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        durations = [float(one.duration * one.time_base) for one in container.streams]
        assert durations == pytest.approx([COUNT / 25] * 2, abs=1e-3)
        assert len(levels(container)) == COUNT
    loud = np.flatnonzero(np.abs(samples(bytes(file))) > 0.1)
    assert loud[-1] / 48_000 == pytest.approx(0.5, abs=0.005)


def test_a_recording_without_frames_is_nothing() -> None:
    written: list[bytes] = []
    LiveRecording(lambda _, content: written.append(content), None).finish()
    assert written == []
