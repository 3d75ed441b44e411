"""What a forward has to do and to move, as reckoned, and as its operations count it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

PICTURE_TOKENS = 257

Shape = Sequence[int]


@dataclass(frozen=True)
class Size:
    """Latent frames, and latent height and width."""

    frames: int
    height: int
    width: int

    @property
    def frame_tokens(self) -> int:
        """Tokens of a latent frame."""
        return self.height // 2 * (self.width // 2)

    @property
    def tokens(self) -> int:
        """Tokens of a window."""
        return self.frames * self.frame_tokens


@dataclass(frozen=True)
class Cost:
    """Operations (a multiplication and an addition are two) and bytes read and written."""

    flops: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.flops + other.flops, self.bytes + other.bytes)

    def times(self, factor: float) -> "Cost":
        """So many of it."""
        return Cost(self.flops * factor, self.bytes * factor)


def cost_model(config: object, size: Size, speakers: int, width: int) -> dict[str, Cost]:
    """What a forward has to do after a window's first, part by part.

    Each matrix product reads its inputs once and writes its output once; each part reads and
    writes the tokens once more for its norm and its residual. Numbers have `width` bytes.
    """
    heads, layers = config.num_attention_heads, config.num_layers
    dim, length, frames = heads * config.attention_head_dim, size.tokens, size.frames
    heard = speakers * config.audio_tokens

    def linear(rows: int, inputs: int, outputs: int) -> Cost:
        moved = rows * (inputs + outputs) + inputs * outputs
        return Cost(2 * rows * inputs * outputs, width * moved)

    def attention(queries: int, keys: int, batch: int = 1) -> Cost:
        moved = 2 * queries * dim + 2 * keys * dim
        return Cost(4 * queries * keys * dim, width * moved).times(batch)

    around = Cost(0, width * 4 * length * dim)
    self_attention = linear(length, dim, dim).times(4) + attention(length, length) + around
    if speakers > 1:
        self_attention += attention(length, size.frame_tokens)
    context = (config.text_len, PICTURE_TOKENS)
    cross = linear(length, dim, dim).times(2) + around
    for tokens in context:
        cross += linear(tokens, dim, dim).times(2) + attention(length, tokens)
    speech = linear(length, dim, dim).times(2) + around
    speech += linear(frames * heard, config.audio_dim, 2 * dim)
    speech += attention(size.frame_tokens, heard, frames)
    feed_forward = linear(length, dim, config.ffn_dim) + linear(length, config.ffn_dim, dim)
    patch = math.prod(config.patch_size)
    ends = linear(length, config.in_channels * patch, dim)
    ends += linear(length, dim, config.out_channels * patch) + around
    ends += linear(1, config.freq_dim, dim) + linear(1, dim, dim) + linear(1, dim, 6 * dim)
    return {
        "self attention": self_attention.times(layers),
        "text and picture": cross.times(layers),
        "speech": speech.times(layers),
        "feed-forward": (feed_forward + around).times(layers),
        "ends": ends,
    }


class ByteCounter(TorchDispatchMode):
    """Counts the bytes that single operations read and write: the traffic without fusion."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if not func.is_view and not func.name().startswith("aten::empty"):
            # In-place results are read, too; an `out` argument is not.
            read = {name: value for name, value in (kwargs or {}).items() if name != "out"}
            values = tree_leaves((args, read, result))
            tensors = [value for value in values if isinstance(value, torch.Tensor)]
            self.total += sum(value.nbytes for value in tensors)
        return result


def counted(run: Callable[[], object]) -> Cost:
    """Operations of a run's matrix products and bytes of all its operations, as they are called."""
    on_cpu = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    with FlopCounterMode(display=False, custom_mapping={on_cpu: _attention_flops}) as flops:
        run()
    with ByteCounter() as moved:
        run()
    return Cost(flops.get_total_flops(), moved.total)


def _attention_flops(query: Shape, key: Shape, *_: object, **__: object) -> int:
    """Of an attention whose values are as wide as its keys: [B, H, L, D], [B, H, K, D]."""
    return 4 * math.prod(query) * key[2]
