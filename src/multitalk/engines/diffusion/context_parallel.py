"""Context parallelism: the shard of a talk's tokens that this process holds.

Without it, a shard is all tokens and no operation needs another process.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class TokenShard:
    """Tokens [offset, offset + length) of a talk.

    Attributes:
        offset: Index of the first token of the shard.
        length: Tokens in the shard.
        num_tokens: Tokens in the talk.
        group: Process group over which the talk is sharded, or None.
    """

    offset: int
    length: int
    num_tokens: int
    group: Any = None

    def local(self, tokens: torch.Tensor) -> torch.Tensor:
        """Select the shard's tokens: [1, num_tokens, ...] -> [1, length, ...]."""
        return tokens[:, self.offset : self.offset + self.length]

    def all_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """Gather all shards' tokens: [1, length, ...] -> [1, num_tokens, ...]."""
        return self.first_tokens(tokens, self.num_tokens)

    def first_tokens(self, tokens: torch.Tensor, count: int) -> torch.Tensor:
        """Gather the talk's first tokens: [1, length, ...] -> [1, count, ...]."""
        if self.group is None:
            return tokens[:, :count]
        shards = spans(self.num_tokens, self.group.size())
        lengths = [min(stop - start, count) for start, stop in shards]
        return all_gather_uneven(tokens[:, :count], lengths, dim=1, group=self.group)[:, :count]

    def min_max(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Minimum and maximum of each row over all tokens of the talk: [C, L] -> [C], [C]."""
        lowest, highest = values.amin(1), values.amax(1)
        if self.group is not None:
            torch.distributed.all_reduce(lowest, torch.distributed.ReduceOp.MIN, group=self.group)
            torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX, group=self.group)
        return lowest, highest


def set_parallel_config(network: nn.Module, parallel_config: Any) -> None:
    """Replace the parallel configuration of a network and of its attention processors.

    Args:
        network: A model of diffusers with parallelism enabled.
        parallel_config: diffusers' `ParallelConfig`, or None for no sharding.
    """
    network._parallel_config = parallel_config
    for module in network.modules():
        processor: Any = getattr(module, "processor", None)
        if hasattr(processor, "_parallel_config"):
            processor._parallel_config = parallel_config


def local_shard(num_tokens: int, parallel_config: Any) -> TokenShard:
    """The shard of this process; lengths of shards differ by one token at most.

    Args:
        num_tokens: Of the talk; at least the number of processes.
        parallel_config: The model's `_parallel_config`, or None.
    """
    context = getattr(parallel_config, "context_parallel_config", None)
    if context is None:
        return TokenShard(0, num_tokens, num_tokens)
    group = context._flattened_mesh.get_group()
    context.ulysses_anything = num_tokens % group.size() != 0  # else equal shards are assumed
    start, stop = spans(num_tokens, group.size())[torch.distributed.get_rank(group)]
    return TokenShard(start, stop - start, num_tokens, group)


def spans(length: int, parts: int) -> list[tuple[int, int]]:
    """Divide a length into parts [start, stop), as `torch.tensor_split` does.

    The parts are equal, or the first ones are longer by one.
    """
    shortest, longer = divmod(length, parts)
    starts = [part * shortest + min(part, longer) for part in range(parts + 1)]
    return list(pairwise(starts))


def all_gather_uneven(
    part: torch.Tensor, lengths: Sequence[int], *, dim: int, group: Any = None
) -> torch.Tensor:
    """All-gather parts of different lengths along a dimension.

    Args:
        part: Of this process.
        lengths: Of all parts along the dimension.
        dim: The dimension; the other sizes are equal.
        group: A process group, or None for all processes.
    """
    shape = list(part.shape)
    shape[dim] = max(lengths)  # all_gather needs equal sizes
    sent = part.new_zeros(shape)
    sent.narrow(dim, 0, part.shape[dim]).copy_(part)
    others = [torch.empty_like(sent) for _ in lengths]
    torch.distributed.all_gather(others, sent, group=group)
    held = [other.narrow(dim, 0, length) for other, length in zip(others, lengths, strict=True)]
    return torch.cat(held, dim=dim)
