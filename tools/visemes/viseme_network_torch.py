"""The network of `multitalk.speech.viseme_network` in torch: initialised from Whisper, exported."""

from pathlib import Path

import numpy as np
import torch
from ctranslate_file import read_variables
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize
from training_data import CURVES

from multitalk.speech.log_mel import NUM_BANDS
from multitalk.speech.phonemes import NUM_VISEMES
from multitalk.speech.viseme_network import (
    HEAD_WIDTH,
    NUM_HEAD_BLOCKS,
    NUM_LAYERS,
    STRIDE,
    TransformerLayer,
    sinusoidal_positions,
)

WIDTH, INNER_WIDTH = 384, 1536  # of Whisper tiny
CHANNELS = 128  # of what tells the classes
KERNEL = 5
FORGOTTEN = 0.1  # dropout of the features, in training
BITS = 4
LARGEST = 2 ** (BITS - 1) - 1
CLIPPED = 0.75  # of an output's largest weight is the largest that can be written


class NetworkLayer(nn.Module):
    """A transformer layer; its parts are named as in `TransformerLayer`."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.attention_in = nn.Linear(WIDTH, 3 * WIDTH)
        self.attention_out = nn.Linear(WIDTH, WIDTH)
        self.forward_norm = nn.LayerNorm(WIDTH)
        self.forward_in = nn.Linear(WIDTH, INNER_WIDTH)
        self.forward_out = nn.Linear(INNER_WIDTH, WIDTH)

    def forward(self, hidden: Tensor) -> Tensor:
        """Attend, then think: [B, N, WIDTH]."""
        asked = self.attention_in(self.attention_norm(hidden))
        heads = asked.unflatten(2, (3, -1, HEAD_WIDTH)).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(*heads)
        hidden = hidden + self.attention_out(found.transpose(1, 2).flatten(2))
        inner = functional.gelu(self.forward_in(self.forward_norm(hidden)))
        return hidden + self.forward_out(inner)


class EarNetwork(nn.Module):
    """Bands [B, NUM_BANDS, 2 N] to scores and curves [B, NUM_VISEMES + CURVES, N]."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.ModuleList(
            [
                nn.Conv1d(NUM_BANDS, WIDTH, 3, padding=1),
                nn.Conv1d(WIDTH, WIDTH, 3, stride=STRIDE, padding=1),
            ]
        )
        self.layers = nn.ModuleList(NetworkLayer() for _ in range(NUM_LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.entry = nn.Linear(WIDTH, CHANNELS)
        self.blocks = nn.ModuleList(
            nn.Conv1d(CHANNELS, CHANNELS, KERNEL, padding=KERNEL // 2 * 2**index, dilation=2**index)
            for index in range(NUM_HEAD_BLOCKS)
        )
        self.exit = nn.Linear(CHANNELS, NUM_VISEMES + len(CURVES))

    def forward(self, heard: Tensor) -> Tensor:
        """Listen."""
        for front in self.front:
            heard = functional.gelu(front(heard))
        hidden = heard.transpose(1, 2) + torch.from_numpy(
            sinusoidal_positions(heard.shape[2], WIDTH)
        )
        for layer in self.layers:
            hidden = layer(hidden)
        hidden = functional.relu(self.entry(self._forget(self.norm(hidden)))).transpose(1, 2)
        for block in self.blocks:
            hidden = hidden + functional.relu(block(self._forget(hidden)))
        return self.exit(hidden.transpose(1, 2)).transpose(1, 2)

    def _forget(self, hidden: Tensor) -> Tensor:
        return functional.dropout(hidden, FORGOTTEN, self.training)

    def begin_from_whisper(self, path: Path) -> None:
        """Take the lowest layers of Whisper tiny's encoder from a model.bin of CTranslate2."""
        variables = read_variables(path)

        def take(part: nn.Module, name: str, weight: str = "weight", bias: str = "bias") -> None:
            for target, key in ((part.weight, weight), (part.bias, bias)):
                value = variables[f"encoder/{name}/{key}"].astype(np.float32)
                with torch.no_grad():
                    target.copy_(torch.from_numpy(value))

        for number, front in enumerate(self.front, 1):
            take(front, f"conv{number}")
        for number, layer in enumerate(self.layers):
            attention, feed = f"layer_{number}/self_attention", f"layer_{number}/ffn"
            take(layer.attention_norm, f"{attention}/layer_norm", "gamma", "beta")
            take(layer.attention_in, f"{attention}/linear_0")
            take(layer.attention_out, f"{attention}/linear_1")
            take(layer.forward_norm, f"{feed}/layer_norm", "gamma", "beta")
            take(layer.forward_in, f"{feed}/linear_0")
            take(layer.forward_out, f"{feed}/linear_1")

    def begin_from_file(self, path: Path) -> None:
        """Take the weights of a file that `save` wrote, and go on with its steps of `BITS` bits."""
        with np.load(path) as arrays:
            for name, part in self._parts().items():
                weight = torch.from_numpy(arrays[f"{name}_weight"].astype(np.float32))
                step = None
                if f"{name}_step" in arrays:
                    step = torch.from_numpy(arrays[f"{name}_step"].astype(np.float32))
                    weight = weight * step
                weight = weight.permute(tuple(reversed(range(weight.ndim))))
                bias = torch.from_numpy(arrays[f"{name}_bias"].astype(np.float32))
                with torch.no_grad():
                    part.weight[: len(weight)] = weight
                    part.bias[: len(bias)] = bias
                if step is not None:
                    parametrize.register_parametrization(part, "weight", Coarse(step))

    def ear_parameters(self) -> list[nn.Parameter]:
        """Of what Whisper knew already; to be changed with care."""
        return [*self.front.parameters(), *self.layers.parameters()]

    def coarsen(self) -> None:
        """From now on learn with weights of `BITS` bits."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d) and module is not self.exit:
                parametrize.register_parametrization(module, "weight", Coarse())

    def save(self, path: Path) -> None:
        """Write what `multitalk.speech.viseme_network.weights_from` reads."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for name, part in self._parts().items():
            if part is self.exit:
                weight, bias = part.weight[:NUM_VISEMES], part.bias[:NUM_VISEMES]
                arrays[f"{name}_weight"] = weight.detach().numpy().T.astype(np.float16)
                arrays[f"{name}_bias"] = bias.detach().numpy().astype(np.float16)
                continue
            arrays[f"{name}_bias"] = part.bias.detach().numpy().astype(np.float16)
            if isinstance(part, nn.LayerNorm):
                arrays[f"{name}_weight"] = part.weight.detach().numpy().astype(np.float16)
                continue
            weight, step = part.weight.detach(), None
            if parametrize.is_parametrized(part):
                weight = part.parametrizations.weight.original.detach()
                step = part.parametrizations.weight[0].step
            counts, step = counted(weight, step)
            # [out, in, taps] -> [taps, in, out], so that the runtime multiplies without copies.
            order = tuple(reversed(range(counts.ndim)))
            arrays[f"{name}_weight"] = np.ascontiguousarray(
                counts.numpy().transpose(order).astype(np.int8)
            )
            arrays[f"{name}_step"] = step.numpy().astype(np.float16)
        np.savez_compressed(path, **arrays)

    def _parts(self) -> dict[str, nn.Module]:
        """What has weights, by its name in the file."""
        parts: dict[str, nn.Module] = {"norm": self.norm, "entry": self.entry, "exit": self.exit}
        parts |= {f"front{index}": part for index, part in enumerate(self.front)}
        parts |= {f"block{index}": part for index, part in enumerate(self.blocks)}
        for index, layer in enumerate(self.layers):
            for name in TransformerLayer.__dataclass_fields__:
                parts[f"layer{index}_{name}"] = getattr(layer, name)
        return parts


class Coarse(nn.Module):
    """A weight as it will be written; gradients pass through to the unquantized one.

    (Bengio et al., "Estimating or propagating gradients through stochastic neurons", 2013.)
    """

    def __init__(self, step: Tensor | None = None) -> None:
        """With the steps [out] of a file; None: with steps that follow the weight."""
        super().__init__()
        self.step = step

    def forward(self, weight: Tensor) -> Tensor:
        """Round."""
        counts, step = counted(weight.detach(), self.step)
        coarse = counts * step.view(-1, *[1] * (weight.ndim - 1))
        return weight + (coarse - weight).detach()


def counted(weight: Tensor, step: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Whole steps from -LARGEST to LARGEST of a weight [out, ...], and the step of each output."""
    if step is None:
        step = weight.flatten(1).abs().amax(1) * CLIPPED / LARGEST + 1e-8
    counts = (weight / step.view(-1, *[1] * (weight.ndim - 1))).round()
    return counts.clamp(-LARGEST, LARGEST), step
