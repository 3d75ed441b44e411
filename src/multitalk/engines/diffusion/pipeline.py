"""The pipeline: a picture, a prompt and voices go in, finished windows of video come out.

Its components are those of diffusers' Wan image-to-video pipeline and a speech encoder, and its
weights are laid out as `save_pretrained` writes them. Unlike the library's pipelines it is a
generator: a talk of any length is yielded window by window, and no more than one window is held.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
import torch
from diffusers import AutoencoderKLWan, DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from numpy.typing import NDArray
from torch import Tensor
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPVisionModel,
    UMT5EncoderModel,
    Wav2Vec2Model,
)

from multitalk.array_types import Array
from multitalk.boxes import Box
from multitalk.engines.base import Footage, ProgressCallback, ignore_progress
from multitalk.engines.diffusion.continuation import (
    Continuation,
    FrameSource,
    continue_infinitetalk,
    continue_multitalk,
)
from multitalk.engines.diffusion.encoders import EncoderMixin
from multitalk.engines.diffusion.parallel import SingleProcess, TalkGroup
from multitalk.engines.diffusion.progress import FrameProgress
from multitalk.engines.diffusion.resolution_buckets import (
    BUCKETS,
    DEFAULT_RESOLUTION,
    Resolution,
    Size,
    choose_bucket,
    fit_picture,
)
from multitalk.engines.diffusion.sampler import SampleOptions, sample_talk, seeded_noise
from multitalk.engines.diffusion.speakers import PIXELS_PER_TOKEN, speaker_masks
from multitalk.engines.diffusion.step_cache import COEFFICIENTS, StepCache
from multitalk.engines.diffusion.talk import (
    FinishedLatents,
    TalkInputs,
    TalkModel,
    frames_of_longest,
)
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel
from multitalk.engines.diffusion.vae import VaeCodec
from multitalk.engines.diffusion.windows import Window, WindowLengths, num_windows
from multitalk.speech.talk_features import Pauses
from multitalk.timebase import CLIP_FRAMES

CONTINUATIONS: dict[str, Continuation] = {
    "multitalk": continue_multitalk,
    "infinitetalk": continue_infinitetalk,
}


@dataclass(frozen=True)
class RenderedWindow:
    """A finished window of a talk.

    Attributes:
        window: Its place in the talk.
        frames: Those that no earlier window had, RGB uint8 [T, H, W, 3].
        latents: Of the whole window, float32 [16, t, h, w]; a later talk can continue from them.
    """

    window: Window
    frames: NDArray[np.uint8]
    latents: Tensor


@dataclass(frozen=True)
class Execution:
    """Options that change the cost of a talk, and its frames by rounding or cached steps.

    Attributes:
        lengths: Of the windows; the weights' own when None.
        step_cache_threshold: Change that skipped steps may add up to; 0 computes all steps.
        in_tiles: Whether the VAE works in tiles, which takes less memory.
        group: The processes that make the talk together, each by this very call; None for a single
            process.
    """

    lengths: WindowLengths | None = None
    step_cache_threshold: float = 0.0
    in_tiles: bool = False
    group: TalkGroup | None = None


class MultiTalkPipeline(EncoderMixin, DiffusionPipeline):
    """Talks of one or more people, with MultiTalk's or InfiniteTalk's weights.

    A component on another device than the transformer is copied there while it works: this keeps
    the encoders out of a small GPU's memory (see `memory`). The library's own
    `enable_model_cpu_offload` is refused, since it hides where the transformer is.

    Args:
        transformer: The noise predictor.
        vae: Wan's; works in its own dtype.
        text_encoder: Of prompts.
        tokenizer: The text encoder's.
        image_encoder: CLIP's, whose last layer but one is read.
        image_processor: Its mean and deviation of colours.
        audio_encoder: Of voices.
        scheduler: With the default timestep shift.
        kind: `multitalk` or `infinitetalk`: how windows follow one another.
        segment_frames: Of a window, 4 n + 1; the name in saved pipelines.
        conditioning_frames: Shared by neighbouring windows, 4 n + 1.
        sizes: [height, width] that the weights were trained at, by resolution; None for the
            published ones.

    Raises:
        ValueError: An unknown kind, lengths that are not 4 n + 1, or sizes that are not whole
            tokens.
    """

    model_cpu_offload_seq = None

    def __init__(
        self,
        *,
        transformer: MultiTalkTransformer3DModel,
        vae: AutoencoderKLWan,
        text_encoder: UMT5EncoderModel,
        tokenizer: AutoTokenizer,
        image_encoder: CLIPVisionModel,
        image_processor: CLIPImageProcessorPil,
        audio_encoder: Wav2Vec2Model,
        scheduler: FlowMatchEulerDiscreteScheduler,
        kind: str = "multitalk",
        segment_frames: int = CLIP_FRAMES,
        conditioning_frames: int = 25,
        sizes: dict[str, list[list[int]]] | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            transformer=transformer,
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            image_encoder=image_encoder,
            image_processor=image_processor,
            audio_encoder=audio_encoder,
            scheduler=scheduler,
        )
        self.register_to_config(
            kind=kind,
            segment_frames=segment_frames,
            conditioning_frames=conditioning_frames,
            sizes=sizes,
        )
        if kind not in CONTINUATIONS:
            raise ValueError(f"kind: {kind} is none of {', '.join(CONTINUATIONS)}")
        if sizes is not None:
            _check_sizes(sizes)
        self.lengths  # noqa: B018 - raises where they do not fit

    def __call__(
        self,
        image: NDArray[np.uint8],
        prompt: str,
        voices: Sequence[Array],
        *,
        negative_prompt: str = "",
        boxes: Sequence[Box] | None = None,
        num_frames: int | None = None,
        footage: Footage | None = None,
        finished: FinishedLatents = (),
        resolution: Resolution = DEFAULT_RESOLUTION,
        options: SampleOptions | None = None,
        execution: Execution | None = None,
        seed: int = 0,
        watch: ProgressCallback = ignore_progress,
    ) -> Iterator[RenderedWindow]:
        """Make a talk; closing the iterator ends it.

        The arguments are those of `TalkInputs` and of `render`, except:

        Args:
            image: The picture.
            prompt: What the video shows.
            voices: One per speaker, float32 [S] at 16 kHz.
            negative_prompt: What it does not show.
            boxes: Where each speaker is.
            num_frames: T; the longest voice's when None.
            footage: The moving source.
            finished: Latents of windows that the talk begins with.
            resolution: Picks the sizes to choose from.
            options: Steps, guidance and colours; by default with the scheduler's shift.
            execution: How the talk is computed.
            seed: Of the noise.
            watch: Progress callback.

        Raises:
            ValueError, SpeakerOutOfSight, FloatingPointError: As `TalkInputs` and `render`.
        """
        inputs = TalkInputs(
            picture=image,
            prompt=prompt,
            voices=voices,
            num_frames=frames_of_longest(voices) if num_frames is None else num_frames,
            negative_prompt=negative_prompt,
            boxes=boxes,
            footage=footage,
            finished=finished,
            resolution=resolution,
            sampling=options or SampleOptions(shift=self.scheduler.config.shift),
            seed=seed,
        )
        return self.render(inputs, execution or Execution(), watch)

    def render(
        self, inputs: TalkInputs, execution: Execution, watch: ProgressCallback
    ) -> Iterator[RenderedWindow]:
        """Make a talk; closing the iterator ends it.

        Args:
            inputs: Of the talk.
            execution: How it is computed.
            watch: Called before each encoder, step and decoding with how much is done, in frames'
                worth of work. What it raises ends the talk.

        Raises:
            ValueError: Footage for MultiTalk, or nothing that is not finished.
            SpeakerOutOfSight: A box has no place in the video.
            FloatingPointError: While iterating: the weights give numbers that are not finite.
        """
        if inputs.footage is not None and not self.takes_footage:
            raise ValueError("footage: only InfiniteTalk's weights are shown a moving source")
        lengths = execution.lengths or self.lengths
        if len(inputs.finished) >= num_windows(inputs.num_frames, lengths):
            raise ValueError("finished: nothing of the talk would be new")
        height, width = inputs.picture.shape[:2]
        size = choose_bucket(height, width, buckets=self.buckets(inputs.resolution))
        return self._windows(inputs, size, self._masks(inputs, size), execution, watch)

    def _masks(self, inputs: TalkInputs, size: Size) -> Tensor | None:
        """Masks of the speakers and the background, [N + 1, h, w]; None for one speaker."""
        num_speakers = len(inputs.voices)
        if num_speakers == 1:
            return None
        height, width = inputs.picture.shape[:2]
        masks = speaker_masks((height, width), size, num_speakers=num_speakers, boxes=inputs.boxes)
        return torch.from_numpy(masks).to(self.transformer.device)

    @torch.no_grad()
    def _windows(
        self,
        inputs: TalkInputs,
        size: Size,
        masks: Tensor | None,
        execution: Execution,
        watch: ProgressCallback,
    ) -> Iterator[RenderedWindow]:
        progress = FrameProgress(watch, num_inference_steps=inputs.sampling.num_inference_steps)
        device, group = self.transformer.device, execution.group or SingleProcess()
        for window, latents, frames in sample_talk(
            self._bind(inputs, masks, execution, group, progress),
            VaeCodec(self.vae, device, in_tiles=execution.in_tiles, group=group),
            _frame_source(inputs, size, device),
            num_frames=inputs.num_frames,
            lengths=execution.lengths or self.lengths,
            options=inputs.sampling,
            noise=seeded_noise(inputs.seed, device),
            continuation=CONTINUATIONS[self.config.kind],
            finished=partial(_finished_latents, inputs.finished, device),
            report=progress.report_steps,
        ):
            if not latents.isfinite().all():  # would be a black video, and a success
                raise FloatingPointError("the transformer gave numbers that are not finite")
            pixels = _as_pixels(frames)
            del frames  # memory that the next window's steps can have
            yield RenderedWindow(window, pixels, latents)

    def _bind(
        self,
        inputs: TalkInputs,
        masks: Tensor | None,
        execution: Execution,
        group: TalkGroup,
        progress: FrameProgress,
    ) -> TalkModel:
        """The transformer with the talk's prompts and voices, which are encoded here."""
        progress.report()
        prompt = self.encode_prompt(inputs.prompt)
        negative_prompt = None
        if inputs.sampling.guidance.uses_negative_prompt:
            progress.report()
            negative_prompt = self.encode_prompt(inputs.negative_prompt)

        # In a pause, a single speaker rests, and one of several is silent.
        pauses: Pauses = "encoded" if len(inputs.voices) == 1 else "null"
        tracks = []
        for voice in inputs.voices:
            progress.report()
            tracks.append(self.encode_speech(voice, pauses=pauses))

        def encode_picture(picture: Tensor) -> Tensor:
            progress.report()
            return self.encode_picture(picture)

        step_cache = None
        if execution.step_cache_threshold > 0:
            step_cache = StepCache(
                threshold=execution.step_cache_threshold,
                coefficients=COEFFICIENTS[inputs.resolution],
            )
        return TalkModel(
            self.transformer,
            encode_picture,
            prompt=prompt,
            negative_prompt=negative_prompt,
            tracks=tracks,
            masks=masks,
            step_cache=step_cache,
            group=group,
        )

    @property
    def lengths(self) -> WindowLengths:
        """Lengths of the windows that the weights were trained on; the last may be shorter."""
        return WindowLengths.ending_short(
            self.config.segment_frames, self.config.conditioning_frames
        )

    @property
    def takes_footage(self) -> bool:
        """True if the weights were trained to be shown a moving source."""
        return bool(self.config.kind == "infinitetalk")

    def buckets(self, resolution: Resolution) -> dict[float, Size]:
        """Sizes by height / width."""
        if self.config.sizes is None:
            return dict(BUCKETS[resolution])
        return {height / width: (height, width) for height, width in self.config.sizes[resolution]}


