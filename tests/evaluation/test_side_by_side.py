"""Two videos beside each other."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from multitalk.errors import MediaUndecodable
from multitalk.evaluation import write_side_by_side
from multitalk.evaluation.side_by_side import frames_at_25
from multitalk.media.audio import read_sound
from multitalk.media.video import probe, read_frames
from multitalk.timebase import SAMPLE_RATE


def write_video(
    path: Path, levels: list[int], *, fps: str, size: tuple[int, int], tone: float | None
) -> Path:
    """Grey pictures of (height, width), and perhaps a tone of so many Hz, as long as they are."""
    height, width = size
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=Fraction(fps), options={"crf": "1"})
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        sound = container.add_stream("aac", rate=SAMPLE_RATE) if tone else None
        for level in levels:
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), level, np.uint8))
            container.mux(picture.encode(frame))
        container.mux(picture.encode())
        if sound is not None:
            times = np.arange(int(len(levels) / Fraction(fps) * SAMPLE_RATE)) / SAMPLE_RATE
            samples = (0.5 * np.sin(2 * np.pi * tone * times)).astype(np.float32)
            block = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
            block.sample_rate = SAMPLE_RATE
            container.mux(sound.encode(block))
            container.mux(sound.encode())
    return path


@pytest.mark.parametrize(
    ("fps", "shown"),
    [("50", [1, 3, 5, 7]), ("25", list(range(8))), ("25/2", sorted([*range(8), *range(8)]))],
)
def test_each_frame_of_25_is_what_is_seen_in_its_middle(
    tmp_path: Path, fps: str, shown: list[int]
) -> None:
    levels = list(range(20, 180, 20))
    video = write_video(tmp_path / "v.mp4", levels, fps=fps, size=(32, 32), tone=None)
    seen = [round((float(frame.mean()) - 20) / 20) for frame in frames_at_25(video)]
    assert seen == shown


def test_the_pictures_are_as_high_as_the_higher_and_as_long_as_the_shorter(tmp_path: Path) -> None:
    left = write_video(tmp_path / "l.mp4", [200] * 50, fps="50", size=(32, 64), tone=440)
    right = write_video(tmp_path / "r.mp4", [60] * 20, fps="25", size=(64, 32), tone=1000)
    output = tmp_path / "both.mp4"
    write_side_by_side(left, right, output)
    facts = probe(output)
    assert (facts.width, facts.height, facts.num_frames) == (128 + 32, 64, 20)
    last = list(read_frames(output))[-1].astype(float)
    assert last[:, :124].mean() == pytest.approx(200, abs=3)
    assert last[:, 132:].mean() == pytest.approx(60, abs=3)
    spectrum = np.abs(np.fft.rfft(read_sound(output)[: SAMPLE_RATE // 2]))
    assert spectrum.argmax() * 2 == pytest.approx(440, abs=4)


def test_a_left_video_without_sound_writes_nothing(tmp_path: Path) -> None:
    videos = [
        write_video(tmp_path / name, [9] * 5, fps="25", size=(32, 32), tone=None)
        for name in ("l.mp4", "r.mp4")
    ]
    with pytest.raises(MediaUndecodable):
        write_side_by_side(videos[0], videos[1], tmp_path / "both.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.mp4", "r.mp4"]
