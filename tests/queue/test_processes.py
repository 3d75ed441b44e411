"""Workers as processes: killed, told to stop, refused; and a queue whose server is killed."""

import asyncio
import errno
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from nats_server import NatsServer
from opening import LeaseTerm, Opener, QueueClock
from small_jobs import job_input

from multitalk.errors import InvalidRequest, NotFound, QueueUnavailable
from multitalk.schema import JobStatus
from multitalk.serving.queue import (
    FINAL,
    Job,
    JobQueue,
    Outcome,
    QueueConfig,
    Submission,
    open_queue,
    transitions,
)
from patience import PATIENCE_SECONDS
from warm_start import WarmProcess, run_to_end, start

pytestmark = pytest.mark.anyio
on_sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)

ROOT = Path(__file__).parents[2]
STUB = Path(__file__).with_name("stub_queue_worker.py")
CAMPAIGN = ROOT / "benchmarks" / "queue_campaign.py"
# Tables of version 1, as the release before made them.
BEFORE = """
CREATE TABLE jobs (
    place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, status TEXT NOT NULL,
    low_priority INTEGER NOT NULL, queued_at REAL NOT NULL, due REAL NOT NULL, owner TEXT NOT NULL,
    idempotency_key TEXT, redeliveries INTEGER NOT NULL, job TEXT NOT NULL,
    submission TEXT NOT NULL, UNIQUE (owner, idempotency_key)
);
CREATE INDEX waiting ON jobs (low_priority, queued_at, place) WHERE status = 'IN_QUEUE';
CREATE INDEX due ON jobs (due);
CREATE TABLE pieces (
    job_id TEXT NOT NULL, token TEXT NOT NULL, number INTEGER NOT NULL, piece TEXT NOT NULL,
    PRIMARY KEY (job_id, token, number)
) WITHOUT ROWID;
CREATE TABLE workers (id TEXT PRIMARY KEY, seen_at REAL NOT NULL, worker TEXT NOT NULL);
PRAGMA user_version = 1;
"""
DONE = Outcome(status=JobStatus.COMPLETED, output={})


@contextmanager
def worker(
    url: str, directory: Path, **environ: str
) -> Iterator[WarmProcess | subprocess.Popen[bytes]]:
    """A stub worker; in the end it is gone. What it said is shown where the test fails."""
    directory.mkdir(exist_ok=True)
    with (directory / "log").open("ab") as log:
        process = start(
            str(STUB),
            url,
            imports=["multitalk.serving.worker.process", "multitalk.serving.queue.jetstream"],
            environment={**os.environ, "MULTITALK_WORK_DIRECTORY": str(directory), **environ},
            output=log.fileno(),
        )
    try:
        yield process
    finally:
        said = (directory / "log").read_text()
        print(f"{directory.name}, code {process.poll()}:\n{said}")  # noqa: T201 - the way to see it
        process.kill()
        process.wait(PATIENCE_SECONDS)


async def reaches(queue: JobQueue, job: Job, status: JobStatus) -> Job:
    ends = time.monotonic() + PATIENCE_SECONDS
    while job.status is not status:
        assert time.monotonic() < ends, job
        await queue.sweep()
        job = await queue.wait_for_change(job.id, seen=job.version, timeout=0.5)
    return job


