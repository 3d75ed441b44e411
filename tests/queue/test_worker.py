"""The worker: what it does with a job, in this process.

Where the queue's kind may matter both are tried; all other claims are tried on SQLite.
"""

import asyncio
import errno
import io
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import av
import pytest
from opening import Opener
from PIL import Image
from small_jobs import job_input, picture, wav
from stub_queue_worker import QueueStubEngine

from multitalk import disk
from multitalk.engines.base import FrameChunk, ProgressCallback, RenderOptions, Scene
from multitalk.errors import NotFound, QueueUnavailable
from multitalk.job import self_test
from multitalk.schema import JobStatus
from multitalk.serving.queue import Job, JobQueue, Policy, Submission, new_job_id
from multitalk.serving.queue.media import DirectoryMedia
from multitalk.serving.worker.job_source import FULL_SECONDS, SourceTraits
from multitalk.serving.worker.lease import LeaseKeeper
from multitalk.serving.worker.loop import EngineThread, WorkerLimits, WorkerLoop
from multitalk.settings import Settings
from patience import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio
on_sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@dataclass
class Shop:
    """A worker at work, and the queue as its callers see it."""

    queue: JobQueue
    worker: WorkerLoop
    stopping: asyncio.Event
    running: "asyncio.Task[None]"
    directory: Path

    async def send(self, prompt: str = "hi", **more: object) -> Job:
        given = {"input": job_input(prompt), **more}
        return await self.queue.submit(Submission.model_validate(given))

    async def end_of(self, job: Job) -> Job:
        return await self.reaches(job, lambda now: now.is_final)

    async def reaches(self, job: Job, state) -> Job:
        ends = time.monotonic() + PATIENCE_SECONDS
        while not state(job):
            assert time.monotonic() < ends, job
            job = await self.queue.wait_for_change(job.id, seen=job.version, timeout=1)
        return job


@asynccontextmanager
async def shop(
    opened: Opener,
    directory: Path,
    engine: QueueStubEngine | None = None,
    *,
    full_seconds: float = FULL_SECONDS,
    drain_seconds: float = PATIENCE_SECONDS,
    stuck_seconds: float = 30.0,
) -> AsyncIterator[Shop]:
    """One worker, which has ended when the context has."""
    directory.mkdir(exist_ok=True)
    queue, mine = await opened(), await opened()
    stopping = asyncio.Event()
    thread = EngineThread(lambda: engine or QueueStubEngine(chunk_frames=5))
    await thread.load()
    worker = WorkerLoop(
        mine,
        SourceTraits(mine),
        thread,
        Settings(work_directory=directory, volume=directory.parent / "volume"),
        WorkerLimits(
            drain_seconds=drain_seconds, stuck_seconds=stuck_seconds, full_seconds=full_seconds
        ),
        worker_id="worker-1",
    )
    running = asyncio.create_task(worker.run(stopping))
    try:
        yield Shop(queue, worker, stopping, running, directory)
    finally:
        worker.stop_now()
        stopping.set()
        await asyncio.wait_for(running, PATIENCE_SECONDS)
        await asyncio.to_thread(thread.close)
    assert list(directory.iterdir()) == []


