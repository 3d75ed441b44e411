"""Speed and memory of the diffusion engine's network, with random weights.

Without options, on the CPU and small: what the savings save, the memory of the speaker map, and the
cost model beside what is measured. With --gpu, at its real size on the GPU.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from statistics import median

import torch

from clocks import Clock, cuda_clock, interleaved, matmul_rate, peak_cpu_bytes, timed, timing_parts
from diffusion_cost import PICTURE_TOKENS, Cost, Size, cost_model, counted
from diffusion_tables import show
from multitalk.engines.diffusion.guidance import Guidance
from multitalk.engines.diffusion.segments import SegmentLengths, latent_frames
from multitalk.engines.diffusion.speaker_binding import speaker_map
from multitalk.engines.diffusion.transformer import Conditioning, MultiTalkTransformer3DModel
from plain_transformer import PlainTransformer, speaker_map_of_scores

ROOT = Path(__file__).resolve().parents[1]
FPS = 25
TEXT_TOKENS = 60  # of a prompt, before padding
STEP = 700.0  # a timestep; all cost the same

SMALL = {
    "num_attention_heads": 8,
    "attention_head_dim": 64,
    "ffn_dim": 1408,
    "num_layers": 4,
    "text_dim": 512,
    "image_dim": 320,
    "audio_feature_dim": 12 * 96,
    "audio_hidden_dim": 128,
    "audio_dim": 96,
}
# Those that name no library to install; an unavailable one is told, and is no failure.
BACKENDS = ("native", "_native_cudnn", "_native_flash", "_flash_3", "flash", "sage")


@dataclass(frozen=True)
class Profile:
    """An acceleration profile: how many steps, and which branches each one asks for."""

    num_inference_steps: int
    guidance: Guidance


PROFILES = {
    "quality": Profile(40, Guidance(text_scale=5.0, audio_scale=4.0)),
    "fusionx": Profile(8, Guidance(text_scale=1.0, audio_scale=2.0)),
    "lightx2v": Profile(4, Guidance(text_scale=1.0, audio_scale=2.0)),
}


SMALL_SIZE = Size(7, 32, 52)
REAL_SIZE = Size(latent_frames(81), 448 // 8, 832 // 8)


def make_transformer(
    config: Mapping[str, int], device: str, dtype: torch.dtype
) -> MultiTalkTransformer3DModel:
    """A network of random weights, made where and as it is used, float32 where it has to be."""
    torch.manual_seed(0)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = MultiTalkTransformer3DModel(**config)
    finally:
        torch.set_default_dtype(usual)
    for name, parameter in model.named_parameters():
        if any(kept in name.split(".") for kept in model._keep_in_fp32_modules):
            parameter.data = parameter.data.float()
    return model.eval().requires_grad_(False)


def make_inputs(
    model: MultiTalkTransformer3DModel, size: Size, speakers: int
) -> dict[str, torch.Tensor]:
    """Random arguments of a forward; two speakers sit left and right."""
    config, device, dtype = model.config, model.device, model.proj_out.weight.dtype
    generator = torch.Generator(device).manual_seed(1)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device=device).to(dtype)

    num_frames = config.frames_per_latent * (size.frames - 1) + 1
    masks = torch.zeros(speakers + 1, size.height, size.width, device=device)
    strip = size.width // speakers
    for speaker in range(speakers):
        masks[speaker, 4:-4, speaker * strip + 4 : (speaker + 1) * strip - 4] = 1
    masks[-1] = 1 - masks[:-1].sum(0)
    return {
        "hidden_states": random(1, config.in_channels, size.frames, size.height, size.width),
        "timestep": torch.tensor([STEP], device=device),
        "encoder_hidden_states": random(1, TEXT_TOKENS, config.text_dim),
        "encoder_hidden_states_image": random(1, PICTURE_TOKENS, config.image_dim),
        "audio_hidden_states": random(
            speakers, num_frames, config.audio_window, 1, config.audio_feature_dim
        ),
        "speaker_masks": masks,
    }


@torch.no_grad()
def forward(
    model: MultiTalkTransformer3DModel,
    inputs: Mapping[str, torch.Tensor],
    conditioning: Conditioning | None = None,
) -> torch.Tensor:
    """One forward."""
    return model(**inputs, conditioning=conditioning, return_dict=False)[0]


def measure_savings(speakers: int, rounds: int) -> dict[str, object]:
    """The network with its savings beside itself without: seconds of one thread, difference.

    "plain" makes the speaker map class by class, as published, "product" by one matrix product.
    For one speaker the published pipeline passes three masks that cover everything.
    """
    model = make_transformer(SMALL, "cpu", torch.float32)
    inputs = make_inputs(model, SMALL_SIZE, speakers)
    shared = Conditioning()
    runs = {
        "ours": lambda: forward(model, inputs, shared),
        "plain": partial(PlainTransformer(model, class_by_class=True), **inputs),
        "product": partial(PlainTransformer(model, class_by_class=False), **inputs),
    }
    expected = runs["plain"]()
    difference = (runs["ours"]() - expected).abs().max().item()
    seconds = interleaved(runs, rounds, time.process_time)
    row = {
        "speakers": speakers,
        "tokens": SMALL_SIZE.tokens,
        "rounds": rounds,
        "difference": difference,
        "largest_output": expected.abs().max().item(),
        "seconds": {name: median(values) for name, values in seconds.items()},
    }
    for other in ("plain", "product"):
        pairs = zip(seconds["ours"], seconds[other], strict=True)
        ratios = [ours / theirs for ours, theirs in pairs]
        row[f"ours_by_{other}"] = [median(ratios), min(ratios), max(ratios)]
    return row


def measure_map_memory(size: Size) -> dict[str, object]:
    """Peak memory that a block's speaker map takes beside its inputs: 8 heads of 64, float32."""
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(1, size.tokens, 8, 64, generator=generator)
    key = query[:, : size.frame_tokens]
    masks = torch.arange(size.frame_tokens) % 3 == torch.arange(3)[:, None]
    return {
        "tokens": size.tokens,
        "frame_tokens": size.frame_tokens,
        "ours_bytes": peak_cpu_bytes(lambda: speaker_map(query, key, masks)),
        "plain_bytes": peak_cpu_bytes(lambda: speaker_map_of_scores(query, key, masks)),
    }


