"""Whether the worker of a job is silent, as seen from here.

A lease has an end by the clock. But the clock of one machine may be set, and it jumps when a laptop
wakes up; the clocks of two machines differ. So whoever looks at a lease measures by its own clock,
which nobody sets, how long the job has not changed: a worker that lives changes it every second.
"""

from collections.abc import Collection

from multitalk.serving.queue.records import Job
from multitalk.serving.queue.rules import Terms

STALL_SECONDS = 5.0  # between two looks; a longer pause counts as this


class Leases:
    """What was seen of jobs that are IN_PROGRESS. To be asked again and again.

    Args:
        terms: The queue's.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        # By job: its version, when it was looked at last, and seconds for which it has not changed
        self._seen: dict[str, tuple[int, float, float]] = {}

    def is_silent(self, job: Job) -> bool:
        """Whether a job's worker was not heard of for so long that the job is another's.

        That is: for a lease's time; or for the grace, where the lease ran out by the clock, too.
        """
        now, lease = self._terms.ticks(), self._terms.lease_seconds
        version, looked_at, silent = self._seen.get(job.id, (0, now, 0.0))
        # Whoever was stopped itself for a while cannot say who was silent meanwhile.
        silent = silent + min(now - looked_at, STALL_SECONDS) if version == job.version else 0.0
        self._seen[job.id] = job.version, now, silent
        has_run_out = self._terms.clock() >= (job.lease_until or 0.0)
        return silent >= (min(lease, self._terms.grace_seconds) if has_run_out else lease)

    def remember_only(self, jobs: Collection[Job]) -> None:
        """Forget what was seen of jobs that are not among these."""
        kept = {job.id for job in jobs}
        self._seen = {job_id: seen for job_id, seen in self._seen.items() if job_id in kept}
