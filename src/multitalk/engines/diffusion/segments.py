"""A talk of any length as overlapping windows, and the sound that each window hears.

The model was trained on windows of 81 frames. The first window starts from the picture; every later
one starts from the last frames of the window before, and only what follows them is new:

    0 ........ 81
         56 ........ 137          25 frames overlap, 56 are new
              112 ........ 193

Each window is as long as the others, so it costs the same however far into the talk it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

FRAMES_PER_LATENT = 4  # after the first frame, which has a latent of its own
AUDIO_REACH = 2  # feature rows that a frame hears before and after its own
AUDIO_WINDOW = 2 * AUDIO_REACH + 1
# The reference extends a track so that the last window's reach, and a frame more, are covered.
REVERSED_SURPLUS = 3

AfterSpeech = Literal["silence", "reversed"]


@dataclass(frozen=True)
class SegmentLengths:
    """How long the windows are, in frames; both are 4 n + 1.

    Attributes:
        segment_frames: Of a window: what the model was trained on.
        conditioning_frames: That a later window is given from the one before.
    """

    segment_frames: int = 81
    conditioning_frames: int = 25

    def __post_init__(self) -> None:
        for name in ("segment_frames", "conditioning_frames"):
            frames = getattr(self, name)
            if frames < 1 or frames % FRAMES_PER_LATENT != 1:
                raise ValueError(f"{name}: {frames} is not 1, 5, 9, ... frames")
        if self.conditioning_frames >= self.segment_frames:
            raise ValueError("conditioning_frames: nothing of a window would be new")

    @property
    def stride(self) -> int:
        """Frames from one window's start to the next one's."""
        return self.segment_frames - self.conditioning_frames

    @property
    def latent_frames(self) -> int:
        """Latent frames of a window."""
        return latent_frames(self.segment_frames)


def latent_frames(frames: int) -> int:
    """Latent frames that 4 n + 1 frames of video become: n + 1."""
    return 1 + (frames - 1) // FRAMES_PER_LATENT


@dataclass(frozen=True)
class Segment:
    """One window of the talk.

    Attributes:
        index: 0, 1, 2, ...
        start: Frame of the talk that the window begins with.
        stop: Frame after its last one; it may lie beyond the end of the talk.
        new: Frames of the talk that no earlier window shows.
        last: The talk ends in it.
    """

    index: int
    start: int
    stop: int
    new: range
    last: bool

    @property
    def new_in_window(self) -> slice:
        """The new frames, counted from the window's start."""
        return slice(self.new.start - self.start, self.new.stop - self.start)


def segments(num_frames: int, lengths: SegmentLengths) -> Iterator[Segment]:
    """Windows that cover a talk of `num_frames` >= 1 frames; each frame is new in exactly one."""
    index, start, shown = 0, 0, 0
    while shown < num_frames:
        stop = start + lengths.segment_frames
        end = min(stop, num_frames)
        yield Segment(index, start, stop, range(shown, end), end == num_frames)
        index, start, shown = index + 1, start + lengths.stride, end


def num_segments(num_frames: int, lengths: SegmentLengths) -> int:
    """How many windows `segments` yields."""
    return 1 + max(0, -(-(num_frames - lengths.segment_frames) // lengths.stride))


def window_rows(segment: Segment, num_rows: int) -> NDArray[np.int64]:
    """Feature rows that each frame hears: its own and its neighbours', int64 [T, AUDIO_WINDOW].

    Before the first row and after the last of the `num_rows` rows, that row is heard again.
    """
    frames = np.arange(segment.start, segment.stop)[:, None]
    reach = np.arange(-AUDIO_REACH, AUDIO_REACH + 1)
    rows: NDArray[np.int64] = np.clip(frames + reach, 0, num_rows - 1)
    return rows


def speech_windows(speech_features: Array, segment: Segment) -> Array:
    """What a window hears of a track: float32 [R, L, C] -> [T, AUDIO_WINDOW, L, C]."""
    windows: Array = speech_features[window_rows(segment, len(speech_features))]
    return windows


def extended(speech_features: Array, segment: Segment, *, after: AfterSpeech) -> Array:
    """A track that lasts as long as a window, which may reach beyond the end of the speech.

    Args:
        speech_features: Float32 [R, L, C].
        segment: The window.
        after: What follows the speech. "silence" is the absence of a voice (zeros), and the track
            then covers all that the window hears. "reversed" is what the reference does with a
            talk's last window: the speech backwards. In earlier windows, as before the speech, the
            nearest row is heard.

    Returns:
        Float32 [R', L, C], R' >= R.
    """
    num_rows = len(speech_features)
    if after == "silence":
        missing = max(0, segment.stop + AUDIO_REACH - num_rows)
        return np.pad(speech_features, ((0, missing), (0, 0), (0, 0)))
    if not segment.last or segment.stop < num_rows:
        return speech_features
    missing = segment.stop - num_rows + REVERSED_SURPLUS
    return np.concatenate([speech_features, speech_features[-missing:][::-1]])
