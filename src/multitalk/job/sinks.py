"""Where a job's video goes; each job has one sink, chosen before the work."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from multitalk.bucket import Bucket
from multitalk.delivery.deliver import check_set_up, deliver
from multitalk.job.finished_talk import FinishedTalk
from multitalk.job.progress import JobProgress
from multitalk.media.fragments import Fragment
from multitalk.messages import Locale
from multitalk.schema import Delivery
from multitalk.settings import Settings


class VideoSink:
    """Takes a job's video, whole when it is finished, as fragments while it is encoded, or both.

    Attributes:
        on_fragment: Called from the encoder's thread, which waits for it, with each fragment of the
            video; what it raises ends the job. None: no fragments are wanted.
    """

    on_fragment: Callable[[Fragment], None] | None = None

    def check(self) -> None:
        """Raise before the work what would make the delivery fail."""

    def path(self, directory: Path) -> Path | None:
        """The file of the whole video, by default in the job's directory; None: none."""
        return directory / "talk.mp4"

    def deliver(self, talk: FinishedTalk, progress: JobProgress) -> FinishedTalk:
        """Bring a finished video where it belongs; the talk with its `output_fields`."""
        raise NotImplementedError

    def close(self) -> None:
        """Remove what a job that failed has left outside of its directory."""


class FileSink(VideoSink):
    """A file of the caller's, which appears when it is whole or not at all.

    Args:
        output: In a directory that exists.
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        self._unfinished = output.with_name(f".multitalk-{secrets.token_hex(4)}.mp4")

    @override
    def path(self, directory: Path) -> Path:
        return self._unfinished

    @override
    def deliver(self, talk: FinishedTalk, progress: JobProgress) -> FinishedTalk:
        self._unfinished.replace(self._output)
        return replace(talk, video=self._output, output_fields={"video_path": str(self._output)})

    @override
    def close(self) -> None:
        self._unfinished.unlink(missing_ok=True)


class DeliverySink(VideoSink):
    """The reply, a bucket or the operator's volume: what `delivery.deliver` finds.

    Args:
        delivery: The request's choice.
        settings: The operator's limits and places.
        job_id: Names the file.
        bucket: The job's own, in place of the operator's (`parse_s3_config`).
        locale: Of warnings.
    """

    def __init__(
        self,
        delivery: Delivery,
        settings: Settings,
        job_id: str,
        *,
        bucket: Bucket | None = None,
        locale: Locale = "en",
    ) -> None:
        self._delivery = delivery
        self._settings = settings
        self._job_id = job_id
        self._bucket = bucket
        self._locale: Locale = locale

    @override
    def check(self) -> None:
        check_set_up(self._delivery, settings=self._settings, bucket=self._bucket)

    @override
    def deliver(self, talk: FinishedTalk, progress: JobProgress) -> FinishedTalk:
        size = talk.file.stat().st_size
        with progress.stage("deliver", size):
            delivered = deliver(
                talk.file,
                delivery=self._delivery,
                settings=self._settings,
                job_id=self._job_id,
                bucket=self._bucket,
                locale=self._locale,
                on_progress=lambda done: progress.report("deliver", done, size),
                cancelled=progress.poll_cancelled,
            )
        warnings = (*talk.warnings, *delivered.warnings)
        return replace(talk, warnings=warnings, output_fields=dict(delivered.location))
