"""A process's connection to a SQLite queue: transactions, others' changes, a full disk."""

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from multitalk.disk import write_atomically
from multitalk.errors import QueueUnavailable
from multitalk.serving.queue.media import translate_os_error
from multitalk.serving.queue.sqlite_tables import make_tables

BUSY_SECONDS = 15.0  # how long a transaction waits for another process's
POLL_SECONDS = 0.03
DISK_ERROR = "disk I/O error"  # SQLITE_IOERR; among others where the log's index cannot grow
RESERVE_BYTES = 4 * 2**20  # SQLite's log at its usual length
RESERVE_SHARE = 20  # of a small disk, at most one in so many bytes
RESERVE_MARGIN = 4  # times the reserve must be free before it is taken

Result = TypeVar("Result")
Answer: TypeAlias = "asyncio.Future[Any]"
_Read: TypeAlias = tuple[Callable[[sqlite3.Connection], Any], Answer]


class SqliteConnection:
    """A connection in a separate thread, so that it never blocks the event loop.

    Failures are QueueUnavailable.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reserve = DiskReserve(path.with_name(path.name + "-reserve"))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="queue")
        self._db: sqlite3.Connection
        self._reads: list[_Read] = []  # that wait
        self._is_reading = False

    async def open(self) -> None:
        """Connect; the file and its tables are made if they do not exist."""
        try:
            await self._in_thread(self._connect)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise

    async def close(self) -> None:
        """Close the connection."""
        await self._in_thread(self._db.close)
        self._thread.shutdown()

    async def read(self, query: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run a function that only reads.

        Those that come while others run go to the thread together, which costs less.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        self._reads.append((query, answer))
        if not self._is_reading:
            self._is_reading = True
            self._start_reads()
        with _translate_errors():
            return await answer

    async def write(
        self,
        change: Callable[[sqlite3.Connection], Result],
        *,
        durable: bool = True,
        is_new: bool = False,
    ) -> Result:
        """Run a function in a transaction, which is rolled back if it raises.

        Args:
            change: Makes the changes.
            durable: Sync to disk before returning. Otherwise a failure of the machine, but not one
                of a process, may undo the change.
            is_new: Whether it adds something new; the disk reserve is for changes of what exists.
        """
        try:
            return await self._in_thread(lambda: self._transact(change, durable))
        except QueueUnavailable as error:
            if is_new or not is_full(error) or not self._reserve.release():
                raise
        return await self._in_thread(lambda: self._transact(change, durable))

    async def reserve_space(self) -> None:
        """Take the disk reserve again, if the disk has enough space now."""
        await self._in_thread(self._reserve.take)

    async def truncate_log(self) -> bool:
        """Empty the write-ahead log, which still has deleted rows.

        Returns:
            Whether it is empty; not while another process reads or writes.
        """
        return await self._in_thread(self._truncate_log)

    async def data_version(self) -> int:
        """A number that changes when another connection has written."""
        ((version,),) = await self.read(lambda db: db.execute("PRAGMA data_version").fetchall())
        return int(version)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        with _translate_errors():
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _start_reads(self) -> None:
        reads, self._reads = self._reads, []
        loop = asyncio.get_running_loop()
        try:
            running = loop.run_in_executor(self._thread, self._run_reads, reads)
        except RuntimeError as error:  # the connection is closed
            self._is_reading = False
            for _, answer in reads:
                answer.set_exception(error)
            return
        running.add_done_callback(lambda done: self._answer_reads(reads, done.result()))

    def _run_reads(self, reads: Sequence[_Read]) -> list[Callable[[Answer], None]]:
        return [_answer_of(query, self._db) for query, _ in reads]

    def _answer_reads(
        self, reads: Sequence[_Read], answers: Sequence[Callable[[Answer], None]]
    ) -> None:
        for (_, answer), settle in zip(reads, answers, strict=True):
            if not answer.done():  # nobody waits any more
                settle(answer)
        self._is_reading = bool(self._reads)
        if self._reads:
            self._start_reads()

    def _connect(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))  # it has buckets' secrets
        self._db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            _use_write_ahead_log(self._db)
            self._db.execute("PRAGMA secure_delete = ON")  # overwrites deleted rows with zeros
            make_tables(self._db)
        except BaseException:
            self._db.close()
            raise

    def _truncate_log(self) -> bool:
        self._db.execute("PRAGMA busy_timeout = 0")
        try:
            ((is_busy, _, _),) = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.OperationalError:  # another process does the same
            return False
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000)}")
        return not is_busy

    def _transact(self, change: Callable[[sqlite3.Connection], Result], durable: bool) -> Result:
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            result = change(self._db)
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # after some failures SQLite has rolled back by itself
                self._db.execute("ROLLBACK")
            raise
        return result


def _answer_of(
    query: Callable[[sqlite3.Connection], Any], db: sqlite3.Connection
) -> Callable[[Answer], None]:
    """Run a query; gives a future its result or its exception."""
    try:
        result = query(db)
    except Exception as error:  # raised where the answer is awaited
        raised = error
        return lambda answer: answer.set_exception(raised)
    return lambda answer: answer.set_result(result)


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate errors of SQLite and of the disk to QueueUnavailable."""
    try:
        yield
    except sqlite3.Error as error:
        if "full" in str(error):  # SQLITE_FULL; Python 3.10 has no error code
            raise QueueUnavailable("queue_full") from error
        raise QueueUnavailable("queue_failed", reason=str(error)) from error
    except OSError as error:
        raise translate_os_error(error) from error