def measure_cost(
    model: MultiTalkTransformer3DModel, size: Size, speakers: int, clock: Clock, rate: float
) -> dict[str, object]:
    """The cost model beside what operations count and what clocks say."""
    inputs, shared = make_inputs(model, size, speakers), Conditioning()
    run = partial(forward, model, inputs, shared)
    width = model.proj_out.weight.element_size()
    parts = cost_model(model.config, size, speakers, width)
    total = sum(parts.values(), Cost())
    seconds = median(interleaved({"forward": run}, 5, clock)["forward"])
    with timing_parts(model, clock) as parts_seconds:
        whole = timed(run, clock)
    parts_seconds["ends"] = whole - sum(parts_seconds.values())
    counts = counted(run)
    return {
        "tokens": size.tokens,
        "speakers": speakers,
        "seconds": seconds,
        "flops": total.flops,
        "flops_counted": counts.flops,
        "bytes": total.bytes,
        "bytes_counted": counts.bytes,
        "matmul_rate": rate,
        "share_of_matmul_rate": total.flops / seconds / rate,
        "parts": {
            name: {"flops": part.flops, "bytes": part.bytes, "seconds": parts_seconds[name]}
            for name, part in parts.items()
        },
    }


def measure_backends(model: MultiTalkTransformer3DModel, rate: float) -> list[dict[str, object]]:
    """A forward with each attention backend that there is; the model keeps the fastest."""
    rows = []
    for backend in BACKENDS:
        try:
            model.set_attention_backend(backend)
            rows += [measure_forward(model, backend, speakers, rate) for speakers in (1, 2)]
        except (RuntimeError, ImportError, ValueError, TypeError) as error:
            reason = str(error).strip().partition("\n")[0]
            rows.append({"backend": backend, "unavailable": reason})
    fastest = min((row for row in rows if "seconds" in row), key=lambda row: row["seconds"])
    model.set_attention_backend(fastest["backend"])
    return rows


def measure_forward(
    model: MultiTalkTransformer3DModel, name: str, speakers: int, rate: float
) -> dict[str, object]:
    """Seconds of a forward at the real size, its share of the matmul rate, peak memory."""
    inputs = make_inputs(model, REAL_SIZE, speakers)
    run = partial(forward, model, inputs, Conditioning())
    torch.cuda.reset_peak_memory_stats()
    seconds = median(interleaved({"forward": run}, 3, cuda_clock)["forward"])
    width = model.proj_out.weight.element_size()
    total = sum(cost_model(model.config, REAL_SIZE, speakers, width).values(), Cost())
    return {
        "backend": name,
        "speakers": speakers,
        "seconds": seconds,
        "share_of_matmul_rate": total.flops / seconds / rate,
        "peak_bytes": torch.cuda.max_memory_allocated(),
    }


