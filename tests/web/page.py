"""The page as a person uses it, and what must hold whatever they do."""

import json
import time
import wave
from functools import cache
from io import BytesIO
from pathlib import Path
from urllib.parse import urljoin

from PIL import Image, ImageOps
from playwright.sync_api import Browser, Locator, Page, expect

from patience import PATIENCE_SECONDS

PORTRAIT = Path(__file__).parents[2] / "examples" / "portrait.jpg"
SIDE = 360  # pixels of the portrait that visitors choose: quickly read, drawn and played
expect.set_options(timeout=1000 * PATIENCE_SECONDS)


class Windows:
    """Browser windows: one that was ordinary, and was left in order, is used again.

    Attributes:
        browser: Where they are opened.
    """

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self._empty: list[Page] = []

    def open(self, script: str, options: dict) -> Page:
        """An empty window without cookies and storage, where a script runs before any page's."""
        if self._empty and not options and script == ORDINARY:
            return self._empty.pop()
        shown = {"locale": "en-US", "viewport": {"width": 1280, "height": 900}, **options}
        context = self.browser.new_context(**shown)
        context.set_default_timeout(1000 * PATIENCE_SECONDS)
        context.add_init_script(script)
        return context.new_page()

    def clear(self, page: Page) -> None:
        """Take an ordinary window back."""
        page.goto(urljoin(page.url, "/icon.svg"))  # of the same site: its process is kept
        page.evaluate("localStorage.clear(), sessionStorage.clear()")
        page.context.clear_cookies()
        page.mouse.move(0, 0)
        self._empty.append(page)


class Visit:
    """One browser window at the page.

    Attributes:
        page: Playwright's.
        requests: Every request, as its method, its address and its body.
        complaints: What the browser writes to its console as errors.

    Args:
        windows: Where to open it.
        served: The server.
        init: A script that runs before the page's own.
        is_first: Nobody has agreed to anything in this browser yet.
        health: What `/healthz` answers otherwise than the server does.
        is_lasting: The server is there when the window is left.
        options: Of the browser's window.
    """

    def __init__(
        self,
        windows: Windows,
        served,
        *,
        init: str = "",
        is_first: bool = False,
        health: dict | None = None,
        is_lasting: bool = True,
        **options,
    ) -> None:
        script = WATCH + ("" if is_first else CONSENT) + init
        self._windows = windows
        self._is_ordinary = is_lasting and script == ORDINARY and not options
        self.page = windows.open(script, options)
        if health is not None:
            self.answer("**/healthz", **health)
        self.requests: list[tuple[str, str, str | None]] = []
        self._url = served.url
        self._crashes: list[str] = []
        self.complaints: list[str] = []
        self._listeners = {
            "pageerror": lambda error: self._crashes.append(str(error)),
            "request": self._note,
            "console": self._hear,
        }
        for event, listener in self._listeners.items():
            self.page.on(event, listener)
        self.page.goto(served.url)
        expect(self.one("#history-title")).to_be_visible()

    def answer(self, addresses: str, **changes: object) -> None:
        """Change some fields of the server's answers at some addresses."""

        def changed(route) -> None:
            answer = route.fetch()
            route.fulfill(response=answer, json={**answer.json(), **changes})

        self.page.route(addresses, changed)

    def one(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def words(self, index: int = 0) -> Locator:
        """The text of a voice."""
        return self.one(".voice textarea").nth(index)

    def take_portrait(self, picture: bytes | None = None, *, faces: int = 1) -> None:
        """Choose a portrait, and wait until its faces are outlined."""
        content = picture or portrait()
        file = {"name": "portrait.jpg", "mimeType": "image/jpeg", "buffer": content}
        self.one("#portrait-file").set_input_files(file)
        if faces:
            expect(self.one(".face")).to_have_count(faces)
        else:
            expect(self.one("#portrait-problem")).not_to_be_empty()

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
            self.page.wait_for_timeout(50)
        raise AssertionError(expression)

    def sent(self) -> dict:
        """The last job's input."""
        bodies = [body for _, url, body in self.requests if url.endswith("/run")]
        return json.loads(bodies[-1])["input"]

    def close(self) -> None:
        """Leave; the page must have asked its own server only, broken no policy and not crashed."""
        self.page.unroute_all(behavior="ignoreErrors")  # answers that are being changed
        broken = self.page.evaluate("window.broken")
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)
        strangers = [url for _, url, _ in self.requests if not url.startswith(self._url)]
        is_in_order = [strangers, broken, self._crashes] == [[], [], []]
        if self._is_ordinary and is_in_order:
            self._windows.clear(self.page)
        else:
            self.page.context.close()
        assert strangers == []
        assert broken == []
        assert self._crashes == []

    def _hear(self, message) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _note(self, request) -> None:
        if not request.url.startswith(("blob:", "data:")):
            self.requests.append((request.method, request.url, request.post_data))


CONSENT = "localStorage.setItem('multitalk-consent', 'before');"
# Runs before the page does.
WATCH = """
window.broken = [];
document.addEventListener("securitypolicyviolation", ({violatedDirective, blockedURI}) =>
  window.broken.push(`${violatedDirective} ${blockedURI}`));
"""
ORDINARY = WATCH + CONSENT


@cache
def portrait(*, turned: int = 0) -> bytes:
    """A small portrait, turned by so many degrees."""
    with Image.open(PORTRAIT) as picture:
        return _jpeg(picture.resize((SIDE, SIDE)).rotate(turned, expand=True))


@cache
def two_people() -> bytes:
    """A picture of two faces: the portrait, and its mirror image beside it."""
    with Image.open(BytesIO(portrait())) as picture:
        half = picture.crop((20, 0, 340, SIDE))
    both = Image.new("RGB", (640, SIDE))
    both.paste(half, (0, 0))
    both.paste(ImageOps.mirror(half), (320, 0))
    return _jpeg(both)


def nobody() -> bytes:
    """A picture without a face."""
    return _jpeg(Image.new("RGB", (320, 240), (120, 140, 90)))


def _jpeg(picture: Image.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def hum() -> bytes:
    """A second and a half of a hum, as a WAV file."""
    file = BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes([0, 8] * 60 + [0, 248] * 60) * 200)
    return file.getvalue()
