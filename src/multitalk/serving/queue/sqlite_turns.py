"""Whose turn it is, in a SQLite queue: owners take turns, the jobs of each in order."""

import sqlite3

from multitalk.serving.queue import transitions
from multitalk.serving.queue.base import unknown_job


def waiting_of(base: sqlite3.Connection, owner: str) -> int:
    """How many jobs of an owner wait."""
    ((number,),) = base.execute(
        "SELECT COUNT(*) FROM jobs WHERE status = 'IN_QUEUE' AND low_priority IN (0, 1)"
        " AND owner = ?",
        (owner,),
    ).fetchall()
    return int(number)


def next_job(base: sqlite3.Connection) -> str | None:
    """Id of the job that is next: the first of the owner whose turn it is."""
    for is_low in (0, 1):
        if orders := _orders(base, is_low):
            _, _, place = min(orders.values())
            ((job_id,),) = base.execute("SELECT id FROM jobs WHERE place = ?", (place,)).fetchall()
            return str(job_id)
    return None


def jobs_ahead(base: sqlite3.Connection, job_id: str) -> int:
    """As `JobQueue.ahead`."""
    found = base.execute(
        "SELECT low_priority, owner, queued_at, place FROM jobs WHERE id = ?", (job_id,)
    ).fetchone()
    if found is None:
        raise unknown_job(job_id)
    is_low, owner, queued_at, place = found
    ((sooner,),) = base.execute(
        "SELECT (SELECT COUNT(*) FROM jobs WHERE status = 'IN_PROGRESS')"
        " + (SELECT COUNT(*) FROM jobs WHERE status = 'IN_QUEUE' AND low_priority < ?)",
        (is_low,),
    ).fetchall()
    ((own,),) = base.execute(
        "SELECT COUNT(*) FROM jobs WHERE status = 'IN_QUEUE' AND low_priority = ? AND owner = ?"
        " AND (queued_at, place) < (?, ?)",
        (is_low, owner, queued_at, place),
    ).fetchall()
    orders = _orders(base, is_low)
    waiting = base.execute(
        "SELECT owner, COUNT(*) FROM jobs WHERE status = 'IN_QUEUE' AND low_priority = ?"
        " GROUP BY owner",
        (is_low,),
    ).fetchall()
    others = [(number, orders[other]) for other, number in waiting if other != owner]
    return int(
        sooner + transitions.jobs_ahead(own, orders.get(owner, (0, queued_at, place)), others)
    )


def _orders(base: sqlite3.Connection, is_low: int) -> dict[str, transitions.Turn]:
    """When each owner's turn is of whom jobs of a priority wait; each is one look into an index."""
    found = base.execute(
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
    return {owner: (turn, queued_at, place) for owner, turn, queued_at, place in found}
