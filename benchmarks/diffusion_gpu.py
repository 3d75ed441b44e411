"""The diffusion engine at its real size on a GPU, with random weights: every figure a row.

What has failed, or was not begun in time, leaves the rows of the rest. At toy size the same code
runs on a CPU.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from statistics import median

import numpy as np
import torch
from diffusers.models.attention_dispatch import attention_backend, dispatch_attention_fn

from clocks import Meter, matmul_rate
from diffusion_cost import Cost, cost_model
from diffusion_models import (
    TEXT_TOKENS,
    WORD,
    Scale,
    forward,
    make_inputs,
    make_pipeline,
    make_quantized,
    make_transformer,
)
from diffusion_report import Report
from measured_cost import measure_cost
from multitalk.engines.diffusion.guidance import Guidance
from multitalk.engines.diffusion.memory import place
from multitalk.engines.diffusion.pipeline import MultiTalkPipeline, VaeCodec
from multitalk.engines.diffusion.plans import PLANS, MemoryPlan
from multitalk.engines.diffusion.profiles import PROFILES, Profile
from multitalk.engines.diffusion.segments import SegmentLengths
from multitalk.engines.diffusion.transformer import Conditioning, MultiTalkTransformer3DModel

Figures = Mapping[str, object]

# Those that are not installed are told, and are no failure of the rest.
BACKENDS = (
    "native",
    "_native_flash",
    "_native_cudnn",
    "_native_efficient",
    "flash",
    "_flash_3",
    "flash_hub",
    "_flash_3_hub",
    "sage",
)
ROUNDS = 2  # of what is timed, after one that warms up
FPS, SAMPLES_PER_FRAME = 25, 640
SPEECH_SECONDS = 10
USUAL = PROFILES[0]


class GpuBenchmark:
    """One run over everything.

    Args:
        scale: Real or toy.
        report: Takes the rows.
    """

    def __init__(self, scale: Scale, report: Report) -> None:
        self.scale = scale
        self.report = report
        self.meter = Meter(scale.device)
        self.rate = float("nan")

    def run(self) -> None:
        """Measure, the most telling first."""
        self._row("device", {"what": "bf16 matrix product"}, self._matmul)
        backends = [
            name
            for name in BACKENDS
            if self._row("attention", {"attention": name}, partial(self._attention, name))
        ]
        transformer = self._made("bf16 transformer", self._make_transformer)
        if transformer is not None:
            self._measure_network(transformer, backends)
            self._measure_talks(transformer)
        del transformer
        for storage in ("int8", "float8_e4m3fn"):
            make = partial(make_quantized, self.scale.transformer, storage, self.scale.device)
            quantized = self._made(f"{storage} transformer", make)
            if quantized is not None:
                self._measure_forward(quantized, storage, "native", 1)
            del quantized
        compiled = self._made("transformer to compile", self._make_transformer)
        if compiled is not None:
            compiled.compile_repeated_blocks(backend=self.scale.compiler)
            for speakers in (1, 2):
                self._measure_forward(compiled, "bf16, compiled", "native", speakers)

    def _row(self, section: str, about: Figures, measure: Callable[[], Figures]) -> Figures | None:
        return self.report.attempt(section, about, measure)

    def _made(self, what: str, make: Callable[[], object]) -> object | None:
        """Something that takes memory, or None."""
        made = []

        def measure() -> Figures:
            made.append(make())
            return {"bytes": self.meter.held_bytes()}

        self._row("device", {"what": what}, measure)
        return made[0] if made else None

    def _make_transformer(self) -> MultiTalkTransformer3DModel:
        return make_transformer(self.scale.transformer, self.scale.device, torch.bfloat16)

    def _seconds(self, run: Callable[[], object], rounds: int = ROUNDS) -> tuple[float, float]:
        """Of the first run, and the median of those after it."""
        taken = []
        for _ in range(1 + rounds):
            began = self.meter.clock()
            run()
            taken.append(self.meter.clock() - began)
        return taken[0], median(taken[1:])

    def _matmul(self) -> Figures:
        self.rate = matmul_rate(
            self.scale.matmul, self.scale.device, torch.bfloat16, self.meter.clock
        )
        return {"rate": self.rate}

    def _attention(self, backend: str) -> Figures:
        """Self attention of one block, alone."""
        options = self.scale.transformer
        heads = options.get("num_attention_heads", 40)
        head_dim = options.get("attention_head_dim", 128)
        length = self.scale.size.tokens
        query, key, value = torch.randn(
            3, 1, length, heads, head_dim, device=self.scale.device, dtype=torch.bfloat16
        )
        with attention_backend(backend):
            _, seconds = self._seconds(lambda: dispatch_attention_fn(query, key, value))
        flops = 4 * length**2 * heads * head_dim
        share = flops / seconds / self.rate
        return {"seconds": seconds, "flops": flops, "share_of_matmul_rate": share}

    def _measure_network(
        self, transformer: MultiTalkTransformer3DModel, backends: list[str]
    ) -> None:
        seconds = {}
        for backend in backends:
            for speakers in (1, 2):
                row = self._measure_forward(transformer, "bf16", backend, speakers)
                if row and speakers == 1:
                    seconds[backend] = row["seconds"]
        if seconds:
            transformer.set_attention_backend(min(seconds, key=seconds.get))
        for speakers in (1, 2):
            about = {"tokens": self.scale.size.tokens, "speakers": speakers}
            cost = partial(
                measure_cost,
                transformer,
                self.scale.size,
                speakers,
                clock=self.meter.clock,
                rate=self.rate,
                rounds=ROUNDS,
            )
            self._row("cost", about, cost)
        for speakers in (1, 2):
            for profile in PROFILES:
                about = {"profile": profile.name, "speakers": speakers}
                self._row("profile", about, partial(self._step, transformer, profile, speakers))

    def _measure_forward(
        self, model: MultiTalkTransformer3DModel, weights: str, backend: str, speakers: int
    ) -> Figures | None:
        about = {"weights": weights, "attention": backend, "speakers": speakers}
        return self._row("forward", about, partial(self._forward, model, backend, speakers))

    def _forward(self, model: MultiTalkTransformer3DModel, backend: str, speakers: int) -> Figures:
        model.set_attention_backend(backend)
        inputs = make_inputs(model, self.scale.size, speakers)
        self.meter.forget_peak()
        first, seconds = self._seconds(partial(forward, model, inputs, Conditioning()))
        total = sum(cost_model(model.config, self.scale.size, speakers, 2).values(), Cost())
        return {
            "seconds": seconds,
            "first_seconds": first,
            "share_of_matmul_rate": total.flops / seconds / self.rate,
            "peak_bytes": self.meter.peak_bytes(),
        }

    def _step(self, model: MultiTalkTransformer3DModel, profile: Profile, speakers: int) -> Figures:
        """All branches of one step."""
        guidance = Guidance(profile.text_guidance_scale, profile.audio_guidance_scale)
        inputs = make_inputs(model, self.scale.size, speakers)
        null = inputs | {"audio_hidden_states": torch.zeros_like(inputs["audio_hidden_states"][:1])}
        branches = {
            branch: (inputs if branch in ("full", "voice") else null, Conditioning())
            for branch in guidance.branches
        }

        def step() -> None:
            for heard, shared in branches.values():
                forward(model, heard, shared)

        _, seconds = self._seconds(step, rounds=1)
        return {
            "branches": len(branches),
            "steps": profile.num_inference_steps,
            "seconds_per_step": seconds,
            "real_time_factor": seconds * profile.num_inference_steps / self._fresh_seconds,
        }

    @property
    def _fresh_seconds(self) -> float:
        """Of talk that a window adds."""
        lengths = SegmentLengths(self.scale.segment_frames, self.scale.conditioning_frames)
        return lengths.stride / FPS

    def _measure_talks(self, transformer: MultiTalkTransformer3DModel) -> None:
        pipeline = self._made("pipeline", partial(make_pipeline, self.scale, transformer))
        if pipeline is None:
            return
        self._measure_stages(pipeline)
        for plan in PLANS:
            resident = plan == PLANS[0]
            steps = USUAL.num_inference_steps if resident else 1
            for speakers in (1, 2) if resident else (1,):
                about = {"plan": plan.name, "speakers": speakers, "steps": steps}
                self._row("talk", about, partial(self._talk, pipeline, plan, speakers, steps))

    def _measure_stages(self, pipeline: MultiTalkPipeline) -> None:
        height, width = self.scale.pixels
        device, frames = self.scale.device, self.scale.segment_frames
        codec = VaeCodec(pipeline.vae, torch.device(device))
        video = torch.rand(3, frames, height, width, device=device) * 2 - 1
        size = self.scale.size
        latents = torch.randn(16, size.frames, size.height, size.width, device=device)
        voice = hum(SPEECH_SECONDS * FPS)
        fresh = count(1)  # what was seen before is remembered
        stages = {
            "UMT5": (
                f"{TEXT_TOKENS} words",
                lambda: pipeline.encode_prompt(" ".join([WORD] * (TEXT_TOKENS - next(fresh)))),
            ),
            "CLIP": ("a picture", lambda: pipeline.encode_picture(video[:, next(fresh)])),
            "wav2vec 2.0": (
                f"{SPEECH_SECONDS} s",
                lambda: pipeline.encode_speech(voice)[0 : SPEECH_SECONDS * FPS],
            ),
            "VAE, encode": (f"{frames} frames", lambda: codec.encode(video)),
            "VAE, decode": (f"{frames} frames", lambda: codec.decode(latents)),
        }
        for stage, (of, run) in stages.items():
            self._row("stage", {"stage": stage, "of": of}, partial(self._stage, run))

    @torch.no_grad()
    def _stage(self, run: Callable[[], object]) -> Figures:
        self.meter.forget_peak()
        _, seconds = self._seconds(run)
        return {"seconds": seconds, "peak_bytes": self.meter.peak_bytes()}

    def _talk(
        self, pipeline: MultiTalkPipeline, plan: MemoryPlan, speakers: int, steps: int
    ) -> Figures:
        """One segment from the picture, the prompt and the voices to frames, as `USUAL` does it."""
        place(pipeline, plan, torch.device(self.scale.device))
        resting = self.meter.held_bytes()
        self.meter.forget_peak()
        talk = pipeline(
            np.zeros((*self.scale.pixels, 3), np.uint8),
            WORD,
            [hum(self.scale.segment_frames)] * speakers,
            num_inference_steps=steps,
            text_guidance_scale=USUAL.text_guidance_scale,
            audio_guidance_scale=USUAL.audio_guidance_scale,
        )
        began = self.meter.clock()
        for _ in talk:
            pass
        seconds = self.meter.clock() - began
        return {
            "seconds": seconds,
            "real_time_factor": seconds / self._fresh_seconds,
            "resting_bytes": resting,
            "peak_bytes": self.meter.peak_bytes(),
        }


def hum(num_frames: int) -> np.ndarray:
    """Something to hear: float32 [S] at 16 kHz."""
    return 0.5 * np.sin(np.arange(num_frames * SAMPLES_PER_FRAME, dtype=np.float32) / 20)
