"""The transformer with a talk's prompts and voices bound, as the sampler's model.

Conditions that do not depend on the timestep are computed once for a window and branch.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from multitalk.engines.diffusion.continuation import ImageConditioning
from multitalk.engines.diffusion.guidance import PROMPTED, Branch
from multitalk.engines.diffusion.parallel import SingleProcess, TalkGroup
from multitalk.engines.diffusion.sampler import Denoiser
from multitalk.engines.diffusion.step_cache import StepCache
from multitalk.engines.diffusion.transformer import CachedConditions, MultiTalkTransformer3DModel
from multitalk.engines.diffusion.windows import FeatureTrack, Window, feature_rows, frame_features

PictureEncoder = Callable[[Tensor], Tensor]  # RGB in [-1, 1], [3, H, W] -> [257, channels]


class TalkModel:
    """The sampler's `WindowModel` of one talk."""

    def __init__(
        self,
        transformer: MultiTalkTransformer3DModel,
        encode_picture: PictureEncoder,
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
