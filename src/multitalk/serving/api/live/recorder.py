"""Recordings of a live session: written by its process, finished, signed and kept by the server.

A recording is an upload of its owner's: it counts against the quota, is removed on the same day and
can be used in a job. Its address is known from the start, so that a client whose connection breaks
finds what was recorded until then.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from multitalk.disk import server_disk_error
from multitalk.errors import InvalidRequest, LimitExceeded, MultiTalkError
from multitalk.job import translate_crashes
from multitalk.media.label import append_xmp
from multitalk.messages import Locale, sentence
from multitalk.provenance import load_credential, sign_video
from multitalk.serving.api.access.quota import StorageQuota
from multitalk.serving.api.access.signed_urls import UrlSigner
from multitalk.serving.api.uploads import UploadStore, new_upload_id
from multitalk.serving.live.messages import OFFSET, Message, MessageKind
from multitalk.serving.live.sessions import LiveSession
from multitalk.settings import Settings
from multitalk.timebase import FPS

MAX_SECONDS = 600.0
MAX_BYTES = 512 * 2**20
COMPLETE_SECONDS = 5.0  # for a session's process to write the index
ENGINE = "warp"
DIRECTORY = "videos/live"  # of the addresses


class LiveRecorder:
    """Records one session, one recording at a time.

    Args:
        session: Ready.
        uploads: Keep the files.
        quota: Of the owner.
        url_signer: Signs addresses.
        settings: Name what videos are signed with.
        clock: Seconds since 1970.
        owner: Id of the caller's key.
        portrait: The session's picture; the signature names its digest.
        base_url: Of the server, without a slash at its end.
        locale: Of warnings.

    Attributes:
        notify: Called with a message for the client, or an error.
    """

    notify: Callable[[dict[str, Any] | MultiTalkError], None]

    def __init__(
        self,
        session: LiveSession,
        *,
        uploads: UploadStore,
        quota: StorageQuota,
        url_signer: UrlSigner,
        settings: Settings,
        clock: Callable[[], float],
        owner: str,
        portrait: Path,
        base_url: str,
        locale: Locale,
    ) -> None:
        self._session = session
        self._uploads = uploads
        self._quota = quota
        self._url_signer = url_signer
        self._settings = settings
        self._clock = clock
        self._owner = owner
        self._portrait = portrait
        self._base_url = base_url
        self._locale = locale
        self._file: _GrowingFile | None = None
        self._is_stopping = False
        self._finishing: asyncio.Task[None] | None = None
        self.notify = lambda _: None

    async def start(self) -> None:
        """Begin, and notify where the recording will be.

        Raises:
            InvalidRequest: It records already.
            LimitExceeded, DiskUnusable, DeliveryFailed: There is no room, or nothing to sign with.
        """
        if self._file is not None:
            raise InvalidRequest("live_records_already", field="action", value="start")
        await self._quota.check(self._owner, None)
        await asyncio.to_thread(load_credential, self._settings)
        self._file = _GrowingFile(self._uploads, self._quota, self._clock, self._owner)
        self._is_stopping = False
        await self._session.record(is_wanted=True)
        self._notify("started", self._file.id, max_seconds=MAX_SECONDS)

    async def stop(self) -> None:
        """End it; once it is finished, that is notified.

        Raises:
            InvalidRequest: It does not record.
        """
        if self._file is None:
            raise InvalidRequest("live_records_not", field="action", value="stop")
        self._is_stopping = True
        await self._session.record(is_wanted=False)

    async def take(self, message: Message) -> None:
        """Take a part of the file from the session's process, or its end."""
        if self._file is None or self._finishing is not None:
            return  # it was given up
        if message.kind is MessageKind.RECORDED:
            self._finishing = asyncio.create_task(
                self._finish(self._file, message.json()["frames"])
            )
            return
        try:
            self._file.write(message.content)
            if self._file.age() > MAX_SECONDS and not self._is_stopping:
                await self.stop()
        except MultiTalkError as error:
            self._give_up(error)
            await self._session.record(is_wanted=False)

    async def close(self) -> None:
        """The session ends: finish what is recorded."""
        try:
            if self._file is not None and not self._is_stopping:
                await self.stop()
            await asyncio.wait_for(self._complete(), COMPLETE_SECONDS)
        except (asyncio.TimeoutError, MultiTalkError) as error:
            # Its process has ended, or is stuck
            self._give_up(error if isinstance(error, MultiTalkError) else None)
        if self._finishing is not None:
            await self._finishing

    async def _complete(self) -> None:
        while self._file is not None and self._finishing is None:
            message = await self._session.receive()
            if message.kind in (MessageKind.RECORDED_PART, MessageKind.RECORDED):
                with translate_crashes(self._session.name):
                    await self.take(message)

    async def _finish(self, file: "_GrowingFile", num_frames: int) -> None:
        try:
            with translate_crashes(self._session.name):
                warnings = await asyncio.to_thread(self._sign, file)
                size, seconds = file.path.stat().st_size, num_frames / FPS
                self._uploads.keep(file.path, upload_id=file.id, owner=self._owner)
        except MultiTalkError as error:
            self._give_up(error)
        else:
            file.close()
            self._file = None
            self._notify("finished", file.id, seconds=seconds, bytes=size, warnings=warnings)
        finally:
            self._finishing = None

    def _notify(self, state: str, recording_id: str, **more: Any) -> None:
        query = self._url_signer.query(signed_name(recording_id), now=self._clock())
        url = f"{self._base_url}/{DIRECTORY}/{recording_id}.mp4?{query}"
        self.notify({"type": "recording", "state": state, "url": url, **more})

    def _sign(self, file: "_GrowingFile") -> list[str]:
        """Add the metadata and the signature; warnings."""
        try:
            append_xmp(file.path)
        except OSError as error:
            raise server_disk_error(error) from error
        credential = load_credential(self._settings)
        if credential is None:
            return []
        notices = sign_video(file.path, credential, picture=self._portrait, engine=ENGINE)
        return [sentence(one.key, self._locale, **one.parameters) for one in notices]

    def _give_up(self, error: MultiTalkError | None) -> None:
        if self._file is None:
            return
        self._file.path.unlink(missing_ok=True)
        self._file.close()
        self._file = None
        self.notify({"type": "recording", "state": "failed"})
        if error is not None:
            self.notify(error)


