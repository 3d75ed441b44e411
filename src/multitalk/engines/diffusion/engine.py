"""The diffusion engine: the pipeline as an `engines.base.Engine`."""

import gc
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from multitalk.boxes import Box
from multitalk.engines.base import (
    FrameChunk,
    ProgressCallback,
    RenderOptions,
    Scene,
    ignore_progress,
)
from multitalk.engines.diffusion.acceleration import accelerate
from multitalk.engines.diffusion.guidance import AdaptiveProjection, Guidance
from multitalk.engines.diffusion.loading import (
    find_files,
    load_for_plan,
    measure_memory,
    plans_after,
)
from multitalk.engines.diffusion.memory_plan import PLANS, MemoryBudget, MemoryPlan
from multitalk.engines.diffusion.offload import has_gpu
from multitalk.engines.diffusion.parallel import ProcessGroup, SingleProcess, connect
from multitalk.engines.diffusion.pipeline import Execution, MultiTalkPipeline, RenderedWindow
from multitalk.engines.diffusion.placement import Placement
from multitalk.engines.diffusion.profiles import LoraProfiles, Profile, choose_profile
from multitalk.engines.diffusion.resolution_buckets import (
    DEFAULT_RESOLUTION,
    Resolution,
    choose_bucket,
)
from multitalk.engines.diffusion.sampler import SampleOptions
from multitalk.engines.diffusion.saved_windows import SavedWindows, WindowWriter
from multitalk.engines.diffusion.speakers import (
    SpeakerOutOfSight,
    detect_and_turn,
    out_of_sight_error,
    place_speakers,
)
from multitalk.engines.diffusion.talk import FinishedLatents, TalkInputs
from multitalk.engines.diffusion.windows import WindowLengths
from multitalk.errors import EngineBroken, EngineFailed
from multitalk.schema import ProfileName
from multitalk.settings import Settings
from multitalk.timebase import SAMPLES_PER_FRAME

WARM_UP_LENGTHS = WindowLengths(window_frames=5, conditioning_frames=1)

logger = logging.getLogger(__name__)


