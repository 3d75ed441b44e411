"""One job, in the engine's thread, and what it comes to."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from multitalk.job import Progress, Talk, render_talk, run_job, stream_job, translate_crashes
from multitalk.job.workdir import job_directory
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
from multitalk.serving.queue import Lease, Outcome
from multitalk.serving.queue.records import UPLOAD_SCHEME, WINDOWS_SUFFIX
from multitalk.serving.worker.queue_client import QueueClient
from multitalk.settings import Settings
from multitalk.speech.captions import write_captions

FILENAME = "generated_video.mp4"
# As base64, and with what is told beside it, below RunPod's 1 MB for a piece of a stream.
MAX_PIECE_BYTES = 720_000

logger = logging.getLogger(__name__)


class Task:
    """What is to be done for one lease.

    Args:
        lease: Of the job.
        settings: The operator's limits and places.
        bridge: To the queue.
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
        bridge: QueueClient,
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
        self._bridge = bridge
        self._on_progress = on_progress
        self._cancelled = cancelled

    def do(self, engine: Engine) -> Outcome | None:
        """Render; what is to be told to the queue, or None if the work was called off."""
        try:
            with (
                translate_crashes(self._job_id),
                job_directory(self.settings.work_directory) as directory,
            ):
                output = self._output(engine, directory)
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

    def _output(self, engine: Engine, directory: Path) -> Mapping[str, Any]:
        request = parse_request(self._submission.input, settings=self.settings)
        bucket = parse_s3_config(self._submission.s3_config, settings=self.settings)
        request, settings = self._with_uploads(request, directory)
        reuse = self._reuse(request, directory)
        if bucket is not None and request.delivery.type == "auto":
            # Whoever brings a bucket wants the video there.
            request = request.model_copy(update={"delivery": Delivery(type="bucket")})
        if request.delivery.type in ("bucket", "volume"):
            handed = self._hand_over(request, engine, settings, bucket, reuse=reuse)
            return self._with_windows(handed, reuse)
        video = directory / "talk.mp4"
        if self._submission.stream:
            talk = self._stream(request, engine, settings, video, reuse=reuse)
        else:
            talk = render_talk(
                request,
                video,
                engine=engine,
                settings=settings,
                job_id=self._job_id,
                on_progress=self._on_progress,
                cancelled=self._cancelled,
                reuse=reuse,
            )
        return self._with_windows(self._kept(request, talk, video), reuse)

    def _reuse(self, request: TalkRequest, directory: Path) -> Reuse:
        """Where the windows are that the request names, and where this talk's own go."""
        reuse, limit = NO_REUSE, self.settings.kept_window_bytes
        if limit:
            save_to = directory / f"windows{WINDOWS_SUFFIX}"
            reuse = Reuse(save_to=save_to, max_bytes=limit)
        if request.continue_from is not None:
            earlier = self._bridge.earlier_windows(request.continue_from.job, directory)
            reuse = replace(reuse, earlier=earlier)
        return reuse

    def _with_windows(self, told: Mapping[str, Any], reuse: Reuse) -> Mapping[str, Any]:
        """The answer with the talk's windows, in the media store, where the engine saved any.

        A store that is full is no reason to lose the video.
        """
        if reuse.save_to is None or "window_ends" not in told:
            return told
        try:
            return {**told, "windows": self._bridge.keep(reuse.save_to)}
        except QueueUnavailable as error:
            logger.warning("job %s: its windows are not kept: %s", self._job_id, error)
            return {name: value for name, value in told.items() if name != "window_ends"}

    def _hand_over(
        self,
        request: TalkRequest,
        engine: Engine,
        settings: Settings,
        bucket: Bucket | None,
        *,
        reuse: Reuse,
    ) -> Mapping[str, Any]:
        """Render, and bring the video where the caller or the operator wants it."""
        return run_job(
            request,
            engine=engine,
            settings=settings,
            job_id=self._job_id,
            on_progress=self._on_progress,
            cancelled=self._cancelled,
            bucket=bucket,
            reuse=reuse,
        ).reply()

    def _stream(
        self,
        request: TalkRequest,
        engine: Engine,
        settings: Settings,
        video: Path,
        *,
        reuse: Reuse,
    ) -> Talk:
        """Render, and hand on the video while it is made; in the end it is in the file, too."""
        numbers = itertools.count()
        return stream_job(
            request,
            engine=engine,
            settings=settings,
            job_id=self._job_id,
            on_progress=self._on_progress,
            on_piece=lambda piece: self._bridge.add_piece(piece, next(numbers)),
            max_piece_bytes=MAX_PIECE_BYTES,
            cancelled=self._cancelled,
            output=video,
            reuse=reuse,
        )

    def _kept(self, request: TalkRequest, talk: Talk, video: Path) -> Mapping[str, Any]:
        """Bring the video, its first picture and its captions to the media store.

        Returns:
            The answer, with their names there.
        """
        size, limit = reply_bytes(video), self.settings.max_reply_bytes
        if request.delivery.type == "base64" and size > limit:
            raise DeliveryFailed("reply_cannot_hold", field="delivery.type", size=size, limit=limit)
        started = time.monotonic()
        self._on_progress(Progress("deliver", 0, video.stat().st_size))
        kept = {"video": self._bridge.keep(video)}
        kept["frame"] = self._bridge.keep(write_video_thumbnail(video, video.with_suffix(".jpg")))
        if talk.captions:
            kept["captions"] = self._bridge.keep(
                write_captions(talk.captions, video.with_suffix(".json"))
            )
        taken = round(time.monotonic() - started, 3)
        timings = {**talk.timings, "deliver": taken}
        told = {"status": "success", "filename": FILENAME, **talk.facts(), "timings": timings}
        return {**told, **kept}

    def _with_uploads(self, request: TalkRequest, directory: Path) -> tuple[TalkRequest, Settings]:
        """The request with its uploads as files, and settings that allow them to be read."""

        def placed(source: Any) -> Any:
            if not isinstance(source, str) or not source.startswith(UPLOAD_SCHEME):
                return source
            return str(self._bridge.fetch(source.removeprefix(UPLOAD_SCHEME), directory))

        request = request.model_copy(
            update={
                "image_path": placed(request.image_path),
                "audio_paths": {name: placed(voice) for name, voice in request.audio_paths.items()},
            }
        )
        roots = (*self.settings.allowed_roots, directory)
        return request, replace(self.settings, allowed_roots=roots)
