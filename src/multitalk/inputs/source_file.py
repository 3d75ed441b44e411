"""A file that is received: limited in size, identified by its first bytes, deleted on an error."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias

from multitalk.errors import InvalidRequest, LimitExceeded, MediaUndecodable
from multitalk.inputs.sniff import (
    SNIFFED_BYTES,
    Container,
    Medium,
    looks_like_page,
    sniff,
)
from multitalk.settings import PREFIX, Settings

SourceKind: TypeAlias = Literal["image", "visual", "speech", "media"]
# The media of each kind, and the setting that says how large they may be.
LIMITS: dict[SourceKind, dict[Medium, str]] = {
    "image": {"image": "max_image_bytes"},
    "visual": {"image": "max_image_bytes", "video": "max_video_bytes"},
    "speech": {"audio": "max_audio_bytes", "video": "max_audio_bytes"},
    "media": {
        "image": "max_image_bytes",
        "audio": "max_audio_bytes",
        "video": "max_video_bytes",
    },
}


class SourceFile:
    """Receives one source's bytes into a new file of `directory`.

    A context manager: leaving it with an error deletes the file.

    Args:
        directory: Exists; belongs to the job.
        field: The request field the bytes came from, for errors.
        kind: The expected kind; visual is a picture or a video, speech may be a video's sound,
            media is any of them.
        settings: For the limits of size.
    """

    def __init__(
        self, directory: Path, *, field: str, kind: SourceKind, settings: Settings
    ) -> None:
        self._directory = directory
        self.field = field
        self._kind = kind
        self._settings = settings
        self._limit, self._setting = max(
            map(self._limit_of, LIMITS[kind])
        )  # until the format is known
        self._head = b""
        self._size = 0
        self._container: Container | None = None

    def __enter__(self) -> "SourceFile":
        self._file = tempfile.NamedTemporaryFile(
            dir=self._directory, prefix=f"{self._kind}-", delete=False
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._file.close()  # flushes: it may raise on a full disk
        finally:
            if kind is not None:
                Path(self._file.name).unlink(missing_ok=True)

    def check_size(self, size: int) -> None:
        """Check a size in bytes that is announced before the bytes.

        Raises:
            LimitExceeded: It is too large.
        """
        if size > self._limit:
            raise LimitExceeded(
                "file_too_large",
                field=self.field,
                limit=self._limit / 2**20,
                setting=self._setting,
            )

    def write(self, chunk: bytes) -> None:
        """Append bytes.

        Raises:
            LimitExceeded: The file is too large.
            MediaUndecodable: Not a file of the expected kind.
        """
        self._size += len(chunk)
        self.check_size(self._size)
        if self._container is None:
            self._head += chunk
            if len(self._head) >= SNIFFED_BYTES:
                self._container = self._identify()
        self._file.write(chunk)

    def write_all(self, chunks: Iterable[bytes], *, size: int | None = None) -> None:
        """Append all chunks, whose total `size` is announced or None; raises as `write`."""
        if size is not None:
            self.check_size(size)
        for chunk in chunks:
            self.write(chunk)

    def finish(self) -> Path:
        """Close the file and name it after its format.

        Raises:
            InvalidRequest: The file is empty.
            MediaUndecodable: Not a file of the expected kind.
        """
        if self._size == 0:
            raise InvalidRequest("source_empty", field=self.field)
        container = self._container or self._identify()
        self._file.close()
        path = Path(self._file.name)
        return path.rename(path.with_suffix(container.suffix))

    def adopt(self, path: Path) -> Path:
        """Take a file of the directory in place of bytes; raises as `write` and `finish`."""
        with path.open("rb") as file:
            self._head = file.read(SNIFFED_BYTES)
        self._size = path.stat().st_size
        if self._size == 0:
            raise InvalidRequest("source_empty", field=self.field)
        self.check_size(self._size)
        return path.rename(path.with_suffix(self._identify().suffix))

    def _limit_of(self, medium: Medium) -> tuple[int, str]:
        """The limit of size in bytes, and the variable that sets it."""
        name = LIMITS[self._kind][medium]
        return getattr(self._settings, name), PREFIX + name.upper()

    def _identify(self) -> Container:
        container = sniff(self._head)
        if container is None:
            if looks_like_page(self._head):
                raise MediaUndecodable(f"web_page_for_{self._kind}", field=self.field)
            raise MediaUndecodable(f"{self._kind}_format_unknown", field=self.field)
        if container.medium not in LIMITS[self._kind]:
            raise MediaUndecodable(
                f"{container.medium}_for_{self._kind}", field=self.field, format=container.name
            )
        self._limit, self._setting = self._limit_of(container.medium)
        self.check_size(self._size)
        return container
