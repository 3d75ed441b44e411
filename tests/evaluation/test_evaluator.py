"""A rendered video passes; the same pictures with a late, a foreign or no voice do not."""

import json
import wave
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from multitalk.engines.base import RenderOptions, Scene, Speaker, ignore_progress
from multitalk.engines.warp.engine import WarpEngine
from multitalk.errors import InvalidRequest, MediaUndecodable, NoFaceFound
from multitalk.evaluation import Report, evaluate
from multitalk.evaluation.evaluator import at_25_fps, sum_above_rest
from multitalk.media.audio import num_frames_for, read_sound
from multitalk.media.soundtrack import Soundtrack, SoundtrackVoice
from multitalk.media.video import VideoWriter
from multitalk.speech.synthesis import synthesize
from multitalk.timebase import SAMPLE_RATE

pytest.importorskip("espeakng_loader")


ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


TEXT = "Maybe people remember my big brown puppy. He jumped over the pond at noon."


OTHER_TEXT = "The weather report promises heavy clouds over the mountains this evening."


def write_wave(path: Path, samples: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def write_video(path: Path, frames: np.ndarray, voice: Path | None) -> Path:
    sound = Soundtrack([SoundtrackVoice(voice)], num_frames=len(frames)) if voice else None
    height, width = frames.shape[1:3]
    with VideoWriter(path, width=width, height=height, soundtrack=sound) as writer:
        writer.append(frames)
    return path


def failed(report: Report) -> set[str]:
    return {check.name for check in report.checks if check.passed is False}


def load_face() -> np.ndarray:
    picture = cv2.imread(str(ASTRONAUT))[:, :, ::-1]
    return np.ascontiguousarray(cv2.resize(picture[20:240, 110:330], (336, 336)))


def render(samples: np.ndarray) -> np.ndarray:
    """Frames of the face that speaks, uint8 [T, H, W, 3]."""
    scene = Scene(
        portrait=load_face(),
        speakers=(Speaker("person1", samples),),
        prompt="",
        num_frames=num_frames_for(len(samples)),
    )
    engine = WarpEngine()
    chunks = engine.render(scene, RenderOptions(seed=3), ignore_progress)
    frames = np.concatenate([chunk.frames for chunk in chunks])
    engine.close()
    return frames


class Clip:
    """A face that speaks: its frames, its voice, and what is said."""

    def __init__(self, directory: Path) -> None:
        spoken = synthesize(TEXT)
        step = spoken.sample_rate / SAMPLE_RATE
        times = np.arange(int(len(spoken.samples) / step)) * step
        self.samples = np.interp(times, np.arange(len(spoken.samples)), spoken.samples).astype(
            np.float32
        )
        self.voice = write_wave(directory / "voice.wav", self.samples)
        self.phonemes = directory / "phonemes.json"
        self.phonemes.write_text(json.dumps([asdict(one) for one in spoken.phonemes]))
        self.portrait = directory / "portrait.png"
        cv2.imwrite(str(self.portrait), load_face()[:, :, ::-1])
        self.frames = render(self.samples)
        self.video = write_video(directory / "right.mp4", self.frames, self.voice)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return Clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def right(clip: Clip) -> Report:
    return evaluate(
        clip.video,
        voices={"person1": clip.voice},
        phonemes={"person1": clip.phonemes},
        portrait=clip.portrait,
        plot=clip.video.with_suffix(".png"),
    )


def test_a_rendered_talk_passes_with_margin(clip: Clip, right: Report) -> None:
    assert right.verdict == "passed", failed(right)
    (person,) = right.people
    assert person.lipsync is not None
    assert person.source == "phonemes"
    assert person.lipsync.agreement > 0.5
    assert abs(person.lipsync.lag_seconds) < 0.02
    assert person.closures.moments >= 8
    assert person.identity.worst_likeness > 0.93
    assert right.num_frames == len(clip.frames)


def test_a_mouth_rests_while_its_voice_is_silent(clip: Clip, tmp_path: Path) -> None:
    silence = np.zeros(round(1.3 * SAMPLE_RATE), np.float32)
    samples = np.concatenate([silence, clip.samples[: round(1.6 * SAMPLE_RATE)], silence])
    voice = write_wave(tmp_path / "voice.wav", samples)
    report = evaluate(write_video(tmp_path / "talk.mp4", render(samples), voice))
    (person,) = report.people
    assert person.listening_motion is not None
    assert person.listening_motion < 0.4  # 0.01 to 0.2 of eight portraits
    assert report.verdict == "passed", failed(report)


def test_the_record_is_json_and_the_plot_a_picture(clip: Clip, right: Report) -> None:
    record = json.loads(json.dumps(right.to_dict(), allow_nan=False))
    assert record["passed"] is True
    assert record["people"][0]["lipsync"]["agreement"] > 0.5
    assert all(check["reason"] for check in record["checks"])
    plot = cv2.imread(str(clip.video.with_suffix(".png")))
    assert plot.shape[1] == 1200
    assert plot.std() > 5


def test_sound_200_ms_late_fails_and_the_lag_is_told(clip: Clip, tmp_path: Path) -> None:
    late = np.concatenate([np.zeros(SAMPLE_RATE // 5, np.float32), clip.samples])
    video = write_video(tmp_path / "late.mp4", clip.frames, write_wave(tmp_path / "l.wav", late))
    report = evaluate(video, voices={"person1": clip.voice}, max_seconds=2)
    assert report.verdict == "failed"
    assert "in_sync" in failed(report)
    (person,) = report.people
    assert person.lipsync is not None
    assert person.lipsync.lag_seconds == pytest.approx(-0.2, abs=0.03)
    assert person.start_seconds == pytest.approx(0.2, abs=0.002)


def test_a_frozen_picture_with_the_right_sound_fails(clip: Clip, tmp_path: Path) -> None:
    frozen = np.repeat(clip.frames[:1], 45, axis=0)
    report = evaluate(write_video(tmp_path / "frozen.mp4", frozen, clip.voice))
    assert {"mouth_moves", "lips_follow_voice"} <= failed(report)


def test_another_voice_under_the_same_pictures_fails(clip: Clip, tmp_path: Path) -> None:
    spoken = synthesize(OTHER_TEXT, semitones=5)
    other = spoken.samples[:: max(1, round(spoken.sample_rate / SAMPLE_RATE))]
    voice = write_wave(tmp_path / "other.wav", other)
    video = write_video(tmp_path / "other.mp4", clip.frames, voice)
    report = evaluate(video, max_seconds=2)
    assert report.verdict == "failed"
    assert failed(report) & {"lips_follow_voice", "voice_is_its_own"}
    claimed = evaluate(clip.video, voices={"person1": voice}, max_seconds=0.2)
    assert "voice_is_heard" in failed(claimed)


def test_a_portrait_that_is_upside_down_is_compared_upright(clip: Clip, tmp_path: Path) -> None:
    upside_down = tmp_path / "portrait.png"
    cv2.imwrite(str(upside_down), load_face()[::-1, ::-1, ::-1])
    report = evaluate(clip.video, portrait=upside_down, max_seconds=1)
    assert not {"same_looks", "same_shape", "background_stays"} & failed(report)
    assert report.people[0].identity.worst_likeness > 0.93


def test_another_face_in_the_portrait_fails(clip: Clip, tmp_path: Path) -> None:
    mirrored = tmp_path / "mirrored.png"
    cv2.imwrite(str(mirrored), np.ascontiguousarray(load_face()[:, ::-1, ::-1]))
    report = evaluate(clip.video, portrait=mirrored, max_seconds=1)
    assert "same_looks" in failed(report)


def test_what_cannot_be_judged_is_an_error_that_says_why(clip: Clip, tmp_path: Path) -> None:
    short = clip.frames[:10]
    with pytest.raises(MediaUndecodable):
        evaluate(write_video(tmp_path / "mute.mp4", short, None))
    blank = np.zeros_like(short)
    with pytest.raises(NoFaceFound, match="no face was found in the first second"):
        evaluate(write_video(tmp_path / "blank.mp4", blank, clip.voice))
    with pytest.raises(
        NoFaceFound, match=r"too few faces in the picture \(1\) for the speakers \(2\)"
    ):
        evaluate(clip.video, voices={"a": clip.voice, "b": clip.voice}, max_seconds=0.2)
    silence = write_wave(tmp_path / "silence.wav", np.zeros(SAMPLE_RATE, np.float32))
    with pytest.raises(InvalidRequest, match="nobody is heard"):
        evaluate(write_video(tmp_path / "silent.mp4", short, silence))
    nonsense = tmp_path / "nonsense.json"
    nonsense.write_text('[{"ipa": "m"}]')
    with pytest.raises(InvalidRequest, match="not a JSON list"):
        evaluate(clip.video, phonemes={"person1": nonsense}, max_seconds=0.2)


def test_a_second_of_speech_is_not_judged(clip: Clip, tmp_path: Path) -> None:
    word = write_wave(tmp_path / "word.wav", read_sound(clip.voice)[: SAMPLE_RATE // 2])
    report = evaluate(write_video(tmp_path / "word.mp4", clip.frames[:25], word))
    assert report.verdict == "not judged"
    assert not report.passed


def test_other_frame_rates_are_brought_to_25() -> None:
    seconds = (np.arange(60) + 0.5) / 30
    mouth = np.stack([np.sin(seconds), np.cos(seconds)], axis=1).astype(np.float32)
    there = (np.arange(50) + 0.5) / 25
    expected = np.stack([np.sin(there), np.cos(there)], axis=1)
    np.testing.assert_allclose(at_25_fps(mouth, fps=30, num_frames=50), expected, atol=1e-3)
    np.testing.assert_array_equal(at_25_fps(mouth, fps=25, num_frames=50), mouth[:50])


def test_mouths_that_share_a_voice_add_up() -> None:
    first, second = np.zeros((2, 50, 2), np.float32)
    first[:20, 0], second[30:, 0] = 0.05, 0.03
    second += 0.01
    together = sum_above_rest([first, second])[:, 0]
    assert together[10] == pytest.approx(0.05)
    assert together[40] == pytest.approx(0.03)
