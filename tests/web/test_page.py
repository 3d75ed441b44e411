"""The page itself: languages, themes, sizes, keyboard, key, devices."""

import base64
import json
import re
import urllib.request

import pytest
from page import portrait
from playwright.sync_api import expect

from multitalk.messages import read_texts
from multitalk.serving.api.access.keys import KeyRing
from multitalk.serving.api.web_page import STRINGS
from patience import PATIENCE_SECONDS

MIN_CONTRAST = 4.5  # WCAG 2.2, 1.4.3
MIN_TARGET = 44  # pixels; WCAG 2.2, 2.5.5
BOTH = {"engines": ["diffusion", "warp"], "engine": "diffusion"}
PHONE = {"width": 360, "height": 740}


def test_every_sentence_is_there_in_each_language(visit):
    at = visit()
    strings = at.page.evaluate("import('./js/strings.js').then((module) => module.STRINGS)")
    assert strings == read_texts(STRINGS)
    names = dict(zip(strings, at.page.locator("#languages button").all_inner_texts(), strict=True))
    assert (names["en"], names["ko"]) == ("English", "한국어")
    for texts in strings.values():
        assert strings["en"].keys() == texts.keys()
        for key, english in strings["en"].items():
            assert set(re.findall(r"\{\w+\}", english)) == set(
                re.findall(r"\{\w+\}", texts[key])
            ), key
    for key, korean in strings["ko"].items():
        assert re.search("[가-힣]", korean) or key == "foot_docs" or "{percent}" in korean, key
    used = at.page.evaluate("""
        [document, ...[...document.querySelectorAll("template")].map((one) => one.content)].flatMap(
          (root) => [...root.querySelectorAll("*")].flatMap(({dataset}) =>
            [dataset.text, dataset.label, dataset.hint, dataset.placeholder, dataset.alt]
              .filter(Boolean)))
    """)
    assert set(used) <= strings["en"].keys()


def test_a_korean_browser_gets_korean_and_may_switch(visit):
    at = visit(locale="ko-KR")
    expect(at.one("html")).to_have_attribute("lang", "ko")
    expect(at.one("#send")).to_have_text("영상 만들기")
    expect(at.one("#prompt")).to_have_value("한 사람이 카메라를 보며 말한다")
    at.take_portrait()
    at.words().fill("…")
    at.send()
    expect(at.one(".voice .problem").first).to_contain_text("말할 수 있는 것이 없습니다")
    at.one("[data-language=en]").click()
    expect(at.one("html")).to_have_attribute("lang", "en")
    expect(at.one("#send")).to_have_text("Make the video")
    expect(at.one(".voice .problem").first).to_contain_text("othing in this text")
    expect(at.one("#portrait-note")).to_have_text("1 face found")
    expect(at.one(".voice legend")).to_have_text("Voice 1")
    expect(at.one(".face")).to_have_text("Voice 1")
    at.page.reload()
    expect(at.one("#send")).to_have_text("Make the video")
    shown = set(re.findall("[가-힣]+", at.one("main").inner_text()))
    assert shown <= {"한국어"}, "a language by its own name"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(visit, scheme):
    at = visit(color_scheme=scheme)
    at.one("#add-voice").click()
    at.one("#options > summary").click()
    at.one(".tuning > summary").first.click()
    at.send()
    expect(at.one("#portrait-problem")).to_be_visible()
    told = at.page.evaluate(CONTRASTS)
    assert len(told) > 30
    assert [one for one in told if one["ratio"] < MIN_CONTRAST] == []
    is_dark = (
        at.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 20, 22)"
    )
    assert is_dark == (scheme == "dark")


def test_a_phone_scrolls_one_way_and_has_room_for_thumbs(visit):
    at = visit(viewport=PHONE, has_touch=True, is_mobile=True, health=BOTH)
    at.one("#add-voice").click()
    at.one("#options > summary").click()
    at.one(".tuning > summary").first.click()
    at.take_portrait()
    assert at.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    boxes = at.page.evaluate("""
        [...document.querySelectorAll("button, select, input, textarea, summary, .button, .link")]
          .filter((one) => one.checkVisibility() && !one.matches(".unseen")).map((one) => {
            const {width, height} = one.getBoundingClientRect();
            if (!height) throw new Error(one.outerHTML);
            return [one.outerHTML.slice(0, 60), width, height];
          })
    """)
    assert len(boxes) > 25
    assert [box for box in boxes if min(box[1:]) < MIN_TARGET] == []


def test_who_asks_for_stillness_gets_it(visit):
    at = visit(reduced_motion="reduce")
    moving = "[...document.querySelectorAll('*')].filter((one) => !/^0s(, 0s)*$/.test("
    moving += "getComputedStyle(one).transitionDuration)).length"
    assert at.page.evaluate(moving) == 0
    assert visit().page.evaluate(moving) > 0


