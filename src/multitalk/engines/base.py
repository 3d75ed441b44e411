"""What an engine is given and what it gives back: the one seam between jobs and rendering."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Portrait, Speech
from multitalk.boxes import Box
from multitalk.messages import Notice
from multitalk.schema import Quality


@dataclass(frozen=True)
class Speaker:
    """One person of the scene: a name, a voice and, where the caller gave one, a place.

    Attributes:
        name: The caller's name for the speaker, such as `person1`.
        speech: Samples [S]; every speaker of a scene has the same S (silence where one waits).
        box: Where this person's face is in the portrait, or None to take faces left to right.
    """

    name: str
    speech: Speech
    box: Box | None = None


class Footage(Protocol):
    """A moving source. It can be pickled: each process that shares a talk reads it for itself."""

    def at(self, frame: int) -> Portrait:
        """What is seen at a frame of the talk; past its end, the last that was seen.

        Cheap where frames are asked for in order; each may have a size of its own.

        Raises:
            RequestError: It turns out to be damaged or too large.
        """
        ...


@dataclass(frozen=True)
class Scene:
    """What to render.

    Attributes:
        portrait: The still picture, RGB uint8 [H, W, 3]; with footage, what is seen at frame 0.
        speakers: In the caller's order, at least one.
        prompt: What the video shows.
        num_frames: Length of the talk T = ceil(S / 640), at 25 frames a second.
        footage: The moving source, where the portrait is of one; only for an engine that takes it.
    """

    portrait: Portrait
    speakers: tuple[Speaker, ...]
    prompt: str
    num_frames: int
    footage: Footage | None = None


@dataclass(frozen=True)
class Reuse:
    """Windows of talks in files, which only a generative engine has.

    Attributes:
        save_to: A new file for this talk's windows; None where they are not kept.
        max_bytes: Of what is saved.
        earlier: The file of an earlier talk that this one begins with; None without.
        windows: How many windows of it.
        picture: Digest of the portrait's file; an earlier talk must have had the same.
        voices: Digest of the voices, likewise.
    """

    save_to: Path | None = None
    max_bytes: int = 0
    earlier: Path | None = None
    windows: int = 0
    picture: str = ""
    voices: str = ""


NO_REUSE = Reuse()


@dataclass(frozen=True)
class RenderOptions:
    """How to render. An engine ignores what its kind cannot do.

    `motion` is how lively people move, 0..1.5; 1 as filmed speakers do.

    The steps, the scales, the shift and the negative prompt are None where the caller does not
    state them: they are the profile's then. So is the resolution, which is then the engine's own.
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
    reuse: Reuse = NO_REUSE


@dataclass(frozen=True)
class FrameChunk:
    """A piece of the talk.

    Attributes:
        frames: RGB uint8 [T, H, W, 3]; H and W are even and the same for the whole talk.
        first: Index of `frames[0]` in the talk; chunks come in order and without gaps.
        notices: What became known while this chunk was made.
        is_saved: Its window is in the file of `Reuse.save_to`, and so are those before.
    """

    frames: NDArray[np.uint8]
    first: int
    notices: tuple[Notice, ...] = ()
    is_saved: bool = False


# Told how much of a talk is done, in frames' worth of work. What it raises ends the talk.
Watch = Callable[[float], None]


def unwatched(done: float) -> None:
    """A `Watch` for talks that nobody waits for."""


class Engine(Protocol):
    """Renders a talking portrait. Loaded once per process; one job at a time."""

    name: ClassVar[str]

    #: Whether looks can be traded for speed by `RenderOptions.quality`.
    takes_quality: ClassVar[bool]

    @property
    def takes_footage(self) -> bool:
        """Whether a scene may have a moving source in the portrait's place."""
        ...

    def check(self, options: RenderOptions) -> None:
        """Refuse at once what would be refused when rendering begins.

        Raises:
            InvalidRequest: There is no such profile here, or no talk begins with an earlier one.
        """
        ...

    def render(self, scene: Scene, options: RenderOptions, watch: Watch) -> Iterator[FrameChunk]:
        """Yield the talk in order, without gaps; closing the iterator cancels the work.

        Args:
            scene: What to render.
            options: How to render.
            watch: Called before each piece of work that takes a while, such as a denoising step,
                from the thread that asks for the next chunk. Never told less than before, and
                `scene.num_frames` at most.

        Raises:
            NoFaceFound: The engine needs a face for each speaker and did not find it.
        """
        ...

    def close(self) -> None:
        """Give back memory and devices, once or more often; a closed engine renders no more."""
        ...
