import threading
import time

import av
import numpy as np
import pytest
from made import clicks, onsets, sine, write_picture_only, write_sound

from multitalk.errors import DeliveryFailed, DiskUnusable, MediaUndecodable
from multitalk.media import video, video_encoder
from multitalk.media.audio import read_sound
from multitalk.media.soundtrack import Soundtrack, SoundtrackVoice
from multitalk.media.video import SoundFacts, VideoWriter, probe, read_frames
from patience import PATIENCE_SECONDS

SIDE = 64


def gradient(num_frames, side=SIDE):
    """A colour gradient that drifts."""
    row = 128 + 100 * np.sin(2 * np.pi * np.arange(side) / side)
    picture = np.stack(np.broadcast_arrays(row[None], row[:, None], 128 + 0 * row[None]), axis=-1)
    return np.stack([np.roll(picture, index, axis=1) for index in range(num_frames)]).astype(
        np.uint8
    )


def write(path, frames, soundtrack=None, *, fragmented=False, **options):
    """A video; as it is streamed, or as it is kept."""
    height, width = frames.shape[1:3]
    fragments = []
    with VideoWriter(
        None if fragmented else path,
        width=width,
        height=height,
        soundtrack=soundtrack,
        on_fragment=fragments.append if fragmented else None,
        **options,
    ) as writer:
        for start in range(0, len(frames), 7):
            writer.append(frames[start : start + 7])
    if fragmented:
        path.write_bytes(b"".join(fragment.content for fragment in fragments))
    return path


def track_of(tmp_path, num_frames, rate=44_100, channels=1, seconds=None):
    seconds = num_frames / 25 if seconds is None else seconds
    path = write_sound(tmp_path / "voice.wav", sine(seconds, rate, channels=channels), rate)
    return Soundtrack([SoundtrackVoice(path)], num_frames=num_frames)


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
@pytest.mark.parametrize("num_frames", [1, 2, 25, 251])
def test_picture_sound_and_file_last_exactly_as_long(tmp_path, num_frames, rate):
    path = write(tmp_path / "a.mp4", gradient(num_frames), track_of(tmp_path, num_frames, rate))
    with av.open(str(path)) as container:
        for stream in container.streams:
            assert stream.duration * stream.time_base * 25 == num_frames
            assert stream.start_time == 0
        assert container.duration * 25 == num_frames * av.time_base
        frames = list(container.decode(video=0))
    assert [float(frame.pts * frame.time_base) for frame in frames] == pytest.approx(
        [index / 25 for index in range(num_frames)]
    )


@pytest.mark.parametrize("num_frames", [1, 2, 60])
def test_a_streamed_file_lasts_as_long(tmp_path, num_frames):
    track = track_of(tmp_path, num_frames, 48_000)
    path = write(tmp_path / "a.mp4", gradient(num_frames), track, fragmented=True)
    assert len(list(read_frames(path))) == num_frames
    with av.open(str(path)) as container:
        picture, sound = container.streams
        assert picture.duration * picture.time_base * 25 == num_frames
        assert picture.start_time == sound.start_time == 0
        end = max(frame.pts for frame in container.decode(sound))
        assert end < num_frames * 1920  # nothing begins after the end


def test_what_is_written_can_be_probed(tmp_path):
    path = write(tmp_path / "a.mp4", gradient(30), track_of(tmp_path, 30, 48_000, channels=2))
    facts = probe(path)
    assert (facts.codec, facts.width, facts.height, facts.fps) == ("h264", SIDE, SIDE, 25.0)
    assert (facts.num_frames, facts.duration) == (30, 1.2)
    assert facts.sound == SoundFacts("aac", 48_000, 2, 1.2)
    assert probe(write(tmp_path / "b.mp4", gradient(30), fragmented=True)).num_frames == 30
    assert probe(tmp_path / "b.mp4").sound is None


@pytest.mark.parametrize("fragmented", [False, True])
@pytest.mark.parametrize("quality", video_encoder.ENCODINGS)
def test_a_file_of_any_quality_lasts_as_long(tmp_path, quality, fragmented):
    track = track_of(tmp_path, 60)
    path = write(tmp_path / "a.mp4", gradient(60), track, quality=quality, fragmented=fragmented)
    assert len(list(read_frames(path))) == 60
    with av.open(str(path)) as container:
        picture, sound = container.streams
        assert picture.duration * picture.time_base * 25 == 60
        assert picture.start_time == sound.start_time == 0


def test_the_finer_a_file_the_nearer_to_the_frames(tmp_path):
    frames = np.clip(gradient(10) + np.random.default_rng(0).normal(0, 6, (64, 64, 1)), 0, 255)
    frames = frames.astype(np.uint8)

    def error(quality):
        path = write(tmp_path / f"{quality}.mp4", frames, quality=quality)
        return np.square(np.stack(list(read_frames(path))) - frames.astype(float)).mean()

    assert error("fine") < 0.8 * error("standard")
    assert error("standard") < 0.8 * error("draft")


