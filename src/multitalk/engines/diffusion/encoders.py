"""Encoders of a talk's inputs: prompts by UMT5, the picture by CLIP, voices by wav2vec 2.0."""

import hashlib
import html
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from multitalk.engines.diffusion.offload import OffloadedWeights
from multitalk.speech.talk_features import Pauses, TalkFeatures
from multitalk.speech.wav2vec2 import SpeechEncoder

CACHED_PROMPTS = 16  # 4 MB each at real size
CACHED_PICTURES = 8  # 1 MB each


class EncoderMixin:
    """Encodes prompts, pictures and voices with the components of a diffusers pipeline.

    An encoder on another device than the transformer is copied there while it works.
    """

    # Registered components of the pipeline.
    transformer: Any
    text_encoder: Any
    tokenizer: Any
    image_encoder: Any
    image_processor: Any
    audio_encoder: Any

    def __init__(self) -> None:
        super().__init__()
        self._prompt_cache: LruCache = LruCache(CACHED_PROMPTS)
        self._picture_cache: LruCache = LruCache(CACHED_PICTURES)

    @torch.no_grad()
    def encode_prompt(self, prompt: str) -> Tensor:
        """The text encoder's states without padding, [tokens, text_dim]; cached."""
        text = clean_prompt(prompt)
        return self._prompt_cache.get(text, lambda: self._encode_text(text))

    def _encode_text(self, text: str) -> Tensor:
        tokens = self.tokenizer(
            text,
            max_length=self.transformer.config.text_len,
            truncation=True,
            return_attention_mask=True,
            return_tensors="pt",
        )
        with self._onloaded(self.text_encoder) as device:
            states: Tensor = self.text_encoder(
                tokens.input_ids.to(device), tokens.attention_mask.to(device)
            ).last_hidden_state
        return states[0]

    @torch.no_grad()
    def encode_picture(self, picture: Tensor) -> Tensor:
        """RGB in [-1, 1], [3, H, W] -> CLIP's states [257, image_dim], last layer but one; cached.

        The whole picture is squeezed into CLIP's square, as Wan was trained, not cropped to it.
        """
        pixels = picture.detach().float().cpu().contiguous().numpy()
        key = (pixels.shape, hashlib.blake2b(pixels.tobytes()).digest())
        return self._picture_cache.get(key, lambda: self._encode_pixels(picture))

    def _encode_pixels(self, picture: Tensor) -> Tensor:
        side = self.image_encoder.config.image_size
        squeezed = functional.interpolate(
            picture[None].float(), size=(side, side), mode="bicubic", align_corners=False
        )
        mean, deviation = (
            torch.tensor(colors, device=picture.device)[:, None, None]
            for colors in (self.image_processor.image_mean, self.image_processor.image_std)
        )
        normalized = ((squeezed + 1) / 2 - mean) / deviation
        with self._onloaded(self.image_encoder) as device:
            states: Tensor = self.image_encoder(
                normalized.to(device, self.image_encoder.dtype), output_hidden_states=True
            ).hidden_states[-2]
        return states[0]

    def encode_speech(
        self, speech: NDArray[np.float32], *, pauses: Pauses = "encoded"
    ) -> TalkFeatures:
        """A voice [S] at 16 kHz -> its features, computed lazily."""
        encoder = SpeechEncoder(self.audio_encoder, partial(self._onloaded, self.audio_encoder))
        return encoder.talk_features(speech, pauses=pauses)

    @contextmanager
    def _onloaded(self, component: nn.Module) -> Iterator[torch.device]:
        """Copy a component to the transformer's device for a while."""
        device: torch.device = self.transformer.device
        if component.device == device:
            yield device
            return
        weights = OffloadedWeights(component)
        try:
            weights.onload(device)  # may run out of memory half-way
            yield device
        finally:
            weights.offload()
            if device.type == "cuda":
                torch.cuda.empty_cache()  # the transformer needs the memory


class LruCache:
    """The most recently used results of a slow computation."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[object, Tensor] = OrderedDict()

    def get(self, key: object, compute: Callable[[], Tensor]) -> Tensor:
        """The cached result for a key, or a new one."""
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key]
        result = self._entries[key] = compute()
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
        return result


def clean_prompt(prompt: str) -> str:
    """One line of composed characters (NFC), with HTML entities resolved twice."""
    text = html.unescape(html.unescape(unicodedata.normalize("NFC", prompt)))
    return " ".join(text.split())
