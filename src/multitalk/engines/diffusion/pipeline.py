"""The pipeline: a picture, a prompt and voices go in, finished windows of video come out.

Its components are those of diffusers' Wan image-to-video pipeline and a speech encoder, and its
weights are laid out as `save_pretrained` writes them. Unlike the library's pipelines it is a
generator: a talk of any length is yielded window by window, and no more than one window is held.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

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
from multitalk.engines.diffusion.encoders import EncoderMixin
from multitalk.engines.diffusion.parallel import SingleProcess, TalkGroup
from multitalk.engines.diffusion.resolution_buckets import (
    BUCKETS,
    DEFAULT_RESOLUTION,
    Resolution,
    Size,
    choose_bucket,
    fit_picture,
)
from multitalk.engines.diffusion.sampler import (
    Continuation,
    SampleOptions,
    continue_infinitetalk,
    continue_multitalk,
    sample_talk,
    seeded_noise,
)
from multitalk.engines.diffusion.speakers import speaker_masks
from multitalk.engines.diffusion.step_cache import COEFFICIENTS, StepCache
from multitalk.engines.diffusion.talk_model import TalkModel, Voices
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel
from multitalk.engines.diffusion.vae import VaeCodec
from multitalk.engines.diffusion.windows import Window, WindowLengths, num_windows
from multitalk.speech.talk_features import Pauses
from multitalk.timebase import CLIP_FRAMES, SAMPLES_PER_FRAME

CONTINUATIONS: dict[str, Continuation] = {
    "multitalk": continue_multitalk,
    "infinitetalk": continue_infinitetalk,
}


@dataclass(frozen=True)
class RenderedWindow:
    """Finished frames that no earlier window had.

    Attributes:
        window: Its place in the talk.
        frames: RGB uint8 [T, H, W, 3].
        latents: Of the whole window, float32 [16, t, h, w]; a later talk can continue from them.
    """

    window: Window
    frames: NDArray[np.uint8]
    latents: Tensor


class FinishedLatents(Protocol):
    """Latents of an earlier talk's first windows, which may be read lazily."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Array:
        """Of a window, float32 [16, t, h, w]."""
        ...


