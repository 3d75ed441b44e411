"""The diffusion engine: the pipeline behind the seam that every engine has."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from multitalk.engines.base import Box, FrameChunk, Notice, RenderOptions, Scene
from multitalk.engines.diffusion.buckets import Resolution
from multitalk.engines.diffusion.convert import CheckpointMismatch
from multitalk.engines.diffusion.loading import load_pipeline
from multitalk.engines.diffusion.masks import SpeakerOutOfSight
from multitalk.engines.diffusion.memory import (
    MemoryPlan,
    component_sizes,
    has_gpu,
    place,
    plans_that_fit,
)
from multitalk.engines.diffusion.pipeline import MultiTalkPipeline, TalkSegment
from multitalk.engines.diffusion.segments import SegmentLengths
from multitalk.engines.warp.casting import cast_faces
from multitalk.errors import EngineUnavailable, NoFaceFound
from multitalk.face.landmarks import FaceDetector, FaceLandmarks

# Timestep shift by resolution, as published with the weights.
SHIFTS: dict[Resolution, float] = {"480p": 7.0, "720p": 11.0}
TRAINED_SPEAKERS = 2  # at most, in one video that the network was trained with
HEAD_MARGIN = 0.3  # of a face's width and height, around it: hair, ears and neck
SHOWN_PROBLEMS = 3
WARM_UP_LENGTHS = SegmentLengths(segment_frames=5, conditioning_frames=1)

Detect = Callable[[NDArray[np.uint8], int], Sequence[FaceLandmarks]]

logger = logging.getLogger(__name__)


class DiffusionEngine:
    """MultiTalk or InfiniteTalk: generates every frame from the picture, the prompt and voices."""

    name: ClassVar[str] = "diffusion"

    def __init__(self, pipeline: MultiTalkPipeline, plans: Sequence[MemoryPlan]) -> None:
        """Take over a pipeline that lies on the CPU.

        Args:
            pipeline: To render with.
            plans: Of memory, the one to begin with first; at least one.
        """
        self._pipeline = pipeline
        self._device = torch.device("cuda" if has_gpu() else "cpu")
        self._plans = list(plans)
        place(pipeline, self._plans[0], self._device)

    @classmethod
    def load(cls, weights: Path) -> "DiffusionEngine":
        """Open a directory of weights, choose where they lie, and render once for nothing.

        Without a GPU it works in float32, and real weights would take hours for a second.

        Raises:
            EngineUnavailable: The weights are not whole, or memory does not suffice.
        """
        on_gpu = has_gpu()
        dtype = torch.bfloat16 if on_gpu else torch.float32
        try:
            pipeline = load_pipeline(weights, torch_dtype=dtype)
        except CheckpointMismatch as error:
            logger.warning("unusable weights: %s", error)
            shown = "; ".join(error.problems[:SHOWN_PROBLEMS])
            raise EngineUnavailable(
                "diffusion_weights_unusable", field="engine", problems=shown
            ) from error
        free = torch.cuda.mem_get_info()[0] if on_gpu else float("inf")
        engine = cls(pipeline, plans_that_fit(component_sizes(pipeline), free))
        engine.warm_up()
        return engine

    def warm_up(self) -> None:
        """Render a few frames, so that what cannot work fails now, not in the first job."""
        started = time.monotonic()
        hum = np.sin(np.arange(640, dtype=np.float32))
        picture = np.zeros((64, 64, 3), np.uint8)
        for _ in self._segments(
            lambda: self._pipeline(
                picture, "", [hum], num_inference_steps=1, lengths=WARM_UP_LENGTHS
            )
        ):
            pass
        seconds = time.monotonic() - started
        plan = self._plans[0].name
        logger.info("warm in %.2f s on %s, memory plan: %s", seconds, self._device, plan)

    def render(self, scene: Scene, options: RenderOptions) -> Iterator[FrameChunk]:
        """Yield the talk in order, without gaps; see `engines.base.Engine`.

        Raises:
            NoFaceFound: A speaker's box has no place in the video, or another speaker no face.
            EngineUnavailable: Memory does not suffice for a segment of this size.
        """
        boxes, notices = place_speakers(scene, _detect)

        def talk() -> Iterator[TalkSegment]:
            segments: Iterator[TalkSegment] = self._pipeline(
                scene.portrait,
                scene.prompt,
                [speaker.speech for speaker in scene.speakers],
                boxes=boxes,
                num_frames=scene.num_frames,
                negative_prompt=options.negative_prompt,
                resolution=options.resolution,
                num_inference_steps=options.num_inference_steps,
                text_guidance_scale=options.text_guidance_scale,
                audio_guidance_scale=options.audio_guidance_scale,
                shift=SHIFTS[options.resolution] if options.shift is None else options.shift,
                color_correction=options.color_correction,
                seed=options.seed,
            )
            return segments

        try:
            for segment in self._segments(talk):
                first = segment.segment.new.start
                yield FrameChunk(segment.frames, first, notices if first == 0 else ())
        except SpeakerOutOfSight as error:
            name = scene.speakers[error.speaker].name
            raise NoFaceFound("speaker_out_of_frame", field=f"bbox.{name}") from error

    def _segments(self, begin: Callable[[], Iterator[TalkSegment]]) -> Iterator[TalkSegment]:
        """A talk's segments; it begins anew with a smaller plan when memory does not suffice.

        The noise is the same again, and so are the frames: those already given out are left out.
        """
        given = 0
        while True:
            try:
                for segment in begin():
                    if segment.segment.new.start >= given:
                        given = segment.segment.new.stop
                        yield segment
                return
            except torch.OutOfMemoryError:
                # What the error's frames hold is free only after this block.
                logger.warning("out of memory with the plan: %s", self._plans[0].name)
            if len(self._plans) == 1:
                raise EngineUnavailable("diffusion_out_of_memory", field="resolution")
            del self._plans[0]
            place(self._pipeline, self._plans[0], self._device)


def place_speakers(scene: Scene, detect: Detect) -> tuple[list[Box] | None, tuple[Notice, ...]]:
    """Where each speaker is: the caller's box, or else a face, from left to right.

    Returns:
        Boxes in pixels of the portrait, or None for equal strips: one person speaks, or there are
        no boxes and not enough faces. And what the caller should know.

    Raises:
        NoFaceFound: Some speakers have boxes, and for another there is no face.
    """
    speakers, notices = scene.speakers, []
    if len(speakers) == 1:
        return None, ()
    if len(speakers) > TRAINED_SPEAKERS:
        notices.append(Notice("many_speakers", {"speakers": len(speakers)}))
    boxes = [speaker.box for speaker in speakers if speaker.box is not None]
    if len(boxes) < len(speakers):
        faces = detect(scene.portrait, len(speakers))
        height, width = scene.portrait.shape[:2]
        try:
            cast = cast_faces(speakers, faces, scale=1.0, portrait_size=(height, width))
        except NoFaceFound:
            if boxes:
                raise
            return None, (*notices, Notice("speakers_in_strips", {"faces": len(faces)}))
        boxes = [speaker.box or _around(face) for speaker, face in zip(speakers, cast, strict=True)]
    return boxes, tuple(notices)


def _around(face: FaceLandmarks) -> Box:
    x_min, y_min, x_max, y_max = face.box
    across, down = HEAD_MARGIN * (x_max - x_min), HEAD_MARGIN * (y_max - y_min)
    return x_min - across, y_min - down, x_max + across, y_max + down


def _detect(portrait: NDArray[np.uint8], expected: int) -> Sequence[FaceLandmarks]:
    with FaceDetector() as detector:
        return detector.detect(portrait, expected=expected)