class _GrowingFile:
    """A file that is written at any offset, within the owner's quota.

    Attributes:
        id: Of the upload that it becomes.
        path: In the directory of uploads; a server that is killed removes it at its next start.
    """

    def __init__(
        self, uploads: UploadStore, quota: StorageQuota, clock: Callable[[], float], owner: str
    ) -> None:
        self.id = new_upload_id()
        self._clock = clock
        self._began = clock()
        self._size = 0
        self._stack = ExitStack()
        self._count: Callable[[int], None] = self._stack.enter_context(quota.receiving(owner))
        try:
            self._descriptor, name = tempfile.mkstemp(".mp4", ".recording-", uploads.directory)
        except OSError as error:
            self._stack.close()
            raise server_disk_error(error) from error
        self.path = Path(name)
        self._stack.callback(os.close, self._descriptor)

    def age(self) -> float:
        """Seconds since it was made."""
        return self._clock() - self._began

    def write(self, part: bytes) -> None:
        """Write a part: its offset, then its bytes.

        Raises:
            LimitExceeded: The file would be too large.
            DiskUnusable: The disk is full or has failed.
        """
        (offset,) = OFFSET.unpack_from(part)
        content = memoryview(part)[OFFSET.size :]
        end = offset + len(content)
        if end > MAX_BYTES:
            raise LimitExceeded("live_recording_too_large", limit=MAX_BYTES / 2**20)
        if end > self._size:
            self._count(end - self._size)
            self._size = end
        try:
            os.pwrite(self._descriptor, content, offset)
        except OSError as error:
            raise server_disk_error(error) from error

    def close(self) -> None:
        """Close it; what it has counted so far counts as the upload."""
        self._stack.close()


def signed_name(recording_id: str) -> str:
    """The name that a recording's address signs."""
    return f"live/{recording_id}"
