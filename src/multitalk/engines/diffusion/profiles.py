"""Profiles: named schedules, each for the weights that it was distilled or published for.

The figures are those that MultiTalk's authors publish with each set of weights, but for `realtime`,
which is ours: the fewest forwards that distilled weights allow. Distilled weights bear a word of
their profile's in their file's name, be they a LoRA or merged into the network, or their weight set
says it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from multitalk.engines.base import RenderOptions
from multitalk.engines.diffusion.buckets import Resolution
from multitalk.errors import EngineUnavailable, InvalidRequest
from multitalk.schema import ProfileName
from multitalk.schema.validation import brief

# What a request may state itself, by the name of the field.
STATED = (
    "num_inference_steps",
    "text_guidance_scale",
    "audio_guidance_scale",
    "negative_prompt",
)
# A text scale above 1 pushes every frame away from what this says. The published pipeline has one
# of this meaning, which it takes where none is stated.
UNWANTED = (
    "low quality, a blurred picture, block artefacts and noise, dull grey or overexposed colours, "
    "a motionless picture, a painting, subtitles, written words, a logo or watermark, a twisted or "
    "ugly face, malformed hands, missing, merged or too many fingers, misshapen or too many limbs, "
    "a restless background, a crowd behind the speaker"
)


@dataclass(frozen=True)
class Profile:
    """A named schedule.

    Attributes:
        name: As a request says it.
        num_inference_steps: Of each segment.
        text_guidance_scale: 1 asks the network half as often.
        audio_guidance_scale: Likewise.
        shifts: Of the timesteps, by resolution.
        negative_prompt: What the video must not show.
        lora: The published file that it needs, where its weights are not merged in; None for the
            weights as they were trained.
        distilled: The word in that file's name that tells it.
    """

    name: ProfileName
    num_inference_steps: int
    text_guidance_scale: float
    audio_guidance_scale: float
    shifts: Mapping[Resolution, float]
    negative_prompt: str = ""
    lora: str | None = None
    distilled: str | None = None

    def owns(self, file: str) -> bool:
        """Whether a file of weights, by its name, is distilled for this profile."""
        return self.distilled is not None and self.distilled in file.casefold()

    def stated(self, options: RenderOptions) -> "Profile":
        """The profile, but for what a request states itself."""
        stated = {
            name: getattr(options, name) for name in STATED if getattr(options, name) is not None
        }
        shifts = self.shifts
        if options.shift is not None:
            shifts = dict.fromkeys(shifts, options.shift)
        return replace(self, shifts=shifts, **stated)


# All that there are, in the order in which a worker takes one, where the request names none.
PROFILES = (
    Profile(
        "fusionx",
        num_inference_steps=8,
        text_guidance_scale=1.0,
        audio_guidance_scale=2.0,
        shifts={"480p": 2.0, "720p": 2.0},
        lora="Wan2.1_I2V_14B_FusionX_LoRA.safetensors",
        distilled="fusionx",
    ),
    Profile(
        "lightx2v",
        num_inference_steps=4,
        text_guidance_scale=1.0,
        audio_guidance_scale=2.0,
        shifts={"480p": 2.0, "720p": 2.0},
        lora="Wan21_T2V_14B_lightx2v_cfg_step_distill_lora_rank32.safetensors",
        distilled="lightx2v",
    ),
    Profile(
        "realtime",
        num_inference_steps=4,
        text_guidance_scale=1.0,
        audio_guidance_scale=1.0,
        shifts={"480p": 2.0, "720p": 2.0},
        lora="Wan21_T2V_14B_lightx2v_cfg_step_distill_lora_rank32.safetensors",
        distilled="lightx2v",
    ),
    Profile(
        "quality",
        num_inference_steps=40,
        text_guidance_scale=5.0,
        audio_guidance_scale=4.0,
        shifts={"480p": 7.0, "720p": 11.0},
        negative_prompt=UNWANTED,
    ),
)


def offered(
    network: Path, loras: Sequence[str], *, distilled_for: str | None = None
) -> tuple[Profile, ...]:
    """The profiles that weights and LoRAs allow, the default one first; at least one.

    Args:
        network: The transformer's file, or the folder of its files.
        loras: Names of the LoRA files.
        distilled_for: The name of the weights' own profile, where more than their name says it.

    Raises:
        EngineUnavailable: A LoRA for a profile, where the weights have one merged in already.
    """
    files = [network.name, *(file.name for file in network.glob("*.safetensors"))]
    merged = tuple(
        profile
        for profile in PROFILES
        if profile.name == distilled_for or any(map(profile.owns, files))
    )
    if not merged:
        return tuple(
            profile for profile in PROFILES if profile.lora is None or any(map(profile.owns, loras))
        )
    for lora in loras:
        if any(profile.owns(lora) for profile in PROFILES):
            raise EngineUnavailable(
                "lora_on_merged_weights", field="engine", file=lora, merged=merged[0].name
            )
    return merged


def picked(name: str | None, offer: Iterable[Profile]) -> Profile:
    """The profile of that name, or the default one.

    Raises:
        InvalidRequest: There is none of that name in the offer.
    """
    profiles = {profile.name: profile for profile in offer}
    if name is None:
        return next(iter(profiles.values()))
    if name not in profiles:
        raise InvalidRequest(
            "profile_not_offered", field="profile", value=brief(name), names=", ".join(profiles)
        )
    return profiles[name]
