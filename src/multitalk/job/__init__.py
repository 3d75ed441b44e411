"""One job, end to end.

    request -> sources fetched or synthesized -> picture and voices loaded -> rendered chunk by
            chunk, encoded as it comes -> delivered

run         begins a job, runs its stages, delivers its video
stages      from a request to a video
sinks       where the video goes
talk        the finished talk
progress    clock, progress, cancellation and crashes of a job
workdir     its directory
voices      checks and notices of voices
self_test   what must work before the first job
"""

from multitalk.job.progress import Progress, translate_crashes
from multitalk.job.run import JobContext, job_context, run
from multitalk.job.sinks import DeliverySink, FileSink, VideoSink
from multitalk.job.talk import Talk
from multitalk.job.workdir import sweep

__all__ = [
    "DeliverySink",
    "FileSink",
    "JobContext",
    "Progress",
    "Talk",
    "VideoSink",
    "job_context",
    "run",
    "sweep",
    "translate_crashes",
]
