"""A live avatar: the sound that goes in comes out with its mouth, at the right time."""

import asyncio
import re
import threading
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import multitalk.live.avatar as avatars
from clocks import TestClock
from multitalk.errors import InvalidRequest, LimitExceeded, NoFaceFound
from multitalk.live import Avatar, LiveFrame
from multitalk.live.playout import PlayoutBuffer, PlayoutFrame
from multitalk.speech.live_visemes import LiveVisemes
from multitalk.speech.viseme_track import VisemeTrack
from multitalk.speech.visemes import analyse_speech
from talks import (
    AHEAD,
    FRAME,
    PORTRAIT,
    ends,
    frames_for,
    frames_until,
    push_in_time,
    small_portrait,
    voice,
)

FADED = 160  # samples: 10 ms


@pytest.fixture
def avatar() -> Iterator[tuple[Avatar, TestClock]]:
    clock = TestClock()
    with Avatar(small_portrait(), size=320, seed=3, quality="draft", clock=clock) as avatar:
        yield avatar, clock


def said_of(
    playout: PlayoutBuffer, sound: NDArray[np.int16], rate: int = 16_000
) -> list[PlayoutFrame]:
    playout.push(sound, rate)
    playout.flush()
    said = [playout.next()]
    while not said[-1].block.ends:
        said.append(playout.next())
    return said


def openings(said: list[PlayoutFrame]) -> NDArray[np.float32]:
    return np.array([one.track.opening[0] * (1 - one.track.closure[0]) for one in said])


