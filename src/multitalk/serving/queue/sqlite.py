"""A queue in one SQLite file, for one machine: a server and workers, each a process of its own.

Write-ahead log, so that readers wait for nobody; every change of a job is one transaction that is
on the disk when it is answered, but for renewed leases, which a power failure may forget. The file
must lie on a local disk: SQLite's locks do not work on network file systems.
"""

import sqlite3
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from typing_extensions import override

from multitalk.errors import Conflict, NotFound, QueueUnavailable
from multitalk.schema import JobStatus
from multitalk.serving.queue import transitions
from multitalk.serving.queue.base import JobQueue, Transition, sum_counts, unknown_job
from multitalk.serving.queue.media import DirectoryMedia
from multitalk.serving.queue.pulse import Pulse
from multitalk.serving.queue.records import (
    FINAL,
    Counts,
    Job,
    PieceRecord,
    Submission,
    WorkerRecord,
)
from multitalk.serving.queue.sqlite_connection import SqliteFile, is_full
from multitalk.serving.queue.sqlite_turns import jobs_ahead, next_job, waiting_of
from multitalk.serving.queue.transitions import QueueConfig

ORPHAN_SECONDS = 86_400.0  # how long media without a job are kept: uploads come before their job
ORPHANS_EVERY = 3_600.0
SWEPT_AT_ONCE = 100  # jobs in one transaction: others wait for it
TURNS_KEPT = 10_000  # an owner whose last claim is so many claims ago is like a new one


