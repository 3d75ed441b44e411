"""A growing fragmented MP4 in pieces: joined they are the video, and so is the header with any."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from made import sine, write_sound

from multitalk.media.fragments import Fragment, FragmentReader
from multitalk.media.soundtrack import Soundtrack, Voice
from multitalk.media.video import VideoWriter, probe, read_frames

NUM_FRAMES = 90  # three seconds and a half


def frames(count: int) -> np.ndarray:
    """A picture that grows brighter, too rich for a few bytes."""
    still = np.random.default_rng(0).integers(0, 100, (48, 64, 3), np.uint8)
    return still + np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)


@pytest.fixture
def pieces_and_file(tmp_path: Path) -> tuple[list[Fragment], Path]:
    """What is read while the file is written, and the file."""
    voice = tmp_path / "voice.wav"
    write_sound(voice, sine(NUM_FRAMES / 25, 16_000), 16_000)
    path = tmp_path / "talk.mp4"
    reader = FragmentReader(path, max_bytes=10**6)
    pieces = list(reader.read())
    soundtrack = Soundtrack([Voice(voice)], num_frames=NUM_FRAMES)
    with VideoWriter(path, width=64, height=48, soundtrack=soundtrack, fragmented=True) as writer:
        for chunk in np.array_split(frames(NUM_FRAMES), 18):
            writer.append(chunk)
            pieces.extend(reader.read())
    pieces.extend(reader.read())
    assert not list(reader.read())
    return pieces, path


def joined(pieces: Iterator[Fragment] | list[Fragment]) -> bytes:
    return b"".join(piece.content for piece in pieces)


Written = tuple[list[Fragment], Path]


def test_joined_pieces_are_the_file_without_its_index(pieces_and_file: Written) -> None:
    pieces, path = pieces_and_file
    whole = path.read_bytes()
    assert whole.startswith(joined(pieces))
    assert whole[len(joined(pieces)) :][4:8] == b"mfra"


def test_pieces_tell_their_frames(pieces_and_file: Written) -> None:
    pieces, _ = pieces_and_file
    assert [piece.num_frames for piece in pieces] == [25, 25, 25, 15]
    assert [piece.first for piece in pieces] == [0, 25, 50, 75]


def test_pieces_come_before_the_end(pieces_and_file: Written, tmp_path: Path) -> None:
    pieces, path = pieces_and_file
    begun = tmp_path / "begun.mp4"
    begun.write_bytes(joined(pieces[:2]))
    assert probe(begun).num_frames == 50
    shown = list(read_frames(begun))
    np.testing.assert_array_equal(shown, list(read_frames(path))[:50])


def test_the_header_with_any_piece_is_a_video(pieces_and_file: Written, tmp_path: Path) -> None:
    pieces, path = pieces_and_file
    header = pieces[0].content[: pieces[0].content.index(b"moof") - 4]
    whole = list(read_frames(path))
    for piece in pieces[1:]:
        alone = tmp_path / "alone.mp4"
        alone.write_bytes(header + piece.content)
        expected = whole[piece.first : piece.first + piece.num_frames]
        np.testing.assert_array_equal(list(read_frames(alone)), expected)


def test_a_fragment_too_large_for_one_piece_is_cut(pieces_and_file: Written) -> None:
    pieces, path = pieces_and_file
    reader = FragmentReader(path, max_bytes=5000)
    cut = list(reader.read())
    assert joined(cut) == joined(pieces)
    assert max(len(piece.content) for piece in cut) <= 5000
    assert sum(piece.num_frames for piece in cut) == NUM_FRAMES
    assert all(a.first <= b.first for a, b in pairwise(cut))