def test_every_control_has_a_name(visit):
    at = visit(health=BOTH)
    at.one("#add-voice").click()
    at.one("#options > summary").click()
    for tuning in at.one(".tuning > summary").all():
        tuning.click()
    at.take_portrait()
    nameless = at.page.evaluate("""
        [...document.querySelectorAll("main :is(button, input, select, textarea, video)")]
          .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim()
            || [...(one.labels ?? [])].some((label) => label.textContent.trim())))
          .map((one) => one.outerHTML)
    """)
    assert nameless == []
    for group in ("Voice 1", "Voice 2"):
        expect(at.page.get_by_role("group", name=group, exact=True)).to_be_visible()


def test_the_keyboard_is_enough(visit):
    at = visit()
    press = at.page.keyboard.press
    _tab_to(at, "#portrait-file")
    expect(at.one("#portrait-file")).to_be_focused()
    _tab_to(at, ".kinds input")
    press("ArrowRight")
    expect(at.one(".drop")).to_be_visible()
    press("ArrowLeft")
    _tab_to(at, ".voice textarea")
    at.page.keyboard.type("Hi.")
    _tab_to(at, "#send")
    press("Enter")
    expect(at.one("#portrait-problem")).to_be_visible()
    expect(at.one("#portrait-file")).to_be_focused()
    at.one("#camera").focus()
    press("Enter")
    expect(at.one("#camera-dialog")).to_be_visible()
    press("Escape")
    expect(at.one("#camera-dialog")).to_be_hidden()
    expect(at.one("#camera")).to_be_focused()


def test_a_server_with_keys_asks_for_one(visit, serve_at, tmp_path):
    _, key = KeyRing(tmp_path / "keys.json").add("a test")
    _, other = KeyRing(tmp_path / "keys.json").add("another")
    server = serve_at(tmp_path)
    order_a_talk(server, key=other)
    at = visit(server)
    expect(at.one("#key-dialog")).to_be_visible()
    at.one("#key").fill("not the key")
    at.page.keyboard.press("Enter")
    expect(at.one("#key-problem")).to_have_text("The server does not know this key.")
    at.one("#key").fill(key)
    at.page.keyboard.press("Enter")
    expect(at.one("#key-dialog")).to_be_hidden()
    at.take_portrait()
    at.words().fill("Hi.")
    at.send()
    at.finish()
    at.until("video.currentTime > 0.1")
    expect(at.one(".talk")).to_have_count(1)  # its own, and nobody else's
    assert at.page.evaluate("localStorage.getItem('multitalk-key')") is None
    assert not any(key in url for _, url, _ in at.requests)


def order_a_talk(server, *, key: str) -> None:
    """Submit a job with a key, past the page."""
    picture = base64.b64encode(portrait()).decode()
    job = {"prompt": "p", "image_path": picture, "audio_paths": {"a": {"text": "Hi."}}}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps({"input": job}).encode()
    order = urllib.request.Request(f"{server.url}/v2/local/run", body, headers)
    with urllib.request.urlopen(order, timeout=PATIENCE_SECONDS) as answer:
        assert json.load(answer)["id"]


def test_a_voice_is_recorded(visit):
    at = visit()
    at.take_portrait()
    at.one(".kinds label").nth(2).click()
    at.one(".record-button").click()
    expect(at.one(".record-text")).to_have_text("Stop")
    at.until(
        "new DOMMatrix(getComputedStyle(document.querySelector('.level span')).transform).a > 0.01"
    )
    at.until("parseFloat(document.querySelector('.clock').textContent) > 0.5")
    at.one(".record-button").click()
    expect(at.one(".record-text")).to_have_text("Record again")
    expect(at.one(".voice audio")).to_be_visible()
    expect(at.one("#estimate")).to_contain_text("A video of about")


def test_a_portrait_is_taken_with_the_camera(visit):
    at = visit()
    at.one("#camera").click()
    at.one("#camera-take").click()
    expect(at.one("#portrait")).to_be_visible()
    expect(at.one("#portrait-problem")).to_contain_text("No face was found")  # a test pattern


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_a_portrait_is_pasted_or_dropped(visit, way):
    at = visit()
    expect(at.one("#portrait-remove")).to_be_hidden()
    content = base64.b64encode(portrait()).decode()
    at.page.evaluate(HAND_OVER[way], content)
    expect(at.one(".face")).to_have_count(1)
    at.one("#portrait-remove").click()
    expect(at.one("#empty")).to_be_visible()
    expect(at.one("#portrait-remove")).to_be_hidden()
    expect(at.one("#portrait-file")).to_be_focused()


def test_voices_change_places(visit):
    at = visit()
    at.one("#add-voice").click()
    at.words(0).fill("first")
    at.words(1).fill("second")
    at.one(".voice .earlier").nth(1).click()
    assert [at.words(index).input_value() for index in (0, 1)] == ["second", "first"]
    assert at.one(".number").all_text_contents() == ["1", "2"]
    at.one(".voice .remove").nth(0).click()
    assert at.words().input_value() == "first"
    expect(at.one(".voice .remove")).to_be_hidden()


def test_a_server_that_is_gone_is_said(visit):
    at = visit()
    at.take_portrait()
    at.words().fill("Hi.")
    at.page.route("**/run", lambda route: route.abort())
    at.send()
    expect(at.one("#form-problem")).to_have_text("The server does not answer. Is it running?")
    expect(at.one("#send")).to_be_enabled()


