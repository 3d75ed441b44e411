"""`multitalk.render` and `Studio`: what they take, what they return, what their errors name."""

import inspect
import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import multitalk
from fake_engine import FakeEngine, load_instead_of_warp
from multitalk.errors import EngineUnavailable, InvalidRequest, RequestError
from multitalk.job import Progress
from multitalk.job.self_test import draw_face
from multitalk.local.arguments import Arguments, describe
from multitalk.local.studio import MAX_INLINE_BYTES, RenderedTalk, Studio, with_paths_from
from multitalk.local.talk_options import TalkOptions
from multitalk.media.audio import read_sound
from multitalk.media.image import load_picture
from multitalk.media.video import probe
from multitalk.schema import TalkRequest
from multitalk.settings import Settings

BASE = Path("/base")
RATE = 16_000
HUM = {"text": "Hi"}


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return draw_face(320)


@pytest.fixture(scope="module")
def portrait(pixels: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("portrait") / "face.png"
    cv2.imwrite(str(path), pixels[..., ::-1])
    return path


@pytest.fixture(scope="module")
def samples() -> NDArray[np.float32]:
    """A quarter of a second of a low voice."""
    seconds = np.arange(RATE // 4) / RATE
    return (0.3 * np.sin(2 * np.pi * 150 * seconds)).astype(np.float32)


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    """One with a fake engine, for what is around it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        load_instead_of_warp(monkeypatch)
        studio = Studio("warp", settings=Settings(provenance="metadata"))
    with studio:
        yield studio


@pytest.fixture(scope="module")
def warp_studio() -> Iterator[Studio]:
    with Studio("warp", settings=Settings(provenance="metadata")) as studio:
        yield studio


@pytest.fixture
def work(tmp_path: Path, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The studio's directory for jobs, which is empty before and after."""
    directory = tmp_path / "work"
    directory.mkdir()
    monkeypatch.setattr(studio, "settings", replace(studio.settings, work_directory=directory))
    return directory


# Rendering --------------------------------------------------------------------------------------


def test_one_call_renders(portrait: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    output = tmp_path / "new" / "talk.mp4"
    result = multitalk.render(portrait, HUM, "a face", output, seed=3, on_progress=seen.append)
    assert (result.video_path, result.seed, result.engine) == (str(output), 3, "warp")
    assert result.path == output
    assert probe(output).num_frames == result.num_frames
    assert seen[-1] == Progress("render", result.num_frames, result.num_frames)


def test_a_studio_renders_again_with_the_engine_it_has(
    portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_instead_of_warp(monkeypatch)
    with Studio("warp") as studio:
        engine = studio.engine
        for name in ("a.mp4", "b.mp4"):
            studio.render(portrait, {"person1": HUM}, "a face", tmp_path / name)
        assert studio.engine is engine
        assert isinstance(engine, FakeEngine)
        assert len(engine.scenes) == 2
    assert probe(tmp_path / "a.mp4") == probe(tmp_path / "b.mp4")
    studio.close()  # again


def test_no_prompt_is_needed_and_none_is_told_about(
    warp_studio: Studio, portrait: Path, tmp_path: Path
) -> None:
    result = warp_studio.render(portrait, HUM, output=tmp_path / "t.mp4", quality="draft")
    assert result.warnings == []
    result = warp_studio.render(portrait, HUM, "he waves", tmp_path / "t.mp4", locale="ko")
    assert "warp 엔진은" in result.warnings[0]


def test_a_closed_studio_says_so(portrait: Path, tmp_path: Path) -> None:
    studio = Studio("warp")
    studio.close()
    for use in (lambda: studio.render(portrait, HUM, output="t.mp4"), studio.__enter__):
        with pytest.raises(InvalidRequest, match="this Studio is closed"):
            use()
    assert list(tmp_path.iterdir()) == []


def test_a_studio_is_closed_when_its_talk_is_over() -> None:
    studio, closed = Studio("warp"), threading.Event()
    studio.engine.close()
    studio.engine.close = closed.set  # type: ignore[method-assign]
    with studio._turn:
        closing = threading.Thread(target=studio.close)
        closing.start()
        assert not closed.wait(0.1)
    assert closed.wait(60)
    closing.join()


def test_threads_take_turns_in_a_studio(
    portrait: Path, tmp_path: Path, warp_studio: Studio
) -> None:
    """An engine renders one talk at a time: its face detector and its renderers are not for two at
    once."""
    paths = [tmp_path / f"{number}.mp4" for number in range(3)]

    def talk(path: Path) -> None:
        warp_studio.render(portrait, HUM, "a face", path, seed=1, quality="draft")

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(talk, paths))
    assert len({path.read_bytes() for path in paths}) == 1


def test_an_engine_that_cannot_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable):
        multitalk.render("a.png", "b.wav", "p", tmp_path / "t.mp4", engine="diffusion")


def seen_in(file: Path) -> NDArray[np.uint8]:
    """A file's pixels as the engines have them."""
    return load_picture(file, field="image", max_pixels=10**9).pixels


# What a picture may be --------------------------------------------------------------------------


class Tensor:
    """What another library has as an array, and hands out as NumPy's."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        return np.array(self._values, dtype)


PICTURES: dict[str, Callable[[Path, NDArray[np.uint8]], Any]] = {
    "text": lambda path, _: str(path),
    "path": lambda path, _: path,
    "bytes": lambda path, _: path.read_bytes(),
    "bytearray": lambda path, _: bytearray(path.read_bytes()),
    "memoryview": lambda path, _: memoryview(path.read_bytes()),
    "BytesIO": lambda path, _: io.BytesIO(path.read_bytes()),
    "file": lambda path, _: path.open("rb"),
    "PIL": lambda path, _: Image.open(path),
    "PIL RGBA": lambda path, _: Image.open(path).convert("RGBA"),
    "PIL CMYK": lambda path, _: Image.open(path).convert("CMYK"),
    "PIL HSV": lambda path, _: Image.open(path).convert("HSV"),
    "PIL palette": lambda path, _: Image.open(path).quantize(),
    "array": lambda _, pixels: pixels,
    "array with alpha": lambda _, pixels: np.dstack([pixels, np.full(pixels.shape[:2], 255, "u1")]),
    "another library's": lambda _, pixels: Tensor(pixels),
    "grey array": lambda _, pixels: pixels.mean(2).astype(np.uint8),
    "grey array with an axis": lambda _, pixels: pixels.mean(2, keepdims=True).astype(np.uint8),
    "a part of an array": lambda _, pixels: np.dstack([pixels, pixels])[:, :, 3:],
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_is_taken_in_every_form(
    kind: str, studio: Studio, portrait: Path, pixels: NDArray[np.uint8], work: Path
) -> None:
    given = PICTURES[kind](portrait, pixels)
    with Arguments(given, HUM, {}, studio.settings) as arguments:
        source = Path(str(arguments.as_fields()["image_path"]))
        seen = seen_in(source).astype(int)
    expected = pixels.astype(int)
    if "grey" in kind:
        expected = np.repeat(pixels.mean(2, keepdims=True).astype(int), 3, axis=2)
    lossy = {"PIL CMYK": 40, "PIL HSV": 6, "PIL palette": 20}
    assert seen.shape == expected.shape
    assert np.abs(seen - expected).mean() <= lossy.get(kind, 0)
    assert list(work.iterdir()) == []
    if hasattr(given, "close"):
        given.close()


def test_a_picture_keeps_its_orientation_and_its_colours(
    studio: Studio, pixels: NDArray[np.uint8], work: Path, tmp_path: Path
) -> None:
    from PIL import ImageCms

    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown a quarter turn to the right
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    wide = pixels[:200]
    Image.fromarray(np.rot90(wide)).save(tmp_path / "turned.png", exif=exif, icc_profile=profile)
    with (
        Image.open(tmp_path / "turned.png") as given,
        Arguments(given, HUM, {}, studio.settings) as arguments,
    ):
        source = Path(str(arguments.as_fields()["image_path"]))
        with Image.open(source) as kept:
            assert kept.info["icc_profile"] == profile
        assert np.array_equal(seen_in(source), wide)
    assert list(work.iterdir()) == []


def test_a_picture_in_memory_may_be_larger_than_a_file(
    studio: Studio, portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = draw_face(320)
    small = replace(studio.settings, max_image_bytes=1000)
    monkeypatch.setattr(studio, "settings", small)
    for image in (pixels, Image.fromarray(pixels)):
        assert studio.render(image, HUM, output=tmp_path / "t.mp4", quality="draft").path.is_file()
    for file in (portrait, portrait.read_bytes()):
        assert "MULTITALK_MAX_IMAGE_BYTES" in str(wrong(file, HUM, studio))
    monkeypatch.setattr(studio, "settings", replace(small, max_image_pixels=1000))
    assert "MULTITALK_MAX_IMAGE_PIXELS" in str(wrong(pixels, HUM, studio))


def test_a_talk_of_arrays_leaves_no_files(
    studio: Studio, pixels: NDArray[np.uint8], samples: NDArray[np.float32], work: Path
) -> None:
    output = work.parent / "t.mp4"
    result = studio.render(pixels, (samples, RATE), output=output)
    assert result.num_frames == 7
    assert list(work.iterdir()) == []


# What a voice may be ----------------------------------------------------------------------------

SAMPLES: dict[str, Callable[[NDArray[np.float32]], Any]] = {
    "float32": lambda samples: (samples, RATE),
    "float64": lambda samples: (samples.astype(np.float64), float(RATE)),
    "float16": lambda samples: (samples.astype(np.float16), np.int64(RATE)),
    "int16": lambda samples: ((samples * 32767).astype(np.int16), RATE),
    "int32": lambda samples: ((samples * 2147483520).astype(np.int32), RATE),
    "big-endian": lambda samples: ((samples * 32767).astype(">i2"), RATE),
    "another library's": lambda samples: (Tensor(samples), RATE),
    "rate first": lambda samples: (RATE, samples),
    "stereo": lambda samples: (np.stack([samples, samples], axis=1), RATE),
    "one channel": lambda samples: (samples[:, None], RATE),
    "a part of an array": lambda samples: (np.repeat(samples, 2)[::2], RATE),
    "a little too loud": lambda samples: (samples * 4, RATE),
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_samples_are_taken_in_every_form(
    kind: str, studio: Studio, samples: NDArray[np.float32], work: Path
) -> None:
    with Arguments("a.png", SAMPLES[kind](samples), {}, studio.settings) as arguments:
        voices = arguments.as_fields()["audio_paths"]
        heard = read_sound(Path(voices["person1"]))  # type: ignore[index]
    expected = samples * 4 if kind == "a little too loud" else samples
    assert len(heard) == len(samples)
    assert np.abs(heard - expected).max() < 1e-3
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    "as_given",
    [
        str,
        Path,
        Path.read_bytes,
        lambda path: io.BytesIO(path.read_bytes()),
    ],
)
def test_an_encoded_recording_is_taken_in_every_form(
    as_given: Callable[[Path], Any],
    studio: Studio,
    portrait: Path,
    samples: NDArray[np.float32],
    work: Path,
) -> None:
    from multitalk.media.array_files import write_samples

    file = work.parent / "v.wav"
    write_samples(samples, RATE, file, field="v")
    result = studio.render(portrait, {"anna": as_given(file)}, output=work.parent / "t.mp4")
    assert result.num_frames == 7
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("audio", "voices"),
    [
        ("a.wav", {"person1": "a.wav"}),
        (Path("/else/a.wav"), {"person1": "/else/a.wav"}),
        ({"text": "Hi"}, {"person1": {"text": "Hi"}}),
        ([{"text": "Hi"}, {"text": "ho"}], {"person1": [{"text": "Hi"}, {"text": "ho"}]}),
        (
            {"anna": Path("a.wav"), "ben": {"text": "Hi", "speed": np.float32(0.5)}},
            {"anna": "a.wav", "ben": {"text": "Hi", "speed": 0.5}},
        ),
        ({"text": Path("a.wav")}, {"text": "a.wav"}),  # a speaker of that name
    ],
)
def test_one_voice_or_many_are_understood(audio: Any, voices: object) -> None:
    with Arguments("i.png", audio, {}, Settings()) as arguments:
        assert arguments.as_fields() == {"image_path": "i.png", "audio_paths": voices}


# What is wrong ----------------------------------------------------------------------------------


def wrong(image: Any, audio: Any, studio: Studio, **options: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        studio.render(image, audio, **{"output": "t.mp4"} | options)
    return caught.value


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (
            np.zeros((9, 9, 3), np.float32),
            r"image=<float32 \[9, 9, 3\]>: an array of float32; .* 0",
        ),
        (np.zeros((9, 9, 3), bool), "an array of bool"),
        (np.zeros((9, 9, 3), np.uint16), "an array of uint16"),
        (np.zeros((3, 9, 9), np.uint8), r"of shape \[3, 9, 9\]; pixels are \[H, W, 3\]"),
        (np.zeros((9, 9, 2), np.uint8), "of shape"),
        (np.zeros((1, 9, 9, 3), np.uint8), "of shape"),
        (np.zeros((0, 9, 3), np.uint8), "of shape"),
        (Image.new("RGB", (0, 5)), r"of shape \[5, 0\]"),
        (5, "image=5: int is not a picture; pass a path"),
        (["a.png"], "list is not a picture"),
        (io.StringIO("x"), "image=<StringIO>: a file opened as text; open it with 'rb'"),
        (io.BytesIO(), "nothing is left to read"),
        (b"", "image=<0 bytes>: the file is empty"),
        (b"no picture", "image=<10 bytes>: not a picture in a known format"),
        ("nope.jpg", "image='nope.jpg': no such file"),
        (Path("nope.jpg"), "image='nope.jpg': no such file"),
        ("", "missing: image"),
    ],
)
def test_a_picture_that_cannot_be_used_is_named(
    image: Any, said: str, studio: Studio, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(work.parent)
    error = wrong(image, HUM, studio)
    assert error.field in ("image", None)
    import re

    assert re.search(said, str(error))
    assert "image_path" not in str(error)
    assert "image_path" not in error.text("ko")
    assert list(work.iterdir()) == []


HALF = np.zeros(8000, np.float32)


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (HALF, "audio=<float32 [8000]>: samples without their rate"),
        ((HALF, 0), "a rate of 0; it must be a whole number"),
        ((HALF, 16_000.5), "a rate of 16000.5"),
        ((HALF, float("nan")), "a rate of nan"),
        ((HALF, "16000"), "a rate of 16000"),
        ((HALF, True), "a rate of True"),
        ((np.zeros((2, 8000), np.float32), RATE), "samples of shape [2, 8000]; they are [S]"),
        ((np.zeros((2, 8, 8), np.float32), RATE), "samples of shape"),
        ((np.zeros(0, np.float32), RATE), "samples of shape [0]"),
        ((np.zeros(9, np.uint8), RATE), "samples of uint8; they are float32"),
        ((np.zeros(9, np.complex64), RATE), "samples of complex64"),
        ((np.zeros(9, np.int64), RATE), "samples of int64"),
        ((np.array([0, np.nan, np.inf], np.float32), RATE), "2 samples are NaN or infinite"),
        ((np.array([0, 1e300]), RATE), "1 samples are NaN or infinite"),
        ((np.array([0, 12_000.0]), RATE), "samples that reach 12000; they must be in [-1, 1]"),
        ((HALF, RATE, 2), "tuple is not a voice"),
        (5, "audio=5: int is not a voice"),
        (None, "NoneType is not a voice"),
        ({"anna": 5}, "audio['anna']=5: int is not a voice"),
        ({"anna": (HALF, 0)}, "audio['anna']=(<float32 [8000]>, 0): a rate of 0"),
        ({"anna": "nope.wav"}, "audio['anna']='nope.wav': no such file"),
        ({"a.b": "nope.wav"}, "audio['a.b']='nope.wav': no such file"),
        ("nope.wav", "audio='nope.wav': no such file"),
        ({"text": "Hi", "voice": "zz9"}, "audio['voice']='zz9': there is no voice"),
        ({"text": "Hi", "language": "tlh"}, "audio['language']='tlh': no voice speaks"),
        ({"text": "Hi", "sped": 1}, "audio['sped']=1: not a field; did you mean speed?"),
        ([HUM, {"text": " "}], "audio[1]['text']=' ': must not be blank"),
        ({"a": HUM, "b": [HUM, {"text": "Hi", "voice": "zz9"}]}, "audio['b'][1]['voice']='zz9'"),
        ({}, "missing: audio"),
    ],
)
def test_a_voice_that_cannot_be_used_is_named(
    audio: Any, said: str, studio: Studio, portrait: Path, work: Path
) -> None:
    error = wrong(portrait, audio, studio)
    assert said in str(error)
    assert "audio_paths" not in error.text("en") + error.text("ko")
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "film"}, "mode='film': \"film\" is not a choice"),
        ({"seed": 0.5}, "seed=0.5: must be a whole number"),
        ({"bbox": {"person1": (1, 2, 0, 4)}}, "bbox['person1']=(1, 2, 0, 4): x_min must be below"),
        ({"bbox": {"person1": (1, -2, 9, 4)}}, "bbox['person1'][1]=-2: -2 is too low"),
        ({"output": None}, "output: name the mp4 to write"),
        ({"output": "talk.avi"}, "output='talk.avi': talk.avi is not the name of a video"),
        ({"prompt": "x" * 10_001}, "prompt='xxxx"),
        ({"locale": "fr"}, "locale='fr': "),
    ],
)
def test_every_other_argument_is_named_with_its_value(
    options: dict[str, Any], said: str, studio: Studio, portrait: Path
) -> None:
    error = wrong(portrait, HUM, studio, **options)
    assert said in str(error)
    assert error.field == next(iter(options))
    assert len(str(error)) < 300


def test_every_wrong_argument_is_named_at_once(studio: Studio, portrait: Path) -> None:
    error = wrong(portrait, {"text": ""}, studio, mode="film", seed=-1)
    assert all(name in str(error) for name in ("audio['text']=''", "mode='film'", "seed=-1"))


def test_an_argument_that_there_is_not_is_python_s_own_error() -> None:
    with pytest.raises(TypeError, match="sede"):
        multitalk.render("a.png", "b.wav", "p", "t.mp4", sede=3)  # type: ignore[call-arg]


def test_a_closed_file_and_a_damaged_picture_are_said(studio: Studio, portrait: Path) -> None:
    file = portrait.open("rb")
    file.close()
    assert "cannot be read (read of closed file)" in str(wrong(file, HUM, studio))
    data = portrait.read_bytes()
    assert "damaged" in str(wrong(Image.open(io.BytesIO(data[:900])), HUM, studio))


def test_numbers_of_numpy_are_numbers(studio: Studio, portrait: Path, tmp_path: Path) -> None:
    result = studio.render(
        portrait,
        HUM,
        output=tmp_path / "t.mp4",
        seed=np.int64(7),  # type: ignore[arg-type]
        bbox={"person1": np.array([0, 0, 320.0, 320])},  # type: ignore[dict-item]
    )
    assert result.seed == 7
    assert isinstance(studio.engine, FakeEngine)
    assert studio.engine.scenes[-1].speakers[0].box == (0, 0, 320, 320)


def test_a_long_argument_is_cut_short() -> None:
    assert len(describe("data:image/png;base64," + 10_000 * "A")) < 80


# The signature ----------------------------------------------------------------------------------


def test_every_field_of_a_request_is_an_argument() -> None:
    for function in (multitalk.render, Studio.render):
        names = set(inspect.signature(function).parameters)
        elsewhere = {"image_path", "audio_paths", "delivery", "engine"}
        elsewhere |= {"continue_from"}  # of jobs that a server keeps
        fields = set(TalkRequest.model_fields) - elsewhere
        assert fields <= names
        assert not any(
            parameter.kind is parameter.VAR_KEYWORD
            for parameter in inspect.signature(function).parameters.values()
        )
    ours = inspect.signature(Studio.render).parameters
    theirs = inspect.signature(multitalk.render).parameters
    assert [name for name in theirs if name != "engine"] == [n for n in ours if n != "self"]
    assert all(ours[name].annotation == theirs[name].annotation for name in theirs if name in ours)


def test_help_describes_every_option() -> None:
    lines = (inspect.getdoc(multitalk.render) or "").splitlines()
    for name in TalkOptions.__annotations__:
        assert any(line.startswith(f"    {name}: ") for line in lines), name


def test_options_that_are_none_are_left_out(studio: Studio, portrait: Path, tmp_path: Path) -> None:
    nothing: TalkOptions = {"seed": 4, "quality": None, "bbox": None, "locale": None}
    result = studio.render(portrait, HUM, output=tmp_path / "t.mp4", **nothing)
    assert result.seed == 4


# The result -------------------------------------------------------------------------------------


def result_of(video: Path, **facts: Any) -> RenderedTalk:
    given = {"width": 320, "height": 240, "fps": 25.0, "num_frames": 25, "duration_seconds": 1.0}
    given |= {"seed": 1, "engine": "warp", "video_path": str(video)}
    return RenderedTalk.model_validate(given | facts)


def test_a_result_is_a_player_in_a_notebook(tmp_path: Path) -> None:
    video = tmp_path / "<b>&.mp4"
    video.write_bytes(b"a video")
    shown = result_of(video, warnings=["<script>alert(1)</script>"])._repr_mimebundle_()
    html = shown["text/html"]
    assert '<video controls playsinline width="320" height="240"' in html
    assert 'src="data:video/mp4;base64,YSB2aWRlbw=="' in html
    assert "<script" not in html
    assert "<b>" not in html
    assert "&lt;b&gt;&amp;.mp4" in html
    assert "RenderedTalk" in shown["text/plain"]


def test_a_large_video_is_played_from_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = tmp_path / 'my "talk".mp4'
    with video.open("wb") as file:
        file.truncate(MAX_INLINE_BYTES + 1)
    monkeypatch.chdir(tmp_path)
    html = result_of(video)._repr_mimebundle_()["text/html"]
    assert 'src="my%20%22talk%22.mp4"' in html
    assert "base64" not in html
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "text/html" not in result_of(video)._repr_mimebundle_()


def test_a_result_whose_video_is_gone_is_shown_as_text(tmp_path: Path) -> None:
    shown = result_of(tmp_path / "gone.mp4")._repr_mimebundle_(include=["text/plain", "text/html"])
    assert set(shown) == {"text/plain"}
    assert result_of(tmp_path / "gone.mp4")._repr_mimebundle_(exclude=["text/plain"]) == {}


def test_a_result_can_be_judged_by_the_name_of_its_file(
    warp_studio: Studio, portrait: Path, tmp_path: Path
) -> None:
    text = {"text": "Lips have something to follow."}
    result = warp_studio.render(portrait, text, output=tmp_path / "t.mp4", quality="draft")
    report = multitalk.evaluate(str(result.path), portrait=str(portrait))
    assert report.people[0].lipsync is not None
    with pytest.raises(multitalk.errors.InvalidRequest, match=r"^video='none\.mp4': no such file"):
        multitalk.evaluate("none.mp4")
    with pytest.raises(multitalk.errors.InvalidRequest, match=r"^voices.a='no.wav': no such"):
        multitalk.evaluate(result.path, voices={"a": "no.wav"})


# Paths ------------------------------------------------------------------------------------------


def test_paths_begin_at_home(
    studio: Studio, portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "face.png").write_bytes(portrait.read_bytes())
    result = studio.render(Path("~/face.png"), HUM, output="~/t.mp4")
    assert result.path == tmp_path / "t.mp4"
    assert result.path.is_file()


@pytest.mark.parametrize("source", ["https://a.b/c.png", "data:image/png;base64,AAAA", "", None, 5])
def test_what_is_not_a_path_stays_as_it_is(source: object) -> None:
    assert with_paths_from(BASE, {"image_path": source}) == {"image_path": source}
    voices = {"audio_paths": {"a": source}}
    assert with_paths_from(BASE, voices) == voices
