"""The diffusion engine: the pipeline behind the seam that every engine has."""

import gc
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from multitalk.boxes import Box
from multitalk.engines.base import FrameChunk, RenderOptions, Scene, Watch, unwatched
from multitalk.engines.diffusion.acceleration import hasten
from multitalk.engines.diffusion.buckets import DEFAULT_RESOLUTION, Resolution, choose_bucket
from multitalk.engines.diffusion.guidance import AdaptiveProjection
from multitalk.engines.diffusion.loading import load_pipeline
from multitalk.engines.diffusion.memory import Placement, devices_of
from multitalk.engines.diffusion.memory_plan import (
    PLANS,
    MemoryPlan,
    Room,
    VaeDtype,
    available_bytes,
    network_bytes,
)
from multitalk.engines.diffusion.offload import has_gpu
from multitalk.engines.diffusion.parallel import ProcessGroup, SingleProcess, connect
from multitalk.engines.diffusion.pipeline import MultiTalkPipeline, TalkSegment
from multitalk.engines.diffusion.profiles import Outfit, picked
from multitalk.engines.diffusion.saved_windows import WindowFile, WindowWriter
from multitalk.engines.diffusion.segments import SegmentLengths
from multitalk.engines.diffusion.speakers import (
    SpeakerOutOfSight,
    look_once,
    no_room,
    place_speakers,
)
from multitalk.engines.diffusion.vae import use_channels_last
from multitalk.errors import EngineBroken, EngineFailed, EngineUnavailable
from multitalk.settings import Settings
from multitalk.timebase import SAMPLES_PER_FRAME
from multitalk.weights.locate import (
    CheckpointMismatch,
    ComponentFiles,
    find_components,
)

