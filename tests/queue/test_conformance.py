"""What every queue promises, tried on each kind: two processes' views of one queue."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from opening import LeaseTerm, Opener, QueueClock

from multitalk.errors import Conflict, NotFound, QueueUnavailable, TooManyRequests
from multitalk.schema import JobStatus
from multitalk.serving.queue import (
    Job,
    JobQueue,
    Lease,
    Outcome,
    Policy,
    Submission,
    WorkerRecord,
    new_job_id,
    transitions,
)
from patience import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio

DONE = Outcome(status=JobStatus.COMPLETED, output={"seed": 7, "video": None})
BROKEN = Outcome(status=JobStatus.FAILED, error="it broke", output={"code": "engine_failed"})


def a_job(**more: object) -> Submission:
    return Submission.model_validate({"input": {"prompt": "hi"}, **more})


async def claimed(queue: JobQueue, worker: str = "worker", wait: float = PATIENCE_SECONDS) -> Lease:
    lease = await queue.claim(worker, wait=wait)
    assert lease is not None
    return lease


async def nothing_to_claim(queue: JobQueue) -> bool:
    return await queue.claim("nobody", wait=0.2) is None


async def until(queue: JobQueue, job_id: str, status: JobStatus) -> Job:
    """The job, swept again and again until it is in a state."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while (job := await queue.get(job_id)).status is not status:
        assert time.monotonic() < ends, job
        await queue.sweep()
        await asyncio.sleep(0.05)
    return job


async def counted(*queues: JobQueue, **expected: int) -> None:
    """Every view of the queue comes to these counts: one that follows another is behind it."""
    ends = time.monotonic() + PATIENCE_SECONDS
    for queue in queues:
        while not expected.items() <= (found := (await queue.counts()).model_dump()).items():
            assert time.monotonic() < ends, found
            await asyncio.sleep(0.01)


async def forgotten(queue: JobQueue, job_id: str) -> bool:
    try:
        await queue.get(job_id)
    except NotFound:
        return True
    return False


# Sending ------------------------------------------------------------------------------------------


async def test_a_job_is_done_as_it_was_sent(opened: Opener) -> None:
    server, worker = await opened(), await opened()
    given = a_job(
        input={"prompt": "안녕 \ud83d", "n": [1, 2.5, None]},
        webhook="https://example.com/hook",
        s3_config={"accessId": "me"},
        owner="key-1",
        stream=True,
    )
    job = await server.submit(given)
    assert (job.status, job.webhook, job.owner, job.stream) == (
        JobStatus.IN_QUEUE,
        "https://example.com/hook",
        "key-1",
        True,
    )
    lease = await claimed(worker, "worker-1")
    assert lease.submission == given
    running = await server.get(job.id)
    assert (running.status, running.worker_id) == (JobStatus.IN_PROGRESS, "worker-1")
    assert await worker.finish(lease, DONE)
    ended = await server.get(job.id)
    assert (ended.status, ended.output, ended.error) == (JobStatus.COMPLETED, DONE.output, None)
    assert ended.created_at <= ended.started_at <= ended.finished_at
    assert await nothing_to_claim(worker)


async def test_a_job_s_title_is_what_is_said_first(opened: Opener) -> None:
    queue = await opened()
    texts = [{"text": " \n"}, {"text": "안녕하세요.\n 반갑습니다. " + "가" * 100}]
    given = {"image_path": "upload:a/b.jpg", "audio_paths": {"a": "upload:a/c.wav", "b": texts}}
    job = await queue.submit(a_job(input=given))
    assert job.title.startswith("안녕하세요. 반갑습니다. 가가")
    assert len(job.title) == 80
    assert job.portrait == "a/b.jpg"
    for odd in (7, None, [], {"audio_paths": 3}, {"audio_paths": {"a": {"text": 3}, "b": [1]}}):
        job = await queue.submit(a_job(input=odd))
        assert (job.title, job.portrait) == ("", None)


async def test_a_large_input_arrives_whole(opened: Opener) -> None:
    queue = await opened()
    given = a_job(input={"image_path": "A" * 3_000_000})
    job = await queue.submit(given)
    assert (await claimed(queue)).submission == given
    assert await queue.submission(job.id) == given


async def test_jobs_are_done_in_order_and_those_of_low_priority_last(opened: Opener) -> None:
    queue = await opened()
    sent = [await queue.submit(a_job(policy=Policy(low_priority=low))) for low in (1, 0, 1, 0)]
    taken = [(await claimed(queue)).job.id for _ in sent]
    assert taken == [sent[index].id for index in (1, 3, 0, 2)]


