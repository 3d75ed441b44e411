from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import multitalk.engines.warp.engine as warp
from multitalk.engines.base import FrameChunk, RenderOptions, Scene, Speaker, ignore_progress
from multitalk.engines.warp.engine import SIDES, WarpEngine
from multitalk.engines.warp.eyes import Eyes
from multitalk.engines.warp.notices import face_notices
from multitalk.engines.warp.rig import Rig
from multitalk.engines.warp.rigged_scene import fit_within
from multitalk.errors import InvalidRequest, NoFaceFound
from multitalk.face import mesh
from multitalk.face.detector import FaceDetector, track_faces

FRAMES = 30
SHORT = 16  # more than one chunk
OPTIONS = RenderOptions(seed=5)


def voice(frames: int = FRAMES) -> NDArray[np.float32]:
    """Bursts of a buzzing tone: speech enough for a mouth to move."""
    t = np.arange(frames * 640) / 16000
    buzz = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 20))
    return (0.1 * buzz * (np.sin(2 * np.pi * 3 * t) > -0.3)).astype(np.float32)


def silence(frames: int = FRAMES) -> NDArray[np.float32]:
    return np.zeros(frames * 640, np.float32)


@pytest.fixture(scope="module")
def engine() -> Iterator[WarpEngine]:
    engine = WarpEngine()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def couple(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same person twice, side by side, close enough for their boxes to overlap."""
    return np.concatenate([portrait[:, 40:-40], portrait[:, 40:-40][:, ::-1]], 1)


def frames_of(chunks: Iterator[FrameChunk]) -> NDArray[np.uint8]:
    parts, expected = [], 0
    for chunk in chunks:
        assert chunk.first == expected
        expected += len(chunk.frames)
        parts.append(chunk.frames)
    return np.concatenate(parts)


def solo(portrait: NDArray[np.uint8], speech: NDArray[np.float32], frames: int = FRAMES) -> Scene:
    return Scene(portrait, (Speaker("person1", speech),), "", frames)


@pytest.fixture(scope="module")
def whole(engine: WarpEngine, portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The frames of a short talk of one person."""
    scene = solo(portrait, voice(SHORT), SHORT)
    return frames_of(engine.render(scene, OPTIONS, ignore_progress))


def test_no_talk_begins_with_an_earlier_one(engine: WarpEngine) -> None:
    engine.check(OPTIONS)
    with pytest.raises(InvalidRequest, match="renders every talk anew") as caught:
        engine.check(RenderOptions(seed=5, kept_windows=1))
    assert caught.value.field == "continue_from"


def test_the_talk_has_each_frame_once_and_the_same_seed_gives_the_same(
    engine: WarpEngine, portrait: NDArray[np.uint8], whole: NDArray[np.uint8]
) -> None:
    scene = solo(portrait, voice(SHORT), SHORT)
    again = frames_of(WarpEngine().render(scene, OPTIONS, ignore_progress))
    other = frames_of(engine.render(scene, RenderOptions(seed=6), ignore_progress))
    assert whole.shape == (SHORT, *portrait.shape)
    np.testing.assert_array_equal(whole, again)
    assert np.any(whole != other)


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_frames_do_not_depend_on_how_the_talk_is_cut(
    engine: WarpEngine,
    portrait: NDArray[np.uint8],
    whole: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
) -> None:
    monkeypatch.setattr(warp, "CHUNK_FRAMES", chunk)
    scene = solo(portrait, voice(SHORT), SHORT)
    np.testing.assert_array_equal(frames_of(engine.render(scene, OPTIONS, ignore_progress)), whole)


def openings(frames: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mouth opening of the left and of the right face in every third frame, in face heights."""
    with FaceDetector() as detector:
        pairs = list(track_faces(frames[::3], detector=detector, expected=2))
    left, right = (np.array([pair[i].mouth_opening for pair in pairs]) for i in (0, 1))
    return left, right


def test_a_silent_persons_lips_stay_closed_and_still(
    engine: WarpEngine, couple: NDArray[np.uint8]
) -> None:
    speakers = (Speaker("a", voice()), Speaker("b", silence()))
    speaking, silent = openings(
        frames_of(engine.render(Scene(couple, speakers, "", FRAMES), OPTIONS, ignore_progress))
    )
    assert speaking.mean() > 0.015
    assert silent.max() < 0.012
    assert silent.std() < 0.002


def test_a_photographed_smile_relaxes_under_a_sad_text_unless_the_prompt_says_otherwise(
    engine: WarpEngine, portrait: NDArray[np.uint8]
) -> None:
    def mouth_width(text: str, prompt: str = "") -> float:
        speaker = Speaker("person1", silence(1), text=text)
        scene = Scene(portrait, (speaker,), prompt=prompt, num_frames=1)
        (chunk,) = engine.render(scene, OPTIONS, ignore_progress)
        with FaceDetector() as detector:
            return detector.detect(chunk.frames[0])[0].mouth_width

    sad, smiles = "Our grandmother died last night.", "a woman talks, smiling"
    assert mouth_width(sad) < 0.97 * mouth_width("Hello.")
    assert mouth_width(sad, smiles) == mouth_width("Hello.", smiles)


def test_each_face_follows_its_own_voice(engine: WarpEngine, couple: NDArray[np.uint8]) -> None:
    early = np.concatenate([voice(15), silence(21)])
    late = np.concatenate([silence(24), voice(12)])
    scene = Scene(couple, (Speaker("a", early), Speaker("b", late)), "", 36)
    left, right = openings(frames_of(engine.render(scene, OPTIONS, ignore_progress)))
    assert left[:4].mean() > 0.015
    assert right[9:].mean() > 0.015
    assert left[7:].max() < 0.012
    assert right[:3].max() < 0.012  # before the breath that comes before the voice


def test_the_face_of_somebody_who_does_not_speak_stays_as_photographed(
    engine: WarpEngine, portrait: NDArray[np.uint8]
) -> None:
    one = portrait[:, 105:-105]
    close = np.concatenate([one, one], 1)
    left = Speaker("person1", voice(), (0, 0, one.shape[1], one.shape[0]))
    frames = frames_of(engine.render(Scene(close, (left,), "", FRAMES), OPTIONS, ignore_progress))
    with FaceDetector() as detector:
        _, other = detector.detect(close, expected=2)
    columns, rows = other.points[mesh.NUM_FACE_POINTS :, :2].T.astype(int)  # its irises
    assert (frames[:, rows, columns] == close[rows, columns]).all()


def test_far_from_the_face_nothing_changes(engine: WarpEngine, portrait: NDArray[np.uint8]) -> None:
    wide = np.pad(portrait, ((0, 0), (420, 420), (0, 0)), mode="edge")
    frames = frames_of(engine.render(solo(wide, voice(8), 8), OPTIONS, ignore_progress))
    picture, _ = fit_within(wide, *SIDES["720p"])
    with FaceDetector() as detector:
        face = detector.detect(picture)[0]
    x, y = face.points[:, :2].mean(0)
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    far = np.hypot(columns - x, rows - y) > 1.5 * face.height
    assert far.any()
    change = np.abs(frames[:, far].astype(int) - picture[far]).mean()
    assert change <= 0.5


def test_work_is_done_only_as_it_is_asked_for(
    engine: WarpEngine, portrait: NDArray[np.uint8]
) -> None:
    """An hour of speech costs nothing until its frames are taken."""
    frames = 25 * 3600
    hour = np.broadcast_to(np.float32(0), frames * 640)
    chunks = engine.render(solo(portrait, hour, frames), OPTIONS, ignore_progress)
    assert len(next(chunks).frames) == warp.CHUNK_FRAMES
    chunks.close()  # type: ignore[attr-defined]


def test_a_small_face_is_told_in_pixels_of_the_portrait(portrait: NDArray[np.uint8]) -> None:
    with FaceDetector() as detector:
        face = detector.detect(portrait, expected=1)[0]
    small = cv2.resize(portrait, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA).astype(
        np.uint8
    )
    (notice,) = face_notices(
        "person1", face.scaled(0.4), small, 0.4, covered=False, paints_eyes=True
    )
    assert notice.parameters["height"] == pytest.approx(face.height)
    assert notice.parameters["limit"] == 300


def test_notices_come_once_with_the_first_chunk(
    engine: WarpEngine, portrait: NDArray[np.uint8]
) -> None:
    small = portrait[::3, ::3]
    scene = Scene(small, (Speaker("person1", voice()),), "dancing in the rain", FRAMES)
    first, *rest = engine.render(scene, OPTIONS, ignore_progress)
    assert [notice.key for notice in first.notices] == ["prompt_not_acted", "face_is_small"]
    assert all(not chunk.notices for chunk in rest)


def test_a_choice_among_faces_is_told(engine: WarpEngine, couple: NDArray[np.uint8]) -> None:
    left = next(engine.render(solo(couple, voice()), OPTIONS, ignore_progress))
    assert [notice.key for notice in left.notices] == ["faces_chosen"]
    x = couple.shape[1]
    boxed = Speaker("person1", voice(), (x / 2, 0, x, couple.shape[0]))
    right = next(engine.render(Scene(couple, (boxed,), "", FRAMES), OPTIONS, ignore_progress))
    assert right.notices == ()


def test_shut_eyes_are_told(engine: WarpEngine, portrait: NDArray[np.uint8], rig: Rig) -> None:
    asleep = portrait.copy()
    Eyes(asleep, rig.points, (0, 0), 1).update(closed=1.0, look=(0.0, 0.0))
    first = next(engine.render(solo(asleep, silence()), OPTIONS, ignore_progress))
    assert [notice.key for notice in first.notices] == ["eyes_are_drawn"]


def test_a_picture_without_a_face_is_refused(engine: WarpEngine) -> None:
    grey = np.full((200, 300, 3), 128, np.uint8)
    with pytest.raises(NoFaceFound, match="image_path: no face was found"):
        next(engine.render(solo(grey, voice()), OPTIONS, ignore_progress))


@pytest.mark.parametrize(
    ("size", "resolution", "fitted"),
    [
        ((500, 500), "720p", (500, 500)),
        ((491, 900), "720p", (490, 900)),
        ((1440, 2560), "720p", (720, 1280)),
        ((2560, 1440), "480p", (832, 468)),
        ((1000, 4000), "720p", (320, 1280)),
        ((1, 1), "720p", (2, 2)),
    ],
)
def test_pictures_are_fitted_to_even_sides_and_never_enlarged(
    size: tuple[int, int], resolution: str, fitted: tuple[int, int]
) -> None:
    picture, scale = fit_within(np.zeros((*size, 3), np.uint8), *SIDES[resolution])
    assert picture.shape[:2] == fitted
    assert scale <= 1


def test_the_watch_is_told_of_each_chunk_and_ends_the_talk(
    engine: WarpEngine, portrait: NDArray[np.uint8]
) -> None:
    told: list[float] = []
    frames_of(engine.render(solo(portrait, voice(SHORT), SHORT), OPTIONS, told.append))
    assert told == list(range(0, SHORT, warp.CHUNK_FRAMES))

    def end(done: float) -> None:
        if done:
            raise KeyboardInterrupt

    chunks = engine.render(solo(portrait, voice()), OPTIONS, end)
    next(chunks)
    with pytest.raises(KeyboardInterrupt):
        next(chunks)


def test_an_engine_can_be_closed_twice() -> None:
    engine = WarpEngine()
    for _ in range(2):
        engine.close()
