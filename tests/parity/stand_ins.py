"""The recordings' small stand-ins for encoders, and a talk sampled with them."""

import json
import math
from collections import Counter
from collections.abc import Callable
from itertools import starmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from reversed_speech import reversed_rows
from safetensors.torch import load_file
from torch import Tensor

from multitalk.engines.diffusion.continuation import Continuation
from multitalk.engines.diffusion.convert_transformer import load_transformer
from multitalk.engines.diffusion.guidance import AdaptiveProjection, Guidance
from multitalk.engines.diffusion.resolution_buckets import choose_bucket, fit_picture
from multitalk.engines.diffusion.sampler import SampleOptions, sample_talk, schedule
from multitalk.engines.diffusion.speakers import speaker_masks
from multitalk.engines.diffusion.step_cache import StepCache
from multitalk.engines.diffusion.talk import TalkModel
from multitalk.engines.diffusion.windows import (
    Window,
    WindowLengths,
    frame_features,
    num_windows,
    talk_windows,
)

BRANCHES = {"cond": "full", "drop_text": "voice", "drop_audio": "prompt", "uncond": "nothing"}
CLOSE = {"atol": 5e-4, "rtol": 1e-4}
FRAMES_CLOSE = {"atol": 2e-4, "rtol": 0.0}


class StandInCodec:
    """A linear VAE: 8 x 8 pixels are one latent pixel, four frames after the first one latent."""

    def __init__(self, stubs: dict[str, Tensor]) -> None:
        self._stubs = stubs

    def encode(self, frames: Tensor) -> Tensor:
        small = F.avg_pool2d(frames.transpose(0, 1), 8).transpose(0, 1)  # [3, T, h, w]
        later = small[:, 1:].unflatten(1, (-1, 4)).mean(2)
        rgb = torch.cat([small[:, :1], later], dim=1)
        bias = self._stubs["vae/enc_b"][:, None, None, None]
        return torch.einsum("cr,rthw->cthw", self._stubs["vae/enc_w"], rgb) + bias

    def decode(self, latents: Tensor) -> Tensor:
        rgb = torch.einsum("rc,cthw->rthw", self._stubs["vae/dec_w"], latents)
        fading = torch.tensor([1.0, 0.95, 0.90, 0.85])[:, None, None]
        later = (rgb[:, 1:, None] * fading).flatten(1, 2)
        frames = torch.cat([rgb[:, :1], later], dim=1).clamp(-1, 1)
        return frames.repeat_interleave(8, 2).repeat_interleave(8, 3)