def test_frames_come_back_as_they_were(tmp_path):
    frames = gradient(20)
    back = np.stack(list(read_frames(write(tmp_path / "a.mp4", frames))))
    assert back.shape == frames.shape
    error = back.astype(float) - frames
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < 1.5
    assert np.sqrt(np.square(error).mean()) < 3


def test_a_streamed_file_holds_the_same_frames(tmp_path):
    frames = gradient(60)
    whole = np.stack(list(read_frames(write(tmp_path / "a.mp4", frames)))).astype(float)
    pieces = np.stack(list(read_frames(write(tmp_path / "b.mp4", frames, fragmented=True))))
    assert np.abs(whole - pieces).mean() < 2


# Y, Cb, Cr of ITU-R BT.709, limited range, from its equations.
@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((255, 0, 0), (63, 102, 240)),
        ((0, 255, 0), (173, 42, 26)),
        ((0, 0, 255), (32, 240, 118)),
        ((255, 255, 255), (235, 128, 128)),
        ((0, 0, 0), (16, 128, 128)),
        ((200, 120, 90), (132, 107, 164)),
    ],
)
def test_colours_are_bt_709_and_say_so(tmp_path, colour, expected):
    path = write(tmp_path / "a.mp4", np.full((3, SIDE, SIDE, 3), colour, np.uint8))
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (1, 1)
        assert (frame.color_primaries, frame.color_trc) == (1, 1)
        planes = frame.to_ndarray()
    found = (planes[8, 8], planes[SIDE + 4, 8], planes[SIDE + SIDE // 4 + 4, 8])
    assert np.abs(np.subtract(found, expected, dtype=int)).max() <= 1


@pytest.mark.parametrize("fragmented", [False, True])
@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [("a.wav", 8000, 1), ("a.wav", 16_000, 2), ("a.wav", 44_100, 1), ("a.wav", 48_000, 2),
     ("a.wav", 96_000, 1), ("a.mp3", 44_100, 2), ("a.m4a", 48_000, 1), ("a.webm", 48_000, 1)],
)  # fmt: skip
def test_flash_and_click_are_simultaneous(tmp_path, name, rate, channels, fragmented):
    flashes = [5, 20, 42]
    voice = write_sound(
        tmp_path / name, clicks(2, rate, [at / 25 for at in flashes], channels), rate
    )
    frames = np.zeros((50, SIDE, SIDE, 3), np.uint8)
    frames[flashes] = 255
    soundtrack = Soundtrack([SoundtrackVoice(voice)], num_frames=50)
    path = write(tmp_path / "out.mp4", frames, soundtrack, fragmented=fragmented)
    with av.open(str(path)) as container:
        seen = [
            frame.time
            for frame in container.decode(video=0)
            if frame.to_ndarray()[:SIDE].mean() > 120
        ]
    with av.open(str(path)) as container:
        first = next(container.decode(audio=0))
        start, stored = first.time, first.sample_rate
    sound = [start + onset for onset in onsets(read_sound(path, stored), stored)]
    assert seen == [at / 25 for at in flashes]
    assert np.abs(np.subtract(sound, seen)).max() < 0.002


def boxes(data):
    """The top-level boxes of an MP4: (name, start, end)."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8].decode(), at, at + size
        at += size


def test_the_index_is_at_the_front(tmp_path):
    path = write(tmp_path / "a.mp4", gradient(30), track_of(tmp_path, 30))
    names = [name for name, _, _ in boxes(path.read_bytes())]
    assert names.index("moov") < names.index("mdat")


def test_each_piece_of_a_stream_is_playable_as_it_comes(tmp_path):
    path = write(tmp_path / "a.mp4", gradient(100), track_of(tmp_path, 100), fragmented=True)
    data = path.read_bytes()
    ends = [end for name, _, end in boxes(data) if name == "mdat"]
    whole = []
    for end in ends:
        (tmp_path / "cut.mp4").write_bytes(data[:end])
        whole.append(len(list(read_frames(tmp_path / "cut.mp4"))))
        assert len(read_sound(tmp_path / "cut.mp4")) / 640 == pytest.approx(whole[-1], abs=20)
    assert whole == [9, 25, 50, 75, 100]


@pytest.mark.parametrize("seconds", [0.5, 5])
def test_sound_is_cut_or_padded_to_the_picture(tmp_path, seconds):
    path = write(tmp_path / "a.mp4", gradient(25), track_of(tmp_path, 25, seconds=seconds))
    assert probe(path).sound.duration == 1.0
    tail = np.abs(read_sound(path)[10_000:15_000]).max()
    assert (tail > 0.05) == (seconds == 5)


@pytest.mark.parametrize("size", [(63, 64), (64, 63), (0, 64), (64, -2)])
def test_odd_and_empty_sizes_are_refused(tmp_path, size):
    with pytest.raises(ValueError, match="even"):
        VideoWriter(tmp_path / "a.mp4", width=size[0], height=size[1], soundtrack=None)


@pytest.mark.parametrize(
    "frames",
    [np.zeros((1, 32, 32, 3), np.uint8), np.zeros((1, 64, 64, 3), np.float32),
     np.zeros((64, 64, 3), np.uint8)],
)  # fmt: skip
def test_frames_of_another_kind_are_refused(tmp_path, frames):
    with (
        pytest.raises(ValueError, match="expected uint8 RGB"),
        VideoWriter(tmp_path / "a.mp4", width=64, height=64, soundtrack=None) as writer,
    ):
        writer.append(frames)
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_an_exception_removes_the_unfinished_file(tmp_path, error):
    path, soundtrack = tmp_path / "a.mp4", track_of(tmp_path, 200)

    def render():
        with VideoWriter(path, width=SIDE, height=SIDE, soundtrack=soundtrack) as writer:
            writer.append(gradient(60))
            raise error

    with pytest.raises(error):
        render()
    assert not path.exists()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("encoder")]


def test_frames_for_another_length_than_the_sound_s_are_refused(tmp_path):
    with pytest.raises(ValueError, match="10 frames, but sound for 11"):
        write(tmp_path / "a.mp4", gradient(10), track_of(tmp_path, 11))
    assert not (tmp_path / "a.mp4").exists()


def test_closing_and_aborting_twice_does_nothing(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", width=SIDE, height=SIDE, soundtrack=None)
    with writer:
        writer.append(gradient(3))
        writer.close()
        writer.close()
        writer.abort()
    assert len(list(read_frames(tmp_path / "a.mp4"))) == 3
    with pytest.raises(ValueError, match="not open"):
        writer.append(gradient(1))


def test_a_file_that_cannot_be_made_is_told(tmp_path):
    with pytest.raises(DeliveryFailed, match="No such file") as caught:
        write(tmp_path / "missing" / "a.mp4", gradient(40))
    assert str(tmp_path) not in str(caught.value)


def test_a_full_disk_is_told_and_does_not_hang(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (60, SIDE, SIDE, 3), np.uint8)
    (tmp_path / "a.mp4").symlink_to("/dev/full")
    with pytest.raises(DiskUnusable, match="No space left"):
        write(tmp_path / "a.mp4", noise)
    assert not (tmp_path / "a.mp4").is_symlink()


def test_sound_that_goes_bad_stops_the_writer(tmp_path):
    soundtrack = track_of(tmp_path, 100)
    (tmp_path / "voice.wav").write_bytes(b"gone")
    with pytest.raises(MediaUndecodable):
        write(tmp_path / "a.mp4", gradient(100), soundtrack)
    assert not (tmp_path / "a.mp4").exists()


def test_the_caller_waits_while_the_encoder_is_behind(tmp_path, monkeypatch):
    go = threading.Event()
    convert = video_encoder.yuv_frame
    monkeypatch.setattr(
        video_encoder, "yuv_frame", lambda *given: (go.wait(PATIENCE_SECONDS), convert(*given))[1]
    )
    writer = VideoWriter(tmp_path / "a.mp4", width=SIDE, height=SIDE, soundtrack=None)
    with writer:
        for piece in range(video.WAITING_PIECES + 1):  # the caller can go on with the next piece
            writer.append(gradient(40))
            while not piece and not writer._waiting.empty():
                time.sleep(0.01)  # until the encoder has the first
        caller = threading.Thread(target=writer.append, args=(gradient(40),))
        caller.start()
        caller.join(0.3)
        assert caller.is_alive()
        assert writer.num_frames == 40 * (video.WAITING_PIECES + 1)
        go.set()
        caller.join(PATIENCE_SECONDS)
    assert len(list(read_frames(tmp_path / "a.mp4"))) == 40 * (video.WAITING_PIECES + 2)


def test_aborting_does_not_encode_what_waits(tmp_path, monkeypatch):
    converted, convert = [], video_encoder.yuv_frame
    monkeypatch.setattr(
        video_encoder, "yuv_frame", lambda *given: (converted.append(1), convert(*given))[1]
    )
    with VideoWriter(tmp_path / "a.mp4", width=SIDE, height=SIDE, soundtrack=None) as writer:
        writer.append(np.broadcast_to(gradient(1), (20_000, SIDE, SIDE, 3)))
        writer.abort()
    assert len(converted) < 20_000


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "empty file"), (b"no video", "damaged or unknown format")]
)
def test_what_is_no_video_is_named(tmp_path, data, reason):
    (tmp_path / "a.mp4").write_bytes(data)
    for look in (probe, lambda path: list(read_frames(path))):
        with pytest.raises(MediaUndecodable, match=reason) as caught:
            look(tmp_path / "a.mp4")
        assert caught.value.key == "video_undecodable"


def test_sound_alone_is_no_video(tmp_path):
    with pytest.raises(MediaUndecodable, match="no video stream"):
        probe(write_sound(tmp_path / "a.m4a", sine(1, 48_000), 48_000))


def test_a_video_of_others_is_read(tmp_path):
    assert probe(write_picture_only(tmp_path / "a.mp4")).num_frames == 5
    assert len(list(read_frames(tmp_path / "a.mp4"))) == 5