async def test_the_same_key_is_the_same_job(opened: Opener) -> None:
    one, other = await opened(), await opened()
    mine = a_job(idempotency_key="k1", owner="me")
    answers = await asyncio.gather(*(queue.submit(mine) for queue in (one, other) * 4))
    assert len({job.id for job in answers}) == 1
    with pytest.raises(Conflict):
        await other.submit(mine.model_copy(update={"input": {"prompt": "other"}}))
    strangers = await other.submit(mine.model_copy(update={"owner": "you"}))
    assert strangers.id != answers[0].id
    await counted(one, in_queue=2)


async def test_a_job_may_bring_its_id_once(opened: Opener) -> None:
    queue = await opened()
    mine = a_job(job_id=new_job_id())
    assert (await queue.submit(mine)).id == mine.job_id
    with pytest.raises(Conflict):
        await queue.submit(mine)


async def test_jobs_are_listed_youngest_first_page_by_page(
    opened: Opener, clock: QueueClock
) -> None:
    queue = await opened()
    sent = []
    for number in range(5):
        sent.append((await queue.submit(a_job(owner="ab"[number % 2]))).id)
        clock.ahead += 1
    await queue.cancel(sent[2])
    first = await queue.jobs(limit=3)
    second = await queue.jobs(limit=3, before=first[-1].id)
    assert [job.id for job in first + second] == sent[::-1]
    assert [job.id for job in await queue.jobs(status=JobStatus.CANCELLED)] == [sent[2]]
    assert [job.id for job in await queue.jobs(owner="b")] == [sent[3], sent[1]]


async def test_an_unknown_job_is_not_found(opened: Opener) -> None:
    queue = await opened()
    for ask in (queue.get, queue.submission, queue.cancel, queue.retry, queue.fragments):
        with pytest.raises(NotFound):
            await ask("no-such-job")
    with pytest.raises(NotFound):
        await queue.wait_for_change("no-such-job", seen=0, timeout=0.1)


# Claiming -----------------------------------------------------------------------------------------


async def test_many_workers_share_jobs_and_none_is_done_twice(opened: Opener) -> None:
    queues = [await opened() for _ in range(3)]
    sent = {(await queues[0].submit(a_job())).id for _ in range(30)}
    done: list[str] = []

    async def work(queue: JobQueue, name: str) -> None:
        while (lease := await queue.claim(name, wait=0.5)) is not None:
            await asyncio.sleep(0.001)
            assert await queue.finish(lease, DONE)
            done.append(lease.job.id)

    await asyncio.gather(*(work(queue, f"w{number}") for number, queue in enumerate(queues * 2)))
    assert sorted(done) == sorted(sent)
    await counted(queues[0], completed=30)


async def test_a_worker_that_waits_is_woken_by_a_job(opened: Opener) -> None:
    server, worker = await opened(), await opened()
    waiting = asyncio.create_task(worker.claim("worker", wait=PATIENCE_SECONDS))
    await asyncio.sleep(0.3)
    job = await server.submit(a_job())
    lease = await asyncio.wait_for(waiting, PATIENCE_SECONDS)
    assert lease is not None
    assert lease.job.id == job.id


async def test_a_claim_that_is_called_off_leaves_the_job_to_others(opened: Opener) -> None:
    server, worker = await opened(), await opened()
    for _ in range(5):
        await server.submit(a_job())
        calling = asyncio.create_task(worker.claim("impatient", wait=5))
        await asyncio.sleep(0.003)
        calling.cancel()
        results = await asyncio.gather(calling, return_exceptions=True)
        lease = results[0] if isinstance(results[0], Lease) else await claimed(server, "patient")
        assert lease.job.attempts == 1
        assert await server.finish(lease, DONE)


