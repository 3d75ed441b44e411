"""What is stored: within the disk and a key's quota; on a full disk the server lives on."""

import asyncio
import errno
import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from running import ended, running

from multitalk import disk
from multitalk.errors import LimitExceeded, QueueUnavailable
from multitalk.schema import JobStatus
from multitalk.serving.api.database import Database
from multitalk.serving.api.uploads import UploadStore
from multitalk.serving.queue import Submission, open_queue
from multitalk.settings import Settings
from patience import PATIENCE_SECONDS, wait_until
from small_disk import small_disk

PORTRAIT = Path(__file__).parents[2] / "examples" / "portrait.jpg"
TALK = "/v2/talk"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with running(tmp_path_factory.mktemp("storage"), quota_bytes=400_000) as server:
        yield server


@pytest.fixture
def client(served):
    key, token = served.keys.add("somebody")
    with served.client(token) as client:
        client.owner = key.id
        yield client


def send(client: httpx.Client, **told: object) -> httpx.Response:
    return client.post(f"{TALK}/run", json={"input": {"prompt": "x", **told}})


def reasons(answer: httpx.Response) -> tuple[int, str, str]:
    told = answer.json()
    return answer.status_code, told["code"], told["details"]["problems"][0]["reason"]


def test_a_key_stores_no_more_than_its_quota_and_deleting_gives_it_room(served, client):
    upload = client.post("/uploads", content=PORTRAIT.read_bytes())  # 76 kB
    assert upload.status_code == 201
    job = send(client, size=25).json()["id"]  # 256 kB of video
    assert ended(client, job)["status"] == "COMPLETED"
    served.services.quota.removed(client.owner)  # as a minute later
    for refused in (
        client.post("/uploads", content=PORTRAIT.read_bytes()),
        client.post("/uploads", content=iter([PORTRAIT.read_bytes()])),  # of unannounced size
        send(client, filler="x" * 76_000),
        client.post(f"{TALK}/batch", json={"jobs": [{"input": {"filler": "x" * 76_000}}]}),
    ):
        assert reasons(refused) == (413, "limit_exceeded", "quota_exceeded")
        assert "--quota" in refused.json()["error"]
    _, token = served.keys.add("another")
    with served.client(token) as other:
        assert other.post("/uploads", content=PORTRAIT.read_bytes()).status_code == 201
    assert client.post(f"{TALK}/delete/{job}").status_code == 200
    assert client.post("/uploads", content=PORTRAIT.read_bytes()).status_code == 201
    assert not list(served.services.uploads.directory.glob(".part-*"))


def test_uploads_at_once_share_the_quota(served, client):
    async def two() -> None:
        storage = served.services.quota
        await storage.check(client.owner, None)
        with (
            storage.receiving(client.owner) as first,
            storage.receiving(client.owner) as second,
        ):
            first(250_000)
            with pytest.raises(LimitExceeded):
                second(250_000)

    served.do(two())


def test_a_disk_that_is_all_but_full_takes_nothing_new_and_lets_go(
    served, client, monkeypatch: pytest.MonkeyPatch
):
    job = send(client).json()["id"]
    assert ended(client, job)["status"] == "COMPLETED"
    monkeypatch.setattr(disk, "RESERVED_SHARE", 1e-9)
    monkeypatch.setattr(disk, "RESERVED_BYTES", 10**18)
    for refused in (
        client.post("/uploads", content=PORTRAIT.read_bytes()),
        send(client),
        client.post(f"{TALK}/runsync", json={"input": {"prompt": "x"}}),
        client.post(f"{TALK}/batch", json={"jobs": [{"input": {"prompt": "x"}}]}),
    ):
        assert reasons(refused) == (507, "worker_error", "server_disk_low")
    assert client.get(f"{TALK}/status/{job}").status_code == 200
    assert client.post(f"{TALK}/delete/{job}").status_code == 200


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_nothing_is_told_without_a_crash(
    served, client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "no", "/secret/place")

    for path, seam in (
        ("/faces", "mkdtemp"),
        ("/faces", "NamedTemporaryFile"),
        ("/uploads", "NamedTemporaryFile"),
    ):
        monkeypatch.setattr(f"tempfile.{seam}", refuse)
        refused = client.post(path, content=PORTRAIT.read_bytes())
        assert (refused.status_code, refused.json()["code"]) == (507, "worker_error")
        assert "secret" not in refused.text
        monkeypatch.undo()
    assert "Traceback" not in caplog.text


def refuse_until_files_go(queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a queue's file refuse every change while there are media."""
    write = queue._connection.write

    async def refusing(work, **more):
        if await queue.media.jobs():
            raise QueueUnavailable("queue_full")
        return await write(work, **more)

    monkeypatch.setattr(queue._connection, "write", refusing)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["sweep", "forget"])
