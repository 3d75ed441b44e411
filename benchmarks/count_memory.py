"""What a step and the VAE take of a GPU's memory, counted tensor by tensor, without a GPU.

The networks of the real size run on the meta device, where tensors have sizes and no values. The
peak of the tensors that live at once is what PyTorch's allocator has to find, but for cuDNN's
workspaces and what it loses to gaps. `python benchmarks/count_memory.py` prints what was counted,
beside the figures of `memory_plan`, and the table of docs/diffusion.md.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import chain
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    UMT5Config,
    UMT5EncoderModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
)

from diffusion_cost import Size
from diffusion_models import made_on, make_quantized, make_transformer
from multitalk.engines.diffusion.memory_plan import (
    DECODE_BYTES,
    ENCODE_BYTES,
    GIB,
    PLANS,
    STEP_BYTES,
    MemoryBudget,
    VaeDtype,
)
from multitalk.engines.diffusion.network_sizes import BLOCKS_AT_ONCE, NetworkBytes
from multitalk.engines.diffusion.quantized import store_weights_as
from multitalk.engines.diffusion.resolution_buckets import BUCKETS
from multitalk.engines.diffusion.transformer import CachedConditions
from multitalk.engines.diffusion.vae import VaeCodec
from multitalk.engines.diffusion.windows import latent_frames
from random_weights import REAL

WINDOW_FRAMES = 81
COUNTED_LAYERS = 2  # the peak is within a block; blocks follow one another
META = torch.device("meta")


class PeakMemory(TorchDispatchMode):
    """Counts the bytes of all tensors that operations within it make, while they live.

    Attributes:
        peak: The most that lived at once, bytes.
    """

    def __init__(self, *networks: nn.Module) -> None:
        """Leave the weights of `networks` out."""
        super().__init__()
        self.peak = 0
        self._now = 0
        weights = chain.from_iterable(
            chain(network.parameters(), network.buffers()) for network in networks
        )
        self._known = {tensor.untyped_storage()._cdata for tensor in weights}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Count what an operation makes."""
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._add(leaf.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self._now += storage.nbytes()
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._drop, key, storage.nbytes())

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size


