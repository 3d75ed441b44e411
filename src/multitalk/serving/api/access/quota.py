"""Limits of storage: the free space of the disk, and a quota for each key.

A key's uploads count, and of each of its jobs the body and the files: uploads, fragments, video. A
video is made after its job was admitted, so running jobs may exceed the quota; then no further job
is admitted.
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
LOOK_BYTES = 8 * 2**20  # of an upload between checks of the disk
NEAR = 0.8  # share of the quota above which it is counted more often
SECONDS, SECONDS_NEAR = 60.0, 5.0  # for which a count is valid


@dataclass
class _Count:
    """Bytes that a key has stored, with those since the count, and when the count expires."""

    num_bytes: int
    until: float


class StorageQuota:
    """The disk of one server, and the quotas of its keys.

    Args:
        directory: The server's.
        queue: Of the jobs.
        uploads: Uploaded files.
        quota: Bytes for each key; None: no limit. Without keys there is no quota.
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
        # By owner and finished job: the version that was counted, and its bytes.
        self._of_jobs: dict[str, dict[str, tuple[int, int]]] = {}
        self._receiving: defaultdict[str, int] = defaultdict(int)  # in unfinished uploads

    async def admit(self, owner: str, num_bytes: int | None) -> None:
        """Admit a job of so many bytes, if known, and count them.

        Raises:
            DiskUnusable, LimitExceeded: As `check`.
        """
        await self.check(owner, num_bytes)
        self._add(owner, num_bytes or 0)

    async def check(self, owner: str, num_bytes: int | None) -> None:
        """Check that so many bytes may be stored for an owner.

        Raises:
            DiskUnusable: The disk is almost full.
            LimitExceeded: It exceeds the owner's quota.
        """
        self._check_disks()
        await self._check_quota(owner, num_bytes or 0)

    @contextmanager
    def receiving(self, owner: str) -> Iterator[Callable[[int], None]]:
        """Count an upload while it is received: call the result with the length of each chunk.

        It raises as `check`, which has to be called before.
        """
        received = checked_at = 0

        def more(num_bytes: int) -> None:
            nonlocal received, checked_at
            received += num_bytes
            self._receiving[owner] += num_bytes
            self._refuse_above_quota(owner, 0)
            if received >= checked_at + LOOK_BYTES:
                checked_at = received
                self._check_disks()

        try:
            yield more
        except BaseException:
            self._receiving[owner] -= received
            raise
        self._receiving[owner] -= received
        self._add(owner, received)

    def removed(self, owner: str) -> None:
        """Note a removal: the owner's storage is counted again before the next admission."""
        self._counts.pop(owner, None)

    def _check_disks(self) -> None:
        for disk in self._disks:
            check_free_space(disk)

    async def _check_quota(self, owner: str, num_bytes: int) -> None:
        if self._quota is None or not owner:
            return
        count = self._counts.get(owner)
        if count is None or self._clock() > count.until:
            stored = await self._count_stored(owner)
            seconds = SECONDS_NEAR if stored > NEAR * self._quota else SECONDS
            self._counts[owner] = _Count(stored, self._clock() + seconds)
        self._refuse_above_quota(owner, num_bytes)

    def _refuse_above_quota(self, owner: str, num_bytes: int) -> None:
        count = self._counts.get(owner)
        if self._quota is None or count is None:
            return
        total = count.num_bytes + self._receiving[owner] + num_bytes
        if total > self._quota:
            count.until = min(count.until, self._clock() + SECONDS_NEAR)
            raise LimitExceeded(
                "quota_exceeded", used=total / GIGABYTE, limit=self._quota / GIGABYTE
            )

    def _add(self, owner: str, num_bytes: int) -> None:
        if owner in self._counts:
            self._counts[owner].num_bytes += num_bytes

    async def _count_stored(self, owner: str) -> int:
        """Bytes that an owner has stored; unchanged jobs are not counted again."""
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
