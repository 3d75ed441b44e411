"""The live page over a network that stalls: picture and sound stay in step, nothing stays late."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from loopback_proxy import ProxyThread, proxied_in_thread
from patience import PATIENCE_SECONDS, Attempts

MS = 1000 * PATIENCE_SECONDS
STALL_MS = 2000
# Notes when each frame's sound is to be played, and when its picture was painted, in seconds of the
# sound's clock. The player starts a frame's sound, and then decodes its picture.
WATCH = """
window.noted = { sound: {}, painted: [], stopped: 0, context: null };
let sound = null;
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (time) {
  noted.context = this.context;
  const seconds = this.buffer.duration / this.playbackRate.value;
  const isLoud = this.buffer.getChannelData(0).some((value) => Math.abs(value) > 0.02);
  sound = { time, seconds, isLoud, arrived: this.context.currentTime };
  start.call(this, time);
};
const stop = AudioBufferSourceNode.prototype.stop;
AudioBufferSourceNode.prototype.stop = function (...given) {
  noted.stopped += 1;
  stop.apply(this, given);
};
const decode = VideoDecoder.prototype.decode;
VideoDecoder.prototype.decode = function (chunk) {
  if (sound) noted.sound[Math.round(chunk.timestamp / 40000)] = sound;
  sound = null;
  decode.call(this, chunk);
};
const draw = CanvasRenderingContext2D.prototype.drawImage;
CanvasRenderingContext2D.prototype.drawImage = function (picture, ...more) {
  const number = Math.round(picture.timestamp / 40000);
  if (noted.context && number in noted.sound) {
    const { time, arrived } = noted.sound[number];
    noted.painted.push({ number, after: noted.context.currentTime - time, waited: time - arrived });
  }
  draw.call(this, picture, ...more);
};
"""


@contextmanager
def live_page(browser, served) -> Iterator[tuple[Page, ProxyThread]]:
    """The live page through a proxy, its session begun."""
    with proxied_in_thread(urlsplit(served.url).port) as proxy:
        page = browser.new_page(locale="en-US", viewport={"width": 1000, "height": 800})
        page.add_init_script(WATCH)
        page.goto(f"http://127.0.0.1:{proxy.port}/live.html")
        page.select_option("#size", "384")
        page.click("#start")
        expect(page.locator("#say")).to_be_enabled(timeout=MS)
        try:
            yield page, proxy
        finally:
            page.close()


def stall(page: Page, proxy: ProxyThread, way: str) -> None:
    proxy.do(lambda both: getattr(both, way).hold())
    page.wait_for_timeout(STALL_MS)
    proxy.do(lambda both: getattr(both, way).release())


def painted_in(page: Page, ms: int) -> list[dict]:
    """Pictures with sound that are painted within so many milliseconds from now."""
    page.evaluate("noted.painted = []")
    page.wait_for_function("() => noted.painted.length > 10", timeout=MS)
    page.wait_for_timeout(ms)
    return page.evaluate("noted.painted")


def median(painted: list[dict], name: str) -> float:
    values = sorted(each[name] for each in painted)
    return values[len(values) // 2]


def out_of_step(painted: list[dict]) -> float:
    """Seconds from the sound to the picture; single ones are late where the machine is busy."""
    return min(abs(each["after"]) for each in painted)


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_microphone_is_in_step_and_in_time_again_after_a_stall(browser, served, way):
    def run() -> tuple[list[dict], list[dict]]:
        with live_page(browser, served) as (page, proxy):
            page.click("#open-microphone")
            before = painted_in(page, 1000)
            stall(page, proxy, way)
            page.wait_for_timeout(1000)
            return before, painted_in(page, 1000)

    @Attempts(run).judge
    def _(painted: tuple[list[dict], list[dict]]) -> None:
        before, after = painted
        assert median(after, "waited") <= median(before, "waited") + 0.3
        assert out_of_step(after) <= 0.15


def test_a_text_is_in_step_after_a_stall_and_none_of_it_is_left_out(browser, served):
    def run() -> list[dict]:
        with live_page(browser, served) as (page, proxy):
            page.fill(
                "#say",
                "One, two, three, four, five, six, seven, eight, nine, ten, eleven. Here it ends.",
            )
            page.keyboard.press("Enter")
            painted_in(page, 0)
            stall(page, proxy, "down")
            after = painted_in(page, 500)
            expect(page.locator("#state")).to_have_text("Ready.", timeout=MS)
            if page.evaluate("noted.stopped"):
                pytest.fail("sound was left out")
            assert_in_order(page.evaluate("Object.values(noted.sound)"))
        return after

    @Attempts(run).judge
    def _(after: list[dict]) -> None:
        assert out_of_step(after) <= 0.15


def assert_in_order(sounds: list[dict]) -> None:
    """What is loud is played once, and one after the other; pauses are shortened."""
    loud = [each for each in sounds if each["isLoud"]]
    ends = [each["time"] + each["seconds"] for each in loud]
    assert len(loud) > 50
    assert all(after["time"] >= end - 1e-3 for end, after in zip(ends, loud[1:], strict=False))


def test_a_connection_that_is_gone_is_opened_again_and_the_microphone_is_heard(browser, served):
    def run() -> list[dict]:
        with live_page(browser, served) as (page, proxy):
            page.click("#open-microphone")
            painted_in(page, 0)
            proxy.do(lambda both: both.cut())
            page.wait_for_function("() => document.getElementById('say').disabled", timeout=MS)
            expect(page.locator("#say")).to_be_enabled(timeout=MS)
            return painted_in(page, 1000)

    @Attempts(run).judge
    def _(after: list[dict]) -> None:
        assert out_of_step(after) <= 0.15
