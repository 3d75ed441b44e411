"""Speech features for the diffusion engine: wav2vec 2.0's hidden states, 25 times a second.

A. Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech
Representations", 2020. The convolutional features are resampled to the video's rate before the
transformer, as MultiTalk was trained: its positions then count video frames.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import Wav2Vec2Model

Array = NDArray[np.float32]

SAMPLE_RATE = 16_000
FRAMES_PER_SECOND = 25
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAMES_PER_SECOND  # 640
VARIANCE_FLOOR = 1e-7


class SpeechEncoder:
    """A wav2vec 2.0 model that listens at the rate of the video."""

    def __init__(self, model: Wav2Vec2Model) -> None:
        self._model = model.eval()

    @staticmethod
    def load(directory: Path, *, device: str | torch.device = "cpu") -> "SpeechEncoder":
        """Open a directory in the Hugging Face layout: config.json, model.safetensors."""
        model = Wav2Vec2Model.from_pretrained(
            directory, dtype=torch.float32, local_files_only=True, attn_implementation="sdpa"
        )
        return SpeechEncoder(model.to(device))

    def talk_features(self, speech: Array) -> Array:
        """Features of a whole voice, silence added to its last frame.

        Args:
            speech: Mono [S] at 16 kHz, S > 0.

        Returns:
            Float32 [T, L, C] with T = ceil(S / 640). Zeros if nothing at all is heard: that is how
            the network is told that nobody speaks, while the features of silence mean a pause.
        """
        num_frames = -(-len(speech) // SAMPLES_PER_FRAME)
        if not np.any(speech):
            config = self._model.config
            return np.zeros((num_frames, config.num_hidden_layers, config.hidden_size), np.float32)
        heard = normalized(speech)
        padding = num_frames * SAMPLES_PER_FRAME - len(heard)
        return self._features(np.pad(heard, (0, padding)), num_frames)

    def features(self, speech: Array, *, num_frames: int) -> Array:
        """Features of exactly these samples, spread over a number of frames.

        Args:
            speech: Mono [S] at 16 kHz, S >= 400 so that the convolutions have something to hear.
            num_frames: T.

        Returns:
            Float32 [T, L, C]: every layer's hidden state, the first layer first.
        """
        return self._features(normalized(speech), num_frames)

    @torch.inference_mode()
    def _features(self, heard: Array, num_frames: int) -> Array:
        samples = torch.from_numpy(heard)[None].to(self._model.device)
        convolved = self._model.feature_extractor(samples)  # [1, C', 50 a second]
        states, _ = self._model.feature_projection(at_video_rate(convolved, num_frames))
        layers: list[Tensor] = []
        # The library's own `output_hidden_states` is ignored by the encoder when called directly.
        hooks = [
            layer.register_forward_hook(lambda _layer, _inputs, output: layers.append(output))
            for layer in self._model.encoder.layers
        ]
        try:
            self._model.encoder(states)
        finally:
            for hook in hooks:
                hook.remove()
        outputs = [layer[0] if isinstance(layer, tuple) else layer for layer in layers]
        features: Array = torch.stack([output[0] for output in outputs], dim=1).cpu().numpy()
        return features


def normalized(speech: Array) -> Array:
    """A voice with mean zero and variance one; digital silence stays zero."""
    samples = np.asarray(speech, np.float32)
    deviation = np.sqrt(samples.var(dtype=np.float64) + VARIANCE_FLOOR)
    return ((samples - samples.mean(dtype=np.float64)) / deviation).astype(np.float32)


def at_video_rate(convolved: Tensor, num_frames: int) -> Tensor:
    """Resample in time so that the first and the last step stay: [1, C, N] -> [1, T, C]."""
    resampled = functional.interpolate(
        convolved, size=num_frames, mode="linear", align_corners=True
    )
    return resampled.transpose(1, 2)
