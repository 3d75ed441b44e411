"""When a live avatar's frames come: after bursts, with microphones, stalls and slow machines."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaits

import numpy as np
import pytest
from numpy.typing import NDArray

from clocks import TestClock
from multitalk.live import Avatar, LiveFrame
from multitalk.live.pacing import FramePacer
from multitalk.speech.viseme_track import VisemeTrack
from patience import PATIENCE_SECONDS
from talks import AHEAD, FRAME, ends, frames_for, frames_until, push_in_time, small_portrait, voice


@pytest.mark.parametrize("speed", [0.99, 1.01])
def test_a_microphone_is_the_clock(drawn: list[VisemeTrack], speed: float) -> None:
    """One that is a little slow or fast: no frame too many, no delay that grows."""
    clock = TestClock()
    quiet = np.zeros(62 * 16_000, np.int16)
    with Avatar(small_portrait(), clock=clock) as avatar:
        push_in_time(avatar, clock, quiet, ms=20, speed=speed)
        frames = frames_until(avatar, lambda frames: len(frames) == 60 * 25)
        speaking = [frame.speaking for frame in frames]
        assert all(speaking[AHEAD + 1 :])
        assert clock.time * speed == pytest.approx(60, abs=0.2)
        assert avatar._playout.waiting <= 1


def test_a_burst_leaves_in_real_time(drawn: list[VisemeTrack]) -> None:
    clock = TestClock()
    with Avatar(small_portrait(), clock=clock) as avatar:
        clock.at(1.0, lambda: avatar.push_audio(voice()[: 25 * FRAME], 16_000))
        clock.at(1.0, avatar.flush)
        frames = frames_until(avatar, ends)
        assert clock.time == pytest.approx(2.0, abs=0.05)
        assert sum(frame.speaking for frame in frames) == 25
        after = frames_for(avatar, clock, clock.time + 1)
        assert not any(frame.speaking or frame.end_of_speech for frame in after)
        assert drawn[-1].opening[0] == 0


def test_a_machine_that_is_too_slow_repeats_pictures_and_keeps_the_sound(
    drawn: list[VisemeTrack], deaf: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = TestClock()
    with Avatar(small_portrait(), clock=clock) as avatar:
        draw = type(avatar._head).draw

        def slowly(self: object, track: VisemeTrack, pitch: float) -> NDArray[np.uint8]:
            clock.time += 0.06
            return draw(self, track, pitch)

        monkeypatch.setattr(type(avatar._head), "draw", slowly)
        avatar.push_audio(voice(), 16_000)
        avatar.flush()
        frames = frames_until(avatar, ends)
        assert np.array_equal(np.concatenate([frame.pcm for frame in frames]), voice())
        assert clock.time == pytest.approx(len(voice()) / 16_000, abs=0.2)
        assert avatar.repeated == len(frames) - len(drawn) > len(frames) / 5


def speak(
    avatar: Avatar, clock: TestClock, seconds: float, delay: Callable[[int], float] = lambda _: 0.0
) -> None:
    """Schedule a microphone's packets of 20 ms over TCP, each delayed by so many seconds."""
    begins = arrives = clock.time
    for number in range(round(50 * seconds)):
        packet = np.full(320, number + 1, np.int16)
        arrives = max(arrives, begins + 0.02 * (number + 1) + delay(number))  # in order
        clock.at(arrives, lambda packet=packet: avatar.push_audio(packet, 16_000))


def delays(avatar: Avatar, clock: TestClock, seconds: float) -> list[tuple[float, float, bool]]:
    """Of each frame with sound: when it came, how long after its last packet was recorded, and
    whether it is from a backlog."""
    found: list[tuple[float, float, bool]] = []

    def note(frames: list[LiveFrame]) -> bool:
        if frames[-1].speaking:
            recorded = 0.02 * int(frames[-1].pcm[-1])
            found.append((clock.time, clock.time - recorded, frames[-1].catching_up))
        return clock.time >= seconds

    frames_until(avatar, note)
    return found


def test_a_microphones_sound_does_not_wait_for_the_clock(
    drawn: list[VisemeTrack], deaf: None
) -> None:
    """Frames come when its sound does, at whatever time of the clock's frames it began."""
    for begins in (0.5, 0.51, 0.525, 0.535):
        clock = TestClock()
        with Avatar(small_portrait(), clock=clock) as avatar:
            frames_for(avatar, clock, begins)
            clock.time = begins
            speak(avatar, clock, 1)
            waited = [delay - begins for _, delay, _ in delays(avatar, clock, begins + 1)]
        assert max(waited) <= 0.16 + 0.011