SHOWN_PROBLEMS = 3
DTYPES: dict[VaeDtype, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
WARM_UP_LENGTHS = SegmentLengths(segment_frames=5, conditioning_frames=1)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """What every process that shares a talk does.

    Attributes:
        scene: What to render.
        options: How to render.
        boxes: Where each speaker is, in pixels of the portrait; None for strips, left to right.
        finished: An earlier talk's windows that it begins with.
    """

    scene: Scene
    options: RenderOptions
    boxes: list[Box] | None
    finished: WindowFile | tuple[()]


@dataclass(frozen=True)
class _Opened:
    """Weights that are loaded, and what their transformer wears."""

    pipeline: MultiTalkPipeline
    outfit: Outfit


class DiffusionEngine:
    """MultiTalk or InfiniteTalk: generates every frame from the picture, the prompt and voices."""

    name: ClassVar[str] = "diffusion"

    def __init__(
        self,
        pipeline: MultiTalkPipeline,
        plans: Sequence[MemoryPlan],
        outfit: Outfit,
        *,
        step_cache_threshold: float = 0.0,
        projection: AdaptiveProjection | None = None,
        short_last_window: bool = True,
        group: SingleProcess | ProcessGroup | None = None,
        room: Room | None = None,
    ) -> None:
        """Take over a pipeline that lies on the CPU, or where the first plan has it.

        Args:
            pipeline: To render with.
            plans: Of memory, the one to begin with first; at least one.
            outfit: The profiles and LoRAs of the pipeline's transformer.
            step_cache_threshold: Change that skipped steps may make up; 0 computes all steps.
            projection: Of the guidance, in every profile that guides.
            short_last_window: Whether a talk's last window may be shorter than the others.
            group: The processes that share its talks; None for this one alone.
            room: What the GPU and the host have room for; None where that is not known.

        Raises:
            EngineUnavailable: Memory does not suffice for any plan.
        """
        self._group = group or SingleProcess()
        self._group.parallelize(pipeline.transformer)
        device = "cuda" if has_gpu() else "cpu"
        placement = Placement(pipeline, plans, device, self._group.collective, room)
        self._loaded: tuple[Placement, Outfit] | None = placement, outfit
        self._step_cache_threshold = step_cache_threshold
        self._projection = projection
        self._lengths = pipeline.lengths
        if not short_last_window:
            self._lengths = replace(self._lengths, shortest_frames=None)

    @classmethod
    def load(cls, weights: Path, settings: Settings) -> "DiffusionEngine":
        """Open a directory of weights, choose where they lie, and render once for nothing.

        Without a GPU it works in float32, and real weights would take hours for a second. Where
        `torchrun` has started several processes, they share each talk; see `serve_rank`.

        Args:
            weights: The directory.
            settings: For the LoRAs, the memory plan and what saves or adds steps.

        Raises:
            EngineUnavailable: The weights are not whole, a LoRA does not fit them, a setting asks
                for what does not work here, memory does not suffice, or there are not as many GPUs
                as processes.
            EngineFailed: Another process could not load its engine.
            EngineBroken: Another process is gone.
        """
        group = connect()
        with group.collective():
            files = _found(weights, settings)
            room = _room(files, settings, group)
        plans = tuple(plan for plan in PLANS if plan.name == settings.memory_plan) or room.plans()
        if has_gpu():
            logger.info("memory plan %s: %s; %s", plans[0], room.said(), room.host(plans[0]))
        opened = None
        while opened is None:
            with suppress(torch.OutOfMemoryError), group.collective():
                opened = _opened(weights, files, plans[0], room, settings)
                hasten(opened.pipeline.transformer, settings, is_shared=group.world_size > 1)
            if opened is None:
                plans = _plans_after(plans)
        engine = cls(
            opened.pipeline,
            plans,
            opened.outfit,
            step_cache_threshold=settings.step_cache_threshold,
            projection=AdaptiveProjection() if settings.projected_guidance else None,
            short_last_window=settings.short_last_window,
            group=group,
            room=room,
        )
        engine.warm_up()
        return engine

    @property
    def loaded(self) -> tuple[Placement, Outfit]:
        """The pipeline in its place, and what is put on its transformer.

        Raises:
            ValueError: The engine is closed.
        """
        if self._loaded is None:
            raise ValueError("the engine is closed")
        return self._loaded

    def warm_up(self) -> None:
        """Render a few frames, so that what cannot work fails now, not in the first job."""
        started = time.monotonic()
        hum = np.sin(np.arange(SAMPLES_PER_FRAME, dtype=np.float32))
        picture = np.zeros((64, 64, 3), np.uint8)
        placement, outfit = self.loaded
        outfit.put_on(None)
        # Processes that share it ask two branches in halves, and the third all together.
        text_scale = 1.0 if self._group.world_size == 1 else 2.0
        for _ in self._segments(
            lambda watch: placement.pipeline(
                picture,
                "",
                [hum],
                num_inference_steps=1,
                text_guidance_scale=text_scale,
                lengths=WARM_UP_LENGTHS,
                group=self._group,
                watch=watch,
            ),
            unwatched,
        ):
            pass
        seconds = time.monotonic() - started
        logger.info("warm in %.2f s, memory plan: %s", seconds, placement.plan)

    takes_quality: ClassVar[bool] = False  # it has profiles

    @property
    def takes_footage(self) -> bool:
        """Whether the weights are InfiniteTalk's."""
        return self.loaded[0].pipeline.takes_footage

    def check(self, options: RenderOptions) -> None:
        """Refuse a profile that these weights do not have; see `engines.base.Engine`."""
        picked(options.profile, self.loaded[1].profiles)

    def render(self, scene: Scene, options: RenderOptions, watch: Watch) -> Iterator[FrameChunk]:
        """Yield the talk in order, without gaps; see `engines.base.Engine`.

        Raises:
            InvalidRequest: The profile is none that these weights have, or it is to begin with the
                windows of a talk that was made of something else.
            NoFaceFound: A speaker's box has no place in the video, or another speaker no face.
            EngineUnavailable: Memory does not suffice for a segment of this size.
            EngineFailed: The network gave numbers that are no picture.
            EngineBroken: The GPU does not answer this process any more.
        """
        _, outfit = self.loaded
        watch(0.0)
        outfit.put_on(options.profile)
        scene, boxes, notices = place_speakers(scene, look_once)
        reuse, about = options.reuse, self._about(scene, options)
        finished = WindowFile(reuse.earlier, reuse.windows, about) if reuse.earlier else ()
        order = Order(scene, options, boxes, finished)
        self._group.broadcast(_as_arrays(order))
        try:
            with ExitStack() as stack:
                writer = None
                if reuse.save_to is not None:
                    file = WindowWriter(reuse.save_to, about, max_bytes=reuse.max_bytes)
                    writer = stack.enter_context(file)
                for segment in self._talk(order, watch):
                    first = segment.segment.new.start
                    # Nothing can follow the last window.
                    is_saved = (
                        writer is not None
                        and not segment.segment.last
                        and writer.add(segment.latents.float().cpu().numpy())
                    )
                    notes = notices if first == 0 else ()
                    yield FrameChunk(segment.frames, first, notes, is_saved)
        except SpeakerOutOfSight as error:
            raise no_room(scene, error.speaker) from error
        except FloatingPointError as error:
            raise EngineFailed("diffusion_not_finite") from error
        except torch.AcceleratorError as error:  # this process's CUDA context is lost
            raise EngineBroken("diffusion_gpu_lost") from error

    def _about(self, scene: Scene, options: RenderOptions) -> Mapping[str, object]:
        """What a talk's windows are made of, by the field of a request that states it.

        What may change from one window to the next is not in it: prompts, seed, profile and boxes.
        """
        pipeline, lengths = self.loaded[0].pipeline, self._lengths
        sizes = pipeline.buckets(options.resolution or DEFAULT_RESOLUTION)
        size = choose_bucket(*scene.portrait.shape[:2], buckets=sizes)
        windows = f"{lengths.segment_frames} {lengths.conditioning_frames}"
        return {
            "engine": f"{self.name} {pipeline.config.kind} {windows}",
            "image_path": options.reuse.picture,
            "audio_paths": f"{options.reuse.voices} {scene.num_frames}",
            "resolution": list(size),
            "color_correction": options.color_correction,
        }

    @property
    def is_follower(self) -> bool:
        """Whether another process has the door, and this one only computes with it."""
        return self._group.is_follower

    def serve_rank(self) -> None:
        """Compute this process's part of every talk until the first process closes its engine.

        Raises:
            EngineBroken: Another process is gone.
        """

        def render(order: Order) -> None:
            for _ in self._talk(order, unwatched):
                pass

        self._group.serve_rank(render)
        self.close()

    def _talk(self, order: Order, watch: Watch) -> Iterator[TalkSegment]:
        """The talk's segments; the same in every process that shares it."""
        placement, outfit = self.loaded
        scene, options = order.scene, order.options
        profile = outfit.put_on(options.profile).stated(options)
        resolution = options.resolution or DEFAULT_RESOLUTION

        def talk(watch: Watch) -> Iterator[TalkSegment]:
            segments: Iterator[TalkSegment] = placement.pipeline(
                scene.portrait,
                scene.prompt,
                [speaker.speech for speaker in scene.speakers],
                boxes=order.boxes,
                num_frames=scene.num_frames,
                footage=scene.footage,
                negative_prompt=profile.negative_prompt,
                resolution=resolution,
                num_inference_steps=profile.num_inference_steps,
                text_guidance_scale=profile.text_guidance_scale,
                audio_guidance_scale=profile.audio_guidance_scale,
                projection=self._projection,
                shift=profile.shifts[resolution],
                color_correction=options.color_correction,
                step_cache_threshold=self._step_cache_threshold,
                in_tiles=placement.in_tiles(resolution),
                seed=options.seed,
                lengths=self._lengths,
                finished=order.finished,
                group=self._group,
                watch=watch,
            )
            return segments

        return self._segments(talk, watch, resolution)

    def _segments(
        self,
        begin: Callable[[Watch], Iterator[TalkSegment]],
        watch: Watch,
        resolution: Resolution | None = None,
    ) -> Iterator[TalkSegment]:
        """A talk's segments, computed together, wherever there is room."""
        group = self._group

        def shared(watch: Watch) -> Iterator[TalkSegment]:
            with group.collective():
                yield from begin(group.synchronized(watch))

        return self.loaded[0].segments(shared, watch, resolution)

    def close(self) -> None:
        """Let the weights go. A closed engine renders no more, and may be closed again."""
        self._loaded = None
        self._group.close()
        gc.collect()  # the libraries' hooks refer to themselves
        if has_gpu():
            torch.cuda.empty_cache()


def _found(weights: Path, settings: Settings) -> ComponentFiles:
    """The files of a directory of weights.

    Raises:
        EngineUnavailable: They are not whole.
    """
    try:
        return find_components(weights, settings.weight_set)
    except CheckpointMismatch as error:
        raise _unusable(error) from error


def _room(files: ComponentFiles, settings: Settings, group: SingleProcess | ProcessGroup) -> Room:
    """What the GPU with the least memory has room for, and this process's part of the host."""
    vae_dtype: VaeDtype = "bfloat16" if has_gpu() else "float32"
    if settings.vae_dtype != "auto":
        vae_dtype = settings.vae_dtype
    sizes = network_bytes(
        files,
        float_bytes=2 if has_gpu() else 4,
        vae_float_bytes=4 if vae_dtype == "float32" else 2,
        loras=[lora.path for lora in settings.loras],
    )
    free = torch.cuda.mem_get_info()[0] if has_gpu() else float("inf")
    host = group.all_reduce_min(available_bytes() / group.world_size)
    in_strips = group.world_size > 1
    return Room(sizes, group.all_reduce_min(free), vae_dtype, host, in_strips=in_strips)


def _plans_after(plans: tuple[MemoryPlan, ...]) -> tuple[MemoryPlan, ...]:
    """The plans that are left where there was no room to load for the first of them.

    Raises:
        EngineUnavailable: None is left.
    """
    logger.warning("out of memory while loading for the plan: %s", plans[0])
    gc.collect()  # what was loaded before there was no room
    if has_gpu():
        torch.cuda.empty_cache()
    if len(plans) == 1:
        raise EngineUnavailable("diffusion_out_of_memory", field="engine")
    return plans[1:]


def _opened(
    weights: Path, files: ComponentFiles, plan: MemoryPlan, room: Room, settings: Settings
) -> "_Opened":
    """A directory of weights, loaded for a plan."""
    on_gpu = has_gpu()
    try:
        pipeline = load_pipeline(
            weights,
            torch_dtype=torch.bfloat16 if on_gpu else torch.float32,
            vae_dtype=DTYPES[room.vae_dtype],
            weight_set=settings.weight_set,
            devices=devices_of(plan, "cuda") if on_gpu else None,
        )
    except CheckpointMismatch as error:
        raise _unusable(error) from error
    if on_gpu and room.vae_dtype == "bfloat16":
        use_channels_last(pipeline.vae)
    outfit = Outfit(
        pipeline.transformer, files.transformer, settings.loras, distilled_for=files.profile
    )
    return _Opened(pipeline, outfit)


def _unusable(error: CheckpointMismatch) -> EngineUnavailable:
    logger.warning("unusable weights: %s", error)
    shown = "; ".join(error.problems[:SHOWN_PROBLEMS])
    return EngineUnavailable("diffusion_weights_unusable", field="engine", problems=shown)


def _as_arrays(order: Order) -> Order:
    """The same with plain arrays: a memory-mapped one would be copied to be sent."""
    speakers = tuple(
        replace(speaker, speech=np.ascontiguousarray(speaker.speech))
        for speaker in order.scene.speakers
    )
    portrait = np.ascontiguousarray(order.scene.portrait)
    return replace(order, scene=replace(order.scene, portrait=portrait, speakers=speakers))