async def test_a_job_whose_submission_is_not_answered_is_claimed_later_and_costs_nothing(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await opened()
    job = await queue.submit(a_job())

    async def refuse(job_id: str) -> Submission:
        raise QueueUnavailable("queue_full")

    monkeypatch.setattr(queue, "submission", refuse)
    with pytest.raises(QueueUnavailable):
        await queue.claim("worker", wait=PATIENCE_SECONDS)
    monkeypatch.undo()
    lease = await claimed(queue)
    assert (lease.job.id, lease.job.attempts) == (job.id, 1)


async def test_a_job_whose_submission_cannot_be_read_fails_and_the_next_one_is_claimed(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    queue = await opened()
    spoilt, whole = [await queue.submit(a_job()) for _ in range(2)]
    read = queue.submission

    async def submission(job_id: str) -> Submission:
        return Submission.from_json("{'secret'") if job_id == spoilt.id else await read(job_id)

    monkeypatch.setattr(queue, "submission", submission)
    assert (await claimed(queue)).job.id == whole.id
    job = await queue.get(spoilt.id)
    assert (job.status, job.output["code"]) == (JobStatus.FAILED, "internal_error")
    assert f"job {job.id}: its submission cannot be read" in caplog.text
    assert "secret" not in caplog.text


async def test_owners_take_turns_and_an_owner_s_jobs_are_in_order(
    opened: Opener, clock: QueueClock
) -> None:
    queue, other = await opened(), await opened()
    sent: dict[str, list[str]] = {"a": [], "b": [], "c": []}
    for owner in "aaaaabbc":
        sent[owner].append((await queue.submit(a_job(owner=owner))).id)
        clock.ahead += 1
    low = await queue.submit(a_job(owner="d", policy=Policy(low_priority=True)))
    taken = []
    for number in range(8):
        lease = await claimed((queue, other)[number % 2])
        taken.append(lease.job.id)
        await counted(queue, other, in_progress=number + 1)
    a, b, c = sent.values()
    assert taken == [a[0], b[0], c[0], a[1], b[1], a[2], a[3], a[4]]
    late = await queue.submit(a_job(owner="b"))
    later = await queue.submit(a_job(owner="a"))
    assert [await other.ahead(job.id) for job in (late, later, low)] == [8, 9, 10]
    assert [(await claimed(other)).job.id for _ in range(3)] == [late.id, later.id, low.id]


async def test_jobs_ahead_are_counted_by_turns(opened: Opener, clock: QueueClock) -> None:
    queue = await opened()
    sent = []
    for owner in "aaaabbc":
        sent.append(await queue.submit(a_job(owner=owner)))
        clock.ahead += 1
    ahead = [await queue.ahead(job.id) for job in sent]
    assert ahead == [0, 3, 5, 6, 1, 4, 2]
    order = [(await claimed(queue)).job.id for _ in sent]
    assert order == [job.id for _, job in sorted(zip(ahead, sent, strict=True), key=str)]


async def test_jobs_sent_together_are_kept_all_or_none(opened: Opener) -> None:
    queue, other = await opened(), await opened()
    await queue.submit(a_job(idempotency_key="k", owner="me"))
    batch = [a_job(owner="me", job_id=new_job_id()) for _ in range(4)]
    spoilt = a_job(owner="me", idempotency_key="k", input={"prompt": "another"})
    with pytest.raises(Conflict):
        await queue.submit_all([*batch, spoilt])
    taken = a_job(owner="me", job_id=(await queue.jobs())[0].id)
    with pytest.raises(Conflict):
        await queue.submit_all([*batch, taken])
    await counted(other, in_queue=1)
    await queue.submit_all(batch)
    assert [(await claimed(other)).job.id for _ in range(5)][1:] == [
        job.id for job in sorted(await queue.jobs(limit=4), key=lambda job: job.turn)
    ]


async def test_jobs_sent_together_are_listed_and_claimed_in_their_order(opened: Opener) -> None:
    queue = await opened()
    sent = [job.id for job in await queue.submit_all([a_job() for _ in range(8)])]
    assert [job.id for job in await queue.jobs()] == sent[::-1]
    assert [(await claimed(queue)).job.id for _ in sent] == sent


async def test_a_batch_that_is_sent_twice_is_one(opened: Opener) -> None:
    queue, other = await opened(), await opened()
    batch = [a_job(owner="me", idempotency_key=f"k[{number}]") for number in range(5)]
    first, again = await asyncio.gather(queue.submit_all(batch), other.submit_all(batch))
    assert [job.id for job in first] == [job.id for job in again]
    assert len({(await claimed(queue)).job.id for _ in batch}) == 5
    assert await nothing_to_claim(other)


async def test_so_many_jobs_of_one_owner_may_wait_and_no_more(opened: Opener) -> None:
    queue = await opened()
    both = [a_job(owner="me", idempotency_key=key) for key in "ab"]
    await queue.submit_all(both, max_waiting=2)
    with pytest.raises(TooManyRequests) as refused:
        await queue.submit_all([a_job(owner="me")], max_waiting=2)
    assert refused.value.seconds > 0
    assert len(await queue.submit_all(both, max_waiting=2)) == 2  # these wait already
    await queue.submit_all([a_job(owner="you")], max_waiting=2)
    lease = await claimed(queue)
    tries = (queue.submit(a_job(owner="me"), max_waiting=2) for _ in range(8))
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, Job) for one in found) == 1
    await queue.finish(lease, BROKEN)
    with pytest.raises(TooManyRequests):
        await queue.retry(lease.job.id, max_waiting=2)
    assert (await queue.retry(lease.job.id, max_waiting=3)).status is JobStatus.IN_QUEUE