async def test_on_a_full_disk_files_go_first_so_that_their_job_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    queue = await open_queue(f"sqlite://{tmp_path}/queue.db")
    try:
        seconds = 0.001 if way == "sweep" else 1e6
        job = await queue.submit(Submission(input={}, retention_seconds=seconds))
        kept = await queue.submit(Submission(input={}))
        await queue.media.put(b"video", job_id=job.id, suffix=".mp4")
        await queue.cancel(job.id)
        await asyncio.sleep(0.01)
        refuse_until_files_go(queue, monkeypatch)
        await (queue.sweep() if way == "sweep" else queue.forget(job.id))
        assert [left.id for left in await queue.jobs()] == [kept.id]
    finally:
        await queue.close()


@pytest.mark.anyio
async def test_on_a_full_disk_no_file_of_a_job_that_is_kept_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await open_queue(f"sqlite://{tmp_path}/queue.db")
    try:
        late = await queue.submit(Submission(input={}, retention_seconds=0.001))
        kept = await queue.submit(Submission(input={}))
        name = await queue.media.put(b"video", job_id=kept.id, suffix=".mp4")
        await queue.cancel(late.id)
        await asyncio.sleep(0.01)
        refuse_until_files_go(queue, monkeypatch)
        with pytest.raises(QueueUnavailable):
            await queue.sweep()
        assert await queue.media.size(name) == 5
        assert len(await queue.jobs()) == 2
        await queue.media.put(b"stays", job_id=late.id, suffix=".mp4")
        monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # of a disk that is read-only
        with pytest.raises(QueueUnavailable):
            await asyncio.wait_for(queue.sweep(), PATIENCE_SECONDS)
    finally:
        await queue.close()


@pytest.mark.anyio
async def test_what_becomes_of_jobs_has_room_in_reserve_and_new_jobs_have_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await open_queue(f"sqlite://{tmp_path}/queue.db")
    reserve = tmp_path / "queue.db-reserve"
    try:
        job = await queue.submit(Submission(input={}))
        await queue.sweep()
        assert reserve.stat().st_mode & 0o777 == 0o600
        transact = queue._connection._transact

        def refuse(*given: object) -> object:
            if reserve.exists():
                raise sqlite3.OperationalError("database or disk is full")
            return transact(*given)

        monkeypatch.setattr(queue._connection, "_transact", refuse)
        with pytest.raises(QueueUnavailable):
            await queue.submit(Submission(input={}))
        assert reserve.exists()
        assert (await queue.cancel(job.id)).status is JobStatus.CANCELLED
        assert not reserve.exists()
        await queue.sweep()
        assert reserve.exists(), "the disk has room, so it is laid by again"
    finally:
        await queue.close()


def test_an_upload_that_cannot_be_noted_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Database, *_: object) -> None:
        raise QueueUnavailable("queue_full")

    async def portrait():
        yield PORTRAIT.read_bytes()

    monkeypatch.setattr(Database, "add_upload", refuse)
    with closing(Database(tmp_path / "l.db")) as ledger:
        uploads = UploadStore(tmp_path / "uploads", ledger, seconds=9, max_bytes=10**6)
        with pytest.raises(QueueUnavailable):
            asyncio.run(uploads.receive(portrait(), announced=None, owner="a"))
    assert not list(uploads.directory.iterdir())


def test_a_webhook_is_posted_once_though_the_ledger_cannot_note_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posted = []
    monkeypatch.setattr("multitalk.serving.api.jobs.webhooks.DELAY_SECONDS", 0.05)
    forget, left = Database.forget_webhook, [None] * 3

    def refuse(self: Database, job_id: str) -> None:
        if left:
            left.pop()
            raise QueueUnavailable("queue_full")
        forget(self, job_id)

    monkeypatch.setattr(Database, "forget_webhook", refuse)
    with (
        running(tmp_path, post=lambda *post: posted.append(post) or 200) as served,
        served.client() as client,
    ):
        body = {"input": {"prompt": "x"}, "webhook": "http://127.0.0.1/there"}
        job = client.post(f"{TALK}/run", json=body).json()["id"]
        assert ended(client, job)["status"] == "COMPLETED"
        wait_until(lambda: served.services.database.pending_webhook(job) is None)
    assert (len(posted), left) == (1, [])


def test_a_server_lives_on_a_full_disk_and_its_retention_makes_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with small_disk(tmp_path / "data", megabytes=6) as disk:
        settings = Settings(work_directory=tmp_path)
        with (
            running(disk.path, settings=settings, retention_seconds=3.0) as served,
            served.client() as client,
        ):
            jobs = [send(client, size=20).json()["id"] for _ in range(3)]
            assert {ended(client, job)["status"] for job in jobs} == {"COMPLETED"}
            disk.fill()
            assert reasons(send(client))[0] == 507
            ends = time.monotonic() + PATIENCE_SECONDS
            while client.get(f"{TALK}/requests").json()["requests"]:
                assert time.monotonic() < ends
                time.sleep(0.1)
            assert not list(served.services.queue.media.root.iterdir())
            assert client.get("/healthz").status_code == 200
            disk.fill()
        with (
            running(disk.path, settings=settings, works=False) as served,
            served.client() as client,
        ):
            assert client.get(f"{TALK}/requests").json()["requests"] == []
            disk.free()
            assert send(client).status_code == 200
    said = [line for line in caplog.messages if "disk is full" in line]
    assert len(said) <= 4, "each kind is said once, however long it lasts"
