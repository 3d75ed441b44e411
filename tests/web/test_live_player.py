"""The live page's player: `js/live_player.js` with frames and times that a test decides."""

import itertools
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

RATE = 48_000
LEVEL = 0.6
TONE_HZ = 170
# Plays frames of a tone, interrupts it after `seconds`, and gives the samples that were heard.
PLAY = """async ([rate, level, hertz, seconds]) => {
  const { LivePlayer } = await import("/js/live_player.js");
  let context = null;
  window.AudioContext = class extends OfflineAudioContext {
    constructor() {
      super(1, rate, rate);
      context = this;
    }
    async resume() {}
    async close() {}
  };
  const player = new LivePlayer(document.createElement("canvas"));
  await player.open();
  for (let number = 0; number < 20; number++) {
    const frame = new DataView(new ArrayBuffer(16 + 2 * rate / 25));
    frame.setUint8(0, 1);
    frame.setUint8(1, 2);
    frame.setUint32(4, number, true);
    frame.setUint32(8, rate, true);
    for (let i = 0; i < rate / 25; i++) {
      const time = number / 25 + i / rate;
      frame.setInt16(16 + 2 * i, 32767 * level * Math.sin(2 * Math.PI * hertz * time), true);
    }
    player.add(frame.buffer);
  }
  context.suspend(seconds).then(() => {
    player.silence();
    OfflineAudioContext.prototype.resume.call(context);
  });
  const heard = await context.startRendering();
  player.close();
  return Array.from(heard.getChannelData(0));
}"""


# A decoder that gives pictures only when the test says so, and a clock that it sets.
SLOW_DECODER = """async ({ key, milliseconds, pictures }) => {
  const { LivePlayer } = await import("/js/live_player.js");
  const given = [];
  let decoder = null;
  window.VideoDecoder = class {
    state = "configured";
    constructor({ output }) {
      decoder = this;
      this.output = output;
    }
    configure() {}
    close() { this.state = "closed"; }
    decode({ timestamp }) { given.push(Math.round(timestamp / 40000)); }
  };
  let now = 0;
  performance.now = () => now;
  const player = new LivePlayer(document.createElement("canvas"));
  let wanted = 0;
  player.onKeyFrameNeeded = () => (wanted += 1);
  await player.open();
  const add = (number, flags) => {
    const frame = new DataView(new ArrayBuffer(16 + 8));
    frame.setUint8(1, flags);
    frame.setUint32(4, number, true);
    frame.setUint32(8, 16000, true);
    frame.setUint32(12, 8, true);
    player.add(frame.buffer);
  };
  const picture = (number) => decoder.output({ timestamp: 40000 * number, close() {} });
  add(0, 1);
  add(1, 0);
  for (let number = 0; number < pictures; number++) picture(number);
  now = milliseconds;
  add(2, 0);
  add(3, 0);
  add(4, key);
  add(5, 0);
  player.close();
  return [given, wanted];
}"""


@pytest.fixture(scope="module")
def page(browser, served) -> Iterator[Page]:
    opened = browser.new_page()
    opened.goto(f"{served.url}/live.html")
    yield opened
    opened.close()


@pytest.mark.parametrize("seconds", [0.3, 0.3015, 0.31])
def test_an_interruption_fades_the_sound_within_milliseconds_and_without_a_click(page, seconds):
    heard = page.evaluate(PLAY, [RATE, LEVEL, TONE_HZ, seconds])
    assert max(map(abs, heard[: round(0.28 * RATE)])) > 0.9 * LEVEL
    steps = [abs(after - before) for before, after in itertools.pairwise(heard)]
    fastest = LEVEL * 2 * 3.1416 * TONE_HZ / RATE
    assert max(steps) <= 1.3 * fastest  # a click would be up to 40 times that
    silent_from = max(place for place, value in enumerate(heard) if abs(value) > 1e-4) / RATE
    assert seconds <= silent_from <= seconds + 0.015


@pytest.mark.parametrize(
    ("happens", "given", "wanted"),
    [
        ({"key": 1, "milliseconds": 499, "pictures": 0}, [0, 1, 2, 3, 4, 5], 0),
        ({"key": 1, "milliseconds": 501, "pictures": 2}, [0, 1, 2, 3, 4, 5], 0),
        ({"key": 1, "milliseconds": 501, "pictures": 1}, [0, 1, 4, 5], 1),
        ({"key": 0, "milliseconds": 501, "pictures": 0}, [0, 1], 1),
    ],
)
def test_a_decoder_that_falls_behind_goes_on_at_a_key_frame(page, happens, given, wanted):
    page.reload()  # what the script replaces is the page's own again
    assert page.evaluate(SLOW_DECODER, happens) == [given, wanted]
