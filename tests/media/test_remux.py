"""A fragmented MP4 made whole: the same frames and sound, an ordinary file with our label."""

from pathlib import Path

import numpy as np
import pytest
from made import sine, write_sound

from multitalk.errors import DeliveryFailed
from multitalk.media.audio import read_sound
from multitalk.media.label import read_label
from multitalk.media.remux import make_whole
from multitalk.media.soundtrack import Soundtrack, Voice
from multitalk.media.video import VideoWriter, probe, read_frames

NUM_FRAMES = 60


@pytest.fixture
def fragmented(tmp_path: Path) -> Path:
    """A talk of some fragments."""
    voice, path = tmp_path / "voice.wav", tmp_path / "fragmented.mp4"
    write_sound(voice, sine(NUM_FRAMES / 25, 16_000), 16_000)
    soundtrack = Soundtrack([Voice(voice)], num_frames=NUM_FRAMES)
    still = np.random.default_rng(0).integers(0, 190, (48, 64, 3), np.uint8)
    with VideoWriter(path, width=64, height=48, soundtrack=soundtrack, fragmented=True) as writer:
        writer.append(still + np.arange(NUM_FRAMES, dtype=np.uint8).reshape(-1, 1, 1, 1))
    return path


def test_frames_and_sound_stay_as_they_are(fragmented: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    make_whole(fragmented, whole)
    before, after = probe(fragmented), probe(whole)
    assert after.num_frames == before.num_frames == NUM_FRAMES
    assert after.duration == pytest.approx(NUM_FRAMES / 25, abs=0.03)
    for first, second in zip(read_frames(fragmented), read_frames(whole), strict=True):
        assert np.array_equal(first, second)
    assert np.array_equal(read_sound(fragmented), read_sound(whole))


def test_the_whole_file_has_its_index_first_and_our_label(fragmented: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    make_whole(fragmented, whole)
    content = whole.read_bytes()
    assert b"moof" not in content
    assert content.index(b"moov") < content.index(b"mdat")
    assert read_label(whole).digital_source_type is not None


def test_what_cannot_be_written_is_told_and_leaves_nothing(
    fragmented: Path, tmp_path: Path
) -> None:
    with pytest.raises(DeliveryFailed):
        make_whole(fragmented, tmp_path / "nowhere" / "whole.mp4")
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(b"no video")
    with pytest.raises(DeliveryFailed):
        make_whole(damaged, tmp_path / "whole.mp4")
    assert not (tmp_path / "whole.mp4").exists()
