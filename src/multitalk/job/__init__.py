"""One job, end to end.

    request -> sources fetched or synthesized -> picture and voices loaded -> rendered chunk by
            chunk, encoded as it comes -> delivered

stages         from a request to a video
sinks          where the video goes
finished_talk  a finished talk
progress       clock, progress, cancellation, crashes and directory of a job
workdir        that directory
voice_checks   checks and notices of voices
self_test      what must work before the first job
"""

from contextlib import closing

from multitalk.engines.base import NO_WINDOW_FILES, WindowFiles
from multitalk.job.finished_talk import FinishedTalk
from multitalk.job.progress import JobContext, Progress, job_context, translate_crashes
from multitalk.job.sinks import DeliverySink, FileSink, VideoSink
from multitalk.job.stages import TalkStages
from multitalk.job.workdir import sweep
from multitalk.schema import TalkRequest

__all__ = [
    "DeliverySink",
    "FileSink",
    "FinishedTalk",
    "JobContext",
    "Progress",
    "VideoSink",
    "job_context",
    "run",
    "sweep",
    "translate_crashes",
]


def run(
    request: TalkRequest,
    context: JobContext,
    sink: VideoSink,
    *,
    window_files: WindowFiles = NO_WINDOW_FILES,
) -> FinishedTalk:
    """Render a request and deliver the video; errors are those of `job_context`.

    Args:
        request: What to render.
        context: Of this job only.
        sink: Where the video goes.
        window_files: Where this talk's windows are saved, and where those of the earlier talk are
            that the request continues.
    """
    sink.check()  # before the work, not after it
    with closing(sink):
        stages = TalkStages(request, context, window_files=window_files)
        talk = stages.run(sink.path(context.directory), sink.on_fragment)
        return sink.deliver(talk, context.progress)
