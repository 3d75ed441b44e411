"""Fragments of a video that is being encoded: joined, they are the video that is kept."""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from made import sine, write_sound

from multitalk.media.audio import read_sound
from multitalk.media.fragments import Fragment
from multitalk.media.label import read_label
from multitalk.media.soundtrack import Soundtrack, SoundtrackVoice
from multitalk.media.video import VideoWriter, probe, read_frames
from patience import wait_until

NUM_FRAMES = 90  # three seconds and a half


class Written(NamedTuple):
    """Fragments, all of them joined in a file, and the whole video beside them."""

    fragments: list[Fragment]
    joined: Path
    whole: Path


def frames(count: int) -> np.ndarray:
    """A picture that grows brighter, too rich for a few bytes."""
    still = np.random.default_rng(0).integers(0, 100, (48, 64, 3), np.uint8)
    return still + np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)


def content_of(fragments: Iterable[Fragment]) -> bytes:
    return b"".join(fragment.content for fragment in fragments)


def writer_of(path: Path | None, voice: Path, fragments: list[Fragment]) -> VideoWriter:
    write_sound(voice, sine(NUM_FRAMES / 25, 16_000), 16_000)
    soundtrack = Soundtrack([SoundtrackVoice(voice)], num_frames=NUM_FRAMES)
    return VideoWriter(
        path, width=64, height=48, soundtrack=soundtrack, on_fragment=fragments.append
    )


@pytest.fixture
def written(tmp_path: Path) -> Written:
    fragments: list[Fragment] = []
    whole, joined = tmp_path / "talk.mp4", tmp_path / "joined.mp4"
    with writer_of(whole, tmp_path / "voice.wav", fragments) as writer:
        for chunk in np.array_split(frames(NUM_FRAMES), 18):
            writer.append(chunk)
    joined.write_bytes(content_of(fragments))
    return Written(fragments, joined, whole)


def test_fragments_have_their_frames(written: Written) -> None:
    assert [fragment.num_frames for fragment in written.fragments] == [9, 16, 25, 25, 15]
    assert [fragment.first for fragment in written.fragments] == [0, 9, 25, 50, 75]


def test_the_whole_video_has_the_frames_and_the_sound_of_the_fragments(written: Written) -> None:
    for first, second in zip(read_frames(written.joined), read_frames(written.whole), strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(read_sound(written.joined), read_sound(written.whole))
    assert probe(written.whole).num_frames == NUM_FRAMES
    assert probe(written.whole).duration == NUM_FRAMES / 25


def test_the_whole_video_has_its_index_first_and_its_label(written: Written) -> None:
    content = written.whole.read_bytes()
    assert b"moof" not in content
    assert content.index(b"moov") < content.index(b"mdat")
    assert read_label(written.whole).digital_source_type is not None


def test_the_first_fragments_are_a_video(written: Written, tmp_path: Path) -> None:
    begun = tmp_path / "begun.mp4"
    begun.write_bytes(content_of(written.fragments[:2]))
    assert probe(begun).num_frames == 25
    shown = list(read_frames(begun))
    np.testing.assert_array_equal(shown, list(read_frames(written.whole))[:25])


def test_the_header_with_any_fragment_is_a_video(written: Written, tmp_path: Path) -> None:
    first = written.fragments[0].content
    header = first[: first.index(b"moof") - 4]
    whole = list(read_frames(written.whole))
    for fragment in written.fragments[1:]:
        alone = tmp_path / "alone.mp4"
        alone.write_bytes(header + fragment.content)
        expected = whole[fragment.first : fragment.first + fragment.num_frames]
        np.testing.assert_array_equal(list(read_frames(alone)), expected)


def test_fragments_are_handed_out_while_the_rest_is_rendered(tmp_path: Path) -> None:
    """As soon as the encoder has read ahead, and without a whole file."""
    fragments: list[Fragment] = []
    begun = tmp_path / "begun.mp4"
    with writer_of(None, tmp_path / "voice.wav", fragments) as writer:
        writer.append(frames(NUM_FRAMES)[:30])
        wait_until(lambda: bool(fragments))
        begun.write_bytes(content_of(fragments))
        writer.append(frames(NUM_FRAMES)[30:])
    assert 0 < len(list(read_frames(begun))) < NUM_FRAMES
    assert sum(fragment.num_frames for fragment in fragments) == NUM_FRAMES


def test_what_a_receiver_raises_ends_the_writing(tmp_path: Path) -> None:
    class Refusing(list[Fragment]):
        def append(self, fragment: Fragment) -> None:
            raise TimeoutError("no more")  # which is an OSError, and not of a disk

    path = tmp_path / "talk.mp4"
    with pytest.raises(TimeoutError), writer_of(path, tmp_path / "voice.wav", Refusing()) as writer:
        writer.append(frames(NUM_FRAMES))
    assert not path.exists()


def test_nothing_is_handed_out_after_the_end_of_a_job_that_failed(tmp_path: Path) -> None:
    fragments: list[Fragment] = []

    def fail() -> None:
        with writer_of(None, tmp_path / "voice.wav", fragments) as writer:
            writer.append(frames(NUM_FRAMES)[:10])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not fragments


def test_a_fragment_is_cut_into_parts(written: Written) -> None:
    parts = [part for fragment in written.fragments for part in fragment.split(5000)]
    assert content_of(parts) == content_of(written.fragments)
    assert max(len(part.content) for part in parts) <= 5000
    assert sum(part.num_frames for part in parts) == NUM_FRAMES
    assert all(a.first <= b.first for a, b in pairwise(parts))