class DiffusionEngine:
    """MultiTalk or InfiniteTalk: generates every frame from the picture, the prompt and voices."""

    name: ClassVar[str] = "diffusion"
    takes_quality: ClassVar[bool] = False  # it has profiles

    def __init__(
        self,
        pipeline: MultiTalkPipeline,
        plans: Sequence[MemoryPlan],
        loras: LoraProfiles,
        *,
        step_cache_threshold: float = 0.0,
        projection: AdaptiveProjection | None = None,
        short_last_window: bool = True,
        group: SingleProcess | ProcessGroup | None = None,
        budget: MemoryBudget | None = None,
    ) -> None:
        """Take over a pipeline.

        Args:
            pipeline: On the CPU, or where the first plan has it.
            plans: Memory plans, the one to begin with first; at least one.
            loras: The profiles and LoRAs of the pipeline's transformer.
            step_cache_threshold: Change that skipped steps may add up to; 0 computes all steps.
            projection: Of the guidance, in every profile with guidance.
            short_last_window: Whether a talk's last window may be shorter than the others.
            group: The processes that share its talks; None for a single process.
            budget: Free memory of the GPU and of the host; None where unknown.

        Raises:
            EngineUnavailable: Memory does not suffice for any plan.
        """
        self._group = group or SingleProcess()
        self._group.parallelize(pipeline.transformer)
        device = "cuda" if has_gpu() else "cpu"
        placement = Placement(pipeline, plans, device, self._group.collective, budget)
        self._loaded: tuple[Placement, LoraProfiles] | None = placement, loras
        self._step_cache_threshold = step_cache_threshold
        self._projection = projection
        self._lengths = pipeline.lengths
        if not short_last_window:
            self._lengths = replace(self._lengths, shortest_frames=None)

    @classmethod
    def load(cls, weights: Path, settings: Settings) -> "DiffusionEngine":
        """Open a directory of weights, choose a memory plan, and warm up.

        Without a GPU it works in float32, and real weights would take hours for a second. Where
        `torchrun` has started several processes, they share each talk; see `serve_rank`.

        Args:
            weights: The directory.
            settings: Of LoRAs, memory and acceleration.

        Raises:
            EngineUnavailable: The weights are not whole, a LoRA does not fit them, a setting cannot
                be met, memory does not suffice, or there are fewer GPUs than processes.
            EngineFailed: Another process could not load its engine.
            EngineBroken: Another process is gone.
        """
        group = connect()
        with group.collective():
            files = find_files(weights, settings)
            budget = measure_memory(files, settings, group)
        plans = tuple(plan for plan in PLANS if plan.name == settings.memory_plan) or budget.plans()
        if has_gpu():
            logger.info("memory plan %s: %s; %s", plans[0], budget.summary(), budget.host(plans[0]))
        opened = None
        while opened is None:
            with suppress(torch.OutOfMemoryError), group.collective():
                opened = load_for_plan(weights, files, plans[0], budget, settings)
                accelerate(opened[0].transformer, settings, is_shared=group.world_size > 1)
            if opened is None:
                plans = plans_after(plans)
        engine = cls(
            opened[0],
            plans,
            opened[1],
            step_cache_threshold=settings.step_cache_threshold,
            projection=AdaptiveProjection() if settings.projected_guidance else None,
            short_last_window=settings.short_last_window,
            group=group,
            budget=budget,
        )
        engine.warm_up()
        return engine

    @property
    def loaded(self) -> tuple[Placement, LoraProfiles]:
        """The pipeline on its devices, and the profiles and LoRAs of its transformer.

        Raises:
            ValueError: The engine is closed.
        """
        if self._loaded is None:
            raise ValueError("the engine is closed")
        return self._loaded

    def warm_up(self) -> None:
        """Render a few frames, so that errors of the set-up come now, not in the first job."""
        started = time.monotonic()
        hum = np.sin(np.arange(SAMPLES_PER_FRAME, dtype=np.float32))
        picture = np.zeros((64, 64, 3), np.uint8)
        placement, loras = self.loaded
        loras.activate(None)
        # Two branches are computed in halves of the processes, a third by all of them.
        text_scale = 1.0 if self._group.world_size == 1 else 2.0
        for _ in self._on_all_ranks(
            lambda watch: placement.pipeline(
                picture,
                "",
                [hum],
                options=SampleOptions(Guidance(text_scale, 2.0), num_inference_steps=1),
                execution=Execution(WARM_UP_LENGTHS, group=self._group),
                watch=watch,
            ),
            ignore_progress,
        ):
            pass
        seconds = time.monotonic() - started
        logger.info("warm in %.2f s, memory plan: %s", seconds, placement.plan)

    @property
    def takes_footage(self) -> bool:
        """True if the weights are InfiniteTalk's."""
        return self.loaded[0].pipeline.takes_footage

    def check(self, options: RenderOptions) -> None:
        """Refuse a profile that these weights do not have; see `engines.base.Engine`."""
        choose_profile(options.profile, self.loaded[1].profiles)

    def render(
        self, scene: Scene, options: RenderOptions, watch: ProgressCallback
    ) -> Iterator[FrameChunk]:
        """Yield the talk in order, without gaps; see `engines.base.Engine`.

        Raises:
            InvalidRequest: These weights do not have the profile, or the talk to continue from had
                other inputs.
            NoFaceFound: A speaker's box is outside of the video, or another speaker has no face.
            EngineUnavailable: Memory does not suffice for a window of this size.
            EngineFailed: The network gave numbers that are not finite.
            EngineBroken: The GPU is lost to this process.
        """
        _, loras = self.loaded
        watch(0.0)
        profile = loras.activate(options.profile)
        scene, boxes, notices = place_speakers(scene, detect_and_turn)
        origin, files = self._origin(scene, options), options.window_files
        finished: FinishedLatents = ()
        if files.earlier is not None and options.kept_windows:
            finished = SavedWindows(files.earlier, options.kept_windows, origin)
        inputs = _talk_inputs(
            scene, options, profile, self._projection, boxes=boxes, finished=finished
        )
        self._group.broadcast((profile.name, inputs))
        writer: AbstractContextManager[WindowWriter | None] = nullcontext()
        if files.save_to is not None:
            writer = WindowWriter(files.save_to, origin, max_bytes=files.max_bytes)
        with _translate_errors(scene), writer as file:
            for rendered in self._render_shared(inputs, watch):
                first = rendered.window.new.start
                is_saved = file is not None and _save(rendered, file)
                chunk_notices = notices if first == 0 else ()
                yield FrameChunk(rendered.frames, first, chunk_notices, is_saved)

    def _origin(self, scene: Scene, options: RenderOptions) -> Mapping[str, object]:
        """The inputs that a talk's windows depend on, by the field of a request.

        Prompts, seed, profile and boxes, which may change from window to window, are not in it.
        """
        pipeline, lengths = self.loaded[0].pipeline, self._lengths
        sizes = pipeline.buckets(options.resolution or DEFAULT_RESOLUTION)
        size = choose_bucket(*scene.portrait.shape[:2], buckets=sizes)
        windows = f"{lengths.window_frames} {lengths.conditioning_frames}"
        return {
            "engine": f"{self.name} {pipeline.config.kind} {windows}",
            "image_path": scene.picture_digest,
            "audio_paths": f"{scene.voices_digest} {scene.num_frames}",
            "resolution": list(size),
            "color_correction": options.color_correction,
        }

    @property
    def is_follower(self) -> bool:
        """True if rank 0 serves the jobs, and this process only computes with it."""
        return self._group.is_follower

    def serve_rank(self) -> None:
        """Compute this process's part of every talk until rank 0 closes its engine.

        Raises:
            EngineBroken: Another process is gone.
        """

        def render(talk: tuple[ProfileName, TalkInputs]) -> None:
            profile, inputs = talk
            self.loaded[1].activate(profile)
            for _ in self._render_shared(inputs, ignore_progress):
                pass

        self._group.serve_rank(render)
        self.close()

    def _render_shared(
        self, inputs: TalkInputs, watch: ProgressCallback
    ) -> Iterator[RenderedWindow]:
        """The talk's windows; the same in every process that shares it."""
        placement = self.loaded[0]

        def start(watch: ProgressCallback) -> Iterator[RenderedWindow]:
            execution = Execution(
                self._lengths,
                self._step_cache_threshold,
                placement.in_tiles(inputs.resolution),
                self._group,
            )
            return placement.pipeline.render(inputs, execution, watch)

        return self._on_all_ranks(start, watch, inputs.resolution)

    def _on_all_ranks(
        self,
        start: Callable[[ProgressCallback], Iterator[RenderedWindow]],
        watch: ProgressCallback,
        resolution: Resolution | None = None,
    ) -> Iterator[RenderedWindow]:
        """A talk's windows, computed by all processes, with a plan that fits."""
        group = self._group

        def shared(watch: ProgressCallback) -> Iterator[RenderedWindow]:
            with group.collective():
                yield from start(group.synchronized(watch))

        return self.loaded[0].windows(shared, watch, resolution)

    def close(self) -> None:
        """Release the weights. A closed engine renders no more, and may be closed again."""
        self._loaded = None
        self._group.close()
        gc.collect()  # the libraries' hooks refer to themselves
        if has_gpu():
            torch.cuda.empty_cache()


