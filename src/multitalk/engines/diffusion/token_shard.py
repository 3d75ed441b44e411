"""Which of a talk's tokens this process holds, when several share one talk.

Without context parallelism a shard is all tokens and every question is answered locally.
"""

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class TokenShard:
    """Tokens [offset, offset + length) of a talk.

    Attributes:
        offset: Index of the first token held here.
        length: How many tokens are held here.
        num_tokens: How many tokens the talk has.
        group: Process group of those who share the talk, or None.
    """

    offset: int
    length: int
    num_tokens: int
    group: Any = None

    def first_tokens(self, tokens: torch.Tensor, count: int) -> torch.Tensor:
        """The talk's first tokens, wherever they are held: [1, L, ...] -> [1, count, ...]."""
        if self.group is None:
            return tokens[:, :count]
        mine = tokens[:, : min(count, self.length)].contiguous()
        others = [torch.empty_like(mine) for _ in range(self.group.size())]
        torch.distributed.all_gather(others, mine, group=self.group)
        return torch.cat(others, dim=1)[:, :count]

    def extremes(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Smallest and largest of each row over all tokens of the talk: [C, L] -> [C], [C]."""
        lowest, highest = values.amin(1), values.amax(1)
        if self.group is not None:
            torch.distributed.all_reduce(lowest, torch.distributed.ReduceOp.MIN, group=self.group)
            torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX, group=self.group)
        return lowest, highest


def shard_of(length: int, parallel_config: Any) -> TokenShard:
    """The shard that diffusers' context parallelism hands to this process.

    Args:
        length: Tokens held here; the library gives every process the same number.
        parallel_config: The attention processor's `_parallel_config`, or None.
    """
    context = getattr(parallel_config, "context_parallel_config", None)
    if context is None:
        return TokenShard(0, length, length)
    group = context._flattened_mesh.get_group()
    return TokenShard(
        torch.distributed.get_rank(group) * length, length, length * group.size(), group
    )
