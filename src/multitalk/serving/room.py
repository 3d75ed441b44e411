"""Whether there is room for one more job, asked before each one is taken."""

import asyncio
import logging
from pathlib import Path

from multitalk.disk import check_free_space
from multitalk.errors import DiskUnusable
from multitalk.job.self_test import check_work_directory
from multitalk.serving.logs import RateLimitedLog
from multitalk.settings import Settings

LOOK_SECONDS = 1.0  # until it is asked again
RESULTS_SHARE = 0.25  # of what servers keep free for results: no work with less than that

logger = logging.getLogger(__name__)


class Room:
    """Looks at a worker's disks.

    Args:
        settings: Whose work directory, and how large a job's files may be.
        results: Where results are kept, if that is a directory of this machine.
    """

    def __init__(self, settings: Settings, results: Path | None = None) -> None:
        self._settings = settings
        self._results = results
        self._log = RateLimitedLog(logger)

    async def is_there(self) -> bool:
        """Whether a job can be taken; what is missing is logged once a minute."""
        try:
            await asyncio.to_thread(self.check)
        except DiskUnusable as error:
            self._log.warn("room", f"no job is taken: {error}")
            return False
        self._log.resolve("room", "there is room again: jobs are taken")
        return True

    def check(self) -> None:
        """Look at both disks.

        Raises:
            DiskUnusable: A job's files, or its result, could not be kept.
        """
        check_work_directory(self._settings)
        if self._results is not None:
            check_free_space(self._results, share=RESULTS_SHARE)
