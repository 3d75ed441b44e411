"""The live avatar in LiveKit's own `AvatarRunner`, with its audio queue, without a media server."""

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

rtc = pytest.importorskip("livekit.rtc", reason="the extra `livekit` is not installed")
pytest.importorskip("livekit.agents", reason="the extra `livekit` is not installed")
from agents import STILL_FRAMES, load, longest_still, seconds_before  # noqa: E402
from livekit.agents import AgentSession  # noqa: E402
from livekit.agents.voice.avatar import (  # noqa: E402
    AudioSegmentEnd,
    AvatarRunner,
    QueueAudioOutput,
)

from multitalk.integrations.livekit import AvatarVideoGenerator  # noqa: E402
from multitalk.live import Avatar  # noqa: E402
from patience import PATIENCE_SECONDS, Attempts  # noqa: E402

PORTRAIT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
RATE = 24_000


class Publication:
    async def wait_for_subscription(self) -> None:
        return None


class StubRoom:
    """Stands for a room on a media server: it is connected, and takes tracks."""

    def __init__(self) -> None:
        self.tracks: list[object] = []
        self.local_participant = self

    def on(self, event: str, callback: object) -> None:
        del event, callback

    off = on

    def isconnected(self) -> bool:
        return True

    async def publish_track(self, track: object, options: object) -> Publication:
        del options
        self.tracks.append(track)
        return Publication()


def speech(seconds: float, channels: int = 1, rate: int = RATE) -> "rtc.AudioFrame":
    times = np.arange(round(seconds * rate)) / rate
    mono = (8000 * np.sin(2 * np.pi * 150 * times)).astype(np.int16)
    samples = np.repeat(mono[:, None], channels, axis=1)
    return rtc.AudioFrame(samples.tobytes(), rate, channels, len(mono))


async def until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not happened():
            await asyncio.sleep(0.02)


@pytest.fixture
def avatar():
    with Avatar(PORTRAIT, size=192, quality="draft") as opened:
        yield opened


def test_the_generator_gives_pictures_their_sound_and_the_end_of_a_segment(avatar):
    async def run() -> list[object]:
        generator = AvatarVideoGenerator(avatar, sample_rate=RATE)
        await generator.push_audio(AudioSegmentEnd())  # of nothing, as after an interruption
        await generator.push_audio(speech(0.4, channels=2))
        await generator.push_audio(AudioSegmentEnd())
        found: list[object] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for each in generator:
                found.append(each)
                if isinstance(each, AudioSegmentEnd):
                    return found
        raise AssertionError

    found = asyncio.run(run())
    sounds = [each for each in found if isinstance(each, rtc.AudioFrame)]
    pictures = [each for each in found if isinstance(each, rtc.VideoFrame)]
    heard = np.concatenate([np.frombuffer(each.data, np.int16) for each in sounds])
    np.testing.assert_array_equal(heard, np.frombuffer(speech(0.4).data, np.int16))
    assert len(pictures) >= len(sounds) == 10
    assert {(each.width, each.height) for each in pictures} == {(avatar.width, avatar.height)}


async def until_segment_ends(generator: AvatarVideoGenerator) -> list["rtc.AudioFrame"]:
    """The audio up to the end of a segment."""
    sounds: list[rtc.AudioFrame] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for each in generator:
            if isinstance(each, AudioSegmentEnd):
                break
            if isinstance(each, rtc.AudioFrame):
                sounds.append(each)
    return sounds


def test_interruptions_in_a_row_leave_the_end_of_the_next_segment(avatar):
    async def run() -> list["rtc.AudioFrame"]:
        generator = AvatarVideoGenerator(avatar, sample_rate=RATE)
        for _ in range(2):
            await generator.push_audio(speech(5.0))
            generator.clear_buffer()
            await generator.push_audio(AudioSegmentEnd())  # of the segment that was dropped
        await generator.push_audio(speech(0.4))
        await generator.push_audio(AudioSegmentEnd())
        return await until_segment_ends(generator)

    assert len(asyncio.run(run())) == 10


def samples(sounds: list["rtc.AudioFrame"]) -> np.ndarray:
    return np.concatenate([np.frombuffer(each.data, np.int16) for each in sounds]).astype(int)


class NotingGenerator(AvatarVideoGenerator):
    """Also keeps what it gives to the runner."""

    def __init__(self, avatar: Avatar) -> None:
        super().__init__(avatar, sample_rate=RATE)
        self.sounds: list[rtc.AudioFrame] = []
        self.pictures: list[bytes] = []  # with sound

    async def __aiter__(self):
        picture = b""
        async for each in super().__aiter__():
            if isinstance(each, rtc.VideoFrame):
                picture = bytes(each.data)
            elif isinstance(each, rtc.AudioFrame):
                self.sounds.append(each)
                self.pictures.append(picture)
            yield each


