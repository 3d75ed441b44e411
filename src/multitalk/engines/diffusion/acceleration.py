"""What makes a forward faster on the GPU at hand, as the operator's settings ask for it.

Chosen when the engine starts, and tried there on a few numbers: what does not work here ends the
start, with the setting's name, and not a job.
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
# Of what is tried, as a share of the spread. 16 bits err by 0.01 and kernels in 8 bits by less than
# 0.1; what is wrong errs by all of it.
MOST_ERROR = 0.1

logger = logging.getLogger(__name__)


def accelerate(
    transformer: MultiTalkTransformer3DModel, settings: Settings, *, is_shared: bool
) -> None:
    """Choose how a network computes. To be called before it is shared and brought to its place.

    Args:
        transformer: Bears its LoRAs.
        settings: `attention`, `fp8_products` and `compile` are read.
        is_shared: Whether several processes share its talks.

    Raises:
        EngineUnavailable: A setting asks for what does not work here.
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
        if is_shared:
            raise EngineUnavailable("compile_shared", field="engine")
        # Sizes are variables, or each size of the pictures and each number of voices would be
        # compiled anew in the job that brings it.
        transformer.compile_repeated_blocks(dynamic=True)
    compiled = "compiled" if settings.compile else "not compiled"
    logger.info("attention: %s; products of %s; blocks %s", backend, products, compiled)


def choose_attention(
    wanted: str,
    device: torch.device,
    capability: tuple[int, int] | None,
    *,
    head_dim: int,
    is_shared: bool,
) -> str:
    """A kernel for self attention, by its name in diffusers.

    `auto` takes cuDNN's on Hopper, where it is faster than PyTorch's own choice, if it works there,
    and PyTorch's own choice elsewhere. It takes none that rounds to 8 bits, as SageAttention does,
    nor one that depends on what else is installed: a seed means the same video on all such GPUs.

    Args:
        wanted: The operator's setting.
        device: That computes.
        capability: Of the GPU, None for a CPU.
        head_dim: Channels of a head.
        is_shared: Whether several processes share the tokens.

    Raises:
        EngineUnavailable: A kernel that was asked for by name does not work here.
    """
    backend = AttentionBackendName(wanted if wanted != "auto" else _usual(capability))
    problem = _problem_of(backend, device, head_dim, is_shared=is_shared)
    if problem is None:
        return backend.value
    if wanted == "auto":
        logger.warning("attention %s does not work here: %s", backend.value, problem)
        return NATIVE.value
    raise EngineUnavailable(
        "attention_unavailable", field="engine", attention=wanted, problem=problem
    )


def use_attention(transformer: MultiTalkTransformer3DModel, backend: str) -> None:
    """Have self attention computed by a kernel; attention to text, picture and speech is native.

    Self attention is 97 % of the work of all of them. The others' few keys are what special kernels
    are neither made for nor always take.
    """
    for block in transformer.blocks:
        block.attn1.set_attention_backend(backend)
        block.attn2.set_attention_backend(NATIVE.value)
        block.audio_attn.set_attention_backend(NATIVE.value)


def _usual(capability: tuple[int, int] | None) -> str:
    cudnn = AttentionBackendName._NATIVE_CUDNN
    return (cudnn if capability == HOPPER else NATIVE).value


def _problem_of(
    backend: AttentionBackendName, device: torch.device, head_dim: int, *, is_shared: bool
) -> str | None:
    """Why a kernel cannot be used, or None."""
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
    return None if error < MOST_ERROR else f"it differs by {error:.0%} from what is right"


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
    """Why products in float8 cannot be used on a device, or None; tried on a few numbers."""
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
