"""The engine protocol: scenes and options in, chunks of frames out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Portrait, Speech
from multitalk.boxes import Box
from multitalk.choices import Quality
from multitalk.messages import Notice


@dataclass(frozen=True)
class Speaker:
    """One person of the scene.

    Attributes:
        name: The caller's name for the speaker, such as `person1`.
        speech: Samples [S]; S is the same for all speakers of a scene, with silence in between.
        box: Of this person's face in the portrait, pixels; None to assign faces left to right.
        text: What the voice says, where it is synthesized; empty where that is not known.
    """

    name: str
    speech: Speech
    box: Box | None = None
    text: str = ""


class Footage(Protocol):
    """A video source. Picklable: each process that shares a talk reads it itself."""

    def at(self, frame: int) -> Portrait:
        """The picture at a frame of the talk; past its end, the last one.

        Fast for frames in order; sizes may vary.

        Raises:
            RequestError: The video is damaged or too large.
        """
        ...


@dataclass(frozen=True)
class Scene:
    """A scene to render.

    Attributes:
        portrait: RGB uint8 [H, W, 3]; with footage, its first frame.
        speakers: In the caller's order, at least one.
        prompt: What the video shows.
        num_frames: Length of the talk, T = ceil(S / 640), at 25 fps.
        footage: The video source, only for an engine that `takes_footage`.
        picture_digest: Of the portrait's file, where windows are saved or reused.
        voices_digest: Of the voices, likewise. A talk continues an earlier one of the same digests.
    """

    portrait: Portrait
    speakers: tuple[Speaker, ...]
    prompt: str
    num_frames: int
    footage: Footage | None = None
    picture_digest: str = ""
    voices_digest: str = ""


@dataclass(frozen=True)
class WindowFiles:
    """Files of saved windows, for a generative engine; made by the job's entry point.

    Attributes:
        save_to: A new file for this talk's windows; None to save none.
        max_bytes: Limit of that file.
        earlier: The file of an earlier talk; None if there is none to continue.
    """

    save_to: Path | None = None
    max_bytes: int = 0
    earlier: Path | None = None


NO_WINDOW_FILES = WindowFiles()


@dataclass(frozen=True)
class RenderOptions:
    """Options of rendering. An engine ignores options of other kinds of engine.

    `motion` scales people's movement, 0..1.5; 1 as filmed speakers. For steps, scales, shift and
    negative prompt None is the profile's value, for the resolution the engine's default.
    `kept_windows` counts the windows of `window_files.earlier` that the talk begins with; 0 for a
    new talk.
    """

    seed: int
    resolution: Literal["480p", "720p"] | None = None
    quality: Quality = "standard"
    motion: float = 1.0
    num_inference_steps: int | None = None
    text_guidance_scale: float | None = None
    audio_guidance_scale: float | None = None
    shift: float | None = None
    negative_prompt: str | None = None
    profile: str | None = None
    color_correction: float = 0.0
    kept_windows: int = 0
    window_files: WindowFiles = NO_WINDOW_FILES


@dataclass(frozen=True)
class FrameChunk:
    """Consecutive frames of the talk.

    Attributes:
        frames: RGB uint8 [T, H, W, 3]; H and W are even and constant over the talk.
        first: Index of `frames[0]` in the talk; chunks are in order and without gaps.
        notices: New notices for the caller.
        is_saved: Whether its window and all earlier ones are in the file of `WindowFiles.save_to`.
    """

    frames: NDArray[np.uint8]
    first: int
    notices: tuple[Notice, ...] = ()
    is_saved: bool = False


# Called with the work done, in frames. An exception that it raises ends the talk.
ProgressCallback = Callable[[float], None]


def ignore_progress(done: float) -> None:
    """A `ProgressCallback` that does nothing."""


class Engine(Protocol):
    """Renders a talking portrait. Loaded once per process; one job at a time."""

    name: ClassVar[str]

    #: Whether it supports `RenderOptions.quality`.
    takes_quality: ClassVar[bool]

    @property
    def takes_footage(self) -> bool:
        """True if a scene may have footage."""
        ...

    def check(self, options: RenderOptions) -> None:
        """Reject options that `render` would reject.

        Raises:
            InvalidRequest: An unknown profile, or an earlier talk that cannot be continued.
        """
        ...

    def render(
        self, scene: Scene, options: RenderOptions, watch: ProgressCallback
    ) -> Iterator[FrameChunk]:
        """Yield the talk in order, without gaps; closing the iterator cancels the work.

        Args:
            scene: A scene to render.
            options: How to render.
            watch: Called before each long step, such as a denoising step, in the thread that
                requests the next chunk; never decreasing, at most `scene.num_frames`.

        Raises:
            NoFaceFound: The engine needs a face per speaker and did not find one.
        """
        ...

    def close(self) -> None:
        """Release memory and devices; idempotent. A closed engine cannot render."""
        ...