async def test_jobs_that_end_are_listed_in_that_order(opened: Opener) -> None:
    server, worker = await opened(), await opened()
    jobs = [await server.submit(a_job()) for _ in range(3)]
    await server.cancel(jobs[2].id)
    await worker.finish(await claimed(worker), DONE)
    failed = await claimed(worker)
    await worker.finish(failed, BROKEN)
    seen: list[tuple[int, str]] = []
    ends = time.monotonic() + PATIENCE_SECONDS
    while len(seen) < 3:
        assert time.monotonic() < ends, seen
        seen += await server.ended_jobs(after=seen[-1][0] if seen else 0, limit=2)
        await asyncio.sleep(0.01)
    assert [job_id for _, job_id in seen] == [jobs[2].id, jobs[0].id, jobs[1].id]
    assert await server.ended_jobs(after=seen[-1][0]) == []
    await server.forget(jobs[2].id)
    await worker.retry(failed.job.id)
    await worker.finish(await claimed(worker), DONE)
    late = await opened()  # whoever comes later learns of all that are remembered
    assert {job_id for _, job_id in await late.ended_jobs()} == {jobs[0].id, jobs[1].id}
    ends = time.monotonic() + PATIENCE_SECONDS
    while not (again := await server.ended_jobs(after=seen[-1][0])):
        assert time.monotonic() < ends
        await asyncio.sleep(0.01)
    assert [job_id for _, job_id in again] == [failed.job.id]


# Leases -------------------------------------------------------------------------------------------


async def test_a_silent_worker_s_job_goes_to_another_and_its_result_is_dropped(
    opened: Opener, term: LeaseTerm
) -> None:
    queue, other = (
        await opened(lease_seconds=term.seconds),
        await opened(lease_seconds=term.seconds),
    )
    job = await queue.submit(a_job())
    lost = await claimed(queue, "silent")
    term.run_out()
    await until(other, job.id, JobStatus.IN_QUEUE)
    kept = await claimed(other, "lively")
    assert kept.token != lost.token
    assert await queue.renew(lost) == "lost"
    assert not await queue.add_fragment(lost, {"segment": 0})
    assert not await queue.finish(lost, BROKEN)
    await queue.release(lost)
    assert await other.finish(kept, DONE)
    assert not await queue.finish(lost, BROKEN)
    ended = await queue.get(job.id)
    assert (ended.status, ended.worker_id) == (JobStatus.COMPLETED, "lively")
    await counted(queue, retried=1)


async def test_a_dead_worker_s_job_goes_to_another_at_once(opened: Opener) -> None:
    server, worker = await opened(lease_seconds=60), await opened(lease_seconds=60)
    jobs = [await server.submit(a_job()) for _ in range(2)]
    await worker.announce(WorkerRecord(id="dead", engine="warp", started_at=1.0))
    lost = await claimed(worker, "dead")
    other = await claimed(worker, "alive")
    await server.mark_worker_dead("dead")
    assert await server.workers() == []
    again = await claimed(worker, "alive")
    assert (again.job.id, again.job.attempts) == (jobs[0].id, 2)
    assert await worker.renew(lost) == "lost"
    assert not await worker.finish(lost, BROKEN)
    for lease in (other, again):
        assert await worker.finish(lease, DONE)
    await server.mark_worker_dead("alive")
    assert [(await server.get(job.id)).status for job in jobs] == [JobStatus.COMPLETED] * 2
    assert await nothing_to_claim(worker)


async def test_a_job_whose_workers_die_is_quarantined(opened: Opener) -> None:
    queue = await opened(lease_seconds=60, max_attempts=2)
    job = await queue.submit(a_job())
    for attempt in (1, 2):
        assert (await claimed(queue, f"w{attempt}")).job.attempts == attempt
        await queue.mark_worker_dead(f"w{attempt}")
    assert (await queue.get(job.id)).status is JobStatus.FAILED
    assert await nothing_to_claim(queue)


async def test_a_worker_that_renews_its_lease_keeps_its_job(
    opened: Opener, clock: QueueClock
) -> None:
    queue, other = await opened(lease_seconds=60), await opened(lease_seconds=60)
    job = await queue.submit(a_job())
    lease = await claimed(queue)
    for step in range(6):
        clock.ahead += 50
        assert await queue.renew(lease, {"stage": "render", "done": step, "total": 6}) is None
        await other.sweep()
        assert await other.claim("thief", wait=0.05) is None
    assert (await other.get(job.id)).progress == {"stage": "render", "done": 5, "total": 6}
    assert await queue.finish(lease, DONE)


async def test_a_result_that_is_sent_twice_counts_once(opened: Opener) -> None:
    queue = await opened()
    job = await queue.submit(a_job())
    lease = await claimed(queue)
    assert await queue.finish(lease, DONE)
    version = (await queue.get(job.id)).version
    assert await queue.finish(lease, DONE)
    assert not await queue.finish(lease, BROKEN)
    assert (await queue.get(job.id)).version == version


