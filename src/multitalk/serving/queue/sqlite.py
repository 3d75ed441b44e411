"""A queue in one SQLite file, for one machine: the server's and the workers' processes.

It uses a write-ahead log, so that readers never wait. Each change of a job is one transaction, on
the disk when the call returns, except for lease renewals, which a power failure may undo. The file
must be on a local disk: SQLite's locks do not work on network file systems.
"""

import sqlite3
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from typing_extensions import override

from multitalk.errors import NotFound, QueueUnavailable
from multitalk.schema import JobStatus
from multitalk.serving.queue import transitions
from multitalk.serving.queue.base import (
    ORPHAN_SECONDS,
    ORPHANS_EVERY_SECONDS,
    JobQueue,
    Transition,
)
from multitalk.serving.queue.media import DirectoryMedia
from multitalk.serving.queue.records import Counts, FragmentRecord, Job, Submission, WorkerRecord
from multitalk.serving.queue.sqlite_connection import ChangeNotifier, SqliteConnection, is_full
from multitalk.serving.queue.sqlite_tables import (
    count_jobs,
    deletable_jobs,
    delete_job,
    due_jobs,
    find_submitted,
    get_job,
    get_submission,
    insert_job,
    jobs_ahead,
    next_job,
    next_turn,
    store_turn,
    update_job,
    waiting_count,
)
from multitalk.serving.queue.transitions import QueueConfig

EXPIRED_AT_ONCE = 100  # jobs in one transaction, which blocks other processes


