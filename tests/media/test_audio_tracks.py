"""Of several sound tracks the one is used that a player would play, if there is a voice in it."""

import numpy as np
import pytest
from av.stream import Disposition
from made import clicks, onsets, sine, write_picture_only, write_sound, write_tracks

from multitalk.errors import MediaUndecodable
from multitalk.media.audio import load_recording, read_sound
from multitalk.media.audio_tracks import Track, choose_track, sound_seconds
from multitalk.media.soundtrack import Soundtrack, SoundtrackVoice
from multitalk.timebase import SAMPLE_RATE

RATE = 48_000
PLAIN, DEFAULT = Disposition(0), Disposition.default
SILENCE = np.zeros((1, RATE), np.float32)
FIRST, SECOND = clicks(1, RATE, [0.25]), clicks(1, RATE, [0.6])


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov"])
def test_the_default_is_used_wherever_it_is(tmp_path, name):
    path = write_tracks(tmp_path / name, [FIRST, SECOND], RATE, marks=[PLAIN, DEFAULT])
    assert choose_track(path) == Track(index=1, count=2)
    assert onsets(read_sound(path), SAMPLE_RATE) == pytest.approx([0.6], abs=0.002)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi", "a.ts"])
def test_the_first_is_used_where_none_is_the_default(tmp_path, name):
    path = write_tracks(tmp_path / name, [FIRST, SECOND], RATE, marks=[PLAIN, PLAIN])
    assert choose_track(path) == Track(index=0, count=2)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi", "a.ts"])
def test_a_silent_default_gives_way_to_a_voice(tmp_path, name):
    path = write_tracks(tmp_path / name, [SILENCE, SECOND], RATE, marks=[DEFAULT, PLAIN])
    assert choose_track(path) == Track(index=1, count=2)


def test_of_silent_tracks_the_default_is_used(tmp_path):
    path = write_tracks(tmp_path / "a.mkv", [SILENCE, SILENCE], RATE, marks=[PLAIN, DEFAULT])
    assert choose_track(path) == Track(index=1, count=2)


@pytest.mark.parametrize(
    "aside", [Disposition.comment, Disposition.visual_impaired, Disposition.comment | DEFAULT]
)
def test_a_commentary_gives_way_to_the_voices(tmp_path, aside):
    path = write_tracks(tmp_path / "a.mkv", [FIRST, SECOND], RATE, marks=[aside, PLAIN])
    assert choose_track(path) == Track(index=1, count=2)


def test_a_commentary_by_its_title_gives_way_too(tmp_path):
    titles = ["Director's Commentary", "English"]
    path = write_tracks(tmp_path / "a.mkv", [FIRST, SECOND], RATE, titles=titles)
    assert choose_track(path) == Track(index=1, count=2)


def test_a_commentary_is_used_where_nothing_else_is_audible(tmp_path):
    marks = [DEFAULT, Disposition.comment]
    path = write_tracks(tmp_path / "a.mkv", [SILENCE, SECOND], RATE, marks=marks)
    assert choose_track(path) == Track(index=1, count=2)


def damaged(path, codec):
    """Give the first track a codec that no FFmpeg has, and return the path."""
    data = path.read_bytes()
    at = data.index(codec)
    path.write_bytes(
        data[:at] + b"A_NONE"[: len(codec)].ljust(len(codec), b"X") + data[at + len(codec) :]
    )
    return path


def test_a_track_of_an_unknown_codec_is_passed_over(tmp_path):
    path = write_tracks(tmp_path / "a.mkv", [FIRST, SECOND], RATE, marks=[DEFAULT, PLAIN])
    assert choose_track(damaged(path, b"A_AAC")) == Track(index=1, count=2)
    recording = load_recording(path, field="f", directory=tmp_path, max_seconds=10)
    assert onsets(recording.speech, SAMPLE_RATE) == pytest.approx([0.6], abs=0.002)
    assert sound_seconds(path) == pytest.approx(1.0, abs=0.05)


def test_an_empty_track_is_passed_over(tmp_path):
    path = write_tracks(
        tmp_path / "a.mkv", [SILENCE[:, :0], SECOND], RATE, marks=[DEFAULT, PLAIN], codec="flac"
    )
    assert choose_track(path) == Track(index=1, count=2)


def test_tracks_of_which_none_decodes_are_refused(tmp_path):
    path = write_tracks(tmp_path / "a.mkv", [FIRST, SECOND], RATE)
    damaged(damaged(path, b"A_AAC"), b"A_AAC")
    with pytest.raises(MediaUndecodable, match="nothing in it decodes"):
        choose_track(path, field="audio_paths.person1")


def test_mouth_and_video_use_the_same_track(tmp_path):
    path = write_tracks(tmp_path / "a.mkv", [SILENCE, SECOND], RATE, marks=[DEFAULT, PLAIN])
    recording = load_recording(path, field="f", directory=tmp_path, max_seconds=10)
    for source in (recording.source, None):
        track = Soundtrack([SoundtrackVoice(path, source=source)], num_frames=25)
        sound = np.concatenate(list(track.blocks()), axis=1)
        assert onsets(sound[0], RATE) == pytest.approx([0.6], abs=0.002)
    assert onsets(recording.speech, SAMPLE_RATE) == pytest.approx([0.6], abs=0.002)


def test_a_file_with_one_track_has_no_choice(tmp_path):
    assert choose_track(write_sound(tmp_path / "a.wav", sine(1, RATE), RATE)) == Track(0, 1)


def test_a_video_without_sound_has_no_track(tmp_path):
    with pytest.raises(MediaUndecodable, match="no audio stream"):
        choose_track(write_picture_only(tmp_path / "a.mp4"))
