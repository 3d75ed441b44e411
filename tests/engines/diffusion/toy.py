"""A MultiTalk transformer small enough for a test, with inputs that fit it."""

import torch

from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel

NUM_FRAMES, HEIGHT, WIDTH = 3, 4, 6  # latent
SIZES = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "text_dim": 10,
    "text_len": 8,
    "freq_dim": 32,
    "ffn_dim": 48,
    "num_layers": 3,
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
                parameter.copy_((40 * values).clamp(-127, 127))
            elif parameter.dtype == torch.uint8:  # bits of float8
                parameter.copy_((40 * values).to(torch.float8_e4m3fn).view(torch.uint8))
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
