"""Tables of a SQLite queue, and the statements on them; callers open the transactions."""

import sqlite3
from contextlib import suppress
from typing import Any

from multitalk.errors import Conflict, QueueUnavailable
from multitalk.schema import JobStatus
from multitalk.serving.queue import transitions
from multitalk.serving.queue.base import sum_counts, unknown_job
from multitalk.serving.queue.records import FINAL, Counts, Job, Submission
from multitalk.serving.queue.transitions import Turn

TURNS_KEPT = 10_000  # an owner whose last claim is so many claims ago is like a new one

ENDED = "('COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT')"
SCHEMA_VERSION = 2
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS jobs (
    place INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of submission
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
CREATE TABLE IF NOT EXISTS ends (  -- jobs in the order of their end
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

COUNT_JOBS = "SELECT status, COUNT(*), SUM(redeliveries) FROM jobs GROUP BY status"


def make_tables(db: sqlite3.Connection) -> None:
    """Make the tables, or bring those of an older release to this version."""
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found > SCHEMA_VERSION:
        raise QueueUnavailable("queue_failed", reason="a newer release has made it")
    if found < SCHEMA_VERSION:
        db.executescript(
            f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"
        )
    if 0 < found < SCHEMA_VERSION:
        with suppress(sqlite3.Error):  # an older release did not overwrite what it deleted
            db.execute("VACUUM")
    with suppress(sqlite3.Error):  # not on a full disk; it only makes counting cheap
        # The status comes second: by its first column no other query would take it
        db.execute("CREATE INDEX IF NOT EXISTS states ON jobs (redeliveries, status)")


# Jobs -------------------------------------------------------------------------------------------


def get_job(db: sqlite3.Connection, job_id: str) -> Job:
    """A job; NotFound where there is none."""
    return Job.from_json(_column(db, "job", job_id))


def get_submission(db: sqlite3.Connection, job_id: str) -> str:
    """A job's submission as JSON; NotFound where there is no such job."""
    return _column(db, "submission", job_id)


def find_submitted(db: sqlite3.Connection, submission: Submission) -> Job | None:
    """The job that has the submission's idempotency key.

    Raises:
        Conflict: It was submitted by another request.
    """
    if submission.idempotency_key is None:
        return None
    found = db.execute(
        "SELECT job FROM jobs WHERE owner = ? AND idempotency_key = ?",
        (submission.owner, submission.idempotency_key),
    ).fetchone()
    return transitions.check_same_request(Job.from_json(found[0]), submission) if found else None


def insert_job(db: sqlite3.Connection, job: Job, submission: Submission) -> Job:
    """Add a job; Conflict where its id is used."""
    if db.execute("SELECT 1 FROM jobs WHERE id = ?", (job.id,)).fetchone():
        raise Conflict("job_key_reused")
    db.execute(
        "INSERT INTO jobs (id, owner, idempotency_key, low_priority, submission,"
        " status, queued_at, due, redeliveries, job) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            job.id,
            job.owner,
            job.idempotency_key,
            job.policy.low_priority,
            submission.to_json(),
            *_variable_columns(job),
        ),
    )
    return job


def update_job(db: sqlite3.Connection, job: Job) -> None:
    """Store a job's new state."""
    db.execute(
        "UPDATE jobs SET status = ?, queued_at = ?, due = ?, redeliveries = ?, job = ?"
        " WHERE id = ?",
        (*_variable_columns(job), job.id),
    )


def delete_job(db: sqlite3.Connection, job_id: str) -> None:
    """Delete a job and its fragments."""
    db.execute("DELETE FROM pieces WHERE job_id = ?", (job_id,))
    db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))


def count_jobs(db: sqlite3.Connection) -> Counts:
    """Number of jobs by state."""
    found = db.execute(COUNT_JOBS).fetchall()
    return sum_counts((JobStatus(status), jobs, again) for status, jobs, again in found)


def due_jobs(db: sqlite3.Connection, now: float, limit: int) -> list[Job]:
    """Jobs that `transitions.expire` changes now."""
    rows = db.execute(
        "SELECT job FROM jobs WHERE due <= ? AND status <> 'IN_PROGRESS' ORDER BY due LIMIT ?",
        (now, limit),
    ).fetchall()
    return [Job.from_json(text) for (text,) in rows]


def deletable_jobs(db: sqlite3.Connection, now: float) -> set[str]:
    """Ids of ended jobs that are to be deleted now."""
    rows = db.execute(
        f"SELECT id FROM jobs WHERE due <= ? AND status IN ({', '.join('?' * len(FINAL))})",  # noqa: S608
        (now, *(status.value for status in FINAL)),
    ).fetchall()
    return {job_id for (job_id,) in rows}


