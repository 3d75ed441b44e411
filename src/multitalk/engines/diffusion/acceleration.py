"""Acceleration of the transformer: attention kernels, products in float8, compilation.

Chosen by the operator's settings when the engine starts, and tried on small tensors: a setting that
does not work on this GPU is an error of the start, not of a job.
"""

import logging

import torch
from diffusers.models.attention_dispatch import (
    AttentionBackendName,
    _AttentionBackendRegistry,
    _check_attention_backend_requirements,
    dispatch_attention_fn,
)

from multitalk.engines.diffusion.offload import has_gpu
from multitalk.engines.diffusion.quantized import QuantizedLinear, multiply_in_fp8
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel
from multitalk.errors import EngineUnavailable
from multitalk.settings import Settings

HOPPER = (9, 0)
FP8_CAPABILITY = (8, 9)
NATIVE = AttentionBackendName.NATIVE
TRIED_TOKENS, TRIED_HEADS = 128, 2
# Standard deviation of a kernel's error, as a share of the result's. In 16 bits it is 0.01, in 8
# bits less than 0.1; of a broken kernel it is about 1.
MOST_ERROR = 0.1

logger = logging.getLogger(__name__)


def accelerate(
    transformer: MultiTalkTransformer3DModel, settings: Settings, *, is_shared: bool
) -> None:
    """Accelerate a network. To be called before it is parallelized and moved to its device.

    Args:
        transformer: With its LoRAs.
        settings: `attention`, `fp8_products` and `compile` are read.
        is_shared: Whether it is parallelized.

    Raises:
        EngineUnavailable: A setting does not work here.
    """
    on_gpu = has_gpu()
    device = torch.device("cuda" if on_gpu else "cpu")
    capability = torch.cuda.get_device_capability() if on_gpu else None
    backend = choose_attention(
        settings.attention,
        device,
        capability,
        head_dim=transformer.config.attention_head_dim,
        is_shared=is_shared,
    )
    use_attention(transformer, backend)
    products = "16 bits" if on_gpu else "32 bits"
    if settings.fp8_products:
        _use_fp8_products(transformer, capability)
        products = "8 bits"
    if settings.compile:
        _compile(transformer, is_shared=is_shared)
    compiled = "compiled" if settings.compile else "not compiled"
    logger.info("attention: %s; products of %s; blocks %s", backend, products, compiled)


def _compile(transformer: MultiTalkTransformer3DModel, *, is_shared: bool) -> None:
    """Compile the blocks for all sizes: else a job waits for each new size or number of voices."""
    if is_shared:
        raise EngineUnavailable("compile_shared", field="engine")
    transformer.compile_repeated_blocks(dynamic=True)


def choose_attention(
    name: str,
    device: torch.device,
    capability: tuple[int, int] | None,
    *,
    head_dim: int,
    is_shared: bool,
) -> str:
    """A kernel for self attention, by its name in diffusers.

    `auto` takes cuDNN's on Hopper, where it is faster than PyTorch's own choice, if it works there,
    and PyTorch's own choice elsewhere. It takes none that rounds to 8 bits, as SageAttention does,
    nor one that depends on other packages: a seed means the same video on all such GPUs.

    Args:
        name: The operator's setting.
        device: Of the network.
        capability: Of the GPU, None for a CPU.
        head_dim: Channels of a head.
        is_shared: Whether tokens are sharded over processes.

    Raises:
        EngineUnavailable: A kernel that was named does not work here.
    """
    backend = AttentionBackendName(name if name != "auto" else _default_backend(capability))
    problem = _problem_of(backend, device, head_dim, is_shared=is_shared)
    if problem is None:
        return backend.value
    if name == "auto":
        logger.warning("attention %s does not work here: %s", backend.value, problem)
        return NATIVE.value
    raise EngineUnavailable(
        "attention_unavailable", field="engine", attention=name, problem=problem
    )


def use_attention(transformer: MultiTalkTransformer3DModel, backend: str) -> None:
    """Compute self attention by a kernel; attention to text, picture and speech is native.

    Self attention is 97 % of the work of all of them. The others have few keys, for which special
    kernels are not made and which some refuse.
    """
    for block in transformer.blocks:
        block.attn1.set_attention_backend(backend)
        block.attn2.set_attention_backend(NATIVE.value)
        block.audio_attn.set_attention_backend(NATIVE.value)


def _default_backend(capability: tuple[int, int] | None) -> str:
    cudnn = AttentionBackendName._NATIVE_CUDNN
    return (cudnn if capability == HOPPER else NATIVE).value


def _problem_of(
    backend: AttentionBackendName, device: torch.device, head_dim: int, *, is_shared: bool
) -> str | None:
    """The reason why a kernel cannot be used, or None."""
    if is_shared and not _AttentionBackendRegistry._is_context_parallel_available(backend):
        return "it cannot share a talk among several processes"
    if backend == NATIVE:
        return None
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    generator = torch.Generator().manual_seed(0)
    shape = (3, 1, TRIED_TOKENS, TRIED_HEADS, head_dim)
    states = torch.randn(shape, generator=generator).to(device, dtype)
    expected = dispatch_attention_fn(*states, backend=NATIVE).float()
    try:
        _check_attention_backend_requirements(backend)
        found = dispatch_attention_fn(*states, backend=backend).float()
    except (RuntimeError, ValueError, ImportError) as error:
        return str(error).strip().partition("\n")[0]
    return _difference(found, expected)


def _difference(found: torch.Tensor, expected: torch.Tensor) -> str | None:
    error = float((found - expected).std() / expected.std())
    return None if error < MOST_ERROR else f"its result differs by {error:.0%} from PyTorch's"


def _use_fp8_products(
    transformer: MultiTalkTransformer3DModel, capability: tuple[int, int] | None
) -> None:
    problem = None
    if capability is None or capability < FP8_CAPABILITY:
        problem = "it needs a GPU of capability 8.9 or more, such as an L4, an RTX 4090 or an H100"
    elif multiply_in_fp8(transformer.blocks) == 0:
        problem = "it needs a weight set in fp8, such as fp8-fusionx"
    else:
        problem = problem_of_fp8(torch.device("cuda"))
    if problem is not None:
        raise EngineUnavailable("fp8_products_unavailable", field="engine", problem=problem)


def problem_of_fp8(device: torch.device) -> str | None:
    """The reason why a device cannot multiply in float8, or None; tried on small tensors."""
    generator = torch.Generator().manual_seed(0)
    layer = QuantizedLinear(64, 32, storage="float8_e4m3fn")
    values = (100 * torch.randn(32, 64, generator=generator)).to(torch.float8_e4m3fn)
    layer.weight.copy_(values.view(torch.int8))
    layer.to(device)
    states = torch.randn(128, 64, generator=generator).to(device, torch.bfloat16)
    expected = layer(states).float()
    multiply_in_fp8(layer)
    try:
        return _difference(layer(states).float(), expected)
    except (RuntimeError, ValueError) as error:
        return str(error).strip().partition("\n")[0]