async def test_a_job_that_costs_workers_is_quarantined(opened: Opener, term: LeaseTerm) -> None:
    queue = await opened(lease_seconds=term.seconds, max_attempts=2)
    job = await queue.submit(a_job(input={"locale": "ko"}))
    for attempt in (1, 2):
        assert (await claimed(queue)).job.attempts == attempt
        term.run_out()
        if attempt == 1:
            await until(queue, job.id, JobStatus.IN_QUEUE)
    ended = await until(queue, job.id, JobStatus.FAILED)
    assert "워커 2개" in (ended.error or "")
    assert ended.output["code"] == "internal_error"
    assert await nothing_to_claim(queue)


async def test_a_job_that_is_given_back_is_done_by_another_and_costs_nothing(
    opened: Opener,
) -> None:
    queue, other = await opened(max_attempts=1), await opened(max_attempts=1)
    await queue.submit(a_job())
    for worker in (queue, other, queue):
        lease = await claimed(worker)
        assert lease.job.attempts == 1
        await worker.release(lease)
    await queue.release(await claimed(queue), counted=True)
    lease = await claimed(other)
    assert lease.job.attempts == 2
    assert await other.finish(lease, DONE)
    await counted(queue, retried=1)


async def test_a_clock_that_is_set_takes_no_job_from_a_worker_that_lives(opened: Opener) -> None:
    clock, monotonic = QueueClock(), QueueClock()
    config = {"lease_seconds": 30.0, "grace_seconds": 5.0, "clock": clock, "monotonic": monotonic}
    queue, other = await opened(**config), await opened(**config)
    job = await queue.submit(a_job(policy=Policy(execution_seconds=600)))
    lease = await claimed(queue)
    for ahead in (660.0, 0.0, 60 * 86_400.0, -86_400.0):
        clock.ahead = ahead
        for _ in range(3):  # it may be later than its renewal, not so late as the grace
            await other.sweep()
            monotonic.ahead += 1
        assert await queue.renew(lease, {"stage": "render", "done": 1, "total": 2}) is None
    await counted(other, retried=0)
    assert await queue.finish(lease, DONE)
    assert (await other.get(job.id)).status is JobStatus.COMPLETED


async def test_a_clock_that_is_set_back_keeps_no_job_with_a_dead_worker(opened: Opener) -> None:
    clock, monotonic = QueueClock(), QueueClock()
    config = {"lease_seconds": 30.0, "clock": clock, "monotonic": monotonic}
    queue, other = await opened(**config), await opened(**config)
    job = await queue.submit(a_job())
    await claimed(queue, "dead")
    clock.ahead = -86_400.0
    await other.sweep()
    for _ in range(7):
        monotonic.ahead += 4
        await other.sweep()
    assert (await queue.get(job.id)).status is JobStatus.IN_PROGRESS
    monotonic.ahead += 3
    await until(other, job.id, JobStatus.IN_QUEUE)


async def test_an_observer_that_was_suspended_expires_no_lease(opened: Opener) -> None:
    clock, monotonic = QueueClock(), QueueClock()
    queue = await opened(lease_seconds=30.0, grace_seconds=10.0, clock=clock, monotonic=monotonic)
    job = await queue.submit(a_job())
    lease = await claimed(queue)
    await queue.sweep()
    clock.ahead = monotonic.ahead = 60.0  # the whole machine was paused
    await queue.sweep()
    assert await queue.renew(lease) is None
    assert (await queue.get(job.id)).redeliveries == 0


# Ends ---------------------------------------------------------------------------------------------


async def test_a_cancelled_job_is_never_begun(opened: Opener) -> None:
    queue, other = await opened(), await opened()
    job = await queue.submit(a_job())
    assert (await other.cancel(job.id)).status is JobStatus.CANCELLED
    assert await nothing_to_claim(queue)
    assert (await queue.get(job.id)).delay_seconds(0.0) >= 0


async def test_cancelling_stops_the_worker_and_drops_its_result(opened: Opener) -> None:
    queue, other = await opened(), await opened()
    job = await queue.submit(a_job())
    lease = await claimed(queue)
    await other.cancel(job.id)
    assert await queue.renew(lease) == "cancelled"
    assert not await queue.finish(lease, DONE)
    assert (await queue.cancel(job.id)).output is None
    assert await nothing_to_claim(queue)


async def test_a_job_that_is_final_cannot_be_cancelled(opened: Opener) -> None:
    queue = await opened()
    job = await queue.submit(a_job())
    await queue.finish(await claimed(queue), DONE)
    assert (await queue.cancel(job.id)).status is JobStatus.COMPLETED


async def test_a_job_ends_once_with_concurrent_results(opened: Opener) -> None:
    queue, other = await opened(), await opened()
    for _ in range(8):
        job = await queue.submit(a_job())
        lease = await claimed(queue)
        was_ours, cancelled = await asyncio.gather(queue.finish(lease, DONE), other.cancel(job.id))
        ended = await queue.get(job.id)
        assert ended.status is (JobStatus.COMPLETED if was_ours else JobStatus.CANCELLED)
        assert cancelled.status is ended.status