def agreement(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def test_live_visemes_agree_with_those_of_the_whole_talk() -> None:
    """With 160 ms of future, and at whatever volume: here 30 dB down."""
    offline = analyse_speech(voice() / np.float32(32_768))
    wanted = offline.opening * (1 - offline.closure)
    said = openings(said_of(PlayoutBuffer(AHEAD), voice() // 32))
    assert len(said) == len(offline)
    assert agreement(said, wanted) > 0.95
    assert 0.9 < said.mean() / wanted.mean() < 1.15


def test_visemes_stay_in_step_when_nothing_is_cut_off() -> None:
    """With no future a frame's last 10 ms are not known yet, and count as silence if it is cut."""
    quiet, sound = np.zeros(FRAME, np.float32), voice()[: 8 * FRAME] / np.float32(32_768)
    cut, whole = LiveVisemes(), LiveVisemes()
    for number in range(1, 9):
        cut.append(quiet)
        cut.cut(number)
        whole.append(quiet)
    for block in sound.reshape(8, FRAME):
        cut.append(block)
        whole.append(block)
    wanted = whole.frame(12).opening[0]
    assert cut.frame(12).opening[0] == pytest.approx(wanted, rel=0.02)
    assert wanted > 0.03


def test_a_burst_is_said_at_once_and_exactly(deaf: None) -> None:
    playout = PlayoutBuffer(AHEAD)
    for _ in range(10):
        playout.next()
    said = said_of(playout, voice())
    assert np.array_equal(np.concatenate([one.block.samples for one in said]), voice())


def test_frames_do_not_depend_on_how_sound_is_cut(drawn: list[VisemeTrack]) -> None:
    """From a microphone in pieces of any length: the same sound with the same mouths."""
    sound, results = voice()[: 25 * FRAME], []
    for size in (10, 20, 100):
        drawn.clear()
        clock = TestClock()
        with Avatar(small_portrait(), clock=clock) as avatar:
            push_in_time(avatar, clock, sound, ms=size)
            clock.at(1.01, avatar.flush)
            frames = frames_until(avatar, ends)
        speaking = [number for number, frame in enumerate(frames) if frame.speaking]
        assert speaking == list(range(speaking[0], speaking[0] + 25))
        assert np.array_equal(np.concatenate([frames[number].pcm for number in speaking]), sound)
        results.append([drawn[number].opening[0] for number in speaking])
    assert results[0] == results[1] == results[2]
    assert max(results[0]) > 0.02


def test_a_microphone_is_heard_one_look_ahead_later(drawn: list[VisemeTrack], deaf: None) -> None:
    clock = TestClock()
    with Avatar(small_portrait(), ahead_ms=80, clock=clock) as avatar:
        push_in_time(avatar, clock, voice(), ms=20)
        frames_until(avatar, lambda frames: frames[-1].speaking)
        assert clock.time == pytest.approx(0.04 + 0.08)


def test_idle_frames_come_in_real_time_and_never_repeat(
    avatar: tuple[Avatar, TestClock],
) -> None:
    live, clock = avatar
    frames = frames_for(live, clock, 1.0)
    assert abs(len(frames) - 25) <= 1
    assert not any(frame.speaking or frame.pcm.any() for frame in frames)
    pictures = [frame.image for frame in frames]
    assert pictures[0].shape == (320, 320, 3)
    assert all((pictures[-1] != earlier).any() for earlier in pictures[:-1])


def test_a_consumer_whose_loop_draws_gets_pictures_that_are_not_to_be_changed(
    drawn: list[VisemeTrack], deaf: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, threads = TestClock(), set()
    with Avatar(small_portrait(), clock=clock) as avatar:
        draw = type(avatar._head).draw

        def noted(self: object, track: VisemeTrack, pitch: float) -> NDArray[np.uint8]:
            threads.add(threading.current_thread())
            return draw(self, track, pitch)

        monkeypatch.setattr(type(avatar._head), "draw", noted)
        avatar.draws_in_loop = True
        called: list[int] = []
        behind: list[int] = []

        def is_over(frames: list[LiveFrame]) -> bool:
            behind.append(len(frames) - len(called))
            asyncio.get_running_loop().call_soon(called.append, len(frames))
            return clock.time >= 0.5

        frames = frames_until(avatar, is_over)
    assert max(behind) <= 2  # others in its loop have their turn
    assert threads == {threading.current_thread()}
    assert len({id(frame.image) for frame in frames}) == len(frames)
    with pytest.raises(ValueError, match="read-only"):
        frames[0].image[:] = 255


def test_an_interruption_drops_the_sound_and_shuts_the_mouth(drawn: list[VisemeTrack]) -> None:
    clock = TestClock()
    with Avatar(small_portrait(), clock=clock) as avatar:
        avatar.push_audio(voice(), 16_000)
        frames_until(avatar, lambda frames: len(frames) > 9 and drawn[-1].opening[0] > 0.03)
        before, asked = len(drawn), clock.time
        was_open = drawn[-1].opening[0]
        avatar.interrupt()
        frames = frames_until(avatar, lambda frames: drawn[-1].opening[0] == 0)
        assert clock.time - asked <= 0.15
        assert not any(frame.speaking for frame in frames)
        rest = np.concatenate([frame.pcm for frame in frames])
        assert not rest[FADED:].any()
        assert [frame.end_of_speech for frame in frames] == [True, False, False]
        # it shuts step by step
        assert was_open > drawn[before].opening[0] > drawn[before + 1].opening[0] > 0
        # and what is said next is said at once
        avatar.push_audio(voice()[: 20 * FRAME], 16_000)
        avatar.flush()
        frames = frames_until(avatar, ends)
        assert sum(frame.speaking for frame in frames) == len(frames) == 20
        assert max(track.opening[0] for track in drawn[-len(frames) :]) > 0.05


@pytest.mark.parametrize("ahead_ms", [0, 120])
@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_interrupted_sound_fades_without_a_click(
    drawn: list[VisemeTrack], deaf: None, ahead_ms: int, rate: int
) -> None:
    """From one sample to the next it changes no more than the sound itself does."""
    tone = np.round(20_000 * np.sin(np.arange(2 * rate) * 2 * np.pi * 170 / rate)).astype(np.int16)
    clock = TestClock()
    with Avatar(small_portrait(), ahead_ms=ahead_ms, clock=clock) as avatar:
        avatar.push_audio(tone, rate)
        frames = frames_until(avatar, lambda frames: sum(one.speaking for one in frames) == 7)
        avatar.interrupt()
        avatar.interrupt()  # again, before the next frame
        avatar.push_audio(tone[: rate // 5], rate)  # what is said next is not faded
        avatar.flush()
        frames += frames_until(avatar, ends)
        frames += frames_until(avatar, lambda frames: frames[-1].speaking)
    sound = np.concatenate([frame.pcm for frame in frames]).astype(int)
    assert np.abs(np.diff(sound)).max() <= np.abs(np.diff(tone.astype(int))).max()
    assert frames[-2].interrupted
    assert not frames[-2].speaking
    assert np.flatnonzero(frames[-2].pcm)[-1] < rate // 100
    assert np.array_equal(frames[-1].pcm, tone[: rate // 25])


def test_where_no_sound_was_played_none_fades(drawn: list[VisemeTrack], deaf: None) -> None:
    clock = TestClock()
    with Avatar(small_portrait(), clock=clock) as avatar:
        frames_for(avatar, clock, 0.2)
        avatar.push_audio(voice(), 16_000)
        avatar.interrupt()
        assert not frames_until(avatar, ends)[-1].pcm.any()
        avatar.push_audio(voice()[: 5 * FRAME], 16_000)
        avatar.flush()
        frames_until(avatar, ends)
        avatar.interrupt()  # after its end
        assert not any(frame.pcm.any() for frame in frames_for(avatar, clock, clock.time + 0.2))


def test_each_end_says_whether_it_is_an_interruptions(deaf: None) -> None:
    playout = PlayoutBuffer(AHEAD)

    def ends_of(count: int) -> list[tuple[bool, bool]]:
        blocks = [playout.next().block for _ in range(count)]
        return [(block.ends, block.interrupted) for block in blocks]

    for _ in range(2):  # before the next frame
        playout.push(np.ones(FRAME, np.int16), 16_000)
        playout.interrupt()
    assert ends_of(2) == [(True, True), (False, False)]
    playout.push(np.ones(9 * FRAME, np.int16), 16_000)
    playout.next()
    playout.interrupt()
    playout.push(np.ones(FRAME, np.int16), 16_000)
    playout.flush()  # speech of one frame, which ends itself in the frame of the interruption
    assert (True, False) in ends_of(AHEAD + 1)


def test_the_rate_may_change_and_sound_comes_out_as_it_was_pushed(deaf: None) -> None:
    playout = PlayoutBuffer(AHEAD)
    playout.push(np.arange(1000, dtype=np.int16), 8_000)
    playout.push(np.arange(960, dtype=np.int16), 24_000)
    playout.flush()
    blocks = [playout.next().block for _ in range(5)]
    assert [(block.rate, len(block.samples)) for block in blocks] == [
        (8_000, 320), (8_000, 320), (8_000, 320), (8_000, 320), (24_000, 960),
    ]  # fmt: skip
    sound = np.concatenate([block.samples for block in blocks[:4]])
    assert np.array_equal(sound[:1000], np.arange(1000))
    assert not sound[1000:].any()
    assert [block.ends for block in blocks] == [False, False, False, False, True]


def test_an_hour_needs_what_a_minute_needs() -> None:
    """What is kept after 24 seconds of talk is no more than after 12: all that is kept of sound
    and of the network's past is of 8 seconds at most.
    """

    def kept(thing: object) -> int:
        if isinstance(thing, np.ndarray):
            return thing.nbytes
        if hasattr(thing, "__dict__"):
            return sum(kept(value) for value in vars(thing).values())
        return sum(map(kept, thing)) if isinstance(thing, list | tuple) or _is_deque(thing) else 8

    playout, sizes = PlayoutBuffer(AHEAD), []
    noise = np.random.default_rng(1).integers(-3000, 3000, 25 * FRAME).astype(np.int16)
    for _ in range(4):
        for _ in range(6):
            playout.push(noise, 16_000)
            for _ in range(25):
                playout.next()
        playout.interrupt()
        playout.next()
        sizes.append(kept(playout))
    assert sizes[0] > 50_000  # band energies of two seconds are counted
    assert sizes[-1] - sizes[1] < 2_000


def _is_deque(thing: object) -> bool:
    return type(thing).__name__ == "deque"


def test_closing_ends_the_frames_and_frees_the_head() -> None:
    clock = TestClock()
    avatar = Avatar(str(PORTRAIT), size=320, quality="draft", clock=clock)
    assert any("pixels high" in warning for warning in avatar.warnings)
    clock.at(0.3, avatar.close)
    frames = frames_until(avatar, lambda _: False)
    assert 6 <= len(frames) <= 9
    assert avatar._head is None
    assert avatar._worker._shutdown
    avatar.close()
    with pytest.raises(InvalidRequest, match="closed"):
        avatar.push_audio(voice(), 16_000)


def test_the_example_of_the_document_runs(
    drawn: list[VisemeTrack],
    deaf: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In real time: a fifth of a second."""
    page = Path(__file__).parents[2] / "docs" / "live.md"
    (code,) = re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    with wave.open(str(tmp_path / "voice.wav"), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 24_000 // 5))
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(page), "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.splitlines() == 5 * ["(2, 2, 3) 960 24000 True"]


@pytest.mark.parametrize(
    ("pcm", "rate", "field"),
    [
        (np.zeros(640, np.int16), 16_010, "rate"),
        (np.zeros(640, np.int16), 96_000, "rate"),
        (np.zeros(640, np.int16), 16_000.0, "rate"),
        (np.zeros((640, 2), np.int16), 16_000, "pcm"),
        (np.zeros(640, np.int32), 16_000, "pcm"),
        (b"123", 16_000, "pcm"),
        ([0, 1], 16_000, "pcm"),
    ],
)
def test_sound_of_another_kind_is_refused(
    drawn: list[VisemeTrack], pcm: object, rate: int, field: str
) -> None:
    with Avatar(small_portrait()) as avatar, pytest.raises(InvalidRequest) as caught:
        avatar.push_audio(pcm, rate)
    assert caught.value.field == field


def test_more_than_ten_minutes_do_not_wait(drawn: list[VisemeTrack]) -> None:
    with Avatar(small_portrait()) as avatar:
        avatar.push_audio(np.zeros(599 * 8_000, np.int16), 8_000)
        with pytest.raises(LimitExceeded, match="599 s of sound wait"):
            avatar.push_audio(np.zeros(16_000, np.int16), 8_000)


@pytest.mark.parametrize(
    ("option", "value"),
    [("size", 20), ("ahead_ms", 100), ("ahead_ms", 440), ("quality", "best"), ("motion", 2.0)],
)
def test_options_that_cannot_be_are_refused(
    drawn: list[VisemeTrack], option: str, value: object
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Avatar(small_portrait(), **{option: value})
    assert caught.value.field == option


def test_portraits_that_cannot_be_are_refused() -> None:
    with pytest.raises(NoFaceFound):
        Avatar(np.zeros((100, 100, 3), np.uint8))
    for portrait in ("nowhere.jpg", 5, np.zeros((9, 9, 3)), np.zeros((9, 9, 2), np.uint8)):
        with pytest.raises(InvalidRequest) as caught:
            avatars._pixels_of(portrait)
        assert caught.value.field == "portrait"