def _talk_inputs(
    scene: Scene,
    options: RenderOptions,
    profile: Profile,
    projection: AdaptiveProjection | None,
    *,
    boxes: Sequence[Box] | None,
    finished: FinishedLatents,
) -> TalkInputs:
    """The pipeline's inputs for a scene: the profile's values where the options have none.

    Arrays are plain ones, since memory-mapped ones would be pickled by copying.
    """
    profile = profile.overridden_by(options)
    resolution = options.resolution or DEFAULT_RESOLUTION
    return TalkInputs(
        picture=np.ascontiguousarray(scene.portrait),
        prompt=scene.prompt,
        voices=[np.ascontiguousarray(speaker.speech) for speaker in scene.speakers],
        num_frames=scene.num_frames,
        negative_prompt=profile.negative_prompt,
        boxes=boxes,
        footage=scene.footage,
        finished=finished,
        resolution=resolution,
        sampling=SampleOptions(
            Guidance(profile.text_guidance_scale, profile.audio_guidance_scale, projection),
            profile.num_inference_steps,
            profile.shifts[resolution],
            options.color_correction,
        ),
        seed=options.seed,
    )


@contextmanager
def _translate_errors(scene: Scene) -> Iterator[None]:
    """Raise the pipeline's errors as those of `engines.base.Engine`."""
    try:
        yield
    except SpeakerOutOfSight as error:
        raise out_of_sight_error(scene, error.speaker) from error
    except FloatingPointError as error:
        raise EngineFailed("diffusion_not_finite") from error
    except torch.AcceleratorError as error:  # this process's CUDA context is lost
        raise EngineBroken("diffusion_gpu_lost") from error


def _save(rendered: RenderedWindow, file: WindowWriter) -> bool:
    """Save a window, unless it is the talk's last, from which no talk can continue."""
    return not rendered.window.is_last and file.add(rendered.latents.float().cpu().numpy())