async def test_a_job_that_takes_too_long_is_timed_out(opened: Opener, clock: QueueClock) -> None:
    queue, other = await opened(lease_seconds=60), await opened(lease_seconds=60)
    job = await queue.submit(a_job(policy=Policy(execution_seconds=20)))
    lease = await claimed(queue)
    clock.ahead += 15
    assert await queue.renew(lease) is None
    clock.ahead += 6
    assert await queue.renew(lease) == "timed_out"
    assert not await queue.finish(lease, DONE)
    ended = await other.get(job.id)
    assert ended.status is JobStatus.TIMED_OUT
    assert "20 s" in (ended.error or "")


async def test_a_silent_job_that_takes_too_long_is_not_tried_again(
    opened: Opener, clock: QueueClock
) -> None:
    queue = await opened(lease_seconds=60)
    job = await queue.submit(a_job(policy=Policy(execution_seconds=20)))
    await claimed(queue)
    clock.ahead += 61
    await until(queue, job.id, JobStatus.TIMED_OUT)


async def test_a_job_that_waits_too_long_is_timed_out(opened: Opener, clock: QueueClock) -> None:
    queue = await opened()
    swept, claimed_late = [
        await queue.submit(a_job(policy=Policy(ttl_seconds=ttl))) for ttl in (10, 30)
    ]
    clock.ahead += 11
    ended = await until(queue, swept.id, JobStatus.TIMED_OUT)
    assert "policy.ttl" in (ended.error or "")
    clock.ahead += 20
    assert await nothing_to_claim(queue)
    await until(queue, claimed_late.id, JobStatus.TIMED_OUT)


async def test_a_failed_job_may_be_sent_again_as_new(opened: Opener, clock: QueueClock) -> None:
    queue, other = await opened(max_attempts=1), await opened(max_attempts=1)
    job = await queue.submit(a_job())
    with pytest.raises(Conflict):
        await queue.retry(job.id)
    lease = await claimed(queue)
    await queue.add_fragment(lease, {"segment": 0})
    await queue.finish(lease, BROKEN)
    assert (await other.get(job.id)).error == "it broke"
    clock.ahead += 5
    again = await other.retry(job.id)
    assert (again.status, again.error, again.output) == (JobStatus.IN_QUEUE, None, None)
    assert again.queued_at > job.queued_at
    lease = await claimed(other)
    assert (lease.job.id, lease.job.attempts) == (job.id, 1)
    assert await other.fragments(job.id) == []
    await other.finish(lease, DONE)
    with pytest.raises(Conflict):
        await queue.retry(job.id)
    await counted(queue, retried=1)


async def test_purging_forgets_what_waits_and_nothing_else(opened: Opener) -> None:
    queue = await opened()
    running, *waiting = [await queue.submit(a_job(owner=owner)) for owner in "aaab"]
    lease = await claimed(queue)
    assert await queue.purge(owner="a") == 2
    assert await queue.purge() == 1
    assert [await forgotten(queue, job.id) for job in waiting] == [True] * 3
    assert await nothing_to_claim(queue)
    assert await queue.finish(lease, DONE)
    assert [job.id for job in await queue.jobs()] == [running.id]


async def test_a_job_is_forgotten_with_its_files_when_its_time_has_come(
    opened: Opener, clock: QueueClock
) -> None:
    queue, other = await opened(), await opened()
    job = await queue.submit(a_job(retention_seconds=100, idempotency_key="k"))
    lease = await claimed(queue)
    name = await queue.media.put(b"video", job_id=job.id, suffix=".mp4")
    await queue.finish(lease, Outcome(status=JobStatus.COMPLETED, output={"video": name}))
    clock.ahead += 99
    await other.sweep()
    assert await other.media.size(name) == 5
    clock.ahead += 2
    await counted(other, completed=1)
    await other.sweep()
    assert await forgotten(queue, job.id)
    with pytest.raises(NotFound):
        await queue.media.size(name)
    assert (await other.submit(a_job(idempotency_key="k"))).id != job.id


async def test_a_job_that_ended_is_deleted_on_request(opened: Opener) -> None:
    queue, other = await opened(), await opened()
    job, kept = await queue.submit(a_job()), await queue.submit(a_job())
    with pytest.raises(Conflict):
        await other.forget(job.id)
    lease = await claimed(queue)
    name = await queue.media.put(b"video", job_id=job.id, suffix=".mp4")
    with pytest.raises(Conflict):
        await other.forget(job.id)
    await queue.finish(lease, Outcome(status=JobStatus.COMPLETED, output={"video": name}))
    await other.forget(job.id)
    assert await forgotten(queue, job.id)
    with pytest.raises(NotFound):
        await queue.media.size(name)
    with pytest.raises(NotFound):
        await queue.forget(job.id)
    assert [one.id for one in await queue.jobs()] == [kept.id]


