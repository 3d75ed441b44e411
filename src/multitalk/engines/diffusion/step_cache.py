"""Skip the transformer's blocks at steps where they would change little (TeaCache).

F. Liu et al., "Timestep Embedding Tells: It's Time to Cache for Video Diffusion Model", 2024. From
one step to the next, a polynomial, fitted to the model, of the change of the time embedding
estimates how much the blocks' contribution changes. Until the estimates add up to a threshold, the
last contribution is added again instead of being computed.

Each branch of the guidance has its own cache, which ends with the window. Steps are numbered from 0
in each window, skipped ones included.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from multitalk.engines.diffusion.guidance import Branch
from multitalk.engines.diffusion.resolution_buckets import Resolution
from multitalk.engines.diffusion.transformer import BlocksRunner

# Change of the contribution by that of the time embedding, highest power first. As published for
# MultiTalk and InfiniteTalk, by size class.
COEFFICIENTS: dict[Resolution, tuple[float, ...]] = {
    "480p": (257151.496, -35422.9917, 1402.86849, -13.5890334, 0.132517977),
    "720p": (8107.0546, 2133.93892, -372.934672, 16.6203073, -0.0417769401),
}

WARM_UP_STEPS = 5  # steps 0 to 4 are always computed: the picture is decided in them


@dataclass
class _BranchState:
    """State of one branch from step to step."""

    next_step: int = 0  # its number in the window
    modulation: Tensor | None = None  # of the last step
    change: float = 0.0  # estimated since the last computed step
    contribution: Tensor | None = field(default=None, repr=False)


class StepCache:
    """Decides which steps of each branch are computed, and keeps the blocks' contribution."""

    def __init__(self, *, threshold: float, coefficients: tuple[float, ...]) -> None:
        """Start with an empty cache.

        Args:
            threshold: Accumulated change to tolerate; 0.2 to 0.5 is usual, 0 computes every step.
            coefficients: Of the polynomial, highest power first, such as `COEFFICIENTS["480p"]`.
        """
        self._threshold = threshold
        self._coefficients = coefficients
        self._states: dict[Branch, _BranchState] = {}

    def reset(self) -> None:
        """Clear the cache for a new window."""
        self._states.clear()

    def recall(self, branch: Branch, modulation: Tensor) -> Tensor | None:
        """Decide whether the next step of a branch is skipped. To be called once a step.

        Args:
            branch: Of the guidance.
            modulation: The six vectors that the time embedding gives every block.

        Returns:
            The blocks' contribution to add, or None if they have to be computed; `keep` then takes
            the new one.
        """
        state = self._states.setdefault(branch, _BranchState())
        step, state.next_step = state.next_step, state.next_step + 1
        previous, state.modulation = state.modulation, modulation
        if step < WARM_UP_STEPS or previous is None or self._threshold <= 0:
            return None
        state.change += self._estimate(relative_change(previous, modulation))
        if state.change >= self._threshold:
            state.change = 0.0
            return None
        return state.contribution

    def keep(self, branch: Branch, contribution: Tensor) -> None:
        """Store the blocks' contribution to a branch's tokens."""
        self._states[branch].contribution = contribution

    def runner(self, branch: Branch) -> BlocksRunner:
        """A `blocks_runner` of the transformer for one branch."""

        def run(modulation: Tensor, tokens: Tensor, blocks: Callable[[Tensor], Tensor]) -> Tensor:
            contribution = self.recall(branch, modulation)
            if contribution is not None:
                return tokens + contribution
            after = blocks(tokens)
            self.keep(branch, after - tokens)
            return after

        return run

    def _estimate(self, change: float) -> float:
        total = 0.0
        for coefficient in self._coefficients:  # Horner
            total = total * change + coefficient
        return total


def relative_change(before: Tensor, after: Tensor) -> float:
    """Mean absolute difference against the mean magnitude before."""
    return float((after - before).abs().mean() / before.abs().mean())
