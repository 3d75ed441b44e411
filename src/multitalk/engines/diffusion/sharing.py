"""What a talk asks of the processes that share it, and how one answers that shares with nobody."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from torch import Tensor

from multitalk.engines.base import Watch
from multitalk.engines.diffusion.guidance import Branch
from multitalk.engines.diffusion.parallel_vae import Joining
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel


class Sharing(Joining, Protocol):
    """The processes that share a talk, seen from one of them."""

    def answers(
        self, branches: Sequence[Branch], predict: Callable[[Branch], Tensor]
    ) -> dict[Branch, Tensor]:
        """The network's predictions for all branches, in every process.

        Args:
            branches: Of one step.
            predict: Asks the network, for one branch; all predictions have one shape and dtype.
        """
        ...


class Alone:
    """One process that shares its talks with nobody."""

    follows: ClassVar[bool] = False
    processes: ClassVar[int] = 1
    rank: ClassVar[int] = 0

    def share(self, transformer: MultiTalkTransformer3DModel) -> None:
        """Nothing to share."""

    def answers(
        self, branches: Sequence[Branch], predict: Callable[[Branch], Tensor]
    ) -> dict[Branch, Tensor]:
        """One branch after the other."""
        return {branch: predict(branch) for branch in branches}

    def joined(self, part: Tensor, lengths: Sequence[int], dim: int) -> Tensor:  # noqa: ARG002
        """The part: there are no others."""
        return part

    def least(self, value: float) -> float:
        """The value."""
        return value

    def together(self) -> contextlib.AbstractContextManager[None]:
        """Work that only this process does."""
        return contextlib.nullcontext()

    def watched(self, watch: Watch) -> Watch:
        """The watch itself."""
        return watch

    def give(self, talk: object) -> None:
        """Nobody to give a talk to."""

    def follow(self, render: Callable[[Any], None]) -> None:
        """Nobody to follow."""

    def close(self) -> None:
        """Nothing to close."""
