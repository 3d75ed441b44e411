"""From a recording's channels and tracks to the finished video: one voice, and a word about it."""

from functools import reduce
from operator import add
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from numpy.typing import NDArray
from PIL import Image

from fake_engine import FakeEngine
from multitalk.errors import InvalidRequest
from multitalk.job import FinishedTalk
from multitalk.job.voice_checks import check_talk_seconds
from multitalk.settings import Settings
from run_jobs import render_to

RATE = 16_000
Samples = NDArray[np.float32]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    directory = tmp_path / "files"
    directory.mkdir()
    Image.new("RGB", (32, 24), "red").save(directory / "portrait.png")
    return directory


def hum(seconds: float = 1.0, level: float = -20.0) -> Samples:
    """A mono voice of a level in dBFS: [1, S]."""
    time = np.arange(round(RATE * seconds)) / RATE
    syllables = np.maximum(np.sin(2 * np.pi * 3 * time), 0)
    wave = 10 ** (level / 20) * np.sin(2 * np.pi * 300 * time) * syllables
    return wave.astype(np.float32)[None]


def write(path: Path, tracks: list[Samples], default: int = 0) -> None:
    """Write tracks [C, S] to a file; one of them is the default."""
    codec = "pcm_s16le" if path.suffix == ".mkv" else "pcm_f32le"
    with av.open(str(path), "w") as container:
        made = []
        for number, samples in enumerate(tracks):
            layout = {1: "mono", 2: "stereo"}[len(samples)]
            stream = container.add_stream(codec, rate=RATE, layout=layout)
            if path.suffix == ".mkv":
                stream.disposition = Disposition.default if number == default else Disposition(0)
            made.append((stream, layout, samples))
        container.start_encoding()
        for stream, layout, samples in made:
            packed = np.ascontiguousarray(samples.T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
            frame.sample_rate = RATE
            size = stream.codec_context.frame_size or 1024
            resampler = av.AudioResampler(stream.format, layout, RATE, size)
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))


def talk_of(
    files: Path, tmp_path: Path, engine: FakeEngine | None = None, **fields: object
) -> FinishedTalk:
    settings = Settings(allowed_roots=(files,), work_directory=tmp_path)
    body = {"prompt": "talk", "image_path": "portrait.png", **fields}
    return render_to(tmp_path / "talk.mp4", body, engine or FakeEngine(), settings)


def sound_of(video: Path) -> Samples:
    """The finished video's sound [C, S]."""
    with av.open(str(video)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def level(samples: Samples) -> float:
    return 10 * float(np.log10(np.square(samples).mean() + 1e-12))


@pytest.mark.parametrize("right", [-1.0, 0.0, 1.0])
def test_a_voice_on_two_channels_is_one_voice_for_mouth_and_video(
    files: Path, tmp_path: Path, right: float
) -> None:
    write(files / "mono.wav", [hum()])
    write(files / "stereo.wav", [np.concatenate([hum(), right * hum()])])
    one, other = FakeEngine(), FakeEngine()
    talk_of(files, tmp_path, one, audio_paths={"ann": "mono.wav"})
    talk = talk_of(files, tmp_path, other, audio_paths={"ann": "stereo.wav"})
    (expected,), (seen,) = one.scenes[0].speakers, other.scenes[0].speakers
    np.testing.assert_allclose(seen.speech, expected.speech, atol=0.02)
    sound = sound_of(talk.video)
    assert len(sound) == 2
    for side in (*sound, sound.mean(axis=0)):
        assert level(side) == pytest.approx(level(hum()), abs=1.5)
    assert talk.warnings == ()


def test_the_track_that_was_used_is_named(files: Path, tmp_path: Path) -> None:
    write(files / "film.mkv", [np.zeros((1, RATE), np.float32), hum()], default=0)
    talk = talk_of(files, tmp_path, audio_paths={"ann": "film.mkv"})
    (warning,) = talk.warnings
    assert warning.startswith("ann: the file has 2 sound tracks, of which number 2 was used")
    assert level(sound_of(talk.video)) == pytest.approx(level(hum()), abs=1.5)
    korean = talk_of(files, tmp_path, audio_paths={"ann": "film.mkv"}, locale="ko")
    assert "2번 트랙" in korean.warnings[0]


@pytest.mark.parametrize(
    ("decibels", "said"),
    [(-20, None), (-35, None), (-52, "very quiet"), (-57, "very quiet"), (-85, "nothing is heard")],
)
def test_a_quiet_voice_is_named_and_a_silent_one_is_at_rest(
    files: Path, tmp_path: Path, decibels: float, said: str | None
) -> None:
    write(files / "voice.wav", [hum(level=decibels)])
    engine = FakeEngine()
    talk = talk_of(files, tmp_path, engine, audio_paths={"ann": "voice.wav"})
    assert [said in warning for warning in talk.warnings if said] == [True] * bool(said)
    assert len(talk.warnings) == bool(said)
    is_at_rest = not engine.scenes[0].speakers[0].speech.any()
    assert is_at_rest == (said == "nothing is heard"), "one judgement for mouth and warning"


def test_the_shortest_talk_is_not_refused_for_its_rounding() -> None:
    seconds = reduce(add, [0.02] * 10)  # sum would round only once from Python 3.12 on
    assert seconds < 0.2
    check_talk_seconds(seconds, ["ann"])


@pytest.mark.parametrize(
    ("seconds", "order", "refused"),
    [
        ([0.04], "para", "audio_paths.p0"),
        ([0.199], "para", "audio_paths.p0"),
        ([0.2], "para", None),
        ([0.1, 0.15], "para", "audio_paths"),
        ([0.1, 0.15], "add", None),
        ([0.1, 1.0], "para", None),
    ],
)
def test_a_talk_that_is_too_short_is_refused(
    files: Path, tmp_path: Path, seconds: list[float], order: str, refused: str | None
) -> None:
    voices = {f"p{number}": f"{number}.wav" for number in range(len(seconds))}
    for number, length in enumerate(seconds):
        write(files / f"{number}.wav", [hum(1.0)[:, : round(length * RATE)]])
    if refused is None:
        assert talk_of(files, tmp_path, audio_paths=voices, audio_type=order).num_frames >= 5
        return
    engine = FakeEngine()
    with pytest.raises(InvalidRequest, match=r"a talk must last 0\.2 s or longer") as caught:
        talk_of(files, tmp_path, engine, audio_paths=voices, audio_type=order)
    assert caught.value.field == refused
    assert f"only {max(seconds):g} s" in str(caught.value)
    assert engine.scenes == []
