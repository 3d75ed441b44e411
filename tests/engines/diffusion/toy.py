"""A MultiTalk transformer small enough for a test, with inputs that fit it."""

import torch

from multitalk.engines.diffusion.quantized import as_held
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel

NUM_FRAMES, HEIGHT, WIDTH = 3, 4, 6  # latent
SIZES = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "text_dim": 10,
    "text_len": 8,
    "freq_dim": 32,
    "ffn_dim": 48,
    "num_layers": 2,
    "image_dim": 12,
    "audio_feature_dim": 2 * 7,
    "audio_hidden_dim": 11,
    "audio_dim": 9,
    "audio_tokens": 5,
}


def toy_transformer(**changes):
    """Random weights, the same each time; norms are not left at one and zero."""
    generator = torch.Generator().manual_seed(0)
    model = MultiTalkTransformer3DModel(**{**SIZES, **changes})
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator)
            small = max(parameter.shape[-1], 4) ** -0.5
            if name.endswith("weight_scale"):
                inputs = model.get_parameter(name.removesuffix("_scale")).shape[1]
                parameter.copy_(0.01 * inputs**-0.5 * (1 + values.abs()))
            elif parameter.dtype == torch.int8:
                stored = (40 * values).clamp(-127, 127)
                in_float8 = changes["weight_storage"] == "float8_e4m3fn"
                parameter.copy_(as_held(stored.to(torch.float8_e4m3fn)) if in_float8 else stored)
            else:
                parameter.copy_((0.5 if parameter.dim() == 1 else 0) + small * values)
    return model.eval()


def toy_inputs(*, voices=2, seed=1):
    """Arguments of one forward."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape):
        return torch.randn(shape, generator=generator)

    masks = torch.zeros(voices + 1, HEIGHT, WIDTH)
    for voice in range(voices):
        masks[voice, 1:3, voice * WIDTH // voices : (voice + 1) * WIDTH // voices - 1] = 1
    masks[voices] = masks.sum(0) == 0
    return {
        "hidden_states": noise(1, 36, NUM_FRAMES, HEIGHT, WIDTH),
        "timestep": torch.tensor([620.5]),
        "encoder_hidden_states": noise(1, 6, SIZES["text_dim"]),
        "encoder_hidden_states_image": noise(1, 257, SIZES["image_dim"]),
        "audio_hidden_states": noise(voices, 4 * (NUM_FRAMES - 1) + 1, 5, 2, 7),
        "speaker_masks": masks,
    }


@torch.no_grad()
def predict(model, **arguments):
    """One forward, float32."""
    return model(**(arguments or toy_inputs())).sample.float()


TOY_WORDS = ["a", "man", "woman", "talks", "calmly", "blurred"]
TOY_SIZES = {"480p": [[32, 48], [48, 32]], "720p": [[48, 64]]}
TOY_WINDOW_FRAMES, TOY_CONDITIONING_FRAMES = 9, 5


def toy_vae(*, num_res_blocks=0):
    """Wan's VAE, with as many levels and upsamplings, narrow and shallow."""
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan(
        base_dim=4,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=num_res_blocks,
        temperal_downsample=[False, True, True],
    ).eval()


def toy_pipeline(**config):
    """The pipeline's real classes at toy sizes, with random weights that are the same each time."""
    from diffusers import FlowMatchEulerDiscreteScheduler
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

    from multitalk.engines.diffusion.pipeline import MultiTalkPipeline

    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    pieces = ["<pad>", "</s>", "<unk>", *("▁" + word for word in TOY_WORDS), "▁"]
    vae = toy_vae()
    text_encoder = UMT5EncoderModel(
        UMT5Config(
            vocab_size=200, d_model=SIZES["text_dim"], d_kv=4, d_ff=16, num_layers=2, num_heads=2
        )
    )
    image_encoder = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=SIZES["image_dim"],
            intermediate_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=28,
            patch_size=14,
        )
    )
    audio_encoder = Wav2Vec2Model(
        Wav2Vec2Config(
            hidden_size=7 * 2,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=16,
            conv_dim=(8,) * 7,
            num_conv_pos_embeddings=4,
            num_conv_pos_embedding_groups=2,
        )
    )
    torch.random.set_rng_state(state)
    return MultiTalkPipeline(
        transformer=toy_transformer(audio_feature_dim=2 * 14),
        vae=vae,
        text_encoder=text_encoder.eval(),
        tokenizer=T5Tokenizer(vocab=[(piece, -float(i)) for i, piece in enumerate(pieces)]),
        image_encoder=image_encoder.eval(),
        image_processor=CLIPImageProcessorPil(),
        audio_encoder=audio_encoder.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        **{
            "segment_frames": TOY_WINDOW_FRAMES,
            "conditioning_frames": TOY_CONDITIONING_FRAMES,
            "sizes": TOY_SIZES,
            **config,
        },
    )
