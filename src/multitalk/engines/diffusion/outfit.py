"""What a job's profile puts on the network: the operator's LoRAs, switched on or off by job."""

import logging
from collections.abc import Sequence
from pathlib import Path

from multitalk.engines.diffusion.lora import AttachedLoras, LoraMismatch, read_lora
from multitalk.engines.diffusion.profiles import PROFILES, Profile, offered, picked
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel
from multitalk.errors import EngineUnavailable
from multitalk.settings import LoraFile

SHOWN_PROBLEMS = 3

logger = logging.getLogger(__name__)


class Outfit:
    """The profiles of one network, and its LoRAs.

    A LoRA whose file bears a profile's name works in that profile only; any other works in all.

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
        """Attach the LoRAs. To be called before the network is brought to its place.

        Args:
            transformer: Bears no LoRA yet.
            network: The file or folder that it was opened from.
            loras: To attach.
            distilled_for: The name of the network's own profile, where its weight set says it.

        Raises:
            EngineUnavailable: A LoRA does not fit the network, or the weights' own profile.
        """
        names = [lora.path.name for lora in loras]
        self.profiles = offered(network, names, distilled_for=distilled_for)
        self._attached = AttachedLoras(transformer)
        for lora in loras:
            try:
                self._attached.add(read_lora(lora.path, transformer), scale=lora.scale)
            except LoraMismatch as error:
                logger.warning("%s: %s", lora.path, error)
                problems = "; ".join(error.problems[:SHOWN_PROBLEMS])
                raise EngineUnavailable(
                    "lora_unusable", field="engine", file=lora.path.name, problems=problems
                ) from error
        owners = [[profile for profile in PROFILES if profile.owns(name)] for name in names]
        self._of_profile = {
            profile.name: [i for i, own in enumerate(owners) if not own or profile in own]
            for profile in self.profiles
        }
        logger.info("profiles: %s", ", ".join(profile.name for profile in self.profiles))

    def put_on(self, name: str | None) -> Profile:
        """Turn on the LoRAs of a profile, or of the default one, and the others off.

        Raises:
            InvalidRequest: There is no such profile here.
        """
        profile = picked(name, self.profiles)
        self._attached.use(self._of_profile[profile.name])
        return profile
