"""One job, in the engine's thread: its video's sink, its output, and how it ended."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from typing_extensions import override

from multitalk.bucket import Bucket
from multitalk.delivery.deliver import reply_bytes
from multitalk.engines.base import NO_WINDOW_FILES, Engine, WindowFiles
from multitalk.errors import (
    Cancelled,
    DeliveryFailed,
    DiskUnusable,
    EngineBroken,
    MultiTalkError,
    QueueUnavailable,
)
from multitalk.job import (
    DeliverySink,
    FinishedTalk,
    JobContext,
    Progress,
    VideoSink,
    job_context,
    run,
)
from multitalk.job.progress import JobProgress
from multitalk.media.thumbnail import write_video_thumbnail
from multitalk.schema import Delivery, JobStatus, TalkRequest, parse_request, parse_s3_config
from multitalk.serving.queue import Lease, Outcome
from multitalk.serving.queue.records import WINDOWS_SUFFIX
from multitalk.serving.worker.job_source import SourceClient
from multitalk.settings import Settings
from multitalk.speech.captions import write_captions

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobEnd:
    """The end of the work on a job.

    Attributes:
        outcome: The job's; None if the work was cancelled.
        engine_broke: The engine can do nothing more.
        setback: What stopped the work without being the job's fault: a full disk or store.
    """

    outcome: Outcome | None
    engine_broke: bool = False
    setback: DiskUnusable | QueueUnavailable | None = None


def run_job(
    engine: Engine,
    lease: Lease,
    settings: Settings,
    client: SourceClient | None,
    *,
    on_progress: Callable[[Progress], None],
    cancelled: threading.Event,
) -> JobEnd:
    """Render and deliver.

    Args:
        engine: Renders.
        lease: The job's.
        settings: The operator's limits and places, with the job's own deadline.
        client: Of the job's source; None: the video goes where the request asks.
        on_progress: Called from the engine's thread.
        cancelled: Set it to stop the work.
    """
    try:
        with job_context(
            engine, settings, job_id=lease.job.id, on_progress=on_progress, cancelled=cancelled
        ) as context:
            output = _output(lease, context, client)
        return JobEnd(Outcome(status=JobStatus.COMPLETED, output=output))
    except Cancelled:
        return JobEnd(None)
    except MultiTalkError as error:
        return JobEnd(
            Outcome.failed(error, lease.job.locale),
            engine_broke=isinstance(error, EngineBroken),
            setback=error if isinstance(error, DiskUnusable | QueueUnavailable) else None,
        )


def _output(lease: Lease, context: JobContext, client: SourceClient | None) -> Mapping[str, Any]:
    settings, submission = context.settings, lease.submission
    request = parse_request(submission.input, settings=settings)
    bucket = parse_s3_config(submission.s3_config, settings=settings)
    if client is not None and client.has_media:
        return _output_with_media(request, lease, context, client, bucket)
    if client is not None and submission.stream:
        run(request, context, StreamSink(client))
        return {}
    return run(request, context, _delivery(request, context, bucket)).reply()


def _output_with_media(
    request: TalkRequest,
    lease: Lease,
    context: JobContext,
    client: SourceClient,
    bucket: Bucket | None,
) -> Mapping[str, Any]:
    """The output of a job whose source stores its files."""
    settings, directory = context.settings, context.directory
    context = replace(context, fetch_upload=lambda name: client.fetch(name, directory))
    files = _window_files(request, client, directory, max_bytes=settings.kept_window_bytes)
    if bucket is not None and request.delivery.type == "auto":
        # Whoever brings a bucket wants the video there.
        request = request.model_copy(update={"delivery": Delivery(type="bucket")})
    sink: VideoSink
    if request.delivery.type in ("bucket", "volume"):
        sink = _delivery(request, context, bucket)
    else:
        limit = settings.max_reply_bytes if request.delivery.type == "base64" else None
        sink = MediaStoreSink(client, max_bytes=limit, is_streamed=lease.submission.stream)
    reply = run(request, context, sink, window_files=files).reply()
    return _with_windows(reply, client, files, lease.job.id)


def _delivery(request: TalkRequest, context: JobContext, bucket: Bucket | None) -> DeliverySink:
    return DeliverySink(
        request.delivery, context.settings, context.job_id, bucket=bucket, locale=request.locale
    )


def _window_files(
    request: TalkRequest, client: SourceClient, directory: Path, *, max_bytes: int
) -> WindowFiles:
    """Files of the windows that the request names, and of this talk's own."""
    files = NO_WINDOW_FILES
    if max_bytes:
        files = WindowFiles(save_to=directory / f"windows{WINDOWS_SUFFIX}", max_bytes=max_bytes)
    if request.continue_from is not None:
        earlier = client.fetch_windows(request.continue_from.job, directory)
        files = replace(files, earlier=earlier)
    return files


def _with_windows(
    reply: Mapping[str, Any], client: SourceClient, files: WindowFiles, job_id: str
) -> Mapping[str, Any]:
    """The reply with the talk's windows, in the media store, where the engine saved any.

    A store that is full is no reason to lose the video.
    """
    if files.save_to is None or "window_ends" not in reply:
        return reply
    try:
        return {**reply, "windows": client.put(files.save_to)}
    except QueueUnavailable as error:
        logger.warning("job %s: its windows are not kept: %s", job_id, error)
        return {name: value for name, value in reply.items() if name != "window_ends"}


class MediaStoreSink(VideoSink):
    """The source's media: the video, its first picture and its captions, by their names there.

    Args:
        client: Of the job's source.
        max_bytes: Size up to which a reply may hold the video, if it must.
        is_streamed: Whether fragments are wanted while it is encoded.
    """

    def __init__(self, client: SourceClient, *, max_bytes: int | None, is_streamed: bool) -> None:
        self._client = client
        self._max_bytes = max_bytes
        self.on_fragment = client.send_fragment if is_streamed else None

    @override
    def deliver(self, talk: FinishedTalk, progress: JobProgress) -> FinishedTalk:
        video, limit = talk.file, self._max_bytes
        size = reply_bytes(video)
        if limit is not None and size > limit:
            raise DeliveryFailed("reply_cannot_hold", field="delivery.type", size=size, limit=limit)
        self._client.wait_until_sent()
        with progress.stage("deliver", video.stat().st_size):
            put = self._client.put
            fields = {
                "video": put(video),
                "frame": put(write_video_thumbnail(video, video.with_suffix(".jpg"))),
            }
            if talk.captions:
                captions = write_captions(talk.captions, video.with_suffix(".json"))
                fields["captions"] = put(captions)
        return replace(talk, output_fields=fields)

    @override
    def close(self) -> None:
        self._client.close()


class StreamSink(VideoSink):
    """The source's stream: fragments while the video is encoded, then a record of the talk.

    Args:
        client: Of the job's source.
    """

    def __init__(self, client: SourceClient) -> None:
        self._client = client
        self.on_fragment = client.send_fragment

    @override
    def path(self, directory: Path) -> None:
        return None

    @override
    def deliver(self, talk: FinishedTalk, progress: JobProgress) -> FinishedTalk:
        self._client.send_record({"status": "success", **talk.facts()})
        return talk

    @override
    def close(self) -> None:
        self._client.close()