def test_a_stall_of_a_microphone_is_caught_up_with(drawn: list[VisemeTrack], deaf: None) -> None:
    """Two seconds without a packet, then all at once: half a second later nothing is late."""
    clock = TestClock()
    with Avatar(small_portrait(), clock=clock) as avatar:
        speak(avatar, clock, 6, lambda number: max(0.0, 4 - 0.02 * (number + 1)) * (number >= 100))
        found = delays(avatar, clock, 6)
    before = [delay for came, delay, _ in found if 1 < came < 2]
    after = [delay for came, delay, _ in found if came > 4.5]
    assert len(after) >= 35
    assert max(after) <= max(before) + 0.05
    assert not any(late for came, _, late in found if came < 3.9 or came > 4.5)
    assert sum(late for *_, late in found) >= 35


@pytest.mark.parametrize("spoken", [0.3, 0.7])
@pytest.mark.parametrize("stall", [0.6, 2.0])
def test_a_microphone_that_stalls_soon_after_it_began_is_no_synthesizer(
    drawn: list[VisemeTrack], deaf: None, spoken: float, stall: float
) -> None:
    """Half a second after the stall its sound is as late as before, and not for as long as it."""
    clock, ends_at = TestClock(), spoken + stall
    with Avatar(small_portrait(), clock=clock) as avatar:
        speak(
            avatar,
            clock,
            6,
            lambda number: max(0.0, ends_at - 0.02 * (number + 1)) * (number >= 50 * spoken),
        )
        found = delays(avatar, clock, 6)
    after = [delay for came, delay, _ in found if came > ends_at + 0.5]
    assert len(after) >= 50
    assert max(after) <= 0.25


