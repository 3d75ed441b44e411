"""Talks from the page: made, watched, taken back, failed."""

import io
import json
import logging
import re
import urllib.request
import wave

import pytest
from page import PORTRAIT, nobody, two_people
from PIL import Image
from playwright.sync_api import expect

from patience import PATIENCE_SECONDS

logger = logging.getLogger(__name__)


def _wav() -> bytes:
    """A second and a half of a hum."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes([0, 8] * 60 + [0, 248] * 60) * 200)
    return file.getvalue()


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
    sent = _sent(at)
    assert sent["quality"] == "standard"
    assert sent["audio_paths"]["Voice 1"]["voice"] == "female"
    other = visit()  # another browser: all it shows of the talk is the server's
    talk = other.one(".talk").first
    expect(talk).to_contain_text("Hello. One picture and a voice are all I need")
    expect(talk.locator("img")).to_be_visible()
    assert other.until("document.querySelector('.talk img').naturalWidth") == 320
    talk.click()
    other.finish()
    other.until("video.currentTime > 0.1")
    assert other.page.evaluate("new URL(video.src).pathname").endswith(".mp4")
    expect(other.words()).to_have_value(sent["audio_paths"]["Voice 1"]["text"])
    expect(other.one(".speaker")).to_have_value("female")
    expect(other.one(".face")).to_have_count(1)
    expect(other.one("#video")).to_be_visible()
    expect(other.one("#edit")).to_be_hidden()
    other.words().fill("Oh.")
    other.send()
    expect(other.one(".talk").first).to_contain_text("Oh.")
    other.finish()


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


def test_a_talk_is_deleted_from_the_stage_and_from_the_list(visit):
    at = visit()
    at.take_portrait()
    for text in ("Delete me.", "Delete me, too."):
        at.words().fill(text)
        at.send()
        at.finish()
        expect(at.one(".talk[aria-current=true]")).to_contain_text(text)
        expect(at.one(".talk[aria-current=true]")).to_contain_text("ready")
    at.one("#delete").click()
    at.one("#ask-no").click()
    at.one("#delete").click()
    at.one("#ask-yes").click()
    expect(at.one("#job")).to_be_hidden()
    expect(at.one("#video")).to_be_hidden()
    expect(at.page.locator(".tile", has_text="Delete me, too.")).to_have_count(0)
    expect(at.words()).to_have_value("Delete me, too.")  # it can be made again
    tile = at.page.locator(".tile", has_text="Delete me.").first
    tile.hover()
    tile.locator(".delete").click()
    at.one("#ask-yes").click()
    expect(at.page.locator(".tile", has_text="Delete me")).to_have_count(0)


def test_an_earlier_talk_waits_with_its_inputs_while_the_form_has_others(visit):
    at = visit()
    at.take_portrait()
    at.words().fill("The first one.")
    at.send()
    at.finish()
    at.words().fill("Not made yet.")
    expect(at.one("#edit")).to_be_visible()
    at.one(".talk").first.click()
    at.finish()
    expect(at.words()).to_have_value("Not made yet.")
    at.one("#edit").click()
    expect(at.one("#ask-dialog")).to_contain_text("Replace what is in the form?")
    at.one("#ask-yes").click()
    expect(at.words()).to_have_value("The first one.")
    expect(at.one("#edit")).to_be_hidden()
    expect(at.words()).to_be_focused()


def test_subtitles_are_saved_and_shown(visit):
    at = visit()
    at.take_portrait()
    at.words().fill("Hello there. How are you?")
    at.send()
    at.finish()
    for kind in ("srt", "vtt"):
        address = at.one(f"#download-{kind}").get_attribute("href")
        with urllib.request.urlopen(address, timeout=60) as answer:
            text = answer.read().decode()
            assert "Hello%20there." in answer.headers["Content-Disposition"]
        assert re.findall(r"^[A-Z].*[.?]$", text, re.MULTILINE) == ["Hello there.", "How are you?"]
    at.page.evaluate("video.textTracks[0].mode = 'showing'")
    assert at.until("video.textTracks[0].cues?.length") == 2


def test_a_recording_has_no_subtitles(visit):
    at = visit()
    at.take_portrait()
    at.one(".kinds label").nth(1).click()
    at.one(".drop input").set_input_files({"name": "a.wav", "mimeType": "", "buffer": _wav()})
    at.send()
    at.finish()
    expect(at.one("#download-srt")).to_be_hidden()
    expect(at.one(".talk").first).to_contain_text("Recorded voice")
    other = visit()
    other.one(".talk").first.click()
    expect(other.one(".drop .name")).to_have_text("Recorded voice")
    expect(other.one("#estimate")).to_contain_text("A video of about 1")
    expect(other.one("#edit")).to_be_hidden()


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
    expect(at.one("#job-status")).to_contain_text("1280 × 720")
    sent = _sent(at)
    assert sent["audio_type"] == "para"
    assert sent["bbox"]["Voice 1"][0] > 640 > sent["bbox"]["Voice 2"][2]
    assert sent["audio_paths"]["Voice 2"] == {"text": "Oh."}
    other = visit()
    other.one(".talk").first.click()
    expect(other.one(".face")).to_have_text(["Voice 2", "Voice 1"])
    expect(other.one("#order input[value=para]")).to_be_checked()


def test_a_voice_too_many_is_told_at_its_face_and_not_sent(visit):
    at = visit()
    at.take_portrait()
    at.words(0).fill("Hi.")
    at.one("#add-voice").click()
    at.words(1).fill("Oh.")
    expect(at.one(".face-problem").nth(1)).to_contain_text("no face left for this voice")
    at.send()
    expect(at.words(1)).to_be_focused()
    assert not any(url.endswith("/run") for _, url, _ in at.requests)
    at.one(".voice .remove").nth(1).click()
    expect(at.one(".voice")).to_have_count(1)
    expect(at.one("#estimate")).to_contain_text("A video of about")


def test_what_is_missing_is_said_where_it_is_missing(visit):
    at = visit()
    at.one("#options > summary").click()
    at.one("#prompt").fill("")
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


def test_what_the_server_would_refuse_is_said_before_it_is_sent(visit):
    at = visit()
    at.take_portrait()
    at.words().fill("…")
    problem = at.one(".voice .problem").first
    expect(problem).to_contain_text("nothing in this text", ignore_case=True)
    at.send()
    expect(at.words()).to_be_focused()
    expect(at.words()).to_have_attribute("aria-invalid", "true")
    at.words().fill("Hi.")
    expect(problem).to_be_hidden()
    at.one("#add-voice").click()
    at.one(".voice .remove").nth(1).click()
    at.words().fill("a" * 6000)
    expect(problem).to_contain_text("5000")
    assert not re.search("MULTITALK_|audio_paths|image_path|person1", at.one("body").inner_text())
    assert not any(url.endswith("/run") for _, url, _ in at.requests)


def test_what_is_refused_only_when_it_is_sent_is_said_at_its_control(visit):
    """The worker may be another than the server thinks."""
    at = visit(health={"engines": ["diffusion", "warp"], "engine": "warp"})
    at.take_portrait()
    at.words().fill("Hi.")
    at.one("#options > summary").click()
    at.one("#engine").select_option("diffusion")
    at.send()
    expect(at.one("#engine-problem")).to_contain_text("This worker runs the warp engine")
    expect(at.one("#engine")).to_have_attribute("aria-invalid", "true")
    expect(at.one("#engine")).to_be_focused()
    expect(at.one("#job-status")).to_contain_text("What to change is marked in the form")
    expect(at.one("#delete")).to_be_visible()
    expect(at.words()).to_have_value("Hi.")
    at.one("#engine").select_option("auto")
    expect(at.one("#engine-problem")).to_be_hidden()


def test_a_picture_without_a_face_is_refused_at_once(visit):
    at = visit()
    at.take_portrait(nobody(), faces=0)
    at.words().fill("Hi.")
    expect(at.one("#portrait-problem")).to_contain_text("No face was found in this picture")
    at.send()
    expect(at.one("#portrait-file")).to_be_focused()
    assert not any(url.endswith("/run") for _, url, _ in at.requests)
    at.take_portrait()
    expect(at.one("#portrait-problem")).to_be_hidden()


def test_why_nobody_in_a_picture_can_speak_is_said(visit):
    at = visit()
    found = {"width": 720, "height": 720, "turned": 0, "smallest": 40, "unread": []}
    found["faces"] = [{"box": [10, 10, 30, 30], "height": 20, "yaw": 0}]
    at.page.route("**/faces", lambda route: route.fulfill(json=found))
    at.take_portrait(faces=0)
    expect(at.one("#portrait-problem")).to_contain_text("too small to speak")
    found |= {"faces": [], "unread": [{"box": [10, 10, 30, 30]}]}
    at.take_portrait(faces=0)
    expect(at.one("#portrait-problem")).to_contain_text("A face was found, but not its mouth")


def test_a_picture_that_lies_on_its_side_is_said_to_be_turned(visit):
    at = visit()
    with Image.open(PORTRAIT) as portrait:
        file = io.BytesIO()
        portrait.rotate(90, expand=True).save(file, "JPEG", quality=90)
    at.take_portrait(file.getvalue())
    expect(at.one("#portrait-note")).to_contain_text("turned upright")


@pytest.mark.parametrize("content", [b"no picture", _wav()])
def test_a_file_that_is_no_picture_is_refused_at_once(visit, content):
    at = visit()
    file = {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": content}
    at.one("#portrait-file").set_input_files(file)
    expect(at.one("#portrait-problem")).to_have_text(
        "This file is not a picture. Choose a JPEG, PNG, WebP or AVIF."
    )
    expect(at.one("#empty")).to_be_visible()
    at.words().fill("Hi.")
    at.send()
    expect(at.one("#portrait-file")).to_be_focused()
    expect(at.one("#portrait-problem")).to_contain_text("not a picture")


@pytest.mark.parametrize("content", [b"no sound", nobody()])
def test_a_file_that_is_no_voice_is_refused_at_once(visit, content):
    at = visit()
    at.one(".kinds label").nth(1).click()
    file = {"name": "voice.mp3", "mimeType": "audio/mpeg", "buffer": content}
    at.one(".drop input").set_input_files(file)
    expect(at.one(".voice .problem").first).to_contain_text("This file has no sound.")
    at.send()
    expect(at.one(".voice .problem").first).to_contain_text("This file has no sound.")


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
