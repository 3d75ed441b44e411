"""The page as a person uses it, and what must hold whatever they do."""

import json
import time
import wave
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
        complaints: What the browser writes to its console as errors.

    Args:
        browser: Where to open it.
        served: The server.
        init: A script that runs before the page's own.
        is_first: Nobody has agreed to anything in this browser yet.
        health: What `/healthz` answers otherwise than the server does.
        options: Of the browser's window.
    """

    def __init__(
        self,
        browser: Browser,
        served,
        *,
        init: str = "",
        is_first: bool = False,
        health: dict | None = None,
        **options,
    ) -> None:
        options = {"locale": "en-US", "viewport": {"width": 1280, "height": 900}, **options}
        self._context = browser.new_context(**options)
        self._context.set_default_timeout(1000 * PATIENCE_SECONDS)
        self._context.add_init_script(WATCH + ("" if is_first else CONSENT) + init)
        if health is not None:
            self.answer("**/healthz", **health)
        self.page = self._context.new_page()
        self.requests: list[tuple[str, str, str | None]] = []
        self._url = served.url
        self._crashes: list[str] = []
        self.page.on("pageerror", lambda error: self._crashes.append(str(error)))
        self.page.on("request", self._note)
        self.complaints: list[str] = []
        self.page.on("console", self._hear)
        self.page.goto(served.url)
        expect(self.one("#history-title")).to_be_visible()

    def answer(self, addresses: str, **changes: object) -> None:
        """Change some fields of the server's answers at some addresses."""

        def changed(route) -> None:
            answer = route.fetch()
            route.fulfill(response=answer, json={**answer.json(), **changes})

        self._context.route(addresses, changed)

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
            self.page.wait_for_timeout(20)
        raise AssertionError(expression)

    def sent(self) -> dict:
        """The last job's input."""
        bodies = [body for _, url, body in self.requests if url.endswith("/run")]
        return json.loads(bodies[-1])["input"]

    def close(self) -> None:
        """Leave; the page must have asked its own server only, broken no policy and not crashed."""
        self._context.unroute_all(behavior="ignoreErrors")  # answers that are being changed
        broken = self.page.evaluate("window.broken")
        self._context.close()
        strangers = [url for _, url, _ in self.requests if not url.startswith(self._url)]
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


def hum() -> bytes:
    """A second and a half of a hum, as a WAV file."""
    file = BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes([0, 8] * 60 + [0, 248] * 60) * 200)
    return file.getvalue()
