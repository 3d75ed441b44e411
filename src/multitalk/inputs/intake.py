"""A file on its way in: counted, judged by its first bytes, removed unless it is kept."""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias

from multitalk.errors import InvalidRequest, LimitExceeded, MediaUndecodable
from multitalk.inputs.containers import (
    SNIFFED_BYTES,
    Container,
    Medium,
    looks_like_page,
    sniff,
)
from multitalk.settings import PREFIX, Settings

Kind: TypeAlias = Literal["image", "visual", "speech"]
# The media of each kind, and the setting that says how large they may be.
LIMITS: dict[Kind, dict[Medium, str]] = {
    "image": {"image": "max_image_bytes"},
    "visual": {"image": "max_image_bytes", "video": "max_video_bytes"},
    "speech": {"audio": "max_audio_bytes", "video": "max_audio_bytes"},
}


class Intake:
    """Receives one source's bytes into a new file of `directory`.

    A context manager: leaving it with an error removes the file.

    Args:
        directory: Exists; belongs to the job.
        field: The request field the bytes came from, for errors.
        kind: What they must be; visual is a picture or a video, speech may be a video's sound.
        settings: For the size that is accepted.
    """

    def __init__(self, directory: Path, *, field: str, kind: Kind, settings: Settings) -> None:
        self._directory = directory
        self._field = field
        self._kind = kind
        self._settings = settings
        self._limit, self._setting = max(map(self._limited, LIMITS[kind]))  # until it is known
        self._head = b""
        self._size = 0
        self._container: Container | None = None

    def __enter__(self) -> "Intake":
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
            self._file.close()  # writes what is left: another time no room, if there was none
        finally:
            if kind is not None:
                Path(self._file.name).unlink(missing_ok=True)

    def expect(self, size: int) -> None:
        """Refuse a size in bytes that is announced before the bytes come.

        Raises:
            LimitExceeded: More than is accepted.
        """
        if size > self._limit:
            raise LimitExceeded(
                "file_too_large",
                field=self._field,
                limit=self._limit / 2**20,
                setting=self._setting,
            )

    def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            LimitExceeded: More than is accepted.
            MediaUndecodable: Not a file of the kind that is wanted.
        """
        self._size += len(chunk)
        self.expect(self._size)
        if self._container is None:
            self._head += chunk
            if len(self._head) >= SNIFFED_BYTES:
                self._container = self._judged()
        self._file.write(chunk)

    def keep(self) -> Path:
        """Close the file and name it after its format.

        Raises:
            InvalidRequest: There were no bytes.
            MediaUndecodable: Not a file of the kind that is wanted.
        """
        if self._size == 0:
            raise InvalidRequest("source_empty", field=self._field)
        container = self._container or self._judged()
        self._file.close()
        path = Path(self._file.name)
        return path.rename(path.with_suffix(container.suffix))

    def _limited(self, medium: Medium) -> tuple[int, str]:
        """How large a file may be, and the variable that says so."""
        name = LIMITS[self._kind][medium]
        return getattr(self._settings, name), PREFIX + name.upper()

    def _judged(self) -> Container:
        container = sniff(self._head)
        if container is None:
            if looks_like_page(self._head):
                raise MediaUndecodable(f"web_page_for_{self._kind}", field=self._field)
            raise MediaUndecodable(f"{self._kind}_format_unknown", field=self._field)
        if container.medium not in LIMITS[self._kind]:
            raise MediaUndecodable(
                f"{container.medium}_for_{self._kind}", field=self._field, format=container.name
            )
        self._limit, self._setting = self._limited(container.medium)
        self.expect(self._size)
        return container
