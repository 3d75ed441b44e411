"""The server's SQLite database: uploads, pending webhooks, streams, past talks; not the queue."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multitalk.errors import QueueUnavailable
from multitalk.serving.api.data_directory import make_private_directory, make_private_file

MAX_TALK_TIMES = 1000  # finished talks that are remembered for estimates

_SCHEMA = """
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, file TEXT NOT NULL, expires REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS webhooks (
    job_id TEXT PRIMARY KEY, base_url TEXT NOT NULL, tries INTEGER NOT NULL, due REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS handed_out (job_id TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS talk_paces (
    job_id TEXT PRIMARY KEY, engine TEXT NOT NULL, quality TEXT NOT NULL,
    talk_seconds REAL NOT NULL, execution_seconds REAL NOT NULL
);
"""


@dataclass(frozen=True)
class Upload:
    """A file that a client sent ahead of its job.

    Attributes:
        id: Its name in `upload://ID`.
        owner: Id of the key that it came with.
        file: Its name in the directory of uploads.
        expires: When it is removed, in seconds since 1970.
    """

    id: str
    owner: str
    file: str
    expires: float


@dataclass(frozen=True)
class PendingWebhook:
    """A webhook to be delivered.

    Attributes:
        job_id: Whose end it reports.
        base_url: By which the job's sender reached this server.
        tries: Failed ones.
        due: When to try next, in seconds since 1970.
    """

    job_id: str
    base_url: str
    tries: int
    due: float


class Database:
    """The database. One server process writes it; every call takes less than a millisecond.

    Any thread may call it: one after the other, because SQLite crashes the process where a
    connection is closed in the middle of another thread's statement. A call after `close` raises
    QueueUnavailable.

    Args:
        path: Of the file; made if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        with _translate_errors():
            make_private_directory(path.parent)
            make_private_file(path)
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
                # Survives a kill of the process
                self._connection.execute("PRAGMA synchronous=NORMAL")
                self._connection.execute("PRAGMA busy_timeout=5000")
                # Overwrites deleted names and addresses
                self._connection.execute("PRAGMA secure_delete=ON")
                self._connection.executescript(_SCHEMA)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    def erase(self) -> None:
        """Truncate the write-ahead log, from which deleted rows could be read."""
        self._rows("PRAGMA wal_checkpoint(TRUNCATE)", ())

    # Uploads --------------------------------------------------------------------------------------

    def add_upload(self, upload: Upload) -> None:
        """Record an upload."""
        self._write(
            "INSERT INTO uploads VALUES (?, ?, ?, ?)",
            (upload.id, upload.owner, upload.file, upload.expires),
        )

    def upload(self, upload_id: str) -> Upload | None:
        """An upload, or None."""
        row = self._row("SELECT * FROM uploads WHERE id = ?", (upload_id,))
        return Upload(*row) if row else None

    def uploads_of(self, owner: str) -> list[Upload]:
        """An owner's uploads."""
        rows = self._rows("SELECT * FROM uploads WHERE owner = ?", (owner,))
        return [Upload(*row) for row in rows]

    def expired_uploads(self, now: float) -> list[Upload]:
        """Uploads that have expired."""
        rows = self._rows("SELECT * FROM uploads WHERE expires <= ?", (now,))
        return [Upload(*row) for row in rows]

    def forget_upload(self, upload_id: str) -> None:
        """Delete the record of an upload."""
        self._write("DELETE FROM uploads WHERE id = ?", (upload_id,))

    # Webhooks -------------------------------------------------------------------------------------

    def expect_webhook(self, job_id: str, base_url: str, *, now: float) -> None:
        """Record a webhook before its job is submitted."""
        self.keep_webhook(PendingWebhook(job_id, base_url, tries=0, due=now))

    def keep_webhook(self, webhook: PendingWebhook) -> None:
        """Record a webhook."""
        self._write(
            "INSERT OR REPLACE INTO webhooks VALUES (?, ?, ?, ?)",
            (webhook.job_id, webhook.base_url, webhook.tries, webhook.due),
        )

    def pending_webhook(self, job_id: str) -> PendingWebhook | None:
        """The pending webhook of a job, if any."""
        row = self._row("SELECT * FROM webhooks WHERE job_id = ?", (job_id,))
        return PendingWebhook(*row) if row else None

    def pending_webhooks(self, now: float) -> list[PendingWebhook]:
        """Webhooks that are due once their jobs have ended."""
        rows = self._rows("SELECT * FROM webhooks WHERE due <= ? ORDER BY due", (now,))
        return [PendingWebhook(*row) for row in rows]

    def postpone_webhook(self, job_id: str, *, due: float) -> None:
        """Record a failed try, and when the next one is due."""
        self._write(
            "UPDATE webhooks SET tries = tries + 1, due = ? WHERE job_id = ?", (due, job_id)
        )

    def forget_webhook(self, job_id: str) -> None:
        """Delete a webhook that is delivered or given up."""
        self._write("DELETE FROM webhooks WHERE job_id = ?", (job_id,))

    # Streams --------------------------------------------------------------------------------------

    def returned_fragments(self, job_id: str) -> int:
        """Number of the last fragment that `/stream` has returned; 0: none."""
        row = self._row("SELECT number FROM handed_out WHERE job_id = ?", (job_id,))
        return int(row[0]) if row else 0

    def take_fragments(self, job_id: str, *, after: int, last: int) -> bool:
        """Record that the fragments above `after`, up to `last`, are returned.

        False: another request has returned some of them; nothing is recorded.
        """
        changed = self._write(
            "INSERT INTO handed_out VALUES (?1, ?3) ON CONFLICT (job_id)"
            " DO UPDATE SET number = ?3 WHERE number = ?2",
            (job_id, after, last),
        )
        return changed > 0

    def streams(self) -> list[str]:
        """Jobs of which fragments were returned."""
        return [str(row[0]) for row in self._rows("SELECT job_id FROM handed_out", ())]

    def forget_stream(self, job_id: str) -> None:
        """Delete the record of a job's stream."""
        self._write("DELETE FROM handed_out WHERE job_id = ?", (job_id,))

    # Past talks -----------------------------------------------------------------------------------

    def add_talk_time(
        self,
        job_id: str,
        *,
        engine: str,
        quality: str,
        talk_seconds: float,
        execution_seconds: float,
    ) -> None:
        """Record how long a talk took; once for each job."""
        self._write(
            "INSERT OR IGNORE INTO talk_paces VALUES (?, ?, ?, ?, ?)",
            (job_id, engine, quality, talk_seconds, execution_seconds),
        )
        self._write(
            "DELETE FROM talk_paces WHERE rowid <= (SELECT max(rowid) FROM talk_paces) - ?",
            (MAX_TALK_TIMES,),
        )

    def talk_times(
        self, engine: str, *, quality: str | None = None, limit: int
    ) -> list[tuple[float, float]]:
        """(Seconds of talk, seconds of work) of an engine's latest talks, of one or any quality."""
        rows = self._rows(
            "SELECT talk_seconds, execution_seconds FROM talk_paces WHERE engine = ?1"
            " AND (?2 IS NULL OR quality = ?2) ORDER BY rowid DESC LIMIT ?3",
            (engine, quality, limit),
        )
        return [(float(talk), float(work)) for talk, work in rows]

    def _write(self, statement: str, values: tuple[object, ...]) -> int:
        """Execute a statement; the number of changed rows."""
        with _translate_errors(), self._lock:
            return self._connection.execute(statement, values).rowcount

    def _rows(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with _translate_errors(), self._lock:
            return self._connection.execute(statement, values).fetchall()

    def _row(self, statement: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        rows = self._rows(statement, values)
        return rows[0] if rows else None


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate errors of SQLite and of the disk to QueueUnavailable."""
    try:
        yield
    except OSError as error:
        raise QueueUnavailable("queue_failed", reason=error.strerror) from error
    except sqlite3.Error as error:
        if "full" in str(error):
            raise QueueUnavailable("queue_full") from error
        raise QueueUnavailable("queue_failed", reason=type(error).__name__) from error