def _check_sizes(sizes: Mapping[str, Sequence[Sequence[int]]]) -> None:
    for resolution in BUCKETS:
        if not sizes.get(resolution):
            raise ValueError(f"sizes: none for {resolution}")
    for height, width in chain.from_iterable(sizes.values()):
        if (
            min(height, width) < PIXELS_PER_TOKEN
            or height % PIXELS_PER_TOKEN
            or width % PIXELS_PER_TOKEN
        ):
            raise ValueError(f"sizes: {height}x{width} is not a multiple of {PIXELS_PER_TOKEN}")


def _frame_source(inputs: TalkInputs, size: Size, device: torch.device) -> FrameSource:
    """The picture, or the footage, at the video's size."""
    still = _as_tensor(fit_picture(inputs.picture, size), device)

    def at(frame: int) -> Tensor:
        if inputs.footage is None or frame == 0:
            return still
        return _as_tensor(fit_picture(inputs.footage.at(frame), size), device)

    return at


def _finished_latents(
    finished: FinishedLatents, device: torch.device, window: Window
) -> Tensor | None:
    """Latents of a window that an earlier talk has, or None."""
    if window.index >= len(finished):
        return None
    return torch.from_numpy(finished[window.index]).to(device)


def _as_tensor(picture: NDArray[np.uint8], device: torch.device) -> Tensor:
    """RGB uint8 [H, W, 3] -> [-1, 1], [3, H, W]."""
    pixels = torch.from_numpy(picture.copy()).to(device)
    return pixels.permute(2, 0, 1).float() / 127.5 - 1


def _as_pixels(frames: Tensor) -> NDArray[np.uint8]:
    """RGB in [-1, 1], [3, T, H, W] -> uint8 [T, H, W, 3]."""
    scaled = ((frames + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    pixels: NDArray[np.uint8] = scaled.permute(1, 2, 3, 0).contiguous().cpu().numpy()
    return pixels