def step_peak(height: int, width: int, *, speakers: int = 1, storage: str | None = None) -> int:
    """Bytes that one forward takes beside the weights, with attention that keeps no scores."""
    config = {"num_layers": COUNTED_LAYERS}
    if storage is None:
        model = make_transformer(config, "meta", torch.bfloat16)
    else:
        model = make_quantized(config, storage, "meta")
    size = Size(latent_frames(WINDOW_FRAMES), height // 8, width // 8)
    with torch.no_grad(), _attention_without_scores(), PeakMemory(model) as counted:
        model(**_inputs(size, speakers), conditioning=CachedConditions(), return_dict=False)
    return counted.peak


def _inputs(size: Size, speakers: int) -> dict[str, Tensor]:
    numbers = {"device": META, "dtype": torch.bfloat16}
    return {
        "hidden_states": torch.empty(1, 36, size.frames, size.height, size.width, **numbers),
        "timestep": torch.empty(1, device=META),
        "encoder_hidden_states": torch.empty(1, 60, 4096, **numbers),
        "encoder_hidden_states_image": torch.empty(1, 257, 1280, **numbers),
        "audio_hidden_states": torch.empty(speakers, WINDOW_FRAMES, 5, 12, 768, **numbers),
        "speaker_masks": torch.empty(speakers + 1, size.height, size.width, device=META),
    }


def decode_peak(height: int, width: int, dtype: torch.dtype, *, in_tiles: bool = False) -> int:
    """Bytes that decoding a window takes beside the weights."""
    vae = _vae(dtype)
    codec = VaeCodec(vae, META)
    if in_tiles:
        vae.enable_tiling()
    with torch.no_grad(), PeakMemory(vae) as counted:
        latents = torch.empty(
            16, latent_frames(WINDOW_FRAMES), height // 8, width // 8, device=META
        )
        codec.decode(latents)
    return counted.peak


def encode_peak(height: int, width: int, dtype: torch.dtype, *, in_tiles: bool = False) -> int:
    """Bytes that encoding a window's frames takes beside the weights, the frames included."""
    vae = _vae(dtype)
    codec = VaeCodec(vae, META)
    if in_tiles:
        vae.enable_tiling()
    with torch.no_grad(), PeakMemory(vae) as counted:
        codec.encode(torch.empty(3, WINDOW_FRAMES, height, width, device=META))
    return counted.peak


def _vae(dtype: torch.dtype) -> AutoencoderKLWan:
    with made_on("meta", dtype):
        return AutoencoderKLWan().eval()


@contextmanager
def _attention_without_scores() -> Iterator[None]:
    """As the fused kernels of a GPU: on the meta device PyTorch would count the whole product."""
    usual: Callable[..., Tensor] = functional.scaled_dot_product_attention

    def fused(query: Tensor, *given: Tensor, **named: Tensor) -> Tensor:
        value = named["value"] if "value" in named else given[1]
        return query.new_empty((*query.shape[:-1], value.shape[-1]))

    functional.scaled_dot_product_attention = fused
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = usual


@cache
def network_sizes(storage: str | None) -> dict[str, NetworkBytes]:
    """Of the published networks as a GPU holds them, the transformer and UMT5 in 8 bits or in 16.

    Args:
        storage: `int8`, or None for bfloat16.
    """
    with made_on("meta", torch.bfloat16):
        text_encoder = UMT5EncoderModel(UMT5Config(**REAL.text_encoder))
    if storage is None:
        transformer = make_transformer({}, "meta", torch.bfloat16)
    else:
        transformer = make_quantized({}, storage, "meta")
        store_weights_as(storage, text_encoder)
    with made_on("meta", torch.float32):
        image_encoder = CLIPVisionModel(CLIPVisionConfig(**REAL.image_encoder))
        audio_encoder = Wav2Vec2Model(Wav2Vec2Config(**REAL.audio_encoder))
    blocks = transformer.blocks
    outside = weight_bytes(transformer) - weight_bytes(blocks)
    streamed = outside + BLOCKS_AT_ONCE * weight_bytes(blocks[0])
    return {
        "transformer": NetworkBytes(weight_bytes(transformer), streamed),
        "text_encoder": NetworkBytes(weight_bytes(text_encoder)),
        "image_encoder": NetworkBytes(weight_bytes(image_encoder)),
        "vae": NetworkBytes(weight_bytes(_vae(torch.bfloat16))),
        "audio_encoder": NetworkBytes(weight_bytes(audio_encoder)),
    }


def weight_bytes(network: nn.Module) -> int:
    """Of each parameter once."""
    return sum(parameter.nbytes for parameter in network.parameters())


def plans_table() -> list[str]:
    """The table of docs/diffusion.md, a line each."""
    rows = [
        "| Plan | 8-bit: GPU, 480p | GPU, 720p | host | 16-bit: GPU, 480p | GPU, 720p | host |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    kinds = [network_sizes("int8"), network_sizes(None)]
    for plan in PLANS:
        figures = [
            value / GIB
            for sizes in kinds
            for value in (
                *(MemoryBudget(sizes, 0).needed(plan, resolution) for resolution in BUCKETS),
                plan.host_bytes(sizes),
            )
        ]
        rows.append(f"| `{plan}` | " + " | ".join(f"{figure:.0f} GiB" for figure in figures) + " |")
    return rows


def main() -> None:
    """Count everything at both resolutions; the tiles take two minutes."""
    print("| Frame | What | GiB | Bytes a pixel | In `plans` |\n| --- | --- | --- | --- | --- |")
    dtypes: dict[VaeDtype, torch.dtype] = {"bfloat16": torch.bfloat16, "float32": torch.float32}
    for height, width in ((448, 896), (704, 1280)):
        counts: list[tuple[str, Callable[[], int], int | None]] = [
            ("a step", partial(step_peak, height, width), STEP_BYTES),
            ("a step, two speakers", partial(step_peak, height, width, speakers=2), STEP_BYTES),
        ]
        for name, dtype in dtypes.items():
            for what, count, said in (
                ("decoding", decode_peak, DECODE_BYTES[name]),
                ("encoding", encode_peak, ENCODE_BYTES[name]),
            ):
                at_once = partial(count, height, width, dtype)
                counts += [
                    (f"{what}, {name}", at_once, said),
                    (f"{what}, {name}, in tiles", partial(at_once, in_tiles=True), None),
                ]
        for what, counted, said in counts:
            peak = counted()
            each = round(peak / (height * width))
            print(
                f"| {width}x{height} | {what} | {peak / GIB:.2f} | {each} | {said or ''} |",
                flush=True,
            )
    print("", *plans_table(), sep="\n")


if __name__ == "__main__":
    main()
