"""What is wrong is said at its field, before it is sent where that can be known."""

import re

import pytest
from page import hum, nobody, portrait
from playwright.sync_api import expect


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
    at.take_portrait(portrait(turned=90))
    expect(at.one("#portrait-note")).to_contain_text("turned upright")


@pytest.mark.parametrize("content", [b"no picture", hum()])
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
