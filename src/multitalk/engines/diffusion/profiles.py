"""Profiles: named schedules, each for the weights that it was distilled or published for.

The figures are those that MultiTalk's authors publish with each set of weights, except those of
`realtime`: the fewest forwards that distilled weights allow. Distilled weights have a word of their
profile in their file's name, be they a LoRA or merged into the network, or their weight set names
the profile.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from multitalk.engines.base import RenderOptions
from multitalk.engines.diffusion.lora import AttachedLoras, LoraMismatch, read_lora
from multitalk.engines.diffusion.resolution_buckets import Resolution
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel
from multitalk.errors import EngineUnavailable, InvalidRequest
from multitalk.schema import ProfileName
from multitalk.schema.validation import brief
from multitalk.settings import LoraFile

# Fields of a request that override the profile's.
OVERRIDABLE = (
    "num_inference_steps",
    "text_guidance_scale",
    "audio_guidance_scale",
    "negative_prompt",
)
# A text scale above 1 pushes every frame away from this prompt. The published pipeline has one of
# this meaning as its default.
NEGATIVE_PROMPT = (
    "low quality, a blurred picture, block artefacts and noise, dull grey or overexposed colours, "
    "a motionless picture, a painting, subtitles, written words, a logo or watermark, a twisted or "
    "ugly face, malformed hands, missing, merged or too many fingers, misshapen or too many limbs, "
    "a restless background, a crowd behind the speaker"
)


@dataclass(frozen=True)
class Profile:
    """A named schedule.

    Attributes:
        name: In requests.
        num_inference_steps: Of each window.
        text_guidance_scale: 1 needs half as many forwards.
        audio_guidance_scale: Likewise.
        shifts: Of the timesteps, by resolution.
        negative_prompt: What the video must not show.
        lora: The published file that it needs, unless its weights are merged into the network; None
            for the weights as trained.
        distilled: A word in that file's name.
    """

    name: ProfileName
    num_inference_steps: int
    text_guidance_scale: float
    audio_guidance_scale: float
    shifts: Mapping[Resolution, float]
    negative_prompt: str = ""
    lora: str | None = None
    distilled: str | None = None

    def matches(self, file: str) -> bool:
        """True if a file of weights, by its name, is distilled for this profile."""
        return self.distilled is not None and self.distilled in file.casefold()

    def overridden_by(self, options: RenderOptions) -> "Profile":
        """The profile with the values that a request states itself."""
        values = {
            name: getattr(options, name)
            for name in OVERRIDABLE
            if getattr(options, name) is not None
        }
        shifts = self.shifts
        if options.shift is not None:
            shifts = dict.fromkeys(shifts, options.shift)
        return replace(self, shifts=shifts, **values)


# The first one that the weights allow is the default.
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
        negative_prompt=NEGATIVE_PROMPT,
    ),
)


def available_profiles(
    network: Path, loras: Sequence[str], *, distilled_for: str | None = None
) -> tuple[Profile, ...]:
    """The profiles that weights and LoRAs allow, the default one first; at least one.

    Args:
        network: The transformer's file, or the folder of its files.
        loras: Names of the LoRA files.
        distilled_for: Name of the profile by the weight set; else file names show it.

    Raises:
        EngineUnavailable: A LoRA for a profile, where the weights have one merged in already.
    """
    files = [network.name, *(file.name for file in network.glob("*.safetensors"))]
    merged = tuple(
        profile
        for profile in PROFILES
        if profile.name == distilled_for or any(map(profile.matches, files))
    )
    distilled = [lora for lora in loras if profiles_of(lora)]
    if merged and distilled:
        raise EngineUnavailable(
            "lora_on_merged_weights", field="engine", file=distilled[0], merged=merged[0].name
        )
    unmerged = (
        profile for profile in PROFILES if profile.lora is None or any(map(profile.matches, loras))
    )
    return merged or tuple(unmerged)


def profiles_of(file: str) -> list[Profile]:
    """The profiles that a file of weights, by its name, is distilled for."""
    return [profile for profile in PROFILES if profile.matches(file)]


def choose_profile(name: str | None, profiles: Iterable[Profile]) -> Profile:
    """The profile of a name, or the default one.

    Raises:
        InvalidRequest: There is none of that name.
    """
    by_name = {profile.name: profile for profile in profiles}
    if name is None:
        return next(iter(by_name.values()))
    if name not in by_name:
        raise InvalidRequest(
            "profile_not_offered", field="profile", value=brief(name), names=", ".join(by_name)
        )
    return by_name[name]


SHOWN_PROBLEMS = 3

logger = logging.getLogger(__name__)


def _attach(
    attached: AttachedLoras, lora: LoraFile, transformer: MultiTalkTransformer3DModel
) -> None:
    try:
        attached.add(read_lora(lora.path, transformer), scale=lora.scale)
    except LoraMismatch as error:
        logger.warning("%s: %s", lora.path, error)
        problems = "; ".join(error.problems[:SHOWN_PROBLEMS])
        raise EngineUnavailable(
            "lora_unusable", field="engine", file=lora.path.name, problems=problems
        ) from error


def _loras_of(profile: Profile, names: Sequence[str]) -> list[int]:
    """Numbers of the LoRAs that work in a profile: its own, and those of no profile."""
    owners = [profiles_of(name) for name in names]
    return [number for number, own in enumerate(owners) if not own or profile in own]


class LoraProfiles:
    """The profiles of a network, and the operator's LoRAs, switched by job.

    A LoRA whose file name has a profile's word works in that profile only; any other in all.

    Attributes:
        profiles: That a request can name, the default one first.
    """

    def __init__(
        self,
        transformer: MultiTalkTransformer3DModel,
        network: Path,
        loras: Sequence[LoraFile] = (),
        *,
        distilled_for: str | None = None,
    ) -> None:
        """Attach the LoRAs. To be called before the network is moved to its device.

        Args:
            transformer: Without LoRAs.
            network: The file or folder that it was opened from.
            loras: To attach.
            distilled_for: Name of the network's own profile, by its weight set.

        Raises:
            EngineUnavailable: A LoRA does not fit the network, or the weights' own profile.
        """
        names = [lora.path.name for lora in loras]
        self.profiles = available_profiles(network, names, distilled_for=distilled_for)
        self._attached = AttachedLoras(transformer)
        for lora in loras:
            _attach(self._attached, lora, transformer)
        self._active = {profile.name: _loras_of(profile, names) for profile in self.profiles}
        logger.info("profiles: %s", ", ".join(profile.name for profile in self.profiles))

    def activate(self, name: str | None) -> Profile:
        """Enable the LoRAs of a profile, or of the default one, and disable the others.

        Raises:
            InvalidRequest: There is no such profile here.
        """
        profile = choose_profile(name, self.profiles)
        self._attached.enable(self._active[profile.name])
        return profile
