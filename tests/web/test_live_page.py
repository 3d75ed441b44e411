"""The live page in a real browser, with the real server: a text is spoken, a microphone is on."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from patience import PATIENCE_SECONDS

MS = 1000 * PATIENCE_SECONDS
PORTRAIT = Path(__file__).parents[2] / "examples" / "portrait.jpg"
# Two pictures differ where a mouth or a head has moved
PICTURE = """canvas => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let sum = 0;
  for (let i = 0; i < data.length; i += 97) sum = (sum * 31 + data[i]) % 1000003;
  return sum;
}"""
# How loud the page's player without a decoder is whenever it jumps.
VOLUME = """
window.volume = null;
window.jumps = [];
const create = BaseAudioContext.prototype.createGain;
BaseAudioContext.prototype.createGain = function () {
  return (window.volume = create.call(this));
};
const time = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "currentTime");
Object.defineProperty(HTMLMediaElement.prototype, "currentTime", {
  get: time.get,
  set(seconds) {
    jumps.push(window.volume.gain.value);
    time.set.call(this, seconds);
  },
});
delete window.VideoDecoder;
"""
# Runs before the page does: every sentence of the state, as some last for a moment only; and, where
# `leavesAtEnd`, the session is ended between a speech's last frame's coming and its being played.
WATCH = """
window.states = [];
addEventListener("DOMContentLoaded", () => {
  const state = document.getElementById("state");
  const note = () => states.push(state.textContent);
  new MutationObserver(note).observe(state, { childList: true, subtree: true });
});
window.WebSocket = class extends WebSocket {
  constructor(...options) {
    super(...options);
    this.addEventListener("message", ({ data }) => {
      if (!window.leavesAtEnd || !(data instanceof ArrayBuffer)) return;
      const endsSpeech = new Uint8Array(data)[1] & 4;
      if (endsSpeech) setTimeout(() => document.getElementById("start").click());
    });
  }
};
"""


@pytest.fixture
def live(browser, served) -> Page:
    page = browser.new_page(locale="en-US", viewport={"width": 1000, "height": 800})
    page.add_init_script(WATCH)
    page.goto(f"{served.url}/live.html")
    page.select_option("#size", "384")
    yield page
    page.close()


def test_a_typed_text_is_spoken_and_can_be_interrupted(live: Page) -> None:
    expect(live.locator("#say")).to_be_disabled()
    live.click("#start")
    expect(live.locator("#say")).to_be_focused(timeout=MS)
    before = live.locator("#face").evaluate(PICTURE)
    live.keyboard.type("This is a text that takes some seconds to be spoken to its very end.")
    live.keyboard.press("Enter")
    wait_until_it_speaks(live)
    expect(live.locator("#face")).not_to_have_js_property("width", 512)
    wait_until_it_moves(live, before)
    live.click("#interrupt")
    expect(live.locator("#state")).to_have_text("Ready.")
    live.click("#start")
    assert states_from_now(live) == ["Not connected."]
    expect(live.locator("#notice")).to_be_hidden()


def wait_until_it_speaks(live: Page) -> None:
    """Until the page has said so, and how long it took: a short speech may be over by then."""
    spoke = r"() => states.some((state) => /^Speaks, \d+ ms/.test(state))"
    live.wait_for_function(spoke, polling=50, timeout=MS)


def wait_until_it_moves(live: Page, before: int) -> None:
    moves = f"before => ({PICTURE})(document.getElementById('face')) !== before"
    live.wait_for_function(moves, arg=before, timeout=MS)


def states_from_now(live: Page) -> list[str]:
    """Every sentence of the state in the next half second, in order."""
    return live.evaluate("""async () => {
      const state = document.getElementById("state");
      const seen = [state.textContent];
      const note = () => state.textContent === seen.at(-1) || seen.push(state.textContent);
      new MutationObserver(note).observe(state, { childList: true, subtree: true });
      await new Promise((done) => setTimeout(done, 500));
      return seen;
    }""")


def test_a_session_that_was_ended_says_nothing_more(live: Page) -> None:
    # While it connects
    live.evaluate("for (let i = 0; i < 2; i++) document.getElementById('start').click()")
    assert states_from_now(live) == ["Not connected."]
    expect(live.locator("#say")).to_be_disabled()
    # While it speaks: the end of this speech is still to be played
    live.click("#start")
    expect(live.locator("#say")).to_be_focused(timeout=MS)
    live.evaluate("window.leavesAtEnd = true")
    live.keyboard.type("Oh!")
    live.keyboard.press("Enter")
    expect(live.locator("#start")).to_have_text("Start", timeout=MS)
    assert states_from_now(live) == ["Not connected."]


def test_the_microphone_makes_the_face_speak(live: Page) -> None:
    live.click("#start")
    expect(live.locator("#open-microphone")).to_be_enabled(timeout=MS)
    live.click("#open-microphone")
    expect(live.locator("#open-microphone")).to_have_attribute("aria-pressed", "true", timeout=MS)
    expect(live.locator("#state")).to_have_text("Speaks.", timeout=MS)
    live.click("#open-microphone")
    expect(live.locator("#open-microphone")).to_have_attribute("aria-pressed", "false")
    expect(live.locator("#state")).to_have_text("Ready.", timeout=MS)


def test_a_browser_without_a_decoder_plays_an_mp4(browser, served) -> None:
    page = browser.new_page(locale="en-US")
    page.add_init_script(WATCH + "delete window.VideoDecoder;")
    page.goto(f"{served.url}/live.html")
    expect(page.locator("#notice")).to_contain_text("half a second later")
    page.select_option("#size", "384")
    page.click("#start")
    expect(page.locator("#say")).to_be_enabled(timeout=MS)
    page.fill("#say", "This is a text that takes some seconds to be spoken to its very end.")
    page.keyboard.press("Enter")
    wait_until_it_speaks(page)
    video = page.locator("video")
    expect(video).to_have_js_property("videoWidth", 384, timeout=MS)
    expect(page.locator("#face")).to_be_hidden()
    began = video.evaluate("video => video.currentTime")
    page.wait_for_function(
        "began => document.querySelector('video').currentTime > began + 1", arg=began, timeout=MS
    )
    assert video.evaluate("video => video.webkitAudioDecodedByteCount") > 0
    page.click("#interrupt")
    expect(page.locator("#state")).to_have_text("Ready.")
    page.click("#start")
    expect(page.locator("#face")).to_be_visible()
    page.close()


def test_without_a_decoder_interrupted_sound_fades_and_what_follows_is_heard(browser, served):
    page = browser.new_page(locale="en-US")
    page.add_init_script(WATCH + VOLUME)
    page.goto(f"{served.url}/live.html")
    page.select_option("#size", "384")
    page.click("#start")
    expect(page.locator("#say")).to_be_enabled(timeout=MS)
    for _ in range(2):
        page.evaluate("states.length = 0")
        page.fill("#say", "This is a text that takes some seconds to be spoken to its very end.")
        page.keyboard.press("Enter")
        wait_until_it_speaks(page)
        page.wait_for_function("() => volume.gain.value === 1", timeout=MS)
        page.evaluate("jumps.length = 0")
        page.click("#interrupt")
        page.wait_for_function("() => jumps.length > 0", timeout=MS)
        assert page.evaluate("jumps[0]") < 0.01
        page.wait_for_function("() => volume.gain.value === 1", timeout=MS)
        expect(page.locator("#state")).to_have_text("Ready.")
    page.close()


def test_a_session_is_recorded(live: Page) -> None:
    live.click("#start")
    expect(live.locator("#record")).to_be_enabled(timeout=MS)
    live.click("#record")
    expect(live.locator("#recording")).to_contain_text("Recording, 10 minutes at most.", timeout=MS)
    expect(live.locator("#recording-link")).to_be_hidden()
    live.click("#record")
    expect(live.locator("#recording")).to_contain_text("seconds were recorded.", timeout=MS)
    expect(live.locator("#record")).to_have_text("Record")
    address = live.locator("#recording-link").get_attribute("href")
    assert live.request.get(address).body()[4:8] == b"ftyp"
    # A session that ends while it records
    live.click("#record")
    expect(live.locator("#recording-link")).to_be_hidden(timeout=MS)
    live.click("#start")
    expect(live.locator("#recording")).to_contain_text("The session ended")
    assert live.locator("#recording-link").get_attribute("href") != address


def test_a_broken_connection_is_opened_again_with_the_same_portrait(live: Page) -> None:
    starts: list[dict] = []
    to_page = []

    def pass_on(socket) -> None:
        to_page.append(socket)
        server = socket.connect_to_server()

        def send(message: str | bytes) -> None:
            if isinstance(message, str):
                starts.append(json.loads(message))
            server.send(message)

        socket.on_message(send)

    live.route_web_socket("**/v1/live", pass_on)
    live.set_input_files("#portrait-file", PORTRAIT)
    expect(live.locator("#state")).to_have_text("The portrait is ready.", timeout=MS)
    live.click("#start")
    expect(live.locator("#say")).to_be_focused(timeout=MS)
    to_page[0].close(code=1011)
    expect(live.locator("#state")).to_have_text("The connection broke. Connecting again …")
    expect(live.locator("#say")).to_be_enabled(timeout=MS)
    assert len(to_page) == 2
    assert starts[0] == starts[1]
    assert starts[0]["portrait"].startswith("upload://")
    before = live.locator("#face").evaluate(PICTURE)
    live.fill("#say", "Here I am again.")
    live.keyboard.press("Enter")
    wait_until_it_speaks(live)
    wait_until_it_moves(live, before)
    # A refusal is final
    to_page[1].close(code=1008)
    expect(live.locator("#start")).to_have_text("Start")
    assert len(to_page) == 2


def test_a_refusal_is_a_sentence_and_the_page_can_be_used_in_korean(live: Page) -> None:
    live.click("#languages button[lang=ko]")
    expect(live.locator("#start")).to_have_text("시작")
    live.set_input_files(
        "#portrait-file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"x"}
    )
    expect(live.locator("#notice")).to_be_visible(timeout=MS)
    live.click("#languages button[lang=en]")
