"""How much is stored: no more than the disk has room for, and no more for one key than its quota.

Counted are a key's uploads, and of each of its jobs what was sent and the files: copies of uploads,
fragments of the video, the video. A video is made after its job was accepted, so a key may exceed
its quota by those under way; then no more are accepted.
"""

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from multitalk.disk import check_free_space
from multitalk.errors import LimitExceeded
from multitalk.serving.api.uploads import UploadStore
from multitalk.serving.queue import JobQueue

GIGABYTE = 10**9
LOOK_BYTES = 8 * 2**20  # of an upload that comes in: how often the disk is looked at meanwhile
NEAR = 0.8  # of the quota: from there on it is counted more often
SECONDS, SECONDS_NEAR = 60.0, 5.0  # for which a count is used


@dataclass
class _Count:
    """What a key has stored, in bytes: counted, and come since; and until when that is used."""

    num_bytes: int
    until: float


class StorageQuota:
    """The disk of one server, and the shares of its keys.

    Args:
        directory: Of the server.
        queue: Where jobs are.
        uploads: Files that came ahead of their jobs.
        quota: Bytes for each key; None: no limit. Who needs no key has none.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        directory: Path,
        queue: JobQueue,
        uploads: UploadStore,
        *,
        quota: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._disks = {directory, *([queue.media.directory] if queue.media.directory else [])}
        self._queue = queue
        self._uploads = uploads
        self._quota = quota
        self._clock = clock
        self._counts: dict[str, _Count] = {}
        # Of each owner's jobs that have ended, the version that was counted, and its bytes.
        self._of_jobs: dict[str, dict[str, tuple[int, int]]] = {}
        self._coming: defaultdict[str, int] = defaultdict(int)  # in uploads that are not ended

    async def admit(self, owner: str, num_bytes: int | None) -> None:
        """Let a job in, of so many bytes where that is known, and count them.

        Raises:
            DiskUnusable, LimitExceeded: As `check`.
        """
        await self.check(owner, num_bytes)
        self._add(owner, num_bytes or 0)

    async def check(self, owner: str, num_bytes: int | None) -> None:
        """Whether something of so many bytes may be stored for an owner.

        Raises:
            DiskUnusable: The disk is all but full.
            LimitExceeded: It is more than the owner may store.
        """
        self._check_disks()
        await self._check_quota(owner, num_bytes or 0)

    @contextmanager
    def receiving(self, owner: str) -> Iterator[Callable[[int], None]]:
        """While an upload comes in: what is to be told how many bytes came.

        It raises as `check`, which must have been asked before.
        """
        come = seen = 0

        def more(num_bytes: int) -> None:
            nonlocal come, seen
            come += num_bytes
            self._coming[owner] += num_bytes
            self._refuse_above_quota(owner, 0)
            if come >= seen + LOOK_BYTES:
                seen = come
                self._check_disks()

        try:
            yield more
        except BaseException:
            self._coming[owner] -= come
            raise
        self._coming[owner] -= come
        self._add(owner, come)

    def removed(self, owner: str) -> None:
        """Something of an owner's was removed: count anew before the next is let in."""
        self._counts.pop(owner, None)

    def _check_disks(self) -> None:
        for disk in self._disks:
            check_free_space(disk)

    async def _check_quota(self, owner: str, num_bytes: int) -> None:
        if self._quota is None or not owner:
            return
        count = self._counts.get(owner)
        if count is None or self._clock() > count.until:
            stored = await self._stored(owner)
            seconds = SECONDS_NEAR if stored > NEAR * self._quota else SECONDS
            self._counts[owner] = _Count(stored, self._clock() + seconds)
        self._refuse_above_quota(owner, num_bytes)

    def _refuse_above_quota(self, owner: str, num_bytes: int) -> None:
        count = self._counts.get(owner)
        if self._quota is None or count is None:
            return
        total = count.num_bytes + self._coming[owner] + num_bytes
        if total > self._quota:
            count.until = min(count.until, self._clock() + SECONDS_NEAR)
            raise LimitExceeded(
                "quota_exceeded", used=total / GIGABYTE, limit=self._quota / GIGABYTE
            )

    def _add(self, owner: str, num_bytes: int) -> None:
        if owner in self._counts:
            self._counts[owner].num_bytes += num_bytes

    async def _stored(self, owner: str) -> int:
        """Bytes of all that an owner has stored; what has not changed is not counted anew."""
        total = await asyncio.to_thread(self._uploads.stored, owner)
        before, ended = self._of_jobs.get(owner, {}), {}
        for job in await self._queue.jobs(owner=owner, limit=sys.maxsize):
            version, num_bytes = before.get(job.id, (0, 0))
            if version != job.version:
                num_bytes = job.input_bytes + await self._queue.media.job_bytes(job.id)
            if job.is_final:
                ended[job.id] = (job.version, num_bytes)
            total += num_bytes
        self._of_jobs[owner] = ended
        return total
