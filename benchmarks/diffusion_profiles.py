"""Sets of steps and scales to sample with, as published for the weights they belong to."""

from dataclasses import dataclass

from multitalk.engines.diffusion.guidance import Guidance


@dataclass(frozen=True)
class Profile:
    """How many steps, and which branches each one asks for."""

    num_inference_steps: int
    guidance: Guidance


PROFILES = {
    "quality": Profile(40, Guidance(text_scale=5.0, audio_scale=4.0)),
    "fusionx": Profile(8, Guidance(text_scale=1.0, audio_scale=2.0)),
    "lightx2v": Profile(4, Guidance(text_scale=1.0, audio_scale=2.0)),
}
