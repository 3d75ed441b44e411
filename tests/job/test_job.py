"""One job, end to end, with a tiny engine: order, length, limits, and what is left behind."""

import base64
import logging
import threading
import wave
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fake_engine import FakeEngine
from multitalk.engines.base import FrameChunk, ProgressCallback, RenderOptions, Scene
from multitalk.errors import (
    Cancelled,
    DeadlineExceeded,
    DeliveryFailed,
    DiskUnusable,
    EngineUnavailable,
    InternalError,
    InvalidRequest,
    MediaUndecodable,
    MultiTalkError,
    NoFaceFound,
    RequestError,
)
from multitalk.job import FinishedTalk, Progress
from multitalk.media.audio import read_sound
from multitalk.media.video import VideoWriter, probe, read_frames
from multitalk.messages import Notice
from multitalk.schema import ErrorReply, TalkResult
from multitalk.settings import Settings
from run_jobs import deliver_job, render_to

COLOR = (200, 40, 90)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a picture and voices of several lengths."""
    directory = tmp_path / "files"
    directory.mkdir()
    Image.new("RGB", (32, 24), COLOR).save(directory / "portrait.png")
    for name, seconds in {
        "one": 1.0,
        "two": 2.0,
        "odd": 0.999,
        "short": 0.2,
        "frame": 0.04,
        "four": 4.0,
    }.items():
        write_wav(directory / f"{name}.wav", hum(seconds))
    write_wav(directory / "silence.wav", np.zeros(16_000, np.int16))
    write_wav(directory / "nothing.wav", np.zeros(0, np.int16))
    return directory


@pytest.fixture
def settings(files: Path, tmp_path: Path) -> Settings:
    work = tmp_path / "work"
    work.mkdir()
    return Settings(allowed_roots=(files,), work_directory=work)


def hum(seconds: float) -> np.ndarray:
    time = np.arange(round(16_000 * seconds)) / 16_000
    return np.round(8_000 * np.sin(2 * np.pi * 200 * time)).astype(np.int16)


def write_wav(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())


def talk_of(
    settings: Settings,
    output: Path,
    engine: FakeEngine | None = None,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
    cancelled: threading.Event | None = None,
    **fields: object,
) -> FinishedTalk:
    """Render a request, by default of one voice of a second."""
    return render_to(
        output,
        request(**fields),
        engine or FakeEngine(),
        settings,
        on_progress=on_progress,
        cancelled=cancelled,
    )


def result_of(settings: Settings, engine: FakeEngine | None = None, **fields: object) -> TalkResult:
    return deliver_job(request(**fields), engine or FakeEngine(), settings)


def request(**fields: object) -> dict[str, object]:
    return {
        "prompt": "somebody talks",
        "image_path": "portrait.png",
        "audio_paths": {"person1": "one.wav"},
        **fields,
    }


@pytest.fixture(autouse=True)
def nothing_is_left_behind(settings: Settings) -> Iterator[None]:
    """However a job of these tests ends, its directory is gone."""
    yield
    assert list(settings.work_directory.iterdir()) == []


# What comes out ---------------------------------------------------------------------------------


def test_the_video_shows_the_engines_frames_for_the_voices_length(
    settings: Settings, tmp_path: Path
) -> None:
    talk = talk_of(settings, tmp_path / "talk.mp4", FakeEngine(chunk_frames=7))
    facts = probe(talk.video)
    assert (facts.width, facts.height) == (talk.width, talk.height) == (48, 64)
    assert (facts.num_frames, talk.num_frames, facts.duration) == (25, 25, 1.0)
    frames = np.stack(list(read_frames(talk.video)))
    np.testing.assert_allclose(frames[:, 60, 24], np.tile(COLOR, (25, 1)), atol=6)
    np.testing.assert_allclose(frames[:, 3, 24, 1], np.arange(25), atol=6)


@pytest.mark.parametrize(
    ("voice", "num_frames"),
    [("one", 25), ("odd", 25), ("short", 5), ("silence", 25), ("two", 50)],
)
def test_the_talk_lasts_as_many_whole_frames_as_cover_the_voice(
    settings: Settings, tmp_path: Path, voice: str, num_frames: int
) -> None:
    talk = talk_of(settings, tmp_path / "talk.mp4", audio_paths={"person1": f"{voice}.wav"})
    assert talk.num_frames == probe(talk.video).num_frames == num_frames


@pytest.mark.parametrize(
    ("audio_type", "num_frames", "starts"),
    [("para", 50, [0, 0]), ("speech", 50, [0, 0]), (None, 50, [0, 0]), ("add", 75, [0, 25])],
)
def test_voices_of_unequal_length_speak_together_or_in_turn(
    settings: Settings,
    tmp_path: Path,
    audio_type: str | None,
    num_frames: int,
    starts: list[int],
) -> None:
    engine = FakeEngine()
    voices = {"left": "one.wav", "right": "two.wav"}
    talk = talk_of(
        settings, tmp_path / "talk.mp4", engine, audio_paths=voices, audio_type=audio_type
    )
    assert talk.num_frames == num_frames
    (scene,) = engine.scenes
    assert [speaker.name for speaker in scene.speakers] == ["left", "right"]
    assert {len(speaker.speech) for speaker in scene.speakers} == {num_frames * 640}
    first_sounds = [int(np.flatnonzero(speaker.speech)[0]) // 640 for speaker in scene.speakers]
    assert first_sounds == starts


def test_a_clip_is_one_window_at_most(settings: Settings, tmp_path: Path) -> None:
    engine = FakeEngine()
    voices = {"person1": "four.wav"}
    talk = talk_of(settings, tmp_path / "c.mp4", engine, mode="clip", audio_paths=voices)
    assert talk.num_frames == probe(talk.video).num_frames == 81
    assert len(engine.scenes[0].speakers[0].speech) == 81 * 640
    assert abs(len(read_sound(talk.video)) - 81 * 640) <= 1024
    assert talk_of(settings, tmp_path / "short.mp4", mode="clip").num_frames == 25


def test_a_text_is_spoken_and_its_sounds_are_timed_in_the_video(
    settings: Settings, tmp_path: Path
) -> None:
    texts = [{"text": "안녕하세요."}, {"text": "Good morning.", "language": "en"}]
    voices = {"person1": "one.wav", "person2": texts}
    talk = talk_of(settings, tmp_path / "talk.mp4", audio_paths=voices, audio_type="add")
    sounds = talk.phonemes["person2"]
    assert set(talk.phonemes) == {"person2"}
    assert sounds[0].start_seconds == pytest.approx(1.0, abs=0.1)
    assert sounds[-1].end_seconds == pytest.approx(talk.num_frames / 25, abs=0.05)
    assert all(a.end_seconds <= b.start_seconds + 1e-9 for a, b in pairwise(sounds))
    assert "speak" in talk.timings
    assert [caption.text for caption in talk.captions] == ["안녕하세요.", "Good morning."]
    assert talk.captions[0].start_seconds >= sounds[0].end_seconds - 0.01  # after the silence
    assert talk.captions[-1].end_seconds <= talk.num_frames / 25


def test_the_engine_is_told_what_the_request_says(settings: Settings, tmp_path: Path) -> None:
    engine = FakeEngine()
    talk_of(
        settings,
        tmp_path / "talk.mp4",
        engine,
        seed=11,
        sample_steps=4,
        sample_text_guide_scale=3.0,
        sample_audio_guide_scale=4.0,
        sample_shift=7.0,
        resolution="480p",
        quality="fine",
        bbox={"person1": [1, 2, 3, 4]},
    )
    (options,), (scene,) = engine.options, engine.scenes
    assert (options.seed, options.num_inference_steps, options.shift) == (11, 4, 7.0)
    assert (options.text_guidance_scale, options.audio_guidance_scale) == (3.0, 4.0)
    assert (options.resolution, options.quality) == ("480p", "fine")
    assert scene.prompt == "somebody talks"
    assert scene.speakers[0].box == (1, 2, 3, 4)
    np.testing.assert_array_equal(scene.portrait, np.full((24, 32, 3), COLOR, np.uint8))


def test_what_is_not_given_is_the_engine_s_own(settings: Settings) -> None:
    engine = FakeEngine()
    result_of(settings, engine)
    result_of(settings, engine, negative_prompt="")
    assert [options.resolution for options in engine.options] == [None, None]
    assert [options.negative_prompt for options in engine.options] == [None, ""]


def test_a_seed_that_is_not_given_is_drawn_and_told(settings: Settings) -> None:
    engine = FakeEngine()
    seeds = [result_of(settings, engine).seed for _ in range(2)]
    assert seeds == [options.seed for options in engine.options]
    assert seeds[0] != seeds[1]
    assert result_of(settings, seed=5).seed == 5


def test_an_engine_without_qualities_renders_as_ever_and_the_reply_says_so(
    settings: Settings, tmp_path: Path
) -> None:
    class Plain(FakeEngine):
        takes_quality = False

    engine = Plain()
    (warning,) = talk_of(settings, tmp_path / "a.mp4", engine, quality="fine").warnings
    assert "does not know quality fine" in warning
    assert not talk_of(settings, tmp_path / "b.mp4", engine, quality="standard").warnings
    assert [options.quality for options in engine.options] == ["standard", "standard"]
    talk_of(settings, tmp_path / "c.mp4", quality="fine")
    # x264 writes into a file how it was told to encode.
    told = [b"crf=18" in (tmp_path / f"{name}.mp4").read_bytes() for name in "abc"]
    assert told == [True, True, False]


def test_the_engines_notices_are_told_in_the_requests_language(settings: Settings) -> None:
    notices = (Notice("face_is_small", {"speaker": "person1", "height": 80.0, "limit": 120}),)
    (english,) = result_of(settings, FakeEngine(notices=notices)).warnings
    (korean,) = result_of(settings, FakeEngine(notices=notices), locale="ko").warnings
    assert english.startswith("person1: the face is only 80 pixels")
    assert korean.startswith("person1: 얼굴 높이가 80픽셀")


def test_the_result_is_json_with_every_stages_seconds(settings: Settings) -> None:
    reply = result_of(settings).reply()
    assert reply["status"] == "success"
    timings = reply["timings"]
    assert isinstance(timings, dict)
    assert list(timings) == [
        "collect",
        "load",
        "render",
        "deliver",
    ]
    assert all(seconds >= 0 for seconds in timings.values())


def test_progress_follows_the_order_of_things(settings: Settings, tmp_path: Path) -> None:
    seen: list[Progress] = []
    talk_of(settings, tmp_path / "t.mp4", FakeEngine(chunk_frames=10), on_progress=seen.append)
    stages = list(dict.fromkeys(progress.stage for progress in seen))
    assert stages == ["collect", "load", "render"]
    rendered = [(p.done, p.total) for p in seen if p.stage == "render"]
    assert rendered == [(0, 25), (10, 25), (20, 25), (25, 25)]


def test_each_stage_and_the_first_frames_are_one_line_of_the_log_each(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="multitalk.job"):
        result_of(settings)
    lines = [record.message for record in caplog.records]
    stages = ["collect", "load", "first", "render", "deliver"]  # first frames, within rendering
    assert [line.split()[2] for line in lines] == stages
    assert all("job-1" in line for line in lines)


@pytest.mark.parametrize(("voice", "silent"), [("silence", True), ("one", False)])
def test_a_voice_without_a_sound_is_told(settings: Settings, voice: str, silent: bool) -> None:
    voices = {"ann": f"{voice}.wav", "bob": "one.wav"}
    warnings = result_of(settings, audio_paths=voices).warnings
    assert [warning.startswith("ann: nothing is heard") for warning in warnings] == [True] * silent


# What goes wrong --------------------------------------------------------------------------------


def test_a_crash_becomes_an_answer_that_says_nothing_foreign(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "talk.mp4"
    engine = FakeEngine(error=OSError("secret /etc/path"))
    with pytest.raises(InternalError) as caught:
        talk_of(settings, output, engine)
    assert "secret" not in caught.value.text()
    assert "job-1" in caught.value.text()
    details = ErrorReply.of(caught.value, "en").reply()["details"]
    assert (details["stage"], details["job_id"]) == ("render", "job-1")
    assert "secret" not in str(details)
    assert "secret /etc/path" in caplog.text  # the operator can read it
    assert not output.exists()
    assert engine.closed == 1


@pytest.mark.parametrize(
    ("fields", "stage"),
    [
        ({"image_path": "nothing.png"}, "collect"),
        ({"image_path": "one.wav"}, "collect"),
        ({"audio_paths": {"a": {"text": "hello", "voice": "nobody"}}}, "speak"),
        ({"image_path": "broken.png"}, "load"),
        ({"engine": "diffusion"}, None),
        ({"delivery": {"type": "bucket"}}, None),
    ],
)
def test_an_error_knows_the_job_and_the_stage_that_failed(
    files: Path, settings: Settings, fields: dict[str, object], stage: str | None
) -> None:
    (files / "broken.png").write_bytes((files / "portrait.png").read_bytes()[:40])
    with pytest.raises(MultiTalkError) as caught:
        result_of(settings, **fields)
    assert (caught.value.stage, caught.value.job_id) == (stage, "job-1")


@pytest.mark.parametrize("how", ["bucket", "volume"])
def test_a_delivery_that_is_not_set_up_is_told_before_the_work(
    settings: Settings, how: str
) -> None:
    engine = FakeEngine()
    with pytest.raises(DeliveryFailed, match="delivery"):
        result_of(settings, engine, delivery={"type": how})
    assert engine.scenes == []


def test_a_work_directory_that_is_not_there_is_told_without_its_path(
    files: Path, tmp_path: Path
) -> None:
    lost = Settings(allowed_roots=(files,), work_directory=tmp_path / "lost")
    with pytest.raises(DiskUnusable, match="MULTITALK_WORK_DIRECTORY") as caught:
        result_of(lost)
    assert "lost" not in caught.value.text()


def test_the_longest_name_is_a_name(settings: Settings, tmp_path: Path) -> None:
    output = tmp_path / ("n" * 251 + ".mp4")
    talk_of(settings, output)
    assert output.is_file()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_what_ends_the_process_passes_and_leaves_nothing(
    settings: Settings, tmp_path: Path, error: BaseException
) -> None:
    output = tmp_path / "out" / "talk.mp4"
    output.parent.mkdir()
    with pytest.raises(type(error)):
        talk_of(settings, output, FakeEngine(error=error))
    assert list(output.parent.iterdir()) == []


def test_what_was_there_stays_until_the_video_is_whole(settings: Settings, tmp_path: Path) -> None:
    output = tmp_path / "talk.mp4"
    output.write_bytes(b"before")
    with pytest.raises(InternalError):
        talk_of(settings, output, FakeEngine(error=RuntimeError()))
    assert output.read_bytes() == b"before"
    talk_of(settings, output)
    assert probe(output).num_frames == 25


def test_progress_and_cancelling_are_finer_than_a_chunk(settings: Settings, tmp_path: Path) -> None:
    engine = FakeEngine(chunk_frames=20, steps_per_chunk=4)
    cancelled = threading.Event()
    seen: list[int] = []

    def stop_at_thirty(progress: Progress) -> None:
        if progress.stage == "render":
            seen.append(progress.done)
            if progress.done == 30:
                cancelled.set()

    with pytest.raises(Cancelled):
        talk_of(
            settings,
            tmp_path / "t.mp4",
            engine,
            on_progress=stop_at_thirty,
            cancelled=cancelled,
            audio_paths={"person1": "two.wav"},
        )
    assert seen == [0, 5, 10, 15, 20, 25, 30]
    assert (engine.num_chunks, engine.num_steps) == (1, 4 + 3)
    assert engine.closed == 1


def test_progress_never_goes_back_whatever_an_engine_says(
    settings: Settings, tmp_path: Path
) -> None:
    class Forgetful(FakeEngine):
        def render(
            self, scene: Scene, options: RenderOptions, watch: ProgressCallback
        ) -> Iterator[FrameChunk]:
            for chunk in super().render(scene, options, watch):
                watch(0.0)
                yield chunk

    seen: list[Progress] = []
    talk_of(settings, tmp_path / "t.mp4", Forgetful(chunk_frames=5), on_progress=seen.append)
    done = [progress.done for progress in seen if progress.stage == "render"]
    assert done == [0, 5, 10, 15, 20, 25]


def test_a_job_is_cancelled_within_the_decoding_of_a_voice(
    files: Path, settings: Settings, tmp_path: Path
) -> None:
    (files / "empty.amr").write_bytes(b"#!AMR\n" + b"\x7c" * 1000)  # of which nothing decodes
    cancelled, told = threading.Event(), []

    def on_progress(progress: Progress) -> None:
        told.append(progress)
        if (progress.stage, progress.done) == ("load", 1):
            cancelled.set()

    voice = {"person1": "empty.amr"}
    output = tmp_path / "t.mp4"
    with pytest.raises(Cancelled):
        talk_of(settings, output, on_progress=on_progress, cancelled=cancelled, audio_paths=voice)
    assert told[-1].stage == "load"


def test_a_job_that_is_cancelled_before_it_starts_does_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    cancelled = threading.Event()
    cancelled.set()
    engine = FakeEngine()
    with pytest.raises(Cancelled):
        talk_of(settings, tmp_path / "t.mp4", engine, cancelled=cancelled)
    assert engine.scenes == []


def test_a_job_ends_at_its_deadline(files: Path, settings: Settings, tmp_path: Path) -> None:
    hurried = Settings(
        allowed_roots=(files,), work_directory=settings.work_directory, job_seconds=0.3
    )
    engine = FakeEngine(chunk_frames=1, seconds_per_chunk=0.1)
    with pytest.raises(DeadlineExceeded, match="MULTITALK_JOB_SECONDS"):
        talk_of(hurried, tmp_path / "t.mp4", engine)
    assert engine.num_chunks < 6


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"image_path": "one.wav"}, MediaUndecodable, "image_path"),
        ({"image_path": "none.png"}, InvalidRequest, "image_path"),
        ({"audio_paths": {"bob": "portrait.png"}}, MediaUndecodable, "audio_paths.bob"),
        ({"audio_paths": {"bob": "nothing.wav"}}, MediaUndecodable, "audio_paths.bob"),
        ({"audio_paths": {"bob": {"text": "?!"}}}, InvalidRequest, "audio_paths.bob.text"),
        (
            {"audio_paths": {"bob": [{"text": "a"}, {"text": "b", "voice": "nobody"}]}},
            InvalidRequest,
            "audio_paths.bob.1.voice",
        ),
    ],
)
def test_what_the_caller_can_fix_is_named_by_field(
    settings: Settings,
    tmp_path: Path,
    fields: dict[str, object],
    error: type[InvalidRequest],
    field: str,
) -> None:
    with pytest.raises(error) as caught:
        talk_of(settings, tmp_path / "t.mp4", **fields)
    assert caught.value.field == field


@pytest.mark.parametrize("lost", [{0}, {10}, {20}, {0, 10, 20}])
def test_an_engine_that_loses_frames_is_a_crash(
    settings: Settings, tmp_path: Path, lost: set[int]
) -> None:
    class Losing(FakeEngine):
        def render(
            self, scene: Scene, options: RenderOptions, watch: ProgressCallback
        ) -> Iterator[FrameChunk]:
            return (c for c in super().render(scene, options, watch) if c.first not in lost)

    with pytest.raises(InternalError):
        talk_of(settings, tmp_path / "t.mp4", Losing())
    assert not (tmp_path / "t.mp4").exists()


def test_an_engine_that_mixes_its_chunks_up_is_a_crash(settings: Settings, tmp_path: Path) -> None:
    class Mixing(FakeEngine):
        def render(
            self, scene: Scene, options: RenderOptions, watch: ProgressCallback
        ) -> Iterator[FrameChunk]:
            return reversed(list(super().render(scene, options, watch)))

    with pytest.raises(InternalError):
        talk_of(settings, tmp_path / "t.mp4", Mixing(chunk_frames=5))


def test_another_engine_than_the_one_asked_for_is_never_taken(settings: Settings) -> None:
    engine = FakeEngine()
    with pytest.raises(EngineUnavailable, match="runs the warp engine, not diffusion"):
        deliver_job(request(engine="diffusion"), engine, settings)
    assert engine.scenes == []


def test_what_the_engine_refuses_is_refused_before_anything_is_fetched(settings: Settings) -> None:
    class Choosy(FakeEngine):
        def check(self, options: RenderOptions) -> None:
            raise InvalidRequest(
                "profile_not_offered", field="profile", value=options.profile, names="quality"
            )

    stages: list[str] = []
    with pytest.raises(InvalidRequest, match="it has quality"):
        talk_of(
            settings,
            settings.work_directory / "t.mp4",
            Choosy(),
            on_progress=lambda progress: stages.append(progress.stage),
            image_path="nowhere.png",
            profile="fusionx",
        )
    assert stages == []


def test_where_no_earlier_talks_are_kept_none_is_continued(settings: Settings) -> None:
    stages: list[str] = []
    with pytest.raises(InvalidRequest, match="no earlier jobs are kept here") as caught:
        talk_of(
            settings,
            settings.work_directory / "t.mp4",
            on_progress=lambda progress: stages.append(progress.stage),
            continue_from={"job": "a", "windows": 1},
        )
    assert (caught.value.field, stages) == ("continue_from", [])


# A video in the picture's place -----------------------------------------------------------------


class Moving(FakeEngine):
    """Takes footage, and shows the brightness of the source at each chunk's start."""

    takes_footage = True

    def render(
        self, scene: Scene, options: RenderOptions, watch: ProgressCallback
    ) -> Iterator[FrameChunk]:
        for chunk in super().render(scene, options, watch):
            seen = scene.portrait if scene.footage is None else scene.footage.at(chunk.first)
            chunk.frames[:, 8:] = round(seen.mean())
            yield chunk


