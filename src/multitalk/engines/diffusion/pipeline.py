"""The pipeline: a picture, a prompt and voices go in, finished segments of video come out.

Its components are those of diffusers' Wan image-to-video pipeline and a speech encoder, and its
weights lie as `save_pretrained` writes them. Unlike the library's pipelines it is a generator: a
talk of any length is given out segment by segment, and no more than one segment is held.
"""

import hashlib
import html
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from diffusers import AutoencoderKLWan, DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPVisionModel,
    UMT5EncoderModel,
    Wav2Vec2Model,
)

from multitalk.array_types import Array
from multitalk.boxes import Box
from multitalk.engines.base import Footage, Watch, unwatched
from multitalk.engines.diffusion.buckets import (
    BUCKETS,
    DEFAULT_RESOLUTION,
    Resolution,
    Size,
    choose_bucket,
    fit_picture,
)
from multitalk.engines.diffusion.guidance import AdaptiveProjection, Guidance
from multitalk.engines.diffusion.offload import Home
from multitalk.engines.diffusion.parallel import SingleProcess, TalkGroup
from multitalk.engines.diffusion.sampler import (
    Continuation,
    SampleOptions,
    continue_infinitetalk,
    continue_multitalk,
    sample_talk,
    seeded_noise,
)
from multitalk.engines.diffusion.segments import Segment, SegmentLengths, num_segments
from multitalk.engines.diffusion.speakers import speaker_masks
from multitalk.engines.diffusion.step_cache import COEFFICIENTS, StepCache
from multitalk.engines.diffusion.talk_model import TalkModel, Voices
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel
from multitalk.engines.diffusion.vae import VaeCodec
from multitalk.engines.diffusion.watching import Pace, WatchedCodec, WatchedTalk
from multitalk.speech.talk_features import Pauses, TalkFeatures
from multitalk.speech.wav2vec2 import SpeechEncoder
from multitalk.timebase import SAMPLES_PER_FRAME

REMEMBERED_PROMPTS = 16  # 4 MB each at real size
REMEMBERED_PICTURES = 8  # 1 MB each
CONTINUATIONS: dict[str, Continuation] = {
    "multitalk": continue_multitalk,
    "infinitetalk": continue_infinitetalk,
}


@dataclass(frozen=True)
class TalkSegment:
    """Finished frames that no earlier segment had.

    Attributes:
        segment: Where they are in the talk.
        frames: RGB uint8 [T, H, W, 3].
        latents: Of the whole segment, float32 [16, t, h, w]; a later talk can begin with them.
    """

    segment: Segment
    frames: NDArray[np.uint8]
    latents: Tensor