def _variable_columns(job: Job) -> tuple[Any, ...]:
    text = job.to_json()
    return job.status.value, job.queued_at, transitions.due(job), job.redeliveries, text


def _column(db: sqlite3.Connection, column: str, job_id: str) -> str:
    found = db.execute(f"SELECT {column} FROM jobs WHERE id = ?", (job_id,)).fetchone()  # noqa: S608
    if found is None:
        raise unknown_job(job_id)
    return str(found[0])


# Turns of owners --------------------------------------------------------------------------------


def waiting_count(db: sqlite3.Connection, owner: str) -> int:
    """Number of an owner's jobs IN_QUEUE."""
    ((number,),) = db.execute(
        "SELECT COUNT(*) FROM jobs WHERE status = 'IN_QUEUE' AND low_priority IN (0, 1)"
        " AND owner = ?",
        (owner,),
    ).fetchall()
    return int(number)


def next_job(db: sqlite3.Connection) -> str | None:
    """Id of the job to be claimed next: the first of the owner whose turn it is."""
    for is_low in (0, 1):
        if turns := _turns(db, is_low):
            _, _, place = min(turns.values())
            ((job_id,),) = db.execute("SELECT id FROM jobs WHERE place = ?", (place,)).fetchall()
            return str(job_id)
    return None


def next_turn(db: sqlite3.Connection) -> int:
    """Number of the next claim."""
    ((last,),) = db.execute("SELECT COALESCE(MAX(turn), 0) FROM turns").fetchall()
    return int(last) + 1


def store_turn(db: sqlite3.Connection, owner: str, turn: int) -> None:
    """Store the number of an owner's last claim."""
    db.execute("INSERT OR REPLACE INTO turns VALUES (?, ?)", (owner, turn))
    db.execute("DELETE FROM turns WHERE turn < ?", (turn - TURNS_KEPT,))


def jobs_ahead(db: sqlite3.Connection, job_id: str) -> int:
    """Number of jobs that are running or will be claimed before this one."""
    found = db.execute(
        "SELECT low_priority, owner, queued_at, place FROM jobs WHERE id = ?", (job_id,)
    ).fetchone()
    if found is None:
        raise unknown_job(job_id)
    is_low, owner, queued_at, place = found
    ((before,),) = db.execute(
        "SELECT (SELECT COUNT(*) FROM jobs WHERE status = 'IN_PROGRESS')"
        " + (SELECT COUNT(*) FROM jobs WHERE status = 'IN_QUEUE' AND low_priority < ?)",
        (is_low,),
    ).fetchall()
    ((own,),) = db.execute(
        "SELECT COUNT(*) FROM jobs WHERE status = 'IN_QUEUE' AND low_priority = ? AND owner = ?"
        " AND (queued_at, place) < (?, ?)",
        (is_low, owner, queued_at, place),
    ).fetchall()
    turns = _turns(db, is_low)
    waiting = db.execute(
        "SELECT owner, COUNT(*) FROM jobs WHERE status = 'IN_QUEUE' AND low_priority = ?"
        " GROUP BY owner",
        (is_low,),
    ).fetchall()
    others = [(number, turns[other]) for other, number in waiting if other != owner]
    turn = turns.get(owner, (0, queued_at, place))
    return int(before + transitions.jobs_ahead(own, turn, others))


def _turns(db: sqlite3.Connection, is_low: int) -> dict[str, Turn]:
    """The turn of each owner with jobs IN_QUEUE of a priority, by one index lookup per owner."""
    rows = db.execute(
        """
        WITH RECURSIVE owners (owner) AS (
            SELECT MIN(owner) FROM jobs WHERE status = 'IN_QUEUE' AND low_priority = ?1
            UNION ALL
            SELECT (
                SELECT MIN(owner) FROM jobs
                WHERE status = 'IN_QUEUE' AND low_priority = ?1 AND owner > owners.owner
            ) FROM owners WHERE owners.owner IS NOT NULL
        )
        SELECT owners.owner, COALESCE(turn, 0), queued_at, place
        FROM owners LEFT JOIN turns USING (owner) JOIN jobs ON place = (
            SELECT place FROM jobs WHERE status = 'IN_QUEUE' AND low_priority = ?1
            AND owner = owners.owner ORDER BY queued_at, place LIMIT 1
        )
        """,
        (is_low,),
    ).fetchall()
    return {owner: (turn, queued_at, place) for owner, turn, queued_at, place in rows}