@pytest.mark.parametrize("end", ["purged", "deleted", "forgotten after its time"])
async def test_a_job_whose_files_could_not_be_deleted_is_deleted_by_the_next_sweep(
    opened: Opener, clock: QueueClock, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    queue, other = await opened(), await opened()
    job = await queue.submit(a_job(idempotency_key="k"))
    await queue.media.put(b"portrait", job_id=job.id, suffix=".jpg")
    if end != "purged":
        await queue.cancel(job.id)
    clock.ahead += job.retention_seconds + 1 if end == "forgotten after its time" else 0

    async def die(job_id: str) -> None:
        raise QueueUnavailable("queue_failed", reason="killed")

    monkeypatch.setattr(queue.media, "remove_job", die)
    actions = {"purged": queue.purge, "deleted": lambda: queue.forget(job.id)}
    with pytest.raises(QueueUnavailable):
        await actions.get(end, queue.sweep)()
    assert await nothing_to_claim(other)
    await counted(other, in_queue=0)
    await other.sweep()
    assert await other.media.job_bytes(job.id) == 0
    assert await forgotten(queue, job.id)


async def test_files_whose_job_never_came_are_deleted_after_a_day(
    opened: Opener, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await opened()
    job = await queue.submit(a_job())
    for job_id in (job.id, "never-came"):
        await queue.media.put(b"portrait", job_id=job_id, suffix=".jpg")
    await queue.sweep()
    assert await queue.media.job_bytes("never-came") > 0
    store = "sqlite" if url.startswith("sqlite") else "jetstream"
    monkeypatch.setattr(f"multitalk.serving.queue.{store}.ORPHAN_SECONDS", -60.0)
    other = await opened()
    await other.sweep()
    assert await queue.media.job_bytes("never-came") == 0
    assert await queue.media.job_bytes(job.id) > 0


async def test_a_job_whose_time_is_over_is_not_sent_again(
    opened: Opener, clock: QueueClock
) -> None:
    queue = await opened()
    job = await queue.submit(a_job(retention_seconds=100))
    await queue.finish(await claimed(queue), BROKEN)
    clock.ahead += 101
    with pytest.raises(NotFound):  # its files may be gone
        await queue.retry(job.id)


async def test_a_job_knows_how_many_are_done_before_it(opened: Opener, clock: QueueClock) -> None:
    queue, other = await opened(), await opened()
    sent = []
    for is_low in (True, False, False, False):
        sent.append(await queue.submit(a_job(policy=Policy(low_priority=is_low))))
        clock.ahead += 1
    low, first, second, last = sent
    assert [await other.ahead(job.id) for job in (first, second, last, low)] == [0, 1, 2, 3]
    await claimed(queue)
    assert [await other.ahead(job.id) for job in (second, last, low)] == [1, 2, 3]
    await queue.cancel(second.id)
    assert [await other.ahead(job.id) for job in (last, low)] == [1, 2]


# Watching -----------------------------------------------------------------------------------------


async def test_a_waiter_sees_each_change_of_a_job_soon(opened: Opener) -> None:
    server, worker = await opened(), await opened()
    job = await server.submit(a_job())
    seen: list[JobStatus] = []

    async def watch() -> None:
        version = 0
        while not seen or seen[-1] is not JobStatus.COMPLETED:
            now = await server.wait_for_change(job.id, seen=version, timeout=PATIENCE_SECONDS)
            version = now.version
            seen.append(now.status)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.2)
    lease = await claimed(worker)
    await asyncio.sleep(0.2)
    await worker.finish(lease, DONE)
    await asyncio.wait_for(watching, PATIENCE_SECONDS)
    assert seen == [JobStatus.IN_QUEUE, JobStatus.IN_PROGRESS, JobStatus.COMPLETED]


async def test_watching_ends_after_its_time(opened: Opener) -> None:
    queue = await opened()
    job = await queue.submit(a_job())
    now = await asyncio.wait_for(
        queue.wait_for_change(job.id, seen=job.version, timeout=0.1), timeout=PATIENCE_SECONDS
    )
    assert now.version == job.version


async def test_fragments_are_read_while_they_are_made(opened: Opener) -> None:
    server, worker = await opened(), await opened()
    job = await server.submit(a_job())
    lease = await claimed(worker)
    for segment in range(3):
        before = (await server.get(job.id)).version
        assert await worker.add_fragment(lease, {"segment": segment})
        assert (
            await server.wait_for_change(job.id, seen=before, timeout=PATIENCE_SECONDS)
        ).version > before
    found = await server.fragments(job.id)
    assert [fragment.output["segment"] for fragment in found] == [0, 1, 2]
    assert await server.fragments(job.id, after=found[1].number) == [found[2]]
    await worker.finish(lease, DONE)
    assert await server.fragments(job.id) == found


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_a_fragment_whose_job_is_deleted_meanwhile_is_dropped(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, worker = await opened(), await opened()
    await server.submit(a_job())
    lease = await claimed(worker)
    store = worker._store_fragment

    async def delete_before(job: Job, output: dict[str, object]) -> None:
        await server.cancel(job.id)
        await server.forget(job.id)
        await store(job, output)

    monkeypatch.setattr(worker, "_store_fragment", delete_before)
    assert not await worker.add_fragment(lease, {"segment": 0})
    read = server._connection.read
    assert await read(lambda db: db.execute("SELECT * FROM pieces").fetchall()) == []


async def test_fragments_of_a_lost_attempt_are_not_mixed_with_the_next_one_s(
    opened: Opener, term: LeaseTerm
) -> None:
    queue = await opened(lease_seconds=term.seconds)
    job = await queue.submit(a_job())
    lost = await claimed(queue)
    for segment in range(2):
        await queue.add_fragment(lost, {"segment": segment, "by": "lost"})
    last = (await queue.fragments(job.id))[-1].number
    term.run_out()
    await until(queue, job.id, JobStatus.IN_QUEUE)
    kept = await claimed(queue)
    assert await queue.fragments(job.id) == []
    await queue.add_fragment(kept, {"segment": 0, "by": "kept"})
    (fragment,) = await queue.fragments(job.id, after=last)
    assert fragment.output == {"segment": 0, "by": "kept"}


async def test_workers_are_listed_while_they_announce_themselves(
    opened: Opener, clock: QueueClock
) -> None:
    server, worker = await opened(lease_seconds=30), await opened(lease_seconds=30)
    record = WorkerRecord(id="w1", engine="warp", started_at=1.0, job_id="j")
    await worker.announce(record)
    await worker.announce(record.model_copy(update={"id": "w2"}))
    assert [found.id for found in await server.workers()] == ["w1", "w2"]
    await worker.leave("w1")
    assert [(found.id, found.job_id) for found in await server.workers()] == [("w2", "j")]
    clock.ahead += 31
    assert await server.workers() == []


# Media --------------------------------------------------------------------------------------------


async def test_media_are_read_whole_and_in_part(opened: Opener, tmp_path: Path) -> None:
    server, worker = await opened(), await opened()
    content = bytes(range(256)) * 9000
    file = tmp_path / "talk.mp4"
    file.write_bytes(content)
    for source in (file, content):
        name = await worker.media.put(source, job_id="job-1", suffix=".mp4")
        assert await server.media.size(name) == len(content)
        for start, end in ((0, None), (5, 17), (1_000_000, 2_000_000), (2_303_990, 9_999_999)):
            chunks = [chunk async for chunk in server.media.read(name, start=start, end=end)]
            assert b"".join(chunks) == content[start:end]
            assert max(map(len, chunks)) <= 2**20
    kept = await worker.media.put(b"x", job_id="job-10", suffix=".wav")
    await server.media.remove_job("job-1")
    with pytest.raises(NotFound):
        await worker.media.size(name)
    assert await worker.media.size(kept) == 1


async def test_nothing_is_left_of_a_file_whose_storing_is_cancelled(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = (await opened()).media
    store, stored = media._store_file, asyncio.Event()

    async def store_slowly(source: bytes, name: str) -> None:
        await store(source, name)
        stored.set()
        await asyncio.sleep(0.05)

    monkeypatch.setattr(media, "_store_file", store_slowly)
    putting = asyncio.create_task(media.put(b"video", job_id="job-1", suffix=".mp4"))
    await stored.wait()
    assert await media.job_bytes("job-1") == 5
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await media.job_bytes("job-1") == 0


@pytest.mark.parametrize("name", ["", "a", "../../etc/passwd", "job/../x.mp4", "job/" + "0" * 32])
async def test_media_of_an_invalid_name_are_not_found(opened: Opener, name: str) -> None:
    queue = await opened()
    with pytest.raises(NotFound):
        await queue.media.size(name)
    with pytest.raises(NotFound):
        [chunk async for chunk in queue.media.read(name)]


def test_a_job_s_stored_names_are_those_of_earlier_releases() -> None:
    job = transitions.accept(Submission(input={}), 1.0)
    job = job.model_copy(update={"first_fragment": 2, "next_fragment": 3})
    stored = json.loads(job.to_json())
    assert (stored["first_piece"], stored["next_piece"]) == (2, 3)
    assert Job.from_json(job.to_json()) == job
