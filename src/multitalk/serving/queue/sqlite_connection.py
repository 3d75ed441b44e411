"""One SQLite file with a queue in it: its tables, its one connection, its transactions."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from multitalk.errors import QueueUnavailable
from multitalk.serving.queue.media import translate_os_error
from multitalk.serving.queue.reserve import Reserve

BUSY_SECONDS = 15.0  # how long a transaction waits for another process's
ENDED = "('COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT')"
SCHEMA_VERSION = 2
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS jobs (
    place INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of being sent
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    low_priority INTEGER NOT NULL,
    queued_at REAL NOT NULL,
    due REAL NOT NULL,
    owner TEXT NOT NULL,
    idempotency_key TEXT,
    redeliveries INTEGER NOT NULL,
    job TEXT NOT NULL,
    submission TEXT NOT NULL,
    UNIQUE (owner, idempotency_key)
);
DROP INDEX IF EXISTS waiting;
CREATE INDEX IF NOT EXISTS lines ON jobs (low_priority, owner, queued_at, place)
    WHERE status = 'IN_QUEUE';
CREATE INDEX IF NOT EXISTS running ON jobs (place) WHERE status = 'IN_PROGRESS';
CREATE INDEX IF NOT EXISTS due ON jobs (due);
CREATE TABLE IF NOT EXISTS turns (  -- number of an owner's last claim, over all owners
    owner TEXT PRIMARY KEY, turn INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ends (  -- jobs in the order in which they ended
    number INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL UNIQUE
);
INSERT OR IGNORE INTO ends (job_id) SELECT id FROM jobs WHERE status IN {ENDED} ORDER BY place;
CREATE TRIGGER IF NOT EXISTS ended AFTER UPDATE OF status ON jobs
    WHEN NEW.status IN {ENDED} AND OLD.status NOT IN {ENDED}
    BEGIN INSERT OR REPLACE INTO ends (job_id) VALUES (NEW.id); END;
CREATE TRIGGER IF NOT EXISTS forgotten AFTER DELETE ON jobs
    BEGIN DELETE FROM ends WHERE job_id = OLD.id; END;
CREATE TABLE IF NOT EXISTS pieces (
    job_id TEXT NOT NULL, token TEXT NOT NULL, number INTEGER NOT NULL, piece TEXT NOT NULL,
    PRIMARY KEY (job_id, token, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS workers (
    id TEXT PRIMARY KEY, seen_at REAL NOT NULL, worker TEXT NOT NULL
);
"""  # noqa: S608 - of a constant

DISK_ERROR = "disk I/O error"  # SQLITE_IOERR; among others where its index of the log cannot grow

Answer = TypeVar("Answer")


class SqliteFile:
    """A connection that many processes may have to the same file.

    It lives in a thread of its own, so that its work never stops the event loop. Failures are
    QueueUnavailable.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reserve = Reserve(path.with_name(path.name + "-reserve"))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="queue")
        self._base: sqlite3.Connection

    async def open(self) -> None:
        """Connect; the file and its tables are made if they are not there."""
        try:
            await self._in_thread(self._connect)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise

    async def close(self) -> None:
        """Let go of the file."""
        await self._in_thread(self._base.close)
        self._thread.shutdown()

    async def read(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Look something up."""
        return await self._in_thread(lambda: work(self._base))

    async def write(
        self,
        work: Callable[[sqlite3.Connection], Answer],
        *,
        durable: bool = True,
        is_new: bool = False,
    ) -> Answer:
        """Change something, in one transaction.

        Args:
            work: Makes the changes; if it raises there are none.
            durable: Wait until it is on the disk. Otherwise only a failure of the machine, never
                that of a process, may undo it.
            is_new: It is about something new, which does not get the room that is kept for what
                becomes of what there is.
        """
        try:
            return await self._in_thread(lambda: self._transact(work, durable))
        except QueueUnavailable as error:
            if is_new or not is_full(error) or not self._reserve.let_go():
                raise
        return await self._in_thread(lambda: self._transact(work, durable))

    async def lay_by(self) -> None:
        """Keep some room for a time when the disk is full, if it has room now."""
        await self._in_thread(self._reserve.lay_by)

    async def erase(self) -> bool:
        """Empty the log, in which what was deleted is still to be read.

        Returns:
            Whether it is empty now; not while another process reads or writes.
        """
        return await self._in_thread(self._erase)

    async def data_version(self) -> int:
        """Another number after another connection has written."""
        ((version,),) = await self.read(lambda base: base.execute("PRAGMA data_version").fetchall())
        return int(version)

    async def _in_thread(self, work: Callable[[], Answer]) -> Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise _ours(error) from error
        except OSError as error:
            raise translate_os_error(error) from error

    def _connect(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))  # voices, and buckets' keys
        self._base = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            _use_log(self._base)
            self._base.execute("PRAGMA secure_delete = ON")  # zeros where texts were
            self._make_tables()
        except BaseException:
            self._base.close()
            raise

    def _make_tables(self) -> None:
        (found,) = self._base.execute("PRAGMA user_version").fetchone()
        if found > SCHEMA_VERSION:
            raise QueueUnavailable("queue_failed", reason="a newer release has made it")
        if found < SCHEMA_VERSION:
            self._base.executescript(
                f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"
            )
        if 0 < found < SCHEMA_VERSION:
            with suppress(sqlite3.Error):  # what an older release deleted may be there still
                self._base.execute("VACUUM")

    def _erase(self) -> bool:
        self._base.execute("PRAGMA busy_timeout = 0")
        try:
            ((is_busy, _, _),) = self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.OperationalError:  # another process is at the same
            return False
        finally:
            self._base.execute(f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000)}")
        return not is_busy

    def _transact(self, work: Callable[[sqlite3.Connection], Answer], durable: bool) -> Answer:
        self._base.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self._base.execute("BEGIN IMMEDIATE")
        try:
            answer = work(self._base)
            self._base.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # after some failures SQLite has rolled back by itself
                self._base.execute("ROLLBACK")
            raise
        return answer


def _use_log(base: sqlite3.Connection) -> None:
    """Turn on the write-ahead log; SQLite does not wait by itself for others who do the same."""
    ends = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            base.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.01)


def is_full(error: QueueUnavailable) -> bool:
    """Whether the disk took nothing: full, or where SQLite cannot tell why."""
    return error.key == "queue_full" or DISK_ERROR in str(error.parameters.get("reason"))


def _ours(error: sqlite3.Error) -> QueueUnavailable:
    if "full" in str(error):  # SQLITE_FULL; Python 3.10 does not tell the code
        return QueueUnavailable("queue_full")
    return QueueUnavailable("queue_failed", reason=str(error))
