"""The diffusion engine's networks with random weights, and what to feed them: real or toy sizes."""

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler
from torch import nn
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
)

from diffusion_cost import PICTURE_TOKENS, Size
from multitalk.engines.diffusion.pipeline import MultiTalkPipeline
from multitalk.engines.diffusion.segments import latent_frames
from multitalk.engines.diffusion.transformer import Conditioning, MultiTalkTransformer3DModel

TEXT_TOKENS = 60  # of a prompt, before padding
STEP = 700.0  # a timestep; all cost the same
WORD = "speaks"

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Scale:
    """How large everything is, and where it lies.

    Attributes:
        device: That computes.
        pixels: Height and width of the video.
        segment_frames: Of a window.
        conditioning_frames: That a window shares with the one before.
        matmul: Side of the matrices whose product tells what the device can do.
        compiler: Of the blocks, by torch.compile's name.
        transformer: Options of the network, where they are not the published ones; so are the rest.
    """

    device: str
    pixels: tuple[int, int]
    segment_frames: int
    conditioning_frames: int
    matmul: int
    compiler: str
    transformer: Config
    vae: Config
    text_encoder: Config
    image_encoder: Config
    audio_encoder: Config

    @property
    def size(self) -> Size:
        """Of a window's latents."""
        height, width = self.pixels
        return Size(latent_frames(self.segment_frames), height // 8, width // 8)


REAL = Scale(
    device="cuda",
    pixels=(448, 832),
    segment_frames=81,
    conditioning_frames=25,
    matmul=8192,
    compiler="inductor",
    transformer={},
    vae={},
    text_encoder={
        "vocab_size": 256_384,
        "d_model": 4096,
        "d_kv": 64,
        "d_ff": 10_240,
        "num_layers": 24,
        "num_heads": 64,
    },
    image_encoder={
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
        "hidden_act": "gelu",
    },
    audio_encoder={},
)
# The same code in seconds, without a GPU.
TOY = Scale(
    device="cpu",
    pixels=(64, 96),
    segment_frames=9,
    conditioning_frames=5,
    matmul=256,
    compiler="eager",
    transformer={
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "text_dim": 16,
        "text_len": 64,
        "freq_dim": 32,
        "ffn_dim": 48,
        "num_layers": 2,
        "image_dim": 16,
        "audio_feature_dim": 2 * 16,
        "audio_hidden_dim": 8,
        "audio_dim": 8,
        "audio_tokens": 4,
    },
    vae={"base_dim": 4, "num_res_blocks": 1},
    text_encoder={
        "vocab_size": 200,
        "d_model": 16,
        "d_kv": 4,
        "d_ff": 16,
        "num_layers": 2,
        "num_heads": 2,
    },
    image_encoder={
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 224,
        "patch_size": 14,
    },
    audio_encoder={
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "conv_dim": (8,) * 7,
        "num_conv_pos_embeddings": 4,
        "num_conv_pos_embedding_groups": 2,
    },
)


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


def make_pipeline(scale: Scale, transformer: MultiTalkTransformer3DModel) -> MultiTalkPipeline:
    """The pipeline around a transformer, its encoders and VAE with random weights too."""
    torch.manual_seed(0)
    with made_on(scale.device, torch.bfloat16):
        text_encoder = UMT5EncoderModel(UMT5Config(**scale.text_encoder))
    with made_on(scale.device, torch.float32):
        vae = AutoencoderKLWan(**scale.vae)
        image_encoder = CLIPVisionModel(CLIPVisionConfig(**scale.image_encoder))
        audio_encoder = Wav2Vec2Model(Wav2Vec2Config(**scale.audio_encoder))
    pieces = ["<pad>", "</s>", "<unk>", f"▁{WORD}", "▁"]
    networks = (vae, text_encoder, image_encoder, audio_encoder)
    vae, text_encoder, image_encoder, audio_encoder = (network.eval() for network in networks)
    return MultiTalkPipeline(
        transformer=transformer,
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=T5Tokenizer(vocab=[(piece, -float(i)) for i, piece in enumerate(pieces)]),
        image_encoder=image_encoder,
        image_processor=CLIPImageProcessorPil(),
        audio_encoder=audio_encoder,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        segment_frames=scale.segment_frames,
        conditioning_frames=scale.conditioning_frames,
        sizes={"480p": [list(scale.pixels)]},
    )


def make_inputs(
    model: MultiTalkTransformer3DModel, size: Size, speakers: int
) -> dict[str, torch.Tensor]:
    """Random arguments of a forward; two speakers sit left and right."""
    config, device, dtype = model.config, model.device, model.proj_out.weight.dtype
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
    conditioning: Conditioning | None = None,
) -> torch.Tensor:
    """One forward."""
    return model(**inputs, conditioning=conditioning, return_dict=False)[0]
