"""The page as a person uses it, and what must hold whatever they do."""

import time
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps
from playwright.sync_api import Browser, Locator, expect

from patience import PATIENCE_SECONDS

PORTRAIT = Path(__file__).parents[2] / "examples" / "portrait.jpg"
expect.set_options(timeout=1000 * PATIENCE_SECONDS)


class Visit:
    """One browser window at the page.

    Attributes:
        page: Playwright's.
        requests: Every request, as its method, its address and its body.
        answers: Statuses of the answers that say that something is wrong.
    """

    def __init__(self, browser: Browser, served, *, init: str = "", **options) -> None:
        options = {"locale": "en-US", "viewport": {"width": 1280, "height": 900}, **options}
        self._context = browser.new_context(**options)
        self._context.set_default_timeout(1000 * PATIENCE_SECONDS)
        self._context.add_init_script(WATCH + init)
        self.page = self._context.new_page()
        self.requests: list[tuple[str, str, str | None]] = []
        self._url = served.url
        self._crashes: list[str] = []
        self.page.on("pageerror", lambda error: self._crashes.append(str(error)))
        self.page.on("request", self._note)
        self.page.goto(served.url)
        expect(self.one("#history-title")).to_be_visible()

    def one(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def words(self, index: int = 0) -> Locator:
        """The text of a voice."""
        return self.one(".voice textarea").nth(index)

    def take_portrait(self, picture: bytes | None = None, *, faces: int = 1) -> None:
        """Choose a portrait, and wait until its faces are outlined."""
        content = picture or PORTRAIT.read_bytes()
        file = {"name": "portrait.jpg", "mimeType": "image/jpeg", "buffer": content}
        self.one("#portrait-file").set_input_files(file)
        if faces:
            expect(self.one(".face")).to_have_count(faces)
        else:
            expect(self.one("#portrait-note")).to_contain_text("No face was found")

    def send(self) -> None:
        self.one("#send").click()

    def finish(self) -> None:
        """Wait for the video."""
        expect(self.one("#download")).to_be_visible()

    def until(self, expression: str) -> object:
        """Wait until JavaScript says something true (from here: the policy forbids `eval`)."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            if said := self.page.evaluate(expression):
                return said
            self.page.wait_for_timeout(20)
        raise AssertionError(expression)

    def close(self) -> None:
        """Leave; the page must have asked its own server only, broken no policy and not crashed."""
        broken = self.page.evaluate("window.broken")
        self._context.close()
        strangers = [url for _, url, _ in self.requests if not url.startswith(self._url)]
        assert strangers == []
        assert broken == []
        assert self._crashes == []

    def _note(self, request) -> None:
        if not request.url.startswith(("blob:", "data:")):
            self.requests.append((request.method, request.url, request.post_data))


# Runs before the page does.
WATCH = """
window.broken = [];
document.addEventListener("securitypolicyviolation", ({violatedDirective, blockedURI}) =>
  window.broken.push(`${violatedDirective} ${blockedURI}`));
"""


def two_people() -> bytes:
    """A picture of two faces: the portrait, and its mirror image beside it."""
    with Image.open(PORTRAIT) as portrait:
        half = portrait.crop((40, 0, 680, 720))
    both = Image.new("RGB", (1280, 720))
    both.paste(half, (0, 0))
    both.paste(ImageOps.mirror(half), (640, 0))
    return _jpeg(both)


def nobody() -> bytes:
    """A picture without a face."""
    return _jpeg(Image.new("RGB", (320, 240), (120, 140, 90)))


def _jpeg(picture: Image.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()
