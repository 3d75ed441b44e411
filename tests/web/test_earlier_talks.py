"""Earlier talks on the page: opened with their inputs, made again, deleted."""

from page import PORTRAIT, hum, portrait
from playwright.sync_api import expect


def test_the_example_is_one_click_and_its_talk_can_be_opened_again(visit):
    at = visit()
    shown = at.page.request.get(at.page.url + "example.jpg").body()
    assert shown == PORTRAIT.read_bytes(), "the page has its own copy of the example"
    at.page.route("**/example.jpg", lambda route: route.fulfill(body=portrait()))  # soon drawn
    at.one("#example").click()
    at.finish()
    sent = at.sent()
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


def test_the_example_s_voice_does_not_wait_for_the_list_of_voices(visit):
    at = visit()
    at.page.route("**/voices", lambda route: route.abort())
    at.page.route("**/run", lambda route: route.abort())  # what is asked for need not be made
    at.page.reload()
    with at.page.expect_request("**/run") as sending:
        at.one("#example").click()
    (said,) = sending.value.post_data_json["input"]["audio_paths"].values()
    assert said["voice"] == "female"


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


def test_a_recording_has_no_subtitles(visit):
    at = visit()
    at.take_portrait()
    at.one(".kinds label").nth(1).click()
    at.one(".drop input").set_input_files({"name": "a.wav", "mimeType": "", "buffer": hum()})
    at.send()
    at.finish()
    expect(at.one("#download-srt")).to_be_hidden()
    expect(at.one(".talk").first).to_contain_text("Recorded voice")
    other = visit()
    other.one(".talk").first.click()
    expect(other.one(".drop .name")).to_have_text("Recorded voice")
    expect(other.one("#estimate")).to_contain_text("A video of about 1")
    expect(other.one("#edit")).to_be_hidden()