def _use_write_ahead_log(db: sqlite3.Connection) -> None:
    """Turn on the write-ahead log; SQLite does not wait by itself for others that do the same."""
    ends = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.01)


def is_full(error: QueueUnavailable) -> bool:
    """Whether a write failed for a full disk, or for a reason that SQLite cannot name."""
    return error.key == "queue_full" or DISK_ERROR in str(error.parameters.get("reason"))


class ChangeNotifier:
    """Wakes waiters when the file changes, by this process or another.

    One 30 ms poller is shared by all waiters; it stops when there are none.

    Args:
        version: A number that changes when another process has written.
    """

    def __init__(self, version: Callable[[], Awaitable[int]]) -> None:
        self._version = version
        self._seen = -1
        self._changed = asyncio.Event()
        self._num_waiting = 0
        self._poller: asyncio.Task[None] | None = None

    def snapshot(self) -> asyncio.Event:
        """The argument of `wait`; take it before reading, or a change in between is missed."""
        return self._changed

    def notify(self) -> None:
        """Wake all waiters: this process has written."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, snapshot: asyncio.Event, seconds: float) -> None:
        """Wait for a change since the snapshot, for at most some seconds."""
        self._num_waiting += 1
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll())
        try:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(snapshot.wait(), seconds)
        finally:
            self._num_waiting -= 1

    async def close(self) -> None:
        """Stop polling and wake all waiters."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.wait({self._poller})
        self.notify()

    async def _poll(self) -> None:
        try:
            while self._num_waiting:
                await asyncio.sleep(POLL_SECONDS)
                try:
                    version = await self._version()
                except QueueUnavailable:
                    version = -1  # the waiters' own reads will raise
                if version != self._seen:
                    self._seen = version
                    self.notify()
        finally:
            self._poller = None


class DiskReserve:
    """A file that occupies disk space, and is deleted when a full disk must take a change.

    Several processes may share it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def release(self) -> bool:
        """Delete the file; whether it existed."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def take(self) -> None:
        """Write the file, unless it exists or the disk has too little space."""
        if self._path.exists():
            return
        usage = shutil.disk_usage(self._path.parent)
        size = min(RESERVE_BYTES, usage.total // RESERVE_SHARE)
        if usage.free >= RESERVE_MARGIN * size:
            with suppress(OSError):  # tried again at the next sweep
                # random bytes: no file system can compress them
                write_atomically(self._path, os.urandom(size), mode=0o600)