def measure_profiles(model: MultiTalkTransformer3DModel, speakers: int) -> list[dict[str, object]]:
    """Seconds of a step of each profile, and of the network's work per second of talk."""
    inputs = make_inputs(model, REAL_SIZE, speakers)
    null = inputs | {"audio_hidden_states": torch.zeros_like(inputs["audio_hidden_states"][:1])}
    fresh_seconds = SegmentLengths().stride / FPS
    rows = []
    for name, profile in PROFILES.items():
        branches = profile.guidance.branches
        shared = {branch: Conditioning() for branch in branches}

        def step(shared: dict[str, Conditioning] = shared) -> None:
            for branch, conditioning in shared.items():
                heard = inputs if branch in ("full", "voice") else null
                forward(model, heard, conditioning)

        torch.cuda.reset_peak_memory_stats()
        seconds = median(interleaved({"step": step}, 2, cuda_clock)["step"])
        rows.append(
            {
                "profile": name,
                "speakers": speakers,
                "branches": len(branches),
                "steps": profile.num_inference_steps,
                "seconds_per_step": seconds,
                "real_time_factor": seconds * profile.num_inference_steps / fresh_seconds,
                "peak_bytes": torch.cuda.max_memory_allocated(),
            }
        )
    return rows


def measure_cpu(rounds: int) -> dict[str, object]:
    """All that needs no GPU, on one thread."""
    torch.set_num_threads(1)
    savings = [measure_savings(speakers, rounds) for speakers in (1, 2)]
    memory = [measure_map_memory(size) for size in (SMALL_SIZE, Size(7, 64, 52), Size(14, 64, 52))]
    rate = matmul_rate(2048, "cpu", torch.float32, time.process_time)
    model = make_transformer(SMALL, "cpu", torch.float32)
    costs = [
        measure_cost(model, size, speakers, time.process_time, rate)
        for size, speakers in ((Size(4, 32, 52), 1), (SMALL_SIZE, 1), (SMALL_SIZE, 2))
    ]
    return {"savings": savings, "memory": memory, "costs": costs}


def measure_gpu() -> dict[str, object]:
    """The network at its real size."""
    rate = matmul_rate(8192, "cuda", torch.bfloat16, cuda_clock)
    model = make_transformer({}, "cuda", torch.bfloat16)
    backends = measure_backends(model, rate)
    costs = [measure_cost(model, REAL_SIZE, speakers, cuda_clock, rate) for speakers in (1, 2)]
    profiles = [row for speakers in (1, 2) for row in measure_profiles(model, speakers)]
    # Last, because nothing undoes it.
    model.compile_repeated_blocks()
    compiled = [measure_forward(model, "fastest, compiled", n, rate) for n in (1, 2)]
    return {"backends": backends + compiled, "costs": costs, "profiles": profiles}


def machine(on_gpu: bool) -> dict[str, object]:
    """What the figures were measured on."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    described = subprocess.run(git, check=False, capture_output=True, text=True)
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "commit": described.stdout.strip() or "unknown",
        "device": torch.cuda.get_device_name() if on_gpu else f"CPU, 1 of {os.cpu_count()} cores",
        "load_before": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpu", action="store_true", help="the real size, on a GPU of 80 GB")
    parser.add_argument("--rounds", type=int, default=7, help="of the comparison on the CPU")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print everything, unrounded")
    form.add_argument("--markdown", action="store_true", help="print rows for docs/experiments.md")
    arguments = parser.parse_args()
    if arguments.gpu and not torch.cuda.is_available():
        sys.exit("--gpu: PyTorch finds no GPU here; without it, the network is measured on the CPU")
    measured = {"machine": machine(arguments.gpu)}
    measured |= measure_gpu() if arguments.gpu else measure_cpu(arguments.rounds)
    if arguments.json:
        print(json.dumps(measured, indent=2))
    else:
        show(measured, markdown=arguments.markdown)


if __name__ == "__main__":
    main()
