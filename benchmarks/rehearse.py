"""The diffusion engine at its real size without a GPU: names, shapes, memory, and one layer.

    .venv-diffusion/bin/python benchmarks/rehearse.py

The files of every weight set have their published headers and sizes, but hold nothing
(`random_weights`); opening them compares every tensor with our networks. The forward has random
weights. A JSON line a figure; it exits with 1 where something is wrong.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from accelerate import init_empty_weights

from diffusion_cost import Size
from diffusion_models import forward, make_inputs
from multitalk.engines.diffusion.convert_encoders import load_text_encoder
from multitalk.engines.diffusion.convert_transformer import load_transformer, load_transformer_file
from multitalk.engines.diffusion.host_memory import available_bytes
from multitalk.engines.diffusion.loading import load_pipeline
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel
from multitalk.weights.component_files import find_components
from proof_steps import Figures, host_gb, rounded
from random_weights import CODES, REAL, SETS, TOY, Scale, write_set

MOST_ANONYMOUS_GB = 1.0  # of what a set in 8 bits takes beside its mapped files
TEXT_ENCODERS = {"int8": "int8-fusionx", "fp8": "fp8-fusionx", "bf16": "bf16"}
MAKES = 10
SAMPLED_SECONDS = 0.01


class Rehearsal:
    """All of it.

    Args:
        folder: For the files, 3 GB at most at real size.
        scale: Real or toy.
    """

    def __init__(self, folder: Path, scale: Scale) -> None:
        self._folder = folder
        self._scale = scale
        opened: dict[str, Callable[[], Figures]] = {
            f"open {name}": partial(self._open, name) for name in SETS
        }
        self.steps = {
            **opened,
            **{
                f"text encoder {storage}": partial(self._open_text_encoder, name)
                for storage, name in TEXT_ENCODERS.items()
            },
            "load int8-fusionx": self._load,
            "make the network": self._make,
            **{f"one layer, {storage}": partial(self._layer, storage) for storage in CODES},
        }

    def _written(self, name: str) -> Path:
        """A set without values."""
        folder = self._folder / "empty"
        write_set(name, folder, self._scale, values=False)
        return folder

    def _open(self, name: str) -> Figures:
        """A set's network, in the dtype of its file, so that nothing is converted."""
        files = find_components(self._written(name), name)
        size = files.transformer.stat().st_size
        if files.transformer.suffix == ".pth" and size > available_bytes():
            return {"skipped": f"PyTorch maps a .pth where there is memory for it: {size / 1e9} GB"}
        with anonymous_memory() as memory:
            if files.transformer_config is not None:
                network = load_transformer_file(
                    files.transformer, config=files.transformer_config, torch_dtype=torch.float32
                )
            else:
                network = load_transformer(
                    files.transformer, audio=files.audio_layers, torch_dtype=torch.float32
                )
        return {
            "kind": files.kind,
            "tensors": len(network.state_dict()),
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "in_full": len(getattr(network.config, "full_precision_modules", None) or ()),
            **memory,
        }

    def _open_text_encoder(self, name: str) -> Figures:
        file = find_components(self._written(name), name).text_encoder
        with anonymous_memory() as memory:
            network = load_text_encoder(file, torch_dtype=torch.bfloat16)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        return {"file": file.name, "parameters": parameters, **memory}

    def _load(self) -> Figures:
        """All components as a GPU gets them, but on the CPU."""
        folder = self._written("int8-fusionx")
        with anonymous_memory() as memory:
            pipeline = load_pipeline(folder, torch_dtype=torch.bfloat16, weight_set="int8-fusionx")
        _limited(memory)
        return {"components": sorted(pipeline.components), **memory}

    def _make(self) -> Figures:
        """The network again and again, before it has values: memory must not pile up."""
        file = find_components(self._written("int8-fusionx"), "int8-fusionx")
        config = load_transformer_file(
            file.transformer, config=file.transformer_config, torch_dtype=torch.float32
        ).config
        with anonymous_memory() as memory:
            for _ in range(MAKES):
                with init_empty_weights():
                    MultiTalkTransformer3DModel.from_config(config)
        _limited(memory)
        return {"times": MAKES, **memory}

    def _layer(self, storage: str) -> Figures:
        """A network of one layer at real width with random weights: 8 tokens, 1 and 2 voices."""
        name, folder = f"{storage}-fusionx", self._folder / storage
        scale = replace(self._scale, layers=1)
        write_set(name, folder, scale, components=("transformer", "transformer_config"))
        (file,) = folder.glob("*/quant_models/*.safetensors")
        (config,) = folder.glob("*/config.json")
        network = load_transformer_file(file, config=config, torch_dtype=torch.float32)
        figures: Figures = {"file_gb": file.stat().st_size / 1e9}
        for voices in (1, 2):
            inputs = make_inputs(network, Size(2, 4, 4), voices)
            with anonymous_memory() as memory:
                began = time.monotonic()
                predicted = forward(network, inputs)
                seconds = time.monotonic() - began
            if not predicted.isfinite().all() or not predicted.std() > 0.01:
                raise RuntimeError(f"{voices} voices: a spread of {predicted.std()}")
            spread = float(predicted.std())
            figures[f"{voices} voices"] = {"s": seconds, "spread": spread, **memory}
        file.unlink()
        return figures


@contextmanager
def anonymous_memory() -> Iterator[dict[str, float]]:
    """Of this process, beside mapped files, above what it had: GB at the end, and at the peak."""
    before = peak = host_gb()["host_anonymous_gb"]
    ended = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not ended.wait(SAMPLED_SECONDS):
            peak = max(peak, host_gb()["host_anonymous_gb"])

    sampler = threading.Thread(target=sample)
    sampler.start()
    found: dict[str, float] = {}
    began = time.monotonic()
    try:
        yield found
    finally:
        ended.set()
        sampler.join()
        now = host_gb()["host_anonymous_gb"]
        found |= {
            "s": time.monotonic() - began,
            "anonymous_gb": now - before,
            "anonymous_peak_gb": max(peak, now) - before,
        }


def _limited(memory: dict[str, float]) -> None:
    if memory["anonymous_peak_gb"] > MOST_ANONYMOUS_GB:
        raise RuntimeError(f"more than {MOST_ANONYMOUS_GB} GB of anonymous memory: {memory}")


def main() -> None:
    """Take all steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--toy", action="store_true", help="at toy size, to see whether it runs")
    arguments = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        rehearsal = Rehearsal(Path(folder), TOY if arguments.toy else REAL)
        for name, take in rehearsal.steps.items():
            began = time.monotonic()
            try:
                row = take()
            except Exception as error:  # whatever it is, the other steps are still to be taken
                failed.append(name)
                row = {"failed": f"{type(error).__name__}: {str(error)[:400]}"}
            taken = time.monotonic() - began
            print(json.dumps(rounded({"step": name, "took_s": taken, **row})), flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
