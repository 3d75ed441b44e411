"""A live session opened with what its client chose."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from multitalk.errors import InvalidRequest
from multitalk.schema.sources import is_upload
from multitalk.schema.validation import brief
from multitalk.serving.api.live.models import LiveOptions
from multitalk.serving.api.services import Services
from multitalk.serving.api.uploads import UploadStore
from multitalk.serving.api.web_page import DIRECTORY
from multitalk.serving.live.session_pool import LiveSession
from multitalk.version import __version__
from multitalk.watermark.keys import Payload

FrameForm = Literal["frames", "mp4"]  # H.264 and PCM, or pieces of a fragmented MP4

EXAMPLE = DIRECTORY / "example.jpg"


@asynccontextmanager
async def open_session(
    services: Services,
    options: LiveOptions,
    owner: str,
    *,
    profile: Literal["Baseline", "High"] = "High",
    form: FrameForm = "frames",
) -> AsyncIterator[LiveSession]:
    """A session with these options; meanwhile a process is started for the next one.

    Args:
        services: Of the server.
        options: What the client chose.
        owner: Of the portrait.
        profile: Of the video, see `LiveEncoder`.
        form: Of the frames.

    Raises:
        InvalidRequest: The portrait is no upload.
        NotFound: The upload is unknown, or another owner's.
        TooManyRequests: There is no room for another session.
        RequestError: What `Avatar` refuses.
    """
    given = {
        "portrait": str(portrait_of(services.uploads, options, owner)),
        "watermark": _mark() if services.settings.watermark else None,
        "profile": profile,
        "format": form,
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
