"""A pipeline's memory plan in force. Where it does not suffice after all, the next one is taken."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch

from multitalk.engines.base import ProgressCallback
from multitalk.engines.diffusion.memory_plan import MemoryBudget, MemoryPlan
from multitalk.engines.diffusion.offload import OffloadedWeights, networks, place
from multitalk.engines.diffusion.pipeline import MultiTalkPipeline, RenderedWindow
from multitalk.engines.diffusion.resolution_buckets import Resolution
from multitalk.errors import EngineUnavailable

logger = logging.getLogger(__name__)


class Placement:
    """A pipeline whose components are on the devices of a memory plan.

    Attributes:
        pipeline: The pipeline.
    """

    def __init__(
        self,
        pipeline: MultiTalkPipeline,
        plans: Sequence[MemoryPlan],
        device: str,
        collective: Callable[[], AbstractContextManager[None]] = nullcontext,
        budget: MemoryBudget | None = None,
    ) -> None:
        """Move a pipeline's components to their devices.

        Args:
            pipeline: On the CPU, or where the first plan has it.
            plans: The one to begin with first; at least one.
            device: That computes.
            collective: Around work that must succeed in every process that shares the talks.
            budget: Free memory of the device and of the host; None where unknown.

        Raises:
            EngineUnavailable: Memory does not suffice for any plan.
        """
        self.pipeline = pipeline
        self._plans = list(plans)
        self._device = torch.device(device)
        self._collective = collective
        self._budget = budget
        self._offloaded: dict[str, OffloadedWeights] = {}
        self._apply()

    @property
    def plan(self) -> MemoryPlan:
        """The plan in force, for this talk and the next ones."""
        return self._plans[0]

    def in_tiles(self, resolution: Resolution) -> bool:
        """True if the VAE has to work in tiles at a resolution, with the plan in force."""
        return self._budget is not None and self._budget.in_tiles(self.plan, resolution)

    def windows(
        self,
        start: Callable[[ProgressCallback], Iterator[RenderedWindow]],
        watch: ProgressCallback,
        resolution: Resolution | None = None,
    ) -> Iterator[RenderedWindow]:
        """The talk's windows; it restarts with a smaller plan when memory does not suffice.

        The noise is the same again, and so are the frames: windows that were yielded are skipped.

        Args:
            start: Starts the talk.
            watch: Progress callback; after a restart it repeats the highest value until passed.
            resolution: Of the talk: a plan that does not fit it is left before the talk starts.

        Raises:
            EngineUnavailable: Memory does not suffice for any plan.
        """
        yielded, furthest = 0, 0.0

        def report(done: float) -> None:
            nonlocal furthest
            furthest = max(furthest, done)
            watch(furthest)

        self._choose_plan_for(resolution)
        while True:
            try:
                for window in start(report):
                    if window.window.new.start >= yielded:
                        yielded = window.window.new.stop
                        yield window
                return
            except torch.OutOfMemoryError:
                pass  # the error's frames release their tensors only after this block
            self._drop_plan()
            self._apply()

    def _choose_plan_for(self, resolution: Resolution | None) -> None:
        """Go to the plan that fits a resolution, if one does; else the talk is tried."""
        budget = self._budget
        if budget is None or resolution is None or budget.fits(self.plan, resolution):
            return
        fitting = [plan for plan in self._plans if budget.fits(plan, resolution)]
        if fitting and self._fits_host(fitting[0]):
            logger.info("%s does not fit the plan %s: now %s", resolution, self.plan, fitting[0])
            self._plans = self._plans[self._plans.index(fitting[0]) :]
            self._apply()

    def _apply(self) -> None:
        while True:
            try:
                with self._collective():
                    pinned = self._budget is None or self._budget.has_pinned(self.plan)
                    place(
                        self.pipeline,
                        self.plan,
                        self._device,
                        offloaded=self._offloaded,
                        pinned=pinned,
                    )
                return
            except torch.OutOfMemoryError:
                pass
            self._drop_plan()

    def _drop_plan(self) -> None:
        """Leave the plan for the next one, if there is one."""
        logger.warning("out of memory with the plan: %s", self.plan)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if len(self._plans) == 1 or not self._fits_host(self._plans[1]):
            raise EngineUnavailable("diffusion_out_of_memory", field="resolution")
        del self._plans[0]

    def _fits_host(self, plan: MemoryPlan) -> bool:
        """True if the host has memory for what leaves the device; else the process is killed."""
        leaves = any(
            network.device.type != "cpu"
            for name, network in networks(self.pipeline)
            if name in plan.streamed
        )
        if leaves and self._budget is not None and not self._budget.has_pinned(plan):
            logger.warning(
                "the host has no memory for the plan %s: %s", plan, self._budget.host(plan)
            )
            return False
        return True