@pytest.mark.parametrize("milliseconds", [60, 100, 200])
def test_a_synthesizer_that_is_slow_at_first_is_not_hurried(
    drawn: list[VisemeTrack], deaf: None, milliseconds: int
) -> None:
    """Its first pieces come one by one, then after a while a second of sound at once."""
    clock, piece = TestClock(), np.ones(16 * milliseconds, np.int16)
    with Avatar(small_portrait(), clock=clock) as avatar:
        for when in (0.5, 0.55, 0.75, 0.8):
            clock.at(when, lambda: avatar.push_audio(piece, 16_000))
        clock.at(1.8, lambda: avatar.push_audio(np.ones(15_360, np.int16), 16_000))
        clock.at(1.8, avatar.flush)
        found = delays(avatar, clock, 4)
    assert not any(late for *_, late in found)
    assert len(found) == -(-4 * milliseconds // 40) + 24 + bool(4 * milliseconds % 40)


@pytest.mark.parametrize("milliseconds", [320, 360, 400, 440, 480, 520])
def test_a_short_word_is_not_left_out(
    drawn: list[VisemeTrack], deaf: None, milliseconds: int
) -> None:
    clock = TestClock()
    with Avatar(small_portrait(), clock=clock) as avatar:
        clock.at(1.0, lambda: avatar.push_audio(np.ones(16 * milliseconds, np.int16), 16_000))
        clock.at(1.0, avatar.flush)
        frames = frames_until(avatar, ends)
    assert sum(frame.speaking for frame in frames) == milliseconds / 40
    assert not any(frame.catching_up for frame in frames)


@pytest.mark.parametrize("begins", [0.5, 3.0])
@pytest.mark.parametrize("seconds", [0.4, 5.0])
def test_a_text_is_spoken_whole_while_a_microphone_is_on(
    drawn: list[VisemeTrack], deaf: None, begins: float, seconds: float
) -> None:
    """Afterwards the microphone is no later than before."""
    clock, text = TestClock(), np.full(round(16_000 * seconds), 30_000, np.int16)
    with Avatar(small_portrait(), clock=clock) as avatar:
        speak(avatar, clock, 11)
        clock.at(begins + 0.005, lambda: avatar.push_audio(text, 16_000))
        clock.at(begins + 0.005, avatar.flush)
        spoken: list[LiveFrame] = []
        late: list[float] = []

        def note(frames: list[LiveFrame]) -> bool:
            last = frames[-1]
            if (last.pcm == text[0]).any():
                spoken.append(last)
            elif last.speaking and 10 < clock.time < 10.9:
                late.append(clock.time - 0.02 * int(last.pcm[-1]))
            return clock.time >= 11

        frames_until(avatar, note)
    assert not any(frame.catching_up for frame in spoken)
    assert sum((frame.pcm == text[0]).sum() for frame in spoken) == len(text)
    assert max(late) <= 0.2


def test_a_microphone_of_long_pieces_is_not_left_out(drawn: list[VisemeTrack], deaf: None) -> None:
    clock = TestClock()
    with Avatar(small_portrait(), clock=clock) as avatar:
        push_in_time(avatar, clock, np.ones(8 * 16_000, np.int16), ms=400)
        frames = frames_until(avatar, lambda _: clock.time >= 8)
    assert sum(frame.speaking for frame in frames) >= 25 * 7
    assert not any(frame.catching_up for frame in frames)


def test_where_late_audio_is_kept_words_stay_whole_and_pauses_become_shorter(
    drawn: list[VisemeTrack], deaf: None
) -> None:
    """For a player that leaves nothing out: a stall from 2 to 4 s, a pause from 7 to 9.5 s."""
    clock, loud, frames = TestClock(), 1_000, []
    with Avatar(small_portrait(), clock=clock) as avatar:
        avatar.keeps_late_audio = True
        for number in range(50 * 12):
            is_pause = 350 <= number < 476
            packet = np.full(320, 10 if is_pause else loud + number, np.int16)
            arrives = max(0.02 * (number + 1), 4.0 if number >= 100 else 0.0)
            clock.at(arrives, lambda packet=packet: avatar.push_audio(packet, 16_000))

        def note(found: list[LiveFrame]) -> bool:
            frames.append((clock.time, found[-1]))
            return clock.time >= 12

        frames_until(avatar, note)
    heard = [(came, frame.pcm[::320] - loud) for came, frame in frames if frame.pcm[0] >= loud]
    numbers = [int(number) for _, pair in heard for number in pair if number >= 0]
    assert numbers == [*range(350), *range(476, numbers[-1] + 1)]
    late = {came: came - 0.02 * (int(pair[0]) + 1) for came, pair in heard}
    assert max(late[came] for came in late if came < 2) <= 0.2
    assert min(late[came] for came in late if 6 < came < 8) > 1.5
    assert max(late[came] for came in late if came > 10.5) <= 0.35
    # Every frame is drawn, and they come in real time
    assert not any(frame.catching_up for _, frame in frames)
    assert len(drawn) == len(frames) == pytest.approx(12 * 25, abs=15)


def test_a_synthesizer_that_begins_after_a_stall_is_not_hurried(
    drawn: list[VisemeTrack], deaf: None
) -> None:
    clock = TestClock()
    with Avatar(small_portrait(), clock=clock) as avatar:
        speak(avatar, clock, 2)
        clock.at(3.0, lambda: avatar.push_audio(np.ones(5 * 16_000, np.int16), 16_000))
        found = delays(avatar, clock, 7.5)
    assert not any(late for *_, late in found)
    assert sum(came > 3.5 for came, *_ in found) == pytest.approx(25 * 4, abs=1)


def test_a_burst_and_an_interruption_do_not_wait_for_the_clock(
    drawn: list[VisemeTrack], deaf: None
) -> None:
    for begins in (1.005, 1.015, 1.03):
        clock = TestClock()
        with Avatar(small_portrait(), clock=clock) as avatar:
            clock.at(begins, lambda: avatar.push_audio(voice(), 16_000))
            frames_until(avatar, lambda frames: frames[-1].speaking)
            assert clock.time <= begins + 0.02
            interrupts = clock.time + 0.3 + begins - 1
            clock.at(interrupts, avatar.interrupt)
            frames_until(avatar, ends)
            assert clock.time <= interrupts + 0.02


def test_packets_that_come_late_now_and_then_tear_no_hole(
    drawn: list[VisemeTrack], deaf: None
) -> None:
    """3 % of them by 200 ms, and TCP holds back those behind: silence between sounds is rare."""
    clock, random = TestClock(), np.random.default_rng(3)
    is_late = random.random(50 * 60) < 0.03
    with Avatar(small_portrait(), clock=clock) as avatar:
        speak(avatar, clock, 60, lambda number: 0.2 * is_late[number])
        flags = []

        def note(frames: list[LiveFrame]) -> bool:
            flags.append((frames[-1].speaking, frames[-1].catching_up))
            return clock.time >= 60

        frames_until(avatar, note)
    holes = sum(not speaking for speaking, _ in flags[20:])
    assert holes <= 0.01 * len(flags)
    assert not any(late for _, late in flags)
    assert 25 * 58 <= len(flags) <= 25 * 60 + 10


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("audio_pushed", (0.0, 0.02, 1)),
        ("speech_ended", ()),
        ("interrupted", (0.0,)),
        ("seconds_left", (0.0, 0)),
        ("start_frame", (0.0, 1, 0.0, 1)),
        ("backlog", (1,)),
    ],
)
def test_one_thread_at_a_time_changes_the_schedule(name: str, arguments: tuple[float]) -> None:
    pacer = FramePacer()
    with ThreadPoolExecutor(1) as another:
        with pacer._lock:
            called = another.submit(getattr(pacer, name), *arguments)
            with pytest.raises(StillWaits):
                called.result(0.05)
        called.result(PATIENCE_SECONDS)


def test_a_caller_who_draws_on_a_picture_changes_no_later_one(
    drawn: list[VisemeTrack], deaf: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = TestClock()
    with Avatar(small_portrait(), clock=clock) as avatar:
        draw = type(avatar._head).draw

        def slowly(self: object, track: VisemeTrack, pitch: float) -> NDArray[np.uint8]:
            clock.time += 0.06
            return draw(self, track, pitch)

        monkeypatch.setattr(type(avatar._head), "draw", slowly)

        def is_repeated(frames: list[LiveFrame]) -> bool:
            is_clean = not frames[-1].image.any()
            frames[-1].image[:] = 255
            assert is_clean
            return avatar.repeated > 2

        frames_until(avatar, is_repeated)