class SqliteQueue(JobQueue):
    """A queue in a file; `open` makes one."""

    media: DirectoryMedia

    def __init__(self, path: Path, config: QueueConfig) -> None:
        super().__init__(config)
        self.media = DirectoryMedia(path.with_name(path.name + "-media"))
        self._file = SqliteFile(path)
        self._pulse = Pulse(self._file.data_version)
        self._orphans_at = time.monotonic()
        self._is_erased = False  # somebody may have died before its log was

    @classmethod
    async def open(cls, path: Path, config: QueueConfig | None = None) -> "SqliteQueue":
        """Open the queue in a file, which is made if it is not there.

        Raises:
            QueueUnavailable: It cannot be, or was made by a newer release.
        """
        queue = cls(path.absolute(), config or QueueConfig())
        await queue._file.open()
        return queue

    @override
    async def close(self) -> None:
        await self._pulse.close()
        await self._file.close()

    async def submit_all(
        self, submissions: Sequence[Submission], *, max_waiting: int | None = None
    ) -> list[Job]:
        """As `JobQueue.submit_all`."""
        now = self.config.clock()

        def insert(base: sqlite3.Connection) -> list[Job]:
            kept = [_sent_before(base, submission) for submission in submissions]
            transitions.check_waiting_limit(
                waiting_of(base, submissions[0].owner), kept.count(None), max_waiting
            )
            return [
                job or _insert(base, transitions.accept(submission, now), submission)
                for job, submission in zip(kept, submissions, strict=True)
            ]

        jobs = await self._file.write(insert, is_new=True)
        self._pulse.beat()
        return jobs

    @override
    async def get(self, job_id: str) -> Job:
        return await self._file.read(lambda base: _get(base, job_id))

    @override
    async def submission(self, job_id: str) -> Submission:
        text = await self._file.read(lambda base: _column(base, "submission", job_id))
        return Submission.from_json(text)

    @override
    async def jobs(
        self,
        *,
        status: JobStatus | None = None,
        owner: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Job]:
        found = await self._file.read(
            lambda base: base.execute(
                "SELECT job FROM jobs WHERE (?1 IS NULL OR status = ?1)"
                " AND (?2 IS NULL OR place < (SELECT place FROM jobs WHERE id = ?2))"
                " AND (?4 IS NULL OR owner = ?4) ORDER BY place DESC LIMIT ?3",
                (status.value if status else None, before, limit, owner),
            ).fetchall()
        )
        return [Job.from_json(text) for (text,) in found]

    async def wait_for_change(self, job_id: str, *, seen: int, timeout: float) -> Job:
        """As `JobQueue.wait_for_change`."""
        ends = time.monotonic() + timeout
        while True:
            mark = self._pulse.mark()
            job = await self.get(job_id)
            left = ends - time.monotonic()
            if job.version > seen or left <= 0:
                return job
            await self._pulse.wait(mark, left)

    @override
    async def pieces(self, job_id: str, *, after: int = 0) -> list[PieceRecord]:
        def find(base: sqlite3.Connection) -> list[tuple[str]]:
            job = _get(base, job_id)
            return base.execute(
                "SELECT piece FROM pieces WHERE job_id = ? AND token = ?"
                " AND number > ? AND number < ? ORDER BY number",
                (job_id, job.token, max(after, job.first_piece - 1), job.next_piece),
            ).fetchall()

        return [PieceRecord.from_json(text) for (text,) in await self._file.read(find)]

    @override
    async def ahead(self, job_id: str) -> int:
        return await self._file.read(lambda base: jobs_ahead(base, job_id))

    @override
    async def ended(self, *, after: int = 0, limit: int = 100) -> list[tuple[int, str]]:
        return await self._file.read(
            lambda base: base.execute(
                "SELECT number, job_id FROM ends WHERE number > ? ORDER BY number LIMIT ?",
                (after, limit),
            ).fetchall()
        )

    @override
    async def retry(self, job_id: str, *, max_waiting: int | None = None) -> Job:
        def again(base: sqlite3.Connection) -> Job:
            job = transitions.retry(_get(base, job_id), self.config.clock())
            transitions.check_waiting_limit(waiting_of(base, job.owner), 1, max_waiting)
            _update(base, job)
            return job

        job = await self._file.write(again)
        self._pulse.beat()
        return job

    @override
    async def purge(self, *, owner: str | None = None) -> int:
        def remove(base: sqlite3.Connection) -> list[str]:
            found = base.execute(
                "SELECT id FROM jobs WHERE status = 'IN_QUEUE' AND (?1 IS NULL OR owner = ?1)",
                (owner,),
            ).fetchall()
            for (job_id,) in found:
                _delete(base, job_id)
            return [job_id for (job_id,) in found]

        gone = await self._file.write(remove)
        self._pulse.beat()
        self._is_erased = False
        for job_id in gone:
            await self.media.remove_job(job_id)
        return len(gone)

    @override
    async def counts(self) -> Counts:
        found = await self._file.read(
            lambda base: base.execute(
                "SELECT status, COUNT(*), SUM(redeliveries) FROM jobs GROUP BY status"
            ).fetchall()
        )
        return sum_counts((JobStatus(status), jobs, again) for status, jobs, again in found)

    @override
    async def workers(self) -> list[WorkerRecord]:
        now, lease = self.config.clock(), self.config.lease_seconds
        found = await self._file.read(
            lambda base: base.execute(
                "SELECT worker FROM workers WHERE seen_at BETWEEN ? AND ? ORDER BY id",
                (now - lease, now + lease),
            ).fetchall()
        )
        return [WorkerRecord.from_json(text) for (text,) in found]

    @override
    async def announce(self, worker: WorkerRecord) -> None:
        now = self.config.clock()
        text = worker.model_copy(update={"seen_at": now}).to_json()

        def write(base: sqlite3.Connection) -> None:
            lease = self.config.lease_seconds
            base.execute(
                "DELETE FROM workers WHERE seen_at NOT BETWEEN ? AND ?", (now - lease, now + lease)
            )
            base.execute("INSERT OR REPLACE INTO workers VALUES (?, ?, ?)", (worker.id, now, text))

        await self._file.write(write, durable=False, is_new=True)

    @override
    async def leave(self, worker_id: str) -> None:
        await self._file.write(
            lambda base: base.execute("DELETE FROM workers WHERE id = ?", (worker_id,)),
            durable=False,
        )

    @override
    async def sweep(self) -> None:
        now = self.config.clock()
        at_once = SWEPT_AT_ONCE
        while await self._file.read(lambda base: _due(base, now, 1)):
            try:
                forgotten = await self._file.write(partial(self._swept, now=now, at_once=at_once))
            except QueueUnavailable as error:
                if not is_full(error):
                    raise
                if not await self._make_room(now) and at_once == 1:
                    raise
                at_once = 1  # needs less room
                continue
            self._pulse.beat()
            self._is_erased = self._is_erased and not forgotten
            for job_id in forgotten:
                await self.media.remove_job(job_id)
        await self._expire_leases()
        if not self._is_erased:
            self._is_erased = await self._file.erase()
        await self._file.lay_by()
        if time.monotonic() >= self._orphans_at:
            self._orphans_at = time.monotonic() + ORPHANS_EVERY
            await self._remove_orphans()

    async def _make_room(self, now: float) -> bool:
        """Remove the files of jobs that are to be forgotten; whether any went.

        Forgetting itself needs some room on the disk, which their files then leave.
        """
        due = await self._file.read(lambda base: _to_be_forgotten(base, now))
        with_files = due & await self.media.jobs()
        for job_id in with_files:
            await self.media.remove_job(job_id)
        return bool(with_files - await self.media.jobs())

    @override
    async def forget(self, job_id: str) -> None:
        # on a full disk its files go first
        try:
            await super().forget(job_id)
        except QueueUnavailable as error:
            if not is_full(error):
                raise
            transitions.end_retention(await self.get(job_id))
            await self.media.remove_job(job_id)
            await super().forget(job_id)

    async def _remove_orphans(self) -> None:
        for job_id in await self.media.older_than(time.time() - ORPHAN_SECONDS):
            try:
                await self.get(job_id)
            except NotFound:
                await self.media.remove_job(job_id)

    async def _change(self, job_id: str, transition: Transition, *, durable: bool = True) -> Job:
        def change(base: sqlite3.Connection) -> Job:
            job = _get(base, job_id)
            after = transition(job)
            if after is not job:
                _update(base, after)
            return after

        after = await self._file.write(change, durable=durable)
        self._pulse.beat()
        return after

    async def _running(self) -> list[Job]:
        found = await self._file.read(
            lambda base: base.execute(
                "SELECT job FROM jobs WHERE status = 'IN_PROGRESS' ORDER BY place"
            ).fetchall()
        )
        return [Job.from_json(text) for (text,) in found]

    async def _claim_job(self, worker_id: str, wait: float) -> Job | None:
        mark = self._pulse.mark()
        if await self._file.read(next_job) is None:
            if wait > 0:
                await self._pulse.wait(mark, wait)
            return None
        job = await self._file.write(lambda base: self._claimed(base, worker_id))
        self._pulse.beat()
        return job

    async def _store_piece(self, job: Job, output: Mapping[str, Any]) -> None:
        piece = PieceRecord(number=job.next_piece, output=dict(output)).to_json()
        await self._file.write(
            lambda base: base.execute(
                "INSERT OR REPLACE INTO pieces VALUES (?, ?, ?, ?)",
                (job.id, job.token, job.next_piece, piece),
            )
        )

    def _claimed(self, base: sqlite3.Connection, worker_id: str) -> Job | None:
        job_id = next_job(base)
        if job_id is None:
            return None
        job = _get(base, job_id)
        ((last,),) = base.execute("SELECT COALESCE(MAX(turn), 0) FROM turns").fetchall()
        after = transitions.claim(job, worker_id, self.config.clock(), self.config, turn=last + 1)
        _update(base, after)
        if after.status is not JobStatus.IN_PROGRESS:
            return None
        base.execute("INSERT OR REPLACE INTO turns VALUES (?, ?)", (after.owner, after.turn))
        base.execute("DELETE FROM turns WHERE turn < ?", (after.turn - TURNS_KEPT,))
        return after

    def _swept(self, base: sqlite3.Connection, *, now: float, at_once: int) -> list[str]:
        """Do what is due for some jobs; those that were forgotten."""
        forgotten = []
        for job in _due(base, now, at_once):
            after = transitions.expire(job, now, self.config)
            if after is None:
                _delete(base, job.id)
                forgotten.append(job.id)
            else:
                _update(base, after)
        return forgotten


