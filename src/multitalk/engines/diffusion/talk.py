"""One talk: the inputs that it is made of, and the network with its prompts and voices bound.

`TalkInputs` is what the pipeline takes, and what processes that share the talk exchange.
`TalkModel` is the transformer as the sampler's model. Conditions that do not depend on the timestep
are computed once for a window and branch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multitalk.array_types import Array
from multitalk.boxes import Box
from multitalk.engines.base import Footage
from multitalk.engines.diffusion.continuation import ImageConditioning
from multitalk.engines.diffusion.guidance import PROMPTED, Branch
from multitalk.engines.diffusion.parallel import SingleProcess, TalkGroup
from multitalk.engines.diffusion.resolution_buckets import DEFAULT_RESOLUTION, Resolution
from multitalk.engines.diffusion.sampler import Denoiser, SampleOptions
from multitalk.engines.diffusion.step_cache import StepCache
from multitalk.engines.diffusion.transformer import CachedConditions, MultiTalkTransformer3DModel
from multitalk.engines.diffusion.windows import FeatureTrack, Window, feature_rows, frame_features
from multitalk.timebase import SAMPLES_PER_FRAME


class FinishedLatents(Protocol):
    """Latents of an earlier talk's first windows, which may be read lazily."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Array:
        """Of a window, float32 [16, t, h, w]."""
        ...


@dataclass(frozen=True)
class TalkInputs:
    """Everything that a talk's frames depend on, beside the weights. Picklable.

    Attributes:
        picture: RGB uint8 [H, W, 3] of any size; with footage, its frame 0.
        prompt: What the video shows.
        voices: One per speaker, float32 [S] at 16 kHz.
        num_frames: T, at least 1.
        negative_prompt: What the video does not show; read where the text guidance scale is not 1.
        boxes: Where each speaker is, in pixels of the picture; None for strips, left to right.
        footage: The moving source that each window is shown at its start; only InfiniteTalk.
        finished: Latents of windows that the talk begins with: those of an earlier one of the same
            picture, voices and lengths, and fewer than it has. They are only decoded.
        resolution: Picks the sizes to choose from.
        sampling: Steps, guidance and colours.
        seed: Of the noise; the same one gives the same video, whatever the device.
    """

    picture: NDArray[np.uint8]
    prompt: str
    voices: Sequence[Array]
    num_frames: int
    negative_prompt: str = ""
    boxes: Sequence[Box] | None = None
    footage: Footage | None = None
    finished: FinishedLatents = ()
    resolution: Resolution = DEFAULT_RESOLUTION
    sampling: SampleOptions = field(default_factory=SampleOptions)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what can be checked without the weights.

        Raises:
            ValueError: No picture in colours, no voice, an empty one, one with numbers that are not
                finite, no frame, no step, or not a box for each voice.
        """
        picture = self.picture
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError(f"picture: uint8 [H, W, 3], not {picture.dtype} {picture.shape}")
        _check_voices(self.voices)
        if not all(np.isfinite(voice).all() for voice in self.voices):
            raise ValueError("voices: numbers that are not finite")
        if self.boxes is not None and len(self.boxes) != len(self.voices):
            raise ValueError(f"{len(self.boxes)} boxes for {len(self.voices)} voices")
        if self.num_frames < 1 or self.sampling.num_inference_steps < 1:
            raise ValueError("num_frames and num_inference_steps begin at 1")


def frames_of_longest(voices: Sequence[Array]) -> int:
    """Frames of the longest voice, the last one begun.

    Raises:
        ValueError: No voice, or an empty one.
    """
    _check_voices(voices)
    return max(-(-len(voice) // SAMPLES_PER_FRAME) for voice in voices)


def _check_voices(voices: Sequence[Array]) -> None:
    if not voices or any(voice.ndim != 1 or not len(voice) for voice in voices):
        raise ValueError("voices: at least one, each with samples [S], S > 0")


EncodePicture = Callable[[Tensor], Tensor]  # RGB in [-1, 1], [3, H, W] -> [257, channels]


class TalkModel:
    """The sampler's `WindowModel` of one talk."""

    def __init__(
        self,
        transformer: MultiTalkTransformer3DModel,
        encode_picture: EncodePicture,
        *,
        prompt: Tensor,
        negative_prompt: Tensor | None,
        tracks: Sequence[FeatureTrack],
        masks: Tensor | None = None,
        step_cache: StepCache | None = None,
        group: TalkGroup | None = None,
    ) -> None:
        """Bind the talk's conditions.

        Args:
            transformer: On its device.
            encode_picture: The image encoder.
            prompt: Text states without padding, [tokens, text_dim].
            negative_prompt: Likewise; None if no branch uses it.
            tracks: Speech features of each speaker, rows [L, C]; at least one.
            masks: Of the speakers and the background, [N + 1, h, w] on the latent grid; None if one
                person speaks.
            step_cache: Skips steps, or None to compute them all.
            group: The processes that share the talk; None for this one alone.
        """
        self._transformer = transformer
        self._encode_picture = encode_picture
        self._prompt, self._negative_prompt = prompt, negative_prompt
        self._tracks, self._masks = tracks, masks
        self._step_cache = step_cache
        self._group = group or SingleProcess()

    def speech_features(self, window: Window) -> Tensor:
        """Features of all voices in a window, [N, T, AUDIO_WINDOW, L, C]."""
        features = [
            frame_features(track, feature_rows(window, len(track))) for track in self._tracks
        ]
        return torch.stack([torch.from_numpy(of_voice) for of_voice in features])

    @torch.no_grad()
    def bind(self, window: Window, conditioning: ImageConditioning) -> Denoiser:
        """Prepare what all steps of a window share."""
        device, dtype = self._transformer.device, self._transformer.dtype
        if self._step_cache is not None:
            self._step_cache.reset()
        voices = self.speech_features(window).to(device, dtype)
        picture = self._encode_picture(conditioning.picture)[None].to(device, dtype)
        no_voice = torch.zeros_like(voices[:1])
        masks = None if self._masks is None else self._masks.to(device)
        shared: dict[Branch, CachedConditions] = {}

        def predict(latents: Tensor, timestep: Tensor, branch: Branch) -> Tensor:
            text = self._prompt if branch in PROMPTED else self._negative_prompt
            if text is None:
                raise ValueError(f"the branch {branch} needs a negative prompt")
            seen = torch.cat([latents, conditioning.latents])[None].to(device, dtype)
            predicted = self._transformer(
                hidden_states=seen,
                timestep=timestep.reshape(1).to(device),
                encoder_hidden_states=text[None].to(device, dtype),
                encoder_hidden_states_image=picture,
                audio_hidden_states=voices if branch in ("full", "voice") else no_voice,
                speaker_masks=masks,
                conditioning=shared.setdefault(branch, CachedConditions()),
                blocks_runner=self._step_cache.runner(branch) if self._step_cache else None,
                return_dict=False,
            )
            velocity: Tensor = predicted[0][0]
            return velocity

        @torch.no_grad()
        def denoise(
            latents: Tensor, timestep: Tensor, branches: Sequence[Branch]
        ) -> Mapping[Branch, Tensor]:
            return self._group.predict_branches(branches, partial(predict, latents, timestep))

        return denoise
