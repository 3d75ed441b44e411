"""The stand-in's knobs."""

from collections import deque
from dataclasses import dataclass, field


@dataclass
class Faults:
    """What goes wrong. A number is of that many next calls.

    Attributes:
        take_answers: Status and text that job-take answers with in place of a job.
        drop_polls: Break the connection of a job-take.
        instant_empty: Answer job-take and job-stop at once when there is nothing.
        fail_done: Answer a job-done that is no progress with 500, unrecorded.
        fail_stream: Answer a job-stream with 500, unrecorded.
        refuse_stream: Answer every job-stream with 403.
        refuse_bytes: Answer a job-done above this size with 413, unrecorded.
        drop_final: Say yes to a result and forget it.
        duplicate_take: Give out the same job a second time.
        duplicate_in_batch: Answer job-take with a list that holds the job twice.
        jobs_at_once: Answer job-take with a list of so many jobs.
        junk_beside: Answer job-take with a list in which things that are no jobs precede the job.
        reorder_chunks: Record each second streamed piece before the one before it.
        late_progress: Record progress only after the job has ended.
        progress_delay: Seconds that a post of progress takes.
        forget_timeouts: Leave a job's executionTimeout to the worker.
    """

    take_answers: deque[tuple[int, str]] = field(default_factory=deque)
    drop_polls: int = 0
    instant_empty: bool = False
    fail_done: int = 0
    fail_stream: int = 0
    refuse_stream: bool = False
    refuse_bytes: int | None = None
    drop_final: int = 0
    duplicate_take: int = 0
    duplicate_in_batch: int = 0
    jobs_at_once: int = 1
    junk_beside: int = 0
    reorder_chunks: bool = False
    late_progress: bool = False
    progress_delay: float = 0.0
    forget_timeouts: bool = False