def test_interrupted_audio_fades_in_the_runner_before_the_interruption_is_reported(avatar):
    async def run() -> tuple[NotingGenerator, list[object], list[object]]:
        generator, started, finished = NotingGenerator(avatar), [], []
        output = QueueAudioOutput(sample_rate=RATE, wait_playback_start=True)
        runner = AvatarRunner(
            StubRoom(), audio_recv=output, video_gen=generator, options=generator.options
        )
        output.on("playback_started", started.append)
        output.on("playback_finished", finished.append)
        await runner.start()
        try:
            await output.capture_frame(speech(20.0))
            await until(lambda: runner._playback_position > 0.2)
            output.flush()
            output.clear_buffer()
            await until(lambda: finished)
            await asyncio.sleep(0.2)
        finally:
            await runner.aclose()
        return generator, started, finished

    generator, started, (finished,) = asyncio.run(run())
    heard, usual = samples(generator.sounds), np.abs(np.diff(samples([speech(1.0)])))
    assert np.abs(np.diff(heard)).max() <= usual.max()
    assert np.abs(heard[-RATE // 50 :]).max() == 0
    assert len(started) == 1
    assert finished.interrupted
    assert finished.playback_position == pytest.approx(len(heard) / RATE)


def test_what_piled_up_in_a_stall_is_played_with_moving_pictures_and_none_of_it_is_lost(avatar):
    """As a speech-to-speech model's audio, which comes as it is spoken."""
    whole = speech(4.0)
    packets = [
        rtc.AudioFrame(bytes(whole.data[start : start + 480]), RATE, 1, 480)
        for start in range(0, 4 * RATE, 480)
    ]

    async def play() -> NotingGenerator:
        generator, finished = NotingGenerator(avatar), []
        output = QueueAudioOutput(sample_rate=RATE)
        runner = AvatarRunner(
            StubRoom(), audio_recv=output, video_gen=generator, options=generator.options
        )
        output.on("playback_finished", finished.append)
        await runner.start()
        try:
            for number, packet in enumerate(packets):
                await asyncio.sleep(seconds_before(number))
                await output.capture_frame(packet)
            output.flush()
            await until(lambda: finished)
        finally:
            await runner.aclose()
        return generator

    def run() -> list[bytes]:
        generator = asyncio.run(play())
        np.testing.assert_array_equal(samples(generator.sounds), samples([whole]))
        return generator.pictures

    @Attempts(run).judge
    def _(pictures: list[bytes]) -> None:
        assert longest_still(pictures) <= STILL_FRAMES


def test_audio_of_another_rate_is_published_at_the_runners(avatar):
    async def run() -> list["rtc.AudioFrame"]:
        generator = AvatarVideoGenerator(avatar, sample_rate=RATE)
        await generator.push_audio(speech(0.4, rate=16_000))
        await generator.push_audio(speech(0.4, rate=48_000))
        await generator.push_audio(speech(0.4))
        await generator.push_audio(AudioSegmentEnd())
        return await until_segment_ends(generator)

    sounds = asyncio.run(run())
    assert {each.sample_rate for each in sounds} == {RATE}
    heard = np.concatenate([np.frombuffer(each.data, np.int16) for each in sounds])
    assert len(heard) == pytest.approx(1.2 * RATE, abs=2 * RATE / 25)
    assert np.abs(heard[: RATE // 2]).max() == pytest.approx(8000, rel=0.1)


def test_the_runner_publishes_tracks_and_reports_what_was_played_and_what_was_cut(avatar):
    async def run() -> list[object]:
        generator = AvatarVideoGenerator(avatar, sample_rate=RATE)
        output = QueueAudioOutput(sample_rate=RATE)
        room = StubRoom()
        runner = AvatarRunner(
            room, audio_recv=output, video_gen=generator, options=generator.options
        )
        finished: list[object] = []
        output.on("playback_finished", finished.append)
        await runner.start()
        try:
            await output.capture_frame(speech(0.6))
            output.flush()
            await until(lambda: len(finished) == 1)
            await output.capture_frame(speech(20.0))
            output.flush()
            await until(lambda: runner._playback_position > 0.2)
            output.clear_buffer()
            await until(lambda: len(finished) == 2)
            await output.capture_frame(speech(0.4))
            output.flush()
            await until(lambda: len(finished) == 3)
        finally:
            await runner.aclose()
        assert len(room.tracks) == 2
        return finished

    first, cut, last = asyncio.run(run())
    assert not first.interrupted
    assert first.playback_position == pytest.approx(0.6, abs=0.05)
    assert cut.interrupted
    assert 0.2 < cut.playback_position < 10
    assert not last.interrupted
    assert last.playback_position == pytest.approx(0.4, abs=0.05)


def test_the_example_gives_a_session_a_face(monkeypatch):
    monkeypatch.chdir(PORTRAIT.parents[1])
    example = load("livekit_avatar")
    small = functools.partial(Avatar, quality="draft")
    monkeypatch.setattr(example, "Avatar", lambda portrait, **_: small(portrait, size=192))

    async def run() -> list[object]:
        session, finished, room = AgentSession(), [], StubRoom()
        runner = await example.add_face(session, room)
        output = session.output.audio
        output.on("playback_finished", finished.append)
        try:
            await output.capture_frame(speech(0.4))
            output.flush()
            await until(lambda: finished)
        finally:
            await runner.aclose()
        assert len(room.tracks) == 2
        return finished

    (played,) = asyncio.run(run())
    assert played.playback_position == pytest.approx(0.4, abs=0.05)