async def works_on(queue: JobQueue, job: Job) -> None:
    """Wait until the engine renders."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while (job.progress or {}).get("stage") != "render":
        assert time.monotonic() < ends, job
        job = await queue.wait_for_change(job.id, seen=job.version, timeout=1)


async def test_a_killed_worker_s_job_is_done_by_another(
    url: str, opened: Opener, term: LeaseTerm, clock: QueueClock, tmp_path: Path
) -> None:
    queue = await opened(lease_seconds=term.seconds)
    lease = {"STUB_LEASE": str(term.seconds)}
    given = job_input("slow talk", 4.0)
    job = await queue.submit(Submission(input=given))
    with worker(url, tmp_path / "one", **lease) as first:
        job = await reaches(queue, job, JobStatus.IN_PROGRESS)
        first.send_signal(signal.SIGKILL)
        first.wait(PATIENCE_SECONDS)
        term.run_out()
        waiting = await reaches(queue, job, JobStatus.IN_QUEUE)
        clock.ahead = 0.0
        with worker(url, tmp_path / "two", **lease):
            ended = await reaches(queue, waiting, JobStatus.COMPLETED)
    assert ended.worker_id != job.worker_id
    assert (ended.attempts, (await queue.counts()).retried) == (2, 1)


@on_sqlite
async def test_a_stopped_worker_finishes_its_job_and_exits(
    url: str, opened: Opener, tmp_path: Path
) -> None:
    queue = await opened()
    job = await queue.submit(Submission(input=job_input("slow talk", 1.0)))
    with worker(url, tmp_path / "work") as process:
        await works_on(queue, job)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, PATIENCE_SECONDS) == 0
    assert (await queue.get(job.id)).status is JobStatus.COMPLETED
    assert [file.name for file in (tmp_path / "work").iterdir()] == ["log"]


@on_sqlite
async def test_a_worker_stopped_twice_releases_its_job(
    url: str, opened: Opener, tmp_path: Path
) -> None:
    queue = await opened()
    job = await queue.submit(Submission(input=job_input("slow talk", 60.0)))
    with worker(url, tmp_path / "work") as process:
        await reaches(queue, job, JobStatus.IN_PROGRESS)
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
        assert await asyncio.to_thread(process.wait, PATIENCE_SECONDS) == 0
    job = await queue.get(job.id)
    assert (job.status, job.attempts) == (JobStatus.IN_QUEUE, 0)


@on_sqlite
async def test_a_worker_whose_engine_broke_ends_with_1(
    opened: Opener, url: str, tmp_path: Path
) -> None:
    queue = await opened()
    job = await queue.submit(Submission(input=job_input("hang on")))
    with worker(url, tmp_path / "work", STUB_HANG="60") as process:
        await works_on(queue, job)
        await queue.cancel(job.id)
        assert await asyncio.to_thread(process.wait, PATIENCE_SECONDS) == 1


@pytest.mark.parametrize("kind", ["sqlite", "nats"])
def test_no_job_is_lost_or_done_twice_while_workers_and_sender_are_killed(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    arguments = ["--jobs", "6", "--workers", "2", "--faults", "3", "--limit", "400"]
    if kind == "nats":
        arguments += ["--queue", request.getfixturevalue("nats_server").url]
    ended = subprocess.run(
        [sys.executable, str(CAMPAIGN), *arguments, "--sleep", "0.6"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout)
    assert found["states"] == {"COMPLETED": 6}
    assert found["met_a_job_in_work"] == found["faults"] == 3
    assert found["redeliveries"] >= 3


async def test_jobs_survive_a_nats_server_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jetstream_store = pytest.importorskip("multitalk.serving.queue.jetstream_store")
    monkeypatch.setattr(jetstream_store, "ANSWER_SECONDS", 1.0)
    server = NatsServer(tmp_path / "nats")
    server.start()
    queue = await open_queue(server.url, QueueConfig(lease_seconds=120))
    try:
        done, running, waiting = [await queue.submit(Submission(input={})) for _ in range(3)]
        lease = await queue.claim("worker", wait=PATIENCE_SECONDS)
        assert lease is not None
        await queue.finish(lease, DONE)
        lease = await queue.claim("worker", wait=PATIENCE_SECONDS)
        assert lease is not None
        name = await queue.media.put(b"video", job_id=running.id, suffix=".mp4")
        server.kill()
        with pytest.raises(QueueUnavailable):
            await queue.get(done.id)
        server.start()
        assert await reached(queue, done.id)
        assert (await queue.get(done.id)).status is JobStatus.COMPLETED
        assert await queue.renew(lease) is None
        assert await queue.finish(lease, DONE)
        assert await queue.media.size(name) == 5
        lease = await queue.claim("worker", wait=PATIENCE_SECONDS)
        assert lease is not None
        assert lease.job.id == waiting.id
        # what is watched goes on, too
        watching = asyncio.create_task(
            queue.wait_for_change(waiting.id, seen=lease.job.version, timeout=PATIENCE_SECONDS)
        )
        other = await open_queue(server.url, QueueConfig(lease_seconds=120))
        await other.cancel(waiting.id)
        await other.close()
        assert (await watching).status is JobStatus.CANCELLED
    finally:
        await queue.close()
        server.kill()


async def reached(queue: JobQueue, job_id: str) -> bool:
    """Whether the queue is there again, after a while."""
    for _ in range(20):
        try:
            await queue.get(job_id)
        except QueueUnavailable:
            await asyncio.sleep(0.25)
        else:
            return True
    return False


async def test_a_batch_whose_sender_died_halfway_is_never_begun_on_nats(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "nats")
    server.start()
    ahead = 0.0
    queue = await open_queue(server.url, QueueConfig(clock=lambda: time.time() + ahead))
    try:
        part = transitions.accept(Submission(input={}), time.time())
        part = part.model_copy(update={"batch": "the-last-one"})
        await queue._store_job(part, Submission(input={}))  # type: ignore[attr-defined] # it dies here
        await queue.sweep()
        assert await queue.claim("worker", wait=0.2) is None
        ahead = 61.0
        await queue.sweep()
        with pytest.raises(NotFound):
            await queue.get(part.id)
    finally:
        await queue.close()
        server.kill()


# Opening ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["", "queue.db", "sqlite://", "sqlite://host/q.db", "redis://host", "nats://", "file:///q"],
)
async def test_a_url_of_no_queue_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await open_queue(url)
    assert caught.value.field == "--queue"


async def test_a_refusal_does_not_tell_the_password() -> None:
    with pytest.raises(InvalidRequest) as caught:
        await open_queue("redis://me:secret@host")
    assert "secret" not in str(caught.value)


async def test_an_unreachable_server_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    jetstream_store = pytest.importorskip("multitalk.serving.queue.jetstream_store")
    monkeypatch.setattr(jetstream_store, "CONNECT_SECONDS", 1.0)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(QueueUnavailable, match="no NATS server answers"):
        await open_queue(f"nats://127.0.0.1:{port}")


async def test_a_server_that_answers_late_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = pytest.importorskip("multitalk.serving.queue.jetstream_store")
    monkeypatch.setattr(store, "ANSWER_SECONDS", 2.0)
    connected = store._connect
    server = NatsServer(tmp_path / "nats")

    async def then_busy(*arguments: object) -> object:
        client = await connected(*arguments)
        server.pause()
        asyncio.get_running_loop().call_later(3.0, server.go_on)
        return client

    monkeypatch.setattr(store, "_connect", then_busy)
    server.start()
    try:
        queue = await open_queue(server.url)
        assert (await queue.counts()).in_queue == 0
        await queue.close()
    finally:
        server.kill()


def test_the_servers_of_a_cluster_share_user_and_copies() -> None:
    store = pytest.importorskip("multitalk.serving.queue.jetstream_store")
    assert store.parse_url("tls://me:pw@a:4222,b:4223?replicas=3") == (
        ["tls://me:pw@a:4222", "tls://me:pw@b:4223"],
        3,
    )
    assert store.parse_url("nats://a") == (["nats://a"], 1)
    for query in ("replicas=2", "replicas=", "copies=3"):
        with pytest.raises(InvalidRequest):
            store.parse_url(f"nats://a?{query}")


async def test_nats_with_a_password(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "nats", "--user", "me", "--pass", "secret")
    server.start()
    try:
        with pytest.raises(QueueUnavailable) as caught:
            await open_queue(server.url.replace("//", "//me:wrong@"))
        assert "wrong" not in str(caught.value)
        queue = await open_queue(server.url.replace("//", "//me:secret@"))
        assert (await queue.submit(Submission(input={}))).status is JobStatus.IN_QUEUE
        await queue.close()
    finally:
        server.kill()


async def test_a_file_that_is_no_queue_is_reported(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are my notes, not a queue" * 100)
    with pytest.raises(QueueUnavailable):
        await open_queue(f"sqlite://{tmp_path}/notes.txt")
    with pytest.raises(QueueUnavailable):
        await open_queue("sqlite:///proc/no/queue.db")


async def test_a_full_disk_is_reported_and_loses_nothing(tmp_path: Path) -> None:
    queue = await open_queue(f"sqlite://{tmp_path}/queue.db")
    job = await queue.submit(Submission(input={"prompt": "first"}))
    connection = queue._connection  # type: ignore[attr-defined]
    # SQLite can simulate a full disk; a real one raises the same error.
    pages = await connection.read(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    await connection.read(lambda db: db.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone())
    large = Submission(input={"prompt": "x" * 40_000})
    with pytest.raises(QueueUnavailable) as caught:
        await queue.submit(large)
    assert caught.value.key == "queue_full"
    assert (await queue.get(job.id)).status is JobStatus.IN_QUEUE
    await connection.read(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone())
    await queue.submit(large)
    assert (await queue.counts()).in_queue == 2
    lease = await queue.claim("worker", wait=PATIENCE_SECONDS)
    assert lease is not None
    assert lease.job.id == job.id
    await queue.close()


async def test_a_disk_that_is_full_for_media_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await open_queue(f"sqlite://{tmp_path}/queue.db")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("multitalk.serving.queue.media.os.fsync", full)
    with pytest.raises(QueueUnavailable) as caught:
        await queue.media.put(b"video", job_id="job", suffix=".mp4")
    assert caught.value.key == "queue_full"
    monkeypatch.undo()
    assert [file.name for file in tmp_path.rglob("*.part")] == []
    await queue.close()


async def test_a_queue_s_files_are_for_its_owner_only(tmp_path: Path) -> None:
    queue = await open_queue(f"sqlite://{tmp_path}/queue.db")
    name = await queue.media.put(b"x", job_id="job", suffix=".mp4")
    await queue.submit(Submission(input={}))
    for file in tmp_path.rglob("*"):
        if file.parent == tmp_path:
            assert file.stat().st_mode & 0o077 == 0, file
    assert name.startswith("job/")
    await queue.close()


def remains(directory: Path, secret: str) -> list[str]:
    """Files in which a text is still to be read."""
    return [path.name for path in directory.iterdir() if secret.encode() in path.read_bytes()]


async def test_a_deleted_job_is_in_no_file_of_the_queue(tmp_path: Path) -> None:
    secret = "the-bucket-s-secret-key-" * 400  # more than a page of the file
    ahead = 0.0
    config = QueueConfig(clock=lambda: time.time() + ahead)
    server, worker = [await open_queue(f"sqlite://{tmp_path}/q.db", config) for _ in range(2)]
    try:
        for end in ("forgotten after its time", "deleted", "purged"):
            given = Submission(input={"text": secret}, s3_config={"accessSecret": secret})
            job = await server.submit(given)
            if end != "purged":
                lease = await worker.claim("w", wait=PATIENCE_SECONDS)
                assert lease is not None
                await worker.finish(lease, DONE)
            assert remains(tmp_path, secret[:50]), end
            if end == "deleted":
                await server.forget(job.id)
            elif end == "purged":
                await server.purge()
            else:
                ahead += job.retention_seconds + 1
            await server.sweep()
            assert remains(tmp_path, secret[:50]) == [], end
    finally:
        for queue in (server, worker):
            await queue.close()


async def test_a_queue_of_the_release_before_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "q.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        base.execute("PRAGMA secure_delete = OFF")
        base.executescript(BEFORE)
        base.execute("INSERT INTO workers VALUES ('w', 0, ?)", ("an-old-text" * 3000,))
        base.execute("DELETE FROM workers")
        for status in (JobStatus.COMPLETED, JobStatus.IN_QUEUE, JobStatus.IN_PROGRESS):
            job = transitions.accept(Submission(input={}), time.time())
            ended = {"finished_at": time.time()} if status in FINAL else {}
            job = job.model_copy(update={"status": status, "lease_until": 1.0, **ended})
            base.execute(
                "INSERT INTO jobs (id, status, low_priority, queued_at, due, owner, redeliveries,"
                " job, submission) VALUES (?, ?, 0, ?, ?, '', 0, ?, '{\"input\": {}}')",
                (job.id, status.value, job.queued_at, 1.0 if not ended else 9e9, job.to_json()),
            )
    base.close()
    queue = await open_queue(f"sqlite://{path}", QueueConfig(grace_seconds=0.0))
    try:
        await queue.sweep()
        assert remains(tmp_path, "an-old-text") == []
        assert len(await queue.ended_jobs()) == 1
        for _ in range(2):
            lease = await queue.claim("worker", wait=PATIENCE_SECONDS)
            assert lease is not None
            assert await queue.finish(lease, DONE)
        assert (await queue.counts()).completed == 3
    finally:
        await queue.close()


def run_cli(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return run_to_end(
        *("-m", "multitalk", "work", *arguments),
        imports=["multitalk.cli.app", "multitalk.serving.worker.process"],
        environment={**os.environ, **environ},
    )


def test_the_command_says_what_is_wrong_and_ends(tmp_path: Path) -> None:
    ended = run_cli("--queue", "redis://host", MULTITALK_WORK_DIRECTORY=str(tmp_path))
    assert ended.returncode == 2
    assert "--queue: redis://… is not a queue" in ended.stderr
    ended = run_cli("--queue", f"sqlite://{tmp_path}/q.db", "--engine", "diffusion")
    assert ended.returncode == 1
    assert "diffusion engine" in ended.stderr
    assert "Traceback" not in ended.stderr
    ended = run_cli(
        "--queue", f"sqlite://{tmp_path}/q.db", MULTITALK_WORK_DIRECTORY=str(tmp_path / "none")
    )
    assert ended.returncode == 1
    assert "MULTITALK_WORK_DIRECTORY" in ended.stderr
