"""InfiniteTalk's moving source: what each window is shown of it, from a request to the network."""

import wave
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("cv2")
av = pytest.importorskip("av")

from toy import TOY_CONDITIONING_FRAMES, TOY_WINDOW_FRAMES, toy_pipeline

from multitalk.engines.base import RenderOptions, Scene, Speaker, ignore_progress
from multitalk.engines.diffusion.engine import DiffusionEngine
from multitalk.engines.registry import load_engine
from multitalk.errors import InvalidRequest, MediaUndecodable
from multitalk.settings import Settings
from run_jobs import render_to

STRIDE = TOY_WINDOW_FRAMES - TOY_CONDITIONING_FRAMES
NUM_FRAMES = 25  # of the talk: windows at 0, 4, 8, 12 and 16
STARTS = [0, 4, 8, 12, 16]
BITS = 6
SEED = 5


@pytest.fixture(scope="module", params=["infinitetalk"])
def engine(request, tmp_path_factory):
    return engine_of(request.param, tmp_path_factory.mktemp("weights"))


def engine_of(kind: str, directory: Path) -> DiffusionEngine:
    toy_pipeline(kind=kind).save_pretrained(directory)
    return load_engine("diffusion", settings=Settings(weights=directory))


def numbered(number: int, size: tuple[int, int] = (64, 96)) -> np.ndarray:
    """A picture of bars, black or white, that say its number."""
    height, width = size
    bars = np.array([number >> bit & 1 for bit in range(BITS)], np.uint8) * 255
    row = bars[np.arange(width) * BITS // width]
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


def number_in(picture: torch.Tensor) -> int:
    """The number of a picture in [-1, 1], [3, H, W]."""
    middles = (2 * np.arange(BITS) + 1) * picture.shape[-1] // (2 * BITS)
    return sum(1 << bit for bit, x in enumerate(middles) if picture[:, :, x].mean() > 0)


def write_video(path: Path, count: int, *, rate: int = 25, turned: int = 0) -> Path:
    """Numbered pictures; turned so that players turn them back."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        pictures = [np.rot90(numbered(number), -turned // 90) for number in range(count)]
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.set_display_rotation(turned)
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def shown(engine, monkeypatch):
    """The number of the picture that each window is shown, as it comes to CLIP."""
    pipeline, numbers = engine.loaded[0].pipeline, []
    really = pipeline.encode_picture

    def watched(picture: torch.Tensor) -> torch.Tensor:
        numbers.append(number_in(picture))
        return really(picture)

    monkeypatch.setattr(pipeline, "encode_picture", watched)
    return numbers


def render(engine, files: Path, **fields: object):
    """A job of one voice, from its sources to a file; what it leaves is looked for."""
    (work := files / "work").mkdir(exist_ok=True)
    with wave.open(str(files / "voice.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        hum = 9_000 * np.sin(np.arange(NUM_FRAMES * 640) / 20)
        file.writeframes(hum.astype("<i2").tobytes())
    settings = Settings(allowed_roots=(files,), work_directory=work)
    request = {
        "prompt": "a man talks",
        "audio_paths": {"person1": "voice.wav"},
        "seed": SEED,
        "resolution": "480p",
        "sample_steps": 1,
        "sample_text_guide_scale": 1.0,
        "sample_audio_guide_scale": 1.0,
        **fields,
    }
    try:
        return render_to(files / "talk.mp4", request, engine, settings)
    finally:
        assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("video", "expected"),
    [
        ({"count": 40}, STARTS),
        ({"count": 10}, [0, 4, 8, 9, 9]),  # over before the talk is
        ({"count": 60, "rate": 50}, [2 * start for start in STARTS]),
        ({"count": 20, "rate": 10}, [start * 10 // 25 for start in STARTS]),
        ({"count": 40, "turned": 90}, STARTS),
        ({"count": 40, "turned": 180}, STARTS),
    ],
    ids=str,
)
def test_each_window_is_shown_the_source_at_its_start(engine, shown, tmp_path, video, expected):
    write_video(tmp_path / "clip.mp4", **video)
    talk = render(engine, tmp_path, image_path="clip.mp4")
    assert shown == expected
    assert (talk.height, talk.width, talk.num_frames) == (32, 48, NUM_FRAMES)


def test_the_bucket_is_that_of_the_first_frame_as_it_is_seen(engine, tmp_path):
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.set_display_rotation(90)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(1), format="rgb24")))
        container.mux(stream.encode(None))
    talk = render(engine, tmp_path, image_path="clip.mp4")
    assert (talk.height, talk.width) == (48, 32)


class StillFootage:
    """Footage that stands still, and what was asked of it."""

    def __init__(self, picture: np.ndarray) -> None:
        self.picture, self.asked = picture, []

    def at(self, frame: int) -> np.ndarray:
        self.asked.append(frame)
        return self.picture


def frames_of(engine, footage, **options):
    voice = np.sin(np.arange(NUM_FRAMES * 640, dtype=np.float32) / 20)
    speakers = (Speaker("person1", voice),)
    scene = Scene(numbered(21), speakers, "a man talks", NUM_FRAMES, footage)
    how = RenderOptions(
        SEED,
        "480p",
        num_inference_steps=1,
        text_guidance_scale=1.0,
        audio_guidance_scale=1.0,
        **options,
    )
    return np.concatenate([chunk.frames for chunk in engine.render(scene, how, ignore_progress)])


def test_a_video_that_stands_still_is_as_good_as_its_picture(engine):
    footage = StillFootage(numbered(21))
    moving = frames_of(engine, footage, color_correction=1.0)
    assert np.array_equal(moving, frames_of(engine, None, color_correction=1.0))
    assert footage.asked == STARTS[1:]  # the portrait is frame 0


def test_other_footage_gives_other_frames_from_the_second_window_on(engine):
    moving, still = frames_of(engine, StillFootage(numbered(42))), frames_of(engine, None)
    same = [np.array_equal(*pair) for pair in zip(moving, still, strict=True)]
    assert same == [index < TOY_WINDOW_FRAMES for index in range(NUM_FRAMES)]


def test_a_talk_that_begins_anew_asks_for_its_source_anew(engine, shown, tmp_path, monkeypatch):
    pipeline, calls = engine.loaded[0].pipeline, []

    def fail_once(*_: object) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise torch.OutOfMemoryError

    write_video(tmp_path / "clip.mp4", 40)
    hook = pipeline.transformer.register_forward_pre_hook(fail_once)
    try:
        render(engine, tmp_path, image_path="clip.mp4")
    finally:
        hook.remove()
    begun = shown.index(0, 1)
    assert shown[:begun] == STARTS[:begun]
    assert shown[begun:] == STARTS


def test_multitalk_s_weights_are_shown_pictures_only(tmp_path_factory, tmp_path):
    engine = engine_of("multitalk", tmp_path_factory.mktemp("multitalk"))
    assert not engine.takes_footage
    write_video(tmp_path / "clip.mp4", 5)
    with pytest.raises(MediaUndecodable, match=r"image_path: a video .*InfiniteTalk"):
        render(engine, tmp_path, image_path="clip.mp4")
    with pytest.raises(ValueError, match="footage"):
        frames_of(engine, StillFootage(numbered(21)))


def test_a_profile_that_the_weights_lack_is_refused_before_anything_is_fetched(engine, tmp_path):
    with pytest.raises(InvalidRequest, match="it has quality"):
        render(engine, tmp_path, image_path="nowhere.mp4", profile="fusionx")