@pytest.fixture
def clip(files: Path) -> Path:
    """Half a second of video that becomes brighter with each frame."""
    path = files / "clip.mp4"
    frames = np.empty((12, 48, 64, 3), np.uint8)
    frames[:] = 10 * (1 + np.arange(12)).reshape(-1, 1, 1, 1)
    with VideoWriter(path, width=64, height=48, soundtrack=None) as writer:
        writer.append(frames)
    return path


def test_an_engine_that_takes_footage_is_given_a_video_by_its_frames(
    settings: Settings, tmp_path: Path, clip: Path
) -> None:
    engine = Moving(chunk_frames=5)
    talk_of(settings, tmp_path / "t.mp4", engine, image_path=str(clip))
    shown = [int(frame[20:].mean()) for frame in read_frames(tmp_path / "t.mp4")][::5]
    assert np.abs(np.array(shown) - [10, 60, 110, 120, 120]).max() <= 3
    (scene,) = engine.scenes
    assert scene.portrait.shape == (48, 64, 3)
    assert abs(scene.portrait.mean() - 10) < 3


def test_a_picture_is_no_footage(settings: Settings, tmp_path: Path) -> None:
    engine = Moving()
    talk_of(settings, tmp_path / "t.mp4", engine)
    assert engine.scenes[0].footage is None


