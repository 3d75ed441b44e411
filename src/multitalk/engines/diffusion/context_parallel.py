"""Which of a talk's tokens this process holds, when several share one talk.

Without context parallelism a shard is all tokens and every question is answered locally.
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
        offset: Index of the first token held here.
        length: How many tokens are held here.
        num_tokens: How many tokens the talk has.
        group: Process group of those who share the talk, or None.
    """

    offset: int
    length: int
    num_tokens: int
    group: Any = None

    def mine(self, tokens: torch.Tensor) -> torch.Tensor:
        """Of all the talk's tokens those held here: [1, num_tokens, ...] -> [1, length, ...]."""
        return tokens[:, self.offset : self.offset + self.length]

    def all_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """All the talk's tokens, from those held here: [1, length, ...] -> [1, num_tokens, ...]."""
        return self.first_tokens(tokens, self.num_tokens)

    def first_tokens(self, tokens: torch.Tensor, count: int) -> torch.Tensor:
        """The talk's first tokens, wherever they are held: [1, length, ...] -> [1, count, ...]."""
        if self.group is None:
            return tokens[:, :count]
        shards = spans(self.num_tokens, self.group.size())
        lengths = [min(stop - start, count) for start, stop in shards]
        return gathered(tokens[:, :count], lengths, dim=1, group=self.group)[:, :count]

    def extremes(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Smallest and largest of each row over all tokens of the talk: [C, L] -> [C], [C]."""
        lowest, highest = values.amin(1), values.amax(1)
        if self.group is not None:
            torch.distributed.all_reduce(lowest, torch.distributed.ReduceOp.MIN, group=self.group)
            torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX, group=self.group)
        return lowest, highest


def use_shards(network: nn.Module, parallel_config: Any) -> None:
    """Have a network share its tokens out in another way.

    Args:
        network: One of diffusers', whose attentions have been told of another way before.
        parallel_config: diffusers' `ParallelConfig`, or None to share with nobody.
    """
    network._parallel_config = parallel_config
    for module in network.modules():
        processor: Any = getattr(module, "processor", None)
        if hasattr(processor, "_parallel_config"):
            processor._parallel_config = parallel_config


def shard_of(num_tokens: int, parallel_config: Any) -> TokenShard:
    """The shard of this process; shards are as long as each other, or differ by one token.

    Where they differ, the attention of diffusers' context parallelism is told so.

    Args:
        num_tokens: Of the talk; at least as many as there are processes.
        parallel_config: The model's `_parallel_config`, or None.
    """
    context = getattr(parallel_config, "context_parallel_config", None)
    if context is None:
        return TokenShard(0, num_tokens, num_tokens)
    group = context._flattened_mesh.get_group()
    context.ulysses_anything = num_tokens % group.size() != 0  # or it would take them as equal
    start, stop = spans(num_tokens, group.size())[torch.distributed.get_rank(group)]
    return TokenShard(start, stop - start, num_tokens, group)


def spans(length: int, parts: int) -> list[tuple[int, int]]:
    """So many parts of a length, each from its first to one after its last.

    They are as `torch.tensor_split` makes them: as long as each other, or the first longer by one.
    """
    shortest, longer = divmod(length, parts)
    starts = [part * shortest + min(part, longer) for part in range(parts + 1)]
    return list(pairwise(starts))


def gathered(
    part: torch.Tensor, lengths: Sequence[int], *, dim: int, group: Any = None
) -> torch.Tensor:
    """The parts of all processes of a group, one after another along a dimension, in each of them.

    Args:
        part: This process's.
        lengths: Of the parts along the dimension.
        dim: Whose other sizes are the same for all.
        group: A process group, or None for all processes.
    """
    shape = list(part.shape)
    shape[dim] = max(lengths)  # everyone sends as much
    sent = part.new_zeros(shape)
    sent.narrow(dim, 0, part.shape[dim]).copy_(part)
    others = [torch.empty_like(sent) for _ in lengths]
    torch.distributed.all_gather(others, sent, group=group)
    held = [other.narrow(dim, 0, length) for other, length in zip(others, lengths, strict=True)]
    return torch.cat(held, dim=dim)