class Windows(Protocol):
    """Latents of an earlier talk's first segments, which may be read when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Array:
        """Of a segment, float32 [16, t, h, w]."""
        ...


class MultiTalkPipeline(DiffusionPipeline):
    """Talks of one or more people, with MultiTalk's or InfiniteTalk's weights.

    A component that lies on another device than the transformer is copied there while it works:
    that is how the encoders are kept out of a small GPU's memory (see `memory`). The library's own
    `enable_model_cpu_offload` is refused, since it hides where the transformer is.

    Args:
        transformer: The noise predictor.
        vae: Wan's; works in its own dtype.
        text_encoder: Of prompts.
        tokenizer: The text encoder's.
        image_encoder: CLIP's, whose last layer but one is read.
        image_processor: Its mean and deviation of colours.
        audio_encoder: Of voices.
        scheduler: Gives the timestep shift that is used where none is asked for.
        kind: `multitalk` or `infinitetalk`: how segments follow one another.
        segment_frames: Of one segment, 4 n + 1.
        conditioning_frames: Shared by neighbouring segments, 4 n + 1.
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
        segment_frames: int = 81,
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
        self._prompts: Recent = Recent(REMEMBERED_PROMPTS)
        self._pictures: Recent = Recent(REMEMBERED_PICTURES)

    def __call__(
        self,
        image: NDArray[np.uint8],
        prompt: str,
        voices: Sequence[Array],
        *,
        boxes: Sequence[Box] | None = None,
        num_frames: int | None = None,
        footage: Footage | None = None,
        negative_prompt: str = "",
        resolution: Resolution = DEFAULT_RESOLUTION,
        num_inference_steps: int = 8,
        text_guidance_scale: float = 1.0,
        audio_guidance_scale: float = 2.0,
        projection: AdaptiveProjection | None = None,
        shift: float | None = None,
        color_correction: float = 0.0,
        step_cache_threshold: float = 0.0,
        in_tiles: bool = False,
        seed: int = 0,
        lengths: SegmentLengths | None = None,
        finished: Windows = (),
        group: TalkGroup | None = None,
        watch: Watch = unwatched,
    ) -> Iterator[TalkSegment]:
        """Make a talk; closing the iterator ends it.

        Args:
            image: RGB uint8 [H, W, 3] of any size; with footage, its frame 0.
            prompt: What the video shows.
            voices: One per speaker, float32 [S] at 16 kHz.
            boxes: Where each speaker is, in pixels of the image; None for strips, left to right.
            num_frames: T; the longest voice's when None.
            footage: The moving source that each segment is shown at its start; only InfiniteTalk.
            negative_prompt: What it does not show; read where the text guidance scale is not 1.
            resolution: Picks the sizes to choose from.
            num_inference_steps: Of each segment.
            text_guidance_scale: 1 asks the network half as often.
            audio_guidance_scale: Likewise.
            projection: Of the guidance, for large scales.
            shift: Of the timesteps; the scheduler's when None.
            color_correction: 0..1, back to the picture's colours.
            step_cache_threshold: Change that skipped steps may make up; 0 computes all steps.
            in_tiles: Whether the VAE works in tiles, which takes less memory.
            seed: The same one gives the same video, whatever the device.
            lengths: Of the segments; the weights' own when None.
            finished: Latents of segments that the talk begins with: those of an earlier one of the
                same picture, voices and lengths, and fewer than it has. They are only decoded.
            group: The processes that make the talk together, each by this very call; None for
                this one alone.
            watch: Called before each encoder, step and decoding with how much is done, in frames'
                worth of work. What it raises ends the talk.

        Raises:
            ValueError: No voice, an empty one, no frame, no step, footage for MultiTalk, or nothing
                that is not finished.
            SpeakerOutOfSight: A box has no place in the video.
            FloatingPointError: While iterating: the weights give numbers that are not finite.
        """
        # 1. Check the inputs.
        if not voices or any(voice.ndim != 1 or not len(voice) for voice in voices):
            raise ValueError("voices: at least one, each with samples [S], S > 0")
        if num_frames is None:
            num_frames = max(-(-len(voice) // SAMPLES_PER_FRAME) for voice in voices)
        if num_frames < 1 or num_inference_steps < 1:
            raise ValueError("num_frames and num_inference_steps begin at 1")
        if boxes is not None and len(boxes) != len(voices):
            raise ValueError(f"{len(boxes)} boxes for {len(voices)} voices")

        if footage is not None and not self.takes_footage:
            raise ValueError("footage: only InfiniteTalk's weights are shown a moving source")

        # 2. Choose the size, and place the speakers in it.
        height, width = image.shape[:2]
        size = choose_bucket(height, width, buckets=self.buckets(resolution))
        masks = None
        if len(voices) > 1:
            found = speaker_masks((height, width), size, num_speakers=len(voices), boxes=boxes)
            masks = torch.from_numpy(found).to(self.transformer.device)

        lengths = lengths or self.lengths
        if len(finished) >= num_segments(num_frames, lengths):
            raise ValueError("finished: nothing of the talk would be new")

        options = SampleOptions(
            Guidance(text_guidance_scale, audio_guidance_scale, projection),
            num_inference_steps,
            self.scheduler.config.shift if shift is None else shift,
            color_correction,
            CONTINUATIONS[self.config.kind],
        )
        cache = None
        if step_cache_threshold > 0:
            coefficients = COEFFICIENTS[resolution]
            cache = StepCache(threshold=step_cache_threshold, coefficients=coefficients)
        return self._talk(
            (fit_picture(image, size), footage),
            (prompt, negative_prompt),
            (voices, masks),
            num_frames=num_frames,
            lengths=lengths,
            finished=finished,
            options=options,
            cache=cache,
            in_tiles=in_tiles,
            seed=seed,
            group=group or SingleProcess(),
            watch=watch,
        )

    @torch.no_grad()
    def _talk(
        self,
        seen: tuple[NDArray[np.uint8], Footage | None],
        prompts: tuple[str, str],
        voices: tuple[Sequence[Array], Tensor | None],
        *,
        num_frames: int,
        lengths: SegmentLengths,
        finished: Windows,
        options: SampleOptions,
        cache: StepCache | None,
        in_tiles: bool,
        seed: int,
        group: TalkGroup,
        watch: Watch,
    ) -> Iterator[TalkSegment]:
        # 3. Encode the prompts.
        pace = Pace(watch, num_inference_steps=options.num_inference_steps)
        prompt, negative_prompt = prompts
        pace.tell()
        states = self.encode_prompt(prompt)
        negative_states = None
        if options.guidance.asks_negative_prompt:
            pace.tell()
            negative_states = self.encode_prompt(negative_prompt)

        # 4. Encode the voices.
        speeches, masks = voices
        # One who speaks alone rests in a pause; one of several is not heard while others speak.
        pauses: Pauses = "heard" if len(speeches) == 1 else "null"
        tracks = []
        for speech in speeches:
            pace.tell()
            tracks.append(self.encode_speech(speech, pauses=pauses))

        # 5. Bind them to the transformer.
        device = self.transformer.device

        def encode_picture(picture: Tensor) -> Tensor:
            pace.tell()
            return self.encode_picture(picture)

        talk = TalkModel(
            self.transformer,
            encode_picture,
            prompt=states,
            negative_prompt=negative_states,
            voices=Voices(tracks, masks),
            step_cache=cache,
            group=group,
        )
        first, footage = seen
        still, size = _as_tensor(first, device), (first.shape[0], first.shape[1])

        def source(frame: int) -> Tensor:
            if footage is None or frame == 0:
                return still
            return _as_tensor(fit_picture(footage.at(frame), size), device)

        def latents_of(segment: Segment) -> Tensor | None:
            if segment.index >= len(finished):
                return None
            pace.begin(segment)
            return torch.from_numpy(finished[segment.index]).to(device)

        # 6. Denoise and decode, segment by segment.
        for sampled in sample_talk(
            WatchedTalk(talk, pace),
            WatchedCodec(VaeCodec(self.vae, device, in_tiles=in_tiles, group=group), pace),
            source,
            num_frames=num_frames,
            lengths=lengths,
            options=options,
            noise=seeded_noise(seed, device),
            finished=latents_of,
        ):
            if not sampled.latents.isfinite().all():  # would be a black video, and a success
                raise FloatingPointError("the transformer gave numbers that are not finite")
            yield TalkSegment(sampled.segment, _as_pixels(sampled.frames), sampled.latents)

    @property
    def lengths(self) -> SegmentLengths:
        """How long the segments are that the weights were trained on; the last may be shorter."""
        return SegmentLengths.ending_short(
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

    @torch.no_grad()
    def encode_prompt(self, prompt: str) -> Tensor:
        """The text encoder's states without padding, [tokens, text_dim]; the last few are kept."""
        text = clean_prompt(prompt)
        return self._prompts.get(text, lambda: self._encode_text(text))

    def _encode_text(self, text: str) -> Tensor:
        tokens = self.tokenizer(
            text,
            max_length=self.transformer.config.text_len,
            truncation=True,
            return_attention_mask=True,
            return_tensors="pt",
        )
        with self._at_work(self.text_encoder) as device:
            states = self.text_encoder(
                tokens.input_ids.to(device), tokens.attention_mask.to(device)
            ).last_hidden_state
        return states[0]

    @torch.no_grad()
    def encode_picture(self, picture: Tensor) -> Tensor:
        """RGB in [-1, 1], [3, H, W] -> CLIP's states [257, image_dim]; the last few are kept.

        The whole picture is squeezed into CLIP's square, as Wan was trained, not cut to it.
        """
        pixels = picture.detach().float().cpu().contiguous().numpy()
        key = (pixels.shape, hashlib.blake2b(pixels.tobytes()).digest())
        return self._pictures.get(key, lambda: self._encode_pixels(picture))

    def _encode_pixels(self, picture: Tensor) -> Tensor:
        side = self.image_encoder.config.image_size
        squeezed = functional.interpolate(
            picture[None].float(), size=(side, side), mode="bicubic", align_corners=False
        )
        mean, deviation = (
            torch.tensor(colors, device=picture.device)[:, None, None]
            for colors in (self.image_processor.image_mean, self.image_processor.image_std)
        )
        seen = ((squeezed + 1) / 2 - mean) / deviation
        with self._at_work(self.image_encoder) as device:
            states = self.image_encoder(
                seen.to(device, self.image_encoder.dtype), output_hidden_states=True
            ).hidden_states[-2]
        return states[0]

    def encode_speech(self, speech: Array, *, pauses: Pauses = "heard") -> TalkFeatures:
        """A voice [S] at 16 kHz -> its features, computed as they are asked for."""
        encoder = SpeechEncoder(self.audio_encoder, partial(self._at_work, self.audio_encoder))
        return encoder.talk_features(speech, pauses=pauses)

    @contextmanager
    def _at_work(self, component: nn.Module) -> Iterator[torch.device]:
        """Bring a component to the transformer's device for as long as it works."""
        device = self.transformer.device
        if component.device == device:
            yield device
            return
        home = Home(component)
        try:
            home.send(device)  # which may find no room half-way
            yield device
        finally:
            home.call_back()
            if device.type == "cuda":
                torch.cuda.empty_cache()  # the transformer needs the room


class Recent:
    """The last few results of something slow."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[object, Tensor] = OrderedDict()

    def get(self, key: object, make: Callable[[], Tensor]) -> Tensor:
        """What was made for the key, or make it."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        made = self._kept[key] = make()
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return made


def clean_prompt(prompt: str) -> str:
    """One line of composed characters (NFC), HTML's entities resolved, twice if need be."""
    text = html.unescape(html.unescape(unicodedata.normalize("NFC", prompt)))
    return " ".join(text.split())


def _as_tensor(picture: NDArray[np.uint8], device: torch.device) -> Tensor:
    """RGB uint8 [H, W, 3] -> [-1, 1], [3, H, W]."""
    pixels = torch.from_numpy(picture.copy()).to(device)
    return pixels.permute(2, 0, 1).float() / 127.5 - 1


def _as_pixels(frames: Tensor) -> NDArray[np.uint8]:
    """RGB in [-1, 1], [3, T, H, W] -> uint8 [T, H, W, 3]."""
    scaled = ((frames + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    pixels: NDArray[np.uint8] = scaled.permute(1, 2, 3, 0).contiguous().cpu().numpy()
    return pixels
