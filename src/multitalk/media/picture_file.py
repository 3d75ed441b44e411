"""A picture's bytes as the file that Pillow reads: it may stop the reading, and counts it."""

import io

from multitalk.errors import MediaUndecodable
from multitalk.media.watch import Watch

# Chunks, segments and blocks take one to four reads each; cameras and editors write some hundreds.
MAX_HEADER_READS = 100_000
# A PNG's pixels come in pieces of 8 KiB or more, of three reads each; other pieces may follow.
MAX_PNG_READS = 200_000


class PictureFile(io.BytesIO):
    """Asks at each read whether to go on.

    Pillow reads a header piece by piece and keeps what it does not know, so a file of millions of
    empty pieces would cost minutes and gigabytes.

    Args:
        data: The whole file.
        field: The request field to blame.
        watch: Called at each read.
    """

    def __init__(self, data: bytes, *, field: str, watch: Watch) -> None:
        super().__init__(data)
        self._field = field
        self._watch = watch
        self._reads_left: int | None = MAX_HEADER_READS

    def allow(self, reads: int | None) -> None:
        """So many reads from here on; None: any number."""
        self._reads_left = reads

    def read(self, size: int | None = -1, /) -> bytes:
        """As a file's.

        Raises:
            MediaUndecodable: It was read too often.
        """
        self._watch()
        if self._reads_left is not None:
            if self._reads_left <= 0:
                reason = "far too many parts"
                raise MediaUndecodable("image_undecodable", field=self._field, reason=reason)
            self._reads_left -= 1
        return super().read(size)
