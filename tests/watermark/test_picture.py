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

from multitalk.provenance.marks import planes_to_look_at
from multitalk.watermark.detection import Finding
from multitalk.watermark.keys import Payload
from multitalk.watermark.picture import PictureDetector, PictureMark, size_to_look_at

Frames = NDArray[np.uint8]  # RGB [T, H, W, 3]
PAYLOAD = Payload(0, 2, 0xBEEF5)


@cache
def scene() -> Frames:
    """A picture of soft and sharp coloured things in which something moves, 0.8 s of 512 x 512."""
    random = np.random.default_rng(5)
    noise = random.normal(0.0, 1.0, (512, 512, 3)).astype(np.float32)
    wide = cv2.GaussianBlur(noise, (0, 0), 20)
    detail = cv2.GaussianBlur(noise[..., 0], (0, 0), 2)[..., None]
    ground = 120 + 900 * wide + 60 * detail
    frames = np.repeat(np.clip(ground, 20, 235).astype(np.uint8)[None], 20, axis=0)
    for index, frame in enumerate(frames):
        center = (256 + int(20 * np.sin(index / 6)), 280 + int(8 * np.cos(index / 4)))
        cv2.ellipse(frame, center, (110, 150), 0, 0, 360, (230, 180, 150), -1, cv2.LINE_AA)
        cv2.ellipse(frame, center, (40, 12 + index % 9), 0, 0, 360, (90, 30, 40), -1, cv2.LINE_AA)
    return frames


@cache
def marked() -> Frames:
    """The scene with a mark, as the encoder of talks writes it."""
    return encoded(scene(), crf=18, mark=PictureMark(PAYLOAD))


def encoded(frames: Frames, crf: int, mark: PictureMark | None = None) -> Frames:
    """H.264 and back."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.options = {"preset": "veryfast", "crf": str(crf)}
        for index, frame in enumerate(frames):
            picture = _frame(frame).reformat(format="yuv420p")
            if mark is not None:
                mark.apply(_plane(picture, 1))
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def _frame(pixels: NDArray[np.uint8]) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")


def _plane(frame: av.VideoFrame, number: int) -> NDArray[np.uint8]:
    plane = frame.planes[number]
    pixels = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return pixels[: plane.height, : plane.width]


def resized(frames: Frames, side: int) -> Frames:
    size = (side, side)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def brightened(frames: Frames, factor: float) -> Frames:
    return np.minimum(np.arange(256) * factor, 255).astype(np.uint8)[frames]


def framed(frames: Frames) -> Frames:
    """In the middle of a black picture of 9:16."""
    return np.pad(frames, ((0, 0), (200, 200), (0, 0), (0, 0)))


ATTACKS: dict[str, Callable[[Frames], Frames]] = {
    "nothing": lambda frames: frames,
    "crf 28": lambda frames: encoded(frames, 28),
    "crf 32": lambda frames: encoded(frames, 32),
    "480p": lambda frames: encoded(resized(frames, 480), 26),
    "half the size": lambda frames: encoded(resized(frames, 256), 26),
    "a crop by a tenth": lambda frames: encoded(frames[:, 26:486, 20:480], 26),
    "a crop by a fourth": lambda frames: frames[:, 60:444, 80:464],
    "a fifth less light": lambda frames: encoded(brightened(frames, 0.8), 26),
    "a fifth more light": lambda frames: encoded(brightened(frames, 1.2), 26),
    "a mirror": lambda frames: encoded(frames[:, :, ::-1], 26),
    "a mirror and a crop by a tenth": lambda frames: frames[:, 26:486, 480:20:-1],
    "a frame of 9:16": lambda frames: encoded(framed(frames), 26),
    "a cut to two frames": lambda frames: frames[10:15],
}


def find(frames: Frames, step: int = 4) -> Finding:
    detector = PictureDetector()
    for frame in frames[::step]:
        detector.add(*planes_to_look_at(_frame(frame)))
    return detector.find()


@cache
def found_after(attack: str) -> Finding:
    return find(ATTACKS[attack](marked()))


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_mark_is_found_after(attack: str) -> None:
    found = found_after(attack)
    assert found.is_marked, f"score {found.score:.1f}, chance {found.chance:.1e}"


@pytest.mark.parametrize("attack", ["nothing", "crf 28", "480p", "a crop by a tenth", "a mirror"])
def test_the_payload_is_read_after(attack: str) -> None:
    assert found_after(attack).payload == PAYLOAD


def test_nothing_is_found_without_a_mark() -> None:
    random = np.random.default_rng(1)
    for frames in (
        encoded(scene(), 18),
        random.integers(0, 256, (4, 300, 400, 3), dtype=np.uint8),
        np.full((4, 300, 400, 3), 128, np.uint8),
    ):
        assert not find(frames).is_marked
    assert not PictureDetector().find().is_marked


def test_the_mark_is_the_smallest_step_of_one_plane() -> None:
    before = np.random.default_rng(2).integers(0, 256, (240, 320), dtype=np.uint8)
    after = before.copy()
    PictureMark(PAYLOAD).apply(after)
    difference = after.astype(int) - before
    is_free = (before > 0) & (before < 255)
    assert set(np.unique(difference[is_free])) == {-1, 1}
    assert abs(difference[is_free].mean()) < 0.2
    assert np.abs(difference).max() == 1


def test_the_mark_does_not_change_in_time() -> None:
    mark = PictureMark(PAYLOAD)
    first, second = np.full((64, 64), 100, np.uint8), np.full((64, 64), 100, np.uint8)
    mark.apply(first)
    mark.apply(second)
    np.testing.assert_array_equal(first, second)


def test_frames_of_another_size_are_marked_as_a_new_video() -> None:
    mark = PictureMark(PAYLOAD)
    for shape in ((180, 320), (320, 180), (180, 320), (1, 1)):
        plane = np.full(shape, 100, np.uint8)
        mark.apply(plane)
        assert (plane != 100).all()


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(512, 512, (256, 256)), (1, 1, (256, 256)), (1920, 1080, (455, 256)), (9000, 2, (2048, 1))],
)
def test_a_picture_of_any_size_is_looked_at_in_a_bounded_one(
    width: int, height: int, size: tuple[int, int]
) -> None:
    assert size_to_look_at(width, height) == size
