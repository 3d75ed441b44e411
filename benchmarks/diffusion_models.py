"""The diffusion engine's network with random weights, and what to feed it."""

from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from diffusion_cost import PICTURE_TOKENS, Size
from multitalk.engines.diffusion.transformer import CachedConditions, MultiTalkTransformer3DModel

TEXT_TOKENS = 60  # of a prompt, before padding
STEP = 700.0  # a timestep; all cost the same

Config = Mapping[str, Any]


@contextmanager
def made_on(device: str, dtype: torch.dtype):
    """New networks are made there and so, without a detour over main memory."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(usual)


def make_transformer(
    config: Config, device: str, dtype: torch.dtype
) -> MultiTalkTransformer3DModel:
    """A network of random weights, made where and as it is used, float32 where it has to be."""
    torch.manual_seed(0)
    with made_on(device, dtype):
        model = MultiTalkTransformer3DModel(**config)
    for name, parameter in model.named_parameters():
        if any(kept in name.split(".") for kept in model._keep_in_fp32_modules):
            parameter.data = parameter.data.float()
    return model.eval().requires_grad_(False)


def make_quantized(config: Config, storage: str, device: str) -> MultiTalkTransformer3DModel:
    """The same with the blocks' Linear layers in 8 bits, as the published files have them."""
    with torch.device("meta"):
        names = MultiTalkTransformer3DModel(**config).named_modules()
    outside = [
        name
        for name, module in names
        if isinstance(module, nn.Linear) and not name.startswith("blocks.")
    ]
    options = {**config, "weight_storage": storage, "full_precision_modules": tuple(outside)}
    model = make_transformer(options, device, torch.bfloat16)
    for module in model.modules():
        scale = getattr(module, "weight_scale", None)
        if scale is None:
            continue
        if storage == "int8":
            module.weight.data.random_(-127, 128)
        else:
            values = torch.randn(module.weight.shape, device=device, dtype=torch.bfloat16)
            module.weight.data = (100 * values).to(torch.float8_e4m3fn).view(torch.int8)
        scale.data.fill_(0.01 * module.in_features**-0.5)
    return model


def make_inputs(
    model: MultiTalkTransformer3DModel, size: Size, speakers: int
) -> dict[str, torch.Tensor]:
    """Random arguments of a forward; two speakers sit left and right."""
    config, device, dtype = model.config, model.device, model.patch_embedding.weight.dtype
    generator = torch.Generator(device).manual_seed(1)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device=device).to(dtype)

    num_frames = config.frames_per_latent * (size.frames - 1) + 1
    masks = torch.zeros(speakers + 1, size.height, size.width, device=device)
    strip, edge = size.width // speakers, max(1, size.height // 8)
    for speaker in range(speakers):
        columns = slice(speaker * strip + edge, (speaker + 1) * strip - edge)
        masks[speaker, edge:-edge, columns] = 1
    masks[-1] = 1 - masks[:-1].sum(0)
    return {
        "hidden_states": random(1, config.in_channels, size.frames, size.height, size.width),
        "timestep": torch.tensor([STEP], device=device),
        "encoder_hidden_states": random(1, min(TEXT_TOKENS, config.text_len), config.text_dim),
        "encoder_hidden_states_image": random(1, PICTURE_TOKENS, config.image_dim),
        "audio_hidden_states": random(
            speakers, num_frames, config.audio_window, 1, config.audio_feature_dim
        ),
        "speaker_masks": masks,
    }


@torch.no_grad()
def forward(
    model: MultiTalkTransformer3DModel,
    inputs: Mapping[str, torch.Tensor],
    conditioning: CachedConditions | None = None,
) -> torch.Tensor:
    """One forward."""
    return model(**inputs, conditioning=conditioning, return_dict=False)[0]