def _sent_before(base: sqlite3.Connection, submission: Submission) -> Job | None:
    """The job that was sent with the same idempotency key.

    Raises:
        Conflict: It was another request.
    """
    if submission.idempotency_key is None:
        return None
    found = base.execute(
        "SELECT job FROM jobs WHERE owner = ? AND idempotency_key = ?",
        (submission.owner, submission.idempotency_key),
    ).fetchone()
    return transitions.check_same_request(Job.from_json(found[0]), submission) if found else None


def _insert(base: sqlite3.Connection, job: Job, submission: Submission) -> Job:
    if base.execute("SELECT 1 FROM jobs WHERE id = ?", (job.id,)).fetchone():
        raise Conflict("job_key_reused")
    base.execute(
        "INSERT INTO jobs (id, owner, idempotency_key, low_priority, submission,"
        " status, queued_at, due, redeliveries, job) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            job.id,
            job.owner,
            job.idempotency_key,
            job.policy.low_priority,
            submission.to_json(),
            *_columns(job),
        ),
    )
    return job


def _update(base: sqlite3.Connection, job: Job) -> None:
    base.execute(
        "UPDATE jobs SET status = ?, queued_at = ?, due = ?, redeliveries = ?, job = ?"
        " WHERE id = ?",
        (*_columns(job), job.id),
    )


def _columns(job: Job) -> tuple[Any, ...]:
    """What changes of a job: all of it, and what is searched for."""
    status, text = job.status.value, job.to_json()
    return status, job.queued_at, transitions.due(job), job.redeliveries, text


def _delete(base: sqlite3.Connection, job_id: str) -> None:
    base.execute("DELETE FROM pieces WHERE job_id = ?", (job_id,))
    base.execute("DELETE FROM jobs WHERE id = ?", (job_id,))


def _get(base: sqlite3.Connection, job_id: str) -> Job:
    return Job.from_json(_column(base, "job", job_id))


def _column(base: sqlite3.Connection, column: str, job_id: str) -> str:
    found = base.execute(f"SELECT {column} FROM jobs WHERE id = ?", (job_id,)).fetchone()  # noqa: S608
    if found is None:
        raise unknown_job(job_id)
    return str(found[0])


def _to_be_forgotten(base: sqlite3.Connection, now: float) -> set[str]:
    found = base.execute(
        f"SELECT id FROM jobs WHERE due <= ? AND status IN ({', '.join('?' * len(FINAL))})",  # noqa: S608
        (now, *(status.value for status in FINAL)),
    ).fetchall()
    return {job_id for (job_id,) in found}


def _due(base: sqlite3.Connection, now: float, limit: int) -> list[Job]:
    found = base.execute(
        "SELECT job FROM jobs WHERE due <= ? AND status <> 'IN_PROGRESS' ORDER BY due LIMIT ?",
        (now, limit),
    ).fetchall()
    return [Job.from_json(text) for (text,) in found]
