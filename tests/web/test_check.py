"""The page's "Check a video"."""

from page import PORTRAIT
from playwright.sync_api import expect


def test_a_file_is_checked_and_its_findings_are_said_in_both_languages(visit):
    at = visit()
    at.one("#check > summary").focus()
    at.page.keyboard.press("Enter")
    at.page.keyboard.press("Tab")
    expect(at.one("#check-file")).to_be_focused()
    at.one("#check-file").set_input_files(PORTRAIT)
    expect(at.one("#check-name")).to_have_text(PORTRAIT.name)
    expect(at.one("#check-conclusion")).to_contain_text("does not show that it is real")
    assert at.one("#check-findings dt").all_inner_texts() == [
        "Picture",
        "Signed manifest (C2PA)",
        "Label",
    ]
    expect(at.one("#check-findings dd").first).to_have_text("no watermark found")
    at.one("[data-language=ko]").click()
    expect(at.one("#check-conclusion")).to_contain_text("진짜라는 뜻은 아닙니다")
    expect(at.one("#check-findings dd").first).to_have_text("워터마크를 찾지 못했습니다")
    assert at.complaints == []


def test_a_file_that_cannot_be_checked_is_refused_in_words(visit):
    at = visit()
    at.one("#check > summary").click()
    text = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"plain text"}
    at.one("#check-file").set_input_files(text)
    expect(at.one("#check-problem")).to_contain_text("Not a video, a picture or sound")
    expect(at.one("#check-file")).to_have_attribute("aria-invalid", "true")
    expect(at.one("#check-conclusion")).to_be_hidden()