@pytest.fixture
async def open_shop(opened: Opener, tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop(opened, tmp_path / "work") as it:
        yield it


async def whole(queue: JobQueue, name: str) -> bytes:
    return b"".join([chunk async for chunk in queue.media.read(name)])


def frames_in(video: bytes) -> int:
    with av.open(io.BytesIO(video)) as container:
        return sum(1 for _ in container.decode(video=0))


async def test_the_video_is_in_the_media_and_its_name_in_the_answer(open_shop: Shop) -> None:
    job = await open_shop.end_of(await open_shop.send())
    assert job.status is JobStatus.COMPLETED, job.error
    assert job.worker_id == "worker-1"
    output = job.output
    assert {name for name in output if name.startswith("video")} == {"video"}
    assert (output["status"], output["num_frames"], output["engine"]) == ("success", 10, "warp")
    assert set(output["timings"]) == {"collect", "load", "render", "deliver"}
    assert frames_in(await whole(open_shop.queue, output["video"])) == 10


async def test_the_first_picture_is_in_the_media(open_shop: Shop) -> None:
    job = await open_shop.end_of(await open_shop.send())
    small = await whole(open_shop.queue, job.output["frame"])
    with Image.open(io.BytesIO(small)) as image:
        assert image.format == "JPEG"
        assert 0 < max(image.size) <= 320
    assert "captions" not in job.output, "the voice is a recording"


async def test_pieces_are_a_video_and_so_is_the_whole(open_shop: Shop) -> None:
    job = await open_shop.send("slow talk", stream=True, input=job_input("slow talk", 3.0))
    await open_shop.reaches(job, lambda now: now.next_fragment > 1)
    assert not (await open_shop.queue.get(job.id)).is_final
    job = await open_shop.end_of(job)
    pieces = await open_shop.queue.fragments(job.id)
    assert [piece.output["segment"] for piece in pieces] == list(range(len(pieces)))
    assert sum(piece.output["frames"] for piece in pieces) == 75
    joined = b"".join([await whole(open_shop.queue, piece.output["video"]) for piece in pieces])
    assert frames_in(joined) == 75
    kept = await whole(open_shop.queue, job.output["video"])
    assert frames_in(kept) == 75
    assert b"moof" not in kept  # an ordinary file


@on_sqlite
async def test_progress_is_told_while_it_works(open_shop: Shop) -> None:
    job = await open_shop.send("slow talk", input=job_input("slow talk", 2.0))
    job = await open_shop.reaches(
        job, lambda now: (now.progress or {}).get("stage") == "render" and now.progress["done"] > 10
    )
    assert job.progress["total"] == 50


@on_sqlite
async def test_what_is_wrong_with_a_request_is_told_in_its_language(open_shop: Shop) -> None:
    job = await open_shop.send(input={"prompt": "x", "locale": "ko"})
    job = await open_shop.end_of(job)
    assert job.status is JobStatus.FAILED
    assert job.error == "필수 입력값(prompt, image_path, audio_paths)이 누락되었습니다."
    assert job.output["code"] == "invalid_request"
    fields = [one["field"] for one in job.output["details"]["problems"]]
    assert fields == ["image_path", "audio_paths"]


@on_sqlite
async def test_a_crash_fails_the_job_and_not_the_worker(open_shop: Shop) -> None:
    job = await open_shop.end_of(await open_shop.send("crash now"))
    assert (job.status, job.output["code"]) == (JobStatus.FAILED, "internal_error")
    assert "secret" not in str(job)
    assert (await open_shop.end_of(await open_shop.send())).status is JobStatus.COMPLETED


@on_sqlite
async def test_a_broken_engine_fails_the_job_and_ends_the_worker(open_shop: Shop) -> None:
    job = await open_shop.end_of(await open_shop.send("starve now"))
    assert (job.status, job.output["code"]) == (JobStatus.FAILED, "engine_broken")
    await asyncio.wait_for(open_shop.running, PATIENCE_SECONDS)
    assert open_shop.worker.is_broken


class WindowedEngine(QueueStubEngine):
    """Windows of five frames, of which it saves all but the last.

    Attributes:
        begun_with: The contents of the earlier talks' files that it was given.
    """

    def __init__(self) -> None:
        super().__init__(chunk_frames=5)
        self.begun_with: list[bytes] = []

    def render(
        self, scene: Scene, options: RenderOptions, watch: ProgressCallback
    ) -> Iterator[FrameChunk]:
        files = options.window_files
        assert bool(files.earlier) == bool(options.kept_windows)
        if files.earlier:
            self.begun_with.append(files.earlier.read_bytes())
        assert scene.picture_digest
        assert scene.voices_digest
        for chunk in super().render(scene, options, watch):
            is_last = chunk.first + len(chunk.frames) == scene.num_frames
            files.save_to.write_bytes(f"windows of {scene.prompt}".encode())
            yield replace(chunk, is_saved=not is_last)


async def test_a_job_begins_with_the_windows_of_an_earlier_one(
    opened: Opener, tmp_path: Path
) -> None:
    engine = WindowedEngine()
    async with shop(opened, tmp_path / "work", engine) as it:

        async def end_of(earlier: str | None = None, *, owner: str = "me", **more: object) -> Job:
            given = {**job_input("first" if earlier is None else "second", 0.6), **more}
            if earlier is not None:
                given["continue_from"] = {"job": earlier, "windows": 2}
            return await it.end_of(await it.send(input=given, owner=owner))

        first = await end_of()
        assert first.output["window_ends"] == [5, 10]
        assert await whole(it.queue, first.output["windows"]) == b"windows of first"
        second = await end_of(first.id)
        assert second.status is JobStatus.COMPLETED, second.error
        assert engine.begun_with == [b"windows of first"]
        handed = await end_of(first.id, delivery={"type": "volume"})
        assert await whole(it.queue, handed.output["windows"]) == b"windows of second"
        await it.queue.forget(first.id)
        for earlier, owner in [(first.id, "me"), (second.id, "another"), ("../me", "me")]:
            refused = await end_of(earlier, owner=owner)
            assert refused.status is JobStatus.FAILED
            assert refused.output["code"] == "not_found"
            assert refused.output["field"] == "continue_from.job"
            assert "no earlier job" in refused.error
        assert len(engine.begun_with) == 2


@on_sqlite
async def test_windows_that_find_no_room_cost_no_video(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = DirectoryMedia.put

    async def put(self, source, *, job_id: str, suffix: str) -> str:
        if suffix == ".npz":
            raise QueueUnavailable("queue_full")
        return await really(self, source, job_id=job_id, suffix=suffix)

    monkeypatch.setattr(DirectoryMedia, "put", put)
    async with shop(opened, tmp_path / "work", WindowedEngine(), full_seconds=0.0) as it:
        job = await it.end_of(await it.send(input=job_input("first", 0.6)))
    assert job.status is JobStatus.COMPLETED
    assert "video" in job.output
    assert not {"windows", "window_ends"} & set(job.output)


class FillingEngine(QueueStubEngine):
    """Finds no room in its first job; from then on the disk is full.

    Attributes:
        free: Bytes on that disk.
    """

    free = 2**40

    def render(self, *given: object) -> Iterator[FrameChunk]:
        if not self.scenes:
            self.scenes.append(given[0])
            self.free = 0
            raise OSError(errno.ENOSPC, "No space left on device")
        yield from super().render(*given)


@on_sqlite
async def test_a_full_disk_costs_no_job_and_takes_none_until_it_has_room(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FillingEngine(chunk_frames=5)
    monkeypatch.setattr(self_test, "free_bytes", lambda _: engine.free)
    async with shop(opened, tmp_path / "work", engine) as it:
        jobs = [await it.send() for _ in range(6)]
        first = await it.reaches(jobs[0], lambda now: now.version > 2 and now.worker_id is None)
        assert (first.status, first.attempts) == (JobStatus.IN_QUEUE, 0)
        assert (await it.queue.counts()).in_queue == 6
        engine.free = 2**40
        ended = [await it.end_of(job) for job in jobs]
    assert {job.status for job in ended} == {JobStatus.COMPLETED}
    assert {job.redeliveries for job in ended} == {0}


@on_sqlite
async def test_a_job_that_needs_more_room_than_there_is_fails_and_the_others_do_not(
    open_shop: Shop,
) -> None:
    large, other = await open_shop.send("full now"), await open_shop.send()
    large = await open_shop.end_of(large)
    assert (large.status, large.output["code"]) == (JobStatus.FAILED, "worker_error")
    assert large.output["details"]["problems"][0]["reason"] == "work_directory_full"
    assert (large.attempts, "secret" in str(large)) == (3, False)
    assert (await open_shop.end_of(other)).status is JobStatus.COMPLETED


def refusing(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a queue's disk take nothing so many times."""
    put, left = DirectoryMedia._put, [None] * times

    def refuse(self: DirectoryMedia, *given: object) -> None:
        if left:
            left.pop()
            raise OSError(errno.ENOSPC, "No space left on device")
        put(self, *given)

    monkeypatch.setattr(DirectoryMedia, "_put", refuse)


@on_sqlite
async def test_a_result_waits_for_room_on_the_queue_s_disk(
    open_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(2, monkeypatch)
    job = await open_shop.end_of(await open_shop.send())
    assert (job.status, job.redeliveries) == (JobStatus.COMPLETED, 0), job.error


@on_sqlite
async def test_a_job_whose_result_finds_no_room_is_given_back(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(1, monkeypatch)
    async with shop(opened, tmp_path / "work", full_seconds=-1.0) as it:
        job = await it.end_of(await it.send())
    assert (job.status, job.redeliveries) == (JobStatus.COMPLETED, 1), job.error


@on_sqlite
async def test_no_job_is_taken_while_its_result_could_not_be_kept(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(disk, "RESERVED_SHARE", 1e-9)
        patched.setattr(disk, "RESERVED_BYTES", 10**18)
        async with shop(opened, tmp_path / "work") as it:
            assert not await it.worker._disks.have_room()
            job = await it.send()
            assert not await it.worker._disks.have_room()
            patched.undo()
            assert (await it.end_of(job)).status is JobStatus.COMPLETED


async def test_uploads_are_read_and_another_job_s_are_not(open_shop: Shop) -> None:
    media = open_shop.queue.media
    mine, other = new_job_id(), new_job_id()
    image = await media.put(picture(), job_id=mine, suffix=".png")
    voice = await media.put(wav(0.4), job_id=mine, suffix=".wav")
    sources = {"image_path": f"upload:{image}", "audio_paths": {"a": f"upload:{voice}"}}
    given = {**job_input(), **sources}
    job = await open_shop.end_of(await open_shop.send(input=given, job_id=mine))
    assert job.status is JobStatus.COMPLETED, job.error
    job = await open_shop.end_of(await open_shop.send(input=given, job_id=other))
    assert (job.status, job.output["code"]) == (JobStatus.FAILED, "not_found")


class LookingEngine(QueueStubEngine):
    """Looks at its job's directory when it begins to render.

    Attributes:
        inodes: Of the files there.
    """

    inodes: frozenset[int] = frozenset()
    directory = Path()

    def render(self, *given: object) -> Iterator[FrameChunk]:
        files = self.directory.glob("multitalk-*/*")
        self.inodes = frozenset(file.stat().st_ino for file in files)
        yield from super().render(*given)


async def test_one_upload_serves_two_speakers_and_is_on_the_disk_once(
    opened: Opener, tmp_path: Path
) -> None:
    engine = LookingEngine(chunk_frames=5)
    engine.directory = tmp_path / "work"
    async with shop(opened, tmp_path / "work", engine) as it:
        mine, media = new_job_id(), it.queue.media
        names = [
            await media.put(picture(), job_id=mine, suffix=".png"),
            await media.put(wav(0.4), job_id=mine, suffix=".bin"),
        ]
        image, voice = (f"upload:{name}" for name in names)
        given = {**job_input(), "image_path": image, "audio_paths": {"a": voice, "b": voice}}
        job = await it.end_of(await it.send(input=given, job_id=mine))
        assert job.status is JobStatus.COMPLETED, job.error
        if media.directory is not None:
            stored = {(media.directory / name).stat().st_ino for name in names}
            assert stored <= engine.inodes


async def test_an_upload_of_another_kind_is_refused_by_its_field(open_shop: Shop) -> None:
    mine = new_job_id()
    name = await open_shop.queue.media.put(wav(0.4), job_id=mine, suffix=".png")
    given = {**job_input(), "image_path": f"upload:{name}"}
    job = await open_shop.end_of(await open_shop.send(input=given, job_id=mine))
    assert (job.status, job.output["field"]) == (JobStatus.FAILED, "image_path")
    assert job.output["details"]["stage"] == "collect"


@on_sqlite
async def test_a_volume_takes_the_video_where_that_is_asked_for(open_shop: Shop) -> None:
    given = job_input(delivery={"type": "volume"})
    job = await open_shop.end_of(await open_shop.send(input=given))
    assert job.status is JobStatus.COMPLETED, job.error
    assert frames_in(Path(job.output["video_path"]).read_bytes()) == 10
    assert "video" not in job.output


@on_sqlite
async def test_a_reply_that_cannot_hold_the_video_fails_where_nothing_else_is_wanted(
    opened: Opener, tmp_path: Path
) -> None:
    async with shop(opened, tmp_path / "work") as it:
        it.worker._settings = replace(it.worker._settings, max_reply_bytes=20_000)
        job = await it.end_of(await it.send(input=job_input(delivery={"type": "base64"})))
    assert (job.status, job.output["code"]) == (JobStatus.FAILED, "delivery_failed")


@on_sqlite
async def test_cancelling_stops_the_work_within_a_second_or_so(open_shop: Shop) -> None:
    job = await open_shop.send("slow talk", input=job_input("slow talk", 60.0))
    await open_shop.reaches(job, lambda now: now.progress is not None)
    await open_shop.queue.cancel(job.id)
    next_job = await open_shop.send()
    next_job = await open_shop.reaches(next_job, lambda now: now.is_final)
    assert next_job.status is JobStatus.COMPLETED
    assert (await open_shop.queue.get(job.id)).status is JobStatus.CANCELLED


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_file_that_is_stored_after_its_job_was_deleted_is_removed(
    open_shop: Shop, monkeypatch: pytest.MonkeyPatch, is_streamed: bool
) -> None:
    media = open_shop.worker._source.media
    put = media.put

    async def delete(job_id: str) -> None:
        await open_shop.queue.cancel(job_id)
        await open_shop.queue.forget(job_id)

    async def put_late(source: Path | bytes, *, job_id: str, suffix: str) -> str:
        if job_id == deleted.id:
            await asyncio.shield(delete(job_id))
        return await put(source, job_id=job_id, suffix=suffix)

    monkeypatch.setattr(media, "put", put_late)
    deleted = await open_shop.send("slow talk", stream=is_streamed)
    await open_shop.end_of(await open_shop.send())
    with pytest.raises(NotFound):
        await open_shop.queue.get(deleted.id)
    assert await open_shop.queue.media.job_bytes(deleted.id) == 0


@on_sqlite
async def test_a_job_that_takes_too_long_is_timed_out_by_its_worker(open_shop: Shop) -> None:
    policy = Policy(execution_seconds=1.0)
    job = await open_shop.send(policy=policy, input=job_input("slow talk", 60.0))
    job = await open_shop.end_of(job)
    assert (job.status, job.output["code"]) == (JobStatus.TIMED_OUT, "deadline_exceeded")


@on_sqlite
async def test_a_worker_that_is_to_stop_ends_its_job_first(open_shop: Shop) -> None:
    job = await open_shop.send("slow talk", input=job_input("slow talk", 1.0))
    await open_shop.reaches(job, lambda now: now.status is JobStatus.IN_PROGRESS)
    waiting = await open_shop.send()
    open_shop.stopping.set()
    await asyncio.wait_for(open_shop.running, PATIENCE_SECONDS)
    assert (await open_shop.queue.get(job.id)).status is JobStatus.COMPLETED
    assert (await open_shop.queue.get(waiting.id)).status is JobStatus.IN_QUEUE
    assert await open_shop.queue.workers() == []


async def test_what_takes_longer_goes_back_to_the_queue(opened: Opener, tmp_path: Path) -> None:
    async with shop(opened, tmp_path / "work", drain_seconds=0.3) as it:
        job = await it.send("slow talk", input=job_input("slow talk", 60.0))
        await it.reaches(job, lambda now: now.progress is not None)
        it.stopping.set()
        await asyncio.wait_for(it.running, PATIENCE_SECONDS)
        job = await it.queue.get(job.id)
        assert (job.status, job.attempts) == (JobStatus.IN_QUEUE, 0)


@on_sqlite
async def test_an_engine_that_does_not_stop_ends_the_worker(opened: Opener, tmp_path: Path) -> None:
    async with shop(opened, tmp_path / "work", stuck_seconds=0.5) as it:
        job = await it.send("hang on")
        await it.reaches(job, lambda now: (now.progress or {}).get("stage") == "render")
        await it.queue.cancel(job.id)
        await asyncio.wait_for(it.running, PATIENCE_SECONDS)
        assert it.worker.is_stuck
        assert (await it.queue.get(job.id)).status is JobStatus.CANCELLED
        with pytest.raises(NotFound):
            await it.queue.media.size(f"{job.id}/{'0' * 32}.mp4")


@on_sqlite
async def test_an_engine_that_hangs_beyond_its_time_fails_the_job_and_ends_the_worker(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_HANG", "8")  # it has begun to hang when its time is over
    async with shop(opened, tmp_path / "work", stuck_seconds=0.5) as it:
        it.worker._settings = replace(it.worker._settings, job_seconds=5.0)
        job = await it.end_of(await it.send("hang on"))
        assert (job.status, job.output["code"]) == (JobStatus.FAILED, "engine_broken")
        await asyncio.wait_for(it.running, PATIENCE_SECONDS)
        assert it.worker.is_stuck


@on_sqlite
async def test_a_job_whose_lease_cannot_be_renewed_is_dropped_and_the_worker_goes_on(
    open_shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    job = await open_shop.send("slow talk", input=job_input("slow talk", 60.0))
    await open_shop.reaches(job, lambda now: now.progress is not None)

    async def crash(*_: object) -> None:
        raise KeyError("no such")

    monkeypatch.setattr(open_shop.worker._source, "renew", crash)
    await open_shop.queue.cancel(job.id)  # which nobody can tell the worker any more
    await until_logged(caplog, f"job {job.id}: dropped, lost")
    monkeypatch.undo()
    again = await open_shop.end_of(await open_shop.send())
    assert again.status is JobStatus.COMPLETED


@on_sqlite
async def test_work_is_cancelled_where_keeping_its_lease_ends_first(opened: Opener) -> None:
    queue = await opened()
    await queue.submit(Submission(input=job_input("hi")))
    lease = await queue.claim("worker", wait=PATIENCE_SECONDS)
    assert lease is not None
    keeper = LeaseKeeper(
        queue,
        SourceTraits(queue),
        lease,
        stopping=asyncio.Event(),
        job_seconds=60.0,
        drain_seconds=60.0,
        stuck_seconds=60.0,
    )
    work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    keeping = asyncio.create_task(keeper.keep(work))
    await asyncio.sleep(0)
    assert not keeper.cancelled.is_set()
    keeping.cancel()
    await asyncio.wait({keeping})
    assert keeper.cancelled.is_set()


@on_sqlite
async def test_a_worker_whose_chores_crashed_announces_itself_again(
    open_shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def crash(*_: object) -> None:
        raise KeyError("no such")

    monkeypatch.setattr(open_shop.worker._source, "sweep", crash)
    await until_logged(caplog, "chores: crashed")
    monkeypatch.undo()
    job = await open_shop.send("slow talk", input=job_input("slow talk", 60.0))
    ends = time.monotonic() + PATIENCE_SECONDS
    while [worker.job_id for worker in await open_shop.queue.workers()] != [job.id]:
        assert time.monotonic() < ends
        await asyncio.sleep(0.1)


async def until_logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while text not in caplog.text:
        assert time.monotonic() < ends
        await asyncio.sleep(0.05)


@on_sqlite
async def test_a_worker_shows_what_it_is_at(open_shop: Shop) -> None:
    job = await open_shop.send("slow talk", input=job_input("slow talk", 60.0))
    ends = time.monotonic() + PATIENCE_SECONDS
    while [worker.job_id for worker in await open_shop.queue.workers()] != [job.id]:
        assert time.monotonic() < ends
        await asyncio.sleep(0.1)
    await open_shop.queue.cancel(job.id)
