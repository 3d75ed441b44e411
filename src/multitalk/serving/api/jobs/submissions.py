"""The way of a job into the queue, with its uploads and its webhook."""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import nullcontext, suppress

from multitalk.errors import InvalidRequest, MultiTalkError, NotFound, QueueUnavailable
from multitalk.schema.sources import is_upload, named_sources
from multitalk.schema.validation import brief
from multitalk.serving.api.database import Database
from multitalk.serving.api.jobs.job_access import own_job
from multitalk.serving.api.jobs.run_body import in_batch, parse_run_body
from multitalk.serving.api.uploads import UploadStore
from multitalk.serving.queue import Job, JobQueue, OutcomeUnknown, new_job_id
from multitalk.serving.queue.records import Submission, windows_of
from multitalk.settings import Settings


class Submissions:
    """Sends jobs to the queue.

    Args:
        queue: Takes them.
        database: Records their webhooks.
        uploads: Files that they may name.
        settings: Of all entry points.
        retention_seconds: How long a job is kept after its end.
        max_waiting: Limit of one key's jobs that are IN_QUEUE; None: no limit.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        queue: JobQueue,
        database: Database,
        uploads: UploadStore,
        *,
        settings: Settings,
        retention_seconds: float,
        max_waiting: int | None,
        clock: Callable[[], float],
    ) -> None:
        self._queue = queue
        self._database = database
        self._uploads = uploads
        self._settings = settings
        self._retention_seconds = retention_seconds
        self._max_waiting = max_waiting
        self._clock = clock

    def parse(self, given: object, *, owner: str, idempotency_key: str | None = None) -> Submission:
        """Validate a body of `/run`; see `parse_run_body`."""
        return parse_run_body(
            given,
            settings=self._settings,
            owner=owner,
            retention_seconds=self._retention_seconds,
            idempotency_key=idempotency_key,
        )

    async def submit(
        self, submissions: Sequence[Submission], *, base_url: str, is_batch: bool = False
    ) -> list[Job]:
        """Submit jobs of one owner. No file is copied before all references are resolved.

        Args:
            submissions: From `parse`.
            base_url: By which the caller reached this server.
            is_batch: Errors name the job's position, as in `jobs[2].image_path`.

        Returns:
            The jobs; for an Idempotency-Key that was used before, the existing ones.

        Raises:
            NotFound: An upload or an earlier job is not this owner's.
            InvalidRequest: `continue_from` keeps more windows than the earlier job has.
            Conflict: An Idempotency-Key was used with another body.
            TooManyRequests: Too many jobs of this owner are waiting.
            QueueUnavailable: The queue cannot take them.
            OutcomeUnknown: The queue did not answer; the jobs may be stored.
        """
        place = in_batch if is_batch else nullcontext
        for number, submission in enumerate(submissions):
            with place(number):
                self._check_uploads(submission)
                await self._check_earlier(submission)
        named = [one.model_copy(update={"job_id": new_job_id()}) for one in submissions]
        ids = {str(submission.job_id) for submission in named}
        try:
            resolved = []
            for number, submission in enumerate(named):
                with place(number):
                    resolved.append(await self._with_uploads(submission))
            self._expect_webhooks(resolved, base_url)
            jobs = await self._queue.submit_all(resolved, max_waiting=self._max_waiting)
        except OutcomeUnknown:  # a job that was stored needs its files and its webhook
            raise
        except MultiTalkError:
            await self._forget(ids)
            raise
        await self._forget(ids - {job.id for job in jobs})  # of jobs that were sent before
        return jobs

    async def retry(self, job: Job, *, base_url: str) -> Job:
        """Send a job that failed again; what it had answered is removed.

        Raises:
            Conflict: The job has not failed.
            TooManyRequests: Too many jobs of this owner are waiting.
        """
        database, expected = self._database, self._database.pending_webhook(job.id)
        if job.webhook is not None:  # first: it may end at once
            database.expect_webhook(job.id, base_url, now=self._clock())
        try:
            retried = await self._queue.retry(job.id, max_waiting=self._max_waiting)
        except OutcomeUnknown:  # it may run again
            raise
        except MultiTalkError:
            database.forget_webhook(job.id)
            if expected is not None:
                database.keep_webhook(expected)
            raise
        database.forget_stream(job.id)
        return retried

    async def earlier_windows(self, job_id: str, wanted: float, *, owner: str) -> list[int]:
        """The frames at which the windows of an earlier job end, at least `wanted` of them.

        Raises:
            NotFound: The owner has no such job, or its windows are not kept.
            InvalidRequest: It has fewer.
        """
        try:
            ends = windows_of(await own_job(self._queue, job_id, owner))
        except NotFound:
            ends = []
        if not ends:
            raise NotFound("earlier_job_gone", field="continue_from.job", value=brief(job_id))
        if wanted > len(ends):
            field = "continue_from.windows"
            raise InvalidRequest(
                "earlier_talk_shorter", field=field, count=len(ends), value=brief(wanted)
            )
        return ends

    def _check_uploads(self, submission: Submission) -> None:
        if isinstance(submission.input, dict):
            for field, source in named_sources(submission.input):
                if is_upload(source):
                    self._uploads.path(source, field=field, owner=submission.owner)

    async def _check_earlier(self, submission: Submission) -> None:
        """Check that the job of `continue_from` exists; the worker validates the rest."""
        given = submission.input
        continued = given.get("continue_from") if isinstance(given, dict) else None
        if not isinstance(continued, dict) or not isinstance(continued.get("job"), str):
            return
        windows = continued.get("windows")
        wanted = windows if isinstance(windows, int | float) else 0
        await self.earlier_windows(continued["job"], wanted, owner=submission.owner)

    async def _with_uploads(self, submission: Submission) -> Submission:
        source = await self._uploads.resolved(
            submission.input,
            job_id=str(submission.job_id),
            owner=submission.owner,
            media=self._queue.media,
        )
        if source is submission.input:
            return submission
        return submission.model_copy(update={"input": source})

    def _expect_webhooks(self, submissions: Iterable[Submission], base_url: str) -> None:
        """Record the webhooks before their jobs: a crash in between loses none."""
        for submission in submissions:
            if submission.webhook is not None:
                now = self._clock()
                self._database.expect_webhook(str(submission.job_id), base_url, now=now)

    async def _forget(self, job_ids: Collection[str]) -> None:
        """Remove what was stored for jobs that are not in the queue.

        The queue may be silent, or the disk full: the rest goes later, by the queue's `sweep` and
        `Webhooks`. Its error would hide what became of the jobs.
        """
        with suppress(QueueUnavailable):
            for job_id in job_ids:
                await self._queue.media.remove_job(job_id)
        with suppress(QueueUnavailable):
            for job_id in job_ids:
                self._database.forget_webhook(job_id)