@pytest.mark.parametrize("form", ["path", "data_uri", "base64"])
def test_a_video_is_refused_where_the_engine_moves_a_picture(
    settings: Settings, tmp_path: Path, clip: Path, form: str
) -> None:
    content = base64.b64encode(clip.read_bytes()).decode()
    source = {"path": str(clip), "data_uri": f"data:video/mp4;base64,{content}"}.get(form, content)
    engine, stages = FakeEngine(), []
    with pytest.raises(MediaUndecodable, match=r"image_path: a video .*InfiniteTalk") as caught:
        talk_of(
            settings,
            tmp_path / "t.mp4",
            engine,
            on_progress=lambda progress: stages.append(progress.stage),
            image_path=source,
        )
    assert "정지 이미지" in caught.value.text("ko")
    assert (engine.scenes, stages) == ([], ["collect"])


def test_a_video_that_cannot_be_read_or_is_too_much_is_refused_before_the_work(
    settings: Settings, tmp_path: Path, clip: Path
) -> None:
    content = clip.read_bytes()
    (cut := clip.with_name("cut.mp4")).write_bytes(content[: len(content) // 2])
    engine = Moving()
    for video, changed, said in [
        (cut, {}, "damaged"),
        (clip, {"max_video_bytes": 500}, "MULTITALK_MAX_VIDEO_BYTES"),
        (clip, {"max_video_pixels": 64 * 48 - 1}, "MULTITALK_MAX_VIDEO_PIXELS"),
        (clip, {"max_video_seconds": 0.3}, "MULTITALK_MAX_VIDEO_SECONDS"),
    ]:
        limits = replace(settings, **changed)
        with pytest.raises(RequestError, match=said) as caught:
            talk_of(limits, tmp_path / "t.mp4", engine, image_path=str(video))
        assert caught.value.field == "image_path"
    assert engine.scenes == []


def test_boxes_are_in_pixels_of_the_file_however_large_it_is(
    files: Path, settings: Settings, tmp_path: Path
) -> None:
    Image.new("RGB", (320, 240), COLOR).save(files / "large.jpg")
    engine = FakeEngine()
    talk = talk_of(
        replace(settings, max_image_pixels=10_000),
        tmp_path / "talk.mp4",
        engine,
        image_path="large.jpg",
        bbox={"person1": [40, 80, 160, 240]},
    )
    (scene,) = engine.scenes
    assert scene.portrait.shape == (60, 80, 3)
    assert scene.speakers[0].box == (10, 20, 40, 60)
    assert "320x240" in talk.warnings[0]
    assert "80x60" in talk.warnings[0]


def test_an_error_about_a_box_names_the_size_of_the_file(
    files: Path, settings: Settings, tmp_path: Path
) -> None:
    Image.new("RGB", (320, 240), COLOR).save(files / "large.jpg")
    missed = NoFaceFound("no_face_in_box", field="bbox.person1", width=80, height=60)
    with pytest.raises(NoFaceFound, match="320x240"):
        talk_of(
            replace(settings, max_image_pixels=10_000),
            tmp_path / "talk.mp4",
            FakeEngine(error=missed),
            image_path="large.jpg",
        )
