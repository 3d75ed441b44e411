"""The live page's microphone: what it sends, and that it is on only while somebody wants it."""

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as NotYet

from patience import PATIENCE_SECONDS

MS = 1000 * PATIENCE_SECONDS
RATE = 16_000
# Every track of a microphone that was opened, every context of sound, and the page's sockets.
WATCH = """
window.tracks = [];
window.contexts = [];
window.states = [];
const open = MediaDevices.prototype.getUserMedia;
MediaDevices.prototype.getUserMedia = async function (...given) {
  const stream = await open.apply(this, given);
  tracks.push(...stream.getTracks());
  return stream;
};
window.AudioContext = class extends AudioContext {
  constructor(...given) {
    super(...given);
    contexts.push(this);
    this.addEventListener("statechange", () => states.push(this.state));
  }
};
"""
IS_ON = "() => tracks.length > 0 && tracks.at(-1).readyState === 'live'"
IS_OFF = "() => tracks.length > 0 && tracks.every((track) => track.readyState === 'ended')"
# A tone as the worklet sends it, recorded by a context of some rate.
RECORD = """async ([rate, hertz]) => {
  const context = new OfflineAudioContext(1, rate, rate);
  await context.audioWorklet.addModule("/js/microphone_worklet.js");
  const tone = context.createOscillator();
  tone.frequency.value = hertz;
  const pieces = (window.pieces = new AudioWorkletNode(context, "pieces"));
  const heard = [];
  pieces.port.onmessage = ({ data }) => heard.push(...new Int16Array(data));
  tone.connect(pieces).connect(context.destination);
  tone.start();
  await context.startRendering();
  const wait = (done) => setTimeout(done, 10);
  for (let i = 0; i < 1000 && heard.length < 15500; i++) await new Promise(wait);
  return heard;
}"""


@pytest.fixture(scope="module")
def opened(browser, served) -> Iterator[Page]:
    page = browser.new_page(locale="en-US", viewport={"width": 1000, "height": 800})
    page.add_init_script(WATCH)
    page.goto(f"{served.url}/live.html")
    yield page
    page.close()


@pytest.fixture
def live(opened) -> Page:
    """A session that has begun, its microphone off."""
    opened.reload()
    opened.select_option("#size", "384")
    opened.click("#start")
    expect(opened.locator("#talk")).to_be_enabled(timeout=MS)
    return opened


def press_talk(page: Page) -> None:
    box = page.locator("#talk").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    for _ in range(20):
        page.mouse.down()
        try:
            page.wait_for_function(IS_ON, timeout=MS / 20)
        except NotYet:  # the browser's window has lost the focus by itself
            page.mouse.up()
        else:
            return


@pytest.mark.parametrize("how", ["beside", "away", "broken"])
def test_who_lets_go_of_the_button_is_not_recorded(live: Page, how: str) -> None:
    press_talk(live)
    expect(live.locator("#talk")).to_have_attribute("aria-pressed", "true", timeout=MS)
    if how == "beside":
        live.mouse.move(2, 2)
        live.mouse.up()
    elif how == "away":
        live.evaluate("dispatchEvent(new Event('blur'))")
    else:  # while it is held, the connection breaks, which disables the button
        live.context.set_offline(True)
        live.evaluate("document.getElementById('talk').disabled = true")
        live.mouse.up()
        live.context.set_offline(False)
    live.wait_for_function(IS_OFF, timeout=MS)
    expect(live.locator("#talk")).to_have_attribute("aria-pressed", "false")
    live.mouse.up()


def test_another_button_of_the_mouse_does_not_record(live: Page) -> None:
    live.click("#talk", button="right")
    press_talk(live)
    live.mouse.up()
    live.wait_for_function(IS_OFF, timeout=MS)
    assert live.evaluate("tracks.length") == 1


def test_the_button_to_talk_does_not_end_a_microphone_that_is_open(live: Page) -> None:
    live.click("#open-microphone")
    expect(live.locator("#open-microphone")).to_have_attribute("aria-pressed", "true", timeout=MS)
    live.click("#talk")
    expect(live.locator("#open-microphone")).to_have_attribute("aria-pressed", "true")
    assert live.evaluate(IS_ON)
    # Its device goes
    live.evaluate("tracks.at(-1).stop(); tracks.at(-1).dispatchEvent(new Event('ended'))")
    expect(live.locator("#open-microphone")).to_have_attribute("aria-pressed", "false")


def test_a_microphone_that_cannot_be_used_is_not_left_open(live: Page) -> None:
    live.evaluate(
        "() => { AudioWorklet.prototype.addModule = () => Promise.reject(Error('none')) }"
    )
    live.click("#open-microphone")
    expect(live.locator("#notice")).to_contain_text("cannot be used", timeout=MS)
    assert live.evaluate(IS_OFF)
    expect(live.locator("#open-microphone")).to_have_attribute("aria-pressed", "false")


def test_sound_that_the_system_has_stopped_goes_on(live: Page) -> None:
    live.click("#open-microphone")
    expect(live.locator("#open-microphone")).to_have_attribute("aria-pressed", "true", timeout=MS)
    live.evaluate("() => { for (const each of contexts) each.suspend(); }")
    goes_on = """() => states.filter((each) => each === "suspended").length >= 2
      && contexts.every((each) => each.state === "running")"""
    live.wait_for_function(goes_on, timeout=MS)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_a_microphone_of_any_rate_is_sent_at_16_khz(opened: Page, rate: int) -> None:
    heard = np.array(opened.evaluate(RECORD, [rate, 440])) / 32_767
    assert len(heard) == pytest.approx(RATE, abs=400)
    steady = heard[1_000:15_000]
    times = np.arange(len(steady)) / RATE
    waves = np.stack([np.sin(2 * np.pi * 440 * times), np.cos(2 * np.pi * 440 * times)], 1)
    fitted = waves @ np.linalg.lstsq(waves, steady, rcond=None)[0]
    assert np.abs(fitted).max() == pytest.approx(1, abs=0.01)
    assert np.abs(steady - fitted).max() < 0.003


def test_what_16_khz_cannot_hold_is_filtered_out(opened: Page) -> None:
    heard = np.array(opened.evaluate(RECORD, [48_000, 12_000])) / 32_767
    assert np.abs(heard[1_000:15_000]).max() < 0.003
