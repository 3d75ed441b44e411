"""One job, in the engine's thread, and what it comes to."""

import itertools
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
from multitalk.job import (
    DeliverySink,
    JobContext,
    Progress,
    Talk,
    VideoSink,
    job_context,
    run,
)
from multitalk.job.progress import JobProgress
from multitalk.job.sinks import MAX_FRAGMENT_BYTES
from multitalk.media.fragments import Fragment
from multitalk.media.image import write_video_thumbnail
from multitalk.schema import (
    Delivery,
    ErrorReply,
    JobStatus,
    TalkRequest,
    parse_request,
    parse_s3_config,
    wanted_locale,
)
from multitalk.schema.sources import UPLOAD_SCHEME, map_sources
from multitalk.serving.queue import Lease, Outcome
from multitalk.serving.queue.records import WINDOWS_SUFFIX
from multitalk.serving.worker.queue_client import QueueClient
from multitalk.settings import Settings
from multitalk.speech.captions import write_captions

logger = logging.getLogger(__name__)


class Task:
    """What is to be done for one lease.

    Args:
        lease: Of the job.
        settings: The operator's limits and places.
        client: Of the queue.
        on_progress: Told how far it is, from the engine's thread.
        cancelled: Set it to stop the work.

    Attributes:
        settings: With the job's own deadline, where that is sooner.
        engine_broke: The engine can do nothing more.
        setback: What stopped the work without being the job's fault: a full disk or store.
    """

    def __init__(
        self,
        lease: Lease,
        settings: Settings,
        client: QueueClient,
        *,
        on_progress: Callable[[Progress], None],
        cancelled: threading.Event,
    ) -> None:
        seconds = lease.submission.policy.execution_seconds
        self.settings = replace(settings, job_seconds=min(settings.job_seconds, seconds))
        self.engine_broke = False
        self.setback: DiskUnusable | QueueUnavailable | None = None
        self._submission = lease.submission
        self._job_id = lease.job.id
        self._client = client
        self._on_progress = on_progress
        self._cancelled = cancelled

    def do(self, engine: Engine) -> Outcome | None:
        """Render; what the queue is to know, or None if the work was called off."""
        try:
            with job_context(
                engine,
                self.settings,
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
            return self.failure(error)

    def failure(self, error: MultiTalkError) -> Outcome:
        """What is told of a job that did not work."""
        late = isinstance(error, DeadlineExceeded)
        reply = ErrorReply.of(error, wanted_locale(self._submission.input)).reply()
        return Outcome(
            status=JobStatus.TIMED_OUT if late else JobStatus.FAILED,
            error=str(reply.pop("error")),
            output=reply,
        )

    def _output(self, context: JobContext) -> Mapping[str, Any]:
        request = parse_request(self._submission.input, settings=self.settings)
        bucket = parse_s3_config(self._submission.s3_config, settings=self.settings)
        request, context = self._with_uploads(request, context)
        reuse = self._reuse(request, context.directory)
        if bucket is not None and request.delivery.type == "auto":
            # Whoever brings a bucket wants the video there.
            request = request.model_copy(update={"delivery": Delivery(type="bucket")})
        talk = run(request, context, self._sink(request, bucket), reuse=reuse)
        return self._with_windows(talk.reply(), reuse)

    def _sink(self, request: TalkRequest, bucket: Bucket | None) -> VideoSink:
        if request.delivery.type in ("bucket", "volume"):
            return DeliverySink(
                request.delivery,
                self.settings,
                self._job_id,
                bucket=bucket,
                locale=request.locale,
            )
        limit = self.settings.max_reply_bytes if request.delivery.type == "base64" else None
        return MediaStoreSink(self._client, max_bytes=limit, is_streamed=self._submission.stream)

    def _reuse(self, request: TalkRequest, directory: Path) -> Reuse:
        """Where the windows are that the request names, and where this talk's own go."""
        reuse, limit = NO_REUSE, self.settings.kept_window_bytes
        if limit:
            save_to = directory / f"windows{WINDOWS_SUFFIX}"
            reuse = Reuse(save_to=save_to, max_bytes=limit)
        if request.continue_from is not None:
            earlier = self._client.earlier_windows(request.continue_from.job, directory)
            reuse = replace(reuse, earlier=earlier)
        return reuse

    def _with_windows(self, told: Mapping[str, Any], reuse: Reuse) -> Mapping[str, Any]:
        """The answer with the talk's windows, in the media store, where the engine saved any.

        A store that is full is no reason to lose the video.
        """
        if reuse.save_to is None or "window_ends" not in told:
            return told
        try:
            return {**told, "windows": self._client.keep(reuse.save_to)}
        except QueueUnavailable as error:
            logger.warning("job %s: its windows are not kept: %s", self._job_id, error)
            return {name: value for name, value in told.items() if name != "window_ends"}

    def _with_uploads(
        self, request: TalkRequest, context: JobContext
    ) -> tuple[TalkRequest, JobContext]:
        """The request with its uploads as files, and a context that allows them to be read."""

        def fetched(_: str, source: str) -> str:
            if not source.startswith(UPLOAD_SCHEME):
                return source
            return str(self._client.fetch(source.removeprefix(UPLOAD_SCHEME), context.directory))

        sources = {"image_path": request.image_path, "audio_paths": request.audio_paths}
        request = request.model_copy(update=map_sources(sources, fetched))
        settings = context.settings
        roots = (*settings.allowed_roots, context.directory)
        return request, replace(context, settings=replace(settings, allowed_roots=roots))


class MediaStoreSink(VideoSink):
    """The queue's media store: the video, its first picture and its captions, by their names there.

    Args:
        client: Of the queue.
        max_bytes: Size up to which a reply may hold the video, where it must.
        is_streamed: Whether fragments are wanted while it is encoded.
    """

    def __init__(self, client: QueueClient, *, max_bytes: int | None, is_streamed: bool) -> None:
        self._client = client
        self._max_bytes = max_bytes
        self._numbers = itertools.count()
        self.on_fragment = self._add if is_streamed else None

    @override
    def deliver(self, talk: Talk, progress: JobProgress) -> Talk:
        video, limit = talk.file, self._max_bytes
        size = reply_bytes(video)
        if limit is not None and size > limit:
            raise DeliveryFailed("reply_cannot_hold", field="delivery.type", size=size, limit=limit)
        with progress.stage("deliver", video.stat().st_size):
            keep = self._client.keep
            location = {
                "video": keep(video),
                "frame": keep(write_video_thumbnail(video, video.with_suffix(".jpg"))),
            }
            if talk.captions:
                captions = write_captions(talk.captions, video.with_suffix(".json"))
                location["captions"] = keep(captions)
        return replace(talk, location=location)

    def _add(self, fragment: Fragment) -> None:
        for part in fragment.split(MAX_FRAGMENT_BYTES):
            self._client.add_fragment(part, next(self._numbers))
