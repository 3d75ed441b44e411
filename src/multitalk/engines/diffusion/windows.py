"""A talk of any length as overlapping windows, and the speech features of each window.

The model was trained on windows of 81 frames. The first window starts from the picture; every later
one starts from the last frames of the window before, and only what follows them is new:

    0 ........ 81
         56 ........ 137          25 frames overlap, 56 are new
              112 ........ 193

Each window is as long as the others, so it costs the same however far into the talk it is. The last
one may be shorter: it ends with the talk, but for the frames that fill its last latent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.timebase import CLIP_FRAMES

FRAMES_PER_LATENT = 4  # except the first latent, which is one frame
AUDIO_REACH = 2  # feature rows of a frame before and after its own
AUDIO_WINDOW = 2 * AUDIO_REACH + 1
NO_ROW = -1


class FeatureTrack(Protocol):
    """A voice's speech features, a row [L, C] for each frame: an array, or computed lazily.

    Rows are read from the start to the end.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Array:
        """Rows of a range, float32 [n, L, C]."""
        ...


@dataclass(frozen=True)
class WindowLengths:
    """Lengths of the windows, in frames; all are 4 n + 1.

    Attributes:
        window_frames: Of a window: what the model was trained on.
        conditioning_frames: Shared with the window before.
        shortest_frames: That the last window has, however few it needs; None for as many as the
            others, which is what the reference does.
    """

    window_frames: int = CLIP_FRAMES
    conditioning_frames: int = 25
    shortest_frames: int | None = None

    def __post_init__(self) -> None:
        for name in ("window_frames", "conditioning_frames", "shortest_frames"):
            frames = getattr(self, name)
            if frames is not None and (frames < 1 or frames % FRAMES_PER_LATENT != 1):
                raise ValueError(f"{name}: {frames} is not 1, 5, 9, ... frames")
        if self.conditioning_frames >= self.window_frames:
            raise ValueError("conditioning_frames: nothing of a window would be new")
        if self.shortest_frames is not None and self.shortest_frames > self.window_frames:
            raise ValueError("shortest_frames: more than a window has")

    @classmethod
    def ending_short(cls, window_frames: int, conditioning_frames: int) -> "WindowLengths":
        """Lengths whose last window is as short as it may be, at least half as long as the others.

        Fewer frames are ever further from what the model was trained on.
        """
        half = whole_latents((window_frames + 1) // 2)
        return cls(window_frames, conditioning_frames, half)

    @property
    def stride(self) -> int:
        """Frames from one window's start to the next one's."""
        return self.window_frames - self.conditioning_frames

    def last_frames(self, needed: int) -> int:
        """Frames of a last window of which `needed` ones are within the talk."""
        if self.shortest_frames is None:
            return self.window_frames
        return max(self.shortest_frames, whole_latents(needed))


def whole_latents(frames: int) -> int:
    """The next number of 1, 5, 9, ... that is not below `frames`."""
    return frames + (1 - frames) % FRAMES_PER_LATENT


def latent_frames(frames: int) -> int:
    """Latent frames that 4 n + 1 frames of video become: n + 1."""
    return 1 + (frames - 1) // FRAMES_PER_LATENT


@dataclass(frozen=True)
class Window:
    """One window of the talk.

    Attributes:
        index: 0, 1, 2, ...
        start: Frame of the talk that the window begins with.
        stop: Frame after its last one; it may lie beyond the end of the talk.
        new: Frames of the talk that no earlier window shows.
        is_last: Whether the talk ends in it.
    """

    index: int
    start: int
    stop: int
    new: range
    is_last: bool

    @property
    def new_in_window(self) -> slice:
        """The new frames, counted from the window's start."""
        return slice(self.new.start - self.start, self.new.stop - self.start)

    @property
    def num_frames(self) -> int:
        """Of the window, 4 n + 1."""
        return self.stop - self.start


def talk_windows(num_frames: int, lengths: WindowLengths) -> Iterator[Window]:
    """Windows that cover a talk of `num_frames` >= 1 frames; each frame is new in exactly one."""
    index, start, shown = 0, 0, 0
    while shown < num_frames:
        end = min(start + lengths.window_frames, num_frames)
        last = end == num_frames
        frames = lengths.last_frames(end - start) if last else lengths.window_frames
        yield Window(index, start, start + frames, range(shown, end), last)
        index, start, shown = index + 1, start + lengths.stride, end


def num_windows(num_frames: int, lengths: WindowLengths) -> int:
    """Number of windows that `talk_windows` yields."""
    return 1 + max(0, -(-(num_frames - lengths.window_frames) // lengths.stride))


def feature_rows(window: Window, num_rows: int) -> NDArray[np.int64]:
    """Rows of a track that each frame attends to: its own and its neighbours'.

    Before the track its first row is repeated; after it there is silence. (The reference repeats
    the speech backwards there.)

    Args:
        window: The window, which may extend beyond the track.
        num_rows: Of the track, at least 1.

    Returns:
        Int64 [T, AUDIO_WINDOW]; `NO_ROW` for silence.
    """
    frames = np.arange(window.start, window.stop)[:, None]
    rows = np.maximum(frames + np.arange(-AUDIO_REACH, AUDIO_REACH + 1), 0)
    return np.where(rows < num_rows, rows, NO_ROW)


def frame_features(track: FeatureTrack, rows: NDArray[np.int64]) -> Array:
    """Features of a track at rows [T, AUDIO_WINDOW]: [T, AUDIO_WINDOW, L, C], zero for silence."""
    first = max(0, int(rows[rows != NO_ROW].min(initial=len(track) - 1)))
    near = track[first : int(rows.max(initial=first)) + 1]
    windows: Array = near[np.where(rows == NO_ROW, 0, rows - first)]
    windows[rows == NO_ROW] = 0
    return windows
