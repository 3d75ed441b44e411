"""The watermark is found in files of every kind that a talk becomes, and in nothing else."""

import wave
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from multitalk.errors import MediaUndecodable
from multitalk.media.soundtrack import Soundtrack, SoundtrackVoice
from multitalk.media.video import VideoWriter, read_frames
from multitalk.provenance.inspection import inspect_video
from multitalk.provenance.marks import FIRST_FRAMES, find_marks
from multitalk.watermark.keys import Payload
from multitalk.watermark.picture import PictureDetector

PORTRAIT = Path(__file__).parents[2] / "examples" / "portrait.jpg"
PAYLOAD = Payload(0, 2, 77)
RATE = 16_000
SECONDS = 5
SIDE = 320


@pytest.fixture(scope="module")
def voice(tmp_path_factory) -> Path:
    """A buzz with a moving resonance."""
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    time = np.arange(SECONDS * RATE) / RATE
    sound = np.zeros_like(time)
    for harmonic in range(1, 40):
        hertz = 130 * harmonic
        center = 900 + 500 * np.sin(2 * np.pi * 1.3 * time)
        weight = 0.05 + np.exp(-(((hertz - center) / 400) ** 2))
        sound += weight * np.sin(2 * np.pi * hertz * time + harmonic**2)
    sound += 0.3 * np.random.default_rng(1).normal(size=len(time))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((12_000 * sound / np.abs(sound).max()).astype(np.int16).tobytes())
    return path


def written(path: Path, voice: Path, mark: Payload | None, seconds: int = SECONDS) -> list[bytes]:
    """A talk's file and its fragments: the portrait, which sways."""
    with Image.open(PORTRAIT) as picture:
        face = np.asarray(picture.convert("RGB").resize((SIDE + 16, SIDE)))
    fragments: list[bytes] = []
    track = Soundtrack([SoundtrackVoice(voice)], num_frames=25 * seconds)
    with VideoWriter(
        path,
        width=SIDE,
        height=SIDE,
        soundtrack=track,
        watermark=mark,
        threads=1,
        on_fragment=lambda fragment: fragments.append(fragment.content),
    ) as writer:
        shifts = [int(8 + 8 * np.sin(index / 9)) for index in range(25 * seconds)]
        writer.append(np.stack([face[:, shift : shift + SIDE] for shift in shifts]))
    return fragments


@pytest.fixture(scope="module")
def streamed(tmp_path_factory, voice) -> tuple[Path, list[bytes]]:
    """A talk's file, and the fragments that were streamed meanwhile."""
    path = tmp_path_factory.mktemp("talk") / "talk.mp4"
    return path, written(path, voice, PAYLOAD)


@pytest.fixture(scope="module")
def talk(streamed) -> Path:
    return streamed[0]


def found_in(path: Path) -> dict[str, Payload | None]:
    """The payloads of the marks that were found, by where."""
    return {one.where: one.payload for one in find_marks(path) if one.is_marked}


def test_a_talk_carries_it_in_picture_and_sound(talk):
    assert found_in(talk) == {"picture": PAYLOAD, "sound": PAYLOAD}


def test_a_mark_beyond_doubt_needs_few_frames(talk, monkeypatch):
    taken = []
    add = PictureDetector.add
    monkeypatch.setattr(
        PictureDetector, "add", lambda self, *planes: (taken.append(1), add(self, *planes))
    )
    assert found_in(talk)["picture"] == PAYLOAD
    assert len(taken) == FIRST_FRAMES


def test_what_was_streamed_carries_it(streamed, tmp_path):
    _, fragments = streamed
    path = tmp_path / "stream.mp4"
    path.write_bytes(b"".join(fragments))
    assert len(fragments) == SECONDS + 1  # the first second is in two
    assert found_in(path) == {"picture": PAYLOAD, "sound": PAYLOAD}
    path.write_bytes(fragments[0])
    assert found_in(path)["picture"] == PAYLOAD


def test_a_stream_that_broke_off_carries_it(streamed, tmp_path):
    content = b"".join(streamed[1])
    path = tmp_path / "stream.mp4"
    path.write_bytes(content[: len(content) * 2 // 3])
    assert found_in(path)["picture"] == PAYLOAD


def test_the_same_talk_without_it_has_none(voice, tmp_path):
    path = tmp_path / "talk.mp4"
    written(path, voice, None, seconds=2)
    assert found_in(path) == {}


def pictures(path: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Pictures that people keep of a talk."""
    frame = next(islice(read_frames(path), 40, None))
    yield "frame.png", frame
    yield "frame.jpg", frame
    yield "screenshot.png", cv2.resize(frame, (911, 911))
    yield "mirrored.png", frame[:, ::-1]


def test_one_picture_of_it_is_enough(talk, tmp_path):
    for name, pixels in pictures(talk):
        path = tmp_path / name
        Image.fromarray(np.ascontiguousarray(pixels)).save(path)
        (mark,) = inspect_video(path).marks
        assert (mark.is_marked, mark.payload) == (True, PAYLOAD), name


COPIES = {
    "copy.mkv": ("libx264", "yuv420p10le", (SIDE, SIDE)),
    "upright.mp4": ("libx264", "yuvj420p", (540, 960)),  # between two black bars
    "copy.mov": ("prores_ks", "yuv422p10le", (SIDE, SIDE)),
}


@pytest.mark.parametrize("name", COPIES)
def test_other_formats_keep_it(talk, tmp_path, name):
    path = tmp_path / name
    codec, pixels, (width, height) = COPIES[name]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        for image in islice(read_frames(talk), 30, 50):
            scaled = cv2.resize(image, (width, width), interpolation=cv2.INTER_AREA)
            bar = (height - width) // 2
            canvas = np.pad(scaled, ((bar, bar), (0, 0), (0, 0)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(canvas, format="rgb24")))
        container.mux(stream.encode(None))
    assert found_in(path) == {"picture": PAYLOAD}


def remuxed_sound(talk: Path, path: Path, *, rate: int, layout: str, codec: str) -> Path:
    """The talk's sound only, encoded again."""
    with av.open(str(talk)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.open()
        context = stream.codec_context
        resampler = av.AudioResampler(context.format, layout, rate, context.frame_size or None)
        for frame in [*source.decode(audio=0), None]:
            for piece in resampler.resample(frame):
                container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


SOUNDS = {
    "mono.wav": (8_000, "mono", "pcm_s16le"),
    "stereo.mp3": (44_100, "stereo", "libmp3lame"),
    "surround.m4a": (48_000, "5.1", "aac"),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_sound_alone_keeps_it(talk, tmp_path, name):
    rate, layout, codec = SOUNDS[name]
    path = remuxed_sound(talk, tmp_path / name, rate=rate, layout=layout, codec=codec)
    assert found_in(path) == {"sound": PAYLOAD}


@pytest.mark.parametrize("size", [(2, 2), (4096, 16), (16, 4096)])
def test_odd_sizes_are_looked_at_and_have_none(tmp_path, size):
    path = tmp_path / "odd.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((size[1], size[0], 3), np.uint8))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert found_in(path) == {}


@pytest.mark.parametrize("content", [b"", b"no film", bytes(5_000)])
def test_what_is_no_media_is_refused(tmp_path, content):
    path = tmp_path / "none.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaUndecodable):
        find_marks(path)
