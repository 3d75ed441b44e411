"""The page of all routes: calls can be tried there."""

from playwright.sync_api import expect


def test_calls_are_tried_from_their_examples(visit):
    at = visit()
    at.page.goto(at.page.url + "docs")
    at.one("#portrait").click()
    expect(at.one("#portrait-note")).to_contain_text("upload://")
    estimate = _opened(at, "/v2/{endpoint}/estimate")
    estimate.get_by_role("button", name="Send").click()
    expect(estimate.locator(".status")).to_contain_text("200")
    expect(estimate.locator("pre")).to_contain_text('"talk_seconds"')
    faces = _opened(at, "/faces")
    faces.get_by_role("button", name="Send").click()
    expect(faces.locator("pre")).to_contain_text('"box"')
    speech = _opened(at, "/v1/audio/speech")
    speech.get_by_role("button", name="Send").click()
    expect(speech.locator(".reply audio")).to_be_visible()
    listing = _opened(at, "/v2/{endpoint}/requests")
    listing.locator("[name=limit]").fill("1")
    listing.get_by_role("button", name="Send").click()
    expect(listing.locator("pre")).to_contain_text('"requests"')
    assert at.complaints == []


def test_what_is_wrong_with_a_call_is_shown_as_it_is_answered(visit):
    at = visit()
    at.page.goto(at.page.url + "docs")
    run = _opened(at, "/v2/{endpoint}/run")
    run.locator("textarea").fill("{")
    run.get_by_role("button", name="Send").click()
    expect(run.locator(".status")).to_contain_text("400")
    expect(run.locator("pre")).to_contain_text('"invalid_request"')


def _opened(at, path: str):
    """The form of a route."""
    form = at.one(f'form[data-path="{path}"]')
    form.locator("xpath=..").locator("summary").click()
    return form
