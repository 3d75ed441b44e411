"""The steps of `prove_gpu`, taken one after the other in this process: a JSON line each.

A line `{"begins": STEP}` comes before the row, `{"step": STEP, ...}`: seconds (`s` or `..._s`), GiB
of the GPU and GB of the host, or `failed` with the reason.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import time
import traceback
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from diffusers.models.attention_dispatch import attention_backend, dispatch_attention_fn
from torch.nn import functional

from multitalk.engines.base import RenderOptions, Scene, Speaker, ignore_progress
from multitalk.engines.diffusion.acceleration import accelerate
from multitalk.engines.diffusion.engine import DiffusionEngine
from multitalk.engines.diffusion.loading import load_pipeline
from multitalk.engines.diffusion.quantized import QuantizedLinear
from multitalk.settings import Settings
from random_weights import REAL, ROOT, TOY, write_set

Figures = dict[str, object]

ENCODERS = ("tokenizer", "image_encoder", "vae", "audio_encoder", "transformer_config")
TOY_SIZES = {"480p": [[32, 48]], "720p": [[48, 64]]}
TOY_FRAMES, TOY_SHARED = 9, 5
FP8_MAX = 448.0
WINDOW, FRESH = 81, 56  # frames of a window, and those that the window before does not have
PORTRAIT = ROOT / "examples" / "portrait.jpg"


class Steps:
    """All steps; those of the engine share one, which is loaded when it is first asked for.

    Args:
        weights: Folder of weights, written by the first step.
        out: Folder of the results.
        toy: On a CPU, with toy sizes.
    """

    def __init__(self, weights: Path, out: Path, *, toy: bool) -> None:
        self._weights = weights
        self._out = out
        self._toy = toy
        self._scale = TOY if toy else REAL
        self._device = "cpu" if toy else "cuda"
        self._engine: tuple[str, DiffusionEngine] | None = None
        talk = self._talk
        self.by_name: dict[str, Callable[[], Figures]] = {
            "toy weights": self._test_toy_weights,
            "machine": self._machine,
            "attention native": partial(self._attention, "native"),
            "attention _native_cudnn": partial(self._attention, "_native_cudnn"),
            "attention _native_flash": partial(self._attention, "_native_flash"),
            "feed-forward layer": self._layer,
            "weights": partial(self._write, "int8-fusionx"),
            "load": partial(self._load, "int8-fusionx"),
            "480p, 8 steps": partial(talk, "int8-fusionx", steps=8),
            "480p, two speakers": partial(talk, "int8-fusionx", speakers=2),
            "720p": partial(talk, "int8-fusionx", resolution="720p"),
            "480p, native attention": partial(talk, "int8-fusionx", speed={"attention": "native"}),
            "480p, cuDNN attention": partial(
                talk, "int8-fusionx", speed={"attention": "_native_cudnn"}
            ),
            "480p, compiled": partial(talk, "int8-fusionx", steps=2, speed={"compile": True}),
            "command, streamed": partial(self._command, "int8-fusionx", "streamed"),
            "weights fp8": partial(self._write, "fp8-fusionx"),
            "load fp8": partial(self._load, "fp8-fusionx"),
            "480p, fp8": partial(talk, "fp8-fusionx", steps=2),
            "480p, fp8 products": partial(
                talk, "fp8-fusionx", steps=2, speed={"fp8_products": True}
            ),
            "10 s talk": partial(talk, "fp8-fusionx", frames=250),
            "weights bf16": self._write_bf16,
            "load bf16": partial(self._load, "bf16"),
            "480p, bf16": partial(talk, "bf16"),
        }

    def _test_toy_weights(self) -> Figures:
        """The engine's tests that need CUDA."""
        tests = ["tests/engines/diffusion/test_gpu.py", "-q", "-W", "default"]
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        (self._out / "test_gpu.txt").write_text(done.stdout + done.stderr)
        said = done.stdout.strip().splitlines()
        if done.returncode:
            bad = [line[:150] for line in said if line.startswith(("FAILED", "ERROR"))]
            raise RuntimeError("; ".join(bad) or (done.stdout + done.stderr)[-300:])
        return {"said": said[-1]}

    def _machine(self) -> Figures:
        """What it is, and how quick: a product of matrices in 16 bits, a copy of bytes."""
        size = 256 if self._toy else 8192
        a, b = torch.randn(2, size, size, device=self._device, dtype=torch.bfloat16)
        copied = torch.empty(size**2 * 32, device=self._device, dtype=torch.uint8)
        product, copy = self._timed(lambda: a @ b), self._timed(copied.clone)
        found: Figures = {
            "torch": torch.__version__,
            "cores": os.cpu_count(),
            "host_free_gb": _memory_available_gb(),
            "matmul_tflops": 2e-12 * size**3 / product,
            "copy_tb_per_s": 2e-12 * len(copied) / copy,
        }
        for name in ("diffusers", "transformers", "peft", "flash_attn", "sageattention"):
            try:
                found[name] = __import__(name).__version__
            except (ImportError, AttributeError):
                found[name] = None
        if self._device == "cuda":
            free, total = torch.cuda.mem_get_info()
            found |= {"gpu": torch.cuda.get_device_name(), "free_gib": free / 2**30}
            found |= {"total_gib": total / 2**30, "cuda": torch.version.cuda}
        return found

    @property
    def _sizes(self) -> tuple[int, int, int]:
        """Tokens of a window, width and inner width of the network."""
        return (256 if self._toy else 32_928), self._scale.dim, self._scale.ffn

    def _attention(self, backend: str) -> Figures:
        """Self attention of one block, and its error beside float32, of the first 256 tokens."""
        tokens, dim, _ = self._sizes
        heads = self._scale.heads
        query, key, value = torch.randn(
            3, 1, tokens, heads, dim // heads, device=self._device, dtype=torch.bfloat16
        )
        with attention_backend(backend):
            seconds = self._timed(lambda: dispatch_attention_fn(query, key, value))
            found = dispatch_attention_fn(query, key, value)[:, :256].float()
        few = query[:, :256]
        exact = functional.scaled_dot_product_attention(
            *(values.float().transpose(1, 2) for values in (few, key, value))
        ).transpose(1, 2)
        return {
            "s": seconds,
            "tflops": 4e-12 * tokens**2 * dim / seconds,
            "relative_error": float((found - exact).norm() / exact.norm()),
        }

    def _layer(self) -> Figures:
        """The larger of a block's products, as each kind of weights computes it."""
        tokens, width, inner = self._sizes
        states = torch.randn(tokens, width, device=self._device, dtype=torch.bfloat16)
        weight = torch.randn(inner, width, device=self._device) * width**-0.5
        half, bias = weight.bfloat16(), torch.zeros(inner, device=self._device).bfloat16()
        exact = functional.linear(states[:256].float(), weight)
        runs = {"bf16": partial(functional.linear, states, half, bias)}
        for storage, largest in (("int8", 127.0), ("float8_e4m3fn", FP8_MAX)):
            layer = QuantizedLinear(width, inner, storage=storage).to(self._device)
            layer.bias.data = bias
            scale = weight.abs().amax(1, keepdim=True) / largest
            layer.weight_scale.data = scale
            codes = weight / scale
            layer.weight.data = (
                codes.round().to(torch.int8)
                if storage == "int8"
                else codes.to(torch.float8_e4m3fn).view(torch.int8)
            )
            runs[f"engine's {storage}"] = partial(layer, states)
        if self._device == "cuda":
            runs["fp8 product, rows scaled as they come"] = _fp8_product(states, weight, bias)
        rows: Figures = {}
        for name, run in runs.items():
            try:
                seconds = self._timed(run)
                error = float((run()[:256].float() - exact).norm() / exact.norm())
                tflops = 2e-12 * tokens * width * inner / seconds
                rows[name] = {"s": seconds, "tflops": tflops, "relative_error": error}
            except RuntimeError as error:  # a card that has no such product
                rows[name] = str(error)[:200]
        return rows

    def _write(self, name: str, *, in_full: str = "F32", **kinds: object) -> Figures:
        """Random weights; a toy's are opened and saved again with sizes that a CPU can render."""
        folder = self._weights / name if self._toy else self._weights
        before = _bytes_in(folder)
        write_set(name, folder, self._scale, in_full=in_full, **kinds)
        written = _bytes_in(folder) - before
        if self._toy:
            pipeline = load_pipeline(folder, torch_dtype=torch.float32, weight_set=name)
            pipeline.register_to_config(
                sizes=TOY_SIZES, segment_frames=TOY_FRAMES, conditioning_frames=TOY_SHARED
            )
            pipeline.save_pretrained(self._folder(name))
        return {"gb": written / 1e9, "into": str(folder)}

    def _write_bf16(self) -> Figures:
        """With the text encoder of the set before; in 16 bits, as float32 has no room in memory."""
        if self._toy:
            return self._write("bf16", in_full="BF16")
        for network in self._weights.glob("MeiGen-MultiTalk/quant_models/quant_model_*"):
            network.unlink()
        return self._write(
            "bf16", in_full="BF16", components=("transformer", "audio_layers", *ENCODERS)
        )

    def _folder(self, name: str) -> Path:
        """The opened parts."""
        return self._weights / f"small-{name}" if self._toy else self._weights

    def _settings(self, name: str) -> Settings:
        return Settings(weights=self._folder(name), weight_set=None if self._toy else name)

    def _load(self, name: str) -> Figures:
        """From files to a warm engine."""
        engine = self._opened(name)
        return {"plan": engine.loaded[0].plan.name, "held_gib": self._held_gib(), **host_gb()}

    def _opened(self, name: str) -> DiffusionEngine:
        if self._engine is None or self._engine[0] != name:
            self._close()
            self._engine = name, DiffusionEngine.load(self._folder(name), self._settings(name))
        return self._engine[1]

    def _close(self) -> None:
        if self._engine is not None:
            self._engine[1].close()
            self._engine = None

    def _talk(
        self,
        name: str,
        *,
        resolution: str = "480p",
        steps: int = 1,
        speakers: int = 1,
        frames: int | None = None,
        speed: Mapping[str, object] | None = None,
    ) -> Figures:
        """A talk of one window, or of some frames: seconds a forward and of the VAE, memory."""
        engine = self._opened(name)
        pipeline = engine.loaded[0].pipeline
        if speed is not None:
            accelerate(pipeline.transformer, Settings(**speed), is_shared=False)
        if frames is None or self._toy:
            frames = TOY_FRAMES * (1 if frames is None else 2) if self._toy else WINDOW
        options = RenderOptions(
            seed=1,
            resolution=resolution,
            num_inference_steps=steps,
            text_guidance_scale=1.0,  # two branches, as in the profiles that are distilled
            audio_guidance_scale=2.0,
        )
        held, anonymous, pixels = [], [], []
        with self._timing(pipeline) as seconds:
            began = time.monotonic()
            for chunk in engine.render(_scene(frames, speakers), options, ignore_progress):
                pixels.append(chunk.frames)
                held.append(self._held_gib())
                anonymous.append(host_gb()["host_anonymous_gb"])
            whole = time.monotonic() - began
        video = np.concatenate(pixels)
        forwards = seconds.pop("forward")
        if not video.std() > 1:
            raise RuntimeError(f"a video without a picture: standard deviation {video.std()}")
        return {
            "frames": list(video.shape),
            "pixel_std": float(video.std()),
            "forwards": len(forwards),
            "forward_s": median(forwards),
            "first_forward_s": forwards[0],
            **{f"{part}_s": sum(taken) for part, taken in seconds.items()},
            "rest_s": whole - sum(forwards) - sum(map(sum, seconds.values())),
            "whole_s": whole,
            "s_per_s_of_video": whole / (min(frames, FRESH) / 25 if len(held) < 2 else frames / 25),
            "plan": engine.loaded[0].plan.name,
            "held_gib_by_window": held,
            "host_anonymous_gb_by_window": anonymous,
        }

    @contextmanager
    def _timing(self, pipeline: object) -> Iterator[dict[str, list[float]]]:
        """Seconds of each call of the networks, the device waited for."""
        networks = {
            "forward": (pipeline.transformer, "forward"),
            "encode_video": (pipeline.vae, "encode"),
            "decode_video": (pipeline.vae, "decode"),
            "text": (pipeline.text_encoder, "forward"),
            "picture": (pipeline.image_encoder, "forward"),
        }
        seconds: dict[str, list[float]] = {part: [] for part in networks}

        def timed(part: str, run: Callable[..., object], *args: object, **options: object):
            self._wait()
            began = time.monotonic()
            try:
                return run(*args, **options)
            finally:
                self._wait()
                seconds[part].append(time.monotonic() - began)

        for part, (network, method) in networks.items():
            setattr(network, method, partial(timed, part, getattr(network, method)))
        try:
            yield seconds
        finally:
            for network, method in networks.values():
                delattr(network, method)

    def _command(self, name: str, plan: str) -> Figures:
        """`multitalk render` in a separate process, from a request to a file that is read."""
        job, film, voice = (self._out / file for file in ("job.json", f"{plan}.mp4", "voice.wav"))
        with wave.open(str(voice), "wb") as opened:
            opened.setnchannels(1)
            opened.setsampwidth(2)
            opened.setframerate(16_000)
            opened.writeframes(
                (16_000 * _hum(TOY_FRAMES if self._toy else 25)).astype("<i2").tobytes()
            )
        request = {
            "prompt": "a man talks to the camera",
            "image_path": str(PORTRAIT),
            "audio_paths": {"person1": str(voice)},
            "engine": "diffusion",
            "resolution": "480p",
            "sample_steps": 1,
            "sample_text_guide_scale": 1.0,
            "sample_audio_guide_scale": 2.0,
            "seed": 1,
        }
        job.write_text(json.dumps({"input": request}))
        settings = {
            "MULTITALK_WEIGHTS": str(self._folder(name)),
            "MULTITALK_MEMORY_PLAN": plan,
            "MULTITALK_ALLOWED_ROOTS": f"{ROOT}:{self._out.resolve()}",
        }
        command = [sys.executable, "-m", "multitalk", "render", "--request", str(job), "--json"]
        free = _memory_available_gb()
        with subprocess.Popen(
            [*command, "--output", str(film)],
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            stderr=(self._out / "command.txt").open("w"),
            text=True,
        ) as child:
            least, anonymous = free, 0.0
            while child.poll() is None:
                least = min(least, _memory_available_gb())
                anonymous = max(anonymous, host_gb(child.pid)["host_anonymous_gb"])
                time.sleep(0.1)
            said = child.stdout.read()
        if child.returncode:
            raise RuntimeError(f"exit {child.returncode}: {said[-300:]}")
        from multitalk.media.video import probe  # noqa: PLC0415 - the other steps need no codecs

        return {
            "film": str(probe(film)),
            "bytes": film.stat().st_size,
            "timings": json.loads(said)["timings"],
            "host_anonymous_peak_gb": anonymous,
            "host_taken_peak_gb": free - least,  # with pinned memory and page tables
        }

    def _timed(self, run: Callable[[], object], rounds: int = 3) -> float:
        """Median seconds, after a round that is not counted."""
        taken = []
        for _ in range(1 + rounds):
            self._wait()
            began = time.monotonic()
            run()
            self._wait()
            taken.append(time.monotonic() - began)
        return median(taken[1:])

    def _wait(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()

    def _held_gib(self) -> float:
        return torch.cuda.memory_allocated() / 2**30 if self._device == "cuda" else 0.0

    def take(self, name: str) -> Figures:
        """One step's figures, or why there are none."""
        on_gpu = self._device == "cuda"
        began = time.monotonic()
        try:
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
            figures = self.by_name[name]()
            self._wait()
            peak = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else 0.0
            figures |= {"peak_gib": peak}
        except Exception as error:
            traceback.print_exc()
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            figures = {"failed": f"{type(error).__name__} at {where}: {str(error)[:400]}"}
        gc.collect()
        if on_gpu:
            torch.cuda.empty_cache()
        return {"took_s": time.monotonic() - began, **figures}


def _fp8_product(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> Callable[[], torch.Tensor]:
    """[T, in], [out, in] -> [T, out] in the GPU's own 8 bits, a scale for each row of both."""
    scale = weight.abs().amax(1, keepdim=True) / FP8_MAX
    codes = (weight / scale).to(torch.float8_e4m3fn)

    def run() -> torch.Tensor:
        rows = (states.abs().amax(1, keepdim=True).float() / FP8_MAX).clamp(min=1e-6)
        return torch._scaled_mm(
            (states / rows).to(torch.float8_e4m3fn),
            codes.T,
            scale_a=rows,
            scale_b=scale.T.contiguous(),
            bias=bias,
            out_dtype=torch.bfloat16,
            use_fast_accum=True,
        )

    return run


def _scene(frames: int, speakers: int) -> Scene:
    portrait = np.random.default_rng(0).integers(0, 256, (480, 832, 3), dtype=np.uint8)
    people = tuple(
        Speaker(f"person{i}", _hum(frames), (20.0 + 400 * i, 20.0, 380.0 + 400 * i, 460.0))
        for i in range(speakers)
    )
    return Scene(portrait, people, "a man talks to the camera", frames)


def _hum(frames: int) -> np.ndarray:
    """Something to hear: float32 [S] at 16 kHz, louder and fainter about five times a second."""
    time_line = np.arange(frames * 640, dtype=np.float32)
    return 0.4 * np.sin(time_line / 20) * (0.6 + 0.4 * np.sin(time_line / 500))


def host_gb(process: int | str = "self") -> dict[str, float]:
    """Memory of a process: its own, and mapped files; zeros for one that has ended."""
    try:
        text = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        text = ""
    lines = dict(line.split(":", 1) for line in text.splitlines())
    kinds = {"host_anonymous_gb": "RssAnon", "host_files_gb": "RssFile", "host_shm_gb": "RssShmem"}
    return {name: int(lines.get(key, "0 kB").split()[0]) / 1e6 for name, key in kinds.items()}


def _memory_available_gb() -> float:
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1e6 for line in lines if line.startswith("MemAvailable"))


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def rounded(value: object) -> object:
    """Four digits are enough, and a line can be read."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value


def main() -> None:
    """Take the steps that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("names", nargs="+")
    arguments = parser.parse_args()
    if arguments.toy:
        torch.set_num_threads(1)  # threads that wait for one another are slower than one
    steps = Steps(arguments.weights, arguments.out, toy=arguments.toy)
    for name in arguments.names:
        print(json.dumps({"begins": name}), flush=True)
        print(json.dumps({"step": name} | rounded(steps.take(name))), flush=True)


if __name__ == "__main__":
    main()
