"""Talks from the page: made, watched, heard, taken back."""

import json
import logging
import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from page import two_people
from playwright.sync_api import expect

from patience import PATIENCE_SECONDS

logger = logging.getLogger(__name__)


LONG = "This sentence is said again, so that the talk takes a while. " * 24


def test_a_video_plays_while_it_is_made(visit, served):
    """With --log-cli-level=INFO: the time from the click to the first frame on the screen."""
    at = visit()
    at.take_portrait()
    at.words().fill("Hello. One picture and a voice are all I need to speak. " + LONG[:120])
    with at.page.expect_request("**/live.mp4*") as asked:
        at.send()
    with urllib.request.urlopen(asked.value.url, timeout=PATIENCE_SECONDS) as stream:
        stream.read(1)
    with at_rest(worker_of(served)):  # so that a browser that is late sees it unfinished
        _sees_it_in_the_making(at)
    at.finish()
    at.page.evaluate("video.currentTime = video.duration - 0.5")
    at.until("video.ended")
    seconds = at.page.evaluate("video.duration")
    said = at.one("#job-status").text_content()
    assert "360 × 360" in said
    assert f"Ready: {seconds:.0f} s" in said
    with urllib.request.urlopen(
        at.one("#download").get_attribute("href"), timeout=PATIENCE_SECONDS
    ) as answer:
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.read()[4:8] == b"ftyp"
    expect(at.one(".talk[aria-current=true]")).to_contain_text("ready")
    expect(at.one(".talk[aria-current=true]")).to_contain_text("Hello. One picture")
    expect(at.one("#estimate")).to_contain_text("ready in about")


def _sees_it_in_the_making(at) -> None:
    at.until("performance.getEntriesByName('first-frame').length")
    first = at.page.evaluate(
        "performance.getEntriesByName('first-frame')[0].startTime"
        " - performance.getEntriesByName('submit')[0].startTime"
    )
    logger.info("first frame on the screen %.2f s after the click", first / 1000)
    assert at.page.evaluate("video.readyState") >= 2
    assert at.one("#download").is_hidden(), "it was finished before it was seen"
    at.until("video.currentTime > 0.2")  # of the first piece's 0.36 s, the only one for certain


def worker_of(server) -> int:
    """The process that renders."""
    return int(re.findall(r"worker \d+ is process (\d+)", (server.data / "log").read_text())[-1])


@contextmanager
def at_rest(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_browser_without_media_source_plays_the_finished_file(visit):
    at = visit(init="delete window.MediaSource; delete window.ManagedMediaSource;")
    at.take_portrait()
    at.words().fill("Hi.")
    at.send()
    at.finish()
    at.until("video.currentTime > 0.1")
    assert at.page.evaluate("video.src").startswith("http")


def test_a_second_talk_is_asked_about_and_one_that_is_cancelled_leaves_the_form(visit):
    at = visit()
    at.take_portrait()
    at.words().fill(LONG)
    at.send()
    expect(at.one("#cancel")).to_be_visible()
    at.send()
    expect(at.one("#ask-dialog")).to_contain_text("One is being made")
    at.one("#ask-no").click()
    expect(at.one("#send")).to_be_enabled()
    at.one("#cancel").click()
    expect(at.one("#job-status")).to_contain_text("Cancelled.")
    assert len([url for _, url, _ in at.requests if url.endswith("/run")]) == 1
    expect(at.one("#announcer")).to_contain_text("Cancelled.")
    expect(at.one(".talk[aria-current=true]")).to_contain_text("cancelled")
    for hidden in ("#cancel", "#job-problem", "#stages", "#progress", "#video", "#retry", "#edit"):
        expect(at.one(hidden)).to_be_hidden()
    expect(at.one("#portrait")).to_be_visible()
    expect(at.words()).to_have_value(LONG)
    expect(at.one("#send")).to_be_enabled()


def test_subtitles_are_saved_and_shown(visit):
    at = visit()
    at.take_portrait()
    at.words().fill("Hello there. How are you?")
    at.send()
    at.finish()
    for kind in ("srt", "vtt"):
        address = at.one(f"#download-{kind}").get_attribute("href")
        with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as answer:
            text = answer.read().decode()
            assert "Hello%20there." in answer.headers["Content-Disposition"]
        assert re.findall(r"^[A-Z].*[.?]$", text, re.MULTILINE) == ["Hello there.", "How are you?"]
    at.page.evaluate("video.textTracks[0].mode = 'showing'")
    assert at.until("video.textTracks[0].cues?.length") == 2


def test_a_voice_is_heard_before_a_video_is_made(visit):
    at = visit()
    at.words().fill("Hello.")
    at.one(".speaker").select_option("male")
    at.one(".tuning > summary").click()
    at.one(".speed").fill("1.5")
    at.one(".pitch").fill("-3")
    expect(at.one(".speed-told")).to_have_text("1.5 ×")
    expect(at.one(".pitch-told")).to_have_text("-3 semitones")
    with at.page.expect_response("**/v1/audio/speech") as answered:
        at.one(".try").click()
    assert answered.value.headers["content-type"].startswith("audio/wav")
    asked = [json.loads(body) for _, url, body in at.requests if "audio/speech" in url]
    assert asked == [{"input": "Hello.", "voice": "male", "speed": 1.5, "pitch": -3}]
    expect(at.one(".try")).to_have_text("Listen")  # when it has ended


def test_a_voice_is_dragged_onto_a_face(visit):
    at = visit()
    at.take_portrait(two_people(), faces=2)
    at.one("#add-voice").click()
    at.words(0).fill("Hi.")
    at.words(1).fill("Oh.")
    assert _speakers(at) == ["Voice 1", "Voice 2"]
    _drag(at, ".grip >> nth=0", ".face >> nth=1")
    assert _speakers(at) == ["Voice 2", "Voice 1"]
    at.one(".face-choice").nth(0).select_option("Face 1")
    assert _speakers(at) == ["Voice 1", "Voice 2"]
    _drag(at, ".grip >> nth=1", ".face >> nth=0")
    at.one("#order label").nth(0).click()
    at.send()
    at.finish()
    expect(at.one("#job-status")).to_contain_text("640 × 360")
    sent = at.sent()
    assert sent["audio_type"] == "para"
    assert sent["bbox"]["Voice 1"][0] > 320 > sent["bbox"]["Voice 2"][2]
    assert sent["audio_paths"]["Voice 2"] == {"text": "Oh."}
    other = visit()
    other.one(".talk").first.click()
    expect(other.one(".face")).to_have_text(["Voice 2", "Voice 1"])
    expect(other.one("#order input[value=para]")).to_be_checked()


def _speakers(at) -> list[str]:
    return at.one(".face").all_text_contents()


def _drag(at, grip: str, face: str) -> None:
    at.one(grip).hover()
    at.page.mouse.down()
    box = at.one(face).bounding_box()
    at.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    at.page.mouse.up()