class SqliteQueue(JobQueue):
    """A queue in a file; `open` makes one."""

    media: DirectoryMedia

    def __init__(self, path: Path, config: QueueConfig) -> None:
        super().__init__(config)
        self.media = DirectoryMedia(path.with_name(path.name + "-media"))
        self._connection = SqliteConnection(path)
        self._changes = ChangeNotifier(self._connection.data_version)
        self._orphans_at = time.monotonic()
        self._log_is_empty = False  # a process may have died before it emptied the log

    @classmethod
    async def open(cls, path: Path, config: QueueConfig | None = None) -> "SqliteQueue":
        """Open the queue in a file, which is made if it does not exist.

        Raises:
            QueueUnavailable: It cannot be opened, or was made by a newer release.
        """
        queue = cls(path.absolute(), config or QueueConfig())
        await queue._connection.open()
        return queue

    @override
    async def close(self) -> None:
        await self._changes.close()
        await self._connection.close()

    @override
    async def submit_all(
        self, submissions: Sequence[Submission], *, max_waiting: int | None = None
    ) -> list[Job]:
        now = self.config.clock()

        def insert(db: sqlite3.Connection) -> list[Job]:
            existing = [find_submitted(db, submission) for submission in submissions]
            transitions.check_waiting_limit(
                waiting_count(db, submissions[0].owner), existing.count(None), max_waiting
            )
            return [
                job or insert_job(db, transitions.accept(submission, now), submission)
                for job, submission in zip(existing, submissions, strict=True)
            ]

        jobs = await self._connection.write(insert, is_new=True)
        self._changes.notify()
        return jobs

    @override
    async def get(self, job_id: str) -> Job:
        return await self._connection.read(lambda db: get_job(db, job_id))

    @override
    async def submission(self, job_id: str) -> Submission:
        text = await self._connection.read(lambda db: get_submission(db, job_id))
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
        found = await self._connection.read(
            lambda db: db.execute(
                "SELECT job FROM jobs WHERE (?1 IS NULL OR status = ?1)"
                " AND (?2 IS NULL OR place < (SELECT place FROM jobs WHERE id = ?2))"
                " AND (?4 IS NULL OR owner = ?4) ORDER BY place DESC LIMIT ?3",
                (status.value if status else None, before, limit, owner),
            ).fetchall()
        )
        return [Job.from_json(text) for (text,) in found]

    @override
    async def wait_for_change(self, job_id: str, *, seen: int, timeout: float) -> Job:
        ends = time.monotonic() + timeout
        while True:
            snapshot = self._changes.snapshot()
            job = await self.get(job_id)
            left = ends - time.monotonic()
            if job.version > seen or left <= 0:
                return job
            await self._changes.wait(snapshot, left)

    @override
    async def fragments(self, job_id: str, *, after: int = 0) -> list[FragmentRecord]:
        def find(db: sqlite3.Connection) -> list[tuple[str]]:
            job = get_job(db, job_id)
            return db.execute(
                "SELECT piece FROM pieces WHERE job_id = ? AND token = ?"
                " AND number > ? AND number < ? ORDER BY number",
                (job_id, job.token, max(after, job.first_fragment - 1), job.next_fragment),
            ).fetchall()

        return [FragmentRecord.from_json(text) for (text,) in await self._connection.read(find)]

    @override
    async def ahead(self, job_id: str) -> int:
        return await self._connection.read(lambda db: jobs_ahead(db, job_id))

    @override
    async def ended_jobs(self, *, after: int = 0, limit: int = 100) -> list[tuple[int, str]]:
        return await self._connection.read(
            lambda db: db.execute(
                "SELECT number, job_id FROM ends WHERE number > ? ORDER BY number LIMIT ?",
                (after, limit),
            ).fetchall()
        )

    @override
    async def retry(self, job_id: str, *, max_waiting: int | None = None) -> Job:
        def retry(db: sqlite3.Connection) -> Job:
            job = transitions.retry(get_job(db, job_id), self.config.clock())
            transitions.check_waiting_limit(waiting_count(db, job.owner), 1, max_waiting)
            update_job(db, job)
            return job

        job = await self._connection.write(retry)
        self._changes.notify()
        return job

    @override
    async def purge(self, *, owner: str | None = None) -> int:
        now = self.config.clock()

        def end(db: sqlite3.Connection) -> int:
            found = db.execute(
                "SELECT job FROM jobs WHERE status = 'IN_QUEUE' AND (?1 IS NULL OR owner = ?1)",
                (owner,),
            ).fetchall()
            for (text,) in found:
                update_job(db, transitions.purge(Job.from_json(text), now))
            return len(found)

        number = await self._connection.write(end)
        await self.sweep()
        return number

    @override
    async def counts(self) -> Counts:
        return await self._connection.read(count_jobs)

    @override
    async def workers(self) -> list[WorkerRecord]:
        return await self._connection.read(self._workers)

    @override
    async def load(self) -> tuple[Counts, list[WorkerRecord]]:
        return await self._connection.read(lambda db: (count_jobs(db), self._workers(db)))

    @override
    async def wait_of(self, job_id: str) -> tuple[int, int]:
        return await self._connection.read(
            lambda db: (jobs_ahead(db, job_id), len(self._workers(db)))
        )

    def _workers(self, db: sqlite3.Connection) -> list[WorkerRecord]:
        now, lease = self.config.clock(), self.config.lease_seconds
        found = db.execute(
            "SELECT worker FROM workers WHERE seen_at BETWEEN ? AND ? ORDER BY id",
            (now - lease, now + lease),
        ).fetchall()
        return [WorkerRecord.from_json(text) for (text,) in found]

    @override
    async def announce(self, worker: WorkerRecord) -> None:
        now = self.config.clock()
        text = worker.model_copy(update={"seen_at": now}).to_json()

        def write(db: sqlite3.Connection) -> None:
            lease = self.config.lease_seconds
            db.execute(
                "DELETE FROM workers WHERE seen_at NOT BETWEEN ? AND ?", (now - lease, now + lease)
            )
            db.execute("INSERT OR REPLACE INTO workers VALUES (?, ?, ?)", (worker.id, now, text))

        await self._connection.write(write, durable=False, is_new=True)

    @override
    async def leave(self, worker_id: str) -> None:
        await self._connection.write(
            lambda db: db.execute("DELETE FROM workers WHERE id = ?", (worker_id,)),
            durable=False,
        )

    @override
    async def sweep(self) -> None:
        await self._expire_due()
        await self._expire_leases()
        if not self._log_is_empty:
            self._log_is_empty = await self._connection.truncate_log()
        await self._connection.reserve_space()
        if time.monotonic() >= self._orphans_at:
            self._orphans_at = time.monotonic() + ORPHANS_EVERY_SECONDS
            await self._remove_orphans()

    async def _expire_due(self) -> None:
        """Expire jobs that waited too long, and delete jobs after their retention."""
        now = self.config.clock()
        at_once = EXPIRED_AT_ONCE
        while due := await self._connection.read(partial(due_jobs, now=now, limit=at_once)):
            ended = {job.id for job in due if job.is_final}
            for job_id in ended:  # first: a crash must not leave files without a job
                await self.media.remove_job(job_id)
            try:
                deleted = await self._connection.write(
                    partial(self._expire, ids=[job.id for job in due], ended=ended, now=now)
                )
            except QueueUnavailable as error:
                if not is_full(error):
                    raise
                if not await self._delete_files(now) and at_once == 1:
                    raise
                at_once = 1  # needs less space
                continue
            self._changes.notify()
            self._log_is_empty = self._log_is_empty and not deleted

    async def _delete_files(self, now: float) -> bool:
        """Delete the files of jobs that are due for deletion; whether there were any.

        Deleting the jobs' rows needs some disk space, which this frees.
        """
        due = await self._connection.read(lambda db: deletable_jobs(db, now))
        with_files = due & await self.media.jobs()
        for job_id in with_files:
            await self.media.remove_job(job_id)
        return bool(with_files - await self.media.jobs())

    @override
    async def forget(self, job_id: str) -> None:
        try:
            await super().forget(job_id)
        except QueueUnavailable as error:
            if not is_full(error):
                raise
            # Delete the files first: deleting the rows needs some space.
            transitions.end_retention(await self.get(job_id))
            await self.media.remove_job(job_id)
            await super().forget(job_id)

    async def _remove_orphans(self) -> None:
        for job_id in await self.media.older_than(time.time() - ORPHAN_SECONDS):
            try:
                await self.get(job_id)
            except NotFound:
                await self.media.remove_job(job_id)

    @override
    async def _change(self, job_id: str, transition: Transition, *, durable: bool = True) -> Job:
        def change(db: sqlite3.Connection) -> Job:
            job = get_job(db, job_id)
            after = transition(job)
            if after is not job:
                update_job(db, after)
            return after

        after = await self._connection.write(change, durable=durable)
        self._changes.notify()
        return after

    @override
    async def _running(self) -> list[Job]:
        found = await self._connection.read(
            lambda db: db.execute(
                "SELECT job FROM jobs WHERE status = 'IN_PROGRESS' ORDER BY place"
            ).fetchall()
        )
        return [Job.from_json(text) for (text,) in found]

    @override
    async def _claim_job(self, worker_id: str, wait: float) -> Job | None:
        snapshot = self._changes.snapshot()
        if await self._connection.read(next_job) is None:
            if wait > 0:
                await self._changes.wait(snapshot, wait)
            return None
        job = await self._connection.write(lambda db: self._claim_next(db, worker_id))
        self._changes.notify()
        return job

    @override
    async def _store_fragment(self, job: Job, output: Mapping[str, Any]) -> None:
        fragment = FragmentRecord(number=job.next_fragment, output=dict(output)).to_json()
        await self._connection.write(
            lambda db: db.execute(
                "INSERT OR REPLACE INTO pieces SELECT id, ?2, ?3, ?4 FROM jobs WHERE id = ?1",
                (job.id, job.token, job.next_fragment, fragment),
            )
        )

    def _claim_next(self, db: sqlite3.Connection, worker_id: str) -> Job | None:
        job_id = next_job(db)
        if job_id is None:
            return None
        job = get_job(db, job_id)
        now, turn = self.config.clock(), next_turn(db)
        after = transitions.claim(job, worker_id, now, self.config, turn=turn)
        update_job(db, after)
        if after.status is not JobStatus.IN_PROGRESS:
            return None
        store_turn(db, after.owner, after.turn)
        return after

    def _expire(
        self, db: sqlite3.Connection, *, ids: Sequence[str], ended: set[str], now: float
    ) -> bool:
        """Expire due jobs; whether one was deleted. Only those that had `ended` are."""
        is_deleted = False
        for job_id in ids:
            try:
                job = get_job(db, job_id)
            except NotFound:  # another process was faster
                continue
            after = transitions.expire(job, now, self.config)
            if after is not None:
                update_job(db, after)  # also where an older release noted another time
            elif job_id in ended:
                delete_job(db, job_id)
                is_deleted = True
        return is_deleted