def test_a_normal_visit_leaves_the_console_empty(visit):
    at = visit()
    at.page.route("**/example.jpg", lambda route: route.fulfill(body=portrait()))  # soon drawn
    at.one("#example").click()
    at.finish()
    at.until("video.currentTime > 0.1")
    at.page.reload()
    expect(at.one(".talk img").first).to_be_visible()
    at.page.goto(at.page.url + "docs")
    expect(at.page.get_by_role("heading", level=1)).to_be_visible()
    assert at.complaints == []


def test_common_languages_come_first_by_their_own_names(visit):
    at = visit(locale="ko-KR")
    offered = at.one(".language option")
    at.until("document.querySelectorAll('.language option').length > 50")
    names = offered.all_text_contents()
    assert names[:8] == [
        "자동 감지", "한국어", "English", "日本語", "中文", "Español", "Deutsch", "Français"
    ]  # fmt: skip
    rest = at.one(".language optgroup option").all_text_contents()
    assert "네덜란드어" in rest
    assert rest.index("그리스어") < rest.index("네덜란드어") < rest.index("핀란드어")


def test_engines_that_the_server_has_not_are_not_offered(visit):
    at = visit()
    at.one("#options > summary").click()
    expect(at.one("#resolution")).to_be_visible()
    assert at.one("#resolution").input_value() == ""  # the engine's own
    expect(at.one("#engine")).to_be_hidden()
    assert at.one("#options").locator("#prompt").is_visible(), "warp does not act the scene"
    both = visit(health=BOTH)
    expect(both.one("#prompt")).to_be_visible()
    assert both.one("#options").locator("#prompt").count() == 0
    both.one("#options > summary").click()
    names = both.one("#engine option").all_text_contents()
    assert names[0] == "Automatic (diffusion)"
    assert len(names) == 3
    expect(both.one("#profile")).to_be_visible()
    expect(both.one("#quality")).to_be_hidden()
    both.one("#engine").select_option("warp")
    expect(both.one("#profile")).to_be_hidden()
    expect(both.one("#quality")).to_be_visible()


def test_consent_is_asked_for_once(visit):
    at = visit(is_first=True)
    at.take_portrait()
    at.words().fill("Hi.")
    at.send()
    expect(at.one("#consent-dialog")).to_contain_text("made by AI")
    at.one("#consent-close").click()
    expect(at.one("#consent-dialog")).to_be_hidden()
    at.send()
    at.one("#consent-form [type=submit]").click()
    expect(at.one("#consent-dialog")).to_be_visible()  # not without the tick
    assert not any(url.endswith("/run") for _, url, _ in at.requests)
    at.one("#consent").check()
    at.one("#consent-form [type=submit]").click()
    at.finish()
    at.page.reload()
    at.take_portrait()
    at.words().fill("Oh.")
    at.page.route("**/run", lambda route: route.abort())  # the first one was made
    with at.page.expect_request("**/run"):
        at.send()
    expect(at.one("#consent-dialog")).to_be_hidden()


def test_without_a_worker_the_page_says_so_until_there_is_one(visit):
    at = visit(health={"workers": 0})
    expect(at.one("#no-worker")).to_contain_text("No worker is ready")
    at.answer("**/healthz", workers=1)
    expect(at.one("#no-worker")).to_be_hidden()


def _tab_to(at, selector: str) -> None:
    for _ in range(20):
        at.page.keyboard.press("Tab")
        if at.page.evaluate(f"document.activeElement.matches('{selector}')"):
            return
    raise AssertionError(f"{selector} is not reached")


FILE = """
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], "portrait.jpg", {type: "image/jpeg"}));
"""
HAND_OVER = {
    "paste": f"""(content) => {{ {FILE}
        document.dispatchEvent(
            new ClipboardEvent("paste", {{clipboardData: data, bubbles: true}})); }}""",
    "drop": f"""(content) => {{ {FILE}
        document.getElementById("frame").dispatchEvent(
            new DragEvent("drop", {{dataTransfer: data, bubbles: true, cancelable: true}})); }}""",
}

# The contrast of every text that is seen with what is behind it (WCAG 2.2: relative luminance).
CONTRASTS = """
(() => {
  const channels = (color) => {
    const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number);
    return {r, g, b, a};
  };
  const luminance = ({r, g, b}) => [r, g, b]
    .map((value) => value / 255)
    .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = channels(getComputedStyle(one).backgroundColor);
      if (color.a > 0.99) return color;
    }
  };
  const seen = [...document.querySelectorAll("body *")].filter((one) =>
    one.checkVisibility() && !one.closest(".unseen, .veil, :disabled")
    && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  return seen.map((one) => {
    const [light, dark] = [channels(getComputedStyle(one).color), behind(one)]
      .map(luminance).sort((first, second) => second - first);
    return {text: one.textContent.trim().slice(0, 40), ratio: (light + 0.05) / (dark + 0.05)};
  });
})()
"""