@dataclass(frozen=True)
class Execution:
    """How a talk is computed.

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


@dataclass(frozen=True)
class _Talk:
    """Checked inputs of a talk.

    Attributes:
        picture: RGB uint8 [H, W, 3], of the video's size.
        footage: The moving source, or None.
        prompts: The prompt and the negative prompt.
        voices: One per speaker, float32 [S].
        masks: Of the speakers and the background, [N + 1, h, w]; None for one speaker.
        num_frames: T.
        finished: Latents of the first windows.
        seed: Of the noise.
    """

    picture: NDArray[np.uint8]
    footage: Footage | None
    prompts: tuple[str, str]
    voices: Sequence[Array]
    masks: Tensor | None
    num_frames: int
    finished: FinishedLatents
    seed: int


class _FrameProgress:
    """Counts the finished frames' worth of work; an error that `watch` raises ends the talk."""

    def __init__(self, watch: ProgressCallback, *, num_inference_steps: int) -> None:
        self._watch = watch
        self._pieces = num_inference_steps + 1  # a decoding counts as much as a step
        self._done = 0.0

    def report(self) -> None:
        """Report before a slow stage that does not count."""
        self._watch(self._done)

    def on_step(self, window: Window, piece: int) -> None:
        """Report before a piece of a window's work."""
        self._done = window.new.start + len(window.new) * piece / self._pieces
        self.report()


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

        Args:
            image: RGB uint8 [H, W, 3] of any size; with footage, its frame 0.
            prompt: What the video shows.
            voices: One per speaker, float32 [S] at 16 kHz.
            negative_prompt: What it does not show; read where the text guidance scale is not 1.
            boxes: Where each speaker is, in pixels of the image; None for strips, left to right.
            num_frames: T; the longest voice's when None.
            footage: The moving source that each window is shown at its start; only InfiniteTalk.
            finished: Latents of windows that the talk begins with: those of an earlier one of the
                same picture, voices and lengths, and fewer than it has. They are only decoded.
            resolution: Picks the sizes to choose from.
            options: Steps, guidance and colours; by default with the scheduler's shift.
            execution: How the talk is computed.
            seed: The same one gives the same video, whatever the device.
            watch: Called before each encoder, step and decoding with how much is done, in frames'
                worth of work. What it raises ends the talk.

        Raises:
            ValueError: No voice, an empty one, no frame, no step, footage for MultiTalk, or nothing
                that is not finished.
            SpeakerOutOfSight: A box has no place in the video.
            FloatingPointError: While iterating: the weights give numbers that are not finite.
        """
        options = options or SampleOptions(shift=self.scheduler.config.shift)
        execution = execution or Execution()
        lengths = execution.lengths or self.lengths

        # 1. Check the inputs.
        _check_voices(voices, boxes)
        if num_frames is None:
            num_frames = max(-(-len(voice) // SAMPLES_PER_FRAME) for voice in voices)
        if num_frames < 1 or options.num_inference_steps < 1:
            raise ValueError("num_frames and num_inference_steps begin at 1")
        if footage is not None and not self.takes_footage:
            raise ValueError("footage: only InfiniteTalk's weights are shown a moving source")
        if len(finished) >= num_windows(num_frames, lengths):
            raise ValueError("finished: nothing of the talk would be new")

        # 2. Choose the size, and place the speakers in it.
        height, width = image.shape[:2]
        size = choose_bucket(height, width, buckets=self.buckets(resolution))
        masks = None
        if len(voices) > 1:
            found = speaker_masks((height, width), size, num_speakers=len(voices), boxes=boxes)
            masks = torch.from_numpy(found).to(self.transformer.device)
        cache = None
        if execution.step_cache_threshold > 0:
            cache = StepCache(
                threshold=execution.step_cache_threshold, coefficients=COEFFICIENTS[resolution]
            )
        talk = _Talk(
            fit_picture(image, size),
            footage,
            (prompt, negative_prompt),
            voices,
            masks,
            num_frames,
            finished,
            seed,
        )
        return self._generate(talk, options, replace(execution, lengths=lengths), cache, watch)

    @torch.no_grad()
    def _generate(
        self,
        talk: _Talk,
        options: SampleOptions,
        execution: Execution,
        cache: StepCache | None,
        watch: ProgressCallback,
    ) -> Iterator[RenderedWindow]:
        progress = _FrameProgress(watch, num_inference_steps=options.num_inference_steps)
        group = execution.group or SingleProcess()
        model = self._bind(talk, options, cache, group, progress)

        # 5. Denoise and decode, window by window.
        device = self.transformer.device
        still, size = _as_tensor(talk.picture, device), talk.picture.shape[:2]

        def source(frame: int) -> Tensor:
            if talk.footage is None or frame == 0:
                return still
            return _as_tensor(fit_picture(talk.footage.at(frame), size), device)

        def finished(window: Window) -> Tensor | None:
            if window.index >= len(talk.finished):
                return None
            return torch.from_numpy(talk.finished[window.index]).to(device)

        for sampled in sample_talk(
            model,
            VaeCodec(self.vae, device, in_tiles=execution.in_tiles, group=group),
            source,
            num_frames=talk.num_frames,
            lengths=execution.lengths or self.lengths,
            options=options,
            noise=seeded_noise(talk.seed, device),
            continuation=CONTINUATIONS[self.config.kind],
            finished=finished,
            on_step=progress.on_step,
        ):
            if not sampled.latents.isfinite().all():  # would be a black video, and a success
                raise FloatingPointError("the transformer gave numbers that are not finite")
            yield RenderedWindow(sampled.window, _as_pixels(sampled.frames), sampled.latents)

    def _bind(
        self,
        talk: _Talk,
        options: SampleOptions,
        cache: StepCache | None,
        group: TalkGroup,
        progress: _FrameProgress,
    ) -> TalkModel:
        """The transformer with the talk's prompts and voices."""
        # 3. Encode the prompts.
        prompt, negative_prompt = talk.prompts
        progress.report()
        states = self.encode_prompt(prompt)
        negative_states = None
        if options.guidance.uses_negative_prompt:
            progress.report()
            negative_states = self.encode_prompt(negative_prompt)

        # 4. Encode the voices: in a pause, a single speaker rests, one of several is silent.
        pauses: Pauses = "heard" if len(talk.voices) == 1 else "null"
        tracks = []
        for voice in talk.voices:
            progress.report()
            tracks.append(self.encode_speech(voice, pauses=pauses))

        def encode_picture(picture: Tensor) -> Tensor:
            progress.report()
            return self.encode_picture(picture)

        return TalkModel(
            self.transformer,
            encode_picture,
            prompt=states,
            negative_prompt=negative_states,
            voices=Voices(tracks, talk.masks),
            step_cache=cache,
            group=group,
        )

    @property
    def lengths(self) -> WindowLengths:
        """How long the windows are that the weights were trained on; the last may be shorter."""
        return WindowLengths.ending_short(
            self.config.segment_frames, self.config.conditioning_frames
        )

    @property
    def takes_footage(self) -> bool:
        """Whether the weights were trained to be shown a moving source."""
        return bool(self.config.kind == "infinitetalk")

    def buckets(self, resolution: Resolution) -> dict[float, Size]:
        """Sizes by height / width."""
        if self.config.sizes is None:
            return dict(BUCKETS[resolution])
        return {height / width: (height, width) for height, width in self.config.sizes[resolution]}


def _check_voices(voices: Sequence[Array], boxes: Sequence[Box] | None) -> None:
    if not voices or any(voice.ndim != 1 or not len(voice) for voice in voices):
        raise ValueError("voices: at least one, each with samples [S], S > 0")
    if boxes is not None and len(boxes) != len(voices):
        raise ValueError(f"{len(boxes)} boxes for {len(voices)} voices")


def _as_tensor(picture: NDArray[np.uint8], device: torch.device) -> Tensor:
    """RGB uint8 [H, W, 3] -> [-1, 1], [3, H, W]."""
    pixels = torch.from_numpy(picture.copy()).to(device)
    return pixels.permute(2, 0, 1).float() / 127.5 - 1


def _as_pixels(frames: Tensor) -> NDArray[np.uint8]:
    """RGB in [-1, 1], [3, T, H, W] -> uint8 [T, H, W, 3]."""
    scaled = ((frames + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    pixels: NDArray[np.uint8] = scaled.permute(1, 2, 3, 0).contiguous().cpu().numpy()
    return pixels
