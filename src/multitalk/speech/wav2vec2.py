"""Speech features for the diffusion engine: wav2vec 2.0's hidden states, 25 times a second.

A. Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech
Representations", 2020. The convolutional features are resampled to the video's rate before the
transformer, as MultiTalk was trained: its positions then count video frames.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import Wav2Vec2Model

from multitalk.array_types import Array
from multitalk.media.loudness import is_silent
from multitalk.speech.talk_features import NormalizedVoice, Pauses, TalkFeatures, presence
from multitalk.timebase import SAMPLES_PER_FRAME

AtWork = Callable[[], AbstractContextManager[object]]
Filters = tuple[Tensor, Tensor]  # weights [C', 1, K], biases [C']

CONVOLVED_STEPS = 500  # at once: 10 s


class SpeechEncoder:
    """A wav2vec 2.0 model at the rate of the video."""

    def __init__(self, model: Wav2Vec2Model, at_work: AtWork = nullcontext) -> None:
        """Take a model.

        Args:
            model: On its device.
            at_work: Entered while the model works; it may bring it to another device.
        """
        self._model = model.eval()
        self._at_work = at_work
        kernels, strides = model.config.conv_kernel, model.config.conv_stride
        self._samples_per_step = prod(strides)  # 320
        # 400: each layer's kernel reaches over steps that are as long as the strides before it.
        self._samples_in_step = 1 + sum(
            (kernel - 1) * prod(strides[:layer]) for layer, kernel in enumerate(kernels)
        )

    @staticmethod
    def load(directory: Path, *, device: str | torch.device = "cpu") -> "SpeechEncoder":
        """Open a directory in the Hugging Face layout: config.json, model.safetensors."""
        model = Wav2Vec2Model.from_pretrained(
            directory, dtype=torch.float32, local_files_only=True, attn_implementation="sdpa"
        )
        return SpeechEncoder(model.to(device))

    def talk_features(self, speech: Array, *, pauses: Pauses = "encoded") -> TalkFeatures:
        """Features of a voice, silence added to its last frame, computed on demand.

        Args:
            speech: Mono [S] at 16 kHz, S > 0; may be a memory-mapped file.
            pauses: "encoded": silence has its own features, a pause. "null": longer silence has
                zeros, which mean to the network that nobody speaks.

        Returns:
            T = ceil(S / 640) rows [L, C]. All zeros for silence.
        """
        num_frames = -(-len(speech) // SAMPLES_PER_FRAME)
        if is_silent(speech):
            config = self._model.config
            row = (config.num_hidden_layers, config.hidden_size)
            return TalkFeatures(
                lambda start, stop: np.zeros((stop - start, *row), np.float32), num_frames
            )
        voice = NormalizedVoice(speech, num_frames * SAMPLES_PER_FRAME)
        encode = partial(self._encode, voice, self._first_filters(voice), num_frames)
        return TalkFeatures(
            encode, num_frames, partial(presence, speech) if pauses == "null" else None
        )

    def features(self, speech: Array, *, num_frames: int) -> Array:
        """Features of exactly these samples, spread over a number of frames.

        Args:
            speech: Mono [S] at 16 kHz, S >= 400 so that the convolutions have something to hear.
            num_frames: T.

        Returns:
            Float32 [T, L, C]: every layer's hidden state, the first layer first.
        """
        voice = NormalizedVoice(speech)
        return self._encode(voice, self._first_filters(voice), num_frames, 0, num_frames)

    @torch.inference_mode()
    def _first_filters(self, voice: NormalizedVoice) -> Filters | None:
        """The first layer's filters, with what its group norm makes of the whole voice in them.

        The norm is over time, a group for each filter: it depends on the mean and the variance of
        the filter's output, which follow from the moments of the samples under the filter.
        """
        if self._model.config.feat_extract_norm != "group":
            return None
        layer = self._model.feature_extractor.conv_layers[0]
        convolution, norm = layer.conv, layer.layer_norm
        weights = convolution.weight[:, 0].double().cpu().numpy()  # [C', K]
        mean, covariance = voice.window_moments(weights.shape[1], convolution.stride[0])
        variance = np.einsum("ck,kl,cl->c", weights, covariance, weights)
        scale = norm.weight.double().cpu().numpy() / np.sqrt(variance + norm.eps)
        # A bias of the convolution would move the mean as much as the output.
        bias = norm.bias.double().cpu().numpy() - scale * (weights @ mean)
        scaled = scale[:, None, None] * weights[:, None]
        return torch.from_numpy(scaled).float(), torch.from_numpy(bias).float()

    @torch.inference_mode()
    def _encode(
        self,
        voice: NormalizedVoice,
        filters: Filters | None,
        num_frames: int,
        start: int,
        stop: int,
    ) -> Array:
        """Features of the frames from `start` to `stop` of `num_frames`, encoded alone."""
        num_steps = (voice.num_samples - self._samples_in_step) // self._samples_per_step + 1
        steps = steps_of_frames(num_frames, num_steps)[start:stop]
        first, last = int(steps[0]), min(int(steps[-1]) + 1, num_steps - 1)
        with self._at_work():
            convolved = torch.cat(
                [
                    self._convolved(voice, filters, at, min(at + CONVOLVED_STEPS, last + 1))
                    for at in range(first, last + 1, CONVOLVED_STEPS)
                ]
            )
            states, _ = self._model.feature_projection(at_steps(convolved, steps - first)[None])
            return self._layers(states)

    def _convolved(
        self, voice: NormalizedVoice, filters: Filters | None, start: int, stop: int
    ) -> Tensor:
        """Convolutional features of some steps, [stop - start, C']."""
        begin = start * self._samples_per_step
        end = (stop - 1) * self._samples_per_step + self._samples_in_step
        device = self._model.device
        states = torch.from_numpy(voice.samples(begin, end)).to(device)[None, None]
        first, *others = self._model.feature_extractor.conv_layers
        if filters is None:
            states = first(states)
        else:
            weights, bias = (values.to(device) for values in filters)
            stride = first.conv.stride
            states = first.activation(functional.conv1d(states, weights, bias, stride))
        for layer in others:
            states = layer(states)
        return states[0].T

    def _layers(self, states: Tensor) -> Array:
        """The encoder's hidden states [T, L, C] for [1, T, C]."""
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


def steps_of_frames(num_frames: int, num_steps: int) -> NDArray[np.float64]:
    """The position of each frame among the convolutional steps: first and last are kept, [T]."""
    return np.arange(num_frames) * (num_steps - 1) / max(1, num_frames - 1)


def at_steps(convolved: Tensor, steps: NDArray[np.float64]) -> Tensor:
    """Convolutional features [N, C] between the steps, by linear interpolation: [T, C]."""
    before = torch.from_numpy(steps.astype(np.int64)).to(convolved.device)
    after = (before + 1).clamp(max=len(convolved) - 1)
    part = torch.from_numpy((steps % 1).astype(np.float32)).to(convolved.device)[:, None]
    return torch.lerp(convolved[before], convolved[after], part)
