"""Which leases have expired, by the clock of whoever watches them."""

from collections.abc import Collection

from multitalk.serving.queue.records import Job
from multitalk.serving.queue.transitions import QueueConfig

# A longer gap between observations counts as only this much silence.
STALL_SECONDS = 5.0


class LeaseMonitor:
    """Decides by the local monotonic clock which leases have expired.

    A lease has an end by the wall clock. But that clock may be set, it jumps when a laptop wakes
    up, and two machines' clocks differ. So the observer measures how long the job's version has
    not changed: a live worker changes it every second.
    """

    def __init__(self, config: QueueConfig) -> None:
        self._config = config
        # By job id: version, time of the last observation, seconds without a change
        self._observed: dict[str, tuple[int, float, float]] = {}

    def is_expired(self, job: Job) -> bool:
        """Whether a job's lease has expired; to be called repeatedly.

        It has after `lease_seconds` without a change, or after `grace_seconds` where it has also
        ended by the wall clock.
        """
        now, lease = self._config.monotonic(), self._config.lease_seconds
        version, observed_at, silent = self._observed.get(job.id, (0, now, 0.0))
        # An observer that was itself suspended cannot tell who renewed meanwhile.
        silent = silent + min(now - observed_at, STALL_SECONDS) if version == job.version else 0.0
        self._observed[job.id] = job.version, now, silent
        has_run_out = self._config.clock() >= (job.lease_until or 0.0)
        return silent >= (min(lease, self._config.grace_seconds) if has_run_out else lease)

    def retain(self, jobs: Collection[Job]) -> None:
        """Forget all jobs but these."""
        kept = {job.id for job in jobs}
        self._observed = {job_id: seen for job_id, seen in self._observed.items() if job_id in kept}
