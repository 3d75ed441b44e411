"""One job, in the engine's thread, and its outcome."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from typing_extensions import override

from multitalk.bucket import Bucket
from multitalk.delivery.deliver import reply_bytes
from multitalk.engines.base import NO_REUSE, Engine, Reuse
from multitalk.errors import (
    Cancelled,
    DeadlineExceeded,
    DeliveryFailed,
    DiskUnusable,
    EngineBroken,
    MultiTalkError,
    QueueUnavailable,
)
from multitalk.job import DeliverySink, JobContext, Progress, Talk, VideoSink, job_context, run
from multitalk.job.progress import JobProgress
from multitalk.media.thumbnail import write_video_thumbnail
from multitalk.schema import (
    Delivery,
    ErrorReply,
    JobStatus,
    TalkRequest,
    parse_request,
    parse_s3_config,
    wanted_locale,
)
from multitalk.serving.queue import Lease, Outcome, Submission
from multitalk.serving.queue.records import WINDOWS_SUFFIX
from multitalk.serving.worker.source import SourceClient
from multitalk.settings import Settings
from multitalk.speech.captions import write_captions

logger = logging.getLogger(__name__)


class Task:
    """The work on one job.

    Args:
        lease: The job's.
        settings: The operator's limits and places, with the job's own deadline.
        client: Of the job's source; None: the video goes where the request asks.
        on_progress: Called from the engine's thread.
        cancelled: Set it to stop the work.

    Attributes:
        engine_broke: The engine can do nothing more.
        setback: What stopped the work without being the job's fault: a full disk or store.
    """

    def __init__(
        self,
        lease: Lease,
        settings: Settings,
        client: SourceClient | None,
        *,
        on_progress: Callable[[Progress], None],
        cancelled: threading.Event,
    ) -> None:
        self.engine_broke = False
        self.setback: DiskUnusable | QueueUnavailable | None = None
        self._submission = lease.submission
        self._job_id = lease.job.id
        self._settings = settings
        self._client = client
        self._on_progress = on_progress
        self._cancelled = cancelled

    def do(self, engine: Engine) -> Outcome | None:
        """Render and deliver; None if the work was cancelled."""
        try:
            with job_context(
                engine,
                self._settings,
                job_id=self._job_id,
                on_progress=self._on_progress,
                cancelled=self._cancelled,
            ) as context:
                output = self._output(context)
            return Outcome(status=JobStatus.COMPLETED, output=output)
        except Cancelled:
            return None
        except MultiTalkError as error:
            self.engine_broke = isinstance(error, EngineBroken)
            if isinstance(error, DiskUnusable | QueueUnavailable):
                self.setback = error
            return failure_of(error, self._submission)

    def _output(self, context: JobContext) -> Mapping[str, Any]:
        request = parse_request(self._submission.input, settings=self._settings)
        bucket = parse_s3_config(self._submission.s3_config, settings=self._settings)
        client = self._client
        if client is None or not client.has_media:
            if client is not None and self._submission.stream:
                run(request, context, StreamSink(client))
                return {}
            return run(request, context, self._delivery(request, bucket)).reply()
        directory = context.directory
        context = replace(context, fetch_upload=lambda name: client.fetch(name, directory))
        reuse = self._reuse(request, client, directory)
        if bucket is not None and request.delivery.type == "auto":
            # Whoever brings a bucket wants the video there.
            request = request.model_copy(update={"delivery": Delivery(type="bucket")})
        talk = run(request, context, self._sink(request, client, bucket), reuse=reuse)
        return self._with_windows(talk.reply(), client, reuse)

    def _sink(self, request: TalkRequest, client: SourceClient, bucket: Bucket | None) -> VideoSink:
        if request.delivery.type in ("bucket", "volume"):
            return self._delivery(request, bucket)
        limit = self._settings.max_reply_bytes if request.delivery.type == "base64" else None
        return MediaStoreSink(client, max_bytes=limit, is_streamed=self._submission.stream)

    def _delivery(self, request: TalkRequest, bucket: Bucket | None) -> DeliverySink:
        return DeliverySink(
            request.delivery,
            self._settings,
            self._job_id,
            bucket=bucket,
            locale=request.locale,
        )

    def _reuse(self, request: TalkRequest, client: SourceClient, directory: Path) -> Reuse:
        """Files of the windows that the request names, and of this talk's own."""
        reuse, limit = NO_REUSE, self._settings.kept_window_bytes
        if limit:
            save_to = directory / f"windows{WINDOWS_SUFFIX}"
            reuse = Reuse(save_to=save_to, max_bytes=limit)
        if request.continue_from is not None:
            earlier = client.fetch_windows(request.continue_from.job, directory)
            reuse = replace(reuse, earlier=earlier)
        return reuse

    def _with_windows(
        self, reply: Mapping[str, Any], client: SourceClient, reuse: Reuse
    ) -> Mapping[str, Any]:
        """The reply with the talk's windows, in the media store, where the engine saved any.

        A store that is full is no reason to lose the video.
        """
        if reuse.save_to is None or "window_ends" not in reply:
            return reply
        try:
            return {**reply, "windows": client.put(reuse.save_to)}
        except QueueUnavailable as error:
            logger.warning("job %s: its windows are not kept: %s", self._job_id, error)
            return {name: value for name, value in reply.items() if name != "window_ends"}


def failure_of(error: MultiTalkError, submission: Submission) -> Outcome:
    """The outcome of a job that failed."""
    late = isinstance(error, DeadlineExceeded)
    reply = ErrorReply.of(error, wanted_locale(submission.input)).reply()
    return Outcome(
        status=JobStatus.TIMED_OUT if late else JobStatus.FAILED,
        error=str(reply.pop("error")),
        output=reply,
    )


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
    def deliver(self, talk: Talk, progress: JobProgress) -> Talk:
        video, limit = talk.file, self._max_bytes
        size = reply_bytes(video)
        if limit is not None and size > limit:
            raise DeliveryFailed("reply_cannot_hold", field="delivery.type", size=size, limit=limit)
        self._client.wait_until_sent()
        with progress.stage("deliver", video.stat().st_size):
            put = self._client.put
            location = {
                "video": put(video),
                "frame": put(write_video_thumbnail(video, video.with_suffix(".jpg"))),
            }
            if talk.captions:
                captions = write_captions(talk.captions, video.with_suffix(".json"))
                location["captions"] = put(captions)
        return replace(talk, location=location)

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
    def deliver(self, talk: Talk, progress: JobProgress) -> Talk:
        self._client.send_record({"status": "success", **talk.facts()})
        return talk

    @override
    def close(self) -> None:
        self._client.close()
