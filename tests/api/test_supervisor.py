"""The server's own workers: their ends are noticed, and cost no lease."""

import asyncio
import sys

from multitalk.schema import JobStatus
from multitalk.serving.api.supervisor import Supervisor
from multitalk.serving.queue import Submission, Terms, open_queue
from patience import PATIENCE_SECONDS

WORKER = """
import asyncio, os, signal, sys
from multitalk.schema import JobStatus
from multitalk.serving.queue import Outcome, Terms, open_queue

async def work(url, option, worker_id):
    assert option == "--worker-id"
    queue = await open_queue(url, Terms(lease_seconds=3600.0))
    lease = await queue.claim(worker_id, wait=60.0)
    if lease.job.attempts == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    await queue.finish(lease, Outcome(status=JobStatus.COMPLETED, output=worker_id))
    await queue.close()

asyncio.run(work(*sys.argv[1:]))
"""


def test_the_job_of_a_worker_that_was_killed_does_not_wait_for_its_lease(tmp_path):
    url = f"sqlite://{tmp_path}/queue.db"

    async def done(queue):
        job = await queue.submit(Submission(input={}))
        async with Supervisor([sys.executable, "-c", WORKER, url], 1, bury=queue.bury):
            while not job.is_final:
                job = await queue.wait_for_change(
                    job.id, seen=job.version, timeout=PATIENCE_SECONDS
                )
        return job

    async def served():
        queue = await open_queue(url, Terms(lease_seconds=3600.0))
        try:
            return await asyncio.wait_for(done(queue), 60.0)
        finally:
            await queue.close()

    job = asyncio.run(served())
    assert (job.status, job.attempts, job.redeliveries) == (JobStatus.COMPLETED, 2, 1)
