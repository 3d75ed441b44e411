"""When the live page plays each frame: `js/live_timeline.js` with arrivals that a test decides."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

# `arrivals` are [number of the frame, seconds, what it is]: "loud", "quiet" or "idle".
PLAY = """async ([arrivals, skips]) => {
  const { Timeline } = await import("/js/live_timeline.js");
  const timeline = new Timeline();
  return arrivals.map(([number, now, kind]) => {
    const isSpeaking = kind !== "idle";
    const placed = timeline.place(number, now, { isSpeaking, isQuiet: kind !== "loud", skips });
    return { number, now, kind, delay: placed.time - now, ...placed };
  });
}"""


@pytest.fixture(scope="module")
def page(browser, served) -> Iterator[Page]:
    opened = browser.new_page()
    opened.goto(f"{served.url}/live.html")
    yield opened
    opened.close()


def played(page: Page, arrivals: list, *, skips: bool = False) -> list[dict]:
    return page.evaluate(PLAY, [arrivals, skips])


def paced(first: int, count: int, start: float, kind: str) -> list:
    """Frames that come every 40 ms."""
    return [[first + n, start + 0.04 * n, kind] for n in range(count)]


def overlaps(frames: list[dict]) -> int:
    """How many loud frames begin before the loud one before them has ended."""
    loud = [frame for frame in frames if frame["kind"] == "loud"]
    ends = [frame["time"] + 0.04 / frame["rate"] for frame in loud]
    return sum(after["time"] < end - 1e-6 for end, after in zip(ends, loud[1:], strict=False))


def test_a_steady_stream_waits_a_moment_only(page):
    frames = played(page, paced(0, 50, 5.0, "idle") + paced(50, 100, 7.0, "loud"))
    assert max(frame["delay"] for frame in frames) <= 0.03
    assert min(frame["delay"] for frame in frames) >= 0.01


def test_speech_that_comes_sooner_than_due_is_played_sooner(page):
    """An answer's first frame comes up to 20 ms after the idle one before it."""
    frames = played(page, paced(0, 50, 5.0, "idle") + paced(50, 20, 6.98, "loud"))
    assert frames[50]["delay"] <= 0.03
    assert overlaps(frames) == 0


def test_jitter_makes_the_buffer_longer_and_calm_makes_it_shorter(page):
    shaken = [[n, 0.04 * n + 0.06 * (n % 3 == 0), "quiet"] for n in range(100)]
    calm = paced(100, 150, 4.0, "quiet")
    frames = played(page, shaken + calm)
    late = [frame for frame in frames[30:100] if frame["delay"] < 0]
    assert not late
    assert 0.06 <= frames[99]["time"] - 99 * 0.04 <= 0.12
    assert frames[-1]["delay"] <= 0.03


def test_speech_is_never_cut_and_catches_up_in_its_pauses(page):
    """After two seconds without frames, all of them at once."""
    before = paced(0, 100, 0.0, "loud")
    pile = [[n, 6.0, "loud"] for n in range(100, 150)]
    after = [[n, 0.04 * n, "quiet" if n % 4 == 0 else "loud"] for n in range(150, 500)]
    frames = played(page, before + pile + after)
    assert overlaps(frames) == 0
    assert not any(frame["isCut"] for frame in frames)
    assert frames[149]["delay"] == pytest.approx(2.0, abs=0.05)
    assert frames[-1]["delay"] <= 0.3


def test_speech_without_a_pause_catches_up_a_hundredth_faster(page):
    """After one frame that was 100 ms late."""
    late = [[100, 4.1, "loud"], [101, 4.1, "loud"], [102, 4.1, "loud"]]
    frames = played(page, paced(0, 100, 0.0, "loud") + late + paced(103, 350, 4.12, "loud"))
    assert overlaps(frames) == 0
    assert frames[103]["delay"] >= 0.1
    assert frames[-1]["delay"] <= 0.05
    assert max(frame["rate"] for frame in frames) == 1.01
    assert {frame["rate"] for frame in frames[:99]} == {1}


def test_a_microphones_sound_is_rather_left_out_than_late(page):
    before = paced(0, 100, 0.0, "loud")
    pile = [[n, 6.0 + 0.0005 * (n - 100), "loud"] for n in range(100, 150)]
    after = paced(151, 25, 6.04, "loud")
    frames = played(page, before + pile + after, skips=True)
    assert any(frame["isCut"] for frame in frames[100:151])
    last_cut = max(n for n, frame in enumerate(frames) if frame["isCut"])
    assert overlaps(frames[last_cut:]) == 0
    assert all(frame["delay"] <= 0.07 for frame in frames[155:])
