"""Which of a talk's tokens this process holds, when several share one talk.

Without context parallelism a shard is all tokens and every question is answered locally.
"""

from dataclasses import dataclass
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
        lengths = [length for _, length in _spans(self.num_tokens, self.group.size())]
        width = min(count, max(lengths))  # of what everyone sends: shards may differ by a token
        sent = tokens.new_zeros(1, width, *tokens.shape[2:])
        sent[:, : self.length] = tokens[:, :width]
        others = [torch.empty_like(sent) for _ in lengths]
        torch.distributed.all_gather(others, sent, group=self.group)
        held = [other[:, :length] for other, length in zip(others, lengths, strict=True)]
        return torch.cat(held, dim=1)[:, :count]

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
    offset, length = _spans(num_tokens, group.size())[torch.distributed.get_rank(group)]
    return TokenShard(offset, length, num_tokens, group)


def _spans(num_tokens: int, num_shards: int) -> list[tuple[int, int]]:
    """Offset and length of each shard, as `torch.tensor_split` makes them: the first are longer."""
    shortest, longer = divmod(num_tokens, num_shards)
    return [
        (rank * shortest + min(rank, longer), shortest + (rank < longer))
        for rank in range(num_shards)
    ]
