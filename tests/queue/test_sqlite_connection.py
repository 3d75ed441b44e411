"""Reads of a SQLite queue: those that wait run together, and each gets its own answer."""

import asyncio
import threading

import pytest

from multitalk.errors import NotFound, QueueUnavailable
from multitalk.serving.queue.sqlite_connection import SqliteConnection
from multitalk.serving.queue.sqlite_tables import COUNT_JOBS
from patience import PATIENCE_SECONDS


def run(scene, tmp_path) -> None:
    async def with_connection() -> None:
        connection = SqliteConnection(tmp_path / "queue.db")
        await connection.open()
        await scene(connection)

    asyncio.run(asyncio.wait_for(with_connection(), PATIENCE_SECONDS))


def select(number: int):
    return lambda db: db.execute("SELECT ?", (number,)).fetchone()[0]


def count(db):
    return db.execute("SELECT COUNT(*) FROM a").fetchone()[0]


def refuse(_):
    raise NotFound("job_unknown", job_id="a")


def test_reads_that_wait_get_their_own_answers_or_errors(tmp_path):
    async def scene(connection: SqliteConnection) -> None:
        begun, free, changes = threading.Event(), threading.Event(), []

        def wait(_) -> None:
            begun.set()
            free.wait(PATIENCE_SECONDS)

        first = asyncio.ensure_future(connection.read(wait))
        await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
        reads = [asyncio.ensure_future(connection.read(select(number))) for number in range(20)]
        refused = asyncio.ensure_future(connection.read(refuse))
        broken = asyncio.ensure_future(connection.read(lambda db: db.execute("SELECT nothing")))
        given_up = asyncio.ensure_future(connection.read(changes.append))
        await asyncio.sleep(0)
        given_up.cancel()
        free.set()
        assert await asyncio.gather(*reads) == list(range(20))
        with pytest.raises(NotFound):
            await refused
        with pytest.raises(QueueUnavailable):
            await broken
        assert given_up.cancelled()
        await first
        assert await connection.read(select(7)) == 7
        await connection.close()

    run(scene, tmp_path)


def test_a_read_sees_what_was_written_before(tmp_path):
    async def scene(connection: SqliteConnection) -> None:
        await connection.write(lambda db: db.execute("CREATE TABLE a (number INTEGER)"))
        for number in range(20):
            await connection.write(
                lambda db, number=number: db.execute("INSERT INTO a VALUES (?)", (number,))
            )
            assert await asyncio.gather(*(connection.read(count) for _ in "ab")) == [number + 1] * 2
        await connection.close()

    run(scene, tmp_path)


def test_a_closed_connection_refuses_reads(tmp_path):
    async def scene(connection: SqliteConnection) -> None:
        await connection.close()
        for _ in "ab":
            with pytest.raises(RuntimeError):
                await connection.read(select(1))

    run(scene, tmp_path)


def test_counting_jobs_reads_no_job(tmp_path):
    async def scene(connection: SqliteConnection) -> None:
        def plan(query: str):
            return lambda db: str(db.execute(f"EXPLAIN QUERY PLAN {query}").fetchall())

        assert "COVERING INDEX states" in await connection.read(plan(COUNT_JOBS))
        waiting = "SELECT id FROM jobs WHERE status = 'IN_QUEUE'"
        assert "states" not in await connection.read(plan(waiting))
        await connection.close()

    run(scene, tmp_path)
