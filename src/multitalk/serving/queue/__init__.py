"""The queue between those who send jobs and those who do them.

base       what a queue promises: `JobQueue`, and `MediaStore` beside it
records    what it keeps
rules      how a job goes from state to state: pure functions, the same for every queue
sqlite     on one machine: a file
directory  its media
"""

from multitalk.serving.queue.base import JobQueue, MediaStore
from multitalk.serving.queue.opening import open_queue
from multitalk.serving.queue.records import (
    EXECUTION_SECONDS,
    FINAL,
    RETENTION_SECONDS,
    RETRYABLE,
    TTL_SECONDS,
    Counts,
    Job,
    Lease,
    Outcome,
    PieceRecord,
    Policy,
    Stop,
    Submission,
    WorkerRecord,
    new_job_id,
)
from multitalk.serving.queue.rules import Terms

__all__ = [
    "EXECUTION_SECONDS",
    "FINAL",
    "RETENTION_SECONDS",
    "RETRYABLE",
    "TTL_SECONDS",
    "Counts",
    "Job",
    "JobQueue",
    "Lease",
    "MediaStore",
    "Outcome",
    "PieceRecord",
    "Policy",
    "Stop",
    "Submission",
    "Terms",
    "WorkerRecord",
    "new_job_id",
    "open_queue",
]
