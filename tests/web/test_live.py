"""A video that is made slowly, or by a worker that is lost: the stream's bytes, held back."""

import base64
import json
import re
import time
import urllib.request

import pytest
from page import portrait
from playwright.sync_api import expect

from patience import PATIENCE_SECONDS

BUCKET = "https://bucket.example/talk.mp4?signed=yes"
TEXT = "One picture and a voice are all I need to speak."

# Stands between the page and `live.mp4`: `pieces` is a list of one stream's fragments, of which
# the first is there at once; `window.goOn()` brings the others, `window.breakOff()` ends it badly.
HELD_BACK = """
const original = window.fetch;
window.streams = 0;
window.fetch = async (address, options) => {
  const response = await original(address, options);
  if (!String(address).includes("live.mp4")) return response;
  const bytes = new Uint8Array(await response.arrayBuffer());
  const view = new DataView(bytes.buffer);
  let end = 0;
  for (let kind = ""; kind !== "mdat"; ) {
    kind = String.fromCharCode(...bytes.slice(end + 4, end + 8));
    end += view.getUint32(end);
  }
  const body = new ReadableStream({start(stream) {
    stream.enqueue(bytes.slice(0, end));
    window.breakOff = () => stream.error(new TypeError("broken off"));
    window.goOn = () => (stream.enqueue(bytes.slice(end)), stream.close());
  }});
  window.streams += 1;  // counted once it can be held back: `goOn` is this one's
  return new Response(body, {headers: response.headers});
};
"""


# A clock that stands still: whatever has come, came at once.
NO_TIME = "performance.now = () => 0;"


@pytest.fixture(scope="module")
def frames(served) -> int:
    """How many there are in a talk of three seconds, which is made once for the tests here."""
    picture = base64.b64encode(portrait()).decode()
    talk = {"prompt": "p", "image_path": picture, "audio_paths": {"a": {"text": TEXT}}}
    work = {"input": talk}
    with urllib.request.urlopen(json_request(f"{served.url}/v2/local/run", work)) as answer:
        made = json.load(answer)
    while made["status"] in ("IN_QUEUE", "IN_PROGRESS"):
        address = f"{served.url}/v2/local/status/{made['id']}"
        with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as answer:
            made = json.load(answer)
        time.sleep(0.2)
    assert made["status"] == "COMPLETED", made
    return round(made["output"]["duration_seconds"] * 25)


def json_request(address: str, content: dict) -> urllib.request.Request:
    headers = {"Content-Type": "application/json"}
    return urllib.request.Request(address, json.dumps(content).encode(), headers)


def slow_talk(visit, total: int, *, script: str = ""):
    """That talk, as if it were in the making, its first fragment seen."""
    at = visit(init=HELD_BACK + script)
    job = {"status": "IN_PROGRESS", "output": {"stage": "render", "done": 30, "total": total}}
    at.page.route("**/status/*", lambda route: route.fulfill(json=job))
    at.page.locator(".talk", has_text=TEXT).first.click()
    at.until("video.currentTime > 0")
    return at


@pytest.fixture
def slow(visit, frames):
    return slow_talk(visit, frames)


def test_a_video_that_is_made_slowly_rests_and_goes_on(slow):
    slow.until("video.paused && video.currentTime > 0.2")
    assert not slow.page.evaluate("video.ended")
    assert slow.page.evaluate("video.duration") > 2, "the time bar has the whole talk"
    expect(slow.one("#job-status")).to_have_text(re.compile(r"^\d\d %$"))  # no pace yet
    slow.page.evaluate("goOn()")
    slow.until("!video.paused && video.currentTime > 1.2")


def test_a_video_that_waits_rests_once_its_pace_is_too_slow(visit, frames):
    at = slow_talk(visit, frames, script=NO_TIME)
    at.until("video.readyState === HTMLMediaElement.HAVE_CURRENT_DATA && video.currentTime > 0.2")
    assert not at.page.evaluate("video.paused"), "at such a pace it need not rest"
    at.page.evaluate("performance.now = () => 1e6")
    at.until("video.paused")
    at.page.evaluate("goOn()")
    at.until("!video.paused && video.currentTime > 1.2")


def test_a_stream_that_broke_off_begins_anew(slow):
    slow.page.evaluate("breakOff()")
    slow.until("window.streams === 2 && video.currentTime > 0")
    slow.page.evaluate("goOn()")
    slow.until("video.ended")


def test_how_long_it_will_take_is_told_from_the_pace_so_far(visit):
    at = visit()
    at.take_portrait()
    at.words().fill("Hi.")
    output = {"stage": "render", "done": 0, "total": 400}
    job = {"id": "a", "status": "IN_PROGRESS", "output": output}
    at.page.route("**/run", lambda route: route.fulfill(json={"id": "a", "status": "IN_QUEUE"}))
    at.page.route("**/live.mp4", lambda route: route.fulfill(status=204))

    def status(route) -> None:
        output["done"] += 4
        route.fulfill(json=job)

    at.page.route("**/status/*", status)
    at.send()
    expect(at.one("#job-status")).to_have_text(re.compile(r"^\d+ %, about [\d.]+ (s|min) left$"))
    expect(at.page).to_have_title(re.compile(r"^\d+ %, about .* left · MultiTalk$"))


def test_a_job_that_the_server_failed_is_tried_again(visit):
    at = visit()
    at.take_portrait()
    at.words().fill("Hi.")
    failed = {
        "id": "a",
        "status": "FAILED",
        "error": "It crashed.",
        "output": {"code": "internal_error"},
    }
    at.page.route("**/run", lambda route: route.fulfill(json={"id": "a", "status": "IN_QUEUE"}))
    at.page.route("**/status/*", lambda route: route.fulfill(json=failed))
    at.page.route("**/retry/a", lambda route: route.fulfill(json={"id": "a", "status": "IN_QUEUE"}))
    at.send()
    expect(at.one("#job-problem")).to_have_text("It crashed.")
    at.page.unroute("**/status/*")
    waiting = {"id": "a", "status": "IN_QUEUE", "jobsAhead": 2, "workers": 1}
    at.page.route("**/status/*", lambda route: route.fulfill(json=waiting))
    at.one("#retry").click()
    expect(at.one("#job-status")).to_have_text("2 videos are made before this one.")
    expect(at.one("#job-problem")).to_be_hidden()
    waiting |= {"jobsAhead": 0}
    expect(at.one("#job-status")).to_have_text("Next in line.")
    waiting |= {"workers": 0}
    expect(at.one("#job-status")).to_contain_text("No worker is running")
    assert [url for method, url, _ in at.requests if "/retry/a" in url and method == "POST"]


def test_a_video_in_a_bucket_is_a_link(visit):
    at = visit()
    at.take_portrait()
    at.words().fill("Hi.")
    facts = {"width": 720, "height": 720, "duration_seconds": 1, "seed": 1, "engine": "warp"}
    output = {**facts, "warnings": ["so it is"], "filename": "talk.mp4", "video_url": BUCKET}
    done = {"id": "a", "status": "COMPLETED", "executionTime": 1000, "output": output}
    at.page.route("**/run", lambda route: route.fulfill(json={"id": "a", "status": "IN_QUEUE"}))
    at.page.route("**/status/*", lambda route: route.fulfill(json=done))
    at.send()
    at.finish()
    expect(at.one("#download")).to_have_attribute("href", BUCKET)
    expect(at.one("#download")).to_have_attribute("target", "_blank")
    expect(at.one("#remarks")).to_have_text("So it is")
    assert at.page.evaluate("video.getAttribute('src')") is None
