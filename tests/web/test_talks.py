"""Talks from the page: made, watched, taken back, failed."""

import json
import logging
import urllib.request

import pytest
from page import PORTRAIT, nobody, two_people
from playwright.sync_api import expect

from patience import PATIENCE_SECONDS

logger = logging.getLogger(__name__)

LONG = "This sentence is said again, so that the talk takes a while. " * 12


def test_a_video_plays_while_it_is_made(visit):
    """With --log-cli-level=INFO: the time from the click to the first frame on the screen."""
    at = visit()
    at.take_portrait()
    at.words().fill(
        "Hello. One picture and a voice are all I need to speak. Then I go on a little."
    )
    at.send()
    at.until("performance.getEntriesByName('first-frame').length")
    first = at.page.evaluate(
        "performance.getEntriesByName('first-frame')[0].startTime"
        " - performance.getEntriesByName('submit')[0].startTime"
    )
    logger.info("first frame on the screen %.2f s after the click", first / 1000)
    began = at.page.evaluate("video.currentTime")
    assert at.page.evaluate("video.readyState") >= 2
    assert at.one("#download").is_hidden(), "it was finished before it was seen"
    at.until(f"video.currentTime > {began} + 0.2")
    at.finish()
    at.until("video.ended")
    seconds = at.page.evaluate("video.duration")
    said = at.one("#job-status").text_content()
    assert "720 × 720" in said
    assert f"{seconds:.1f} s" in said
    with urllib.request.urlopen(
        at.one("#download").get_attribute("href"), timeout=PATIENCE_SECONDS
    ) as answer:
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.read()[4:8] == b"ftyp"
    expect(at.one(".talk[aria-current=true]")).to_contain_text("ready")
    expect(at.one(".talk[aria-current=true]")).to_contain_text("Hello. One picture")
    expect(at.one("#estimate")).to_contain_text("ready in about")


def test_the_example_is_one_click_and_its_talk_can_be_opened_again(visit):
    at = visit()
    shown = at.page.request.get(at.page.url + "example.jpg").body()
    assert shown == PORTRAIT.read_bytes(), "the page has its own copy of the example"
    at.one("#example").click()
    at.finish()
    assert _sent(at)["quality"] == "standard"
    at.page.reload()
    talk = at.one(".talk").first
    expect(talk.locator("img")).to_be_visible()
    talk.click()
    at.finish()
    at.until("video.currentTime > 0.1")
    assert at.page.evaluate("new URL(video.src).pathname").endswith(".mp4")


def test_a_browser_without_media_source_plays_the_finished_file(visit):
    at = visit(init="delete window.MediaSource; delete window.ManagedMediaSource;")
    at.take_portrait()
    at.words().fill("Hi.")
    at.send()
    at.finish()
    at.until("video.currentTime > 0.1")
    assert at.page.evaluate("video.src").startswith("http")


def test_a_talk_is_taken_back(visit):
    at = visit()
    at.take_portrait()
    at.words().fill(LONG)
    at.send()
    at.one("#cancel").click()
    expect(at.one("#job-status")).to_have_text("Cancelled.")
    expect(at.one("#announcer")).to_have_text("Cancelled.")
    expect(at.one(".talk[aria-current=true]")).to_contain_text("cancelled")
    assert at.one("#cancel").is_hidden()
    assert at.one("#job-problem").is_hidden()


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
    expect(at.one("#job-status")).to_contain_text("1280 × 720")
    sent = _sent(at)
    assert sent["audio_type"] == "para"
    assert sent["bbox"]["person1"][0] > 640 > sent["bbox"]["person2"][2]
    assert sent["audio_paths"]["person2"] == {"text": "Oh."}


def test_a_voice_too_many_is_told_at_its_face(visit):
    at = visit()
    at.take_portrait()
    at.one("#add-voice").click()
    expect(at.one(".face-problem").nth(1)).to_contain_text("Each face of the portrait has a voice")
    at.words(0).fill("Hi.")
    at.words(1).fill("Oh.")
    at.send()
    expect(at.one("#portrait-problem")).to_contain_text("Too few faces in the picture")
    expect(at.one("#retry")).to_be_hidden()
    at.one(".voice .remove").nth(1).click()
    expect(at.one(".voice")).to_have_count(1)


def test_what_is_missing_is_said_where_it_is_missing(visit):
    at = visit()
    at.one("#prompt").fill("")
    at.one("summary").click()
    at.one("#seed").fill("1.5")
    at.send()
    expect(at.one("#portrait-problem")).to_have_text("Choose a portrait first.")
    expect(at.one(".voice .problem").first).to_have_text("Write what is said.")
    expect(at.one("#prompt-problem")).to_have_text("Say in a few words what the video shows.")
    expect(at.one("#seed-problem")).to_contain_text("whole number")
    assert at.page.evaluate("document.activeElement.id") == "portrait-file"
    assert not any("/run" in url for _, url, _ in at.requests)
    at.one("#prompt").fill("A talk")
    expect(at.one("#prompt-problem")).to_be_hidden()


def test_what_the_server_refuses_is_said_at_its_control(visit):
    at = visit()
    at.take_portrait()
    at.words().fill("Hi.")
    at.one("summary").click()
    at.one("#engine").select_option("diffusion")
    expect(at.one("#profile")).to_be_visible()
    expect(at.one("#quality")).to_be_hidden()
    at.send()
    expect(at.one("#engine-problem")).to_contain_text("This worker runs the warp engine")
    expect(at.one("#engine")).to_have_attribute("aria-invalid", "true")
    expect(at.one("#engine")).to_be_focused()
    at.one("#engine").select_option("auto")
    expect(at.one("#engine-problem")).to_be_hidden()
    expect(at.one("#profile")).to_be_hidden()
    expect(at.one("#quality")).to_be_visible()
    at.words().fill("…")
    at.send()
    expect(at.one(".voice .problem").first).to_contain_text(
        "nothing in this text", ignore_case=True
    )
    expect(at.words()).to_be_focused()


def test_a_picture_without_a_face_is_refused_at_the_portrait(visit):
    at = visit()
    at.take_portrait(nobody(), faces=0)
    at.words().fill("Hi.")
    at.send()
    expect(at.one("#portrait-problem")).to_contain_text("No face was found in the picture")
    expect(at.one("#job-status")).to_have_text("It did not work.")
    at.take_portrait()
    expect(at.one("#portrait-problem")).to_be_hidden()


@pytest.mark.parametrize(
    ("selector", "content", "problem"),
    [
        ("#portrait-file", b"no picture", "#portrait-problem"),
        (".drop input", b"no sound", ".voice .problem >> nth=0"),
    ],
)
def test_a_file_of_another_kind_is_refused_at_once(visit, selector, content, problem):
    at = visit()
    at.one(".kinds label").nth(1).click()
    file = {"name": "notes.txt", "mimeType": "text/plain", "buffer": content}
    at.one(selector).set_input_files(file)
    expect(at.one(problem)).to_contain_text("Not a URL")


def _speakers(at) -> list[str]:
    return at.one(".face").all_text_contents()


def _drag(at, grip: str, face: str) -> None:
    at.one(grip).hover()
    at.page.mouse.down()
    box = at.one(face).bounding_box()
    at.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    at.page.mouse.up()


def _sent(at) -> dict:
    """The last job's input."""
    return [json.loads(body)["input"] for _, url, body in at.requests if url.endswith("/run")][-1]
