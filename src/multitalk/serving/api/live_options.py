"""What a client may choose of its live session, and the session opened with it."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from multitalk.errors import InvalidRequest
from multitalk.schema.sources import is_upload
from multitalk.schema.validation import WireModel, brief
from multitalk.serving.api.services import Services
from multitalk.serving.api.uploads import UploadStore
from multitalk.serving.api.web_page import DIRECTORY
from multitalk.serving.live.session_pool import LiveSession
from multitalk.version import __version__
from multitalk.watermark.keys import Payload

EXAMPLE = DIRECTORY / "example.jpg"


class LiveOptions(WireModel):
    """The options of a live session, whatever carries it."""

    portrait: str | None = Field(None, description="`upload://ID`; the example if left out")
    size: int = Field(512, ge=64, le=1280, description="of the longer side, in pixels")
    ahead_ms: int = Field(160, ge=0, le=400, multiple_of=40)
    seed: int = Field(0, ge=0, lt=2**32)
    motion: float = Field(1.0, ge=0.0, le=1.5)
    quality: Literal["draft", "standard", "fine"] = "standard"

    def of_avatar(self) -> dict[str, Any]:
        """As arguments of `Avatar`, without the portrait."""
        return self.model_dump(include={"size", "ahead_ms", "seed", "motion", "quality"})


@asynccontextmanager
async def open_session(
    services: Services, options: LiveOptions, owner: str
) -> AsyncIterator[LiveSession]:
    """A session with these options; meanwhile a process is started for the next one.

    Raises:
        InvalidRequest: The portrait is no upload.
        NotFound: The upload is unknown, or another owner's.
        TooManyRequests: There is no room for another session.
        RequestError: What `Avatar` refuses.
    """
    given = {
        "portrait": str(portrait_of(services.uploads, options, owner)),
        "watermark": _mark() if services.settings.watermark else None,
        **options.of_avatar(),
    }
    async with services.live.open(given) as session:
        services.sandbox.warm()  # for texts
        warmer = asyncio.create_task(services.live.warm())
        try:
            yield session
        finally:
            warmer.cancel()


def portrait_of(uploads: UploadStore, options: LiveOptions, owner: str) -> Path:
    """The file of a session's picture.

    Raises:
        InvalidRequest: It is no upload.
        NotFound: The upload is unknown, or another owner's.
    """
    source = options.portrait
    if source is None:
        return EXAMPLE
    if not is_upload(source):
        raise InvalidRequest("live_portrait_refused", field="portrait", value=brief(source))
    return uploads.path(source, field="portrait", owner=owner)


def _mark() -> list[int]:
    """The fields of a session's watermark, with a number of its own."""
    payload = Payload.of(__version__, secrets.token_hex(8))
    return [payload.major, payload.minor, payload.talk]
