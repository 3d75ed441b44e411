"""The mark in the picture is found after what happens to videos, and is too weak to be seen."""

import io
from collections.abc import Callable
from fractions import Fraction
from functools import cache

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.watermark.detection import Finding
from multitalk.watermark.keys import Payload
from multitalk.watermark.picture import PictureDetector, PictureMark

Frames = NDArray[np.uint8]  # luma [T, H, W]
PAYLOAD = Payload(0, 2, 0xBEEF5)


@cache
def scene() -> Frames:
    """A picture of soft and sharp things in which something moves, 2 s of 512 x 512."""
    random = np.random.default_rng(5)
    noise = random.normal(0.0, 1.0, (512, 512)).astype(np.float32)
    ground = (
        120 + 900 * cv2.GaussianBlur(noise, (0, 0), 20) + 60 * cv2.GaussianBlur(noise, (0, 0), 2)
    )
    frames = np.repeat(np.clip(ground, 20, 235).astype(np.uint8)[None], 50, axis=0)
    for index, frame in enumerate(frames):
        center = (256 + int(20 * np.sin(index / 6)), 280 + int(8 * np.cos(index / 4)))
        cv2.ellipse(frame, center, (110, 150), 0, 0, 360, 170, -1, cv2.LINE_AA)
        cv2.ellipse(frame, center, (40, 12 + index % 9), 0, 0, 360, 60, -1, cv2.LINE_AA)
    return frames


@cache
def marked() -> Frames:
    """The scene with a mark, as the encoder of talks writes it."""
    frames = scene().copy()
    mark = PictureMark(PAYLOAD)
    for frame in frames:
        mark.apply(frame)
    return encoded(frames, crf=18)


def encoded(frames: Frames, crf: int) -> Frames:
    """H.264 and back."""
    file = io.BytesIO()
    height, width = frames.shape[1:]
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.options = {"preset": "veryfast", "crf": str(crf)}
        for index, frame in enumerate(frames):
            picture = av.VideoFrame(width, height, "yuv420p")
            _plane(picture, 0)[:] = frame
            _plane(picture, 1)[:] = _plane(picture, 2)[:] = 128
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        return np.stack([_plane(frame, 0) for frame in container.decode(video=0)])


def _plane(frame: av.VideoFrame, number: int) -> NDArray[np.uint8]:
    plane = frame.planes[number]
    pixels = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return pixels[: plane.height, : plane.width]


def resized(frames: Frames, side: int) -> Frames:
    size = (side, side)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def brightened(frames: Frames, factor: float) -> Frames:
    return np.minimum(frames * factor, 255).astype(np.uint8)


ATTACKS: dict[str, Callable[[Frames], Frames]] = {
    "nothing": lambda frames: frames,
    "crf 28": lambda frames: encoded(frames, 28),
    "crf 32": lambda frames: encoded(frames, 32),
    "480p": lambda frames: encoded(resized(frames, 480), 26),
    "half the size": lambda frames: encoded(resized(frames, 256), 26),
    "a crop by a tenth": lambda frames: encoded(frames[:, 26:486, 20:480], 26),
    "a fifth less light": lambda frames: encoded(brightened(frames, 0.8), 26),
    "a fifth more light": lambda frames: encoded(brightened(frames, 1.2), 26),
    "a cut to six frames": lambda frames: frames[20:26],
}


def find(frames: Frames, step: int = 5) -> Finding:
    detector = PictureDetector()
    for frame in frames[::step]:
        detector.add(np.ascontiguousarray(frame))
    return detector.find()


@cache
def found_after(attack: str) -> Finding:
    return find(ATTACKS[attack](marked()))


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_mark_is_found_after(attack: str) -> None:
    found = found_after(attack)
    assert found.is_marked, f"score {found.score:.1f}, chance {found.chance:.1e}"


@pytest.mark.parametrize("attack", ["nothing", "crf 28", "480p", "a crop by a tenth"])
def test_the_payload_is_read_after(attack: str) -> None:
    assert found_after(attack).payload == PAYLOAD


def test_nothing_is_found_without_a_mark() -> None:
    random = np.random.default_rng(1)
    for frames in (
        encoded(scene(), 18),
        random.integers(0, 256, (4, 300, 400), dtype=np.uint8),
        np.full((4, 300, 400), 128, np.uint8),
    ):
        assert not find(frames).is_marked
    assert not PictureDetector().find().is_marked


def test_the_mark_is_weaker_than_what_is_seen() -> None:
    frame = scene()[0].copy()
    PictureMark(PAYLOAD).apply(frame)
    before, after = scene()[0].astype(np.float32), frame.astype(np.float32)
    difference = after - before
    assert 0.3 < np.abs(difference).mean() < 2.0
    assert np.abs(difference).max() <= 4
    assert 10 * np.log10(255**2 / np.mean(difference**2)) >= 42
    assert _ssim(before, after) >= 0.99


def test_frames_of_another_size_are_marked_as_a_new_video() -> None:
    mark = PictureMark(PAYLOAD)
    for shape in ((360, 640), (640, 360), (360, 640)):
        frame = np.full(shape, 100, np.uint8)
        mark.apply(frame)
        assert (frame != 100).mean() > 0.2


def _ssim(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    """Wang et al., 2004, with their window."""

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float32)

    first, second = mean(one), mean(two)
    spread, other = mean(one * one) - first**2, mean(two * two) - second**2
    both = mean(one * two) - first * second
    low, high = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * first * second + low) * (2 * both + high)
    return float(np.mean(likeness / ((first**2 + second**2 + low) * (spread + other + high))))