def picture_tokens(stubs: dict[str, Tensor], picture: Tensor) -> Tensor:
    """A stand-in for CLIP: [3, H, W] -> [257, channels]."""
    side = math.isqrt(stubs["clip/proj"].shape[1] // 3)
    pooled = F.adaptive_avg_pool2d(picture, side).flatten()
    return stubs["clip/base"] + stubs["clip/proj"] @ pooled


class RecordedNoise:
    """The recording's random draws, in order; draws that we do not need are left out.

    The reference draws noise for the given latents of a step that has none.
    """

    def __init__(self, recorded: dict[str, Tensor]) -> None:
        self._draws = [recorded[name] for name in sorted(recorded) if name.startswith("draw/")]

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        while tuple(self._draws[0].shape) != shape:
            self._draws.pop(0)
        return self._draws.pop(0)


class SampledWindow(NamedTuple):
    """What `sample_talk` yields."""

    window: Window
    latents: Tensor
    frames: Tensor


class ReversedTalkModel(TalkModel):
    """A talk whose speech goes on backwards where it ends, as in the reference."""

    def speech_features(self, window: Window) -> Tensor:
        rows = [reversed_rows(window, len(track)) for track in self._tracks]
        pairs = zip(self._tracks, rows, strict=True)
        return torch.stack([torch.from_numpy(frame_features(*pair)) for pair in pairs])


class RecordingModule:
    """One recorded run: its parameters, its tensors, and our run with the same noise."""

    def __init__(self, folder: Path, case: str, params: dict[str, Any], meta: dict[str, Any]):
        self.params, self.meta = params, meta
        self.tensors = load_file(folder / f"{case}.safetensors")
        self.stubs = (
            load_file(folder / "stubs.safetensors") if "stubs" not in meta else meta["stubs"]
        )
        self.frames = self.tensors["frames_sub8"]
        self.lengths = WindowLengths(meta["frame_num"], meta["motion_frame"])
        self.num_frames = min(params.get("max_frames", 1000), params["L"][0])
        self.steps = params.get("steps_", meta["steps"])
        self.shift = params.get("shift_", meta["shift"])
        self.seen: list[tuple[int, int, str, Tensor, Tensor]] = []

    @property
    def bucket(self) -> tuple[int, int]:
        height, width = self.meta["source_hw"]
        buckets = {float(ratio): tuple(size) for ratio, (size, _) in self.meta["buckets"].items()}
        return choose_bucket(height, width, buckets=buckets)

    @property
    def guidance(self) -> Guidance:
        projection = None
        if self.params.get("apg"):
            usual = AdaptiveProjection()
            projection = AdaptiveProjection(
                self.params.get("thr", usual.norm_threshold), self.params.get("mom", usual.momentum)
            )
        return Guidance(self.params.get("text", 5.0), self.params.get("audio", 4.0), projection)

    def talk_model(
        self, transformer: torch.nn.Module | None, step_cache: StepCache | None = None
    ) -> TalkModel:
        """The talk's conditions; without a transformer only for its speech features."""
        tracks = [
            self.stubs[f"audio/person{person}"][:length].numpy()
            for person, length in enumerate(self.params["L"], start=1)
        ]
        return ReversedTalkModel(
            transformer,
            lambda picture: picture_tokens(self.stubs, picture),
            prompt=self.stubs["t5/prompt"],
            negative_prompt=self.stubs["t5/negative"],
            tracks=tracks,
            masks=self.masks() if len(tracks) > 1 else None,
            step_cache=step_cache,
        )

    def masks(self) -> Tensor:
        boxes = self.params.get("bbox")
        places = boxes and [(left, top, right, low) for top, left, low, right in boxes.values()]
        source = tuple(self.meta["source_hw"])
        num_speakers = len(self.params["L"])
        masks = speaker_masks(source, self.bucket, num_speakers=num_speakers, boxes=places)
        return torch.from_numpy(masks)

    def fitted(self, picture: np.ndarray) -> Tensor:
        """RGB uint8 [h, w, 3] -> [3, H, W] in [-1, 1], of the bucket's size."""
        pixels = torch.from_numpy(fit_picture(picture, self.bucket).copy())
        return pixels.permute(2, 0, 1).float() / 127.5 - 1

    def sample(
        self,
        transformer: torch.nn.Module,
        source: Callable[[int], Tensor],
        continuation: Continuation,
        step_cache: StepCache | None = None,
    ) -> list[SampledWindow]:
        model = self.talk_model(transformer, step_cache)
        options = SampleOptions(self.guidance, self.steps, self.shift, self.params.get("cc", 0.0))
        noise = RecordedNoise(self.tensors)
        windows = sample_talk(
            Watched(model, self),
            StandInCodec(self.stubs),
            source,
            num_frames=self.num_frames,
            lengths=self.lengths,
            options=options,
            noise=lambda _: noise,
            continuation=continuation,
        )
        return list(starmap(SampledWindow, windows))


class Watched:
    """A talk's model of which every question and answer is noted in `recording.seen`."""

    def __init__(self, model: TalkModel, recording: RecordingModule) -> None:
        self._model, self._recording = model, recording
        self.conditionings = recording.conditionings = []

    def bind(self, window, conditioning):
        denoise = self._model.bind(window, conditioning)
        self.conditionings.append(conditioning)
        asked: list[float] = []

        def watched(latents, timestep, branches):
            velocities = denoise(latents, timestep, branches)
            asked.append(float(timestep))
            for branch, velocity in velocities.items():
                self._recording.seen.append(
                    (window.index, len(asked) - 1, branch, latents, velocity)
                )
            return velocities

        return watched


def portrait(folder: Path, name: str = "image.png") -> np.ndarray:
    """The recordings' picture, RGB uint8 [h, w, 3]."""
    return np.asarray(Image.open(folder / name).convert("RGB"))


def recordings(folder: Path) -> dict[str, RecordingModule]:
    """All runs of a folder, by name."""
    meta = json.loads((folder / "meta.json").read_text())
    return {
        name: RecordingModule(folder, name, case["params"], meta)
        for name, case in meta["cases"].items()
    }


def small_transformer(goldens: Path):
    """The recordings' network in float32."""
    return load_transformer(goldens / "transformer" / "checkpoint", torch_dtype=torch.float32)


def assert_same_talk(recording: RecordingModule, sampled: list[SampledWindow]) -> dict[str, float]:
    """Compare latents, conditioning and frames; return the worst errors."""
    worst = {"latents": 0.0, "frames": 0.0, "conditioning": 0.0}
    for number, window in enumerate(sampled):
        pairs = {"latents": (window.latents, recording.tensors[f"chunk{number}/latent_final"])}
        shown = recording.tensors.get(f"chunk{number}/y")
        if shown is not None:
            pairs["conditioning"] = (recording.conditionings[number].latents, shown[0])
        for kind, (ours, theirs) in pairs.items():
            torch.testing.assert_close(ours, theirs, **CLOSE)
            worst[kind] = max(worst[kind], float((ours - theirs).abs().max()))
    assert f"chunk{len(sampled)}/latent_final" not in recording.tensors
    frames = torch.cat([window.frames for window in sampled], dim=1)
    assert frames.shape[1] == recording.num_frames
    # The reference loses the last frames of a talk, or shows some that were not asked for.
    ours, theirs = frames[:, :, ::8, ::8], recording.frames
    shared = min(ours.shape[1], theirs.shape[1])
    torch.testing.assert_close(ours[:, :shared], theirs[:, :shared], **FRAMES_CLOSE)
    worst["frames"] = float((ours[:, :shared] - theirs[:, :shared]).abs().max())
    return worst


def assert_same_questions(recording: RecordingModule) -> Counter[str]:
    """Compare what the network was asked and answered; return how much of each kind was there."""
    names = {ours: theirs for theirs, ours in BRANCHES.items()}
    compared = set()
    for window, step, branch, latents, velocity in recording.seen:
        pairs = {
            f"chunk{window}/step{step}/x_in": latents,
            f"chunk{window}/step{step}/{names[branch]}": velocity,
        }
        if step == 0:
            pairs[f"chunk{window}/x_first_step"] = latents
        for name, ours in pairs.items():
            if name in recording.tensors:
                torch.testing.assert_close(ours, recording.tensors[name], **CLOSE)
                compared.add(name)
    needless = {
        f"/{names[branch]}" for branch in names if branch not in recording.guidance.branches
    }
    expected = {
        name
        for name in recording.tensors
        if ("/step" in name or name.endswith("/x_first_step"))
        and not name.endswith(tuple(needless))
    }
    assert compared == expected
    return Counter(name.split("/")[-1] for name in compared)


def assert_same_surroundings(recording: RecordingModule) -> Counter[str]:
    """Compare what each window hears and sees; return how much of each kind was there."""
    compared = Counter()
    windows = talk_windows(recording.num_frames, recording.lengths)
    model = recording.talk_model(None)
    for number, (window, shown) in enumerate(zip(windows, recording.conditionings, strict=True)):
        pairs = {
            "audio_windows_sum": model.speech_features(window).sum((-2, -1)),
            "clip_token0": picture_tokens(recording.stubs, shown.picture)[0],
        }
        if len(recording.params["L"]) > 1:
            pairs["masks"] = recording.masks()
        for kind, ours in pairs.items():
            theirs = recording.tensors.get(f"chunk{number}/{kind}")
            if theirs is not None:
                torch.testing.assert_close(ours, theirs, **CLOSE)
                compared[kind] += 1
    return compared


def assert_same_counts(recording: RecordingModule, name: str, sampled: list[SampledWindow]) -> None:
    """Compare the numbers of windows, of frames and of questions, and the timesteps."""
    case = recording.meta["cases"][name]
    assert len(sampled) == case["n_chunks"]
    assert recording.frames.shape[1] == case["n_frames"]
    assert recording.bucket == tuple(case["frame_hw"])
    # An audio scale of 1 needs fewer branches; the reference asks them all.
    branches = len(recording.guidance.branches)
    assert branches <= case["branches_per_step"]
    assert branches == case["branches_per_step"] or not recording.guidance.follows_audio
    assert len(recording.seen) == len(sampled) * recording.steps * branches
    ours = schedule(recording.steps, shift=recording.shift).timesteps
    torch.testing.assert_close(ours, torch.tensor(case["timesteps"]), atol=1e-3, rtol=1e-6)


def assert_same_cuts(folder: Path) -> None:
    """Compare into how many windows a talk is cut."""
    rows = json.loads((folder / "frame_counts.json").read_text())
    cut = [row for row in rows if row["chunks"] is not None]  # the reference refuses the others
    assert cut
    for row in cut:
        lengths = WindowLengths(row["frame_num"], row["motion_frame"])
        num_frames = min(row["audio_frames"][0], row["max_frames_num"])
        windows = list(talk_windows(num_frames, lengths))
        assert len(windows) == num_windows(num_frames, lengths) == row["chunks"], row
        assert [frame for window in windows for frame in window.new] == list(range(num_frames))
