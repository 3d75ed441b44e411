"""`multitalk.render` and `Studio`."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import pytest

import multitalk
from multitalk.errors import EngineUnavailable, InvalidRequest
from multitalk.face.drawn_face import draw_face
from multitalk.job import Progress
from multitalk.media.video import probe
from multitalk.serving.local import Studio, as_input, with_paths_from
from multitalk.settings import Settings
from patience import PATIENCE_SECONDS

BASE = Path("/base")


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("portrait") / "face.png"
    cv2.imwrite(str(path), draw_face(320)[..., ::-1])
    return path


def test_one_call_renders(portrait: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    output = tmp_path / "new" / "talk.mp4"
    result = multitalk.render(
        portrait, {"text": "Hi"}, "a face", output, seed=3, on_progress=seen.append
    )
    assert (result.video_path, result.seed, result.engine) == (str(output), 3, "warp")
    assert probe(output).num_frames == result.num_frames
    assert seen[-1] == Progress("render", result.num_frames, result.num_frames)


def test_a_studio_renders_again_with_the_engine_it_has(portrait: Path, tmp_path: Path) -> None:
    with Studio("warp") as studio:
        engine = studio.engine
        for name in ("a.mp4", "b.mp4"):
            studio.render(portrait, {"person1": {"text": "Hi"}}, "a face", tmp_path / name)
        assert studio.engine is engine
    assert probe(tmp_path / "a.mp4") == probe(tmp_path / "b.mp4")
    studio.close()  # again


def test_a_studio_is_closed_when_its_talk_is_over() -> None:
    studio, closed = Studio("warp"), threading.Event()
    studio.engine.close()
    studio.engine.close = closed.set  # type: ignore[method-assign]
    with studio._turn:
        closing = threading.Thread(target=studio.close)
        closing.start()
        assert not closed.wait(0.1)
    assert closed.wait(PATIENCE_SECONDS)
    closing.join()


def test_threads_take_turns_with_a_studio(portrait: Path, tmp_path: Path) -> None:
    """The engine's networks end the process if two threads use them at once."""
    paths = [tmp_path / f"{number}.mp4" for number in range(6)]
    # Two signatures are never the same.
    with Studio("warp", settings=Settings(provenance="metadata")) as studio:

        def talk(path: Path) -> None:
            studio.render(portrait, {"text": "Hi"}, "a face", path, seed=1)

        with ThreadPoolExecutor(3) as threads:
            list(threads.map(talk, paths))
    assert len({path.read_bytes() for path in paths}) == 1


def test_every_wrong_argument_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        multitalk.render("a.png", "b.wav", "p", tmp_path / "t.mp4", sede=3, mode="film")
    assert "did you mean seed?" in str(caught.value)
    assert "mode" in str(caught.value)


def test_an_engine_that_cannot_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable):
        multitalk.render("a.png", "b.wav", "p", tmp_path / "t.mp4", engine="diffusion")


@pytest.mark.parametrize(
    ("audio", "voices"),
    [
        ("a.wav", {"person1": "/base/a.wav"}),
        (Path("/else/a.wav"), {"person1": "/else/a.wav"}),
        ({"text": "Hi"}, {"person1": {"text": "Hi"}}),
        ([{"text": "Hi"}, {"text": "ho"}], {"person1": [{"text": "Hi"}, {"text": "ho"}]}),
        (
            {"anna": Path("a.wav"), "ben": {"text": "Hi"}},
            {"anna": "/base/a.wav", "ben": {"text": "Hi"}},
        ),
        ({"text": Path("a.wav")}, {"text": "/base/a.wav"}),  # a speaker of that name
    ],
)
def test_one_voice_or_many_are_understood(audio: object, voices: object) -> None:
    given = as_input("i.png", audio, "p", base=BASE, seed=1)  # type: ignore[arg-type]
    assert given == {
        "prompt": "p",
        "image_path": "/base/i.png",
        "audio_paths": voices,
        "seed": 1,
    }


@pytest.mark.parametrize("source", ["https://a.b/c.png", "data:image/png;base64,AAAA", "", None, 5])
def test_what_is_not_a_path_stays_as_it_is(source: object) -> None:
    assert with_paths_from(BASE, {"image_path": source}) == {"image_path": source}
    voices = {"audio_paths": {"a": source}}
    assert with_paths_from(BASE, voices) == voices
